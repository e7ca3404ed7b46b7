/* SPDX-License-Identifier: MIT */
/*
 * A change of a header that was begun on this machine and cut off before it reached the pool: its copy, which is
 * written first (core/commit.h), is one generation ahead of the pool.
 */
#pragma once

#include "core/copies.h"
#include "core/opening.h"

struct unfinished {
	bool found;
	char *path;
	struct header_copy copy; /* of the header that was to be written */
};
void unfinished_clear(struct unfinished *u);
DEFINE_CLEANUP(struct unfinished *, unfinished_clear)

/*
 * Looks for it; reads only. A pool that this machine has seen in a later generation was rolled back, which is another
 * matter: nothing is found then. Errors: none that matter: what cannot be read is not found.
 */
void unfinished_find(const struct keyring *k, const struct pins *pins, struct unfinished *ret);

/*
 * Takes it back: objects that its slots have left in a TPM, objects that it had taken away, and the copy itself.
 * Waits for another zseal that is at work on the keyring. Errors: ERR_ZFS_RACED if that has changed it; ERR_LOCKED,
 * ERR_IO, as zfs_get(). What is in a TPM that does not answer stays there, for whoever chooses that handle next to see.
 */
must_check enum err unfinished_take_back(const struct unfinished *u, const struct keyring *k,
					 struct protector_context *context, struct err_ctx *e);
