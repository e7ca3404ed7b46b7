/* SPDX-License-Identifier: MIT */
/*
 * Objects that need a PIN, against a real software TPM: by default it locks itself at the third wrong value and forgets
 * one in a thousand seconds. What stands for a stretched PIN here is a word.
 */
#include "tpm2.h"

static struct secret *word(const char *text)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_copy(text, strlen(text), &s, NULL), ERR_OK);
	return s;
}

/* Some secret, sealed with the PIN "right". The wire's memory starts anew. */
static struct slot_tpm2 a_pin_slot(struct swtpm *s, uint32_t pcrs, const struct secret *secret)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *auth = word("right"), *some = new_secret();
	struct tpm2_seal seal = { .secret = secret ?: some, .pcrs = pcrs, .auth = auth,
				  .bank = pcrs ? TPM2_BANK_SHA256 : TPM2_BANK_NONE };
	struct err_ctx e = { 0 };
	struct slot_tpm2 slot;

	expect(tpm2_seal(t, &seal, soon(), &slot, &e), ERR_OK, &e);
	assert_true(slot.has_pin);
	wire_forget(s);
	return slot;
}

/* One try on a connection of its own. */
static enum err try_pin(const struct swtpm *s, const struct slot_tpm2 *slot, const char *pin, bool attended,
			struct err_ctx *e)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *auth = word(pin), *back = NULL;
	struct tpm2_try try = { .sealed = slot, .auth = auth, .attended = attended, .deadline = soon() };

	err_clear(e);
	enum err err = tpm2_unseal_pin(t, &try, &back, e);
	assert_true((err == ERR_OK) == (back != NULL));
	return err;
}

static struct tpm2_lockout lockout_of(const struct swtpm *s)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct tpm2_lockout l;

	assert_int_equal(tpm2_lockout_get(t, &l, NULL), ERR_OK);
	assert_int_equal(tpm2_command_count(t), 1);
	return l;
}

static void test_right_pin(void **state)
{
	static const struct {
		uint32_t pcrs;
		unsigned commands;
	} cases[] = { { 0, 7 }, { PCR(7), 9 }, { PCR(0) | PCR(7), 9 } };
	struct swtpm *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *secret = new_secret(), *auth = word("right"), *back = NULL;
		struct slot_tpm2 slot = a_pin_slot(s, cases[i].pcrs, secret);
		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
		struct tpm2_try try = { .sealed = &slot, .auth = auth, .deadline = soon() };
		struct err_ctx e = { 0 };

		/* fixedTPM, fixedParent, and nothing else */
		assert_memory_equal(slot.public + 6, "\0\0\0\x12", 4);
		expect(tpm2_check(t, &slot, &e), ERR_OK, &e);
		tpm2_close(TAKE(t));
		t = open_tpm(s);
		expect(tpm2_unseal_pin(t, &try, &back, &e), ERR_OK, &e);
		assert_true(secret_equal(secret, back));
		assert_int_equal(tpm2_command_count(t), cases[i].commands);
	}
	assert_int_equal(lockout_of(s).failures, 0);
}

static void test_wrong_pin_is_tried_once(void **state)
{
	static const char *const wrong[] = { "wrong", "righ", "right1", "r" };
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), NULL);
	struct err_ctx e = { 0 };

	swtpm_tool(s, "tpm2_dictionarylockout -s -n 9 -t 1000 -l 1000");
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		char left[ERR_PLACE_MAX];

		wire_forget(s);
		expect(try_pin(s, &slot, wrong[i], false, &e), ERR_PIN_WRONG, &e);
		snprintf(left, sizeof(left), "%u of 9 tries are left before the TPM locks itself", 8 - i);
		assert_string_equal(e.chain[0], left);
		assert_int_equal(wire_count(s, TPM2_CC_Unseal), 1);
		assert_int_equal(lockout_of(s).failures, i + 1);
	}
	expect(try_pin(s, &slot, "right", false, &e), ERR_OK, &e);
	assert_int_equal(lockout_of(s).failures, ARRAY_SIZE(wrong));
}

