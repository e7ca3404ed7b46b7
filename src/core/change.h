/* SPDX-License-Identifier: MIT */
/*
 * A change of a keyring that a pool has: opened, made in memory, proven, and written (design, section 6).
 *
 *	change_begin, then draft_add_slot() and its like on change.draft, change_prove, change_commit, change_end
 *
 * Guarantees: nothing is written before every new slot was opened from the very text that will be stored; the rest is
 * core/commit.h's. Refuses: a header that is not whole, was rolled back, or has no tested slot left.
 */
#pragma once

#include "core/commit.h"
#include "core/inventory.h"

struct change_request {
	const struct inventory *inventory; /* with everything at and below the keyring's dataset */
	const struct keyring *keyring;     /* of it */
	struct open_request open;          /* how it is opened first */
	bool dry_run;                      /* nothing is taken back and nothing written */
};

/* The caller owns it, all zero before, and clears it. */
struct change {
	struct change_request request;
	struct opening opening;
	struct draft draft;
	bool took_back;            /* an earlier change, cut off, was taken back first */
	bool recovery_confirmed;   /* set by the caller: a new recovery key was typed back */
	struct commit_result result;
};

/*
 * Opens the keyring, takes back what an earlier change has left, and begins the draft.
 * Errors: ERR_MAC, ERR_PIN_ROLLBACK, ERR_ZFS_READONLY, ERR_UNFINISHED, whatever keyring_open() says.
 */
must_check enum err change_begin(struct change *c, const struct change_request *r, struct err_ctx *e);

/*
 * Finishes the draft and proves its new slots. Errors: ERR_SLOT_LAST if no slot would be left that is new or was tested
 * on this machine, nor a recovery key that may still be typed back; as draft_finish() and draft_prove().
 */
must_check enum err change_prove(struct change *c, struct err_ctx *e);

/* Writes it. Errors: ERR_SLOT_LAST if only a recovery key would be left that was not typed back; as commit_header(). */
must_check enum err change_commit(struct change *c, struct err_ctx *e);

void change_end(struct change *c);
DEFINE_CLEANUP(struct change *, change_end)

/*
 * The keyring that serves dataset: the nearest one at or above it, or NULL; and the inventory of the whole of it, not
 * just of what lies below dataset. Errors: ERR_NO_KEYRING, as inventory_load().
 */
must_check enum err change_load(const char *dataset, struct inventory *ret, const struct keyring **ret_keyring,
				struct err_ctx *e);
