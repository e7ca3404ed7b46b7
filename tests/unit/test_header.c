/* SPDX-License-Identifier: MIT */
/* The header's codec against tests/vectors, which the second implementation made. */
#include "format/recovery-key.h"
#include "format/slot-passphrase.h"
#include "format/slot-vault.h"
#include "format/slot-tpm2.h"
#include "vectors.h"

/* ---- what a value means ---- */

static bool ring_is(json_t *expect, const struct ring *r)
{
	json_t *order = json_object_get(expect, "order");
	bool same = json_array_size(order) == r->n_order;

	for (unsigned i = 0; same && i < r->n_order; i++)
		same = str_equal(json_string_value(json_array_get(order, i)), r->order[i]);
	return same && expects_uuid(expect, "uuid", &r->uuid) && expects_hex(expect, "epoch", r->epoch, EPOCH_SIZE) &&
	       expects_number(expect, "generation", r->generation) && expects_number(expect, "created", r->created) &&
	       expects_hex(expect, "fingerprint", r->fingerprint, FINGERPRINT_SIZE) &&
	       expects(expect, "recovery_public") == r->has_recovery &&
	       (!r->has_recovery || expects_hex(expect, "recovery_public", r->recovery_public, X25519_SIZE));
}

static bool keyring_is(json_t *expect, const struct keyring_property *p)
{
	json_t *rings = json_object_get(expect, "rings");
	bool same = json_array_size(rings) == p->n_rings;

	for (unsigned i = 0; same && i < p->n_rings; i++) {
		json_t *ring = json_array_get(rings, i);

		same = ring_is(json_object_get(ring, "ring"), &p->rings[i].ring) &&
		       expects_hex(ring, "mac", p->rings[i].mac, MAC_SIZE);
	}
	return same;
}

static bool renew_is(json_t *expect, const struct renew *renew)
{
	return expects_hex(expect, "ephemeral", renew->ephemeral, X25519_SIZE) &&
	       expects_hex(expect, "secret", renew->secret.bytes, WRAPPED_SIZE);
}

static bool slot_is(json_t *expect, const struct slot *s)
{
	_cleanup_(json_decrefp) json_t *protect = json_loads(s->protect, 0, NULL);
	json_t *wraps = json_object_get(expect, "wraps");
	bool same = json_array_size(wraps) == s->n_wraps;

	for (unsigned i = 0; same && i < s->n_wraps; i++)
		same = expects_hex(json_array_get(wraps, i), "epoch", s->wraps[i].epoch, EPOCH_SIZE) &&
		       expects_hex(json_array_get(wraps, i), "key", s->wraps[i].key.bytes, WRAPPED_SIZE);
	return same && expects_uuid(expect, "keyring", &s->keyring) && expects_uuid(expect, "uuid", &s->uuid) &&
	       expects_text(expect, "type", s->type) && expects_number(expect, "created", s->created) &&
	       json_equal(json_object_get(expect, "protect"), protect) &&
	       expects(expect, "renew") == s->has_renew &&
	       (!s->has_renew || renew_is(json_object_get(expect, "renew"), &s->renew));
}

static bool record_is(json_t *expect, const struct record *r)
{
	return expects_uuid(expect, "uuid", &r->uuid) && expects_uuid(expect, "keyring", &r->keyring) &&
	       expects_hex(expect, "epoch", r->epoch, EPOCH_SIZE) &&
	       expects_number(expect, "generation", r->generation) && expects_number(expect, "created", r->created) &&
	       expects_hex(expect, "key", r->key.bytes, WRAPPED_SIZE);
}

static bool records_are(json_t *expect, const struct records *r)
{
	json_t *records = json_object_get(expect, "records");
	bool same = json_array_size(records) == r->n;

	for (unsigned i = 0; same && i < r->n; i++)
		same = record_is(json_array_get(records, i), &r->records[i]);
	return same;
}

static bool stretch_is(json_t *expect, const struct stretch *s)
{
	return expects_hex(expect, "salt", s->salt, STRETCH_SALT_SIZE) && expects_number(expect, "log_n", s->log_n) &&
	       expects_number(expect, "r", s->r) && expects_number(expect, "p", s->p);
}

static bool tpm2_is(json_t *expect, const struct slot_tpm2 *t)
{
	json_t *pcrs = json_object_get(expect, "pcrs");
	uint32_t mask = 0;

	for (size_t i = 0; i < json_array_size(pcrs); i++)
		mask |= UINT32_C(1) << json_integer_value(json_array_get(pcrs, i));
	return mask == t->pcrs && expects_hex(expect, "srk", t->srk_name, TPM2_NAME_SIZE) &&
	       expects_hex(expect, "public", t->public, t->public_size) &&
	       expects_hex(expect, "private", t->private, t->private_size) &&
	       (expects(expect, "bank") ? expects_text(expect, "bank", tpm2_bank_name(t->bank)) :
					  t->bank == TPM2_BANK_NONE) &&
	       (!expects(expect, "policy") || expects_hex(expect, "policy", t->policy, TPM2_DIGEST_SIZE)) &&
	       (expects(expect, "handle") ? expects_number(expect, "handle", t->handle) : t->handle == 0) &&
	       t->has_pin == expects(expect, "pin") &&
	       (!t->has_pin || stretch_is(json_object_get(expect, "pin"), &t->pin));
}

