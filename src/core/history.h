/* SPDX-License-Identifier: MIT */
/*
 * Headers out of a pool's history. ZFS notes each property that is set or removed, with its whole value, the transaction
 * and the dataset's number, whoever did it and by whichever command; a header that zseal wrote is one transaction.
 *
 * Guarantees: reads only; a dataset that was renamed meanwhile is known by its number. What somebody wrote into a value
 * to look like a record is taken for one: it is judged like any other header, by the strict codec and its MAC.
 */
#pragma once

#include "format/header.h"

enum { FOUND_HEADERS_MAX = 16 };

struct found_headers {
	unsigned n;
	struct header_copy all[FOUND_HEADERS_MAX]; /* newest first; the pool's GUID is the caller's to set */
};
void found_headers_clear(struct found_headers *f);
DEFINE_CLEANUP(struct found_headers *, found_headers_clear)

/*
 * The newest headers that datasets at or above dataset have had. A history that is full forgets its oldest records: what
 * is left may be nothing, which is success. Errors: as zfs_get(), ERR_CHILD. Owns: the caller clears *ret.
 */
must_check enum err history_find(const char *pool, const char *dataset, struct found_headers *ret, struct err_ctx *e);
