/* SPDX-License-Identifier: MIT */
/*
 * Reading properties, by `zfs get`.
 *
 * `zfs get -H` writes a value as it is, tabs and line ends included: whoever may set one user property on one dataset
 * can write what looks like lines about another. So behind each property it is asked for one more, whose random name
 * nobody could know when he set a value. Its line says that there is no such property: a frame that no value imitates.
 */
#include <string.h>

#include "base/text.h"
#include "zfs/internal.h"

/* 10,000 datasets that inherit a property of 8 KiB make 80 MB. */
enum { OUTPUT_MAX = 512 << 20 };

/* Bytes of one argument: MAX_ARG_STRLEN in linux/binfmts.h, less its NUL. */
enum { LIST_MAX = 131071 };

#define FRAME_PREFIX "zseal:frame."
_Static_assert(sizeof(FRAME_PREFIX) - 1 + UUID_TEXT_SIZE <= FRAME_SIZE, "a frame's name");

/* ---- asking zfs ---- */

/* Its exit status is for the caller to judge. */
static enum err run_get(const struct zfs_query *q, const char *columns, const char *properties,
			struct child_result *ret, struct err_ctx *e)
{
	static const char *const start[] = { "zfs", "get", "-Hp", "-t", "filesystem,volume", "-o" };
	const struct child how = { .output_max = OUTPUT_MAX, .deadline = q->deadline };
	_cleanup_(words_clear) struct words w = { 0 };

	words_add_list(&w, start, ARRAY_SIZE(start));
	words_add(&w, "%s", columns);
	if (q->recursive)
		words_add(&w, "-r");
	words_add(&w, "%s", properties);
	words_add_list(&w, q->datasets, q->n_datasets);
	return words_run(&w, &how, ret, e);
}

/* Runs it, and wants it to succeed. Owns: the caller frees *ret. */
static enum err get_text(const struct zfs_query *q, const char *columns, const char *properties, char **ret,
			 struct err_ctx *e)
{
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	enum err err = run_get(q, columns, properties, &result, e);

	if (err)
		return err;
	if (result.status != 0)
		return zfs_fail_program("zfs get", &result, q, e);
	*ret = TAKE(result.output);
	return ERR_OK;
}

/* ---- the list of properties ---- */

/*
 * Length of the prefix that an element of the list stands for ("zseal:slot." of "zseal:slot.*", "" of "all"), or
 * SIZE_MAX if it names one property.
 */
static size_t prefix_length(const char *element, size_t length)
{
	if (length == strlen("all") && memcmp(element, "all", length) == 0)
		return 0;
	return length > 0 && element[length - 1] == '*' ? length - 1 : SIZE_MAX;
}

/* Writes those names, one on each line, that begin with the prefix. */
static void write_matching(FILE *out, const char *names, const char *prefix, size_t length, const char *frame)
{
	for (size_t n; *names; names += n + (names[n] == '\n')) {
		n = strcspn(names, "\n");
		if (n >= length && memcmp(names, prefix, length) == 0)
			fprintf(out, "%.*s,%s,", (int)n, names, frame);
	}
}

static void write_list(FILE *out, const char *list, const char *names, const char *frame)
{
	for (size_t n; *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		size_t prefix = prefix_length(list, n);

		if (prefix == SIZE_MAX)
			fprintf(out, "%.*s,%s,", (int)n, list, frame);
		else
			write_matching(out, names, list, prefix, frame);
	}
}

/* Each property of the list, patterns replaced by names, with the frame behind it. */
static enum err make_list(const struct zfs_query *q, const char *names, const char *frame, char **ret,
			  struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return err_set(e, ERR_NO_MEMORY, "room for a list of properties");
	write_list(out, q->properties, names, frame);
	if (!memstream_close(out, &text))
		return err_set(e, ERR_NO_MEMORY, "room for a list of properties");
	if (size > LIST_MAX)
		return err_set(e, ERR_ZFS_PROPERTY, "%s has too many properties like %s", q->datasets[0], q->properties);
	if (size > 0)
		text[size - 1] = '\0';
	*ret = TAKE(text);
	return ERR_OK;
}

static bool has_pattern(const char *list)
{
	for (size_t n; *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (prefix_length(list, n) != SIZE_MAX)
			return true;
	}
	return false;
}

/* Names that there are, for patterns: one on each line; without the values nobody can forge them. */
static enum err get_names(const struct zfs_query *q, char **ret, struct err_ctx *e)
{
	if (!has_pattern(q->properties))
		return str_copy("", ret, e);
	if (q->recursive || q->n_datasets != 1)
		return err_set(e, ERR_BUG, "%s of several datasets", q->properties);
	return get_text(q, "property", "all", ret, e);
}

/* ---- both ---- */

static enum err get_framed(const struct zfs_query *q, const char *frame, struct zfs_properties *ret, struct err_ctx *e)
{
	_cleanup_free_ char *names = NULL, *list = NULL, *text = NULL;
	enum err err = get_names(q, &names, e);

	if (!err)
		err = make_list(q, names, frame, &list, e);
	if (!err && *list)
		err = get_text(q, "name,property,value,source", list, &text, e);
	else if (!err)
		err = str_copy("", &text, e);
	if (!err)
		err = zfs_properties_parse(text, frame, ret, e);
	if (!err)
		text = NULL;
	return err;
}

enum err zfs_get(const struct zfs_query *q, struct zfs_properties *ret, struct err_ctx *e)
{
	char frame[FRAME_SIZE] = FRAME_PREFIX;
	struct uuid random;
	enum err err = uuid_new(&random, e);

	for (size_t i = 0; !err && i < q->n_datasets; i++)
		err = zfs_check_name(q->datasets[i], e);
	if (err)
		return err;
	uuid_print(&random, frame + strlen(FRAME_PREFIX));
	return get_framed(q, frame, ret, e);
}
