/* SPDX-License-Identifier: MIT */
/*
 * A recovery key as a picture that a telephone reads. Who sees the picture has the key: it is as secret as the text.
 */
#pragma once

#include "base/secret.h"

enum { QR_QUIET = 4 }; /* modules that stay light on each side; ISO/IEC 18004, 5.3.8 */

/* The modules row by row, a byte for each, 1 is dark. The caller owns it, all zero before, and clears it. */
struct qr {
	unsigned width;
	struct secret *modules;
};

/*
 * Encodes a text of letters, digits and hyphens, in upper case: letters of one case need 29 modules each way instead of
 * 33, and a recovery key is read in either. Error correction level M: a crease is forgiven.
 * Errors: ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err qr_encode(const struct secret *text, struct qr *ret, struct err_ctx *e);
void qr_clear(struct qr *q);
DEFINE_CLEANUP(struct qr *, qr_clear)

bool qr_is_dark(const struct qr *q, unsigned x, unsigned y);

/* Columns and lines that qr_print() takes, its margin and quiet zone included. */
unsigned qr_columns(const struct qr *q);
unsigned qr_lines(const struct qr *q);

/*
 * The picture as lines for a terminal that shows UTF-8: two modules to a character, both colours set, so that it is
 * dark on light whatever the terminal's own are. Owns: the caller frees *ret. Errors: ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err qr_print(const struct qr *q, struct secret **ret, struct err_ctx *e);
