/* SPDX-License-Identifier: MIT */
/*
 * What `zfs get` (first byte p) and `zpool list` (l) are said to have written. What parses is all there, in its order:
 * put together again it is the same text.
 */
#include <string.h>

#include "base/text.h"
#include "fuzz.h"
#include "zfs/internal.h"

#define FRAME "zseal:frame"

static void print_property(FILE *out, const struct zfs_property *p)
{
	fprintf(out, "%s\t%s\t%s\t%s%s\n%s\t" FRAME "\t-\t-\n", p->dataset, p->name, p->value,
		p->inherited ? "inherited from " : "", p->source, p->dataset);
}

static void check_properties(const char *text)
{
	_cleanup_free_ char *copy = strdup(text), *again = NULL;
	struct zfs_properties list;
	size_t size = 0;

	if (zfs_properties_parse(copy, FRAME, &list, NULL))
		return;
	FILE *out = open_memstream(&again, &size);
	for (size_t i = 0; i < list.n; i++)
		print_property(out, &list.all[i]);
	must(fclose(out) == 0 && str_equal(again, text));
	copy = NULL;
	zfs_properties_clear(&list);
}

static void check_pools(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	_cleanup_(zfs_pools_clear) struct zfs_pools pools = { 0 };

	if (zfs_pools_parse(copy, &pools, NULL))
		return;
	const char *line = text;
	for (size_t i = 0; i < pools.n; i++) {
		size_t name = strlen(pools.all[i].name);

		must(memcmp(line, pools.all[i].name, name) == 0 && line[name] == '\t');
		must(strtoull(line + name + 1, NULL, 10) == pools.all[i].guid);
		line = strchr(line, '\n') + 1;
	}
	must(*line == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	_cleanup_free_ char *text = strndup((const char *)data + 1, size - 1);
	must(text);
	if (data[0] == 'p')
		check_properties(text);
	if (data[0] == 'l')
		check_pools(text);
	return 0;
}
