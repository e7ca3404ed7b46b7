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
/*
 * Gives a copy's datasets the names that they have here, where dataset is one of those that it serves: another pool's
 * name is exchanged, and a folder that dataset is not below is taken to be called dataset now. Whether that is so,
 * only ZFS can tell: nothing may be written before a record was proven. same_pool: it is the copy of this very pool.
 * Errors: ERR_NO_MEMORY, ERR_NO_COPY if a name gets too long.
 */
must_check enum err header_copy_move(struct header_copy *copy, const char *dataset, bool same_pool, struct err_ctx *e);

/* What a copy is looked for. */
struct copy_wanted {
	uint64_t pool_guid;
	const char *dataset;        /* copies of it, or of a folder above it */
	const struct uuid *keyring; /* one of this keyring is better than any other; NULL: not known */
	uint32_t generation;        /* one of this generation is better than any other of the keyring; 0: not known */
	bool any_pool;              /* copies of other pools will do, last: a replica has the keys of what it is one of */
};

/* A copy that was found, and where. Its names are those of here. */
struct kept_copy {
	struct header_copy copy;
	char *path;
	bool moved; /* some name was another one in the file */
};
void kept_copy_clear(struct kept_copy *c);
DEFINE_CLEANUP(struct kept_copy *, kept_copy_clear)

enum { KEPT_COPIES_MAX = 16 };

struct kept_copies {
	unsigned n;
	struct kept_copy all[KEPT_COPIES_MAX]; /* best first */
};
void kept_copies_clear(struct kept_copies *c);
DEFINE_CLEANUP(struct kept_copies *, kept_copies_clear)

/* The best copies kept on this machine; none is success. Errors: ERR_IO, ERR_NO_MEMORY. Owns: the caller clears it. */
must_check enum err header_copies_find(const struct copy_wanted *w, struct kept_copies *ret, struct err_ctx *e);

/* The best of them. Errors: ERR_NO_COPY, ERR_IO. Owns: the caller clears *ret, all zero before. */
must_check enum err header_copy_find(const struct copy_wanted *w, struct kept_copy *ret, struct err_ctx *e);
