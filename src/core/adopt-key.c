/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/adopt-key.h"

enum { PASSPHRASE_MIN = 8, PASSPHRASE_MAX = 512 }; /* bytes; MIN_PASSPHRASE_LEN and MAX_PASSPHRASE_LEN of libzfs */

/* Of a passphrase ZFS takes the newline off, and nothing else. */
static size_t length_without_line_end(const struct secret *given)
{
	size_t n = secret_size(given);

	return n > 0 && secret_data(given)[n - 1] == '\n' ? n - 1 : n;
}

static bool digit_value(uint8_t digit, uint8_t *ret)
{
	if (digit >= '0' && digit <= '9')
		*ret = digit - '0';
	else if (digit >= 'a' && digit <= 'f')
		*ret = digit - 'a' + 10;
	else if (digit >= 'A' && digit <= 'F')
		*ret = digit - 'A' + 10;
	else
		return false;
	return true;
}

/* Upper case too, as ZFS takes it. */
static enum err from_digits(const uint8_t *digits, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL;
	enum err err = secret_new(KEY_SIZE, &key, e);

	for (size_t i = 0; !err && i < KEY_SIZE; i++) {
		uint8_t high, low;

		if (digit_value(digits[2 * i], &high) && digit_value(digits[2 * i + 1], &low))
			secret_bytes(key)[i] = (uint8_t)(high << 4 | low);
		else
			err = err_set(e, ERR_KEY_SHAPE, "there is something else than hexadecimal digits in it");
	}
	if (!err)
		*ret = TAKE(key);
	return err;
}

static enum err from_base64(const uint8_t *digits, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL, *text = NULL;
	size_t size = 0;
	enum err err = secret_new(KEY_SIZE, &key, e);

	if (!err)
		err = secret_new(BASE64_TEXT_SIZE(KEY_SIZE), &text, e);
	if (err)
		return err;
	memcpy(secret_bytes(text), digits, BASE64_TEXT_SIZE(KEY_SIZE) - 1);
	if (!base64_decode((const char *)secret_data(text), secret_bytes(key), KEY_SIZE, &size) || size != KEY_SIZE)
		return err_set(e, ERR_KEY_SHAPE, "it has the length of a key in base64, and is none");
	*ret = TAKE(key);
	return ERR_OK;
}

static enum err from_passphrase(const struct secret *given, const struct zfs_stretch *stretch, struct secret **ret,
				struct err_ctx *e)
{
	_cleanup_secret_ struct secret *passphrase = NULL;
	size_t n = length_without_line_end(given);

	if (n < PASSPHRASE_MIN || n > PASSPHRASE_MAX)
		return err_set(e, ERR_KEY_SHAPE, "a passphrase of %zu bytes", n);
	enum err err = secret_new_copy(secret_data(given), n, &passphrase, e);
	return err ? err : crypto_zfs_passphrase(passphrase, stretch, ret, e);
}

enum err adopt_key_make(const struct secret *given, const struct adopt_check *check, struct secret **ret,
			struct err_ctx *e)
{
	if (check->format == KEY_FORMAT_PASSPHRASE)
		return from_passphrase(given, &check->stretch, ret, e);
	if (secret_size(given) == KEY_SIZE)
		return secret_new_copy(secret_data(given), KEY_SIZE, ret, e);
	size_t n = length_without_line_end(given);
	if (n > 0 && secret_data(given)[n - 1] == '\r')
		n--;
	if (n == 2 * KEY_SIZE)
		return from_digits(secret_data(given), ret, e);
	if (n == BASE64_TEXT_SIZE(KEY_SIZE) - 1)
		return from_base64(secret_data(given), ret, e);
	return err_set(e, ERR_KEY_SHAPE, "it has %zu bytes", secret_size(given));
}
