/* SPDX-License-Identifier: MIT */
/*
 * Keys that somebody else keeps, from files and descriptors: byte for byte and straight into a secret. A line end is
 * the reader's business, since any byte may be one of a key's.
 */
#pragma once

#include "base/secret.h"
#include "sys/deadline.h"

/*
 * Reads a regular file of 1 to max bytes. *ret_is_open: others than its owner may read it.
 * Refuses symbolic links: what is destroyed later must be what was read. Owns: the caller frees *ret.
 * Errors: ERR_IO with errno, ERR_KEY_SHAPE if it is empty or longer, ERR_NO_MEMORY.
 */
must_check enum err key_file_read(const char *path, size_t max, struct secret **ret, bool *ret_is_open,
				  struct err_ctx *e);

/*
 * Reads a descriptor to its end: 1 to max bytes. Errors: ERR_USAGE if it is not open for reading, ERR_KEY_SHAPE,
 * ERR_INTERRUPTED, ERR_IO, ERR_NO_MEMORY. Blocks: until whoever writes there closes it, or a signal.
 */
must_check enum err key_descriptor_read(int fd, size_t max, struct secret **ret, struct err_ctx *e);
