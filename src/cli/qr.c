/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <qrencode.h>
#include <string.h>

#include "cli/qr.h"

/* What stands around the modules of a line. White and bold is the white that every palette has. */
#define LINE_BEGIN "    \033[0;1;37;40m"
#define LINE_END   "\033[0m\n"

enum {
	MARGIN = 4,             /* blanks before a line */
	CHARACTER_SIZE_MAX = 3, /* bytes of a block in UTF-8 */
};

static enum err failed(struct err_ctx *e)
{
	if (errno == ENOMEM)
		return err_set(e, ERR_NO_MEMORY, "room for the QR code");
	return err_set_errno(e, ERR_BUG, errno, "making the QR code");
}

static enum err copy_upper(const struct secret *text, struct secret **ret, struct err_ctx *e)
{
	enum err err = secret_new_copy(secret_data(text), secret_size(text), ret, e);

	for (size_t i = 0; !err && i < secret_size(*ret); i++)
		secret_bytes(*ret)[i] = (uint8_t)toupper(secret_bytes(*ret)[i]);
	return err;
}

/* libqrencode's picture has more in each byte than whether it is dark. */
static enum err copy_modules(const QRcode *code, struct qr *ret, struct err_ctx *e)
{
	size_t n = (size_t)code->width * (size_t)code->width;
	enum err err = secret_new_copy(code->data, n, &ret->modules, e);

	for (size_t i = 0; !err && i < n; i++)
		secret_bytes(ret->modules)[i] &= 1;
	if (!err)
		ret->width = (unsigned)code->width;
	return err;
}

/* The library's other copies are wiped as it frees them (sys/wipe-free.c). */
static enum err encode(QRinput *input, const struct secret *text, struct qr *ret, struct err_ctx *e)
{
	if (QRinput_append(input, QR_MODE_AN, (int)secret_size(text), secret_data(text)) < 0)
		return failed(e);
	QRcode *code = QRcode_encodeInput(input);
	if (!code)
		return failed(e);
	enum err err = copy_modules(code, ret, e);
	explicit_bzero(code->data, (size_t)code->width * (size_t)code->width);
	QRcode_free(code);
	return err;
}

enum err qr_encode(const struct secret *text, struct qr *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *upper = NULL;
	enum err err = copy_upper(text, &upper, e);

	if (err)
		return err;
	QRinput *input = QRinput_new2(0, QR_ECLEVEL_M);
	if (!input)
		return failed(e);
	err = encode(input, upper, ret, e);
	QRinput_free(input);
	return err;
}

void qr_clear(struct qr *q)
{
	secret_free(TAKE(q->modules));
}

bool qr_is_dark(const struct qr *q, unsigned x, unsigned y)
{
	return x < q->width && y < q->width && secret_data(q->modules)[y * q->width + x];
}

unsigned qr_columns(const struct qr *q)
{
	return MARGIN + q->width + 2 * QR_QUIET;
}

unsigned qr_lines(const struct qr *q)
{
	return (q->width + 2 * QR_QUIET + 1) / 2;
}

/* Two modules, one above the other. Left of and above the picture, numbers wrap around: it is light there. */
static const char *character(const struct qr *q, unsigned x, unsigned y)
{
	static const char *const blocks[] = { "█", "▄", "▀", " " };

	return blocks[(qr_is_dark(q, x, y) ? 1 : 0) + (qr_is_dark(q, x, y + 1) ? 2 : 0)];
}

static char *print_line(const struct qr *q, unsigned line, char *out)
{
	unsigned characters = q->width + 2 * QR_QUIET;

	out = stpcpy(out, LINE_BEGIN);
	for (unsigned i = 0; i < characters; i++)
		out = stpcpy(out, character(q, i - QR_QUIET, 2 * line - QR_QUIET));
	return stpcpy(out, LINE_END);
}

enum err qr_print(const struct qr *q, struct secret **ret, struct err_ctx *e)
{
	size_t line_size = sizeof(LINE_BEGIN LINE_END) + CHARACTER_SIZE_MAX * qr_columns(q);
	_cleanup_secret_ struct secret *text = NULL;
	enum err err = secret_new(qr_lines(q) * line_size, &text, e);

	if (err)
		return err;
	char *begin = (char *)secret_bytes(text), *end = begin;
	for (unsigned line = 0; line < qr_lines(q); line++)
		end = print_line(q, line, end);
	secret_shrink(text, (size_t)(end - begin));
	*ret = TAKE(text);
	return ERR_OK;
}
