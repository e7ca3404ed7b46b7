/* SPDX-License-Identifier: MIT */
/*
 * This machine as a member again: what its TPM's slot shall become once the keyring was opened and judged
 * (core/repair.h).
 *
 * Guarantees: only a slot that was this machine's, by its pin, its policy or its name, is made anew. Refuses: to touch
 * other machines' slots, whether they are gone or not.
 */
#pragma once

#include "core/repair.h"

enum tpm_plan {
	TPM_PLAN_NONE,    /* none is wanted */
	TPM_PLAN_READY,   /* a slot of this TPM would open here and now */
	TPM_PLAN_REPLACE, /* the slot `name` is made anew */
	TPM_PLAN_ADD,     /* a slot `name` is added */
};

struct recover_plan {
	enum tpm_plan tpm;
	char name[NAME_SIZE];
	struct err_ctx why;            /* TPM_PLAN_REPLACE: what is wrong with the slot as it is */
	unsigned n_others;
	char others[SLOTS_MAX][NAME_SIZE]; /* slots of other machines' TPMs */
};

/*
 * Decides it. own_name is what this machine's slot is called by default. Errors: ERR_TPM_MISSING and what else the TPM
 * says, before anything is written; ERR_SLOT_EXISTS if own_name is taken by a slot of another type.
 */
must_check enum err recover_decide(const struct repair *r, const char *own_name, struct recover_plan *ret,
				   struct err_ctx *e);

/* Puts the new slot into the repair's draft. slot->name is the plan's. Errors: as draft_add_slot(). */
must_check enum err recover_make_slot(struct repair *r, const struct recover_plan *plan,
				      const struct draft_slot_request *slot, struct err_ctx *e);

/* What repair_write() does not, if it had no header to write: the pin; and that the slot that opened was tested. */
must_check enum err recover_remember(const struct repair *r, struct err_ctx *e);
