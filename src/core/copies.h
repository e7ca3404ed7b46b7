/* SPDX-License-Identifier: MIT */
/*
 * Copies of headers in /var/lib/zseal/header/UUID/GENERATION: a property is one `zfs inherit` away from being lost.
 */
#pragma once

#include "format/header.h"
#include "sys/deadline.h"

#define HEADER_PATH "/var/lib/zseal/header"

/* Where a copy was saved; both are the caller's to free. */
struct header_copy_saved {
	char *path;
	char *kept; /* where the file went that was there before, or NULL */
};

/*
 * Writes a header's copy to HEADER_PATH/UUID/GENERATION. A file that is there already and holds anything else is kept, as
 * GENERATION.N: the pool may be what is damaged. ret may be NULL.
 */
must_check enum err header_copy_save(const struct header_copy *copy, struct header_copy_saved *ret, struct err_ctx *e);
/* Removes it again, for a pool that was not made in the end. */
must_check enum err header_copy_discard(const struct header_copy *copy, struct err_ctx *e);
/*
 * Keeps other zseals on this machine from writing a header of that keyring, until the caller closes *ret_fd.
 * Errors: ERR_LOCKED, ERR_INTERRUPTED, ERR_IO.
 */
must_check enum err header_copy_lock(const struct uuid *keyring, struct deadline deadline, int *ret_fd,
				     struct err_ctx *e);
/* Reads a copy. Errors: ERR_NO_COPY, ERR_FORMAT, ERR_IO. */
must_check enum err header_copy_load(const char *path, struct header_copy *ret, struct err_ctx *e);
/* What a copy is looked for. */
struct copy_wanted {
	uint64_t pool_guid;
	const char *dataset;        /* copies of it, or of a folder above it */
	const struct uuid *keyring; /* one of this keyring is better than any other; NULL: not known */
};
/* The best, then newest copy kept on this machine. *ret_path is the caller's. Errors: ERR_NO_COPY, ERR_IO. */
must_check enum err header_copy_find(const struct copy_wanted *w, struct header_copy *ret, char **ret_path,
				     struct err_ctx *e);
