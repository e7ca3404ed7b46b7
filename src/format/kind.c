/* SPDX-License-Identifier: MIT */
/* The kinds of values that the tables are made of: for each, how it is read and how it is written (see codec.h). */
#include <inttypes.h>
#include <string.h>

#include "format/codec.h"

static enum err decode_version(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	json_int_t v = json_integer_value(from);

	(void)into;
	if (v > HEADER_VERSION)
		return err_set(e, ERR_FORMAT_NEWER, "version %" JSON_INTEGER_FORMAT, v);
	return v == HEADER_VERSION ? ERR_OK : codec_expected(m, e, "a version");
}

static enum err encode_version(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	(void)m;
	(void)from;
	return codec_give(json_integer(HEADER_VERSION), ret, e);
}

const struct kind kind_version = { decode_version, encode_version };

static enum err decode_uuid(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);

	if (!text || !uuid_parse(text, codec_at(into, m->offset)))
		return codec_expected(m, e, "a UUID in lower case");
	return ERR_OK;
}

static enum err encode_uuid(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	char text[UUID_TEXT_SIZE];

	uuid_print(codec_at(from, m->offset), text);
	return codec_give(json_string(text), ret, e);
}

const struct kind kind_uuid = { decode_uuid, encode_uuid };

static enum err encode_base64(struct span bytes, json_t **ret, struct err_ctx *e)
{
	char text[BASE64_TEXT_SIZE(CODEC_BYTES_MAX)];

	if (bytes.size > CODEC_BYTES_MAX)
		return err_set(e, ERR_BUG, "%zu bytes to print", bytes.size);
	base64_encode(bytes, text);
	return codec_give(json_string(text), ret, e);
}

static enum err decode_bytes(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);
	size_t n = 0;

	if (!text || !base64_decode(text, codec_at(into, m->offset), m->size, &n) || n != m->size)
		return err_set(e, ERR_FORMAT, "member \"%s\": expected base64 of %zu bytes", m->name, m->size);
	return ERR_OK;
}

static enum err encode_bytes(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return encode_base64(SPAN(codec_at(from, m->offset), m->size), ret, e);
}

const struct kind kind_bytes = { decode_bytes, encode_bytes };

static enum err decode_blob(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);
	size_t n = 0;

	if (!text || !base64_decode(text, codec_at(into, m->offset), m->size, &n) || n == 0)
		return err_set(e, ERR_FORMAT, "member \"%s\": expected base64 of 1 to %zu bytes", m->name, m->size);
	*(size_t *)codec_at(into, m->count) = n;
	return ERR_OK;
}

static enum err encode_blob(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return encode_base64(SPAN(codec_at(from, m->offset), *(size_t *)codec_at(from, m->count)), ret, e);
}

const struct kind kind_blob = { decode_blob, encode_blob };

static enum err decode_generation(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	json_int_t v = json_integer_value(from);

	if (v < 1 || v > UINT32_MAX)
		return codec_expected(m, e, "a number from 1 to 4294967295");
	*(uint32_t *)codec_at(into, m->offset) = (uint32_t)v;
	return ERR_OK;
}

static enum err encode_generation(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return codec_give(json_integer(*(const uint32_t *)codec_at(from, m->offset)), ret, e);
}

const struct kind kind_generation = { decode_generation, encode_generation };

static enum err decode_seconds(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	json_int_t v = json_integer_value(from);

	if (!json_is_integer(from) || v < 0 || (uint64_t)v > CODEC_SECONDS_MAX)
		return codec_expected(m, e, "a number of seconds since 1970");
	*(uint64_t *)codec_at(into, m->offset) = (uint64_t)v;
	return ERR_OK;
}

static enum err encode_seconds(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return codec_give(json_integer((json_int_t)*(const uint64_t *)codec_at(from, m->offset)), ret, e);
}

const struct kind kind_seconds = { decode_seconds, encode_seconds };

static json_t *decimal(uint64_t v)
{
	char text[sizeof("18446744073709551615")];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	return json_string(text);
}

/* strtoull() takes blanks, signs, leading zeros and too much; what prints to the same digits had none of these. */
static enum err decode_decimal(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);
	uint64_t v = text ? strtoull(text, NULL, 10) : 0;
	_cleanup_(json_decrefp) json_t *again = decimal(v);

	if (!again)
		return err_set(e, ERR_NO_MEMORY, "room for a number");
	if (!text || !json_equal(from, again))
		return codec_expected(m, e, "a string of decimal digits");
	*(uint64_t *)codec_at(into, m->offset) = v;
	return ERR_OK;
}

static enum err encode_decimal(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return codec_give(decimal(*(const uint64_t *)codec_at(from, m->offset)), ret, e);
}

const struct kind kind_decimal = { decode_decimal, encode_decimal };

/* Text in a field of size bytes. A field without its NUL is a mistake of ours, and would be read past its end. */
static enum err encode_field(const char *field, size_t size, json_t **ret, struct err_ctx *e)
{
	if (!codec_text_is_printable(field, size - 1))
		return err_set(e, ERR_BUG, "a text to print that is empty, unprintable or without an end");
	return codec_give(json_string(field), ret, e);
}

static enum err decode_name(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);

	if (!text || !name_is_valid(text))
		return codec_expected(m, e, "a name, 1 to 63 of a-z 0-9 _ -");
	memcpy(codec_at(into, m->offset), text, strlen(text) + 1);
	return ERR_OK;
}

