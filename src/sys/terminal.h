/* SPDX-License-Identifier: MIT */
/* What a person types: from the terminal or a descriptor, straight into a secret, never echoed, never in stdio. */
#pragma once

#include "base/secret.h"

enum { TYPED_MAX = 1024 }; /* bytes of one line */

/*
 * Asks on the controlling terminal (/dev/tty) and reads a line, without its end. With echo off, the terminal is put
 * back as it was on every way out, a caught signal included (process_catch_signals() comes first); ^Z waits until then.
 * prompt is written as it is.
 * Owns: the caller frees *ret (an empty line gives ERR_NO_INPUT).
 * Errors: ERR_NO_INPUT without a terminal or at end of file, ERR_INTERRUPTED, ERR_NO_MEMORY, ERR_OUTPUT, ERR_IO (also
 * for a line that is too long).
 */
must_check enum err terminal_ask(const char *prompt, bool echo, struct secret **ret, struct err_ctx *e);

/*
 * Writes size bytes to the controlling terminal, for what must not go to standard output.
 * Errors: ERR_NO_INPUT without a terminal, ERR_INTERRUPTED, ERR_OUTPUT.
 */
must_check enum err terminal_show(const uint8_t *bytes, size_t size, struct err_ctx *e);

/* True if there is a controlling terminal that can be asked. */
bool terminal_available(void);

/*
 * Reads a line, without its end, or what there is up to end of file; the next call reads the next line.
 * Errors: as terminal_ask().
 */
must_check enum err descriptor_read(int fd, struct secret **ret, struct err_ctx *e);

/* Writes a secret and a line end to a descriptor. Errors: ERR_OUTPUT, ERR_INTERRUPTED. */
must_check enum err descriptor_write(int fd, const struct secret *s, struct err_ctx *e);
