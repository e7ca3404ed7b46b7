/* SPDX-License-Identifier: MIT */
/*
 * What lies in the imported pools: encryption roots, their key records, and the keyrings with their slots. One narrow
 * `zfs get` for all, then one for each keyring's dataset.
 *
 * Guarantees: reads only; one damaged value spoils nothing but itself (it is kept with its error). Refuses to believe:
 * all of it is a hint until a keyring was opened (design, section 3).
 */
#pragma once

#include "core/keyring.h"
#include "zfs/zfs.h"

/* An encryption root. */
struct root {
	const char *dataset;
	bool locked;
	bool raw;             /* keyformat=raw, as zseal needs it */
	const char *location; /* keylocation */
	const char *encryption;
	struct keyring *keyring; /* NULL: none of ours */
	const char *value;       /* of zseal:key, or NULL */
	enum err state;          /* ERR_OK: records is filled */
	struct err_ctx error;
	struct records records;
	bool misplaced;          /* its key record is not its own: inherited from another dataset */
};

struct inventory {
	struct zfs_pools pools;
	struct zfs_properties properties;
	size_t n_keyrings;
	struct keyring **keyrings;
	struct zfs_properties *keyring_properties; /* one for each keyring: the strings in it */
	size_t n_roots;
	struct root *roots;
};

/*
 * Reads what is at and below datasets (NULL: everything).
 * Errors: ERR_ZFS_NOT_FOUND, ERR_ZFS_ABSENT, ERR_TIMEOUT, ERR_CHILD, ERR_NO_PROGRAM, ERR_NO_MEMORY; for a dataset that
 * was named and has no encryption root at or below it, ERR_ZFS_NOT_ENCRYPTED or ERR_ZFS_NOT_ROOT.
 * Owns: the caller clears it.
 */
must_check enum err inventory_load(const char *const *datasets, size_t n_datasets, struct inventory *ret,
				   struct err_ctx *e);
void inventory_clear(struct inventory *inv);
DEFINE_CLEANUP(struct inventory *, inventory_clear)

/*
 * The keyring that serves dataset, the nearest one at or above it, or NULL; and an inventory of the whole of it, since it
 * serves every root below its own dataset, not just what lies below the one that was named. Without a keyring: of what
 * is at and below dataset. Errors: ERR_ZFS_RACED, as inventory_load().
 */
must_check enum err inventory_load_keyring(const char *dataset, struct inventory *ret, struct keyring **ret_keyring,
					   struct err_ctx *e);

/* True if dataset is folder or lies below it. */
bool dataset_is_below(const char *dataset, const char *folder);
