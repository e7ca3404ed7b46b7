/* SPDX-License-Identifier: MIT */
/*
 * The only place where key bytes live.
 *
 * Guarantees: memory of its own, locked, left out of core dumps, wiped in a forked child, with a guard page behind the
 * last byte and one before the first, and wiped on free. Refuses: to be printed, compared in variable time, or resized.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct secret;

enum { KEY_SIZE = 32 }; /* bytes of every key and slot secret: AES-256 */

/*
 * Makes a secret of size bytes (1 to 65536), all zero.
 * Owns: the caller frees it with secret_free(). Errors: ERR_NO_MEMORY, ERR_BUG for a size out of bounds.
 */
must_check enum err secret_new(size_t size, struct secret **ret, struct err_ctx *e);

/* Makes a secret of size random bytes from the kernel. Errors: as secret_new(), ERR_IO. */
must_check enum err secret_new_random(size_t size, struct secret **ret, struct err_ctx *e);

/* Makes a copy of size bytes. The source is not wiped. Errors: as secret_new(). */
must_check enum err secret_new_copy(const void *bytes, size_t size, struct secret **ret, struct err_ctx *e);

/* Makes a secret of a's bytes and then b's. Errors: as secret_new(). */
must_check enum err secret_new_joined(const struct secret *a, const struct secret *b, struct secret **ret,
				      struct err_ctx *e);

/* Wipes and frees; takes NULL. */
void secret_free(struct secret *s);

/* The bytes, valid until secret_free(); their number. */
uint8_t *secret_bytes(struct secret *s);
const uint8_t *secret_data(const struct secret *s);
size_t secret_size(const struct secret *s);

/* Makes a secret smaller (what was read was shorter than the room for it); the rest is wiped. */
void secret_shrink(struct secret *s, size_t size);

/* True if both have the same size and bytes; constant time in the bytes. */
bool secret_equal(const struct secret *a, const struct secret *b);

DEFINE_CLEANUP(struct secret *, secret_free)
#define _cleanup_secret_ _cleanup_(secret_freep)
