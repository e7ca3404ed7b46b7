/* SPDX-License-Identifier: MIT */
/*
 * Guarantees: keys are read from secrets and written into secrets, with no copy in between but OpenSSL's own, which it
 * wipes when its contexts are freed here; algorithms are looked up once in a process's life (a millisecond), so that
 * each of ten thousand unwraps costs microseconds; OpenSSL's queue of errors is left empty.
 */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "crypto/primitives.h"

DEFINE_CLEANUP(EVP_KDF *, EVP_KDF_free)
DEFINE_CLEANUP(EVP_KDF_CTX *, EVP_KDF_CTX_free)
DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)

/* Fetched at first use by algorithms_fetch(), never changed and never freed: they live as long as the process. */
static struct {
	EVP_KDF *hkdf;
	EVP_CIPHER *aes_kw;
	EVP_MAC *hmac;
} algorithms;

void crypto_ignore_configuration(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

/* False if there was no memory for OpenSSL's own beginnings, without which its lookups crash (3.0). */
static bool openssl_is_ready(void)
{
	crypto_ignore_configuration();
	return OSSL_LIB_CTX_get0_global_default();
}

static void algorithms_fetch(void)
{
	if (!openssl_is_ready())
		return;
	algorithms.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	algorithms.aes_kw = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
	algorithms.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

/*
 * What is given to OpenSSL here is always valid, and its own provider has all that is used here: it fails for want of
 * memory, for which it has many reasons ("unsupported" is one) or none. Empties its queue.
 */
static enum err openssl_failed(struct err_ctx *e, const char *what)
{
	const char *reason = "OpenSSL gives no reason";
	unsigned long error;

	while ((error = ERR_get_error()))
		reason = ERR_reason_error_string(error) ?: reason;
	return err_set(e, ERR_NO_MEMORY, "%s: %s", what, reason);
}

static enum err algorithms_need(struct err_ctx *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, algorithms_fetch);
	if (algorithms.hkdf && algorithms.aes_kw && algorithms.hmac)
		return ERR_OK;
	return openssl_failed(e, "OpenSSL gives no HKDF, AES-256-WRAP or HMAC");
}

/* Every fixed-size key that comes in goes through here: a secret of another size is a mistake of the caller's. */
static enum err need_size(const struct secret *key, size_t size, struct err_ctx *e)
{
	if (secret_size(key) != size)
		return err_set(e, ERR_BUG, "a key of %zu bytes where %zu are needed", secret_size(key), size);
	return ERR_OK;
}

enum err hkdf_sha256(const struct secret *from, struct span salt, struct span info, struct secret **ret,
		     struct err_ctx *e)
{
	_cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *kdf = NULL;
	_cleanup_secret_ struct secret *key = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret_data(from), secret_size(from)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt.data, salt.size),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info.data, info.size),
		OSSL_PARAM_construct_end(),
	};
	enum err err = algorithms_need(e);

	if (!err)
		err = secret_new(KEY_SIZE, &key, e);
	if (err)
		return err;
	kdf = EVP_KDF_CTX_new(algorithms.hkdf);
	if (!kdf || EVP_KDF_derive(kdf, secret_bytes(key), KEY_SIZE, params) <= 0)
		return openssl_failed(e, "deriving a key");
	*ret = TAKE(key);
	return ERR_OK;
}

/* Looked up each time: a slot that is stretched for costs far more than that. Its 128 * r * N bytes are wiped. */
enum err scrypt(const struct secret *from, struct span salt, const struct stretch *cost, struct secret **ret,
		struct err_ctx *e)
{
	_cleanup_(EVP_KDF_freep) EVP_KDF *algorithm = NULL;
	_cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *kdf = NULL;
	_cleanup_secret_ struct secret *key = NULL;
	uint64_t n = UINT64_C(1) << cost->log_n, memory_max = UINT64_MAX;
	uint32_t r = cost->r, p = cost->p;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)secret_data(from), secret_size(from)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt.data, salt.size),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory_max),
		OSSL_PARAM_construct_end(),
	};
	enum err err = secret_new(KEY_SIZE, &key, e);

	if (err)
		return err;
	algorithm = openssl_is_ready() ? EVP_KDF_fetch(NULL, "SCRYPT", NULL) : NULL;
	kdf = algorithm ? EVP_KDF_CTX_new(algorithm) : NULL;
	if (!kdf || EVP_KDF_derive(kdf, secret_bytes(key), KEY_SIZE, params) <= 0)
		return openssl_failed(e, "stretching a passphrase or PIN");
	*ret = TAKE(key);
	return ERR_OK;
}