static bool values_are(json_t *expect, const struct header_copy_value *values, size_t n)
{
	bool same = json_object_size(expect) == n;

	for (size_t i = 0; same && i < n; i++)
		same = expects_text(expect, values[i].name, values[i].value);
	return same;
}

static bool copy_is(json_t *expect, const struct header_copy *c)
{
	_cleanup_free_ char *guid = NULL;

	return str_format(&guid, NULL, "%ju", (uintmax_t)c->pool_guid) == ERR_OK &&
	       expects_text(expect, "pool", c->pool) && expects_text(expect, "pool_guid", guid) &&
	       expects_text(expect, "dataset", c->dataset) && expects_number(expect, "saved", c->saved) &&
	       expects_text(expect, "keyring", c->keyring) &&
	       values_are(json_object_get(expect, "slots"), c->slots, c->n_slots) &&
	       values_are(json_object_get(expect, "records"), c->records, c->n_records);
}

/* ---- parse, look, print again, one function for each kind ---- */

static enum err try_keyring(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	struct keyring_property p;
	enum err err = keyring_property_parse(value, &p, e);

	if (err)
		return err;
	vector_assert(v, keyring_is(json_object_get(v, "expect"), &p));
	return keyring_property_print(&p, ret, e);
}

static enum err try_slot(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	_cleanup_(slot_clear) struct slot slot = { 0 };
	enum err err = slot_parse(vector_text(v, "name"), value, &slot, e);

	if (err)
		return err;
	vector_assert(v, str_equal(vector_text(v, "name"), slot.name));
	vector_assert(v, slot_is(json_object_get(v, "expect"), &slot));
	return slot_print(&slot, ret, e);
}

static enum err try_records(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	struct records records;
	enum err err = records_parse(value, &records, e);

	if (err)
		return err;
	vector_assert(v, records_are(json_object_get(v, "expect"), &records));
	return records_print(&records, ret, e);
}

static enum err try_tpm2(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	enum err err = slot_tpm2_parse(value, &sealed, e);

	if (err)
		return err;
	vector_assert(v, tpm2_is(json_object_get(v, "expect"), &sealed));
	return slot_tpm2_print(&sealed, ret, e);
}

static enum err try_passphrase(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	struct slot_passphrase s;
	enum err err = slot_passphrase_parse(value, &s, e);

	if (err)
		return err;
	vector_assert(v, stretch_is(json_object_get(json_object_get(v, "expect"), "stretch"), &s.stretch));
	return slot_passphrase_print(&s, ret, e);
}

static enum err try_vault(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	json_t *expect = json_object_get(v, "expect");
	struct slot_vault s;
	enum err err = slot_vault_parse(value, &s, e);

	if (err)
		return err;
	vector_assert(v, str_equal(s.cluster, vector_text(expect, "cluster")));
	vector_assert(v, str_equal(s.key, vector_text(expect, "key")));
	vector_assert(v, str_equal(s.ciphertext, vector_text(expect, "ciphertext")));
	vector_assert(v, json_object_get(expect, "kv") ? str_equal(s.kv, vector_text(expect, "kv")) : !*s.kv);
	return slot_vault_print(&s, ret, e);
}

static enum err try_copy(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	_cleanup_(header_copy_clear) struct header_copy copy = { 0 };
	enum err err = header_copy_parse(value, &copy, e);

	if (err)
		return err;
	vector_assert(v, copy_is(json_object_get(v, "expect"), &copy));
	return header_copy_print(&copy, ret, e);
}

static enum err try_recovery_key(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL, *text = NULL;
	enum err err = recovery_key_parse((const uint8_t *)value, strlen(value), &key, e);

	if (err)
		return err;
	vector_assert(v, expects_hex(v, "expect", secret_data(key), secret_size(key)));
	err = recovery_key_print(key, &text, e);
	return err ? err : str_copy((const char *)secret_data(text), ret, e);
}

static const struct {
	const char *kind;
	enum err (*try)(json_t *v, const char *value, char **ret, struct err_ctx *e);
} kinds[] = {
	{ "keyring", try_keyring }, { "slot", try_slot }, { "records", try_records },
	{ "tpm2", try_tpm2 },       { "copy", try_copy }, { "recovery-key", try_recovery_key },
	{ "passphrase", try_passphrase }, { "vault", try_vault },
};

