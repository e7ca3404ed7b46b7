/* SPDX-License-Identifier: MIT */
/* A person at the controlling terminal: what is typed goes straight into a secret, and is never echoed unasked. */
#pragma once

#include "base/secret.h"

/*
 * Asks on the controlling terminal (/dev/tty) and reads a line of at most TYPED_MAX bytes (sys/descriptor.h), without
 * its end. With echo off, the terminal is put back as it was on every way out, a caught signal included
 * (process_catch_signals() comes first); ^Z waits until then. prompt is written as it is.
 * Owns: the caller frees *ret (an empty line gives ERR_NO_INPUT).
 * Errors: ERR_NO_INPUT without a terminal or at end of file, ERR_INTERRUPTED, ERR_NO_MEMORY, ERR_OUTPUT, ERR_IO (also
 * for a line that is too long).
 */
must_check enum err terminal_ask(const char *prompt, bool echo, struct secret **ret, struct err_ctx *e);

/*
 * Writes size bytes to the controlling terminal, for what must not go to standard output.
 * Errors: ERR_NO_INPUT without a terminal, ERR_INTERRUPTED, ERR_OUTPUT.
 */
must_check enum err terminal_show(const void *bytes, size_t size, struct err_ctx *e);

/* True if there is a controlling terminal that can be asked. */
bool terminal_available(void);

/* How large it is; 0 by 0 where there is none, or where it does not tell (a serial line). */
struct terminal_size {
	unsigned columns, rows;
};
struct terminal_size terminal_size(void);