/* Nobody may type on, and the right one would not help: no Unseal is sent at all. */
static void test_lockout_costs_no_try(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), NULL), plain = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = new_secret(), *auth = word("right");
	struct tpm2_seal seal = { .secret = secret, .auth = auth };
	struct err_ctx e = { 0 };

	for (int i = 0; i < 3; i++)
		expect(try_pin(s, &slot, "wrong", true, &e), ERR_PIN_WRONG, &e);
	assert_string_equal(e.chain[0], "the TPM has locked itself, for up to 1000 seconds");
	wire_forget(s);
	expect(try_pin(s, &slot, "right", true, &e), ERR_TPM_LOCKOUT, &e);
	assert_string_equal(e.chain[0], "3 wrong values of 3; the next is forgotten within 1000 seconds");
	expect(tpm2_check(t, &slot, &e), ERR_TPM_LOCKOUT, &e);
	expect(tpm2_seal(t, &seal, soon(), &slot, &e), ERR_TPM_LOCKOUT, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal) + wire_count(s, TPM2_CC_Create), 0);
	assert_int_equal(unseal(s, &plain), ERR_OK); /* has noDA: not its business */

	swtpm_tool(s, "tpm2_dictionarylockout -c");
	expect(try_pin(s, &slot, "right", false, &e), ERR_OK, &e);
}

static void test_lockout_ends_by_itself(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, 0, NULL);
	struct err_ctx e = { 0 };

	swtpm_tool(s, "tpm2_dictionarylockout -s -n 1 -t 1 -l 1");
	expect(try_pin(s, &slot, "wrong", true, &e), ERR_PIN_WRONG, &e);
	for (int i = 0; i < 200 && lockout_of(s).in_lockout; i++)
		usleep(50000);
	expect(try_pin(s, &slot, "right", true, &e), ERR_OK, &e);
}

/* A wrong PIN in a file may spoil its slot, but not everybody's TPM. */
static void test_unattended_pin_never_takes_the_last_try(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), NULL);
	struct err_ctx e = { 0 };

	for (int i = 0; i < 2; i++)
		expect(try_pin(s, &slot, "wrong", false, &e), ERR_PIN_WRONG, &e);
	wire_forget(s);
	for (int i = 0; i < 3; i++) {
		expect(try_pin(s, &slot, i ? "wrong" : "right", false, &e), ERR_TPM_LOCKOUT_NEAR, &e);
		assert_string_equal(e.chain[0], "2 wrong values of 3; the next is forgotten within 1000 seconds; "
				    "the PIN was not given to it");
	}
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);
	assert_int_equal(lockout_of(s).failures, 2);
	expect(try_pin(s, &slot, "right", true, &e), ERR_OK, &e);
	assert_false(lockout_of(s).in_lockout);
}

static void test_changed_pcr_costs_no_try(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), NULL);
	struct err_ctx e = { 0 };

	swtpm_tool(s, "tpm2_pcrextend 7:sha256=$(printf %%064d 5)");
	expect(try_pin(s, &slot, "wrong", true, &e), ERR_TPM_POLICY, &e);
	expect(try_pin(s, &slot, "right", true, &e), ERR_TPM_POLICY, &e);
	assert_string_equal(e.chain[0], "PCR 7 of sha256");
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);
	assert_int_equal(lockout_of(s).failures, 0);
}

/* An unrelated PCR that changes meanwhile is another go, and no other try. */
static bool extend_8_meanwhile(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)command;
	swtpm_tool(s, "tpm2_pcrextend 8:sha256=$(printf %%064d 5)");
	response->size = 0;
	return false;
}

