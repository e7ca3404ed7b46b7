/* SPDX-License-Identifier: MIT */
/* A whole header in one text file, for /var/lib/zseal/header: names and the values of properties as they are. */
#include <string.h>

#include "format/codec.h"

enum { DATASET_NAME_MAX = 255 }; /* bytes; ZFS_MAX_DATASET_NAME_LEN - 1 */

static bool is_entry(const char *name, const char *value)
{
	return name && value && codec_text_is_printable(name, DATASET_NAME_MAX) &&
	       codec_text_is_printable(value, PROPERTY_VALUE_MAX);
}

/* The number of values grows with them, so that header_copy_clear() finds what is there when one of them is refused. */
static enum err decode_values(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	struct header_copy_value *values = calloc(json_object_size(from) + 1, sizeof(*values));
	size_t *n = codec_at(into, m->count);
	const char *name, *before = "";
	enum err r = ERR_OK;
	json_t *value;

	if (!values)
		return err_set(e, ERR_NO_MEMORY, "room for \"%s\"", m->name);
	*(struct header_copy_value **)codec_at(into, m->offset) = values;
	json_object_foreach(from, name, value) {
		struct header_copy_value *v = &values[(*n)++];

		if (!is_entry(name, json_string_value(value)))
			return codec_expected(m, e, "names and values of properties");
		if (strcmp(before, name) >= 0)
			return codec_expected(m, e, "names in ascending order");
		before = name;
		r = str_copy(name, &v->name, e);
		if (!r)
			r = str_copy(json_string_value(value), &v->value, e);
		if (r)
			return r;
	}
	return json_is_object(from) ? ERR_OK : codec_expected(m, e, "an object");
}

static int compare_values(const void *a, const void *b)
{
	return strcmp(((const struct header_copy_value *)a)->name, ((const struct header_copy_value *)b)->name);
}

/* values are the caller's to sort; their strings are not. */
static enum err put_values(const struct member *m, struct header_copy_value *values, size_t n, json_t *object,
			   struct err_ctx *e)
{
	for (size_t i = 0; i < n; i++)
		if (!is_entry(values[i].name, values[i].value))
			return err_set(e, ERR_FORMAT, "one of \"%s\" is missing, too long or not printable", m->name);
	qsort(values, n, sizeof(*values), compare_values);
	for (size_t i = 0; i < n; i++)
		if (json_object_set_new(object, values[i].name, json_string(values[i].value)) < 0)
			return err_set(e, ERR_NO_MEMORY, "room for \"%s\"", m->name);
	if (json_object_size(object) != n)
		return err_set(e, ERR_BUG, "two of \"%s\" to print have one name", m->name);
	return ERR_OK;
}

static enum err encode_values(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	struct header_copy_value *const *values = codec_at(from, m->offset);
	size_t n = *(size_t *)codec_at(from, m->count);
	_cleanup_free_ struct header_copy_value *sorted = calloc(n + 1, sizeof(*sorted));
	_cleanup_(json_decrefp) json_t *object = json_object();

	if (!sorted || !object)
		return err_set(e, ERR_NO_MEMORY, "room for \"%s\"", m->name);
	if (n > 0)
		memcpy(sorted, *values, n * sizeof(*sorted));
	enum err r = put_values(m, sorted, n, object, e);
	if (!r)
		*ret = TAKE(object);
	return r;
}

static const struct kind kind_values = { decode_values, encode_values };

static enum err check_copy(const void *s, struct err_ctx *e)
{
	const struct header_copy *copy = s;

	for (size_t i = 0; i < copy->n_slots; i++)
		if (!name_is_valid(copy->slots[i].name))
			return err_set(e, ERR_FORMAT, "member \"slots\": expected names, 1 to 63 of a-z 0-9 _ -");
	return ERR_OK;
}

static const struct member copy_members[] = {
	VERSION("zseal_header"),
	{ "pool", &kind_text, FIELD(struct header_copy, pool) },
	{ "pool_guid", &kind_decimal, FIELD(struct header_copy, pool_guid) },
	{ "dataset", &kind_text, FIELD(struct header_copy, dataset) },
	{ "saved", &kind_seconds, FIELD(struct header_copy, saved) },
	{ "keyring", &kind_text, FIELD(struct header_copy, keyring) },
	{ "slots", &kind_values, FIELD(struct header_copy, slots), .count = offsetof(struct header_copy, n_slots) },
	{ "records", &kind_values, FIELD(struct header_copy, records), .count = offsetof(struct header_copy, n_records) },
};
static const struct object copy_object = {
	MEMBERS(copy_members),
	.size = sizeof(struct header_copy),
	.check = check_copy,
};

static void clear_copy(void *s)
{
	header_copy_clear(s);
}

static const struct document copy_document = {
	.object = &copy_object,
	.max = HEADER_COPY_MAX,
	.indented = true,
	.clear = clear_copy,
};

enum err header_copy_parse(const char *text, struct header_copy *ret, struct err_ctx *e)
{
	return codec_parse(&copy_document, text, ret, e);
}

enum err header_copy_print(const struct header_copy *copy, char **ret, struct err_ctx *e)
{
	return codec_print(&copy_document, copy, ret, e);
}

static void free_values(struct header_copy_value *values, size_t n)
{
	for (size_t i = 0; values && i < n; i++) {
		free(values[i].name);
		free(values[i].value);
	}
	free(values);
}

void header_copy_clear(struct header_copy *copy)
{
	if (!copy)
		return;
	free(copy->pool);
	free(copy->dataset);
	free(copy->keyring);
	free_values(copy->slots, copy->n_slots);
	free_values(copy->records, copy->n_records);
	*copy = (struct header_copy){ 0 };
}
