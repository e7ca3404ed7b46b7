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
	STRETCH_SALT_SIZE = 32,
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
	PURPOSE_PIN_AUTH,        /* "zseal v1 pin-auth": stretched PIN -> the sealed object's authorisation */
	PURPOSE_PIN_SECRET,      /* "zseal v1 pin-secret": what was sealed ‖ stretched PIN -> slot secret */
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

/* How a passphrase or PIN is stretched: scrypt with N = 2^log_n. Spec: RFC 7914. */
enum { STRETCH_LOG_N_MIN = 10, STRETCH_LOG_N_MAX = 20, STRETCH_R = 8, STRETCH_P_MAX = 16 };
struct stretch {
	uint8_t salt[STRETCH_SALT_SIZE];
	uint32_t log_n;
	uint32_t r; /* STRETCH_R */
	uint32_t p;
};

/* What a new slot may cost whoever opens it. Units: of processor time; MiB of memory. */
struct stretch_budget {
	uint64_t time_ms;
	uint64_t memory_mib;
};
enum { STRETCH_TIME_MS = 1000, STRETCH_MEMORY_MIB = 256 }; /* unless zseal.conf says otherwise */

/*
 * A new salt, and the highest cost within the budget and an eighth of this machine's memory; never less than N = 2^14,
 * which takes 16 MiB. Measures how fast this machine is. Errors: ERR_NO_MEMORY, ERR_IO, ERR_BUG. Blocks: for some 50 ms.
 */
must_check enum err crypto_stretch_new(const struct stretch_budget *budget, struct stretch *ret, struct err_ctx *e);

/*
 * Whether it is worth a try, without doing any of it. Errors: ERR_STRETCH_COST for what is out of bounds, takes more
 * than 1 GiB, more than half of this machine's memory, or more work than that once over.
 */
must_check enum err crypto_stretch_check(const struct stretch *s, struct err_ctx *e);

/*
 * 32 bytes of scrypt of what a person typed. Errors: as crypto_stretch_check(), ERR_NO_MEMORY, ERR_BUG.
 * Blocks: about as long as the slot's maker wanted, at most some seconds; a signal has to wait.
 */
must_check enum err crypto_stretch(const struct secret *typed, const struct stretch *s, struct secret **ret,
				   struct err_ctx *e);
