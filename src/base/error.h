/* SPDX-License-Identifier: MIT */
/*
 * What can go wrong, in one table: identity, class, sentence and advice of every error. Text, JSON, exit statuses,
 * the journal's fields and the manual come from it.
 *
 * Guarantees: setting an error never allocates and never fails. Refuses: to print (only cli/ does), to carry anything
 * that came from a secret, and to use errno or a library's code as identity (they are details beside it).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * What a caller should do about it: the six answers of a protector (design, section 5) and what the rest needs.
 * One line for each class: identity, exit status, name for programs, in a few words, and for the manual.
 */
#define ERR_CLASS_TABLE(X)                                                                                             \
	X(OK, 0, "ok", "done", "all that was asked for is done, or was so before")                                     \
	/* some of several things failed; each has said why */                                                         \
	X(PARTIAL, 1, "partial", "in part", "some of it is done, and some failed; each line says which, and why")      \
	X(USAGE, 2, "usage", "wrong usage or configuration",                                                           \
	  "the command line or zseal.conf is wrong; nothing was done")                                                 \
	/* try the next slot, costs nothing */                                                                         \
	X(NOT_MINE, 3, "not-mine", "sealed for another machine",                                                       \
	  "what would open it belongs to another machine's TPM, or to this one's before it was cleared")               \
	/* passes by itself: try again later */                                                                        \
	X(UNAVAILABLE, 4, "unavailable", "unavailable, try again",                                                     \
	  "something does not answer or is in use; the same command may do later")                                     \
	/* a policy, a key or a right says no: trying again does not help and may lock out */                          \
	X(REFUSED, 5, "refused", "refused", "a policy, a key or a right says no; trying again does not help")          \
	X(CORRUPT, 6, "corrupt", "damaged",                                                                            \
	  "what is stored does not hold together, or was changed by somebody else")                                    \
	/* the world is not as the command needs it */                                                                 \
	X(STATE, 7, "state", "not as needed (missing, busy, there already)",                                           \
	  "mend what the message names, then run the same command again")                                              \
	/* a signal, or nobody left to read or answer */                                                               \
	X(INTERRUPTED, 8, "interrupted", "interrupted",                                                                \
	  "a signal ended it, or nobody was there to answer a question or to read the output")                         \
	X(BUG, 70, "bug", "a mistake in zseal", "please report it")

enum err_class {
#define X(id, exit_status, name, words, meaning) CLASS_##id,
	ERR_CLASS_TABLE(X)
#undef X
	CLASS_MAX,
};

