/* SPDX-License-Identifier: MIT */
/*
 * Taking over an encryption root that exists (design, sections 4 and 6).
 *
 *	adopt_begin, adopt_open, adopt_take_key unless adopt_has_key, adopt_prepare, adopt_commit, adopt_end
 *
 * Guarantees: each step only if the one before it held. The key is proven by ZFS before anything is written; its record
 * is read back out of the pool, opened and proven before the root is switched to it; the old way ends last. Killed at
 * any instant the root opens by its old way or by zseal, and the same command run again ends well: the pool itself tells
 * how far it came. A raw or hex key is kept, a passphrase root gets a new random key. Refuses: whatever
 * core/adopt-check.h refuses, a header that is not whole, a key that ZFS refuses.
 */
#pragma once

#include "core/adopt-key.h"
#include "core/commit.h"

struct adopt_request {
	const char *dataset;
	struct open_request open;
	bool replica; /* the person insists: it is one no more */
};

/* The caller owns it, all zero before, and clears it. */
struct adoption {
	struct adopt_request request;
	struct adopt_check check;
	char pool[DATASET_NAME_MAX + 1];
	struct inventory inventory; /* of its whole pool */
	const struct root *root;    /* in it */
	struct opening opening;     /* of the keyring that serves it already, if there is one */
	struct draft draft;         /* of that one, or the new one */
	bool recorded;              /* a record in the pool opens the root */
	struct secret *key;         /* the root's present one, proven */
	struct secret *next;        /* what is recorded and the root has at the end */
	char *record;               /* value of zseal:key that is to be written */
	bool recovery_confirmed;    /* set by the caller: the recovery key was typed back */
	bool changed_key;
	struct commit_result result;
};

/* Checks and reads. Errors: as adopt_check_load() and inventory_load(); what was found is in a->check. */
must_check enum err adopt_begin(struct adoption *a, const struct adopt_request *r, struct err_ctx *e);

/* True if a keyring serves the root already: then it gets no new slots. */
bool adopt_has_keyring(const struct adoption *a);

/*
 * Opens that keyring and looks whether the root's key is in it already, from an earlier adoption that was cut off.
 * Errors: as keyring_open(); ERR_MAC, ERR_PIN_ROLLBACK, ERR_UNFINISHED, ERR_ZFS_READONLY.
 */
must_check enum err adopt_open(struct adoption *a, struct err_ctx *e);

/* True if the root's key is known; true if there is nothing left to do at all. */
bool adopt_has_key(const struct adoption *a);
bool adopt_is_done(const struct adoption *a);

/* Makes the key out of what was given, and proves it. Errors: ERR_KEY_SHAPE, ERR_KEY_NOT_THIS, ERR_ZFS_*. */
must_check enum err adopt_take_key(struct adoption *a, const struct secret *given, struct err_ctx *e);

/* Makes keyring, slots and record in memory, and proves them. The slots are for a new keyring. */
must_check enum err adopt_prepare(struct adoption *a, const struct draft_slot_request *slots, unsigned n_slots,
				  struct err_ctx *e);

/*
 * Writes, reads back, proves, switches, proves again. Signals wait until it is over. Errors: as commit_header();
 * ERR_CHILD; after the record was written, the root opens by zseal whatever went wrong.
 */
must_check enum err adopt_commit(struct adoption *a, struct err_ctx *e);

void adopt_end(struct adoption *a);
DEFINE_CLEANUP(struct adoption *, adopt_end)
