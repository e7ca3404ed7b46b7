/* SPDX-License-Identifier: MIT */
/* PCRs and policies of src/tpm2. Each test has a software TPM of its own. */
#include "tpm2.h"

static void test_changed_pcr(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = NULL;
	char text[ERR_PLACE_MAX];
	struct err_ctx e = { 0 };

	expect(tpm2_check(t, &slot, &e), ERR_OK, &e);
	swtpm_tool(s, "tpm2_pcrextend 7:sha256=$(printf %%064d 5)");
	assert_int_equal(unseal_text(s, &slot, &secret, text), ERR_TPM_POLICY);
	assert_string_equal(text, "PCR 7 of sha256");
	expect(tpm2_check(t, &slot, &e), ERR_TPM_POLICY, &e);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);

	swtpm_reboot(s);
	swtpm_measure(s);
	assert_int_equal(unseal(s, &slot), ERR_OK);
}

/* The program that unlocks must not be able to go on: extending a PCR afterwards makes a second unseal fail. */
static void test_unrelated_pcr_does_not_matter(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	swtpm_tool(s, "tpm2_pcrextend 8:sha256=$(printf %%064d 5)");
	assert_int_equal(unseal(s, &slot), ERR_OK);
}

static void test_live_bank(void **state)
{
	static const struct {
		const char *extend; /* h is 64 digits */
		uint32_t pcrs;
		enum tpm2_bank bank;
	} cases[] = {
		{ "true", PCR(0), TPM2_BANK_SHA256 },
		{ "true", PCR(0) | PCR(7), TPM2_BANK_SHA256 },
		{ "true", 0, TPM2_BANK_NONE },
		{ "true", PCR(8), TPM2_BANK_NONE },
		{ "true", PCR(7) | PCR(8), TPM2_BANK_NONE },
		{ "true", PCR(17), TPM2_BANK_NONE },
		{ "tpm2_pcrextend 8:sha1=$(printf %040d 3)", PCR(8), TPM2_BANK_SHA1 },
		{ "tpm2_pcrextend 8:sha384=$h$(printf %032d 3)", PCR(8), TPM2_BANK_SHA384 },
		{ "tpm2_pcrextend 8:sha256=$h", PCR(8), TPM2_BANK_SHA256 },
		/* more than a TPM tells at a time */
		{ "for n in 1 2 3 4 5 6 9 10 11 12 13 14 15; do tpm2_pcrextend $n:sha256=$h; done", 0xffff,
		  TPM2_BANK_SHA256 },
		{ "true", 0x1ffff, TPM2_BANK_NONE },
	};
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum tpm2_bank bank = TPM2_BANK_MAX;
		struct err_ctx e = { 0 };

		swtpm_tool(s, "h=$(printf %%064d 9); %s", cases[i].extend);
		expect(tpm2_live_bank(t, cases[i].pcrs, &bank, &e), ERR_OK, &e);
		assert_int_equal(bank, cases[i].bank);
	}
	enum tpm2_bank bank;
	assert_int_equal(tpm2_live_bank(t, PCR(24), &bank, NULL), ERR_BUG);

	/* a TPM that does not know the first bank's hash */
	wire_fault(s, TPM2_CC_PCR_Read, 1, answer_code, NULL);
	s->fault_code = 0x1c3;
	assert_int_equal(tpm2_live_bank(t, PCR(7), &bank, NULL), ERR_OK);
	assert_int_equal(bank, TPM2_BANK_SHA384);
}

/* A firmware update that measures into another bank, and one that switches the bank off. */
static void test_bank_that_died(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_secret_ struct secret *secret = NULL;
	char text[ERR_PLACE_MAX];

	swtpm_reboot(s);
	assert_int_equal(unseal_text(s, &slot, &secret, text), ERR_TPM_BANK);
	assert_string_equal(text, "PCR 7 of sha256: nothing was measured");

	swtpm_measure(s);
	assert_int_equal(unseal(s, &slot), ERR_OK);
	swtpm_tool(s, "tpm2_pcrallocate sha1:all+sha256:none+sha384:none+sha512:none");
	swtpm_reboot(s);
	swtpm_tool(s, "tpm2_pcrextend 7:sha1=$(printf %%040d 3)");
	assert_int_equal(unseal(s, &slot), ERR_TPM_BANK);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	enum tpm2_bank bank;
	assert_int_equal(tpm2_live_bank(t, PCR(7), &bank, NULL), ERR_OK);
	assert_int_equal(bank, TPM2_BANK_SHA1);
}

