/* SPDX-License-Identifier: MIT */
/* Mounting and unmounting, by zfs itself: it knows options, shares, and what a mount helper needs. */
#include "zfs/internal.h"

/* failed is the error for a no of zfs's own. */
static enum err run(const char *verb, const char *dataset, struct deadline deadline, enum err failed, struct err_ctx *e)
{
	const struct child how = { .deadline = deadline, .finish = true };
	const struct zfs_query about = { .datasets = &dataset, .n_datasets = 1 };
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	_cleanup_(words_clear) struct words w = { 0 };
	char name[32];
	enum err err = zfs_check_name(dataset, e);

	if (err)
		return err;
	snprintf(name, sizeof(name), "zfs %s", verb);
	words_add(&w, "zfs");
	words_add(&w, "%s", verb);
	words_add(&w, "%s", dataset);
	err = words_run(&w, &how, &result, e);
	if (err || result.status == 0)
		return err;
	err = zfs_fail_program(name, &result, &about, e);
	if (err != ERR_CHILD)
		return err;
	if (e)
		e->code = failed;
	return failed;
}

enum err zfs_mount(const char *dataset, struct deadline deadline, struct err_ctx *e)
{
	return run("mount", dataset, deadline, ERR_ZFS_MOUNT, e);
}

enum err zfs_unmount(const char *dataset, struct deadline deadline, struct err_ctx *e)
{
	return run("unmount", dataset, deadline, ERR_ZFS_UNMOUNT, e);
}
