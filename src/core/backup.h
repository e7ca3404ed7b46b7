/* SPDX-License-Identifier: MIT */
/*
 * A keyring's header out of the pool, compared with its copy, and back into the pool (design, section 3).
 *
 * Guarantees: nothing is restored that was not opened first, with its MAC right; a root's record is written only if ZFS
 * itself says that its key is the root's; every write compares with what was read. Refuses: to restore to a root that
 * the copy has no record for, and to replace a header that is whole and newer than the copy.
 */
#pragma once

#include "core/copies.h"
#include "core/unlock.h"

/* What a pool holds of one keyring, as a copy. Owns: the caller clears *ret. Errors: ERR_NO_MEMORY. */
must_check enum err backup_collect(const struct inventory *inv, const struct keyring *k, struct header_copy *ret,
				   struct err_ctx *e);

/* Leaves out the slots and records that no file of a copy can hold, and returns how many those were. */
size_t backup_leave_out_damaged(struct header_copy *copy);

/* A keyring as a copy holds it; borrows from the copy. Errors: ERR_NO_MEMORY. */
must_check enum err backup_keyring(const struct header_copy *copy, struct keyring **ret, struct err_ctx *e);

enum difference { DIFFERENCE_NONE, DIFFERENCE_CHANGED, DIFFERENCE_MISSING, DIFFERENCE_EXTRA };

/* Compares a property of a copy and a pool by name ("zseal:slot.tpm2 on tank"), calling tell() for each that differs. */
typedef void (*difference_fn)(void *arg, const char *dataset, const char *property, enum difference d);
/* Returns the number of differences. `here` is what the pool has. */
unsigned backup_compare(const struct header_copy *here, const struct header_copy *copy, difference_fn tell, void *arg);

/* What became of one record or dataset in a restore or proof. */
struct backup_line {
	char *dataset;
	bool proven;  /* it opens its root */
	bool written; /* brought back, or would be */
	struct err_ctx error;
};

struct backup_report {
	char slot[NAME_SIZE]; /* that opened the copy, or empty */
	size_t n;
	struct backup_line *lines;
	size_t n_failed;
};
void backup_report_clear(struct backup_report *r);
DEFINE_CLEANUP(struct backup_report *, backup_report_clear)

struct backup_request {
	const struct header_copy *copy;
	uint64_t pool_guid;       /* of the pool where dataset is now */
	const struct keyring *here; /* that the pool has there now, or NULL */
	struct open_request open;
	bool write;               /* false: prove only */
	bool dry_run;
};

/*
 * Opens the copy's keyring, proves each of its records against ZFS, and, if write, brings back what differs: records
 * first, then the keyring and its slots in one transaction.
 * Errors: ERR_MAC, ERR_PIN_ROLLBACK and whatever keyring_open() says: nothing was written; ERR_ZFS_*; ERR_PARTIAL: see the report's lines.
 */
must_check enum err backup_prove(const struct backup_request *r, struct backup_report *ret, struct err_ctx *e);
