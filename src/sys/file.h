/* SPDX-License-Identifier: MIT */
/*
 * Files that are either the old or the new, never half; and locks between two zseals.
 *
 * Guarantees: a write goes to a temporary file beside the target (".zseal-" and 16 digits), is fsynced, renamed, and
 * the folder fsynced. Refuses: to follow a symbolic link at the target, to read a file that is no regular file.
 */
#pragma once

#include <sys/types.h>

#include "base/text.h"
#include "sys/deadline.h"

/*
 * Reads a whole file of at most max bytes as a NUL-terminated text, which the caller frees. A NUL inside is an error.
 * Errors: ERR_IO with errno (ENOENT for a missing file: see sys_errno), ERR_FORMAT, ERR_NO_MEMORY.
 */
must_check enum err file_read(const char *path, size_t max, char **ret, struct err_ctx *e);

/*
 * The same, and refuses with ERR_CONFIG_UNSAFE if anybody but root could have written it or a folder above it, with
 * ERR_IO (ELOOP, ENOTDIR) if there is a symbolic link on the way, with ERR_USAGE if path is not absolute.
 */
must_check enum err file_read_trusted(const char *path, size_t max, char **ret, struct err_ctx *e);

/* Replaces path by text, atomically and durably; mode as given. Errors: ERR_IO with errno, ERR_NO_MEMORY. */
must_check enum err file_write(const char *path, const char *text, mode_t mode, struct err_ctx *e);

/* Removes a file durably; a missing one is success. Errors: ERR_IO. */
must_check enum err file_remove(const char *path, struct err_ctx *e);

/* Makes a folder and those above it, durably, each with mode if it was missing. Errors: ERR_IO, ERR_NO_MEMORY. */
must_check enum err file_make_folder(const char *path, mode_t mode, struct err_ctx *e);

/*
 * Takes the exclusive lock of path (made if missing, mode 0600), waiting until the deadline. The lock ends with the
 * descriptor or the process. Owns: the caller closes *ret_fd. Errors: ERR_LOCKED, ERR_INTERRUPTED, ERR_IO.
 */
must_check enum err file_lock(const char *path, struct deadline deadline, int *ret_fd, struct err_ctx *e);
