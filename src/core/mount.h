/* SPDX-License-Identifier: MIT */
/*
 * Mounting what was unlocked, and unmounting what is to be locked.
 *
 * Without any key, whoever has the disks can add an unencrypted file system below a locked root, or set a root's
 * mountpoint to /etc; a user whose files are in a file system would then be the one who writes /etc/shadow (design,
 * section 8). So:
 *
 * Guarantees: mounts only what is encrypted under a root that is zseal's and unlocked; parents first, so that nothing is
 * hidden; each is judged just before it is mounted, when what lies above it is mounted already; one that is refused or
 * fails stops no other. Refuses, loudly: unencrypted file systems below such a root, mounted by others or not; mount
 * points over, in or above the system's own folders that zseal.conf does not allow; symbolic links on the way. What is
 * not meant to be mounted (canmount=off or noauto, mountpoint=none or legacy, volumes) is passed over.
 *
 * A root that was unlocked before zseal came is trusted too, on one condition: its keylocation is prompt. The kernel has
 * checked its key, so whoever loaded it knew that key, and a thief who exchanged the root for one of his own could only
 * have it loaded by telling ZFS where to fetch his key: keylocation=file:// or https://. That needs no TPM and no Vault
 * a second time, and works when a person opened the pool with the recovery key an hour ago.
 *
 * What is mounted already is left where it is: it was encrypted, so somebody mounted it after it was unlocked.
 *
 * A user who may write a folder on the way could put a link there between our look and zfs's, and one who may set
 * mountpoint could set another. So afterwards it is looked up where it was to be; if it is not there, it is unmounted.
 */
#pragma once

#include "core/unlock.h"

/* ---- the rules; pure ---- */

/* A file system below an unlocked root, as `zfs get` prints it. */
struct file_system {
	const char *dataset;
	const char *encryption;
	const char *mountpoint;
	const char *canmount;
	bool mounted;
};

enum mount_verdict {
	MOUNT_SKIP,    /* not meant to be mounted */
	MOUNT_ALREADY,
	MOUNT_GO,
	MOUNT_REFUSE,  /* e says why: ERR_MOUNT_POINT, ERR_MOUNT_UNENCRYPTED */
};

/* What the properties alone say; nothing is looked up. */
enum mount_verdict mount_judge(const struct file_system *fs, const struct config *config, struct err_ctx *e);

/* ---- the work ---- */

struct mount_request {
	const struct inventory *inventory;
	const struct unlock_result *unlocked; /* for mounting */
	const char *const *datasets;          /* as they were given to inventory_load() */
	size_t n_datasets;
	const struct config *config;
	bool dry_run;
};

/* What came of one file system. Strings belong to the list. */
struct mount_result {
	const char *dataset;
	const char *mountpoint;
	enum outcome outcome;
	struct err_ctx error;
};

struct mount_results {
	struct zfs_properties properties;
	size_t n;
	struct mount_result *all; /* in the order in which they were mounted or unmounted */
};

/*
 * Mounts what belongs to the roots that were unlocked (or would be). *ret is filled in any case and the caller clears it.
 * Errors: only what stops all: ERR_INTERRUPTED, ERR_NO_MEMORY, as zfs_get().
 */
must_check enum err mount_roots(const struct mount_request *r, struct mount_results *ret, struct err_ctx *e);

/* Unmounts, deepest first, what is mounted of the roots that lock_roots() would lock. Errors: as mount_roots(). */
must_check enum err unmount_roots(const struct mount_request *r, struct mount_results *ret, struct err_ctx *e);

void mount_results_clear(struct mount_results *r);
DEFINE_CLEANUP(struct mount_results *, mount_results_clear)
