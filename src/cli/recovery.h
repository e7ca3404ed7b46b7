/* SPDX-License-Identifier: MIT */
/*
 * A new recovery key on its way to its owner: shown once on the terminal, as letters and as a QR code, and typed back;
 * or written to a descriptor; and printed on a sheet. Never on standard output unless told so, never to a disk.
 */
#pragma once

#include "base/text.h"
#include "cli/verb.h"

/* The options with which somebody says who takes the key. */
#define OPTIONS_RECOVERY_TAKERS                                                                                        \
	{ "recovery-to-fd", 0, "N", "write the recovery key to file descriptor N instead of the terminal", false },    \
	{ "recovery-sheet-fd", 0, "N", "print it on a sheet, in PostScript, to descriptor N: 3> >(lp)", false },       \
	{ "no-qr", 0, NULL, "show the recovery key on the terminal without its QR code", false }

/* Who takes it. A descriptor is -1 if there is none. */
struct recovery_takers {
	int fd, sheet_fd;
	bool no_qr;
};

/*
 * Reads the options, and looks whether there is somebody to take the key, before anything is made: the descriptors can
 * be written and are on no disk; without --recovery-to-fd and --recovery-sheet-fd there is a terminal (if one is
 * needed at all: not for --dry-run).
 * Errors: ERR_USAGE, ERR_NO_INPUT.
 */
must_check enum err recovery_takers_find(const struct invocation *inv, struct recovery_takers *ret, struct err_ctx *e);

/* A new key and what it opens. */
struct handover {
	const struct secret *key;
	const char *dataset;        /* the keyring's */
	const struct uuid *keyring;
	const uint8_t *fingerprint; /* FINGERPRINT_SIZE bytes */
	struct recovery_takers takers;
};

/*
 * Writes the sheet, if one was asked for, and closes its descriptor, so that it is printed now. Then, unless
 * --recovery-to-fd takes the key or there is a sheet and no terminal, shows the key on the terminal and has two of its
 * groups typed back, three tries each: *ret_confirmed tells whether they were.
 * Errors: ERR_RECOVERY_TYPO, ERR_NO_INPUT, ERR_INTERRUPTED, ERR_OUTPUT, ERR_NO_MEMORY.
 */
must_check enum err recovery_hand_over(const struct handover *h, bool *ret_confirmed, struct err_ctx *e);