/* A context that wraps (encrypt = 1) or unwraps under kek. */
static enum err aes_kw_start(const struct secret *kek, int encrypt, EVP_CIPHER_CTX **ret, struct err_ctx *e)
{
	_cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *cipher = NULL;
	enum err err = need_size(kek, KEY_SIZE, e);

	if (!err)
		err = algorithms_need(e);
	if (err)
		return err;
	cipher = EVP_CIPHER_CTX_new();
	if (!cipher)
		return openssl_failed(e, "wrapping a key");
	EVP_CIPHER_CTX_set_flags(cipher, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex2(cipher, algorithms.aes_kw, secret_data(kek), NULL, encrypt, NULL) <= 0)
		return openssl_failed(e, "wrapping a key");
	*ret = TAKE(cipher);
	return ERR_OK;
}

enum err aes_kw_wrap(const struct secret *kek, const struct secret *key, struct wrapped *ret, struct err_ctx *e)
{
	_cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *cipher = NULL;
	struct wrapped wrapped;
	int size = 0;
	enum err err = need_size(key, KEY_SIZE, e);

	if (!err)
		err = aes_kw_start(kek, 1, &cipher, e);
	if (err)
		return err;
	if (EVP_CipherUpdate(cipher, wrapped.bytes, &size, secret_data(key), KEY_SIZE) <= 0 || size != WRAPPED_SIZE)
		return openssl_failed(e, "wrapping a key");
	*ret = wrapped;
	return ERR_OK;
}

/* The cipher has its key schedule from the start on, so that the key's bytes may be written over. */
enum err aes_kw_unwrap(struct secret *key, const struct wrapped *wrapped, struct err_ctx *e)
{
	_cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *cipher = NULL;
	int size = 0;
	enum err err = aes_kw_start(key, 0, &cipher, e);

	if (err)
		return err;
	if (EVP_CipherUpdate(cipher, secret_bytes(key), &size, wrapped->bytes, WRAPPED_SIZE) <= 0 || size != KEY_SIZE) {
		ERR_clear_error();
		return err_set(e, ERR_UNWRAP, "AES key unwrap: the integrity check failed");
	}
	return ERR_OK;
}

/* struct hmac is OpenSSL's context by another name, so that crypto.c needs no header of OpenSSL's. */
static EVP_MAC_CTX *hmac_context(struct hmac *mac)
{
	return (EVP_MAC_CTX *)mac;
}

enum err hmac_new(const struct secret *key, struct hmac **ret, struct err_ctx *e)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	_cleanup_(hmac_freep) struct hmac *mac = NULL;
	enum err err = algorithms_need(e);

	if (err)
		return err;
	mac = (struct hmac *)EVP_MAC_CTX_new(algorithms.hmac);
	if (!mac || EVP_MAC_init(hmac_context(mac), secret_data(key), secret_size(key), params) <= 0)
		return openssl_failed(e, "authenticating");
	*ret = TAKE(mac);
	return ERR_OK;
}

enum err hmac_add(struct hmac *mac, struct span part, struct err_ctx *e)
{
	if (EVP_MAC_update(hmac_context(mac), part.data, part.size) <= 0)
		return openssl_failed(e, "authenticating");
	return ERR_OK;
}

enum err hmac_finish(struct hmac *mac, uint8_t ret[static MAC_SIZE], struct err_ctx *e)
{
	uint8_t bytes[MAC_SIZE];
	size_t size = 0;

