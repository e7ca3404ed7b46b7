/* SPDX-License-Identifier: MIT */
/*
 * Bytes as text and back: hexadecimal, base64 (RFC 4648, section 4), UUID (RFC 9562, version 4), and formatted strings
 * whose allocation can fail. Decoders are strict: exactly one text for each value, anything else is refused.
 * Never used on keys: output is ordinary memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A view of bytes that somebody else owns. */
struct span {
	const uint8_t *data;
	size_t size;
};

#define SPAN(p, n) ((struct span){ (const uint8_t *)(p), (n) })

enum {
	UUID_SIZE = 16,      /* bytes */
	UUID_TEXT_SIZE = 37, /* 8-4-4-4-12 lower-case hexadecimal digits, NUL included */
};

struct uuid {
	uint8_t bytes[UUID_SIZE];
};

/* Bytes needed for the text of n bytes, NUL included. */
#define HEX_TEXT_SIZE(n)    (2 * (n) + 1)
#define BASE64_TEXT_SIZE(n) (((n) + 2) / 3 * 4 + 1)
/* Most bytes that a base64 text of n characters can hold. */
#define BASE64_BYTES_MAX(n) ((n) / 4 * 3)

/* Writes lower-case hexadecimal; out has HEX_TEXT_SIZE(in.size) bytes. */
void hex_encode(struct span in, char *out);

/* Reads exactly size bytes from 2 * size hexadecimal digits, lower case. False for anything else. */
must_check bool hex_decode(const char *text, uint8_t *out, size_t size);

/* Writes padded base64; out has BASE64_TEXT_SIZE(in.size) bytes. */
void base64_encode(struct span in, char *out);

/*
 * Reads padded, canonical base64 (no blanks, no stray bits) into out, which has room for capacity bytes.
 * False, with *ret_size untouched, for anything else or if it does not fit.
 */
must_check bool base64_decode(const char *text, uint8_t *out, size_t capacity, size_t *ret_size);

/* Makes a random UUID, version 4. Errors: ERR_IO. */
must_check enum err uuid_new(struct uuid *ret, struct err_ctx *e);
void uuid_print(const struct uuid *u, char out[static UUID_TEXT_SIZE]);
/* Only the lower-case canonical text is accepted. */
must_check bool uuid_parse(const char *text, struct uuid *ret);
bool uuid_equal(const struct uuid *a, const struct uuid *b);

/* A formatted string in *ret, which the caller frees. Errors: ERR_NO_MEMORY. */
must_check printf_like(3, 4) enum err str_format(char **ret, struct err_ctx *e, const char *fmt, ...);
/* A copy of text in *ret, which the caller frees. Errors: ERR_NO_MEMORY. */
must_check enum err str_copy(const char *text, char **ret, struct err_ctx *e);

/* Closes what open_memstream() made; true if all that was written is in text. fclose() alone does not tell. */
must_check bool memstream_close(FILE *f, char *const *text);

bool str_equal(const char *a, const char *b);
/* True if name is a slot name: 1 to 63 of [a-z0-9_-], lower case as ZFS wants property names (design, section 3). */
must_check bool name_is_valid(const char *name);