/* One line for each error: identity, name in JSON and journal, class, what happened, what to do next. */
#define ERR_TABLE(X)                                                                                                   \
	X(OK, "ok", OK, "success", "")                                                                                 \
	/* this process and its machine */                                                                             \
	X(BUG, "bug", BUG, "internal error",                                                                           \
	  "this is a mistake in zseal, nothing was changed; please report it with the output of the command")          \
	X(NO_MEMORY, "no-memory", UNAVAILABLE, "out of memory", "free some memory and try again")                      \
	X(IO, "io", STATE, "reading or writing failed", "look at the disk and its file system: dmesg, df")             \
	X(TIMEOUT, "timeout", UNAVAILABLE, "no answer within the time allowed", "try again; the limit is configurable") \
	X(INTERRUPTED, "interrupted", INTERRUPTED, "interrupted", "run the same command again")                        \
	X(NO_INPUT, "no-input", INTERRUPTED, "nobody is there to answer",                                              \
	  "run it on a terminal, or give the answer by a file descriptor (see --help)")                                \
	X(OUTPUT, "output", INTERRUPTED, "the output could not be written", "free the disk or the pipe behind it")     \
	X(NOT_ROOT, "not-root", REFUSED, "this needs root", "run it as root, for example with sudo")                   \
	X(LOCKED, "locked", UNAVAILABLE, "another zseal is at work on the same thing", "wait for it, then try again")  \
	X(PARTIAL, "partial", PARTIAL, "not everything that was asked for was done", "see the lines above")            \
	X(CHILD, "child", STATE, "a program that zseal needs failed", "run the program named above by hand")           \
	X(NO_PROGRAM, "no-program", STATE, "a program that zseal needs is not installed",                              \
	  "install its package: zfsutils-linux has zfs and zpool, clevis and clevis-tpm2 have clevis")                 \
	/* command line and configuration */                                                                           \
	X(USAGE, "usage", USAGE, "the command line is wrong", "see zseal --help, or zseal VERB --help")                \
	X(CONFIG, "config", USAGE, "the configuration is wrong", "mend the line named above")                          \
	X(CONFIG_UNSAFE, "config-unsafe", REFUSED, "the configuration could have been changed by others than root",    \
	  "chown root:root and chmod go-w the file and the folders above it")                                          \
	/* what is written in the pool, its copies and pins */                                                         \
	X(FORMAT, "format", CORRUPT, "the stored value is damaged",                                                    \
	  "bring back the last copy: zseal header restore DATASET")                                                    \
	X(FORMAT_NEWER, "format-newer", STATE, "written by a newer zseal", "update zseal on this machine")             \
	X(UNWRAP, "unwrap", CORRUPT, "the wrapped key does not open with this key",                                    \
	  "it was changed, or belongs to something else; zseal header restore DATASET brings back the last copy")      \
	X(FINGERPRINT, "fingerprint", CORRUPT, "what was opened is not this keyring's key",                            \
	  "the slot was changed; another slot or the recovery key opens it")                                           \
	X(MAC, "mac", CORRUPT, "the keyring's slots were changed or half-written",                                     \
	  "see what was changed: zseal header verify DATASET; make it whole again: zseal repair DATASET")              \
	X(PIN_MISSING, "pin-missing", REFUSED, "this machine has never seen this keyring",                             \
	  "compare its fingerprint with your sheet, then unlock once at a terminal or with --trust FINGERPRINT")       \
	X(PIN_FINGERPRINT, "pin-fingerprint", REFUSED, "the keyring is not the one that this machine remembers",       \
	  "find out who exchanged the pool or its header; if it was you, remove its line from /etc/zseal/pins")        \
	X(PIN_ROLLBACK, "pin-rollback", CORRUPT, "the header is older than the one that this machine remembers",       \
	  "find out why the pool is an old one; then: zseal repair DATASET (--accept-older if no newer copy is left)") \
	X(NO_KEYRING, "no-keyring", STATE, "no zseal keyring found here",                                              \
	  "if it had one: zseal header restore DATASET; if not, it was never made with zseal")                         \
	X(NO_RECORD, "no-record", STATE, "the encryption root has no key record of this keyring",                      \
	  "if it had one: zseal header restore DATASET; if not, it was never given to zseal")                          \
	X(NO_SLOT, "no-slot", STATE, "no such slot", "those that there are: zseal slot list DATASET")                  \
	X(SLOT_EXISTS, "slot-exists", STATE, "there is already a slot of that name or kind",                           \
	  "choose another name with --name, or make the slot anew: zseal slot reseal DATASET NAME")                    \
	X(SLOT_UNKNOWN, "slot-unknown", REFUSED, "nothing vouches for a part of the header",                           \
	  "leave it out with --drop SLOT or --drop-unknown, or bring a copy of the header that has it: --from FILE")   \
	X(SLOT_STRAY, "slot-stray", STATE, "the property is no slot of this keyring",                                  \
	  "it does no harm; zseal repair DATASET removes it")                                                          \
	X(COPY_DIFFERS, "copy-differs", STATE, "the header in the pool and its copy are not the same",                 \
	  "zseal header restore DATASET brings back what is missing, zseal header backup DATASET copies what is new")  \
	X(SLOT_LAST, "slot-last", REFUSED, "the keyring needs this slot",                                              \
	  "add another slot first, or test one that there is: zseal slot test DATASET")                                \
	X(UNFINISHED, "unfinished", STATE, "an earlier change was cut off",                                            \
	  "it is finished or taken back by: zseal repair DATASET")                                                     \
	X(NO_SLOT_OPENS, "no-slot-opens", REFUSED, "no slot opened the keyring",                                       \
	  "open it with the recovery key: zseal unlock --recovery DATASET")                                            \
	X(NO_COPY, "no-copy", STATE, "no copy of the header was found",                                                \
	  "look on other machines in /var/lib/zseal/header and in your backups; give it with --from FILE")             \
	X(TOO_LARGE, "too-large", USAGE, "the value is too large for a ZFS property", "use fewer or smaller slots")    \
	/* answers of a person */                                                                                      \
	X(CREDENTIAL, "credential", STATE, "the credential cannot be had",                                             \
	  "systemd sets CREDENTIALS_DIRECTORY for units with LoadCredential= or SetCredentialEncrypted=: look at the unit") \
	X(ANSWER_RULES, "answer-rules", REFUSED, "this cannot be a PIN or a passphrase",                               \
	  "type it again, or look at what gives it; nothing was tried with it")                                        \
	X(ANSWER_DIFFERENT, "answer-different", REFUSED, "it was not typed the same twice",                            \
	  "run the same command again; nothing was changed")                                                           \
	/* recovery key */                                                                                             \
	X(RECOVERY_TYPO, "recovery-typo", REFUSED, "the recovery key is mistyped", "type that group again")            \
	X(RECOVERY_WRONG, "recovery-wrong", REFUSED, "this recovery key belongs to something else",                    \
	  "look for the sheet with this keyring's fingerprint")                                                        \
	/* passphrase, PIN */                                                                                          \
	X(PASSPHRASE_WRONG, "passphrase-wrong", REFUSED, "the passphrase is wrong", "type it again")                   \
	X(PIN_WRONG, "pin-wrong", REFUSED, "the PIN is wrong",                                                         \
	  "type it again, but not often: the TPM counts wrong ones and then locks itself for a while")                 \
	X(STRETCH_COST, "stretch-cost", REFUSED, "the slot asks for more work or memory than zseal ever would",        \
	  "it was changed to exhaust this machine; zseal header restore DATASET brings back the last copy")            \
	/* TPM */                                                                                                      \
	X(TPM_MISSING, "tpm-missing", UNAVAILABLE, "no TPM answers",                                                   \
	  "look for /dev/tpmrm0, switch the TPM on in the firmware set-up, or set tcti in zseal.conf")                 \
	X(TPM_BUSY, "tpm-busy", UNAVAILABLE, "the TPM is busy or out of memory", "try again in a moment")              \
	X(TPM_NOT_MINE, "tpm-not-mine", NOT_MINE, "sealed by another machine's TPM",                                   \
	  "open it with the recovery key: zseal unlock --recovery DATASET")                                            \
	X(TPM_CLEARED, "tpm-cleared", NOT_MINE, "this machine's TPM was cleared or its storage root key exchanged",    \
	  "open it with the recovery key: zseal unlock --recovery DATASET")                                            \
	X(TPM_SRK, "tpm-srk", REFUSED, "the key at 0x81000001 is not a storage root key by the TCG template",          \
	  "find out who made it; zseal does not seal to it and does not replace it")                                   \
	X(TPM_LOCKOUT, "tpm-lockout", UNAVAILABLE, "the TPM is in dictionary-attack lockout",                          \
	  "wait (tpm2_getcap properties-variable tells how long), or reset it with the lockout authorisation")         \
	X(TPM_LOCKOUT_NEAR, "tpm-lockout-near", UNAVAILABLE, "one more wrong PIN would lock the TPM",                  \
	  "type the PIN at a terminal, or wait: the TPM forgets a wrong one after a while")                            \
	X(TPM_POLICY, "tpm-policy", REFUSED, "the PCRs differ from those that the slot was sealed to",                 \
	  "if you changed firmware or boot settings, open with the recovery key: zseal unlock --recovery DATASET")     \
	X(TPM_BANK, "tpm-bank", REFUSED, "the TPM has no live PCR bank for this",                                      \
	  "switch the bank on in the firmware set-up, or open with the recovery key: zseal unlock --recovery DATASET") \
	X(TPM_OBJECT, "tpm-object", CORRUPT, "the sealed object was changed or is not one that zseal makes",           \
	  "open with another slot or the recovery key; zseal header restore DATASET brings back the last copy")        \
	X(TPM_AUTH, "tpm-auth", REFUSED, "the TPM asks for an authorisation that zseal does not have",                 \
	  "the owner hierarchy has a password: clear it, or have the storage root key made at 0x81000001 beforehand")  \
	X(TPM_HANDLE_TAKEN, "tpm-handle-taken", STATE, "there is already an object at this TPM handle",                \
	  "choose another, or look at it (tpm2_readpublic -c) and remove it (tpm2_evictcontrol -C o -c)")              \
	X(TPM_FAILED, "tpm-failed", UNAVAILABLE, "the TPM answered with an error",                                     \
	  "look at the code above; tpm2_getcap properties-fixed shows whether the TPM works at all")                   \
	/* Vault and OpenBao */                                                                                        \
	X(VAULT_LIBRARY, "vault-library", UNAVAILABLE, "libcurl, which vault slots need, cannot be loaded",            \
	  "install its package: libcurl4 (libcurl4t64 on Debian 13)")                                                  \
	X(VAULT_UNSET, "vault-unset", NOT_MINE, "this machine has no such Vault",                                      \
	  "if it should: [vault] address and cluster in zseal.conf")                                                   \
	X(VAULT_DOWN, "vault-down", UNAVAILABLE, "no Vault server answers",                                            \
	  "look at the network and the servers: zseal vault status; the next slot is tried meanwhile")                 \
	X(VAULT_SEALED, "vault-sealed", UNAVAILABLE, "Vault is sealed",                                                \
	  "unseal its servers, as after each of their restarts: bao operator unseal")                                  \
	X(VAULT_NO_LEADER, "vault-no-leader", UNAVAILABLE, "Vault has no leader now",                                  \
	  "an election takes seconds; without a majority of its servers it does not end")                              \
	X(VAULT_BUSY, "vault-busy", UNAVAILABLE, "Vault cannot serve this now", "see the log of the server named above") \
	X(VAULT_ANSWER, "vault-answer", UNAVAILABLE, "what answers is not as Vault does",                              \
	  "find out what is at the address named above: a proxy, or another service")                                  \
	X(VAULT_CLOCK, "vault-clock", UNAVAILABLE, "Vault's certificate is not valid at this time, and the clock is not set", \
	  "set the clock, or wait for it to be synchronised: timedatectl")                                             \
	X(VAULT_TLS, "vault-tls", REFUSED, "Vault's certificate is not trusted",                                       \
	  "compare [vault] ca and server-name in zseal.conf with the server's certificate; nothing was sent to it")    \
	X(VAULT_REDIRECT, "vault-redirect", REFUSED, "Vault sends us to an address that is not configured",            \
	  "if that is one of its servers, add it to [vault] address in zseal.conf; nothing was sent to it")            \
	X(VAULT_CREDENTIAL, "vault-credential", UNAVAILABLE, "role_id or secret_id cannot be had",                     \
	  "see zseal vault login-test; new ones come by: zseal vault enroll")                                          \
	X(CREDENTIAL_OPEN, "credential-open", REFUSED, "the credential could have been read or changed by others",     \
	  "encrypt it (systemd-creds encrypt), or chown root and chmod 600; then replace it: it may be known")         \
	X(VAULT_LOGIN, "vault-login", REFUSED, "Vault does not accept this machine's role_id and secret_id",           \
	  "give it a new secret_id; zseal tried once only, since Vault locks a role after a few")                      \
	X(VAULT_LOGIN_CERT, "vault-login-cert", REFUSED, "Vault does not accept this machine's certificate",           \
	  "compare its dates and issuer with bao read auth/cert/certs/zseal-NODE; the servers' listeners must ask for it") \
	X(VAULT_CLIENT_CERT, "vault-client-cert", REFUSED, "this machine's certificate for Vault cannot be used",      \
	  "see [vault] client-cert and client-key in zseal.conf: PEM, without a password, of one another")             \
	X(VAULT_LOGIN_ENDS, "vault-login-ends", STATE, "this machine's secret_id for Vault ends soon",                 \
	  "zseal vault renew, if zseal vault setup --renewable allowed it; else a new one by zseal vault enroll")      \
	X(VAULT_CERT_ENDS, "vault-cert-ends", STATE, "this machine's certificate for Vault ends soon",                 \
	  "have who issued it issue a new one, and put it where [vault] client-cert in zseal.conf says")               \
	X(VAULT_DENIED, "vault-denied", REFUSED, "Vault denies this",                                                  \
	  "look at the policy of the role or token, its CIDRs, and whether the role is locked out for a while")        \
	X(VAULT_KEY, "vault-key", CORRUPT, "Vault does not have the key that the slot was made with",                  \
	  "see bao read transit/keys/NAME; open with another slot and make this one anew: zseal slot reseal DATASET NAME") \
	X(VAULT_CIPHERTEXT, "vault-ciphertext", CORRUPT, "Vault's key does not open what the slot holds",              \
	  "it was changed, or belongs to another slot; zseal header restore DATASET brings back the last copy")        \
	X(VAULT_NOT_FOUND, "vault-not-found", STATE, "Vault has nothing there",                                        \
	  "compare the mounts in zseal.conf with the server's: bao secrets list, bao auth list; or run zseal vault setup") \
	X(VAULT_REQUEST, "vault-request", STATE, "Vault refuses the request", "see the log of the server named above") \
	X(VAULT_POLICY, "vault-policy", STATE, "the policy is not one that zseal wrote",                               \
	  "leave it to whoever wrote it: zseal vault setup --print-policy prints what it needs to have")               \
	X(VAULT_WRAPPED, "vault-wrapped", REFUSED, "the wrapping token gives no secret_id of this machine's role",     \
	  "if nobody of yours used it, somebody has seen it: revoke the secret_id, then make a new one")               \
	X(VAULT_TOKEN, "vault-token", USAGE, "no token of an administrator was given",                                 \
	  "set BAO_TOKEN or VAULT_TOKEN, or give it by --vault-token-fd N")                                            \
	X(VAULT_NO_ENTRY, "vault-no-entry", STATE, "Vault's KV has no such entry",                                     \
	  "compare with bao kv get -mount=MOUNT PATH: version 2 of KV, and a path without its mount and without data/") \
	X(VAULT_DELETED, "vault-deleted", STATE, "the entry in Vault's KV was deleted",                                \
	  "bao kv undelete brings back what was deleted, and nothing what was destroyed; zseal changed nothing")       \
	X(VAULT_FIELD, "vault-field", STATE, "which field of the entry in Vault's KV is meant is not clear",           \
	  "name it with --vault-field; nothing was changed")                                                           \
	X(VAULT_UNWRAP, "vault-unwrap", REFUSED, "Vault's Transit does not decrypt what KV holds",                     \
	  "give the key that it was wrapped with (--vault-transit), and for one that derives --vault-context")         \
	X(VAULT_CHANGED, "vault-changed", STATE, "the entry in Vault's KV was written anew meanwhile",                 \
	  "look at it: bao kv get; nothing of it was destroyed")                                                       \
	/* taking over what exists */                                                                                  \
	X(KEY_SHAPE, "key-shape", REFUSED, "what was given is no key of this kind",                                    \
	  "a key is 32 bytes, also in hexadecimal or base64, a passphrase 8 to 512 bytes; nothing was changed")        \
	X(KEY_NOT_THIS, "key-not-this", REFUSED, "the key that was given is not this encryption root's",               \
	  "ZFS itself refused it: look for the right one; nothing was changed")                                        \
	X(TPM_NO_OBJECT, "tpm-no-object", STATE, "there is no sealed object at this TPM handle",                       \
	  "tpm2_getcap handles-persistent lists the handles that there are")                                           \
	X(TPM_OBJECT_CLOSED, "tpm-object-closed", REFUSED, "the TPM does not open the object at this handle",          \
	  "give the bank and PCRs that it was made with (--tpm-pcrs sha256:7), or the key from elsewhere")             \
	X(ADOPT_HALF_RECEIVED, "adopt-half-received", STATE, "the dataset is half-received",                           \
	  "finish the receive, or give it up with zfs receive -A, then run the same command again")                    \
	X(ADOPT_REPLICA, "adopt-replica", REFUSED, "the dataset is a replica: the next receive brings back its source's key", \
	  "adopt the source instead; if this one stands alone from now on, insist with --replica")                     \
	X(ADOPT_RECEIVED, "adopt-received", STATE, "properties came with a receive and would be masked by local ones", \
	  "receive without properties from now on (zfs receive -x zseal:key), or adopt the source instead")            \
	X(ADOPT_TAKEN, "adopt-taken", REFUSED, "there are zseal properties here that serve no keyring",                \
	  "if a keyring was lost: zseal header restore DATASET; if they are nobody's, remove them with zfs inherit")   \
	X(ADOPT_CHILDREN, "adopt-children", STATE, "encryption roots below it have keys of their own",                 \
	  "they stay as they are; adopt each of them as well")                                                         \
	X(ADOPT_SHARED, "adopt-shared", STATE, "clones or promoted datasets share its key",                            \
	  "they go with it: whoever unlocks the one unlocks the others")                                               \
	X(ADOPT_REWRAP, "adopt-rewrap", STATE, "datasets below it get the new key too, and cannot be checked beforehand", \
	  "if one was received raw after its key was changed apart (openzfs 17425): mount each once before")           \
	X(ADOPT_HTTPS, "adopt-https", STATE, "the key can be had from a web server",                                   \
	  "remove it there when the root was adopted; zseal cannot")                                                   \
	X(ADOPT_UNITS, "adopt-units", STATE, "something else loads this key at boot",                                  \
	  "switch it off when the root was adopted: it would ask for the old key, or fail")                            \
	X(KEY_FILE_OPEN, "key-file-open", STATE, "others than its owner may read the key file",                        \
	  "whoever read it has the key: destroy it, and give the root a new key")                                      \
	X(LEFTOVER_SHARED, "leftover-shared", REFUSED, "another encryption root still needs it",                       \
	  "adopt that one as well, then destroy it")                                                                   \
	X(LEFTOVER_MORE, "leftover-more", REFUSED, "it holds more than this key",                                      \
	  "take the key out of it by hand, and destroy the versions that have it: bao kv destroy")                     \
	/* ZFS */                                                                                                      \
	X(ZFS_ABSENT, "zfs-absent", STATE, "the ZFS kernel module is not loaded",                                      \
	  "modprobe zfs; if that fails, install zfs-dkms for this kernel")                                             \
	X(ZFS_NOT_FOUND, "zfs-not-found", STATE, "there is no such dataset or pool",                                   \
	  "see zpool import for pools that are not imported, zfs list for what is there")                              \
	X(ZFS_EXISTS, "zfs-exists", STATE, "it is already there", "choose another name")                               \
	X(ZFS_NOT_ENCRYPTED, "zfs-not-encrypted", STATE, "the dataset is not encrypted",                               \
	  "ZFS encrypts only what is new: make an encrypted pool (zseal create), and copy the data into it")           \
	X(ZFS_NOT_ROOT, "zfs-not-root", STATE, "the dataset is not an encryption root",                                \
	  "name the encryption root instead (zfs get encryptionroot)")                                                 \
	X(ZFS_KEY_WRONG, "zfs-key-wrong", REFUSED, "ZFS refused the key: it is not this encryption root's",            \
	  "the key record belongs to another root or is old: zseal header restore DATASET")                            \
	X(ZFS_BUSY, "zfs-busy", STATE, "the dataset is in use",                                                        \
	  "unmount it (zseal lock --unmount DATASET does) and close its volumes, then try again")                      \
	X(ZFS_READONLY, "zfs-readonly", STATE, "the pool is imported read-only", "import it writable for this")        \
	X(ZFS_FULL, "zfs-full", STATE, "the pool is full", "free some space; nothing was lost")                        \
	X(ZFS_DENIED, "zfs-denied", REFUSED, "ZFS refused this", "run it as root")                                     \
	X(ZFS_IO, "zfs-io", UNAVAILABLE, "the pool does not answer or has an input/output error",                      \
	  "look at zpool status")                                                                                      \
	X(ZFS_RACED, "zfs-raced", UNAVAILABLE, "somebody else changed the header meanwhile; nothing was written",      \
	  "run the same command again")                                                                                \
	X(ZFS_FAILED, "zfs-failed", STATE, "ZFS answered with an error", "see the detail above")                       \
	X(ZFS_PROPERTY, "zfs-property", REFUSED, "a property of the dataset is not as zseal needs it",                 \
	  "mend the property named above")                                                                             \
	X(ZFS_MOUNT, "zfs-mount", STATE, "ZFS could not mount it",                                                     \
	  "run it by hand: zfs mount DATASET; zfs get mountpoint,overlay DATASET shows where it goes, and how")        \
	X(ZFS_UNMOUNT, "zfs-unmount", STATE, "ZFS could not unmount it",                                               \
	  "find out who uses it (fuser -vm MOUNTPOINT), end that, and run the same command again")                     \
	X(MOUNT_POINT, "mount-point", REFUSED, "the mount point may not be mounted over",                              \
	  "give it another: zfs set mountpoint=PATH DATASET; or allow it in zseal.conf: [mount] allow = PATH")         \
	X(MOUNT_UNENCRYPTED, "mount-unencrypted", REFUSED, "the file system is not encrypted",                         \
	  "find out who made it; if you did, set canmount=noauto and mount it by yourself")

