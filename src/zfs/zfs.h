/* SPDX-License-Identifier: MIT */
/*
 * OpenZFS 2.1 to 2.4: read properties, load, unload and change keys, write properties atomically, make a pool.
 *
 * Guarantees: keys go to the kernel in process, by libzfs_core; the one exception is `zpool create`, which takes the
 * new pool's key on its standard input. A property write compares first and happens in one transaction. Reading writes
 * nothing, not even history; a value comes out as it was set, byte for byte, whoever set it. Refuses: names that are no
 * dataset names, to parse what is meant for people, to force an unmount. Why it reads with `zfs get` and writes with channel
 * programs: docs/architecture.md.
 */
#pragma once

#include "base/secret.h"
#include "sys/deadline.h"

enum { DATASET_NAME_MAX = 255 }; /* bytes, without NUL; ZFS_MAX_DATASET_NAME_LEN - 1 */

struct zfs;

/* Opens /dev/zfs through libzfs_core. Errors: ERR_ZFS_ABSENT, ERR_NOT_ROOT, ERR_IO. Owns: the caller closes it. */
must_check enum err zfs_open(struct zfs **ret, struct err_ctx *e);
void zfs_close(struct zfs *z);
DEFINE_CLEANUP(struct zfs *, zfs_close)

/* True if name is a dataset's (or a pool's) name by ZFS's rules; snapshots and bookmarks are not. */
must_check bool zfs_name_is_valid(const char *name);
/* Length of the pool's part of a dataset name. */
size_t zfs_pool_name_length(const char *dataset);

/* One property of one dataset. Strings belong to the list. */
struct zfs_property {
	const char *dataset;
	const char *name;
	const char *value;  /* "-" if it has none (then source is "-" too); a user property may hold any byte but NUL */
	const char *source; /* "local", "default", "received", "-", or the dataset that it is inherited from */
	bool inherited;     /* then source is a dataset's name */
};

struct zfs_properties {
	char *text;
	size_t n;
	struct zfs_property *all; /* in the order of zfs: datasets sorted by name, properties as asked */
};

/* What to read. */
struct zfs_query {
	const char *const *datasets; /* NULL or empty: everything that is imported */
	size_t n_datasets;
	/*
	 * Names, joined by commas: "zseal:key,keystatus". Of one dataset alone (not recursive) also "zseal:slot.*", which
	 * stands for all names that begin so, and "all"; these cost a second `zfs get`.
	 */
	const char *properties;
	bool recursive;
	struct deadline deadline;
};

/*
 * Reads properties of file systems and volumes. Owns: the caller clears it.
 * Errors: ERR_ZFS_NOT_FOUND (names the dataset), ERR_ZFS_ABSENT, ERR_USAGE for what is no dataset's name, ERR_TIMEOUT,
 * ERR_CHILD, ERR_NO_PROGRAM, ERR_NO_MEMORY.
 */
must_check enum err zfs_get(const struct zfs_query *q, struct zfs_properties *ret, struct err_ctx *e);
void zfs_properties_clear(struct zfs_properties *p);
DEFINE_CLEANUP(struct zfs_properties *, zfs_properties_clear)

/* A pool that is imported. */
struct zfs_pool {
	char name[DATASET_NAME_MAX + 1];
	uint64_t guid;
	bool readonly; /* also if ZFS cannot tell, as of a pool that is faulted */
	bool suspended; /* after errors of its disks: nothing of it can be read, and zfs passes over it silently */
};

struct zfs_pools {
	size_t n;
	struct zfs_pool *all;
};

/* Reads the imported pools; none is success. Errors as zfs_get(). Owns: the caller clears it. */
must_check enum err zfs_pools_get(struct deadline deadline, struct zfs_pools *ret, struct err_ctx *e);
void zfs_pools_clear(struct zfs_pools *p);
DEFINE_CLEANUP(struct zfs_pools *, zfs_pools_clear)
/* The pool that a dataset is in, or the one with this GUID; NULL if it is not imported. */
const struct zfs_pool *zfs_pools_find(const struct zfs_pools *pools, const char *dataset);
const struct zfs_pool *zfs_pools_find_guid(const struct zfs_pools *pools, uint64_t guid);

/*
 * What ZFS itself wrote down about a pool (`zpool history -i`): one text, a record a line, oldest first; a value that
 * somebody set with line ends in it makes lines of its own. Owns: the caller frees *ret.
 * Errors: ERR_CHILD (also for a history of more than 512 MiB), as zfs_get().
 */
must_check enum err zfs_history_read(const char *pool, struct deadline deadline, char **ret, struct err_ctx *e);

/*
 * Loads a 32-byte raw key, which the kernel checks; already loaded is success, and *ret_was_loaded says so.
 * Errors: ERR_ZFS_KEY_WRONG (also if another key is loaded already), ERR_ZFS_NOT_FOUND, ERR_ZFS_NOT_ROOT (not a root,
 * not encrypted), ERR_ZFS_DENIED, ERR_ZFS_IO, ERR_USAGE for what is no dataset's name.
 */
