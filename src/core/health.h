/* SPDX-License-Identifier: MIT */
/*
 * What a keyring is worth, and whether its slots would open: for `status`, without opening anything (design, sections 4
 * and 8). Everything here is a hint: the MAC is checked only by opening.
 */
#pragma once

#include "core/opening.h"

struct slot_health {
	const struct stored_slot *slot;
	struct err_ctx error;  /* code ERR_OK: it would open here and now */
	enum answer needs;     /* what a person has to give: a recovery key or passphrase cannot be judged without it */
	uint64_t tested;       /* seconds since 1970, 0 if never on this machine */
	bool has_sealed;       /* sealed is filled: a tpm2 slot */
	struct slot_tpm2 sealed;
};

/* How a slot looks from this machine. e->code is the answer. */
void slot_health_get(const struct keyring *k, const struct stored_slot *s, const struct open_request *r,
		     struct slot_health *ret);

/* What a thief gets who has the disks and this whole machine. */
enum worth {
	WORTH_CLOSED,    /* nothing: every slot needs a person or another machine */
	WORTH_UNCHANGED, /* the pool, if the machine boots unchanged (PCRs, no PIN) */
	WORTH_OPEN,      /* the pool, whatever he boots */
};

/* The weakest slot decides; *ret_slot is it, or NULL. health has k->n_slots entries. */
enum worth keyring_worth(const struct slot_health *health, size_t n, const struct stored_slot **ret_slot);
