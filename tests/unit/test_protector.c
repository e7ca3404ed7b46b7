/* SPDX-License-Identifier: MIT */
/*
 * The protectors that need something of a person: what they make opens again, with the right answer and with nothing
 * else. Keys are computed here once more, from docs/format.md.
 */
#include "tpm2.h"

#include "format/slot-passphrase.h"
#include "protector/protector.h"

enum { LEAST_LOG_N = 14 };

struct fixture {
	struct protector_context context;
	struct protect_request request;
	struct secret *answer;
	struct slot slot;
	struct secret *secret; /* of the slot */
};

static struct secret *word(const char *text)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_copy(text, strlen(text), &s, NULL), ERR_OK);
	return s;
}

static struct fixture begin(const char *answer)
{
	struct fixture f = { .context.stretch = { .time_ms = 1, .memory_mib = 16 }, .request.deadline = soon() };

	f.answer = answer ? word(answer) : NULL;
	f.request.answer = f.answer;
	assert_int_equal(uuid_new(&f.request.keyring, NULL), ERR_OK);
	assert_int_equal(uuid_new(&f.request.slot, NULL), ERR_OK);
	f.slot.keyring = f.request.keyring;
	f.slot.uuid = f.request.slot;
	return f;
}

/* Makes a slot; its own context, as after a reboot, opens it. */
static void make(struct fixture *f, const struct protector *p)
{
	struct err_ctx e = { 0 };

	expect(p->protect(&f->context, &f->request, &f->secret, &f->slot.protect, &e), ERR_OK, &e);
	snprintf(f->slot.type, sizeof(f->slot.type), "%s", p->type);
	protector_context_clear(&f->context);
}

static void end(struct fixture *f)
{
	protector_context_clear(&f->context);
	secret_free(f->answer);
	secret_free(f->secret);
	slot_clear(&f->slot);
}

/* What opening gives with an answer (NULL: none), and whether that is the slot's secret. */
static enum err open_with(struct fixture *f, enum answer kind, const char *answer, bool *ret_same, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *typed = answer ? word(answer) : NULL, *back = NULL;
	const struct protector *p = protector_find(f->slot.type);

	err_clear(e);
	f->context.answers[kind] = typed;
	enum err err = p->open(&f->context, &f->slot, soon(), &back, e);
	f->context.answers[kind] = NULL;
	assert_true((err == ERR_OK) == (back != NULL));
	*ret_same = back && secret_equal(back, f->secret);
	return err;
}

static void replace_protect(struct fixture *f, const struct slot_tpm2 *s)
{
	free(TAKE(f->slot.protect));
	assert_int_equal(slot_tpm2_print(s, &f->slot.protect, NULL), ERR_OK);
}

static struct slot_tpm2 parsed(const struct fixture *f)
{
	struct slot_tpm2 s;

	assert_int_equal(slot_tpm2_parse(f->slot.protect, &s, NULL), ERR_OK);
	return s;
}

/* ---- passphrase ---- */

static void test_passphrase(void **state)
{
	struct fixture f = begin("correct horse");
	struct slot_passphrase s;
	struct err_ctx e = { 0 };
	bool same;

	(void)state;
	make(&f, &protector_passphrase);
	assert_int_equal(slot_passphrase_parse(f.slot.protect, &s, NULL), ERR_OK);
	assert_int_equal(s.stretch.log_n, LEAST_LOG_N);
	assert_int_equal(protector_needs(&f.slot), ANSWER_PASSPHRASE);
	expect(protector_passphrase.check(&f.context, &f.slot, &e), ERR_OK, &e);
	expect(open_with(&f, ANSWER_PASSPHRASE, "correct horse", &same, &e), ERR_OK, &e);
	assert_true(same);
	/* that it is wrong is noticed by whoever unwraps with it */
	expect(open_with(&f, ANSWER_PASSPHRASE, "correct hors", &same, &e), ERR_OK, &e);
	assert_false(same);
	expect(open_with(&f, ANSWER_PASSPHRASE, NULL, &same, &e), ERR_NO_INPUT, &e);
	expect(open_with(&f, ANSWER_PIN, "correct horse", &same, &e), ERR_NO_INPUT, &e);
	end(&f);
}

