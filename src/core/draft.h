/* SPDX-License-Identifier: MIT */
/*
 * A header while it is being made in memory, new or out of one that there is: nothing of it is on disk until it was
 * read back and opened. core/change.h and core/create.h write it.
 */
#pragma once

#include "core/opening.h"

struct draft_slot {
	struct slot slot;      /* all zero but the name if it is kept and was not understood */
	char *value;           /* as stored; NULL until draft_finish() if the slot is new or changed */
	bool is_new;           /* made here: to be proven */
	struct secret *secret; /* the slot secret, where it is known */
	const struct secret *answer; /* what opens a new one, or NULL; the caller's */
};

/* The caller owns it, all zero before, and clears it. */
struct draft {
	struct ring ring;
	struct secret *keyring_key;
	unsigned n_slots;
	struct draft_slot slots[SLOTS_MAX];
	char *value; /* of zseal:keyring, made by draft_finish() */
};

void draft_clear(struct draft *d);
DEFINE_CLEANUP(struct draft *, draft_clear)

/* Begins a new keyring: UUID, epoch, key, fingerprint. Errors: ERR_IO, ERR_NO_MEMORY, ERR_BUG. */
must_check enum err draft_begin(struct draft *d, struct err_ctx *e);

/*
 * Begins with an opened keyring as it is, in its next generation: slots of types and versions that are not known are
 * kept as they are. Errors: ERR_UNFINISHED if it has two rings; ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err draft_continue(struct draft *d, const struct keyring *k, const struct opening *o,
				   struct err_ctx *e);

/* A slot to be made. */
struct draft_slot_request {
	const char *name;
	const char *type;
	const struct secret *answer; /* recovery, passphrase: what it is made of; tpm2: a PIN, or NULL; outlives the draft */
	uint32_t pcrs;
	uint32_t tpm_handle;
	const char *vault_key; /* vault: the Transit key's name */
	const char *vault_kv;  /* vault: path of a copy in KV, or NULL */
	struct deadline deadline;
};

/*
 * Protects a new slot secret, and wraps the keyring key with it. With a slot of type recovery the keyring has that
 * recovery key. Errors: ERR_SLOT_EXISTS, ERR_TOO_LARGE for one slot too many, the protector's.
 */
must_check enum err draft_add_slot(struct draft *d, struct protector_context *context,
				   const struct draft_slot_request *r, struct err_ctx *e);

/* Makes the slot r->name anew, in its place in the order. Errors: ERR_NO_SLOT, the protector's. */
must_check enum err draft_replace_slot(struct draft *d, struct protector_context *context,
				       const struct draft_slot_request *r, struct err_ctx *e);

/* Leaves a slot out. Without its slot of type recovery the keyring has no recovery key. Errors: ERR_NO_SLOT. */
must_check enum err draft_remove_slot(struct draft *d, const char *name, struct err_ctx *e);

/* The slot of that name, or NULL. */
struct draft_slot *draft_find_slot(struct draft *d, const char *name);

/*
 * When the recovery key has changed, every slot's `renew` has to be made anew, and for that its slot secret is needed:
 * from its old `renew` and the old recovery key (NULL if there is none), or by opening it here. A slot for which
 * neither works is left without. Returns how many those are; their `renew` comes back when they are resealed.
 */
unsigned draft_renew_all(struct draft *d, struct protector_context *context, const struct secret *old_recovery_key);

/*
 * Makes the MAC and every value that is missing; new slots are tried in the order in which they were added.
 * Errors: ERR_TOO_LARGE, ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err draft_finish(struct draft *d, struct err_ctx *e);

/*
 * Reads the printed values back and opens the keyring with each new slot in turn, through its protector, as an unlock
 * would. dataset is where they will be, for messages. Errors: the first slot's that fails; ERR_BUG if one gave another key.
 */
must_check enum err draft_prove(const struct draft *d, const char *dataset, const struct open_request *r,
				struct err_ctx *e);

/*
 * The value of zseal:key for a root: a record of its wrapping key. Generation 1, or one more than that of the newest of
 * old, which stay behind it as far as there is room (NULL: there is none). Errors: ERR_NO_MEMORY, ERR_IO, ERR_TOO_LARGE.
 */
must_check enum err draft_record(const struct draft *d, const struct secret *key, const struct records *old, char **ret,
				 struct err_ctx *e);

/*
 * Puts what new slots want outside of the header (objects in the TPM) there; and takes it away again, after a failure:
 * that goes on after an error.
 */
must_check enum err draft_settle(struct draft *d, struct protector_context *context, struct err_ctx *e);
void draft_withdraw(struct draft *d, struct protector_context *context);
