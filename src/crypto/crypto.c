/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "crypto/primitives.h"

/* Part of the on-disk format, docs/format.md. The NUL that ends each is the zero byte of HKDF's info. */
enum { LABEL_MAX = 32 };
static const char labels[][LABEL_MAX] = {
	[PURPOSE_SLOT_WRAP] = "zseal v1 slot-wrap",
	[PURPOSE_RECORD_WRAP] = "zseal v1 record-wrap",
	[PURPOSE_TABLE_MAC] = "zseal v1 table-mac",
	[PURPOSE_FINGERPRINT] = "zseal v1 fingerprint",
	[PURPOSE_RENEW] = "zseal v1 renew",
	[PURPOSE_RECOVERY_SECRET] = "zseal v1 recovery-secret",
	[PURPOSE_RECOVERY_X25519] = "zseal v1 recovery-x25519",
	[PURPOSE_PIN_AUTH] = "zseal v1 pin-auth",
	[PURPOSE_PIN_SECRET] = "zseal v1 pin-secret",
};

enum err crypto_derive(const struct secret *from, const struct key_scope *scope, struct secret **ret, struct err_ctx *e)
{
	uint8_t info[LABEL_MAX + UUID_SIZE];

	if ((unsigned)scope->purpose >= ARRAY_SIZE(labels))
		return err_set(e, ERR_BUG, "a key for purpose %d", scope->purpose);
	size_t label_size = strlen(labels[scope->purpose]) + 1;
	memcpy(info, labels[scope->purpose], label_size);
	memcpy(info + label_size, scope->object.bytes, UUID_SIZE);
	return hkdf_sha256(from, SPAN(scope->keyring.bytes, UUID_SIZE), SPAN(info, label_size + UUID_SIZE), ret, e);
}

/* For what belongs to the keyring as a whole. */
static enum err derive_for_keyring(const struct secret *from, enum purpose purpose, const struct uuid *keyring,
				   struct secret **ret, struct err_ctx *e)
{
	struct key_scope scope = { .purpose = purpose, .keyring = *keyring, .object = *keyring };

	return crypto_derive(from, &scope, ret, e);
}

enum err crypto_wrap(const struct secret *from, const struct key_scope *scope, const struct secret *key,
		     struct wrapped *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *kek = NULL;
	enum err err = crypto_derive(from, scope, &kek, e);

	return err ? err : aes_kw_wrap(kek, key, ret, e);
}

enum err crypto_unwrap(const struct secret *from, const struct key_scope *scope, const struct wrapped *wrapped,
		       struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL;
	enum err err = crypto_derive(from, scope, &key, e);

	if (!err)
		err = aes_kw_unwrap(key, wrapped, e);
	if (!err)
		*ret = TAKE(key);
	return err;
}

enum err crypto_fingerprint(const struct secret *keyring_key, const struct uuid *keyring,
			    uint8_t ret[static FINGERPRINT_SIZE], struct err_ctx *e)
{
	_cleanup_secret_ struct secret *derived = NULL;
	enum err err = derive_for_keyring(keyring_key, PURPOSE_FINGERPRINT, keyring, &derived, e);

	if (err)
		return err;
	memcpy(ret, secret_data(derived), FINGERPRINT_SIZE);
	return ERR_OK;
}

static enum err add_with_length(struct hmac *mac, struct span part, struct err_ctx *e)
{
	uint8_t length[] = { part.size >> 24 & 0xff, part.size >> 16 & 0xff, part.size >> 8 & 0xff, part.size & 0xff };

	if (part.size > UINT32_MAX)
		return err_set(e, ERR_BUG, "authenticating a part of %zu bytes", part.size);
	enum err err = hmac_add(mac, SPAN(length, sizeof(length)), e);
	return err ? err : hmac_add(mac, part, e);
}

enum err crypto_table_mac(const struct secret *keyring_key, const struct uuid *keyring, const struct span *parts,
			  size_t n_parts, uint8_t ret[static MAC_SIZE], struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL;
	_cleanup_(hmac_freep) struct hmac *mac = NULL;
	enum err err = derive_for_keyring(keyring_key, PURPOSE_TABLE_MAC, keyring, &key, e);

	if (!err)
		err = hmac_new(key, &mac, e);
	for (size_t i = 0; !err && i < n_parts; i++)
		err = add_with_length(mac, parts[i], e);
	return err ? err : hmac_finish(mac, ret, e);
}

enum err crypto_recovery_public(const struct secret *recovery_key, const struct uuid *keyring,
				uint8_t ret[static X25519_SIZE], struct err_ctx *e)
{
	_cleanup_secret_ struct secret *private = NULL;
	enum err err = derive_for_keyring(recovery_key, PURPOSE_RECOVERY_X25519, keyring, &private, e);

	return err ? err : x25519_public(private, ret, e);
}

/*
 * What a renew's wrapping key is derived from: X25519's result ‖ keyring key. So neither an old recovery sheet nor a
 * keyring key that leaked opens it alone. The first part has a fixed size, hence no two inputs look the same.
 */
static enum err renew_agree(const struct renew_scope *scope, const struct secret *private,
			    const uint8_t public[static X25519_SIZE], struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *shared = NULL;
	enum err err = x25519_agree(private, public, &shared, e);

	return err ? err : secret_new_joined(shared, scope->keyring_key, ret, e);
}

static struct key_scope renew_key_scope(const struct renew_scope *scope)
{
	return (struct key_scope){ .purpose = PURPOSE_RENEW, .keyring = scope->keyring, .object = scope->slot };
}

enum err crypto_renew_make(const struct renew_scope *scope, const uint8_t recovery_public[static X25519_SIZE],
			   const struct secret *slot_secret, struct renew *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *ephemeral = NULL;
	_cleanup_secret_ struct secret *from = NULL;
	struct key_scope key_scope = renew_key_scope(scope);
	struct renew renew;
	enum err err = secret_new_random(X25519_SIZE, &ephemeral, e);

	if (!err)
		err = x25519_public(ephemeral, renew.ephemeral, e);
	if (!err)
		err = renew_agree(scope, ephemeral, recovery_public, &from, e);
	if (!err)
		err = crypto_wrap(from, &key_scope, slot_secret, &renew.secret, e);
	if (!err)
		*ret = renew;
	return err;
}

enum err crypto_renew_open(const struct renew_scope *scope, const struct secret *recovery_key,
			   const struct renew *renew, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *private = NULL;
	_cleanup_secret_ struct secret *from = NULL;
	struct key_scope key_scope = renew_key_scope(scope);
	enum err err = derive_for_keyring(recovery_key, PURPOSE_RECOVERY_X25519, &scope->keyring, &private, e);

	if (!err)
		err = renew_agree(scope, private, renew->ephemeral, &from, e);
	if (!err)
		err = crypto_unwrap(from, &key_scope, &renew->secret, ret, e);
	return err;
}