static void test_same_passphrase_twice(void **state)
{
	struct fixture a = begin("again"), b = begin("again");

	(void)state;
	make(&a, &protector_passphrase);
	make(&b, &protector_passphrase);
	assert_false(secret_equal(a.secret, b.secret));
	assert_string_not_equal(a.slot.protect, b.slot.protect);
	end(&a);
	end(&b);
}

static void test_passphrase_that_was_not_given(void **state)
{
	struct fixture f = begin(NULL);
	struct err_ctx e = { 0 };

	(void)state;
	expect(protector_passphrase.protect(&f.context, &f.request, &f.secret, &f.slot.protect, &e), ERR_NO_INPUT, &e);
	assert_null(f.slot.protect);
	assert_null(f.secret);
	end(&f);
}

/* Well-formed, and meant to keep the machine busy: refused without any of the work. */
static void test_cost_bombs(void **state)
{
	static const struct {
		uint32_t log_n, p;
	} bombs[] = { { 20, 2 }, { 20, 16 }, { 17, 16 }, { 19, 3 } };
	struct fixture f = begin("x");
	struct err_ctx e = { 0 };
	bool same;

	(void)state;
	make(&f, &protector_passphrase);
	for (size_t i = 0; i < ARRAY_SIZE(bombs); i++) {
		struct slot_passphrase s = { .stretch = { .log_n = bombs[i].log_n, .r = STRETCH_R, .p = bombs[i].p } };

		free(TAKE(f.slot.protect));
		assert_int_equal(slot_passphrase_print(&s, &f.slot.protect, NULL), ERR_OK);
		expect(open_with(&f, ANSWER_PASSPHRASE, "x", &same, &e), ERR_STRETCH_COST, &e);
		expect(protector_passphrase.check(&f.context, &f.slot, &e), ERR_STRETCH_COST, &e);
	}
	end(&f);
}

/* ---- PIN ---- */

static struct fixture begin_pin(const struct swtpm *s, const char *pin, uint32_t pcrs)
{
	struct fixture f = begin(pin);

	f.context.tcti = swtpm_address(s);
	f.request.pcrs = pcrs;
	make(&f, &protector_tpm2);
	return f;
}

static void test_pin(void **state)
{
	static const uint32_t cases[] = { 0, PCR(7) };
	struct swtpm *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f = begin_pin(s, "1234", cases[i]);
		struct err_ctx e = { 0 };
		bool same;

		assert_int_equal(parsed(&f).pin.log_n, LEAST_LOG_N);
		assert_int_equal(protector_needs(&f.slot), ANSWER_PIN);
		expect(protector_tpm2.check(&f.context, &f.slot, &e), ERR_OK, &e);
		expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_OK, &e);
		assert_true(same);
		wire_forget(s);
		expect(open_with(&f, ANSWER_PIN, NULL, &same, &e), ERR_NO_INPUT, &e);
		expect(open_with(&f, ANSWER_PASSPHRASE, "1234", &same, &e), ERR_NO_INPUT, &e);
		assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);
		end(&f);
	}
}

static void test_tpm2_without_pin_needs_nobody(void **state)
{
	struct fixture f = begin_pin(*state, NULL, PCR(7));
	struct err_ctx e = { 0 };
	bool same;

	assert_int_equal(protector_needs(&f.slot), ANSWER_NONE);
	assert_false(parsed(&f).has_pin);
	expect(open_with(&f, ANSWER_PIN, NULL, &same, &e), ERR_OK, &e);
	assert_true(same);
	end(&f);
}

