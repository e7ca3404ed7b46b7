/* SPDX-License-Identifier: MIT */
/* Making a pool, by one `zpool create`: it is never there without its key, its encryption or its properties. */
#include <string.h>

#include "base/text.h"
#include "zfs/internal.h"

static enum err check_create(const struct zfs_create *c, struct err_ctx *e)
{
	enum err err = zfs_check_name(c->pool, e);

	if (!err && strchr(c->pool, '/'))
		err = err_set(e, ERR_USAGE, "'%.128s' is a dataset's name, not a pool's", c->pool);
	if (!err && !c->dry_run && (!c->key || secret_size(c->key) != KEY_SIZE))
		err = err_set(e, ERR_BUG, "no wrapping key of %d bytes for %s", KEY_SIZE, c->pool);
	for (size_t i = 0; !err && i < c->n_properties; i++)
		err = zfs_check_change(&c->properties[i], e);
	return err;
}

/* Asked of the list of pools: what zpool says is meant for people. */
static enum err check_is_new(const char *pool, struct deadline deadline, struct err_ctx *e)
{
	_cleanup_(zfs_pools_clear) struct zfs_pools pools = { 0 };
	enum err err = zfs_pools_get(deadline, &pools, e);

	if (!err && zfs_pools_find(&pools, pool))
		err = err_set(e, ERR_ZFS_EXISTS, "%s", pool);
	return err;
}

static void add_words(struct words *w, const struct zfs_create *c)
{
	static const char *const start[] = { "zpool", "create" };
	static const char *const encryption[] = { "-O", "keyformat=raw", "-O", "keylocation=prompt" };

	words_add_list(w, start, ARRAY_SIZE(start));
	if (c->dry_run)
		words_add(w, "-n");
	words_add_list(w, c->options, c->n_options);
	words_add_list(w, encryption, ARRAY_SIZE(encryption));
	for (size_t i = 0; i < c->n_properties; i++) {
		words_add(w, "-O");
		words_add(w, "%s=%s", c->properties[i].name, c->properties[i].value);
	}
	words_add(w, "%s", c->pool);
	words_add_list(w, c->vdevs, c->n_vdevs);
}

enum err zfs_create_pool(const struct zfs_create *c, struct deadline deadline, char **ret_output,
			 struct err_ctx *e)
{
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	_cleanup_(words_clear) struct words w = { 0 };
	const struct child how = { .input = c->dry_run ? NULL : c->key, .deadline = deadline, .finish = !c->dry_run };

	*ret_output = NULL;
	enum err err = check_create(c, e);
	if (!err)
		err = check_is_new(c->pool, deadline, e);
	if (err)
		return err;
	add_words(&w, c);
	err = words_run(&w, &how, &result, e);
	if (err)
		return err;
	err = str_format(ret_output, e, "%s%s", result.output, result.complaint);
	if (!err && result.status != 0)
		err = zfs_fail_program("zpool create", &result, NULL, e);
	return err;
}
