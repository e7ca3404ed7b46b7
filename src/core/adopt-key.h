/* SPDX-License-Identifier: MIT */
/* What a person or a program gave as an encryption root's key, made into its 32 bytes. Pure. */
#pragma once

#include "core/adopt-check.h"

enum { GIVEN_MAX = 514 }; /* bytes: ZFS's longest passphrase and a line end */

/*
 * For a raw or hex root: 32 bytes, or those as 64 hexadecimal digits or in base64, with or without a line end: each has
 * a length of its own. For a passphrase root the passphrase, with or without a line end, stretched as ZFS does.
 * Owns: the caller frees *ret.
 * Errors: ERR_KEY_SHAPE, which says lengths and never bytes; ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err adopt_key_make(const struct secret *given, const struct adopt_check *check, struct secret **ret,
				   struct err_ctx *e);