/* Unattended up to the last try; then only a person at a terminal. */
static void test_wrong_pins(void **state)
{
	struct fixture f = begin_pin(*state, "1234", PCR(7));
	struct err_ctx e = { 0 };
	bool same;

	for (int left = 2; left > 0; left--) {
		expect(open_with(&f, ANSWER_PIN, "12345", &same, &e), ERR_PIN_WRONG, &e);
		assert_int_equal(e.chain[0][0], '0' + left);
		assert_null(strstr(e.chain[0], "12345"));
	}
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_TPM_LOCKOUT_NEAR, &e);
	f.context.typed = true;
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_OK, &e);
	assert_true(same);
	expect(open_with(&f, ANSWER_PIN, "12345", &same, &e), ERR_PIN_WRONG, &e);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_TPM_LOCKOUT, &e);
	end(&f);
}

/* What is sealed opens nothing without the PIN: it is half of what the slot secret is derived from. */
static void test_broken_tpm_leaves_guessing(void **state)
{
	struct swtpm *s = *state;
	struct fixture f = begin_pin(s, "1234", 0);
	struct slot_tpm2 sealed = parsed(&f);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *pin = word("1234"), *stretched = NULL, *auth = NULL, *data = NULL, *both = NULL,
				       *secret = NULL;
	struct key_scope scope = { PURPOSE_PIN_AUTH, f.slot.keyring, f.slot.uuid };
	struct err_ctx e = { 0 };

	expect(crypto_stretch(pin, &sealed.pin, &stretched, &e), ERR_OK, &e);
	expect(crypto_derive(stretched, &scope, &auth, &e), ERR_OK, &e);
	while (secret_data(auth)[secret_size(auth) - 1] == 0)
		secret_shrink(auth, secret_size(auth) - 1);
	struct tpm2_try try = { .sealed = &sealed, .auth = auth, .deadline = soon() };
	expect(tpm2_unseal_pin(t, &try, &data, &e), ERR_OK, &e);
	assert_false(secret_equal(data, f.secret));
	expect(secret_new_joined(data, stretched, &both, &e), ERR_OK, &e);
	scope.purpose = PURPOSE_PIN_SECRET;
	expect(crypto_derive(both, &scope, &secret, &e), ERR_OK, &e);
	assert_true(secret_equal(secret, f.secret));
	end(&f);
}

/* One PIN in 256 has an authorisation value that ends in a zero: a slot is looked for whose does. */
static void test_auth_that_ends_in_zeros(void **state)
{
	struct swtpm *s = *state;
	struct fixture f = begin("1234");
	struct stretch cheap = { .log_n = STRETCH_LOG_N_MIN, .r = STRETCH_R, .p = 1 };
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *stretched = NULL, *auth = NULL, *data = new_secret();
	struct key_scope scope = { PURPOSE_PIN_AUTH, f.slot.keyring, f.slot.uuid };
	struct slot_tpm2 sealed;
	struct err_ctx e = { 0 };
	bool same;

	expect(crypto_stretch(f.answer, &cheap, &stretched, &e), ERR_OK, &e);
	do {
		secret_free(TAKE(auth));
		scope.object.bytes[15]++;
		scope.object.bytes[14] += scope.object.bytes[15] == 0;
		expect(crypto_derive(stretched, &scope, &auth, &e), ERR_OK, &e);
	} while (secret_data(auth)[KEY_SIZE - 1] != 0);
	while (secret_data(auth)[secret_size(auth) - 1] == 0)
		secret_shrink(auth, secret_size(auth) - 1);
	struct tpm2_seal seal = { .secret = data, .auth = auth };
	expect(tpm2_seal(t, &seal, soon(), &sealed, &e), ERR_OK, &e);
	sealed.pin = cheap;
	f.context.tcti = swtpm_address(s);
	f.slot.uuid = scope.object;
	strcpy(f.slot.type, "tpm2");
	f.secret = new_secret();
	replace_protect(&f, &sealed);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_OK, &e);
	end(&f);
}