enum err {
#define X(id, name, class, sentence, advice) ERR_##id,
	ERR_TABLE(X)
#undef X
	ERR_MAX,
};

struct err_info {
	const char *name;      /* stable, lower case, for programs */
	enum err_class class;
	const char *sentence;  /* what happened, no full stop */
	const char *advice;    /* what to do next; empty only for OK */
};

enum {
	ERR_CHAIN_MAX = 4,   /* places kept: the first (what failed) and the outermost ones */
	ERR_PLACE_MAX = 224, /* bytes of one place, NUL included; longer ones are cut */
};

/*
 * The details of one failure. The caller owns it, all zero before the first call; no allocation.
 * chain[0] is what failed, the last one the outermost thing that was being done.
 */
struct err_ctx {
	enum err code;
	int sys_errno;      /* errno of the call that failed, or 0 */
	uint32_t tss;       /* TSS2_RC with its layer bits, or 0 */
	int http;           /* HTTP status, or 0 */
	unsigned depth;
	char chain[ERR_CHAIN_MAX][ERR_PLACE_MAX];
};

/* Returns the table's line for code; a code outside the table gives that of ERR_BUG. Never NULL. */
const struct err_info *err_info(enum err code);

struct err_class_info {
	int exit_status;     /* the same for every verb */
	const char *name;    /* stable, lower case, for programs */
	const char *words;   /* for the last line of --help */
	const char *meaning; /* for the manual, no full stop */
};

