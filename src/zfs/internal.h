/* SPDX-License-Identifier: MIT */
/* What the files of this folder share, and what its tests look at. */
#pragma once

#include <libnvpair.h>

#include "sys/process.h"
#include "zfs/zfs.h"

/* libzfs_core keeps its descriptor to itself. */
struct zfs {
	nvlist_t *raw; /* properties of every new key: keyformat=raw */
};

/* An errno of one operation that means more there than elsewhere. Tables of them end with an all-zero line. */
struct zfs_reason {
	int sys_errno;
	enum err code;
	const char *why; /* or NULL */
};

/*
 * Sets the error for an errno that ZFS answered: by the operation's own table first (or NULL), then by the general one.
 * doing and dataset make the message: "loading the key of", "tank/a".
 */
enum err zfs_fail(const struct zfs_reason *own, int sys_errno, const char *doing, const char *dataset,
		  struct err_ctx *e);

/*
 * Sets the error for a zfs or zpool (name) that failed: ERR_ZFS_ABSENT if there is no ZFS, ERR_ZFS_NOT_FOUND for the
 * first of q's datasets that is not there (q may be NULL), else ERR_CHILD with the first line of its complaint.
 */
enum err zfs_fail_program(const char *name, const struct child_result *result, const struct zfs_query *q,
			  struct err_ctx *e);

/* A command line that is being made. Running out of memory is remembered until it is run. */
struct words {
	char **all; /* ends with NULL */
	size_t n;
	bool failed;
};

printf_like(2, 3) void words_add(struct words *w, const char *fmt, ...);
void words_add_list(struct words *w, const char *const *list, size_t n);
/* process_run() of the words; how has all but argv. Errors: as process_run(). */
must_check enum err words_run(const struct words *w, const struct child *how, struct child_result *ret,
			      struct err_ctx *e);
void words_clear(struct words *w);

/* Errors: ERR_USAGE if dataset is no dataset's name; ERR_TOO_LARGE, or ERR_BUG for what is no user property's name. */
must_check enum err zfs_check_name(const char *dataset, struct err_ctx *e);
must_check enum err zfs_check_change(const struct zfs_change *change, struct err_ctx *e);

enum { FRAME_SIZE = 64 }; /* most bytes of a frame's name, NUL included */

/*
 * Makes the list out of what `zfs get` wrote, in place: text belongs to *ret afterwards. Pure.
 * frame is the name of the property that was asked for after each of the others. Errors: ERR_CHILD, ERR_NO_MEMORY.
 */
must_check enum err zfs_properties_parse(char *text, const char *frame, struct zfs_properties *ret,
					 struct err_ctx *e);

/* The same for `zpool list`, with the columns name, guid, readonly, health; copies what it needs out of text. */
must_check enum err zfs_pools_parse(char *text, struct zfs_pools *ret, struct err_ctx *e);
