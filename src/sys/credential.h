/* SPDX-License-Identifier: MIT */
/*
 * Credentials that systemd hands to a unit: files in a folder of its own, decrypted into memory that is never swapped.
 * Spec: systemd.exec(5), "Credentials"; systemd-creds(1).
 */
#pragma once

#include "base/secret.h"

enum { CREDENTIAL_MAX = 1024 }; /* bytes, without the line end */

/*
 * Reads $CREDENTIALS_DIRECTORY/NAME, without one line end behind its last byte. It has to be a regular file (no link)
 * of root's or our own that nobody else can write, in such a folder.
 * Owns: the caller frees *ret. Errors: ERR_CREDENTIAL, with errno where there is one; ERR_USAGE if name is no file's
 * name or begins with a dot; ERR_NO_MEMORY.
 */
must_check enum err credential_read(const char *name, struct secret **ret, struct err_ctx *e);

/* Makes s what a credential's first size bytes are without one line end. Errors: ERR_CREDENTIAL if empty or too long. */
must_check enum err credential_cut(struct secret *s, size_t size, struct err_ctx *e);