/* Returns the table's line for a class; a class outside the table gives that of CLASS_BUG. Never NULL. */
const struct err_class_info *err_class_info(enum err_class class);

/* Returns the name of a class ("not-mine", "refused" …), for programs. */
const char *err_class_name(enum err_class class);

/* Returns the exit status of a class. */
int err_exit_status(enum err_class class);

/* Starts an error: what failed, to what. Returns code, so that callers can write `return err_set(…)`. e may be NULL. */
printf_like(3, 4) enum err err_set(struct err_ctx *e, enum err code, const char *fmt, ...);

/* The same, and keeps the errno of the call that failed. */
printf_like(4, 5) enum err err_set_errno(struct err_ctx *e, enum err code, int sys_errno, const char *fmt, ...);

/* The same, and keeps a TSS2_RC. */
printf_like(4, 5) enum err err_set_tss(struct err_ctx *e, enum err code, uint32_t tss, const char *fmt, ...);

/* The same, and keeps a status of HTTP. */
printf_like(4, 5) enum err err_set_http(struct err_ctx *e, enum err code, long status, const char *fmt, ...);

/* Adds what was being done around an error, and returns its code. ERR_OK stays untouched. */
printf_like(3, 4) enum err err_wrap(struct err_ctx *e, enum err code, const char *fmt, ...);

/* Forgets an error that was dealt with. */
void err_clear(struct err_ctx *e);
