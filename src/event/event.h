/* SPDX-License-Identifier: MIT */
/*
 * One place for what the world should remember: each seal, unseal, load, refusal and change is one event. Today it goes
 * to systemd's journal as one structured entry, or, from warning upward, to standard error as one line where there is
 * no journal; audit and metrics will subscribe here.
 *
 * Guarantees: emitting never fails; a journal that is stuck costs a process one second in all, not one for each event;
 * every event has a MESSAGE_ID with an entry in the catalog (made from the same table). Refuses: secrets, and values
 * that would break a line.
 */
#pragma once

#include "base/text.h"

/*
 * Identity, name, MESSAGE_ID (random, version 4; never reused), syslog priority, and for the catalog a subject and an
 * explanation, whose @FIELD@ the journal replaces: who emits the event gives what its explanation names.
 */
#define EVENT_TABLE(X)                                                                                                 \
	X(KEYRING_CREATED, "keyring-created", "006293b64f9040c09f30d6b246e4ca16", 5, "A keyring was made",             \
	  "@ZSEAL_DATASET@ has a new keyring, @ZSEAL_KEYRING@.\n"                                                      \
	  "Keep its recovery key on paper, and a copy of its header outside of the pool\n"                             \
	  "(zseal header backup): it takes both to open the pool on another machine.")                                 \
	X(SLOT_SEALED, "slot-sealed", "974dc267bc0d4b61a166a3491c38bf24", 5, "A slot was sealed",                      \
	  "Slot @ZSEAL_SLOT@ now opens the keyring of @ZSEAL_DATASET@. It was opened once\n"                           \
	  "as proof.")                                                                                                 \
	X(SLOT_REMOVED, "slot-removed", "d97008e7504f4c4dafd9647bff415d16", 5, "A slot was removed",                   \
	  "Slot @ZSEAL_SLOT@ no longer opens the keyring of @ZSEAL_DATASET@. That does not\n"                          \
	  "revoke it: whoever kept what it held, or reads it out of the pool's history, and\n"                         \
	  "still has what it asks for, can open the pool.")                                                            \
	X(KEYRING_OPENED, "keyring-opened", "b4c64d01a08b4159a1126dfc16ca6aa6", 6, "A keyring was opened",             \
	  "Slot @ZSEAL_SLOT@ gave the key of the keyring of @ZSEAL_DATASET@.")                                         \
	X(SLOT_FAILED, "slot-failed", "5cd80d8108ac42e28486ce34445268af", 4, "A slot did not open",                    \
	  "Slot @ZSEAL_SLOT@ of @ZSEAL_DATASET@ did not give the keyring's key; the next\n"                            \
	  "slot is tried. What to do about it:\n"                                                                      \
	  "@ZSEAL_ADVICE@")                                                                                            \
	X(KEY_LOADED, "key-loaded", "5770cffc4ca14a239bf522031a396a34", 6, "An encryption root was unlocked",          \
	  "The wrapping key of @ZSEAL_DATASET@ was loaded. Everything below it that has no\n"                          \
	  "encryption root of its own can be mounted.")                                                                \
	X(KEY_REFUSED, "key-refused", "472e9c3a4c82479eb448de02f8a121cd", 3, "An encryption root stayed locked",       \
	  "The wrapping key of @ZSEAL_DATASET@ could not be loaded. What to do about it:\n"                            \
	  "@ZSEAL_ADVICE@")                                                                                            \
	X(KEY_UNLOADED, "key-unloaded", "b1d69e23bb1546dfb136e76265eb62c6", 5, "An encryption root was locked",        \
	  "The wrapping key of @ZSEAL_DATASET@ was unloaded from memory.")                                             \
	X(LOCK_REFUSED, "lock-refused", "9bb600d43f784a328dcf5d9c35c60a10", 3, "Locking stopped half-way",             \
	  "@ZSEAL_DATASET@ stayed mounted or unlocked: its key is in memory still.\n"                                  \
	  "What to do about it:\n"                                                                                     \
	  "@ZSEAL_ADVICE@")                                                                                            \
	X(MOUNTED, "mounted", "573430331b814a1c83cb3fffa13c3234", 6, "A file system was mounted",                      \
	  "@ZSEAL_DATASET@ was mounted, after its encryption root was unlocked.")                                      \
	X(MOUNT_REFUSED, "mount-refused", "0a94331cfece4dc9abdfa0a3c9e9182b", 3, "A file system was not mounted",      \
	  "@ZSEAL_DATASET@ was not mounted by zseal: it is not encrypted, would hide\n"                                \
	  "what the system lives on, or ZFS could not mount it. What to do about it:\n"                                \
	  "@ZSEAL_ADVICE@")                                                                                            \
	X(UNMOUNTED, "unmounted", "ce5574872f334522b6888c315088f6e9", 5, "A file system was unmounted",                \
	  "@ZSEAL_DATASET@ was unmounted, so that its encryption root can be locked.")                                 \
	X(HEADER_SUSPECT, "header-suspect", "d0c6d965e13346eb9a0f8a5939827904", 2, "A header is not as it should be",  \
	  "The header of @ZSEAL_DATASET@ was changed by somebody else, rolled back, or a\n"                            \
	  "write of it was cut off. Compare it with the last copy (zseal header verify)\n"                             \
	  "before you type a key or change anything. What to do about it:\n"                                           \
	  "@ZSEAL_ADVICE@")                                                                                            \
	X(HEADER_RESTORED, "header-restored", "fa232ad9f64e49b2a0fa93350ef7afb9", 4, "A header was restored",          \
	  "The header of @ZSEAL_DATASET@ was replaced by a copy. Other machines that\n"                                \
	  "remember this keyring will notice it.")                                                                     \
	X(PIN_CHANGED, "pin-changed", "1829c46739124f29aac30ea24887327c", 5, "This machine remembers a keyring",       \
	  "From now on, @ZSEAL_DATASET@ with another fingerprint under the UUID\n"                                     \
	  "@ZSEAL_KEYRING@ is refused on this machine.")                                                               \
	X(ROOT_ADOPTED, "root-adopted", "749ad54235da47d284b88a1846d37991", 5, "An encryption root was adopted",       \
	  "zseal keeps the key of @ZSEAL_DATASET@ now. Copies of its old key that remain\n"                            \
	  "(files, TPM handles) still open it, unless it was given a new one.")                                        \
	X(OPENED_BY_FALLBACK, "opened-by-fallback", "815a4b097f364b3483cb988e78792db2", 4, "A keyring was opened by fallback", \
	  "The slots before @ZSEAL_SLOT@ did not open the keyring of @ZSEAL_DATASET@:\n"                               \
	  "each has an entry of its own that says why. The pool is open; what should have\n"                           \
	  "opened it needs somebody to look at it.")                                                                   \
	X(VAULT_ASKED, "vault-asked", "ba2a3da4d0b043768eb1532ce20aa491", 6, "Vault was asked",                        \
	  "A server answered a request. Its audit log has the same ZSEAL_VAULT_REQUEST_ID,\n"                          \
	  "and ZSEAL_VAULT_CORRELATION_ID where it is set up to note that header.")                                    \
	X(VAULT_PLAIN, "vault-plain", "ec7646a3c9e34195a022b689a203e0df", 4, "Vault is asked without encryption",      \
	  "An address in zseal.conf begins with http://, which [vault] allow-http allows:\n"                           \
	  "whoever is on the way reads the secret_id and what protects the keys.")                                     \
	X(VAULT_KEY_SHARED, "vault-key-shared", "2144d39c0a16481692d7c7c7c115cf56", 4, "A Transit key does not derive", \
	  "Whoever may decrypt with the key @ZSEAL_VAULT_KEY@ opens what every slot of it\n"                           \
	  "holds, other nodes' too: no policy can tell them apart. A key that derives is\n"                            \
	  "made by zseal vault setup; then make the slots anew.")                                                      \
	X(CREDENTIAL_PLAIN, "credential-plain", "8f2028b491fd4884b7d0405b248c9c58", 4, "A credential is not encrypted", \
	  "@ZSEAL_CREDENTIAL@ was read from a plain file in /etc/credstore. Encrypt it to\n"                           \
	  "this machine: systemd-creds encrypt.")                                                                      \
	X(VAULT_LOGIN_ENDS, "vault-login-ends", "ad2455d8d60a442caa1776a2919fe6bd", 4, "A login at Vault ends",        \
	  "What zseal logs in to Vault with ends soon, or has ended. Then vault slots do\n"                            \
	  "not open on this machine. What to do about it:\n"                                                           \
	  "@ZSEAL_ADVICE@")                                                                                            \
	X(VAULT_LOGIN_RENEWED, "vault-login-renewed", "b6f16332b7a2459f86050e4720ba47b7", 5, "A login at Vault was renewed", \
	  "zseal vault renew made a new secret_id, logged in with it, and keeps it in the\n"                           \
	  "place of the old one.")                                                                                     \
	X(CONTROL_REFUSED, "control-refused", "f23b8930ce0a46628dcf475f40fdd6ee", 3, "A command was refused",          \
	  "Nothing was changed. What to do about it:\n"                                                                \
	  "@ZSEAL_ADVICE@")

