/* SPDX-License-Identifier: MIT */
/* The imported pools, by `zpool list`. */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "zfs/internal.h"

enum { COLUMN_NAME, COLUMN_GUID, COLUMN_READONLY, COLUMN_HEALTH, COLUMNS };

/* No value of these can hold a tab or a line end. */
static const char *const list_pools[] = { "zpool", "list", "-Hp", "-o", "name,guid,readonly,health" };

static bool cut_line(char *line, char *ret[static COLUMNS])
{
	size_t n = 0;

	for (char *column; (column = strsep(&line, "\t")); ret[n++] = column)
		if (n == COLUMNS)
			return false;
	return n == COLUMNS;
}

static bool parse_guid(const char *text, uint64_t *ret)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool parse_pool(char *line, struct zfs_pool *ret)
{
	char *columns[COLUMNS];

	if (!cut_line(line, columns) || !parse_guid(columns[COLUMN_GUID], &ret->guid) ||
	    strlen(columns[COLUMN_NAME]) >= sizeof(ret->name))
		return false;
	strcpy(ret->name, columns[COLUMN_NAME]);
	ret->readonly = !str_equal(columns[COLUMN_READONLY], "off");
	ret->suspended = str_equal(columns[COLUMN_HEALTH], "SUSPENDED");
	return true;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

enum err zfs_pools_parse(char *text, struct zfs_pools *ret, struct err_ctx *e)
{
	size_t n = count_lines(text);
	_cleanup_(zfs_pools_clear) struct zfs_pools pools = { .all = calloc(n + 1, sizeof(*pools.all)) };

	if (!pools.all)
		return err_set(e, ERR_NO_MEMORY, "room for the pools");
	while (pools.n < n)
		if (!parse_pool(strsep(&text, "\n"), &pools.all[pools.n++]))
			return err_set(e, ERR_CHILD, "zpool list wrote what it never did, in line %zu", pools.n);
	if (*text)
		return err_set(e, ERR_CHILD, "zpool list did not end its last line");
	*ret = pools;
	pools.all = NULL;
	return ERR_OK;
}

enum err zfs_pools_get(struct deadline deadline, struct zfs_pools *ret, struct err_ctx *e)
{
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	_cleanup_(words_clear) struct words w = { 0 };

	words_add_list(&w, list_pools, ARRAY_SIZE(list_pools));
	enum err err = words_run(&w, &(struct child){ .deadline = deadline }, &result, e);
	if (err)
		return err;
	if (result.status != 0)
		return zfs_fail_program("zpool list", &result, NULL, e);
	return zfs_pools_parse(result.output, ret, e);
}

void zfs_pools_clear(struct zfs_pools *p)
{
	free(p->all);
	*p = (struct zfs_pools){ 0 };
}

const struct zfs_pool *zfs_pools_find_guid(const struct zfs_pools *pools, uint64_t guid)
{
	for (size_t i = 0; i < pools->n; i++)
		if (pools->all[i].guid == guid)
			return &pools->all[i];
	return NULL;
}

const struct zfs_pool *zfs_pools_find(const struct zfs_pools *pools, const char *dataset)
{
	size_t length = zfs_pool_name_length(dataset);

	for (size_t i = 0; i < pools->n; i++)
		if (strlen(pools->all[i].name) == length && memcmp(pools->all[i].name, dataset, length) == 0)
			return &pools->all[i];
	return NULL;
}