static void test_pcr_race_costs_no_try(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), NULL);
	struct err_ctx e = { 0 };

	wire_fault(s, TPM2_CC_Unseal, 2, extend_8_meanwhile, NULL);
	expect(try_pin(s, &slot, "right", false, &e), ERR_OK, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 3);
	assert_int_equal(lockout_of(s).failures, 0);
}

static void test_codes_of_a_wrong_pin(void **state)
{
	static const struct {
		TPM2_RC code;
		enum err err;
	} cases[] = {
		{ 0x98e, ERR_PIN_WRONG },   /* AUTH_FAIL, session 1 */
		{ 0x9a2, ERR_PIN_WRONG },   /* BAD_AUTH, session 1 */
		{ 0x99d, ERR_TPM_POLICY },  /* POLICY_FAIL: says nothing of the PIN */
		{ 0x921, ERR_TPM_LOCKOUT },
		{ 0x101, ERR_TPM_FAILED },
	};
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), NULL);
	struct err_ctx e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wire_forget(s);
		wire_fault(s, TPM2_CC_Unseal, 1, answer_code, NULL);
		s->fault_code = cases[i].code;
		expect(try_pin(s, &slot, "right", false, &e), cases[i].err, &e);
		assert_int_equal(wire_count(s, TPM2_CC_Unseal), 1);
	}
	/* a TPM that does not tell how near lockout is gets no PIN */
	wire_forget(s);
	wire_fault(s, TPM2_CC_GetCapability, 1, answer_code, NULL);
	s->fault_code = 0x101;
	expect(try_pin(s, &slot, "right", true, &e), ERR_TPM_FAILED, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);
}

/* Less than what was asked for: the last property is left out. */
static void leave_one_out(struct swtpm *s, const struct message *command, struct message *response)
{
	uint32_t size = htobe32((uint32_t)response->size - 8);

	(void)s;
	(void)command;
	response->size -= 8;
	memcpy(response->bytes + 2, &size, sizeof(size));
	response->bytes[HEADER_BYTES + 8]--;
}

static void test_lockout_is_read_whole(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, 0, NULL);
	struct err_ctx e = { 0 };

	wire_fault(s, TPM2_CC_GetCapability, 1, NULL, leave_one_out);
	expect(try_pin(s, &slot, "right", true, &e), ERR_TPM_FAILED, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);

	swtpm_tool(s, "tpm2_dictionarylockout -s -n 7 -t 11 -l 13");
	struct tpm2_lockout l = lockout_of(s);
	assert_int_equal(l.failures, 0);
	assert_int_equal(l.failures_max, 7);
	assert_int_equal(l.interval_s, 11);
	assert_int_equal(l.recovery_s, 13);
	assert_int_equal(tpm2_lockout_tries(&l), 7);
	assert_false(l.in_lockout || l.auth_set);
	swtpm_tool(s, "tpm2_changeauth -c lockout guess");
	assert_true(lockout_of(s).auth_set);
	assert_int_equal(tpm2_lockout_tries(&(struct tpm2_lockout){ .failures = 9, .failures_max = 7 }), 0);
	assert_int_equal(tpm2_lockout_tries(&(struct tpm2_lockout){ .failures_max = 7, .in_lockout = true }), 0);
}

/* What the slot says must be what the object is, before anything is sent. */
static void test_pin_member_and_object_belong_together(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 with = a_pin_slot(s, PCR(7), NULL), without = a_slot(s), bad = with;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = NULL, *auth = word("right");
	struct tpm2_try plain = { .sealed = &without, .auth = auth, .deadline = soon() };
	struct err_ctx e = { 0 };

	bad.has_pin = false;
	expect(tpm2_unseal(t, &bad, soon(), &secret, &e), ERR_TPM_OBJECT, &e);
	bad = without;
	bad.has_pin = true;
	expect(try_pin(s, &bad, "right", true, &e), ERR_TPM_OBJECT, &e);
	bad = a_pin_slot(s, 0, NULL);
	bad.has_pin = false;
	expect(tpm2_unseal(t, &bad, soon(), &secret, &e), ERR_TPM_OBJECT, &e);
	expect(tpm2_unseal(t, &with, soon(), &secret, &e), ERR_NO_INPUT, &e);
	expect(tpm2_unseal_pin(t, &plain, &secret, &e), ERR_BUG, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Load), 0);
	assert_null(secret);

	/* PCRs that are left out: another policy than the object's */
	bad = with;
	bad.pcrs = 0;
	bad.bank = TPM2_BANK_NONE;
	expect(try_pin(s, &bad, "right", true, &e), ERR_TPM_OBJECT, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);
}

