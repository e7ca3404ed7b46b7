/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/text.h"
#include "cli/sheet.h"
#include "core/copies.h"
#include "format/recovery-key.h"
#include "sys/descriptor.h"

/*
 * Points from the lower left corner; 54 to 541 by 54 to 738 is on A4 and on Letter. "(text) x y at" shows a text,
 * squeezed if it is too wide.
 */
static const char head_format[] =
	"%%!PS-Adobe-3.0\n"
	"%%%%Title: zseal recovery key\n"
	"%%%%Pages: 1\n"
	"%%%%BoundingBox: 54 54 541 738\n"
	"%%%%EndComments\n"
	"%%%%Page: 1 1\n"
	"/at { gsave translate 0 0 moveto\n"
	"  dup stringwidth pop dup room gt { room exch div 1 scale } { pop } ifelse show grestore } bind def\n"
	"/font { exch findfont exch scalefont setfont } bind def\n"
	"/room 487 def\n"
	"/Helvetica-Bold 22 font (zseal recovery key) 54 712 at\n"
	"/Helvetica 11 font\n"
	"(Whoever reads this page owns the data, together with the disks or a copy of them.) 54 690 at\n"
	"(Keep it where the machine is not: in a safe, with a notary, at a friend's.) 54 675 at\n"
	"(opens) 54 646 at (keyring) 54 630 at (fingerprint) 54 614 at (made) 54 598 at\n"
	"/room 411 def\n"
	"/Courier-Bold 11 font\n"
	"(%s) 130 646 at (%s) 130 630 at (%s) 130 614 at (%s) 130 598 at\n";

static const char tail_format[] =
	"/room 487 def\n"
	"/Helvetica 10 font\n"
	"(Letters: b c d e f g h i j k l n r t u v. Upper or lower case, blanks and hyphens do not matter.) 54 372 at\n"
	"(The last letter of each group checks it: zseal says which group is mistyped.) 54 358 at\n"
	"/Helvetica-Bold 12 font (To open the data) 54 328 at\n"
	"/Helvetica 10 font\n"
	"(1. Compare the fingerprint above with what \"zseal status\" prints, before you type the key.) 54 310 at\n"
	"(2. On its own machine, when the other slots do not open it:) 54 294 at\n"
	"(3. On another machine, or after a new mainboard or a cleared TPM:) 54 262 at\n"
	"(4. Without zseal: docs/without-zseal.md in its source does it with openssl and zfs alone.) 54 230 at\n"
	"/Courier-Bold 10 font\n"
	"(zseal unlock --recovery %s) 70 279 at\n"
	"(zseal recover %s) 70 247 at\n"
	"/Helvetica-Bold 12 font (This page and the header open the pool; neither does alone) 54 200 at\n"
	"/Helvetica 10 font\n"
	"(The header is in the pool itself, in its properties. Copies, for when those are lost:) 54 182 at\n"
	"(on each machine that had it, and wherever you put what \"zseal header backup\" writes. Nothing in it) 54 151 at\n"
	"(is secret: keep a copy elsewhere, and write here where it is:) 54 137 at\n"
	"/Courier-Bold 10 font\n"
	"(" HEADER_PATH "/%s) 70 167 at\n"
	"0.5 setlinewidth 54 108 moveto 541 108 lineto stroke\n"
	"showpage\n"
	"%%%%EOF\n";

enum {
	GROUPS_IN_COLUMN = RECOVERY_GROUPS / 2,
	GROUP_X = 76, GROUP_Y = 536, GROUP_RIGHT = 140, GROUP_DOWN = 42,
	MODULE = 5, /* points: 1.8 mm */
	QR_X = 376, QR_TOP = 570,
};

/* A string of PostScript, without its parentheses. Spec: PostScript Language Reference, 3.2.2. Owns: the caller. */
static enum err escape(const char *text, char **ret, struct err_ctx *e)
{
	char *escaped = malloc(2 * strlen(text) + 1), *out = escaped;

