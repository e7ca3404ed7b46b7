/* SPDX-License-Identifier: MIT */
/*
 * zseal's use of cryptography, all of it from OpenSSL 3: derive a key for a purpose, wrap a key under another,
 * authenticate bytes, agree on a key with the recovery key's holder (design, section 2).
 *
 * Guarantees: every derived key is bound to a keyring, a purpose and an object; key bytes are in struct secret, and in
 * OpenSSL only while it works on them. Refuses: to choose algorithms (there is one of each), and to tell why an unwrap
 * failed beyond "this key does not open it".
 */
#pragma once

#include "base/secret.h"
#include "base/text.h"

enum {
	WRAPPED_SIZE = 40,     /* a wrapped 256-bit key: RFC 3394 adds 8 bytes */
	MAC_SIZE = 32,         /* HMAC-SHA-256 */
	FINGERPRINT_SIZE = 32,
	X25519_SIZE = 32,      /* public and private key */
};

/* What a key is derived for; the labels are part of the on-disk format. */
enum purpose {
	PURPOSE_SLOT_WRAP,       /* "zseal v1 slot-wrap": slot secret -> keyring key */
	PURPOSE_RECORD_WRAP,     /* "zseal v1 record-wrap": keyring key -> wrapping key */
	PURPOSE_TABLE_MAC,       /* "zseal v1 table-mac": keyring key -> header's MAC */
	PURPOSE_FINGERPRINT,     /* "zseal v1 fingerprint": keyring key -> public fingerprint */
	PURPOSE_RENEW,           /* "zseal v1 renew": X25519 ‖ keyring key -> slot secret */
	PURPOSE_RECOVERY_SECRET, /* "zseal v1 recovery-secret": recovery key -> its slot's secret */
	PURPOSE_RECOVERY_X25519, /* "zseal v1 recovery-x25519": recovery key -> X25519 private key */
};

struct wrapped {
	uint8_t bytes[WRAPPED_SIZE];
};

/* Where a key belongs: the salt and the last part of HKDF's info. */
struct key_scope {
	enum purpose purpose;
	struct uuid keyring;
	struct uuid object; /* slot, record, or the keyring itself */
};

/*
 * Call at the start of main(), before any library uses OpenSSL: from then on OpenSSL does not read its configuration
 * file. That could load foreign code into the process that holds the keys, or take algorithms away, and would cost
 * 0.7 ms. May be called again.
 */
void crypto_ignore_configuration(void);

/*
 * HKDF-SHA-256 of from: salt = keyring UUID (16 bytes), info = label, a zero byte, object UUID (16 bytes); 32 bytes.
 * Owns: the caller frees *ret. Spec: RFC 5869. Errors: ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err crypto_derive(const struct secret *from, const struct key_scope *scope, struct secret **ret,
				  struct err_ctx *e);

/*
 * Wraps the 32-byte key under crypto_derive(from, scope), and the opposite.
 * Spec: RFC 3394, AES-256, default initial value. Errors: ERR_UNWRAP if it does not open, ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err crypto_wrap(const struct secret *from, const struct key_scope *scope, const struct secret *key,
				struct wrapped *ret, struct err_ctx *e);
must_check enum err crypto_unwrap(const struct secret *from, const struct key_scope *scope,
				  const struct wrapped *wrapped, struct secret **ret, struct err_ctx *e);

/* The fingerprint of a keyring key: public, changes with the key. Errors: ERR_NO_MEMORY, ERR_BUG. */
must_check enum err crypto_fingerprint(const struct secret *keyring_key, const struct uuid *keyring,
				       uint8_t ret[static FINGERPRINT_SIZE], struct err_ctx *e);

/*
 * HMAC-SHA-256 over parts, under the keyring key's table-mac key; each part is preceded by its length as 4 bytes,
 * big-endian. Errors: ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err crypto_table_mac(const struct secret *keyring_key, const struct uuid *keyring,
				     const struct span *parts, size_t n_parts, uint8_t ret[static MAC_SIZE],
				     struct err_ctx *e);

/* Constant-time comparison of two MACs or fingerprints of 32 bytes. */
bool crypto_equal32(const uint8_t a[static 32], const uint8_t b[static 32]);

/* The recovery key's public half for a keyring. Spec: RFC 7748, RFC 5869. Errors: ERR_NO_MEMORY, ERR_BUG. */
must_check enum err crypto_recovery_public(const struct secret *recovery_key, const struct uuid *keyring,
					   uint8_t ret[static X25519_SIZE], struct err_ctx *e);

/* A slot's `renew`: what lets the recovery key's holder give the slot a new keyring key (design, section 2). */
struct renew {
	uint8_t ephemeral[X25519_SIZE]; /* public key made for this wrap alone */
	struct wrapped secret;          /* the slot secret */
};

/* Which slot of which keyring, and that keyring's key: what makes a renew and what opens it. */
struct renew_scope {
	struct uuid keyring;
	struct uuid slot;
	const struct secret *keyring_key;
};

/*
 * Wraps slot_secret for the holder of the recovery key who also has the keyring key: wrapping key derived from
 * X25519(ephemeral, recovery public key) ‖ keyring key with PURPOSE_RENEW and the slot's UUID.
 * Errors: ERR_FORMAT for a public key of low order, which no recovery key has; ERR_IO, ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err crypto_renew_make(const struct renew_scope *scope,
				      const uint8_t recovery_public[static X25519_SIZE],
				      const struct secret *slot_secret, struct renew *ret, struct err_ctx *e);

/* The slot secret again. Errors: ERR_UNWRAP, ERR_FORMAT as above for the ephemeral key, ERR_NO_MEMORY, ERR_BUG. */
must_check enum err crypto_renew_open(const struct renew_scope *scope, const struct secret *recovery_key,
				      const struct renew *renew, struct secret **ret, struct err_ctx *e);

/* How ZFS stretches the passphrase of a root with keyformat=passphrase: its properties pbkdf2salt and pbkdf2iters. */
struct zfs_stretch {
	uint64_t salt;
	uint64_t iterations;
};

/*
 * The wrapping key that ZFS derives from a passphrase. Spec: RFC 8018, PBKDF2 with HMAC-SHA-1; the salt as 8 bytes,
 * little endian, as libzfs has it. Errors: ERR_NO_MEMORY, ERR_BUG. Blocks: a second for a million iterations.
 */
must_check enum err crypto_zfs_passphrase(const struct secret *passphrase, const struct zfs_stretch *stretch,
					  struct secret **ret, struct err_ctx *e);
