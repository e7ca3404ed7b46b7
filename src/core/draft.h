/* SPDX-License-Identifier: MIT */
/*
 * A header while it is being made in memory: nothing of it is on disk until it was read back and opened.
 */
#pragma once

#include "core/opening.h"

struct draft_slot {
	struct slot slot;
	char *value; /* as printed */
};

/* The caller owns it, all zero before, and clears it. */
struct draft {
	struct ring ring;
	struct secret *keyring_key;
	unsigned n_slots;
	struct draft_slot slots[SLOTS_MAX];
	char *value; /* of zseal:keyring, made by draft_seal() */
};

void draft_clear(struct draft *d);
DEFINE_CLEANUP(struct draft *, draft_clear)

/*
 * Begins a new keyring: UUID, epoch, key, fingerprint; the recovery key, if there is one, gives its public half.
 * Errors: ERR_IO, ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err draft_begin(struct draft *d, const struct secret *recovery_key, struct err_ctx *e);

/* A slot to be made. */
struct draft_slot_request {
	const char *name;
	const char *type;
	uint32_t pcrs;
	uint32_t tpm_handle;
	struct deadline deadline;
};

/* Protects a new slot secret, and wraps the keyring key and the secret (renew) with it. Errors: the protector's. */
must_check enum err draft_add_slot(struct draft *d, struct protector_context *context,
				   const struct draft_slot_request *r, struct err_ctx *e);

/* Makes the MAC and every value; slots are tried in the order in which they were added. Errors: ERR_TOO_LARGE, ERR_NO_MEMORY. */
must_check enum err draft_finish(struct draft *d, struct err_ctx *e);

/*
 * Reads the printed values back and opens the keyring with each slot in turn, through its protector, as an unlock would.
 * Errors: the first slot's that fails; ERR_BUG if one gave another key.
 */
must_check enum err draft_prove(const struct draft *d, const struct open_request *r, struct err_ctx *e);

/* Wraps a root's wrapping key as its first record; *ret is the value of zseal:key. Errors: ERR_NO_MEMORY, ERR_IO. */
must_check enum err draft_record(const struct draft *d, const struct secret *key, char **ret, struct err_ctx *e);

/* Takes back what slots left outside of the header (objects in the TPM), after a failure. Goes on after an error. */
void draft_withdraw(struct draft *d, struct protector_context *context);
