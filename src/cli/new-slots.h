/* SPDX-License-Identifier: MIT */
/*
 * The slots that a command line asks for, and the handing over of their recovery key: what create, adopt, recover and
 * slot add have in common.
 */
#pragma once

#include "cli/recovery.h"
#include "cli/session.h"
#include "cli/vault-admin.h"
#include "core/draft.h"

struct new_slots {
	unsigned n;
	struct draft_slot_request slots[2];
	char names[2][NAME_SIZE];
	char vault_key[VAULT_WORD_SIZE], vault_kv[VAULT_KV_SIZE];
	struct secret *recovery_key; /* new, or NULL */
	struct recovery_takers takers;
	struct secret *answer;       /* a new PIN or passphrase, or NULL */
};
void new_slots_clear(struct new_slots *n);
DEFINE_CLEANUP(struct new_slots *, new_slots_clear)

/* The options that say what a TPM's slot shall be like; those of a first pair of slots. */
#define OPTIONS_TPM_SLOT                                                                                               \
	{ "pcrs", 0, "LIST", "seal to these PCRs, such as 0+7, or none (PCR 7 if it is measured)", false },            \
	{ "handle", 0, "HANDLE", "keep the sealed object at this persistent TPM handle as well", false },              \
	OPTIONS_NEW_PIN
#define OPTIONS_FIRST_SLOTS                                                                                            \
	{ "no-tpm", 0, NULL, "no slot for this machine's TPM", false },                                                \
	{ "no-recovery", 0, NULL, "no recovery key: if the TPM is lost, so is the pool", false },                      \
	OPTIONS_TPM_SLOT,                                                                                              \
	{ "slot-name", 0, "NAME", "name of the TPM slot (tpm2-HOSTNAME)", false },                                     \
	OPTIONS_RECOVERY_TAKERS

#define OPTIONS_VAULT_SLOT                                                                                             \
	{ "transit-key", 0, "KEY", "Vault's Transit key for the slot (zfs-wrapper-POOL)", false },                     \
	{ "kv", 0, "PATH", "keep a copy of the ciphertext in KV at PATH; {node} and {pool} stand for names", false },  \
	OPTIONS_VAULT_ADMIN

/*
 * A TPM slot and a recovery key, less what --no-tpm and --no-recovery leave out; checks that there is a way to hand the
 * key over. The new recovery key and PIN are the session's answers from then on, and prove what was made with them.
 * Errors: ERR_USAGE, ERR_NO_INPUT, ERR_TPM_*.
 */
must_check enum err new_slots_choose_first(struct new_slots *n, const struct invocation *inv, struct session *s,
					   struct err_ctx *e);

/* One slot each: adds it to the list. name NULL: the type's default. Errors: as above. */
must_check enum err new_slots_add_tpm(struct new_slots *n, const struct invocation *inv, struct session *s,
				      const char *name, struct err_ctx *e);
must_check enum err new_slots_add_recovery(struct new_slots *n, const struct invocation *inv, const char *name,
					   struct err_ctx *e);
must_check enum err new_slots_add_passphrase(struct new_slots *n, const struct invocation *inv, const char *name,
					     struct err_ctx *e);

must_check enum err new_slots_add_vault(struct new_slots *n, const struct invocation *inv, struct session *s,
					const char *pool, const char *name, struct err_ctx *e);

/* "tpm2-NODE", the default name of this machine's slot. */
void new_slots_name_tpm(char ret[static NAME_SIZE]);

/*
 * Shows the new recovery key, if there is one, and has it typed back (cli/recovery.h); what is protected by it is named
 * on its sheet: a dataset, and the keyring of d. Errors: as recovery_hand_over().
 */
must_check enum err new_slots_hand_over(const struct new_slots *n, const char *dataset, const struct draft *d,
					bool *ret_confirmed, struct err_ctx *e);