static enum err try_value(json_t *v, const char *value, char **ret, struct err_ctx *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_equal(kinds[i].kind, vector_text(v, "kind")))
			return kinds[i].try(v, value, ret, e);
	return ERR_MAX;
}

static bool is_pins(json_t *v)
{
	return str_equal(vector_text(v, "kind"), "pins"); /* test_pin.c */
}

static void check_good(json_t *v)
{
	_cleanup_free_ char *value = vector_value(v), *again = NULL;
	struct err_ctx e = { 0 };

	if (is_pins(v))
		return;
	vector_assert(v, try_value(v, value, &again, &e) == ERR_OK);
	vector_assert(v, str_equal(value, again));
}

static void good_values_mean_what_they_should_and_print_the_same(void **state)
{
	(void)state;
	vectors_walk("good/values.json", check_good);
}

static void check_bad(json_t *v)
{
	_cleanup_free_ char *value = vector_value(v), *again = NULL;
	struct err_ctx e = { 0 };

	vector_assert_error(v, try_value(v, value, &again, &e), &e);
	vector_assert(v, !again);
}

static void bad_values_are_refused(void **state)
{
	static const char *const files[] = { "bad/keyring.json", "bad/slot.json", "bad/records.json",
					     "bad/tpm2.json",    "bad/copy.json", "bad/recovery-key.json",
					     "bad/passphrase.json", "bad/vault.json" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		vectors_walk(files[i], check_bad);
}

static void check_cut_off(json_t *v)
{
	_cleanup_free_ char *value = vector_value(v), *again = NULL;

	for (size_t size = strlen(value); size > 0 && !is_pins(v); size--) {
		value[size - 1] = '\0';
		vector_assert(v, try_value(v, value, &again, NULL) != ERR_OK);
	}
}

static void a_value_cut_off_anywhere_is_refused(void **state)
{
	(void)state;
	vectors_walk("good/values.json", check_cut_off);
}

/* ---- whole headers ---- */

struct header {
	struct keyring_property keyring;
	struct slot recovery; /* has no type if there is none */
	size_t n_slots;
	struct raw_slot slots[SLOTS_MAX];
	struct secret *keys[RINGS_MAX]; /* of the rings that the recovery slot opens */
	bool mac_is_wrong;
};

static void header_clear(struct header *h)
{
	slot_clear(&h->recovery);
	for (size_t i = 0; i < RINGS_MAX; i++)
		secret_free(h->keys[i]);
}

static bool belongs_to(const char *value, const struct uuid *keyring)
{
	struct uuid u;
	bool has;

	assert_int_equal(slot_keyring(value, &u, &has, NULL), ERR_OK);
	return has && uuid_equal(&u, keyring);
}

static enum err read_header(json_t *v, struct header *h, struct err_ctx *e)
{
	enum err err = keyring_property_parse(vector_text(v, "keyring"), &h->keyring, e);
	const char *name;
	json_t *value;

	if (err)
		return err;
	json_object_foreach(json_object_get(v, "slots"), name, value) {
		struct slot slot;

		if (!belongs_to(json_string_value(value), &h->keyring.rings[0].ring.uuid))
			continue;
		h->slots[h->n_slots++] = (struct raw_slot){ name, json_string_value(value) };
		if (slot_parse(name, json_string_value(value), &slot, e) == ERR_OK) {
			struct slot *keep = str_equal(slot.type, "recovery") ? &h->recovery : &slot;

			*keep = slot;
			if (keep == &slot)
				slot_clear(&slot);
		}
	}
	return h->recovery.type[0] ? ERR_OK : err_set(e, ERR_NO_SLOT, "no recovery slot");
}

static enum err recovery_secret(json_t *v, const struct slot *slot, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL;
	const char *text = vector_text(v, "recovery");
	struct key_scope scope = { PURPOSE_RECOVERY_SECRET, slot->keyring, slot->uuid };
	enum err err = recovery_key_parse((const uint8_t *)text, strlen(text), &key, e);

	return err ? err : crypto_derive(key, &scope, ret, e);
}

/* Checks a keyring key that was opened: fingerprint, then MAC. */
static enum err check_key(struct header *h, const struct authenticated_ring *ring, const struct secret *key,
			  struct err_ctx *e)
{
	uint8_t fingerprint[FINGERPRINT_SIZE], mac[MAC_SIZE];
	enum err err = crypto_fingerprint(key, &ring->ring.uuid, fingerprint, e);

	if (!err && !crypto_equal32(fingerprint, ring->ring.fingerprint))
		err = err_set(e, ERR_FINGERPRINT, "ring %u", ring->ring.generation);
	if (!err)
		err = header_mac(key, &ring->ring, h->slots, h->n_slots, mac, e);
	if (!err && !crypto_equal32(mac, ring->mac))
		h->mac_is_wrong = true;
	return err;
}

static const struct slot_wrap *find_wrap(const struct slot *slot, const struct ring *ring)
{
	for (unsigned i = 0; i < slot->n_wraps; i++)
		if (memcmp(slot->wraps[i].epoch, ring->epoch, EPOCH_SIZE) == 0)
			return &slot->wraps[i];
	return NULL;
}

static enum err open_rings(json_t *v, struct header *h, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *secret = NULL;
	struct key_scope scope = { PURPOSE_SLOT_WRAP, h->recovery.keyring, h->recovery.uuid };
	enum err err = recovery_secret(v, &h->recovery, &secret, e);
	bool any = false;

	for (unsigned i = 0; !err && i < h->keyring.n_rings; i++) {
		const struct slot_wrap *wrap = find_wrap(&h->recovery, &h->keyring.rings[i].ring);

		if (!wrap)
			continue;
		any = true;
		err = crypto_unwrap(secret, &scope, &wrap->key, &h->keys[i], e);
		if (!err)
			err = check_key(h, &h->keyring.rings[i], h->keys[i], e);
	}
	return err || any ? err : err_set(e, ERR_UNWRAP, "no wrap of this keyring's key");
}

static const struct secret *key_for(const struct header *h, const struct record *r)
{
	for (unsigned i = 0; i < h->keyring.n_rings; i++)
		if (uuid_equal(&r->keyring, &h->keyring.rings[i].ring.uuid) &&
		    memcmp(r->epoch, h->keyring.rings[i].ring.epoch, EPOCH_SIZE) == 0)
			return h->keys[i];
	return NULL;
}

/* Opens each record that a keyring key is there for, and compares it with the keys that are expected, if any are. */
static enum err open_records(json_t *keys, const struct header *h, const struct records *records, struct err_ctx *e)
{
	size_t n = 0;

	for (unsigned i = 0; i < records->n; i++) {
		const struct record *r = &records->records[i];
		struct key_scope scope = { PURPOSE_RECORD_WRAP, r->keyring, r->uuid };
		_cleanup_secret_ struct secret *key = NULL;
		char hex[HEX_TEXT_SIZE(KEY_SIZE)];

		if (!key_for(h, r))
			continue;
		enum err err = crypto_unwrap(key_for(h, r), &scope, &r->key, &key, e);
		if (err)
			return err;
		hex_encode(SPAN(secret_data(key), KEY_SIZE), hex);
		if (keys)
			assert_string_equal(hex, json_string_value(json_array_get(keys, n)));
		n++;
	}
	assert_true(!keys || n == json_array_size(keys));
	return n ? ERR_OK : err_set(e, ERR_NO_RECORD, "no record of this keyring's key");
}

static enum err open_header(json_t *v, struct header *h, struct err_ctx *e)
{
	enum err err = read_header(v, h, e);
	const char *dataset;
	json_t *value;

	if (!err)
		err = open_rings(v, h, e);
	if (err)
		return err;
	json_object_foreach(json_object_get(v, "records"), dataset, value) {
		struct records records;

		err = records_parse(json_string_value(value), &records, e);
		if (!err)
			err = open_records(json_object_get(json_object_get(v, "keys"), dataset), h, &records, e);
		if (err)
			return err;
	}
	return h->mac_is_wrong ? err_set(e, ERR_MAC, "the MAC is another") : ERR_OK;
}

static void check_good_header(json_t *v)
{
	_cleanup_(header_clear) struct header h = { 0 };
	struct err_ctx e = { 0 };

	vector_assert(v, open_header(v, &h, &e) == ERR_OK);
}

static void good_headers_open(void **state)
{
	(void)state;
	vectors_walk("good/header.json", check_good_header);
}

static void check_bad_header(json_t *v)
{
	_cleanup_(header_clear) struct header h = { 0 };
	struct err_ctx e = { 0 };

	vector_assert_error(v, open_header(v, &h, &e), &e);
}

static void bad_headers_are_refused(void **state)
{
	(void)state;
	vectors_walk("bad/header.json", check_bad_header);
}

/* ---- every value on the way ---- */

static struct secret *secret_of(json_t *from, const char *member)
{
	const char *hex = vector_text(from, member);
	struct secret *s = NULL;

	assert_non_null(hex);
	assert_int_equal(secret_new(strlen(hex) / 2, &s, NULL), ERR_OK);
	assert_true(hex_decode(hex, secret_bytes(s), secret_size(s)));
	return s;
}

static bool derives(const struct secret *from, struct key_scope scope, json_t *expect, const char *member)
{
	_cleanup_secret_ struct secret *key = NULL;

	assert_int_equal(crypto_derive(from, &scope, &key, NULL), ERR_OK);
	return expects_hex(expect, member, secret_data(key), KEY_SIZE);
}

static void check_derived_rings(json_t *v, const struct header *h)
{
	json_t *derived = json_object_get(v, "derived");
	struct uuid keyring = h->keyring.rings[0].ring.uuid;
	_cleanup_secret_ struct secret *recovery = secret_of(derived, "recovery_key");
	uint8_t public[X25519_SIZE];

	vector_assert(v, derives(recovery, (struct key_scope){ PURPOSE_RECOVERY_X25519, keyring, keyring }, derived,
				 "recovery_private"));
	assert_int_equal(crypto_recovery_public(recovery, &keyring, public, NULL), ERR_OK);
	vector_assert(v, expects_hex(derived, "recovery_public", public, X25519_SIZE));
	for (unsigned i = 0; i < h->keyring.n_rings; i++) {
		json_t *ring = json_array_get(json_object_get(derived, "rings"), i);
		const struct secret *key = h->keys[i];

		vector_assert(v, expects_hex(ring, "keyring_key", secret_data(key), KEY_SIZE));
		vector_assert(v, derives(key, (struct key_scope){ PURPOSE_FINGERPRINT, keyring, keyring }, ring,
					 "fingerprint"));
		vector_assert(v, derives(key, (struct key_scope){ PURPOSE_TABLE_MAC, keyring, keyring }, ring,
					 "mac_key"));
	}
}

/* The slot secret opens the keyring, and the recovery key's holder gets it back out of renew. */
static void check_derived_slot(json_t *v, const struct header *h, const char *name)
{
	json_t *derived = json_object_get(v, "derived"), *expect = json_object_get(derived, "slots");
	_cleanup_secret_ struct secret *recovery = secret_of(derived, "recovery_key");
	_cleanup_secret_ struct secret *renewed = NULL, *key = NULL;
	_cleanup_(slot_clear) struct slot slot = { 0 };

	expect = json_object_get(expect, name);
	assert_int_equal(slot_parse(name, vector_text(json_object_get(v, "slots"), name), &slot, NULL), ERR_OK);
	struct renew_scope renew = { slot.keyring, slot.uuid, h->keys[0] };
	struct key_scope scope = { PURPOSE_SLOT_WRAP, slot.keyring, slot.uuid };
	assert_int_equal(crypto_renew_open(&renew, recovery, &slot.renew, &renewed, NULL), ERR_OK);
	vector_assert(v, expects_hex(expect, "secret", secret_data(renewed), KEY_SIZE));
	vector_assert(v, derives(renewed, scope, expect, "wrap_kek"));
	assert_int_equal(crypto_unwrap(renewed, &scope, &slot.wraps[0].key, &key, NULL), ERR_OK);
	vector_assert(v, secret_equal(key, h->keys[0]));
}

/* What zseal makes of an answer, and of what a TPM unsealed, is the slot's secret. */
static void check_answer(json_t *v, const char *name, json_t *answer)
{
	json_t *expect = json_object_get(json_object_get(json_object_get(v, "derived"), "slots"), name);
	const char *text = vector_text(answer, "typed");
	_cleanup_secret_ struct secret *typed = NULL, *stretched = NULL, *unsealed = NULL, *both = NULL;
	_cleanup_(slot_clear) struct slot slot = { 0 };
	struct slot_passphrase passphrase;
	struct slot_tpm2 sealed;

	assert_int_equal(secret_new_copy(text, strlen(text), &typed, NULL), ERR_OK);
	assert_int_equal(slot_parse(name, vector_text(json_object_get(v, "slots"), name), &slot, NULL), ERR_OK);
	if (slot_passphrase_parse(slot.protect, &passphrase, NULL) == ERR_OK) {
		assert_int_equal(crypto_stretch(typed, &passphrase.stretch, &stretched, NULL), ERR_OK);
		vector_assert(v, expects_hex(expect, "secret", secret_data(stretched), KEY_SIZE));
		return;
	}
	assert_int_equal(slot_tpm2_parse(slot.protect, &sealed, NULL), ERR_OK);
	assert_int_equal(crypto_stretch(typed, &sealed.pin, &stretched, NULL), ERR_OK);
	unsealed = secret_of(answer, "unsealed");
	assert_int_equal(secret_new_joined(unsealed, stretched, &both, NULL), ERR_OK);
	vector_assert(v, derives(both, (struct key_scope){ PURPOSE_PIN_SECRET, slot.keyring, slot.uuid }, expect,
				 "secret"));
}

static void check_derived(json_t *v)
{
	_cleanup_(header_clear) struct header h = { 0 };
	json_t *slots = json_object_get(json_object_get(v, "derived"), "slots"), *value;
	const char *name;

	if (!slots)
		return;
	vector_assert(v, open_header(v, &h, NULL) == ERR_OK);
	check_derived_rings(v, &h);
	json_object_foreach(slots, name, value)
		check_derived_slot(v, &h, name);
	json_object_foreach(json_object_get(v, "answers"), name, value)
		check_answer(v, name, value);
}

static void every_derived_value_is_that_of_the_second_implementation(void **state)
{
	(void)state;
	vectors_walk("good/header.json", check_derived);
}

/* ---- what vectors cannot say ---- */

static const struct ring any_ring = {
	.uuid = { { 1, [6] = 0x40, [8] = 0x80 } },
	.generation = 7,
	.n_order = 2,
	.order = { "tpm2", "recovery" },
};

static void slots_are_authenticated_in_any_order(void **state)
{
	struct raw_slot slots[] = { { "b", "{}" }, { "a", "{}" }, { "a-", "{}" } };
	struct raw_slot turned[] = { slots[2], slots[1], slots[0] };
	_cleanup_secret_ struct secret *key = NULL;
	uint8_t first[MAC_SIZE], second[MAC_SIZE], without[MAC_SIZE];

	(void)state;
	assert_int_equal(secret_new(KEY_SIZE, &key, NULL), ERR_OK);
	assert_int_equal(header_mac(key, &any_ring, slots, 3, first, NULL), ERR_OK);
	assert_int_equal(header_mac(key, &any_ring, turned, 3, second, NULL), ERR_OK);
	assert_int_equal(header_mac(key, &any_ring, NULL, 0, without, NULL), ERR_OK);
	assert_memory_equal(first, second, MAC_SIZE);
	assert_memory_not_equal(first, without, MAC_SIZE);
	assert_string_equal(slots[0].name, "a");
	assert_string_equal(slots[1].name, "a-");
}

#define ANY_UUID "01000000-0000-4000-8000-000000000000"

static void a_slot_belongs_by_its_frame(void **state)
{
	static const struct {
		const char *value;
		bool belongs;
	} cases[] = {
		{ "{\"v\":1,\"keyring\":\"" ANY_UUID "\"}", true },
		{ "{ \"v\": 2, \"new\": [{}], \"keyring\": \"" ANY_UUID "\" }", true },
		{ "{\"keyring\":\"01000000-0000-4000-8000-000000000001\"}", false },
		{ "{\"keyring\":\"" ANY_UUID "\",\"keyring\":\"" ANY_UUID "\"}", false },
		{ "{\"x\":{\"keyring\":\"" ANY_UUID "\"}}", false },
		{ "{\"keyring\":[\"" ANY_UUID "\"]}", false },
		{ "[\"keyring\",\"" ANY_UUID "\"]", false },
		{ "{\"keyring\":\"" ANY_UUID "\"", false },
		{ "{\"keyring\":\"" ANY_UUID "\"}\n", false },
		{ "{\"keyring\":\"" ANY_UUID "\",\"x\":1.5}", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(belongs_to(cases[i].value, &any_ring.uuid), cases[i].belongs);
}

#define IDS   "\"uuid\":\"" ANY_UUID "\",\"keyring\":\"" ANY_UUID "\""
#define SRK   "\"srk\":\"AAsAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\""
#define SALT  "\"salt\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""
#define BLOBS "\"public\":\"AA==\",\"private\":\"AA==\""

/* Of two kinds, enough to see every sort of complaint. */
static void errors_say_what_is_wrong(void **state)
{
	static const struct {
		enum err (*try)(json_t *v, const char *value, char **ret, struct err_ctx *e);
		const char *value, *says;
	} cases[] = {
		{ try_records, "{\"v\":3}", "version 3" },
		{ try_records, "{\"records\":[]}", "member \"v\" is missing" },
		{ try_records, "{\"v\":1,\"records\":7}", "member \"records\": expected an array of 1 to 4 objects" },
		{ try_records, "{\"v\":1,\"records\":[]}", "member \"records\": expected an array of 1 to 4 objects" },
		{ try_records, "{\"v\":1,\"records\":[7]}", "expected an object" },
		{ try_records, "{\"v\":1,\"records\":[{}]}", "member \"uuid\" is missing" },
		{ try_records, "{\"v\":1,\"records\":[{\"uuid\":7}]}", "member \"uuid\": expected a UUID in lower case" },
		{ try_records, "{\"v\":1,\"records\":[{" IDS ",\"epoch\":\"AA==\"}]}",
		  "member \"epoch\": expected base64 of 16 bytes" },
		{ try_records, "{\"v\":1", "cut off at byte 6" },
		{ try_records, "{\"v\":1,\"v\":1}", "a member is there twice, at byte 10" },
		{ try_records, "{\"v\":1}}", "not JSON at byte 8" },
		{ try_records, "[]", "expected an object" },
		{ try_records, "{\"v\":\x7f}", "byte 5 is not printable ASCII" },
		{ try_records, "{\"v\":99999999999999999999}", "a number is too large, at byte 25" },
		{ try_records, "{\"v\":1.0}", "not a whole number at byte 6" },
		{ try_records, "{\"v\":0e1}", "not a whole number at byte 6" },
		{ try_records, "{\"v\":9E1}", "not a whole number at byte 6" },
		{ try_records, "{\"\\u0076\":1}", "an escape that printable ASCII does not need" },
		{ try_records, "[[[[[[[[[[[[[[[[[", "more than 16 objects in each other" },
		{ try_records, "[][][][][][][][][][][][][][][][][]", "not JSON at byte 3" },
		{ try_tpm2, "{" SRK ",\"public\":\"\"}", "member \"public\": expected base64 of 1 to 1024 bytes" },
		{ try_tpm2, "{" SRK "," BLOBS ",\"pen\":1}", "unknown member \"pen\"" },
		{ try_tpm2, "{" SRK "," BLOBS ",\"pin\":{}}", "member \"salt\" is missing" },
		{ try_tpm2, "{" SRK "," BLOBS ",\"pin\":{" SALT ",\"log_n\":14,\"r\":8,\"p\":1}}",
		  "policy is there if, and only if, there are pcrs or pin" },
		{ try_passphrase, "{\"stretch\":{" SALT ",\"log_n\":21,\"r\":8,\"p\":1}}",
		  "member \"log_n\": expected a number from 10 to 20" },
		{ try_passphrase, "{\"stretch\":{" SALT ",\"log_n\":14,\"r\":9,\"p\":1}}", "member \"r\": expected 8" },
		{ try_passphrase, "{\"stretch\":{" SALT ",\"log_n\":14,\"r\":8,\"p\":17}}",
		  "member \"p\": expected a number from 1 to 16" },
		{ try_tpm2, "{" SRK "," BLOBS ",\"pcrs\":[7]}", "bank and pcrs are there together or not at all" },
		{ try_tpm2, "{" SRK ", " BLOBS "}", "not canonical from byte 58 on" },
		{ try_tpm2, "{" BLOBS "," SRK "}", "not canonical from byte 2 on" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *none = NULL;
		struct err_ctx e = { 0 };

		assert_int_not_equal(cases[i].try(NULL, cases[i].value, &none, &e), ERR_OK);
		assert_string_equal(e.chain[0], cases[i].says);
	}
}

static void errors_say_where_it_is(void **state)
{
	struct err_ctx e = { 0 };
	struct records r;

	(void)state;
	assert_int_equal(records_parse("{\"v\":1,\"records\":[{}]}", &r, &e), ERR_FORMAT);
	assert_int_equal(e.depth, 2);
	assert_string_equal(e.chain[1], "in \"records\", element 1");
}

static void an_unknown_member_is_named_within_bounds(void **state)
{
	_cleanup_free_ char *value = NULL;
	struct err_ctx e = { 0 };
	struct slot_tpm2 t;

	(void)state;
	assert_int_equal(str_format(&value, &e, "{" SRK "," BLOBS ",\"%0999d\":1}", 0), ERR_OK);
	assert_int_equal(slot_tpm2_parse(value, &t, &e), ERR_FORMAT);
	assert_true(strlen(e.chain[0]) < 100);
}

static void an_error_leaves_the_result_alone(void **state)
{
	struct keyring_property p, before;
	struct err_ctx e = { 0 };

	(void)state;
	memset(&p, 0xa5, sizeof(p));
	memset(&before, 0xa5, sizeof(before));
	assert_int_equal(keyring_property_parse("{\"v\":1,\"rings\":[{}]}", &p, &e), ERR_FORMAT);
	assert_memory_equal(&p, &before, sizeof(p));
}

/* Printing refuses, as a mistake of ours, what could not be read again. */
static void what_could_not_be_read_is_not_printed(void **state)
{
	struct keyring_property p = { .n_rings = 1, .rings[0].ring = any_ring };
	struct keyring_property wrong[] = { p, p, p, p, p, p };
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_int_equal(keyring_property_print(&p, &text, NULL), ERR_OK);
	wrong[0].n_rings = 3;
	wrong[1].rings[0].ring.generation = 0;
	wrong[2].rings[0].ring.created = UINT64_MAX;
	wrong[3].rings[0].ring.n_order = SLOTS_MAX + 1;
	strcpy(wrong[4].rings[0].ring.order[1], "tpm2");
	memset(wrong[5].rings[0].ring.order[1], 'x', NAME_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_free_ char *none = NULL;

		assert_int_equal(keyring_property_print(&wrong[i], &none, NULL), ERR_BUG);
		assert_null(none);
	}
}

/* A slot around a protector's part of protect_size bytes. */
static enum err print_slot(size_t protect_size, char **ret)
{
	_cleanup_(slot_clear) struct slot slot = { .name = "a", .type = "later", .n_wraps = 1 };

	assert_int_equal(str_format(&slot.protect, NULL, "{\"x\":\"%0*d\"}", (int)protect_size - 8, 0), ERR_OK);
	return slot_print(&slot, ret, NULL);
}

static void a_value_fits_into_a_property_or_is_refused(void **state)
{
	_cleanup_free_ char *small = NULL, *full = NULL, *none = NULL;

	(void)state;
	assert_int_equal(print_slot(20, &small), ERR_OK);
	size_t room = PROPERTY_VALUE_MAX - strlen(small) + 20;
	assert_int_equal(print_slot(room, &full), ERR_OK);
	assert_int_equal(strlen(full), PROPERTY_VALUE_MAX);
	assert_int_equal(print_slot(room + 1, &none), ERR_TOO_LARGE);
	assert_null(none);
}

static void the_protectors_part_must_be_an_object(void **state)
{
	static const char *const wrong[] = { "", "{", "[]", "\"x\"", "{}{}", "{\"x\":1.5}", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct slot slot = { .type = "later", .n_wraps = 1, .protect = (char *)wrong[i] };
		_cleanup_free_ char *none = NULL;

		assert_int_equal(slot_print(&slot, &none, NULL), ERR_BUG);
	}
}

static void a_copy_is_printed_sorted(void **state)
{
	char a[] = "a", b[] = "b", odd[] = "\xff";
	struct header_copy_value values[] = { { b, b }, { a, a } }, twice[] = { values[0], values[0] };
	struct header_copy copy = { .pool = a, .dataset = a, .keyring = a, .n_slots = 2, .slots = values };
	_cleanup_(header_copy_clear) struct header_copy read = { 0 };
	_cleanup_free_ char *text = NULL, *none = NULL;

	(void)state;
	assert_int_equal(header_copy_print(&copy, &text, NULL), ERR_OK);
	assert_int_equal(header_copy_parse(text, &read, NULL), ERR_OK);
	assert_string_equal(read.slots[0].name, "a");
	assert_string_equal(read.slots[1].value, "b");
	copy.slots = twice;
	assert_int_equal(header_copy_print(&copy, &none, NULL), ERR_BUG);
	values[0].value = odd;
	copy.slots = values;
	assert_int_equal(header_copy_print(&copy, &none, NULL), ERR_FORMAT);
	copy.n_slots = 0;
	copy.keyring = odd;
	assert_int_equal(header_copy_print(&copy, &none, NULL), ERR_BUG);
	copy.keyring = NULL;
	assert_int_equal(header_copy_print(&copy, &none, NULL), ERR_BUG);
}

static void a_fingerprint_is_printed_in_groups(void **state)
{
	static const char *const wrong[] = { "", "0001-0203", "0001-0203-0405-0607-0809-0a0b-0c0d-0e0F",
					     "0001-0203-0405-0607-0809-0a0b-0c0d-0e0f-",
					     "00010203-0405-0607-0809-0a0b-0c0d-0e0f-" };
	uint8_t fingerprint[FINGERPRINT_SIZE];
	char text[FINGERPRINT_TEXT_SIZE];

	(void)state;
	for (unsigned i = 0; i < sizeof(fingerprint); i++)
		fingerprint[i] = (uint8_t)i;
	fingerprint_print(fingerprint, text);
	assert_string_equal(text, "0001-0203-0405-0607-0809-0a0b-0c0d-0e0f");
	assert_true(fingerprint_text_is_valid(text));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(fingerprint_text_is_valid(wrong[i]));
}

static void what_is_empty_can_be_cleared(void **state)
{
	struct header_copy copy = { 0 };
	struct slot slot = { 0 };

	(void)state;
	slot_clear(&slot);
	header_copy_clear(&copy);
	header_copy_clear(NULL);
	assert_string_equal(tpm2_bank_name(TPM2_BANK_NONE), "none");
	assert_string_equal(tpm2_bank_name(TPM2_BANK_MAX), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_values_mean_what_they_should_and_print_the_same),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(a_value_cut_off_anywhere_is_refused),
		cmocka_unit_test(good_headers_open),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(every_derived_value_is_that_of_the_second_implementation),
		cmocka_unit_test(slots_are_authenticated_in_any_order),
		cmocka_unit_test(a_slot_belongs_by_its_frame),
		cmocka_unit_test(errors_say_what_is_wrong),
		cmocka_unit_test(errors_say_where_it_is),
		cmocka_unit_test(an_unknown_member_is_named_within_bounds),
		cmocka_unit_test(an_error_leaves_the_result_alone),
		cmocka_unit_test(what_could_not_be_read_is_not_printed),
		cmocka_unit_test(a_value_fits_into_a_property_or_is_refused),
		cmocka_unit_test(the_protectors_part_must_be_an_object),
		cmocka_unit_test(a_copy_is_printed_sorted),
		cmocka_unit_test(a_fingerprint_is_printed_in_groups),
		cmocka_unit_test(what_is_empty_can_be_cleared),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
