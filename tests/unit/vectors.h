/* SPDX-License-Identifier: MIT */
/* What test programs need to walk through tests/vectors (its README.md says what is in the files). */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/text.h"

/* One case: an object of the file. */
typedef void (*vector_check)(json_t *vector);

static inline const char *vector_text(json_t *vector, const char *member)
{
	return json_string_value(json_object_get(vector, member));
}

/* Fails, and says of which case. */
#define vector_assert(vector, condition)                                                                              \
	do {                                                                                                          \
		if (!(condition))                                                                                     \
			fail_msg("%s, %s: not true: %s", vector_text(vector, "kind"), vector_text(vector, "what"),    \
				 #condition);                                                                         \
	} while (0)

/* Does check for each case of a file. */
static inline void vectors_walk(const char *file, vector_check check)
{
	_cleanup_(json_decrefp) json_t *all = NULL;
	_cleanup_free_ char *path = NULL;
	json_t *vector;
	size_t i;

	assert_int_equal(str_format(&path, NULL, "%s/%s", getenv("VECTORS"), file), ERR_OK);
	all = json_load_file(path, 0, NULL);
	assert_non_null(all);
	assert_true(json_array_size(json_object_get(all, "cases")) > 0);
	json_array_foreach(json_object_get(all, "cases"), i, vector)
		check(vector);
}

/* The value of a case, NUL-terminated, which the caller frees. */
static inline char *vector_value(json_t *vector)
{
	const char *hex = vector_text(vector, "value_hex");
	char *value;

	if (!hex)
		return strdup(vector_text(vector, "value"));
	value = calloc(1, strlen(hex) / 2 + 1);
	assert_true(hex_decode(hex, (uint8_t *)value, strlen(hex) / 2));
	return value;
}

/* An error is the expected one, says something, and repeats no odd bytes of what it is about. */
static inline void vector_assert_error(json_t *vector, enum err err, const struct err_ctx *e)
{
	vector_assert(vector, str_equal(err_info(err)->name, vector_text(vector, "error")));
	vector_assert(vector, e->code == err && e->depth > 0 && strlen(e->chain[0]) > 0);
	for (unsigned i = 0; i < e->depth; i++)
		for (const char *p = e->chain[i]; *p; p++)
			vector_assert(vector, *p >= ' ' && *p <= '~');
}

/* Members of expect against what was parsed. */
static inline bool expects_hex(json_t *expect, const char *member, const void *bytes, size_t size)
{
	_cleanup_free_ char *hex = malloc(HEX_TEXT_SIZE(size));

	hex_encode(SPAN(bytes, size), hex);
	return str_equal(vector_text(expect, member), hex);
}

static inline bool expects_uuid(json_t *expect, const char *member, const struct uuid *u)
{
	char text[UUID_TEXT_SIZE];

	uuid_print(u, text);
	return str_equal(vector_text(expect, member), text);
}

static inline bool expects_number(json_t *expect, const char *member, uint64_t number)
{
	json_t *value = json_object_get(expect, member);

	return json_is_integer(value) && (uint64_t)json_integer_value(value) == number;
}

static inline bool expects_text(json_t *expect, const char *member, const char *text)
{
	return str_equal(vector_text(expect, member), text);
}

static inline bool expects(json_t *expect, const char *member)
{
	return json_object_get(expect, member) != NULL;
}
