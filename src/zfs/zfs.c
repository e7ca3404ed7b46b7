/* SPDX-License-Identifier: MIT */
/* Opening and closing, and what the errors of ZFS mean. */
#include <errno.h>
#include <libzfs_core.h>
#include <string.h>

#include "zfs/internal.h"

static const struct zfs_reason no_device[] = {
	{ ENOENT, ERR_ZFS_ABSENT, NULL },
	{ ENXIO, ERR_ZFS_ABSENT, NULL },
	{ ENODEV, ERR_ZFS_ABSENT, NULL },
	{ EACCES, ERR_NOT_ROOT, NULL },
	{ EPERM, ERR_NOT_ROOT, NULL },
	{ 0 },
};

static const struct zfs_reason general[] = {
	{ ENOENT, ERR_ZFS_NOT_FOUND, NULL },
	{ EACCES, ERR_ZFS_DENIED, NULL },
	{ EPERM, ERR_ZFS_DENIED, NULL },
	{ EBUSY, ERR_ZFS_BUSY, NULL },
	{ EROFS, ERR_ZFS_READONLY, NULL },
	{ ENOSPC, ERR_ZFS_FULL, NULL },
	{ EDQUOT, ERR_ZFS_FULL, "over quota" },
	{ ENOTSUP, ERR_ZFS_NOT_ENCRYPTED, "the pool has no encryption feature" },
	{ E2BIG, ERR_TOO_LARGE, NULL },
	{ ENAMETOOLONG, ERR_TOO_LARGE, NULL },
	{ EAGAIN, ERR_ZFS_IO, "the pool is suspended" },
	{ EIO, ERR_ZFS_IO, NULL },
	{ ENXIO, ERR_ZFS_IO, NULL },
	{ EBADE, ERR_ZFS_IO, "wrong checksum" }, /* ECKSUM */
	{ EINTR, ERR_INTERRUPTED, NULL },
	{ ENOMEM, ERR_NO_MEMORY, NULL },
	{ 0 },
};

static const struct zfs_reason *find_reason(const struct zfs_reason *table, int sys_errno)
{
	for (; table && table->sys_errno; table++)
		if (table->sys_errno == sys_errno)
			return table;
	return NULL;
}

enum err zfs_fail(const struct zfs_reason *own, int sys_errno, const char *doing, const char *dataset,
		  struct err_ctx *e)
{
	static const struct zfs_reason unknown = { .code = ERR_ZFS_FAILED };
	const struct zfs_reason *r = find_reason(own, sys_errno);

	if (!r)
		r = find_reason(general, sys_errno);
	if (!r)
		r = &unknown;
	return err_set_errno(e, r->code, sys_errno, "%s %s%s%s", doing, dataset, r->why ? ": " : "",
			     r->why ? r->why : "");
}

static enum err fail_open(int sys_errno, const char *what, struct err_ctx *e)
{
	const struct zfs_reason *r = find_reason(no_device, sys_errno);

	return err_set_errno(e, r ? r->code : ERR_IO, sys_errno, "%s", what);
}

enum err zfs_fail_program(const char *name, const struct child_result *result, const struct zfs_query *q,
			  struct err_ctx *e)
{
	const char *said = result->complaint, *missing = NULL;
	int sys_errno = libzfs_core_init();

	if (sys_errno)
		return fail_open(sys_errno, name, e);
	for (size_t i = 0; q && !missing && i < q->n_datasets; i++) {
		errno = 0; /* lzc_exists() gives no reason, but leaves the ioctl's */
		if (!lzc_exists(q->datasets[i]))
			missing = q->datasets[i];
		sys_errno = errno;
	}
	libzfs_core_fini();
	if (missing && sys_errno == EAGAIN)
		return zfs_fail(NULL, sys_errno, "reading", missing, e);
	if (missing)
		return err_set(e, ERR_ZFS_NOT_FOUND, "%s", missing);
	return err_set(e, ERR_CHILD, "%s ended with status %d: %.*s", name, result->status, (int)strcspn(said, "\n"),
		       said);
}

static void free_unopened(struct zfs *z)
{
	if (z)
		nvlist_free(z->raw);
	free(z);
}
DEFINE_CLEANUP(struct zfs *, free_unopened)

enum err zfs_open(struct zfs **ret, struct err_ctx *e)
{
	_cleanup_(free_unopenedp) struct zfs *z = calloc(1, sizeof(*z));

	if (!z || nvlist_alloc(&z->raw, NV_UNIQUE_NAME, 0) != 0 ||
	    nvlist_add_uint64(z->raw, "keyformat", ZFS_KEYFORMAT_RAW) != 0)
		return err_set(e, ERR_NO_MEMORY, "opening ZFS");
	/* Since 2.4 it makes libzfs_core print every request, keys included. */
	unsetenv("ZFS_IOC_TRACE");
	int sys_errno = libzfs_core_init();
	if (sys_errno)
		return fail_open(sys_errno, "opening /dev/zfs", e);
	*ret = TAKE(z);
	return ERR_OK;
}

void zfs_close(struct zfs *z)
{
	if (z)
		libzfs_core_fini();
	free_unopened(z);
}
