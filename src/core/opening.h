/* SPDX-License-Identifier: MIT */
/*
 * Opening a keyring: its slots in order, until one gives the keyring's key (design, section 5).
 *
 * Guarantees: what a slot gave is believed only if its fingerprint matches; every slot that was tried is reported with
 * its reason; a slot that must ask a person is tried only when the answer is already there. Refuses: a keyring that
 * this machine does not know, before any slot is tried.
 */
#pragma once

#include "core/inventory.h"
#include "core/pins.h"
#include "protector/protector.h"

/* What one slot said. error.code is ERR_OK for the one that opened. */
struct attempt {
	const struct stored_slot *slot;
	struct err_ctx error;
};

/* The caller owns it, all zero before, and clears it; it is filled on failure too. */
struct opening {
	struct secret *keys[RINGS_MAX]; /* keyring key of ring i of the property, or NULL */
	const struct stored_slot *slot; /* the one that opened */
	enum err mac;                   /* ERR_OK, or ERR_MAC: unlock loudly, change nothing */
	struct err_ctx mac_error;
	enum err rollback;              /* ERR_OK, or ERR_PIN_ROLLBACK: the same */
	struct err_ctx rollback_error;
	size_t n_attempts;
	struct attempt attempts[SLOTS_MAX];
};

/* How. */
struct open_request {
	const struct config *config;
	const struct pins *pins;
	struct protector_context *context;
	const char *trust; /* a fingerprint that the person vouches for, or NULL */
	const char *only;  /* try this slot alone, whatever the order says, or NULL */
};

/*
 * Opens k. Errors: ERR_NO_SLOT_OPENS, or the slot's own error if only one was tried; ERR_PIN_MISSING,
 * ERR_PIN_FINGERPRINT; ERR_FORMAT*; ERR_INTERRUPTED; ERR_NO_MEMORY. Blocks: one slot timeout for each slot.
 */
must_check enum err keyring_open(const struct keyring *k, const struct open_request *r, struct opening *o,
				 struct err_ctx *e);
/* The first slot that should have opened before the one that did; NULL if there is none: no fallback. */
const struct attempt *opening_missed(const struct opening *o);

void opening_clear(struct opening *o);
DEFINE_CLEANUP(struct opening *, opening_clear)

/*
 * "Not mine" and "cleared" look alike to the TPM: what this machine remembers of its own storage root key tells them
 * apart. Corrects and returns e->code.
 */
enum err opening_tell_cleared(const struct keyring *k, const struct pins *pins, const struct slot *slot,
			      struct err_ctx *e);

/* The pin that belongs to an opened keyring; if a TPM's slot opened it, with the Name of that storage root key. */
struct pin keyring_pin(const struct keyring *k, const struct opening *o);
