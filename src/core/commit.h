/* SPDX-License-Identifier: MIT */
/*
 * Writing a header that was made and proven in memory (design, section 6).
 *
 * Guarantees: before the pool is touched a copy of the whole new header is on this machine; then everything that
 * belongs to one dataset is written by one compare-and-set transaction, read back, and pinned. Killed at any instant,
 * the pool has the old header or the new one, and both open it; what was begun is in that copy (core/unfinished.h).
 * Refuses: to write over what somebody else has changed meanwhile.
 */
#pragma once

#include "core/draft.h"

struct commit_request {
	struct draft *draft;           /* finished, proven */
	struct zfs *zfs;
	struct protector_context *context;
	const char *pool;
	uint64_t pool_guid;
	const char *dataset;           /* that gets zseal:keyring and the slots */
	const struct keyring *before;  /* what it has now, as it was read; NULL: no zseal:keyring of its own */
	const struct zfs_change *also; /* further changes of the same dataset: its key record, values to be removed */
	size_t n_also;
	const struct header_copy_value *records; /* of every root of the keyring as they shall be, for the copy */
	size_t n_records;
	bool recovery_confirmed;       /* a new recovery key was typed back, which counts as its test */
};

struct commit_result {
	uint32_t generation;
	char *copy;                        /* path of the header's copy; the caller frees it */
	unsigned n_left;
	const struct slot *left[SLOTS_MAX]; /* slots that went and left something outside of the header; the request's */
};

/*
 * Errors: ERR_ZFS_RACED, ERR_ZFS_FULL, ERR_ZFS_READONLY, ERR_TPM_*, ERR_IO: the pool is as it was, and what was put
 * outside of the header was taken back; ERR_UNFINISHED: it is not known, or only in part. Signals wait until it is over.
 */
must_check enum err commit_header(const struct commit_request *r, struct commit_result *ret, struct err_ctx *e);