/* Whoever may write the header cannot make it cost more than one wrong try, nor more than the work that is allowed. */
static void test_changed_pin_member(void **state)
{
	struct swtpm *s = *state;
	struct fixture f = begin_pin(s, "1234", PCR(7)), other = begin_pin(s, "1234", PCR(7));
	const struct slot_tpm2 good = parsed(&f);
	struct slot_tpm2 bad = good;
	struct err_ctx e = { 0 };
	bool same;

	bad.has_pin = false;
	memset(&bad.pin, 0, sizeof(bad.pin));
	replace_protect(&f, &bad);
	assert_int_equal(protector_needs(&f.slot), ANSWER_NONE);
	wire_forget(s);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_TPM_OBJECT, &e);

	bad = good;
	bad.pin.log_n = STRETCH_LOG_N_MAX;
	bad.pin.p = STRETCH_P_MAX;
	replace_protect(&f, &bad);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_STRETCH_COST, &e);
	expect(protector_tpm2.check(&f.context, &f.slot, &e), ERR_STRETCH_COST, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Load), 0);

	bad = good;
	bad.pin.salt[0] ^= 1;
	replace_protect(&f, &bad);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_PIN_WRONG, &e);

	bad = good;
	bad.pin = parsed(&other).pin;
	replace_protect(&f, &bad);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_PIN_WRONG, &e);

	/* the whole of it in another slot: the TPM is given another value */
	swtpm_tool(s, "tpm2_dictionarylockout -c");
	replace_protect(&other, &good);
	expect(open_with(&other, ANSWER_PIN, "1234", &same, &e), ERR_PIN_WRONG, &e);
	replace_protect(&f, &good);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_OK, &e);
	assert_true(same);
	end(&f);
	end(&other);
}

/* Another machine's slot is told by one command, before the PIN is stretched: here that would be refused. */
static void test_not_mine_comes_first(void **state)
{
	struct swtpm *s = *state;
	struct fixture f = begin_pin(s, "1234", PCR(7));
	struct slot_tpm2 sealed = parsed(&f);
	struct err_ctx e = { 0 };
	bool same;

	sealed.srk_name[20] ^= 1;
	sealed.pin.log_n = STRETCH_LOG_N_MAX;
	sealed.pin.p = STRETCH_P_MAX;
	replace_protect(&f, &sealed);
	wire_forget(s);
	expect(open_with(&f, ANSWER_PIN, "1234", &same, &e), ERR_TPM_NOT_MINE, &e);
	assert_int_equal(wire_count(s, 0), 1);
	end(&f);
}

/* The order of failures: nothing of the slot is written when the TPM says no. */
static void test_lockout_when_made(void **state)
{
	struct swtpm *s = *state;
	struct fixture f = begin_pin(s, "1234", PCR(7)), late = begin("5678");
	struct tpm2_lockout l;
	struct err_ctx e = { 0 };
	bool same;

	expect(protector_tpm2_lockout(&f.context, &l, &e), ERR_OK, &e);
	assert_false(l.auth_set);
	f.context.typed = true;
	for (int i = 0; i < 3; i++)
		expect(open_with(&f, ANSWER_PIN, "wrong", &same, &e), ERR_PIN_WRONG, &e);
	late.context.tcti = swtpm_address(s);
	err_clear(&e);
	expect(protector_tpm2.protect(&late.context, &late.request, &late.secret, &late.slot.protect, &e),
	       ERR_TPM_LOCKOUT, &e);
	assert_null(late.secret);
	assert_null(late.slot.protect);
	end(&late);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_same_passphrase_twice),
		cmocka_unit_test(test_passphrase_that_was_not_given),
		cmocka_unit_test(test_cost_bombs),
		TPM_TEST(test_pin),
		TPM_TEST(test_tpm2_without_pin_needs_nobody),
		TPM_TEST(test_wrong_pins),
		TPM_TEST(test_broken_tpm_leaves_guessing),
		TPM_TEST(test_auth_that_ends_in_zeros),
		TPM_TEST(test_changed_pin_member),
		TPM_TEST(test_not_mine_comes_first),
		TPM_TEST(test_lockout_when_made),
	};

	tpm2_tests_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