	if (EVP_MAC_final(hmac_context(mac), bytes, &size, sizeof(bytes)) <= 0 || size != sizeof(bytes))
		return openssl_failed(e, "authenticating");
	memcpy(ret, bytes, sizeof(bytes));
	return ERR_OK;
}

void hmac_free(struct hmac *mac)
{
	EVP_MAC_CTX_free(hmac_context(mac));
}

bool crypto_equal32(const uint8_t a[static 32], const uint8_t b[static 32])
{
	return CRYPTO_memcmp(a, b, 32) == 0;
}

static enum err x25519_load(const struct secret *private, EVP_PKEY **ret, struct err_ctx *e)
{
	enum err err = need_size(private, X25519_SIZE, e);

	if (err)
		return err;
	crypto_ignore_configuration();
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, secret_data(private), X25519_SIZE);
	if (!key)
		return openssl_failed(e, "taking an X25519 private key");
	*ret = key;
	return ERR_OK;
}

enum err x25519_public(const struct secret *private, uint8_t ret[static X25519_SIZE], struct err_ctx *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	uint8_t public[X25519_SIZE];
	size_t size = sizeof(public);
	enum err err = x25519_load(private, &key, e);

	if (err)
		return err;
	if (EVP_PKEY_get_raw_public_key(key, public, &size) <= 0 || size != sizeof(public))
		return openssl_failed(e, "computing an X25519 public key");
	memcpy(ret, public, sizeof(public));
	return ERR_OK;
}

/* A context in which own agrees with the holder of public. */
static enum err x25519_start(EVP_PKEY *own, const uint8_t public[static X25519_SIZE], EVP_PKEY_CTX **ret,
			     struct err_ctx *e)
{
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *peer =
		EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, public, X25519_SIZE);

	/* The 0: no check of the peer's key. X25519 takes any 32 bytes; what comes of a bad one is refused below. */
	if (!ctx || !peer || EVP_PKEY_derive_init(ctx) <= 0 || EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) <= 0)
		return openssl_failed(e, "preparing X25519");
	*ret = TAKE(ctx);
	return ERR_OK;
}

enum err x25519_agree(const struct secret *private, const uint8_t public[static X25519_SIZE], struct secret **ret,
		      struct err_ctx *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *own = NULL;
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = NULL;
	_cleanup_secret_ struct secret *shared = NULL;
	size_t size = X25519_SIZE;
	enum err err = x25519_load(private, &own, e);

	if (!err)
		err = x25519_start(own, public, &ctx, e);
	if (!err)
		err = secret_new(X25519_SIZE, &shared, e);
	if (err)
		return err;
	/* OpenSSL refuses an all-zero result, as RFC 7748, section 6.1 recommends; here it fails for nothing else. */
	if (EVP_PKEY_derive(ctx, secret_bytes(shared), &size) <= 0 || size != X25519_SIZE) {
		ERR_clear_error();
		return err_set(e, ERR_FORMAT, "the X25519 public key is of low order");
	}
	*ret = TAKE(shared);
	return ERR_OK;
}

/* ---- PBKDF2 ---- */

enum err crypto_zfs_passphrase(const struct secret *passphrase, const struct zfs_stretch *stretch, struct secret **ret,
			       struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL;
	uint8_t salt[sizeof(stretch->salt)];
	enum err err = secret_new(KEY_SIZE, &key, e);

	if (err)
		return err;
	if (stretch->iterations == 0 || stretch->iterations > INT_MAX)
		return err_set(e, ERR_BUG, "%llu iterations", (unsigned long long)stretch->iterations);
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = (uint8_t)(stretch->salt >> 8 * i);
	crypto_ignore_configuration();
	if (PKCS5_PBKDF2_HMAC_SHA1((const char *)secret_data(passphrase), (int)secret_size(passphrase), salt, sizeof(salt),
				   (int)stretch->iterations, KEY_SIZE, secret_bytes(key)) != 1)
		return openssl_failed(e, "PBKDF2");
	*ret = TAKE(key);
	return ERR_OK;
}