enum event_id {
#define X(id, name, message_id, priority, subject, explanation) EVENT_##id,
	EVENT_TABLE(X)
#undef X
	EVENT_MAX,
};

struct event_info {
	const char *name;       /* stable, lower case, for programs */
	const char *message_id; /* 32 hexadecimal digits */
	int priority;           /* syslog(3) */
	const char *subject;
	const char *explanation;
};

/* One request to a Vault server. Members may be NULL; nothing of what was asked or answered but its marks. */
struct event_vault {
	const char *address;     /* ZSEAL_VAULT_ADDRESS */
	const char *method;      /* ZSEAL_VAULT_METHOD */
	const char *path;        /* ZSEAL_VAULT_PATH */
	long status;             /* ZSEAL_HTTP_STATUS, 0 for none */
	const char *key;         /* ZSEAL_VAULT_KEY */
	const char *request_id;  /* ZSEAL_VAULT_REQUEST_ID */
	const char *correlation; /* ZSEAL_VAULT_CORRELATION_ID */
};

/* What an event is about; members may be NULL. */
struct event {
	enum event_id id;
	const char *dataset;          /* ZSEAL_DATASET */
	const char *slot;             /* ZSEAL_SLOT */
	const char *slot_type;        /* ZSEAL_SLOT_TYPE */
	const struct uuid *keyring;   /* ZSEAL_KEYRING */
	uint32_t generation;          /* ZSEAL_GENERATION, 0 for none */
	const struct err_ctx *error;  /* ZSEAL_ERROR, ZSEAL_CLASS, ZSEAL_ADVICE, ZSEAL_DETAIL, ERRNO, ZSEAL_TSS_RC */
	struct event_vault vault;
	const char *credential;       /* ZSEAL_CREDENTIAL */
};

/*
 * Sends one event. MESSAGE is a sentence made of subject, dataset, slot and error.
 * Blocks: for the journal, one second in the whole life of the process.
 */
void event_emit(const struct event *ev);

/* The table's line for id; never NULL. */
const struct event_info *event_info(enum event_id id);
