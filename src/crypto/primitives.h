/* SPDX-License-Identifier: MIT */
/*
 * The published algorithms that crypto.c is made of, and the only place that knows OpenSSL. Internal to this folder
 * and its test, which holds each against its specification's vectors.
 */
#pragma once

#include "crypto/crypto.h"

/* 32 bytes of HKDF-SHA-256. Spec: RFC 5869. Errors: ERR_NO_MEMORY, ERR_BUG. */
must_check enum err hkdf_sha256(const struct secret *from, struct span salt, struct span info, struct secret **ret,
				struct err_ctx *e);

/* AES-256 key wrap of 32 bytes, default initial value. Spec: RFC 3394. Errors: ERR_UNWRAP, ERR_NO_MEMORY, ERR_BUG. */
must_check enum err aes_kw_wrap(const struct secret *kek, const struct secret *key, struct wrapped *ret,
				struct err_ctx *e);

/*
 * The opposite, in place: key is what it was wrapped under, and becomes what was wrapped; after an error it is neither.
 * So opening a record takes one secret, not two.
 */
must_check enum err aes_kw_unwrap(struct secret *key, const struct wrapped *wrapped, struct err_ctx *e);

/*
 * HMAC-SHA-256, part by part. Owns: the caller frees *ret with hmac_free(), which takes NULL. Spec: RFC 2104.
 * Errors: ERR_NO_MEMORY, ERR_BUG.
 */
struct hmac;
must_check enum err hmac_new(const struct secret *key, struct hmac **ret, struct err_ctx *e);
must_check enum err hmac_add(struct hmac *mac, struct span part, struct err_ctx *e);
must_check enum err hmac_finish(struct hmac *mac, uint8_t ret[static MAC_SIZE], struct err_ctx *e);
void hmac_free(struct hmac *mac);
DEFINE_CLEANUP(struct hmac *, hmac_free)

/* A private key (any 32 bytes) to its public key. Spec: RFC 7748. Errors: ERR_NO_MEMORY, ERR_BUG. */
must_check enum err x25519_public(const struct secret *private, uint8_t ret[static X25519_SIZE], struct err_ctx *e);

/* The shared 32 bytes. Spec: RFC 7748, section 6.1. Errors: ERR_FORMAT if public is of low order, and as above. */
must_check enum err x25519_agree(const struct secret *private, const uint8_t public[static X25519_SIZE],
				 struct secret **ret, struct err_ctx *e);

/* 32 bytes of scrypt, whatever it costs; the salt of cost is not looked at. Spec: RFC 7914. Errors: as hkdf_sha256(). */
must_check enum err scrypt(const struct secret *from, struct span salt, const struct stretch *cost, struct secret **ret,
			   struct err_ctx *e);

/* crypto_stretch_check() on a machine with so many bytes of memory. */
must_check enum err stretch_check(const struct stretch *s, uint64_t memory, struct err_ctx *e);

/* log_n of a new slot on a machine with so many bytes of memory, where the cheapest that is made takes least_us. */
uint32_t stretch_choose(uint64_t least_us, const struct stretch_budget *budget, uint64_t memory);
