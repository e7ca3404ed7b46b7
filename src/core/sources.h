/* SPDX-License-Identifier: MIT */
/*
 * Every other place where a keyring's header may still be: copies on this machine, a file, the pool's own history.
 *
 * Guarantees: reads only; what is found has the names that its datasets have here. Refuses to believe: which of them is
 * right is known when a keyring's key was opened, and whose they are when ZFS took a key out of one (core/repair.h).
 */
#pragma once

#include "core/backup.h"

struct source {
	struct header_copy copy;
	struct keyring *keyring; /* as the copy has it, in the pool that it shall go to */
	char *where;             /* for people: a file, "the history of tank" */
	bool is_history;
};

enum { SOURCES_MAX = 48 };

/* The caller owns it, all zero before, and clears it. */
struct sources {
	unsigned n;
	struct source all[SOURCES_MAX]; /* in the order of trying */
};
void sources_clear(struct sources *s);
DEFINE_CLEANUP(struct sources *, sources_clear)

/* Where they shall go to: a dataset that the keyring serves, and the pool's name and GUID. */
struct source_place {
	const char *dataset;
	const char *pool;
	uint64_t pool_guid;
	const struct uuid *keyring; /* where it is known, else NULL */
	bool any_pool;              /* as in struct copy_wanted */
};

/* Takes a copy over as one more; beyond SOURCES_MAX it is left out. Errors: ERR_NO_MEMORY. */
must_check enum err sources_add(struct sources *s, const struct source_place *p, struct header_copy *copy,
				const char *where, struct err_ctx *e);

/* One file. Errors: as header_copy_load(). */
must_check enum err sources_add_file(struct sources *s, const struct source_place *p, const char *path,
				     struct err_ctx *e);
/* The copies on this machine. Errors: as header_copies_find(). */
must_check enum err sources_add_kept(struct sources *s, const struct source_place *p, struct err_ctx *e);
/* What the pool's history has. Errors: as history_find(). */
must_check enum err sources_add_history(struct sources *s, const struct source_place *p, struct err_ctx *e);
