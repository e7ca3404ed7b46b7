/* SPDX-License-Identifier: MIT */
/*
 * JSON objects and C structs, from one table for both directions. A table lists an object's members in the order in
 * which they are written; what is not in it is neither read nor written.
 *
 * Guarantees: bounds (size, depth, printable ASCII, whole numbers) are checked before anything is parsed; a text is
 * accepted only if it is exactly what would be printed for its struct, so each struct has one text; what parsing would
 * refuse is not printed either; errors name the member and what was expected. Refuses: to read or write files, to
 * repeat a value in an error, to be used on keys.
 *
 * Only src/format/ includes this file.
 */
#pragma once

#include <jansson.h>

#include "format/header.h"

enum {
	CODEC_DEPTH_MAX = 16,   /* objects and arrays in each other; version 1 needs 4 */
	CODEC_BYTES_MAX = 1024, /* bytes of one binary value */
};

#define CODEC_SECONDS_MAX (UINT64_C(1) << 53) /* what every JSON parser reads exactly (RFC 8259, section 6) */

struct member;

/* How one kind of value is read from JSON into a struct, and written. */
struct kind {
	enum err (*decode)(const struct member *m, json_t *from, void *into, struct err_ctx *e);
	enum err (*encode)(const struct member *m, const void *from, json_t **ret, struct err_ctx *e);
};

/* One member of a JSON object, and the field of a struct that holds it. */
struct member {
	const char *name; /* in JSON */
	const struct kind *kind;
	size_t offset;    /* of the field, in the struct */
	size_t size;      /* of the field */
	size_t count;     /* offset of the field with the number of elements (bytes), for kinds that have one */
	size_t flag;      /* offset of the bool that tells whether the member is there, or 0 */
	bool optional;    /* left out if its flag is false; without a flag, if its field is all zero */
	const struct object *of; /* what it consists of, for kind_object and kind_array */
};

/* An object that a struct holds. */
struct object {
	const struct member *members;
	size_t n_members;
	size_t size; /* of the struct */
	/* What members must be to each other; may be NULL. */
	enum err (*check)(const void *s, struct err_ctx *e);
};

/* An object that is a whole text. */
struct document {
	const struct object *object;
	size_t max;            /* bytes of the text */
	bool indented;         /* by 2, with a line end at the end; else in one line without blanks */
	void (*clear)(void *s); /* frees what the struct owns, whatever of it is there; may be NULL */
};

/* The parts of a member that say where its field is. */
#define FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)
#define VERSION(text)      { .name = (text), .kind = &kind_version } /* always the first: see codec_decode() */
#define MEMBERS(table)     .members = (table), .n_members = ARRAY_SIZE(table)

extern const struct kind kind_version;    /* no field; HEADER_VERSION */
extern const struct kind kind_uuid;       /* struct uuid */
extern const struct kind kind_bytes;      /* uint8_t[size], in base64 */
extern const struct kind kind_blob;       /* the same, 1 to size bytes; count: size_t */
extern const struct kind kind_generation; /* uint32_t, from 1 */
extern const struct kind kind_seconds;    /* uint64_t, to CODEC_SECONDS_MAX */
extern const struct kind kind_decimal;    /* uint64_t, a string of digits: may be more than JSON can */
extern const struct kind kind_name;       /* char[NAME_SIZE] that name_is_valid() */
extern const struct kind kind_names;      /* char[][NAME_SIZE], no name twice; count: unsigned */
extern const struct kind kind_label;      /* char[size], 1 to size - 1 printable characters */
extern const struct kind kind_text;       /* char *, 1 to PROPERTY_VALUE_MAX printable characters */
extern const struct kind kind_json;       /* char *, an object in one line */
extern const struct kind kind_object;     /* a struct, of */
extern const struct kind kind_array;      /* an array of structs, of, at least one; count: unsigned */

/* text -> struct and back. Errors: ERR_FORMAT, ERR_FORMAT_NEWER, ERR_TOO_LARGE, ERR_NO_MEMORY, ERR_BUG. */
must_check enum err codec_parse(const struct document *d, const char *text, void *ret, struct err_ctx *e);
must_check enum err codec_print(const struct document *d, const void *from, char **ret, struct err_ctx *e);

/* The steps of the above, for kinds. */
must_check enum err codec_load(const char *text, size_t max, json_t **ret, struct err_ctx *e);
must_check enum err codec_decode(const struct object *o, json_t *from, void *into, struct err_ctx *e);
must_check enum err codec_encode(const struct object *o, const void *from, json_t **ret, struct err_ctx *e);

/* The field at an offset of a struct. */
static inline void *codec_at(const void *s, size_t offset)
{
	return (char *)s + offset;
}

/* Sets ERR_FORMAT: the member is not what was expected ("a UUID"). */
enum err codec_expected(const struct member *m, struct err_ctx *e, const char *what);

/* Hands over a new JSON value, or ERR_NO_MEMORY if it is NULL. */
must_check enum err codec_give(json_t *value, json_t **ret, struct err_ctx *e);

/* True if text is 1 to max characters of printable ASCII. */
must_check bool codec_text_is_printable(const char *text, size_t max);
