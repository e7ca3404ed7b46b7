/* SPDX-License-Identifier: MIT */
/*
 * What comes and goes by an open descriptor, a pipe as a rule: answers of a person or a program, straight into a
 * secret, and keys on their way out. Never by stdio, which keeps copies.
 */
#pragma once

#include "base/secret.h"

enum { TYPED_MAX = 1024 }; /* bytes of one line */

/*
 * Reads a line, without its end, or what there is up to end of file; the next call reads the next line.
 * Owns: the caller frees *ret (an empty line gives ERR_NO_INPUT).
 * Errors: ERR_NO_INPUT, ERR_INTERRUPTED, ERR_NO_MEMORY, ERR_IO (also for a line that is too long).
 */
must_check enum err descriptor_read(int fd, struct secret **ret, struct err_ctx *e);

/* Writes size bytes. Errors: ERR_OUTPUT, ERR_INTERRUPTED. */
must_check enum err descriptor_write_bytes(int fd, const void *bytes, size_t size, struct err_ctx *e);

/* Writes a secret and a line end. Errors: as descriptor_write_bytes(). */
must_check enum err descriptor_write(int fd, const struct secret *s, struct err_ctx *e);

/* Whether an answer can be read from fd. Errors: ERR_USAGE, if it is not open for reading. */
must_check enum err descriptor_check_source(int fd, struct err_ctx *e);

/*
 * Whether a key may be written to fd: a pipe, a socket, a terminal, a printer, memory. A disk or a file on one is
 * refused, since what is written there outlives being deleted. Errors: ERR_USAGE.
 */
must_check enum err descriptor_check_taker(int fd, struct err_ctx *e);