#define FIXED "fixedtpm|fixedparent"

/* What an attacker with tpm2-tools on this TPM would put into a slot, to learn something of the PIN or to use it up. */
static void test_planted_objects(void **state)
{
	static const char *const options[] = {
		"-a '" FIXED "|userwithauth' -p known",
		"-a '" FIXED "|noda' -p known",
		"-a '" FIXED "|noda|userwithauth' -p known",
		"-a '" FIXED "|adminwithpolicy' -p known",
		"-a 'userwithauth' -p known",
		"-a '' -p known",
	};
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, 0, NULL);
	char policy[HEX_TEXT_SIZE(TPM2_DIGEST_SIZE)];
	struct err_ctx e = { 0 };

	hex_encode(SPAN(slot.policy, sizeof(slot.policy)), policy);
	assert_string_equal(policy, "8fcd2169ab92694e0c633f1ab772842b8241bbc20288981fc7ac1eddc1fddb0e");
	swtpm_tool(s, "echo %s | xxd -r -p > policy && printf %%032d 1 > key", policy);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		swtpm_tool(s, "tpm2_create -C 0x81000001 %s -L policy -i key -u pub -r priv && tpm2_flushcontext -t",
			   options[i]);
		slot.public_size = tool_file(s, "pub", slot.public, sizeof(slot.public));
		slot.private_size = tool_file(s, "priv", slot.private, sizeof(slot.private));
		wire_forget(s);
		if (try_pin(s, &slot, "known", true, &e) != ERR_TPM_OBJECT)
			fail_msg("%s: %s", options[i], err_info(e.code)->name);
		assert_int_equal(wire_count(s, TPM2_CC_Load), 0);
	}
}

static void test_auth_values(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		enum err err;
	} cases[] = {
		{ "x", 1, ERR_OK },
		{ "\0\0x", 3, ERR_OK },
		{ "0123456789012345678901234567890", 31, ERR_OK },
		{ "01234567890123456789012345678901", 32, ERR_OK },
		{ "x\0", 2, ERR_BUG }, /* zeros at the end are the caller's to cut */
		{ "\0", 1, ERR_BUG },
		{ "012345678901234567890123456789012", 33, ERR_BUG },
	};
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = new_secret();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *auth = NULL, *back = NULL;
		struct tpm2_seal seal = { .secret = secret };
		struct slot_tpm2 slot;
		struct err_ctx e = { 0 };

		assert_int_equal(secret_new_copy(cases[i].bytes, cases[i].size, &auth, NULL), ERR_OK);
		seal.auth = auth;
		expect(tpm2_seal(t, &seal, soon(), &slot, &e), cases[i].err, &e);
		struct tpm2_try try = { .sealed = &slot, .auth = auth, .deadline = soon() };
		if (!cases[i].err)
			expect(tpm2_unseal_pin(t, &try, &back, &e), ERR_OK, &e);
	}
}

static void test_nothing_readable_on_the_wire(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = new_secret(), *auth = new_secret(), *back = NULL;
	struct tpm2_seal seal = { .secret = secret, .auth = auth };
	struct slot_tpm2 slot;
	struct err_ctx e = { 0 };

	secret_bytes(auth)[31] |= 1;
	expect(tpm2_seal(t, &seal, soon(), &slot, &e), ERR_OK, &e);
	struct tpm2_try try = { .sealed = &slot, .auth = auth, .deadline = soon() };
	expect(tpm2_unseal_pin(t, &try, &back, &e), ERR_OK, &e);
	assert_false(log_has(s, secret));
	assert_false(log_has(s, auth));
}

