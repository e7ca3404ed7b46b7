/* SPDX-License-Identifier: MIT */
/*
 * The primitives against their specifications' vectors, and zseal's use of them against a second implementation: the
 * constants under "ours" were made with Python's cryptography package:
 *
 *   KEYRING, OBJECT, KEY, SECRET = (bytes(range(n, n + size)) for n, size in ((0, 16), (16, 16), (32, 32), (64, 32)))
 *   RECOVERY, EPHEMERAL = bytes(range(0x60, 0x74)), X25519PrivateKey.from_private_bytes(bytes(range(0x80, 0xa0)))
 *   def derive(key, label, uuid):
 *       return HKDF(SHA256(), 32, KEYRING, b"zseal v1 " + label + b"\0" + uuid).derive(key)
 *   wrapped = aes_key_wrap(derive(KEY, b"slot-wrap", OBJECT), SECRET)
 *   mac = HMAC(derive(KEY, b"table-mac", KEYRING), SHA256())
 *   for part in b"ring", b"", b"slot":
 *       mac.update(len(part).to_bytes(4, "big") + part)
 *   public = X25519PrivateKey.from_private_bytes(derive(RECOVERY, b"recovery-x25519", KEYRING)).public_key()
 *   renew = aes_key_wrap(derive(EPHEMERAL.exchange(public) + KEY, b"renew", OBJECT), SECRET)
 *   stretched = hashlib.scrypt(b"correct horse", salt=KEY, n=2**10, r=8, p=2, dklen=32)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "crypto/primitives.h"

#define KEYRING { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } }
#define OBJECT  { { 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 } }
static const struct uuid keyring = KEYRING, object = OBJECT;
static const struct key_scope slot_scope = { PURPOSE_SLOT_WRAP, KEYRING, OBJECT };

#define WRAPPED "ae804904904420a8b3d4b4f4644f1da343e1f469b4aaf63b87d6a49f16d718e96a8de963c74494a2"
#define PUBLIC  "028e7056a58ba1487b82637c7927886c142827d677ba9ebc0581d769709bba2e"

/* A secret of size bytes first, first + 1 … */
static struct secret *counting(uint8_t first, size_t size)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(size, &s, NULL), ERR_OK);
	for (size_t i = 0; i < size; i++)
		secret_bytes(s)[i] = (uint8_t)(first + i);
	return s;
}

static struct secret *from_hex(const char *hex)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(strlen(hex) / 2, &s, NULL), ERR_OK);
	assert_true(hex_decode(hex, secret_bytes(s), secret_size(s)));
	return s;
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *hex)
{
	char text[HEX_TEXT_SIZE(128)];

	assert_true(size <= 128);
	hex_encode(SPAN(bytes, size), text);
	assert_string_equal(text, hex);
}

static void assert_secret(const struct secret *s, const char *hex)
{
	assert_hex(secret_data(s), secret_size(s), hex);
}

/* What stands for "untouched": an output that must stay NULL, and an error that is told. */
static void assert_fails(enum err got, enum err expected, const struct secret *out, struct err_ctx *e)
{
	assert_int_equal(got, expected);
	assert_int_equal(e->code, expected);
	assert_int_equal(e->depth, 1);
	assert_null(out);
	assert_int_equal(ERR_peek_error(), 0);
	err_clear(e);
}

