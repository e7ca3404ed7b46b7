/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/text.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void hex_encode(struct span in, char *out)
{
	for (size_t i = 0; i < in.size; i++) {
		*out++ = hex_digits[in.data[i] >> 4];
		*out++ = hex_digits[in.data[i] & 15];
	}
	*out = '\0';
}

/* The place of c in digits, or -1. NUL is no digit. */
static int digit_value(const char *digits, char c)
{
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

bool hex_decode(const char *text, uint8_t *out, size_t size)
{
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = digit_value(hex_digits, text[2 * i]), low = digit_value(hex_digits, text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void base64_encode(struct span in, char *out)
{
	for (size_t i = 0; i < in.size; i += 3) {
		size_t left = in.size - i;
		uint32_t v = (uint32_t)in.data[i] << 16;

		if (left > 1)
			v |= (uint32_t)in.data[i + 1] << 8;
		if (left > 2)
			v |= in.data[i + 2];
		*out++ = base64_digits[v >> 18];
		*out++ = base64_digits[v >> 12 & 63];
		*out++ = left > 1 ? base64_digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? base64_digits[v & 63] : '=';
	}
	*out = '\0';
}

/* Reads one group of four characters. Returns the number of bytes, 1 to 3, or 0 if it is not canonical. */
static size_t decode_group(const char *in, bool last, uint8_t out[static 3])
{
	size_t pad = last ? (in[3] == '=') + (in[3] == '=' && in[2] == '=') : 0;
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int d = i < 4 - pad ? digit_value(base64_digits, in[i]) : 0;

		if (d < 0)
			return 0;
		v = v << 6 | (uint32_t)d;
	}
	if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
		return 0;
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	return 3 - pad;
}

bool base64_decode(const char *text, uint8_t *out, size_t capacity, size_t *ret_size)
{
	size_t length = strlen(text), done = 0;

	if (length % 4)
		return false;
	for (size_t i = 0; i < length; i += 4) {
		uint8_t group[3];
		size_t n = decode_group(text + i, i + 4 == length, group);

		if (n == 0 || n > capacity - done)
			return false;
		memcpy(out + done, group, n);
		done += n;
	}
	*ret_size = done;
	return true;
}

enum err uuid_new(struct uuid *ret, struct err_ctx *e)
{
	struct uuid u;

	if (getrandom(u.bytes, sizeof(u.bytes), 0) != sizeof(u.bytes))
		return err_set_errno(e, ERR_IO, errno, "reading the kernel's random numbers");
	u.bytes[6] = (u.bytes[6] & 0x0f) | 0x40;
	u.bytes[8] = (u.bytes[8] & 0x3f) | 0x80;
	*ret = u;
	return ERR_OK;
}

void uuid_print(const struct uuid *u, char out[static UUID_TEXT_SIZE])
{
	for (size_t i = 0; i < UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = hex_digits[u->bytes[i] >> 4];
		*out++ = hex_digits[u->bytes[i] & 15];
	}
	*out = '\0';
}

bool uuid_parse(const char *text, struct uuid *ret)
{
	char digits[2 * UUID_SIZE + 1], canonical[UUID_TEXT_SIZE];
	struct uuid u;
	size_t n = 0;

	if (strlen(text) != UUID_TEXT_SIZE - 1)
		return false;
	for (const char *p = text; *p; p++)
		if (*p != '-' && n < sizeof(digits) - 1)
			digits[n++] = *p;
	digits[n] = '\0';
	if (!hex_decode(digits, u.bytes, sizeof(u.bytes)))
		return false;
	uuid_print(&u, canonical);
	if (strcmp(text, canonical) != 0)
		return false;
	*ret = u;
	return true;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

enum err str_format(char **ret, struct err_ctx *e, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_set(e, ERR_NO_MEMORY, "room for a text");
	*ret = text;
	return ERR_OK;
}

enum err str_copy(const char *text, char **ret, struct err_ctx *e)
{
	char *copy = strdup(text);

	if (!copy)
		return err_set(e, ERR_NO_MEMORY, "room for a text");
	*ret = copy;
	return ERR_OK;
}

/* Where the last piece of memory is missing, glibc's fclose() says 0 and leaves NULL behind. */
bool memstream_close(FILE *f, char *const *text)
{
	bool failed = ferror(f);

	return fclose(f) == 0 && !failed && *text;
}

bool str_equal(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

bool name_is_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n > 0 && n < 64 && name[n] == '\0';
}
