/* SPDX-License-Identifier: MIT */
/*
 * Proving a header's copy against a pool, and bringing it back (design, section 3).
 *
 * Guarantees: nothing is restored that was not opened first, with its MAC right; a root's record is written only if ZFS
 * itself says that its key is the root's; every write compares with what was read. Refuses: to restore to a root that
 * the copy has no record for, and to replace a header that is whole and newer than the copy.
 */
#pragma once

#include "core/backup.h"
#include "core/unlock.h"

/* What became of one record or dataset in a restore or proof. */
struct restore_line {
	char *dataset;
	bool proven;  /* it opens its root */
	bool written; /* brought back, or would be */
	struct err_ctx error;
};

struct restore_report {
	char slot[NAME_SIZE]; /* that opened the copy, or empty */
	size_t n_tried;
	struct restore_tried { /* what each slot said that did not */
		char slot[NAME_SIZE];
		struct err_ctx error;
	} tried[SLOTS_MAX];
	size_t n;
	struct restore_line *lines;
	size_t n_failed;
};
void restore_report_clear(struct restore_report *r);
DEFINE_CLEANUP(struct restore_report *, restore_report_clear)

struct restore_request {
	const struct header_copy *copy;
	uint64_t pool_guid;       /* of the pool where dataset is now */
	const struct keyring *here; /* that the pool has there now, or NULL */
	struct open_request open;
	bool write;               /* false: prove only */
	bool moved;               /* the copy's names were others: only what a record has proven is written */
	bool dry_run;
};

/*
 * Opens the copy's keyring, proves each of its records against ZFS, and, if write, brings back what differs: records
 * first, then the keyring and its slots in one transaction.
 * Errors: ERR_MAC, ERR_PIN_ROLLBACK and whatever keyring_open() says: nothing was written; ERR_ZFS_*; ERR_PARTIAL: see
 * the report's lines.
 */
must_check enum err restore_prove(const struct restore_request *r, struct restore_report *ret, struct err_ctx *e);