/* PCR 8 is extended by somebody else just before the command goes to the TPM. */
static bool extend_meanwhile(struct swtpm *s, const struct message *command, struct message *response)
{
	static const uint8_t extend[] = {
		0x80, 0x02, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, 8, /* PCR_Extend, PCR 8 */
		0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0,           /* empty password */
		0, 0, 0, 1, 0, 0x0b,                                /* one digest: sha256 */
	};
	struct message m = { .size = 65 };

	(void)command;
	memcpy(m.bytes, extend, sizeof(extend));
	swtpm_execute(s, &m, response);
	assert_int_equal(message_code(response), 0);
	response->size = 0;
	return false;
}

static void test_pcr_race(void **state)
{
	static const struct {
		unsigned races;
		enum err err;
		unsigned unseals;
	} cases[] = { { 1, ERR_OK, 2 }, { 30, ERR_OK, 31 }, { 1000, ERR_TPM_BUSY, 31 } };
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wire_forget(s);
		wire_fault(s, TPM2_CC_Unseal, cases[i].races, extend_meanwhile, NULL);
		assert_int_equal(unseal(s, &slot), cases[i].err);
		assert_int_equal(wire_count(s, TPM2_CC_Unseal), cases[i].unseals);
		assert_int_equal(wire_count(s, TPM2_CC_Load), 1);
	}
}

static bool extend_slowly(struct swtpm *s, const struct message *command, struct message *response)
{
	usleep(200000);
	return extend_meanwhile(s, command, response);
}

static void test_pcr_race_ends_at_the_deadline(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = NULL;

	wire_fault(s, TPM2_CC_Unseal, 1000, extend_slowly, NULL);
	enum err err = tpm2_unseal(t, &slot, deadline_in(700), &secret, NULL);
	assert_true(err == ERR_TPM_BUSY || err == ERR_TIMEOUT);
	assert_in_range(wire_count(s, TPM2_CC_Unseal), 1, 4);
}

/* PCR 0 instead of 7: the selection's last three bytes are a mask. */
static bool choose_pcr(struct swtpm *s, const struct message *command, struct message *response)
{
	struct message other = *command;

	other.bytes[other.size - 3] = PCR(0);
	swtpm_execute(s, &other, response);
	return true;
}

/* Whoever changes what is asserted or told while sealing would choose the policy. */
static void test_interposer_cannot_choose_the_policy(void **state)
{
	static const struct {
		TPM2_CC at;
		before_fn *before;
		after_fn *after;
		enum err err;
	} cases[] = {
		{ TPM2_CC_PolicyPCR, choose_pcr, NULL, ERR_TPM_AUTH }, /* the TPM notices */
		{ TPM2_CC_PolicyPCR, NULL, flip_last, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyGetDigest, NULL, flip_last, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyGetDigest, NULL, flip_secret, ERR_TPM_FAILED },
		{ TPM2_CC_Create, NULL, flip_last, ERR_TPM_FAILED },
	};
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();
	struct tpm2_seal seal = { .secret = secret, .bank = TPM2_BANK_SHA256, .pcrs = PCR(7) };
	struct slot_tpm2 slot;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

		wire_fault(s, cases[i].at, 1, cases[i].before, cases[i].after);
		assert_int_equal(tpm2_seal(t, &seal, soon(), &slot, NULL), cases[i].err);
		assert_int_equal(s->faults_left, 0);
		swtpm_flush(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TPM_TEST(test_changed_pcr),
		TPM_TEST(test_unrelated_pcr_does_not_matter),
		TPM_TEST(test_live_bank),
		TPM_TEST(test_bank_that_died),
		TPM_TEST(test_pcr_race),
		CUT_OFF(test_pcr_race_ends_at_the_deadline),
		TPM_TEST(test_interposer_cannot_choose_the_policy),
	};

	tpm2_tests_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
