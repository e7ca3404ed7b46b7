/* SPDX-License-Identifier: MIT */
/*
 * The types of slot: each knows how to protect a slot secret and how to get it back. One const array of them, chosen at
 * run time by the slot's type.
 *
 * Guarantees: a protector sees its slot secret and nothing above it; what it answers is one of the classes of
 * base/error.h, which decides whether the next slot is tried. Refuses: to ask a person anything (cli/ does, beforehand).
 */
#pragma once

#include "format/header.h"
#include "sys/deadline.h"
#include "tpm2/tpm2.h"

/*
 * What the slots of one command share. The caller owns it, sets the first part, and clears it at the end; what is
 * expensive (the TPM's connection) is opened on first need and kept.
 */
struct protector_context {
	const char *tcti;                  /* of zseal.conf */
	const struct secret *recovery_key; /* what a person typed, or NULL: recovery slots are then skipped */
	struct tpm2 *tpm;
	bool tpm_failed; /* opening it failed once: every later slot fails the same way, at no cost */
	struct err_ctx tpm_error;
};

void protector_context_clear(struct protector_context *c);
DEFINE_CLEANUP(struct protector_context *, protector_context_clear)

/* What a new slot shall be like. */
struct protect_request {
	struct uuid keyring;
	struct uuid slot;
	uint32_t pcrs;        /* tpm2: the PCRs to seal to; those whose banks are all dead are an error */
	uint32_t tpm_handle;  /* tpm2: persistent handle to keep the object at as well, or 0 */
	struct deadline deadline;
};

struct protector {
	const char *type;
	bool attended; /* somebody has to type something: never tried at boot */

	/* Makes a slot secret and protects it, proven to open. *ret_protect is JSON for struct slot. */
	enum err (*protect)(struct protector_context *c, const struct protect_request *r, struct secret **ret_secret,
			    char **ret_protect, struct err_ctx *e);
	/* The slot secret again. */
	enum err (*open)(struct protector_context *c, const struct slot *slot, struct deadline deadline,
			 struct secret **ret_secret, struct err_ctx *e);
	/* Whether it would open here and now, without opening it. */
	enum err (*check)(struct protector_context *c, const struct slot *slot, struct err_ctx *e);
	/* Undoes what protect() left outside of the header (a persistent handle). NULL if there is nothing. */
	enum err (*withdraw)(struct protector_context *c, const struct slot *slot, struct err_ctx *e);
};

/* The protector of a type, or NULL. */
const struct protector *protector_find(const char *type);

/* The context's TPM, opened on first need; it stays the context's. Errors as tpm2_open(). */
must_check enum err protector_tpm(struct protector_context *c, struct tpm2 **ret, struct err_ctx *e);

extern const struct protector protector_tpm2;
extern const struct protector protector_recovery;
