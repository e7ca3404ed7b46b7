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
	bool has_lockout;      /* lockout is filled: a slot with a PIN, and this machine's TPM, which is its own, answers */
	struct tpm2_lockout lockout;
	struct err_ctx warning; /* a vault slot that will not open for long: what this machine logs in with ends soon */
	struct vault_lifetime login; /* of a vault slot that is this machine's */
};

/* How a slot looks from this machine. e->code is the answer. */
void slot_health_get(const struct keyring *k, const struct stored_slot *s, const struct open_request *r,
		     struct slot_health *ret);

/* What a thief has to do, by what he has; from the best to the worst. */
enum worth {
	WORTH_CLOSED,     /* nothing helps: every slot needs a recovery key or another machine */
	WORTH_PIN,        /* guess a PIN, which the TPM limits */
	WORTH_PASSPHRASE, /* guess a passphrase, as often as he likes: it is as good as that */
	WORTH_VAULT,      /* have Vault answer it: be where it may log in, before its login is revoked */
	WORTH_PIN_FREE,   /* guess a PIN, as often as he likes: nothing in the TPM limits it */
	WORTH_UNCHANGED,  /* let the machine boot unchanged (PCRs, no PIN) */
	WORTH_OPEN,       /* nothing, whatever he boots */
	WORTH_MAX,
};

/* Who has the disks alone; who has this whole machine. */
enum thief { THIEF_OF_DISKS, THIEF_OF_MACHINE };

/* The weakest slot decides; *ret_health is it, or NULL. health has n entries. */
enum worth keyring_worth(enum thief thief, const struct slot_health *health, size_t n,
			 const struct slot_health **ret_health);

/* True if the TPM behind a PIN may be asked without limit: the lockout authorisation is empty. */
bool slot_guessing_is_free(const struct slot_health *h);
