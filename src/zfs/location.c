/* SPDX-License-Identifier: MIT */
/* keylocation, by `zfs set`: channel programs set user properties only. */
#include "zfs/internal.h"

enum err zfs_set_prompt(const char *dataset, struct deadline deadline, struct err_ctx *e)
{
	static const char *const start[] = { "zfs", "set", "keylocation=prompt" };
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	_cleanup_(words_clear) struct words w = { 0 };
	const struct child how = { .deadline = deadline, .finish = true };
	const struct zfs_query q = { .datasets = &dataset, .n_datasets = 1 };
	enum err err = zfs_check_name(dataset, e);

	if (err)
		return err;
	words_add_list(&w, start, ARRAY_SIZE(start));
	words_add(&w, "%s", dataset);
	err = words_run(&w, &how, &result, e);
	if (!err && result.status != 0)
		err = zfs_fail_program("zfs set", &result, &q, e);
	return err_wrap(e, err, "setting keylocation=prompt on %s", dataset);
}