static enum err encode_name(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return encode_field(codec_at(from, m->offset), NAME_SIZE, ret, e);
}

const struct kind kind_name = { decode_name, encode_name };

static bool holds_name(const char (*names)[NAME_SIZE], size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_equal(names[i], name))
			return true;
	return false;
}

static enum err decode_names(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	char (*names)[NAME_SIZE] = codec_at(into, m->offset);
	size_t n = json_array_size(from);

	if (!json_is_array(from) || n > m->size / NAME_SIZE)
		return err_set(e, ERR_FORMAT, "member \"%s\": expected at most %zu names", m->name, m->size / NAME_SIZE);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(from, i));

		if (!text || !name_is_valid(text) || holds_name(names, i, text))
			return codec_expected(m, e, "names, each of them once, 1 to 63 of a-z 0-9 _ -");
		memcpy(names[i], text, strlen(text) + 1);
	}
	*(unsigned *)codec_at(into, m->count) = (unsigned)n;
	return ERR_OK;
}

/* Puts a new value at the end of array. */
static enum err append(json_t *array, json_t *value, struct err_ctx *e)
{
	if (json_array_append_new(array, value) < 0)
		return err_set(e, ERR_NO_MEMORY, "room for a JSON array");
	return ERR_OK;
}

/* The number of elements of a field that holds at most max. */
static enum err encode_count(const struct member *m, const void *from, size_t max, size_t *ret, struct err_ctx *e)
{
	size_t n = *(const unsigned *)codec_at(from, m->count);

	if (n > max)
		return err_set(e, ERR_BUG, "%zu of at most %zu \"%s\" to print", n, max, m->name);
	*ret = n;
	return ERR_OK;
}

static enum err encode_names(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	const char (*names)[NAME_SIZE] = codec_at(from, m->offset);
	_cleanup_(json_decrefp) json_t *array = json_array();
	size_t n = 0;
	enum err r = encode_count(m, from, m->size / NAME_SIZE, &n, e);

	for (size_t i = 0; !r && i < n; i++) {
		json_t *name = NULL;

		r = encode_field(names[i], NAME_SIZE, &name, e);
		if (!r)
			r = append(array, name, e);
	}
	return r ? r : codec_give(TAKE(array), ret, e);
}

const struct kind kind_names = { decode_names, encode_names };

static enum err decode_label(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);

	if (!text || !codec_text_is_printable(text, m->size - 1))
		return codec_expected(m, e, "a short text");
	memcpy(codec_at(into, m->offset), text, strlen(text) + 1);
	return ERR_OK;
}

static enum err encode_label(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return encode_field(codec_at(from, m->offset), m->size, ret, e);
}

const struct kind kind_label = { decode_label, encode_label };

static enum err decode_text(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);

	if (!text || !codec_text_is_printable(text, PROPERTY_VALUE_MAX))
		return codec_expected(m, e, "a text");
	return str_copy(text, codec_at(into, m->offset), e);
}

static enum err encode_text(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	char *const *text = codec_at(from, m->offset);

	if (!*text || !codec_text_is_printable(*text, PROPERTY_VALUE_MAX))
		return err_set(e, ERR_BUG, "\"%s\" to print is missing, too long or not printable", m->name);
	return codec_give(json_string(*text), ret, e);
}

const struct kind kind_text = { decode_text, encode_text };

static enum err decode_json(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	char **text = codec_at(into, m->offset);

	if (!json_is_object(from))
		return codec_expected(m, e, "an object");
	*text = json_dumps(from, JSON_COMPACT);
	return *text ? ERR_OK : err_set(e, ERR_NO_MEMORY, "room for \"%s\"", m->name);
}

static enum err encode_json(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	char *const *text = codec_at(from, m->offset);

	enum err r = *text ? codec_load(*text, PROPERTY_VALUE_MAX, ret, NULL) : ERR_BUG;

	return r ? err_set(e, r == ERR_NO_MEMORY ? r : ERR_BUG, "\"%s\" to print is no JSON object", m->name) : r;
}

const struct kind kind_json = { decode_json, encode_json };

static enum err decode_object(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	return err_wrap(e, codec_decode(m->of, from, codec_at(into, m->offset), e), "in \"%s\"", m->name);
}

static enum err encode_object(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return codec_encode(m->of, codec_at(from, m->offset), ret, e);
}

const struct kind kind_object = { decode_object, encode_object };

static enum err decode_array(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	size_t n = json_array_size(from), max = m->size / m->of->size;

	if (n < 1 || n > max)
		return err_set(e, ERR_FORMAT, "member \"%s\": expected an array of 1 to %zu objects", m->name, max);
	for (size_t i = 0; i < n; i++) {
		enum err r = codec_decode(m->of, json_array_get(from, i), codec_at(into, m->offset + i * m->of->size), e);

		if (r)
			return err_wrap(e, r, "in \"%s\", element %zu", m->name, i + 1);
	}
	*(unsigned *)codec_at(into, m->count) = (unsigned)n;
	return ERR_OK;
}

static enum err encode_array(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *array = json_array();
	size_t n = 0;
	enum err r = encode_count(m, from, m->size / m->of->size, &n, e);

	for (size_t i = 0; !r && i < n; i++) {
		json_t *element = NULL;

		r = codec_encode(m->of, codec_at(from, m->offset + i * m->of->size), &element, e);
		if (!r)
			r = append(array, element, e);
	}
	return r ? r : codec_give(TAKE(array), ret, e);
}

const struct kind kind_array = { decode_array, encode_array };