	if (!escaped)
		return err_set(e, ERR_NO_MEMORY, "room for a name");
	for (; *text; text++) {
		if (strchr("()\\", *text))
			*out++ = '\\';
		*out++ = *text >= ' ' && *text <= '~' ? *text : '?';
	}
	*out = '\0';
	*ret = escaped;
	return ERR_OK;
}

static enum err put(int fd, const char *text, struct err_ctx *e)
{
	return descriptor_write_bytes(fd, text, strlen(text), e);
}

static enum err put_head(const struct sheet *s, const char *dataset, int fd, struct err_ctx *e)
{
	_cleanup_free_ char *head = NULL;
	enum err err = str_format(&head, e, head_format, dataset, s->keyring, s->fingerprint, s->date);

	return err ? err : put(fd, head, e);
}

static enum err put_tail(const struct sheet *s, const char *dataset, int fd, struct err_ctx *e)
{
	_cleanup_free_ char *tail = NULL;
	enum err err = str_format(&tail, e, tail_format, dataset, dataset, s->keyring);

	return err ? err : put(fd, tail, e);
}

/* The six letters go from the secret to the descriptor. */
static enum err put_group(const struct sheet *s, unsigned group, int fd, struct err_ctx *e)
{
	unsigned x = GROUP_X + group / GROUPS_IN_COLUMN * GROUP_RIGHT;
	unsigned y = GROUP_Y - group % GROUPS_IN_COLUMN * GROUP_DOWN;
	char before[96], behind[32];

	snprintf(before, sizeof(before), "/Helvetica 10 font (%u) %u %u at /Courier-Bold 24 font (", group + 1, x - 16, y);
	snprintf(behind, sizeof(behind), ") %u %u at\n", x, y);
	enum err err = put(fd, before, e);
	if (!err)
		err = descriptor_write_bytes(fd, secret_data(s->key) + group * (RECOVERY_GROUP_LETTERS + 1),
					     RECOVERY_GROUP_LETTERS, e);
	return err ? err : put(fd, behind, e);
}

static enum err put_key(const struct sheet *s, int fd, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (unsigned group = 0; !err && group < RECOVERY_GROUPS; group++)
		err = put_group(s, group, fd, e);
	return err;
}

/* Eight modules to a byte in hexadecimal, the left one highest, each row from a new byte. */
static enum err print_modules(const struct qr *q, struct secret **ret, struct err_ctx *e)
{
	size_t digits = (q->width + 7) / 8 * 2;
	enum err err = secret_new(q->width * digits, ret, e);

	for (unsigned y = 0; !err && y < q->width; y++)
		for (unsigned digit = 0; digit < digits; digit++) {
			unsigned value = 0;

			for (unsigned bit = 0; bit < 4; bit++)
				value = value << 1 | (qr_is_dark(q, 4 * digit + bit, y) ? 1 : 0);
			secret_bytes(*ret)[y * digits + digit] = (uint8_t)"0123456789abcdef"[value];
		}
	return err;
}

/* One image rather than many squares: between squares a printer leaves seams. */
static enum err put_qr(const struct qr *q, int fd, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *modules = NULL;
	unsigned size = q->width * MODULE;
	char before[160];
	enum err err = print_modules(q, &modules, e);

	if (err)
		return err;
	snprintf(before, sizeof(before), "gsave %u %u translate %u %u scale %u %u true [%u 0 0 -%u 0 %u]\n{<", QR_X,
		 QR_TOP - size, size, size, q->width, q->width, q->width, q->width, q->width);
	err = put(fd, before, e);
	if (!err)
		err = descriptor_write_bytes(fd, secret_data(modules), secret_size(modules), e);
	return err ? err : put(fd, ">} imagemask grestore\n", e);
}

enum err sheet_write(const struct sheet *s, int fd, struct err_ctx *e)
{
	_cleanup_free_ char *dataset = NULL;
	enum err err = escape(s->dataset, &dataset, e);

	if (!err)
		err = put_head(s, dataset, fd, e);
	if (!err)
		err = put_key(s, fd, e);
	if (!err)
		err = put_qr(s->qr, fd, e);
	if (!err)
		err = put_tail(s, dataset, fd, e);
	return err_wrap(e, err, "the recovery key's sheet");
}
