/* SPDX-License-Identifier: MIT */
/*
 * The main job: load the keys of encryption roots, one opening for each keyring however many roots hang on it; and its
 * opposite (design, section 5).
 *
 * Guarantees: one root that fails stops no other; already unlocked is success and costs nothing; a pool is never written
 * to. Every root's outcome is in the result, in the order of names.
 */
#pragma once

#include "core/opening.h"

enum outcome {
	OUTCOME_DONE,      /* unlocked, or locked, now */
	OUTCOME_ALREADY,   /* it was */
	OUTCOME_WOULD,     /* dry run: it would have been tried */
	OUTCOME_FAILED,    /* error says why */
	OUTCOME_FOREIGN,   /* left alone: it was never given to zseal */
};

/* Its name, stable, for programs; done is what OUTCOME_DONE is called: "unlocked", "mounted". */
const char *outcome_name(enum outcome outcome, const char *done);

struct root_result {
	const struct root *root;
	enum outcome outcome;
	const char *slot; /* that opened its keyring, or NULL */
	struct err_ctx error;
};

/* What came of one keyring. */
struct keyring_result {
	const struct keyring *keyring;
	bool tried;
	struct opening opening;
	struct err_ctx error; /* code ERR_OK if it was opened */
};

struct unlock_result {
	size_t n_roots;
	struct root_result *roots;
	size_t n_keyrings;
	struct keyring_result *keyrings;
	size_t n_failed;
};

/*
 * Unlocks every root of inv that has a keyring or a key record; others count as failed only if strict (they were named).
 * One below a keyring that neither the pool nor this machine's copy of the header has a record for was never given to
 * zseal: unless strict it is left alone, and that is no failure. One whose record was lost is one.
 * The result borrows from inv. Errors: only what stops all: ERR_INTERRUPTED, ERR_ZFS_ABSENT, ERR_NOT_ROOT, ERR_NO_MEMORY,
 * ERR_BUG. *ret is filled in any case and the caller clears it.
 */
struct unlock_request {
	const struct inventory *inventory;
	struct open_request open;
	bool strict;
	bool dry_run;
};
must_check enum err unlock_roots(const struct unlock_request *r, struct unlock_result *ret, struct err_ctx *e);

/* True if the root is open and zseal could open it again. */
bool root_is_lockable(const struct root *root);

/* Unloads the keys of the same roots, deepest first; roots that zseal could not open again are refused. */
must_check enum err lock_roots(const struct unlock_request *r, struct unlock_result *ret, struct err_ctx *e);

void unlock_result_clear(struct unlock_result *r);
DEFINE_CLEANUP(struct unlock_result *, unlock_result_clear)

/*
 * Unwraps the root's records that belong to the opened keyring, newest first, and hands each to use() until one returns
 * ERR_OK. Errors: ERR_NO_RECORD, ERR_UNWRAP, use()'s last.
 */
must_check enum err root_with_key(const struct root *root, const struct opening *opening,
				  enum err (*use)(void *arg, const struct root *root, const struct secret *key,
						  struct err_ctx *e),
				  void *arg, struct err_ctx *e);