static struct message kept;

static void keep(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	kept = *response;
}

static bool replay(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	*response = kept;
	return true;
}

/* Whoever sits on the wire has seen the right answer once: it is of no use to him a second time. */
static void test_interposer(void **state)
{
	static const struct {
		before_fn *before;
		after_fn *after;
	} cases[] = { { NULL, flip_last }, { NULL, flip_secret }, { replay, NULL } };
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), NULL);
	struct err_ctx e = { 0 };

	wire_fault(s, TPM2_CC_Unseal, 1, NULL, keep);
	expect(try_pin(s, &slot, "right", false, &e), ERR_OK, &e);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wire_fault(s, TPM2_CC_Unseal, 1, cases[i].before, cases[i].after);
		expect(try_pin(s, &slot, i == 2 ? "wrong" : "right", false, &e), ERR_TPM_FAILED, &e);
		assert_int_equal(s->faults_left, 0);
		swtpm_flush(s);
	}
	assert_int_equal(lockout_of(s).failures, 0);
}

/* The power goes, again and again: the TPM may count that as wrong values, and zseal never says that the PIN is wrong. */
static void test_power_cuts(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_pin_slot(s, 0, NULL);
	struct err_ctx e = { 0 };
	bool locked = false;

	for (int i = 0; i < 5; i++) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		swtpm_power_on(s);
		locked = lockout_of(s).in_lockout;
		expect(try_pin(s, &slot, "right", true, &e), locked ? ERR_TPM_LOCKOUT : ERR_OK, &e);
	}
	assert_true(locked);
	swtpm_tool(s, "tpm2_dictionarylockout -c");
	expect(try_pin(s, &slot, "right", false, &e), ERR_OK, &e);
}

static void test_stock_tools_open_it(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot = a_pin_slot(s, PCR(7), secret);
	char hex[HEX_TEXT_SIZE(KEY_SIZE) + 1];
	struct err_ctx e = { 0 };

	expect(tpm2_persist(t, &slot, 0x81010001, &e), ERR_OK, &e);
	swtpm_tool(s, "tpm2_startauthsession --policy-session -S policy && tpm2_policypcr -S policy -l sha256:7 && "
		      "tpm2_policyauthvalue -S policy");
	hex_encode(SPAN(secret_data(secret), KEY_SIZE), hex);
	strcat(hex, "\n");
	assert_string_equal(swtpm_tool(s, "tpm2_unseal -c 0x81010001 -p session:policy+right | xxd -p -c32"), hex);
	swtpm_tool(s, "tpm2_flushcontext policy");
	expect(try_pin(s, &slot, "right", false, &e), ERR_OK, &e);
	expect(tpm2_evict(t, &slot, 0x81010001, &e), ERR_OK, &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TPM_TEST(test_right_pin),
		TPM_TEST(test_wrong_pin_is_tried_once),
		TPM_TEST(test_lockout_costs_no_try),
		TPM_TEST(test_lockout_ends_by_itself),
		TPM_TEST(test_unattended_pin_never_takes_the_last_try),
		TPM_TEST(test_changed_pcr_costs_no_try),
		TPM_TEST(test_pcr_race_costs_no_try),
		TPM_TEST(test_codes_of_a_wrong_pin),
		TPM_TEST(test_lockout_is_read_whole),
		TPM_TEST(test_pin_member_and_object_belong_together),
		TPM_TEST(test_planted_objects),
		TPM_TEST(test_auth_values),
		TPM_TEST(test_nothing_readable_on_the_wire),
		TPM_TEST(test_interposer),
		TPM_TEST(test_power_cuts),
		TPM_TEST(test_stock_tools_open_it),
	};

	tpm2_tests_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