must_check enum err zfs_load_key(struct zfs *z, const char *dataset, const struct secret *key, bool *ret_was_loaded,
				 struct err_ctx *e);
/* Proves a key without loading it. Leaves one line in the pool's history. Errors as above. */
must_check enum err zfs_prove_key(struct zfs *z, const char *dataset, const struct secret *key, struct err_ctx *e);
/*
 * Unloads; not loaded is success, and *ret_was_loaded says so. ZFS answers the same for a dataset that is no encryption
 * root. Errors: ERR_ZFS_BUSY, as above. Blocks: until the pool has written what was under way.
 */
must_check enum err zfs_unload_key(struct zfs *z, const char *dataset, bool *ret_was_loaded, struct err_ctx *e);
/*
 * Gives a root another raw wrapping key, in one transaction; never makes a root of what is none, and leaves keylocation
 * alone. Errors: ERR_ZFS_DENIED if the key is not loaded, ERR_ZFS_READONLY, ERR_ZFS_FULL, as above.
 */
must_check enum err zfs_change_key(struct zfs *z, const char *dataset, const struct secret *key, struct err_ctx *e);

/*
 * Sets keylocation=prompt on an encryption root, so that nothing of ZFS's own looks for its key any more. Locked or not.
 * Errors: ERR_CHILD with zfs's complaint, ERR_ZFS_READONLY, as zfs_get(). Blocks: once zfs runs, until it ends.
 */
must_check enum err zfs_set_prompt(const char *dataset, struct deadline deadline, struct err_ctx *e);

/* One change of a user property; value NULL removes the local value (zfs inherit). */
struct zfs_change {
	const char *name;
	const char *value;
};

/* Changes of one dataset, on condition that nobody else changed it meanwhile. */
struct zfs_write {
	const char *dataset;
	const char *expect_name;  /* a user property that must still be as it was read */
	const char *expect_value; /* its value, inherited or not; NULL: none of the dataset's own, local or received */
	const struct zfs_change *changes;
	size_t n_changes;
};

/*
 * Sets and removes user properties of one dataset in one transaction, which makes the comparison too.
 * A pool that runs out of room after the program's own check is left with a part of them: ERR_ZFS_FULL then says "in
 * part". Errors: ERR_ZFS_RACED, ERR_ZFS_FULL, ERR_ZFS_READONLY, ERR_ZFS_NOT_FOUND, ERR_TOO_LARGE, ERR_NOT_ROOT,
 * ERR_ZFS_*, ERR_USAGE. Blocks: until the transaction is on disk; signals wait.
 */
must_check enum err zfs_write_properties(struct zfs *z, const struct zfs_write *w, struct err_ctx *e);

/* A pool to be made. */
struct zfs_create {
	const char *pool;
	const char *const *options;  /* of `zpool create`, before the name: "-f", "-o", "ashift=12", "-O", "atime=off" … */
	size_t n_options;            /* encryption=aes-256-gcm is one of them */
	const struct zfs_change *properties; /* user properties of the pool's root dataset; no value may be NULL */
	size_t n_properties;
	const char *const *vdevs;    /* as `zpool create` takes them */
	size_t n_vdevs;
	const struct secret *key;    /* 32 raw bytes; a dry run needs none */
	bool dry_run;                /* `zpool create -n`: nothing is made, *ret_output tells what would be */
};

/*
 * Makes the pool with everything in one `zpool create`: options, keyformat=raw, keylocation=prompt, properties.
 * *ret_output is all that zpool said, for the person; the caller frees it. It is set on failure too, and NULL if zpool
 * did not run. A pool that was made although zpool failed afterwards (mounting) is the caller's to find.
 * Errors: ERR_ZFS_EXISTS, ERR_CHILD with zpool's own complaint, ERR_ZFS_ABSENT, ERR_TOO_LARGE, ERR_USAGE, as zfs_get().
 * Blocks: once zpool runs, until it ends.
 */
must_check enum err zfs_create_pool(const struct zfs_create *c, struct deadline deadline, char **ret_output,
				    struct err_ctx *e);

/*
 * Mounts one file system where its properties say, or unmounts it, never by force; unmounting takes along what is mounted
 * below it. Whether it may be mounted there is for the caller to judge.
 * Errors: ERR_ZFS_MOUNT, ERR_ZFS_UNMOUNT with zfs's own complaint, ERR_ZFS_NOT_FOUND, ERR_ZFS_ABSENT, ERR_USAGE, as zfs_get().
 * Blocks: once zfs runs, until it ends; the deadline only keeps it from being started.
 */
must_check enum err zfs_mount(const char *dataset, struct deadline deadline, struct err_ctx *e);
must_check enum err zfs_unmount(const char *dataset, struct deadline deadline, struct err_ctx *e);