/* RFC 5869, appendix A.1: the first 32 of its 42 bytes, since HKDF's output is a prefix of its longer outputs. */
static void hkdf_is_rfc_5869(void **state)
{
	_cleanup_secret_ struct secret *from = from_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	_cleanup_secret_ struct secret *salt = counting(0, 13), *info = counting(0xf0, 10), *key = NULL;
	struct span salt_span = SPAN(secret_data(salt), 13), info_span = SPAN(secret_data(info), 10);

	(void)state;
	assert_int_equal(hkdf_sha256(from, salt_span, info_span, &key, NULL), ERR_OK);
	assert_secret(key, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

/* RFC 3394, section 4.6: wrap 256 bits of key data with a 256-bit KEK. */
static void key_wrap_is_rfc_3394(void **state)
{
	_cleanup_secret_ struct secret *kek = counting(0, 32);
	_cleanup_secret_ struct secret *key =
		from_hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
	struct wrapped w;

	(void)state;
	assert_int_equal(aes_kw_wrap(kek, key, &w, NULL), ERR_OK);
	assert_hex(w.bytes, sizeof(w.bytes),
		   "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
	assert_int_equal(aes_kw_unwrap(kek, &w, NULL), ERR_OK);
	assert_true(secret_equal(kek, key));
}

/* RFC 4231, test case 2, its data in two parts. */
static void hmac_is_rfc_4231(void **state)
{
	_cleanup_secret_ struct secret *key = from_hex("4a656665");
	_cleanup_(hmac_freep) struct hmac *mac = NULL;
	uint8_t bytes[MAC_SIZE];

	(void)state;
	assert_int_equal(hmac_new(key, &mac, NULL), ERR_OK);
	assert_int_equal(hmac_add(mac, SPAN("what do ya want ", 16), NULL), ERR_OK);
	assert_int_equal(hmac_add(mac, SPAN("for nothing?", 12), NULL), ERR_OK);
	assert_int_equal(hmac_finish(mac, bytes, NULL), ERR_OK);
	assert_hex(bytes, sizeof(bytes), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/* RFC 7748, section 6.1. */
static void x25519_is_rfc_7748(void **state)
{
	_cleanup_secret_ struct secret *alice =
		from_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	_cleanup_secret_ struct secret *shared = NULL;
	uint8_t public[X25519_SIZE], bob[X25519_SIZE];

	(void)state;
	assert_int_equal(x25519_public(alice, public, NULL), ERR_OK);
	assert_hex(public, sizeof(public), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_true(hex_decode("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", bob, sizeof(bob)));
	assert_int_equal(x25519_agree(alice, bob, &shared, NULL), ERR_OK);
	assert_secret(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

/* RFC 7914, section 12: the first 32 of its 64 bytes, which are PBKDF2's first block. */
static void scrypt_is_rfc_7914(void **state)
{
	static const struct {
		const char *from, *salt, *key;
		struct stretch cost;
	} cases[] = {
		{ "password", "NaCl", "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
		  { .log_n = 10, .r = 8, .p = 16 } },
		{ "pleaseletmein", "SodiumChloride", "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
		  { .log_n = 14, .r = 8, .p = 1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *from = NULL, *key = NULL;

		assert_int_equal(secret_new_copy(cases[i].from, strlen(cases[i].from), &from, NULL), ERR_OK);
		assert_int_equal(scrypt(from, SPAN(cases[i].salt, strlen(cases[i].salt)), &cases[i].cost, &key, NULL),
				 ERR_OK);
		assert_secret(key, cases[i].key);
	}
}

static void derive_is_ours_for_each_purpose(void **state)
{
	static const struct {
		enum purpose purpose;
		const char *key;
	} cases[] = {
		{ PURPOSE_SLOT_WRAP, "f02f5e29764dc5658658bcf42d69c01a18bb74f98fc1e7e49553b1f2f2980f6e" },
		{ PURPOSE_RECORD_WRAP, "174709d1de502f18cab1c8bcb57439b8553d7cc7523711fba1c99e9921d485b8" },
		{ PURPOSE_TABLE_MAC, "0ef46822593c25290c21bbca728685fd3fffda6c22ccb2f215c0eda417ba0f15" },
		{ PURPOSE_FINGERPRINT, "6a4cfcd6a6f0a791e726ac1d86b31af892e881bc5a535b8976eb439e4e2d34f3" },
		{ PURPOSE_RENEW, "b32c957e68d2e6615ddd2d444b7444f44eda6f31e7edc71beeda1ee8d2ad2fbf" },
		{ PURPOSE_RECOVERY_SECRET, "0544d5ac3a603881ac714d34e06de6aeec1c36d071804d4a6071460db44730d7" },
		{ PURPOSE_RECOVERY_X25519, "27d8188715278d69a925f895ecc5b74287175bc4bf5c3d222fe6b188e33dbb67" },
		{ PURPOSE_PIN_AUTH, "c211bed03b675a04ec74e056df1ee2e815e71a854e607158a5649489b005666c" },
		{ PURPOSE_PIN_SECRET, "b48840b28a7b45944252e56d629c8d20518b8f53bf8b6453c3f144e56d1f6755" },
	};
	_cleanup_secret_ struct secret *from = counting(32, 32);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct key_scope scope = { cases[i].purpose, keyring, object };
		_cleanup_secret_ struct secret *key = NULL;

		assert_int_equal(crypto_derive(from, &scope, &key, NULL), ERR_OK);
		assert_secret(key, cases[i].key);
	}
}

static void derive_refuses_an_unknown_purpose(void **state)
{
	_cleanup_secret_ struct secret *from = counting(32, 32), *key = NULL;
	struct err_ctx e = { 0 };
	struct key_scope after = slot_scope, before = slot_scope;

	(void)state;
	after.purpose = PURPOSE_PIN_SECRET + 1;
	assert_fails(crypto_derive(from, &after, &key, &e), ERR_BUG, key, &e);
	before.purpose = (enum purpose)-1;
	assert_fails(crypto_derive(from, &before, &key, &e), ERR_BUG, key, &e);
}

static void wrap_is_ours_and_opens(void **state)
{
	_cleanup_secret_ struct secret *from = counting(32, 32), *key = counting(64, 32), *back = NULL;
	struct wrapped w;

	(void)state;
	assert_int_equal(crypto_wrap(from, &slot_scope, key, &w, NULL), ERR_OK);
	assert_hex(w.bytes, sizeof(w.bytes), WRAPPED);
	assert_int_equal(crypto_unwrap(from, &slot_scope, &w, &back, NULL), ERR_OK);
	assert_true(secret_equal(back, key));
}

static void unwrap_notices_each_changed_byte(void **state)
{
	_cleanup_secret_ struct secret *from = counting(32, 32), *back = NULL;
	struct err_ctx e = { 0 };
	struct wrapped w;

	(void)state;
	assert_true(hex_decode(WRAPPED, w.bytes, sizeof(w.bytes)));
	for (size_t i = 0; i < sizeof(w.bytes); i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			w.bytes[i] ^= (uint8_t)(1u << bit);
			assert_fails(crypto_unwrap(from, &slot_scope, &w, &back, &e), ERR_UNWRAP, back, &e);
			w.bytes[i] ^= (uint8_t)(1u << bit);
		}
}

/* A slot moved to another keyring, a record to another place, a wrap used for something else: none of them opens. */
static void unwrap_needs_the_same_key_and_scope(void **state)
{
	struct key_scope other[] = { slot_scope, slot_scope, slot_scope };
	_cleanup_secret_ struct secret *from = counting(32, 32), *wrong = counting(33, 32), *back = NULL;
	struct err_ctx e = { 0 };
	struct wrapped w;

	(void)state;
	other[0].purpose = PURPOSE_RECORD_WRAP;
	other[1].keyring.bytes[15] ^= 1;
	other[2].object.bytes[15] ^= 1;
	assert_true(hex_decode(WRAPPED, w.bytes, sizeof(w.bytes)));
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		assert_fails(crypto_unwrap(from, &other[i], &w, &back, &e), ERR_UNWRAP, back, &e);
	assert_fails(crypto_unwrap(wrong, &slot_scope, &w, &back, &e), ERR_UNWRAP, back, &e);
}

static void keys_of_another_size_are_a_bug(void **state)
{
	_cleanup_secret_ struct secret *good = counting(0, 32), *back = NULL;
	uint8_t public[X25519_SIZE] = { 9 };
	struct err_ctx e = { 0 };
	struct wrapped w = { { 0 } };

	(void)state;
	for (size_t size = 31; size <= 33; size += 2) {
		_cleanup_secret_ struct secret *bad = counting(0, size);

		assert_fails(crypto_wrap(good, &slot_scope, bad, &w, &e), ERR_BUG, NULL, &e);
		assert_fails(aes_kw_wrap(bad, good, &w, &e), ERR_BUG, NULL, &e);
		assert_fails(aes_kw_unwrap(bad, &w, &e), ERR_BUG, NULL, &e);
		assert_fails(x25519_public(bad, public, &e), ERR_BUG, NULL, &e);
		assert_fails(x25519_agree(bad, public, &back, &e), ERR_BUG, back, &e);
	}
	assert_int_equal(w.bytes[0], 0);
	assert_int_equal(public[0], 9);
}

static void fingerprint_is_ours(void **state)
{
	_cleanup_secret_ struct secret *key = counting(32, 32);
	uint8_t fingerprint[FINGERPRINT_SIZE];

	(void)state;
	assert_int_equal(crypto_fingerprint(key, &keyring, fingerprint, NULL), ERR_OK);
	assert_hex(fingerprint, sizeof(fingerprint),
		   "a5afbc4b5af0aee4ac3e77cf3c65850058c3bb805c7da9eced3203d14002fdb3");
}

static void table_mac_is_ours(void **state)
{
	const struct span parts[] = { SPAN("ring", 4), SPAN("", 0), SPAN("slot", 4) };
	_cleanup_secret_ struct secret *key = counting(32, 32);
	uint8_t mac[MAC_SIZE];

	(void)state;
	assert_int_equal(crypto_table_mac(key, &keyring, parts, ARRAY_SIZE(parts), mac, NULL), ERR_OK);
	assert_hex(mac, sizeof(mac), "b0c3f15b3f99ad72cc3fc9d6bbb80cc2dfbf618bf65d38b03e6062305db75823");
}

/* The same bytes cut elsewhere, a part left out, the parts' order: each is another table. */
static void table_mac_tells_where_parts_end(void **state)
{
	static const struct span tables[][3] = {
		{ SPAN("ab", 2), SPAN("c", 1), SPAN("", 0) },
		{ SPAN("a", 1), SPAN("bc", 2), SPAN("", 0) },
		{ SPAN("abc", 3), SPAN("", 0), SPAN("", 0) },
		{ SPAN("c", 1), SPAN("ab", 2), SPAN("", 0) },
	};
	_cleanup_secret_ struct secret *key = counting(32, 32);
	uint8_t macs[ARRAY_SIZE(tables) + 1][MAC_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		assert_int_equal(crypto_table_mac(key, &keyring, tables[i], 3, macs[i], NULL), ERR_OK);
	assert_int_equal(crypto_table_mac(key, &keyring, tables[0], 2, macs[ARRAY_SIZE(tables)], NULL), ERR_OK);
	for (size_t i = 0; i < ARRAY_SIZE(macs); i++)
		for (size_t k = 0; k < i; k++)
			assert_false(crypto_equal32(macs[i], macs[k]));
}

/* A length that four bytes cannot tell; it is refused before the bytes, which are not there, are looked at. */
static void table_mac_refuses_what_has_no_length(void **state)
{
	const struct span part = SPAN("", (size_t)UINT32_MAX + 1);
	_cleanup_secret_ struct secret *key = counting(32, 32);
	uint8_t mac[MAC_SIZE] = { 7 };
	struct err_ctx e = { 0 };

	(void)state;
	assert_fails(crypto_table_mac(key, &keyring, &part, 1, mac, &e), ERR_BUG, NULL, &e);
	assert_int_equal(mac[0], 7);
}

static void equal32_looks_at_every_bit(void **state)
{
	uint8_t a[32] = { 1, 2, 3 }, b[32] = { 1, 2, 3 };

	(void)state;
	assert_true(crypto_equal32(a, b));
	for (size_t bit = 0; bit < 256; bit++) {
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(crypto_equal32(a, b));
		b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void recovery_public_is_ours(void **state)
{
	_cleanup_secret_ struct secret *recovery = counting(0x60, 20);
	uint8_t public[X25519_SIZE];

	(void)state;
	assert_int_equal(crypto_recovery_public(recovery, &keyring, public, NULL), ERR_OK);
	assert_hex(public, sizeof(public), PUBLIC);
}

static void renew_of_the_other_implementation_opens(void **state)
{
	_cleanup_secret_ struct secret *recovery = counting(0x60, 20), *key = counting(32, 32);
	_cleanup_secret_ struct secret *expected = counting(64, 32), *secret = NULL;
	struct renew_scope scope = { keyring, object, key };
	struct renew renew;

	(void)state;
	assert_true(hex_decode("493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d", renew.ephemeral,
			       sizeof(renew.ephemeral)));
	assert_true(hex_decode("a1886b2b91db8c84d2ec7ae8563f622442c9a445d7756093fb4f3418b51a8749f3c727cc1a50609b",
			       renew.secret.bytes, sizeof(renew.secret.bytes)));
	assert_int_equal(crypto_renew_open(&scope, recovery, &renew, &secret, NULL), ERR_OK);
	assert_true(secret_equal(secret, expected));
}

/* A renew of secret 64… for PUBLIC's holder. */
static struct renew make_renew(const struct renew_scope *scope)
{
	_cleanup_secret_ struct secret *secret = counting(64, 32);
	uint8_t public[X25519_SIZE];
	struct renew renew;

	assert_true(hex_decode(PUBLIC, public, sizeof(public)));
	assert_int_equal(crypto_renew_make(scope, public, secret, &renew, NULL), ERR_OK);
	return renew;
}

static void renew_opens_and_never_repeats(void **state)
{
	_cleanup_secret_ struct secret *recovery = counting(0x60, 20), *key = counting(32, 32);
	_cleanup_secret_ struct secret *expected = counting(64, 32), *secret = NULL;
	struct renew_scope scope = { keyring, object, key };
	struct renew a = make_renew(&scope), b = make_renew(&scope);

	(void)state;
	assert_int_equal(crypto_renew_open(&scope, recovery, &a, &secret, NULL), ERR_OK);
	assert_true(secret_equal(secret, expected));
	assert_memory_not_equal(a.ephemeral, b.ephemeral, sizeof(a.ephemeral));
	assert_memory_not_equal(a.secret.bytes, b.secret.bytes, sizeof(a.secret.bytes));
}

/* Neither the recovery key alone nor the keyring key alone opens it, nor does it open for another slot or keyring. */
static void renew_needs_both_keys_and_its_scope(void **state)
{
	_cleanup_secret_ struct secret *recovery = counting(0x60, 20), *key = counting(32, 32);
	_cleanup_secret_ struct secret *other_recovery = counting(0x61, 20), *other_key = counting(33, 32);
	_cleanup_secret_ struct secret *secret = NULL;
	struct renew_scope scope = { keyring, object, key };
	struct renew renew = make_renew(&scope);
	const struct renew_scope others[] = {
		{ keyring, object, other_key }, { keyring, keyring, key }, { object, object, key }
	};
	struct err_ctx e = { 0 };

	(void)state;
	assert_fails(crypto_renew_open(&scope, other_recovery, &renew, &secret, &e), ERR_UNWRAP, secret, &e);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_fails(crypto_renew_open(&others[i], recovery, &renew, &secret, &e), ERR_UNWRAP, secret, &e);
}

/* The last bit of an X25519 public key is the one that RFC 7748, section 5 has everybody ignore. */
static void renew_notices_each_changed_bit(void **state)
{
	_cleanup_secret_ struct secret *recovery = counting(0x60, 20), *key = counting(32, 32), *secret = NULL;
	struct renew_scope scope = { keyring, object, key };
	struct renew renew = make_renew(&scope);
	struct err_ctx e = { 0 };

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(renew); bit++) {
		uint8_t *byte = (uint8_t *)&renew + bit / 8;

		if (bit == 8 * X25519_SIZE - 1)
			continue;
		*byte ^= (uint8_t)(1u << bit % 8);
		assert_fails(crypto_renew_open(&scope, recovery, &renew, &secret, &e), ERR_UNWRAP, secret, &e);
		*byte ^= (uint8_t)(1u << bit % 8);
	}
}

/* With these X25519 gives zero whatever the private key, so that the wrap would hang on the keyring key alone. */
static void public_keys_of_low_order_are_refused(void **state)
{
	static const char *const low[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	_cleanup_secret_ struct secret *recovery = counting(0x60, 20), *key = counting(32, 32), *secret = NULL;
	struct renew_scope scope = { keyring, object, key };
	struct renew renew = { { 0 }, { { 0 } } };
	struct err_ctx e = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(low); i++) {
		uint8_t public[X25519_SIZE];

		assert_true(hex_decode(low[i], public, sizeof(public)));
		assert_fails(crypto_renew_make(&scope, public, key, &renew, &e), ERR_FORMAT, NULL, &e);
		memcpy(renew.ephemeral, public, sizeof(public));
		assert_fails(crypto_renew_open(&scope, recovery, &renew, &secret, &e), ERR_FORMAT, secret, &e);
	}
}

static struct stretch a_stretch(void)
{
	struct stretch s = { .log_n = 10, .r = 8, .p = 2 };

	for (uint8_t i = 0; i < sizeof(s.salt); i++)
		s.salt[i] = 32 + i;
	return s;
}

static void stretch_is_ours(void **state)
{
	_cleanup_secret_ struct secret *typed = NULL, *stretched = NULL, *other = NULL;
	struct stretch s = a_stretch();

	(void)state;
	assert_int_equal(secret_new_copy("correct horse", 13, &typed, NULL), ERR_OK);
	assert_int_equal(crypto_stretch(typed, &s, &stretched, NULL), ERR_OK);
	assert_secret(stretched, "c093708a4db6cff2483a40af03a49cf23196685ef44d6ffe81cbe282a647f1ae");
	s.salt[31] ^= 1;
	assert_int_equal(crypto_stretch(typed, &s, &other, NULL), ERR_OK);
	assert_false(secret_equal(stretched, other));
}

/* A minute of work or all memory would be a way to keep a machine from booting: it is told from the numbers alone. */
static void stretch_is_bounded(void **state)
{
	static const struct {
		uint32_t log_n, r, p;
		uint64_t memory_mib;
		enum err err;
	} cases[] = {
		{ 10, 8, 1, 4, ERR_OK },
		{ 10, 8, 16, 1024, ERR_OK },
		{ 14, 8, 16, 1024, ERR_OK },
		{ 16, 8, 16, 1024, ERR_OK },
		{ 20, 8, 1, 2048, ERR_OK },
		{ 20, 8, 1, 2047, ERR_STRETCH_COST }, /* half of the memory there is */
		{ 18, 8, 1, 512, ERR_OK },
		{ 18, 8, 1, 511, ERR_STRETCH_COST },
		{ 10, 8, 1, 1, ERR_STRETCH_COST },
		{ 14, 8, 1, 0, ERR_STRETCH_COST },
		{ 17, 8, 16, 1 << 20, ERR_STRETCH_COST }, /* more work than the largest N once over */
		{ 20, 8, 2, 1 << 20, ERR_STRETCH_COST },
		{ 20, 8, 16, 1 << 20, ERR_STRETCH_COST },
		{ 9, 8, 1, 1024, ERR_STRETCH_COST },
		{ 21, 8, 1, 1 << 20, ERR_STRETCH_COST },
		{ 64, 8, 1, 1 << 20, ERR_STRETCH_COST },
		{ UINT32_MAX, 8, 1, 1 << 20, ERR_STRETCH_COST },
		{ 14, 7, 1, 1024, ERR_STRETCH_COST },
		{ 14, 9, 1, 1024, ERR_STRETCH_COST },
		{ 14, 8, 0, 1024, ERR_STRETCH_COST },
		{ 10, 8, 17, 1024, ERR_STRETCH_COST },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *typed = counting(1, 8), *stretched = NULL;
		struct stretch s = { .log_n = cases[i].log_n, .r = cases[i].r, .p = cases[i].p };
		struct err_ctx e = { 0 };

		enum err err = stretch_check(&s, cases[i].memory_mib << 20, &e);
		if (err != cases[i].err)
			fail_msg("case %zu: %s", i, err_info(err)->name);
		/* 2^40 bytes: whatever is refused there is refused on this machine, too */
		if (err && cases[i].memory_mib == 1 << 20)
			assert_int_equal(crypto_stretch(typed, &s, &stretched, NULL), ERR_STRETCH_COST);
		assert_null(stretched);
	}
}

static void cost_is_chosen_by_time_and_memory(void **state)
{
	enum { FLOOR_US = 50000 };
	static const struct {
		uint64_t time_ms, memory_mib, there_is_mib;
		uint32_t log_n;
	} cases[] = {
		{ 1000, 256, 65536, 18 },  /* 800 ms, 256 MiB */
		{ 1000, 1024, 65536, 18 },
		{ 1600, 1024, 65536, 19 },
		{ 10000, 1024, 65536, 20 },
		{ 10000, 256, 65536, 18 },
		{ 10000, 255, 65536, 17 },
		{ 1000, 256, 2048, 18 },   /* an eighth of the memory */
		{ 1000, 256, 2047, 17 },
		{ 799, 256, 65536, 17 },
		{ 100, 256, 65536, 15 },
		{ 1, 256, 65536, 14 },     /* never less */
		{ 1000, 16, 65536, 14 },
		{ 1000, 256, 64, 14 },
		{ 0, 0, 0, 14 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stretch_budget budget = { cases[i].time_ms, cases[i].memory_mib };

		assert_int_equal(stretch_choose(FLOOR_US, &budget, cases[i].there_is_mib << 20), cases[i].log_n);
	}
	assert_int_equal(stretch_choose(0, &(struct stretch_budget){ 1000, 1024 }, UINT64_MAX), 20);
}

static void new_stretches_are_within_bounds_and_never_repeat(void **state)
{
	struct stretch_budget budget = { 1, 16 };
	struct stretch a, b;

	(void)state;
	assert_int_equal(crypto_stretch_new(&budget, &a, NULL), ERR_OK);
	assert_int_equal(crypto_stretch_new(&budget, &b, NULL), ERR_OK);
	assert_int_equal(crypto_stretch_check(&a, NULL), ERR_OK);
	assert_int_equal(a.log_n, 14);
	assert_int_equal(a.r, 8);
	assert_int_equal(a.p, 1);
	assert_memory_not_equal(a.salt, b.salt, sizeof(a.salt));
}

/* Under main()'s hooks, OpenSSL's allocation number allocations_left from now fails; -1 for none. */
static long allocations_left = -1;

static bool allocation_fails(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

static void *try_malloc(size_t size, const char *file __attribute__((unused)), int line __attribute__((unused)))
{
	return allocation_fails() ? NULL : malloc(size);
}

static void *try_realloc(void *p, size_t size, const char *file __attribute__((unused)),
			 int line __attribute__((unused)))
{
	return allocation_fails() ? NULL : realloc(p, size);
}

static void plain_free(void *p, const char *file __attribute__((unused)), int line __attribute__((unused)))
{
	free(p);
}

/* Everything once: wrap and unwrap, authenticate, agree, stretch. What it makes is right, or it fails as a whole. */
static enum err do_everything(struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = counting(32, 32), *recovery = counting(0x60, 20);
	_cleanup_secret_ struct secret *unwrapped = NULL, *renewed = NULL, *stretched = NULL;
	struct stretch cheap = { .log_n = 10, .r = 8, .p = 1 };
	struct renew_scope scope = { keyring, object, key };
	uint8_t mac[MAC_SIZE], public[X25519_SIZE];
	struct span part = SPAN("ring", 4);
	struct wrapped w;
	struct renew renew;
	enum err err = crypto_wrap(key, &slot_scope, key, &w, e);

	if (!err)
		err = crypto_unwrap(key, &slot_scope, &w, &unwrapped, e);
	if (!err)
		err = crypto_table_mac(key, &keyring, &part, 1, mac, e);
	if (!err)
		err = crypto_recovery_public(recovery, &keyring, public, e);
	if (!err)
		err = crypto_renew_make(&scope, public, key, &renew, e);
	if (!err)
		err = crypto_renew_open(&scope, recovery, &renew, &renewed, e);
	if (!err)
		err = crypto_stretch(key, &cheap, &stretched, e);
	assert_true(!unwrapped || secret_equal(unwrapped, key));
	assert_true(!renewed || secret_equal(renewed, key));
	assert_true(err || (renewed && stretched));
	return err;
}

/* Each of OpenSSL's allocations fails once. The sanitizers look for what is then not freed, or used nevertheless. */
static void want_of_memory_is_an_error_and_no_more(void **state)
{
	struct err_ctx e = { 0 };
	int failures = 0;

	(void)state;
	assert_int_equal(do_everything(NULL), ERR_OK);
	for (long n = 0; allocations_left < 0; n++) {
		allocations_left = n;
		enum err err = do_everything(&e);
		if (err)
			assert_fails(err, ERR_NO_MEMORY, NULL, &e);
		failures += err != ERR_OK;
	}
	allocations_left = -1;
	assert_in_range(failures, 50, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hkdf_is_rfc_5869),
		cmocka_unit_test(key_wrap_is_rfc_3394),
		cmocka_unit_test(hmac_is_rfc_4231),
		cmocka_unit_test(x25519_is_rfc_7748),
		cmocka_unit_test(scrypt_is_rfc_7914),
		cmocka_unit_test(derive_is_ours_for_each_purpose),
		cmocka_unit_test(derive_refuses_an_unknown_purpose),
		cmocka_unit_test(wrap_is_ours_and_opens),
		cmocka_unit_test(unwrap_notices_each_changed_byte),
		cmocka_unit_test(unwrap_needs_the_same_key_and_scope),
		cmocka_unit_test(keys_of_another_size_are_a_bug),
		cmocka_unit_test(fingerprint_is_ours),
		cmocka_unit_test(table_mac_is_ours),
		cmocka_unit_test(table_mac_tells_where_parts_end),
		cmocka_unit_test(table_mac_refuses_what_has_no_length),
		cmocka_unit_test(equal32_looks_at_every_bit),
		cmocka_unit_test(recovery_public_is_ours),
		cmocka_unit_test(renew_of_the_other_implementation_opens),
		cmocka_unit_test(renew_opens_and_never_repeats),
		cmocka_unit_test(renew_needs_both_keys_and_its_scope),
		cmocka_unit_test(renew_notices_each_changed_bit),
		cmocka_unit_test(public_keys_of_low_order_are_refused),
		cmocka_unit_test(stretch_is_ours),
		cmocka_unit_test(stretch_is_bounded),
		cmocka_unit_test(cost_is_chosen_by_time_and_memory),
		cmocka_unit_test(new_stretches_are_within_bounds_and_never_repeat),
		cmocka_unit_test(want_of_memory_is_an_error_and_no_more),
	};

	if (!CRYPTO_set_mem_functions(try_malloc, try_realloc, plain_free))
		return EXIT_FAILURE;
	return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
