/* SPDX-License-Identifier: MIT */
/*
 * What the verbs about slots do alike: look at a keyring, open it, prove what was changed, write it, and tell.
 */
#pragma once

#include "cli/new-slots.h"
#include "core/change.h"

/* Of one verb; all zero before, and cleared at its end. */
struct slot_work {
	const struct invocation *inv;
	struct session session;
	struct inventory inventory;
	const struct keyring *keyring;
	struct new_slots slots;
	struct change change;
	unsigned n_without_renew;
};

void slot_work_clear(struct slot_work *w);
DEFINE_CLEANUP(struct slot_work *, slot_work_clear)

/* Reads configuration and keyring, and asks for what the command line says that a person gives. */
must_check enum err slot_begin(struct slot_work *w, const struct invocation *inv, const char *what, struct err_ctx *e);

/* Opens the keyring, for a change. Errors: as change_begin(). */
must_check enum err slot_begin_change(struct slot_work *w, struct err_ctx *e);

/*
 * Proves, hands a new recovery key over, and writes; a dry run ends before anybody is shown anything. Errors: as
 * change_prove() and change_commit().
 */
must_check enum err slot_finish_change(struct slot_work *w, struct err_ctx *e);

/* A slot on the keyring's dataset, understood or not; NULL if there is none of that name. */
const struct stored_slot *slot_find(const struct keyring *k, const char *name);

/* What came of it: "slot NAME … is DONE", or would be, and what is left elsewhere. Errors: ERR_NO_MEMORY. */
must_check enum err slot_print_change(const struct slot_work *w, const char *name, const char *done, struct err_ctx *e);
