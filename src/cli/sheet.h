/* SPDX-License-Identifier: MIT */
/*
 * The recovery key on paper: a page of PostScript that fits A4 and Letter, written to a descriptor from which a printer
 * takes it. It holds the key as text and as a QR code, and what somebody needs to know who finds it in ten years.
 *
 * Refuses: to hold any of it in a buffer of stdio; to let a name become a program (names are escaped).
 */
#pragma once

#include "cli/qr.h"

struct sheet {
	const char *dataset;
	const char *keyring;     /* its UUID as text */
	const char *fingerprint; /* as zseal status prints it */
	const char *date;
	const struct secret *key; /* as recovery_key_print() gives it */
	const struct qr *qr;
};

/* Errors: ERR_OUTPUT, ERR_INTERRUPTED, ERR_NO_MEMORY. Blocks: until the reader has read it. */
must_check enum err sheet_write(const struct sheet *s, int fd, struct err_ctx *e);
