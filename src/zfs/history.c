/* SPDX-License-Identifier: MIT */
/* What a pool remembers of its own changes, by `zpool history`. */
#include "zfs/internal.h"

/* ZFS keeps at most 1 GiB of records, of a pool of a terabyte or more; packed. */
enum { OUTPUT_MAX = 512 << 20 };

enum err zfs_history_read(const char *pool, struct deadline deadline, char **ret, struct err_ctx *e)
{
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	_cleanup_(words_clear) struct words w = { 0 };
	enum err err = zfs_check_name(pool, e);

	if (err)
		return err;
	words_add(&w, "zpool");
	words_add(&w, "history");
	words_add(&w, "-i");
	words_add(&w, "%s", pool);
	err = words_run(&w, &(struct child){ .output_max = OUTPUT_MAX, .deadline = deadline }, &result, e);
	if (err)
		return err;
	if (result.status != 0)
		return zfs_fail_program("zpool history", &result, NULL, e);
	*ret = TAKE(result.output);
	return ERR_OK;
}
