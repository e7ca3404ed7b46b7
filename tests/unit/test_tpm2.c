/* SPDX-License-Identifier: MIT */
/* src/tpm2 against a real software TPM. Each test has one of its own, with something measured into PCR 0 and 7. */
#include "swtpm.h"

#include "sys/process.h"
#include "tpm2/code.h"
#include "tpm2/tpm2.h"

#define PCR(n) (1u << (n))

enum { TIMEOUT_MS = 20000, COMMANDS_UNSEAL_MAX = 9 };

static struct deadline soon(void)
{
	return deadline_in(TIMEOUT_MS);
}

static int start(void **state)
{
	struct swtpm *s = calloc(1, sizeof(*s));

	swtpm_start(s, false);
	*state = s;
	return 0;
}

static int start_device(void **state)
{
	struct swtpm *s = calloc(1, sizeof(*s));

	swtpm_start(s, true);
	*state = s;
	return 0;
}

static int stop(void **state)
{
	swtpm_stop(*state);
	free(*state);
	return 0;
}

/* Nothing may be left in the TPM's memory, whatever happened. */
static int stop_clean(void **state)
{
	const char *left = swtpm_tool(*state, "tpm2_getcap handles-transient && tpm2_getcap handles-loaded-session");

	if (*left)
		print_error("left in the TPM: %s", left);
	return stop(state) || *left ? -1 : 0;
}

static struct tpm2 *open_tpm(const struct swtpm *s)
{
	struct err_ctx e = { 0 };
	struct tpm2 *t = NULL;

	if (tpm2_open(swtpm_address(s), &t, &e))
		fail_msg("%s: %s", err_info(e.code)->name, e.chain[0]);
	return t;
}

/* Fails the test, with what zseal says about it, unless got is wanted. */
static void expect(enum err got, enum err wanted, const struct err_ctx *e)
{
	if (got != wanted)
		fail_msg("%s instead of %s: %s; %s", err_info(got)->name, err_info(wanted)->name, e->chain[0],
			 e->depth > 1 ? e->chain[1] : "");
	if (got)
		assert_int_equal(e->code, got);
}

static struct secret *new_secret(void)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_random(KEY_SIZE, &s, NULL), ERR_OK);
	return s;
}

static void seal_to(const struct swtpm *s, const struct secret *secret, uint32_t pcrs, struct slot_tpm2 *ret)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct tpm2_seal seal = { .secret = secret, .bank = pcrs ? TPM2_BANK_SHA256 : TPM2_BANK_NONE, .pcrs = pcrs };
	struct err_ctx e = { 0 };

	expect(tpm2_seal(t, &seal, soon(), ret, &e), ERR_OK, &e);
}

/* A slot with some secret, under PCR 7. The wire's memory starts anew. */
static struct slot_tpm2 a_slot(struct swtpm *s)
{
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot;

	seal_to(s, secret, PCR(7), &slot);
	wire_forget(s);
	return slot;
}

/* Unseals on a connection of its own. *ret_text, if wanted, is what failed. */
static enum err unseal_text(const struct swtpm *s, const struct slot_tpm2 *slot, struct secret **ret, char *ret_text)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct err_ctx e = { 0 };
	enum err err = tpm2_unseal(t, slot, soon(), ret, &e);

	if (err)
		assert_int_equal(err, e.code);
	if (ret_text)
		memcpy(ret_text, e.chain[0], ERR_PLACE_MAX);
	return err;
}

static enum err unseal(const struct swtpm *s, const struct slot_tpm2 *slot)
{
	_cleanup_secret_ struct secret *secret = NULL;
	enum err err = unseal_text(s, slot, &secret, NULL);

	assert_true((err == ERR_OK) == (secret != NULL));
	return err;
}

static enum err find_srk(const struct swtpm *s)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t name[TPM2_NAME_SIZE];

	return tpm2_srk_name(t, name, NULL);
}

/* Addresses */

static void test_addresses(void **state)
{
	static const struct {
		const char *tcti;
		enum err err;
	} cases[] = {
		{ NULL, ERR_CONFIG },
		{ "", ERR_CONFIG },
		{ "device", ERR_CONFIG },
		{ "device:", ERR_CONFIG },
		{ "device:tpmrm0", ERR_CONFIG },
		{ "swtpm", ERR_CONFIG },
		{ "swtpm:", ERR_CONFIG },
		{ "swtpm:path=", ERR_CONFIG },
		{ "mssim", ERR_CONFIG },
		{ "mssim:host=127.0.0.1,port=2321", ERR_CONFIG },
		{ "tabrmd", ERR_CONFIG },
		{ "/dev/tpmrm0", ERR_CONFIG },
		{ "device:/proc/self/status", ERR_CONFIG },
		{ "device:/dev/does-not-exist", ERR_TPM_MISSING },
		{ "swtpm:path=/does-not-exist", ERR_TPM_MISSING },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tpm2 *t = NULL;
		struct err_ctx e = { 0 };

		expect(tpm2_open(cases[i].tcti, &t, &e), cases[i].err, &e);
		assert_null(t);
	}
}

/* A slip of the administrator's pen must not cost a file. */
static void test_file_is_no_device(void **state)
{
	struct swtpm *s = *state;
	struct tpm2 *t = NULL;
	char tcti[96], longer[200] = "device:/";

	swtpm_tool(s, "echo precious > file");
	snprintf(tcti, sizeof(tcti), "device:%s/file", s->folder);
	assert_int_equal(tpm2_open(tcti, &t, NULL), ERR_CONFIG);
	assert_string_equal(swtpm_tool(s, "cat file"), "precious\n");

	memset(longer + 8, 'x', sizeof(longer) - 9);
	assert_int_equal(tpm2_open(longer, &t, NULL), ERR_CONFIG);
	assert_null(t);
}

/* Response codes */

static void test_codes(void **state)
{
	static const struct {
		TSS2_RC rc;
		enum err err;
	} cases[] = {
		{ 0, ERR_OK },
		{ 0x128, ERR_TPM_BUSY },       /* PCR_CHANGED */
		{ 0x99d, ERR_TPM_POLICY },     /* POLICY_FAIL, session 1 */
		{ 0x98e, ERR_TPM_AUTH },       /* AUTH_FAIL, session 1 */
		{ 0x9a2, ERR_TPM_AUTH },       /* BAD_AUTH, session 1 */
		{ 0x12f, ERR_TPM_AUTH },       /* AUTH_UNAVAILABLE */
		{ 0x921, ERR_TPM_LOCKOUT },
		{ 0x18b, ERR_TPM_FAILED },     /* HANDLE 1: depends on whose */
		{ 0x1df, ERR_TPM_OBJECT },     /* INTEGRITY, parameter 1 */
		{ 0x2df, ERR_TPM_OBJECT },
		{ 0x14c, ERR_TPM_HANDLE_TAKEN },
		{ 0x902, ERR_TPM_BUSY },       /* OBJECT_MEMORY */
		{ 0x903, ERR_TPM_BUSY },       /* SESSION_MEMORY */
		{ 0x905, ERR_TPM_BUSY },       /* SESSION_HANDLES */
		{ 0x908, ERR_TPM_BUSY },       /* YIELDED */
		{ 0x90a, ERR_TPM_BUSY },       /* TESTING */
		{ 0x920, ERR_TPM_BUSY },       /* NV_RATE */
		{ 0x922, ERR_TPM_BUSY },       /* RETRY */
		{ 0x923, ERR_TPM_BUSY },       /* NV_UNAVAILABLE */
		{ 0x101, ERR_TPM_FAILED },     /* FAILURE */
		{ 0x982, ERR_TPM_FAILED },     /* ATTRIBUTES, session 1 */
		{ 0xc0921, ERR_TPM_LOCKOUT },  /* by way of a resource manager */
		{ 0xb0921, ERR_TPM_LOCKOUT },  /* by way of Linux's */
		{ 0x70009, ERR_TPM_FAILED },   /* ESYS: TRY_AGAIN */
		{ 0x70017, ERR_NO_MEMORY },    /* ESYS: MEMORY */
		{ 0x7001b, ERR_TPM_FAILED },   /* ESYS: RSP_AUTH_FAILED */
		{ 0x709a2, ERR_TPM_FAILED },   /* no TPM said so */
		{ 0xa000a, ERR_TPM_FAILED },   /* TCTI: IO_ERROR */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (code_error(cases[i].rc) != cases[i].err)
			fail_msg("0x%x is %s", cases[i].rc, err_info(code_error(cases[i].rc))->name);
	assert_true(code_is(0x18b, TPM2_RC_HANDLE));
	assert_false(code_is(0x7018b, TPM2_RC_HANDLE));
	assert_true(code_is_parameter(0x1d5));
	assert_false(code_is_parameter(0x995));
	assert_false(code_is_parameter(0x902));
}

/* Sealing and unsealing */

static void test_seal_unseal(void **state)
{
	static const uint32_t cases[] = { 0, PCR(7), PCR(0) | PCR(7) };
	struct swtpm *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *secret = new_secret(), *back = NULL;
		struct slot_tpm2 slot;
		struct err_ctx e = { 0 };

		seal_to(s, secret, cases[i], &slot);
		assert_int_equal(slot.pcrs, cases[i]);
		assert_int_equal(slot.bank, cases[i] ? TPM2_BANK_SHA256 : TPM2_BANK_NONE);
		assert_int_equal(slot.handle, 0);

		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
		assert_int_equal(tpm2_command_count(t), 0);
		wire_forget(s);
		expect(tpm2_unseal(t, &slot, soon(), &back, &e), ERR_OK, &e);
		assert_true(secret_equal(secret, back));
		assert_in_range(tpm2_command_count(t), 1, COMMANDS_UNSEAL_MAX);
		assert_int_equal(tpm2_command_count(t), wire_count(s, 0));
		assert_int_equal(tpm2_command_count(t), cases[i] ? 7 : 5);
	}
}

/* Many slots on one connection: the storage root key is looked at once. */
static void test_unseal_again(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

	for (int i = 0; i < 20; i++) {
		_cleanup_secret_ struct secret *secret = NULL;
		struct err_ctx e = { 0 };

		expect(tpm2_unseal(t, &slot, soon(), &secret, &e), ERR_OK, &e);
	}
	assert_int_equal(wire_count(s, TPM2_CC_ReadPublic), 1);
	assert_int_equal(wire_count(s, 0), 1 + 20 * 6);
}

/* A different object each time, though the secret and the PCRs are the same. */
static void test_seal_is_fresh(void **state)
{
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 a, b;

	seal_to(s, secret, PCR(7), &a);
	seal_to(s, secret, PCR(7), &b);
	assert_memory_equal(a.policy, b.policy, sizeof(a.policy));
	assert_memory_not_equal(a.public, b.public, a.public_size);
	assert_memory_not_equal(a.private, b.private, a.private_size);
}

static bool log_has(const struct swtpm *s, const struct secret *secret)
{
	assert_in_range(s->log_size, 1000, LOG_SIZE);
	return memmem(s->log, s->log_size, secret_data(secret), secret_size(secret));
}

static void test_nothing_readable_on_the_wire(void **state)
{
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot;

	seal_to(s, secret, PCR(7), &slot);
	assert_int_equal(unseal(s, &slot), ERR_OK);
	assert_false(log_has(s, secret));
	assert_int_equal(wire_count(s, TPM2_CC_Create), 1);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 2);
}

/* Encryption is worth nothing to who sees the nonces, unless a secret went to the TPM's key first. */
static bool look_for_salt(struct swtpm *s, const struct message *command, struct message *response)
{
	enum { TPM_KEY = HEADER_BYTES, NONCE_SIZE = TPM_KEY + 8 + 1 };
	size_t salt_size = NONCE_SIZE + 1 + command->bytes[NONCE_SIZE] + 1;

	(void)response;
	if (message_word(command, TPM_KEY) != 0x81000001 || command->bytes[salt_size] < 64)
		s->fault_code = TPM2_RC_NONCE;
	return false;
}

static void test_sessions_are_salted(void **state)
{
	struct swtpm *s = *state;

	a_slot(s);
	wire_fault(s, TPM2_CC_StartAuthSession, 1000, look_for_salt, NULL);
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot;
	seal_to(s, secret, PCR(7), &slot);
	assert_int_equal(wire_count(s, TPM2_CC_StartAuthSession), 3);
	assert_int_equal(s->fault_code, 0);
}

static void test_seal_refuses(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = new_secret(), *shorter = NULL;
	struct slot_tpm2 slot;

	assert_int_equal(secret_new_random(31, &shorter, NULL), ERR_OK);
	const struct {
		struct tpm2_seal seal;
		enum err err;
	} cases[] = {
		{ { shorter, TPM2_BANK_SHA256, PCR(7) }, ERR_BUG },
		{ { secret, TPM2_BANK_SHA256, 0 }, ERR_BUG },
		{ { secret, TPM2_BANK_NONE, PCR(7) }, ERR_BUG },
		{ { secret, TPM2_BANK_SHA256, PCR(24) }, ERR_BUG },
		{ { secret, TPM2_BANK_SHA256, PCR(7) | PCR(8) }, ERR_TPM_BANK }, /* nothing in PCR 8 */
		{ { secret, TPM2_BANK_SHA256, PCR(17) }, ERR_TPM_BANK },         /* all ones */
		{ { secret, TPM2_BANK_SHA1, PCR(7) }, ERR_TPM_BANK },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err_ctx e = { 0 };

		expect(tpm2_seal(t, &cases[i].seal, soon(), &slot, &e), cases[i].err, &e);
	}
	assert_int_equal(wire_count(s, TPM2_CC_Create), 0);
}

/* Whose TPM is it? */

static void test_not_mine_costs_one_command(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	slot.srk_name[20] ^= 1;
	assert_int_equal(unseal(s, &slot), ERR_TPM_NOT_MINE);
	assert_int_equal(wire_count(s, 0), 1);
	assert_int_equal(wire_count(s, TPM2_CC_ReadPublic), 1);
}

static void test_other_tpm(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	struct swtpm other;

	swtpm_start(&other, false);
	a_slot(&other);
	assert_int_equal(unseal(&other, &slot), ERR_TPM_NOT_MINE);
	/* even if the slot lies about whose it is */
	slot = (struct slot_tpm2){ 0 };
	struct slot_tpm2 mine = a_slot(&other), theirs = a_slot(s);
	memcpy(theirs.srk_name, mine.srk_name, sizeof(mine.srk_name));
	assert_int_equal(unseal(&other, &theirs), ERR_TPM_OBJECT);
	swtpm_stop(&other);
}

static void test_cleared(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = NULL;
	uint8_t name[TPM2_NAME_SIZE];

	swtpm_tool(s, "tpm2_clear -c p");
	assert_int_equal(unseal(s, &slot), ERR_TPM_CLEARED);
	assert_int_equal(wire_count(s, 0), 1);
	assert_int_equal(find_srk(s), ERR_TPM_CLEARED);

	t = open_tpm(s);
	assert_int_equal(tpm2_srk_make(t, name, NULL), ERR_OK);
	assert_memory_not_equal(name, slot.srk_name, sizeof(name));
	assert_int_equal(unseal(s, &slot), ERR_TPM_NOT_MINE);
}

/* The storage root key */

static void test_srk_made_once(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t made[TPM2_NAME_SIZE], found[TPM2_NAME_SIZE];

	assert_int_equal(find_srk(s), ERR_TPM_CLEARED);
	assert_int_equal(tpm2_srk_make(t, made, NULL), ERR_OK);
	unsigned commands = tpm2_command_count(t);
	assert_int_equal(tpm2_srk_name(t, found, NULL), ERR_OK);
	assert_int_equal(tpm2_srk_make(t, found, NULL), ERR_OK);
	assert_int_equal(tpm2_command_count(t), commands);
	assert_memory_equal(made, found, sizeof(made));

	swtpm_tool(s, "tpm2_readpublic -c 0x81000001 -n name");
	assert_string_equal(swtpm_tool(s, "tpm2_readpublic -c 0x81000001 | grep -A1 ^attributes | tail -1"),
			    "  value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt\n");
	char hex[HEX_TEXT_SIZE(TPM2_NAME_SIZE) + 1];
	hex_encode(SPAN(made, sizeof(made)), hex);
	assert_string_equal(swtpm_tool(s, "xxd -p -c34 name"), strcat(hex, "\n"));
}

/* Somebody else makes the key between our look and our own attempt. */
static bool already_there(struct swtpm *s, const struct message *command, struct message *response)
{
	swtpm_execute(s, command, response);
	message_set_code(response, TPM2_RC_NV_DEFINED);
	return true;
}

static void test_srk_made_twice_at_once(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t name[TPM2_NAME_SIZE];

	wire_fault(s, TPM2_CC_EvictControl, 1, already_there, NULL);
	assert_int_equal(tpm2_srk_make(t, name, NULL), ERR_OK);
	assert_int_equal(s->faults_left, 0);
}

#define FIXED   "fixedtpm|fixedparent"
#define STORAGE FIXED "|sensitivedataorigin|userwithauth|restricted|decrypt"

/* Keys that stand at the storage root key's handle, as options of tpm2_createprimary. */
static void test_srk_of_others(void **state)
{
	static const struct {
		const char *options;
		enum err err;
	} cases[] = {
		{ "-G ecc -a '" STORAGE "|noda'", ERR_OK },
		{ "-G ecc -a '" STORAGE "'", ERR_OK }, /* subject to dictionary attack lockout */
		{ "-G ecc", ERR_OK },
		{ "-G rsa2048", ERR_OK },
		{ "-G rsa2048 -a '" STORAGE "|noda'", ERR_OK },
		/* can be duplicated */
		{ "-G ecc -a 'sensitivedataorigin|userwithauth|restricted|decrypt'", ERR_TPM_SRK },
		{ "-G ecc -a '" STORAGE "|adminwithpolicy'", ERR_TPM_SRK },
		{ "-G ecc:null -a '" FIXED "|sensitivedataorigin|userwithauth|decrypt'", ERR_TPM_SRK },
		{ "-G ecc:ecdsa:null -a '" FIXED "|sensitivedataorigin|userwithauth|restricted|sign'", ERR_TPM_SRK },
		{ "-G ecc384", ERR_TPM_SRK },
		{ "-G ecc:aes256cfb", ERR_TPM_SRK },
		{ "-G rsa3072", ERR_TPM_SRK },
		{ "-G ecc -g sha384", ERR_TPM_SRK },
		{ "-G ecc -L policy", ERR_TPM_SRK },
	};
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();

	swtpm_tool(s, "printf %%032d 0 > policy");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tpm2_seal seal = { .secret = secret, .bank = TPM2_BANK_SHA256, .pcrs = PCR(7) };
		struct slot_tpm2 slot;
		struct err_ctx e = { 0 };

		swtpm_tool(s, "tpm2_createprimary -C o %s -c srk && tpm2_evictcontrol -C o -c srk 0x81000001 && "
			      "tpm2_flushcontext -t", cases[i].options);
		assert_int_equal(find_srk(s), cases[i].err);
		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
		wire_forget(s);
		expect(tpm2_seal(t, &seal, soon(), &slot, &e), cases[i].err, &e);
		/* the first use of a key without noDA gets RETRY from a TPM that has to write something down */
		assert_int_equal(wire_count(s, TPM2_CC_Create) > 0, cases[i].err == ERR_OK);
		if (!cases[i].err)
			assert_int_equal(unseal(s, &slot), ERR_OK);
		swtpm_tool(s, "tpm2_evictcontrol -C o -c 0x81000001");
	}
}

static void test_srk_exchanged(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	swtpm_tool(s, "tpm2_evictcontrol -C o -c 0x81000001 && printf x > unique && "
		      "tpm2_createprimary -C o -G rsa -u unique -c srk && tpm2_evictcontrol -C o -c srk 0x81000001 && "
		      "tpm2_flushcontext -t");
	assert_int_equal(unseal(s, &slot), ERR_TPM_NOT_MINE);
	assert_int_equal(wire_count(s, 0), 1);
}

static void test_owner_password(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t name[TPM2_NAME_SIZE];
	struct err_ctx e = { 0 };

	swtpm_tool(s, "tpm2_changeauth -c o secret");
	expect(tpm2_srk_make(t, name, &e), ERR_TPM_AUTH, &e);
	swtpm_tool(s, "tpm2_changeauth -c o -p secret");
	struct slot_tpm2 slot = a_slot(s);
	swtpm_tool(s, "tpm2_changeauth -c o secret");
	expect(tpm2_persist(t, &slot, 0x81010001, &e), ERR_TPM_AUTH, &e);
	assert_int_equal(unseal(s, &slot), ERR_OK);
}

/* PCRs */

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

static bool answer_code(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)command;
	message_set_code(response, s->fault_code);
	return true;
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

/* Objects that are not what they should be */

/* Everything but the ReadPublic and, for what only the TPM can tell, the Load. */
static void refuse_object(struct swtpm *s, const struct slot_tpm2 *slot, const char *what, size_t at)
{
	enum err err = unseal(s, slot);

	if (err != ERR_TPM_OBJECT)
		fail_msg("%s, byte %zu: %s", what, at, err_info(err)->name);
	assert_int_equal(wire_count(s, TPM2_CC_StartAuthSession), 0);
}

static void test_truncated(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s);

	for (size_t i = 0; i < good.public_size; i++) {
		struct slot_tpm2 bad = good;

		bad.public_size = i;
		refuse_object(s, &bad, "shorter public area", i);
	}
	for (size_t i = 0; i < good.private_size; i++) {
		struct slot_tpm2 bad = good;

		bad.private_size = i;
		refuse_object(s, &bad, "shorter private area", i);
	}
	assert_int_equal(wire_count(s, TPM2_CC_Load), 0);
}

static void test_too_long(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s), bad = good;

	bad.public_size++;
	refuse_object(s, &bad, "longer public area", 0);
	bad = good;
	bad.private_size++;
	refuse_object(s, &bad, "longer private area", 0);
	bad = good;
	bad.public_size = TPM2_BLOB_MAX + 1;
	refuse_object(s, &bad, "public area beyond its bound", 0);
	bad = good;
	bad.private_size = TPM2_BLOB_MAX + 1;
	refuse_object(s, &bad, "private area beyond its bound", 0);
	assert_int_equal(wire_count(s, TPM2_CC_Load), 0);
}

static void test_flipped(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s);

	for (size_t i = 0; i < good.public_size; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct slot_tpm2 bad = good;

			bad.public[i] ^= 1 << bit;
			refuse_object(s, &bad, "public area", i);
		}
	for (size_t i = 0; i < good.private_size; i++) {
		struct slot_tpm2 bad = good;

		bad.private[i] ^= 1 << i % 8;
		refuse_object(s, &bad, "private area", i);
	}
	for (size_t i = 0; i < sizeof(good.policy); i++) {
		struct slot_tpm2 bad = good;

		bad.policy[i] ^= 1;
		refuse_object(s, &bad, "policy", i);
	}
}

/* What an attacker with tpm2-tools on this TPM would put into a slot. */
static void test_objects_of_others(void **state)
{
	static const struct {
		const char *options; /* of tpm2_create; the file policy has the slot's */
		unsigned loads;
	} cases[] = {
		{ "-a '" FIXED "|noda|userwithauth' -L policy -i key", 0 },
		{ "-a '" FIXED "' -L policy -i key", 0 },
		{ "-a 'noda' -L policy -i key", 0 }, /* can be duplicated */
		{ "-a '" FIXED "|noda|adminwithpolicy' -L policy -i key", 0 },
		{ "-a '" FIXED "|noda' -L zero -i key", 0 },
		{ "-a '" FIXED "|noda|userwithauth' -i key", 0 },
		{ "-a '" FIXED "|noda' -L policy -i shorter", 1 },
		{ "-G hmac -a '" FIXED "|noda|sign|sensitivedataorigin' -L policy", 0 },
		{ "-G ecc -a '" FIXED "|noda|sign|sensitivedataorigin' -L policy", 0 },
	};
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	char policy[HEX_TEXT_SIZE(TPM2_DIGEST_SIZE)];

	hex_encode(SPAN(slot.policy, sizeof(slot.policy)), policy);
	swtpm_tool(s, "echo %s | xxd -r -p > policy && head -c32 /dev/zero > zero && "
		      "printf %%032d 1 > key && printf %%031d 1 > shorter", policy);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[96];

		swtpm_tool(s, "tpm2_create -C 0x81000001 %s -u pub -r priv && tpm2_flushcontext -t", cases[i].options);
		snprintf(path, sizeof(path), "%s/pub", s->folder);
		FILE *f = fopen(path, "r");
		slot.public_size = fread(slot.public, 1, sizeof(slot.public), f);
		fclose(f);
		snprintf(path, sizeof(path), "%s/priv", s->folder);
		f = fopen(path, "r");
		slot.private_size = fread(slot.private, 1, sizeof(slot.private), f);
		fclose(f);
		wire_forget(s);
		enum err err = unseal(s, &slot);
		if (err != ERR_TPM_OBJECT)
			fail_msg("%s: %s", cases[i].options, err_info(err)->name);
		assert_int_equal(wire_count(s, TPM2_CC_Load), cases[i].loads);
	}
}

static void test_slot_that_contradicts_itself(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s), bad = good;

	bad.pcrs = 0;
	refuse_object(s, &bad, "no PCRs", 0);
	bad = good;
	bad.bank = TPM2_BANK_NONE;
	refuse_object(s, &bad, "no bank", 0);
	bad = good;
	bad.pcrs |= PCR(24);
	refuse_object(s, &bad, "PCR 24", 0);
	bad = good;
	memset(bad.policy, 0, sizeof(bad.policy));
	refuse_object(s, &bad, "no policy", 0);
	/* consistent, but another policy than the object's */
	bad = good;
	bad.pcrs = PCR(0);
	assert_int_equal(unseal(s, &bad), ERR_TPM_POLICY);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);
}

static void test_lockout(void **state)
{
	struct swtpm *s = *state;

	/* objects and keys of ours have noDA; the SRK of tpm2-tools has not */
	swtpm_tool(s, "tpm2_createprimary -C o -G ecc -c srk && tpm2_evictcontrol -C o -c srk 0x81000001 && "
		      "tpm2_flushcontext -t && tpm2_dictionarylockout -s -n 1 -t 1000 -l 1000");
	struct slot_tpm2 slot = a_slot(s);
	swtpm_tool(s, "echo x > data && tpm2_create -C 0x81000001 -p right -i data -u pub -r priv -c object && "
		      "! tpm2_unseal -c object -p wrong && tpm2_flushcontext -t");
	assert_int_equal(unseal(s, &slot), ERR_TPM_LOCKOUT);
	assert_int_equal(wire_count(s, TPM2_CC_Load), 1);
	swtpm_tool(s, "tpm2_dictionarylockout -c");
	assert_int_equal(unseal(s, &slot), ERR_OK);
}

/* A TPM that is busy, broken, or not alone on the wire */

static void test_answers(void **state)
{
	static const struct {
		TPM2_CC at;
		TPM2_RC code;
		unsigned times;
		enum err err;
	} cases[] = {
		{ TPM2_CC_ReadPublic, 0x922, 1, ERR_OK }, /* RETRY: ESYS sends it again */
		{ TPM2_CC_Unseal, 0x922, 3, ERR_OK },
		{ TPM2_CC_Unseal, 0x90a, 1, ERR_OK },     /* TESTING */
		{ TPM2_CC_Unseal, 0x922, 1000, ERR_TPM_BUSY },
		{ TPM2_CC_Load, 0x902, 1, ERR_TPM_BUSY },
		{ TPM2_CC_StartAuthSession, 0x903, 1, ERR_TPM_BUSY },
		{ TPM2_CC_Load, 0x921, 1, ERR_TPM_LOCKOUT },
		{ TPM2_CC_Load, 0x98e, 1, ERR_TPM_AUTH },
		{ TPM2_CC_Load, 0x1df, 1, ERR_TPM_OBJECT },
		{ TPM2_CC_Load, 0x1d5, 1, ERR_TPM_OBJECT },
		{ TPM2_CC_Unseal, 0x99d, 1, ERR_TPM_POLICY },
		{ TPM2_CC_Unseal, 0x101, 1, ERR_TPM_FAILED },
		{ TPM2_CC_ReadPublic, 0x101, 1, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyPCR, 0x1c4, 1, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyGetDigest, 0x101, 1, ERR_TPM_FAILED },
		{ TPM2_CC_FlushContext, 0x101, 0, ERR_OK },
	};
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wire_fault(s, cases[i].at, cases[i].times, answer_code, NULL);
		s->fault_code = cases[i].code;
		enum err err = unseal(s, &slot);
		if (err != cases[i].err)
			fail_msg("0x%x at 0x%x: %s", cases[i].code, cases[i].at, err_info(err)->name);
	}
}

/* Another key's public area under the right Name: ESYS would encrypt the salt to whoever is on the way. */
static void exchange_public(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->bytes[60] ^= 1; /* in the point's x */
}

static void test_interposer_exchanges_the_key(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	wire_fault(s, TPM2_CC_ReadPublic, 1, NULL, exchange_public);
	assert_int_equal(unseal(s, &slot), ERR_TPM_SRK);
	assert_int_equal(wire_count(s, 0), 1);
}

/* The last byte of a response: of an HMAC where there is one. */
static void flip_last(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->bytes[response->size - 1] ^= 1;
}

/* The first byte of the secret, encrypted: two sizes come before it. */
static void flip_secret(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->bytes[HEADER_BYTES + 4 + 2] ^= 1;
}

static void say_shorter(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->size++;
}

static void say_huge(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->size = sizeof(response->bytes);
	response->bytes[2] = 0xff;
}

static void test_interposer_changes_responses(void **state)
{
	static const struct {
		TPM2_CC at;
		after_fn *after;
		enum err err;
	} cases[] = {
		{ TPM2_CC_Unseal, flip_last, ERR_TPM_FAILED },
		{ TPM2_CC_Unseal, flip_secret, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyGetDigest, flip_last, ERR_TPM_POLICY },
		{ TPM2_CC_Load, flip_secret, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyPCR, say_shorter, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyPCR, say_huge, ERR_TPM_FAILED },
	};
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wire_fault(s, cases[i].at, 1, NULL, cases[i].after);
		assert_int_equal(unseal(s, &slot), cases[i].err);
		swtpm_flush(s);
	}
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

static uint32_t random_below(uint32_t end)
{
	static uint64_t x = 88172645463325252; /* xorshift64: every run is the same */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % end;
}

/* Some bytes of the response are others, or it is shorter or longer; it always says "success", and sometimes lies. */
static void garble(struct swtpm *s, const struct message *command, struct message *response)
{
	uint32_t size, success = 0;

	(void)s;
	(void)command;
	if (random_below(4) == 0)
		response->size = HEADER_BYTES + random_below(400);
	for (uint32_t n = random_below(8); n > 0 && response->size > HEADER_BYTES; n--)
		response->bytes[HEADER_BYTES + random_below((uint32_t)response->size - HEADER_BYTES)] ^=
			1 + random_below(255);
	size = htobe32((uint32_t)response->size - (random_below(16) == 0));
	memcpy(response->bytes + 2, &size, sizeof(size));
	memcpy(response->bytes + 6, &success, sizeof(success));
}

static void test_garbled_responses(void **state)
{
	static const TPM2_CC cases[] = { TPM2_CC_ReadPublic, TPM2_CC_Load, TPM2_CC_StartAuthSession, TPM2_CC_PolicyPCR,
					 TPM2_CC_PolicyGetDigest, TPM2_CC_Unseal, TPM2_CC_FlushContext };
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot;
	unsigned failures = 0;

	seal_to(s, secret, PCR(7), &slot);
	for (unsigned i = 0; i < 25 * ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *back = NULL;
		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

		wire_forget(s);
		wire_fault(s, cases[i % ARRAY_SIZE(cases)], 1, NULL, garble);
		if (tpm2_unseal(t, &slot, soon(), &back, NULL) == ERR_OK)
			assert_true(secret_equal(secret, back));
		else
			failures++;
		swtpm_flush(s);
	}
	assert_in_range(failures, 75, 150);
}

static bool answer_never(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s, (void)command;
	response->size = 0;
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void test_silence(void **state)
{
	static const TPM2_CC cases[] = { TPM2_CC_ReadPublic, TPM2_CC_Load, TPM2_CC_Unseal };
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *secret = NULL;
		struct err_ctx e = { 0 };
		uint64_t before = now_ms();

		wire_forget(s);
		wire_fault(s, cases[i], 1000, answer_never, NULL);
		expect(tpm2_unseal(t, &slot, deadline_in(800), &secret, &e), ERR_TIMEOUT, &e);
		assert_in_range(now_ms() - before, 700, 2000);
		assert_int_equal(wire_count(s, cases[i]), 1);
		assert_int_equal(wire_count(s, TPM2_CC_FlushContext), 0);

		/* and when it has come to itself, the same connection works again */
		wire_forget(s);
		swtpm_flush(s);
		expect(tpm2_unseal(t, &slot, soon(), &secret, &e), ERR_OK, &e);
	}
}

/* The last command is only for tidiness: what was unsealed counts. */
static void test_silence_at_the_end(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

	wire_fault(s, TPM2_CC_FlushContext, 1, answer_never, NULL);
	for (int i = 0; i < 2; i++) {
		_cleanup_secret_ struct secret *secret = NULL;
		struct err_ctx e = { 0 };

		expect(tpm2_unseal(t, &slot, soon(), &secret, &e), ERR_OK, &e);
	}
	assert_int_equal(s->faults_left, 0);
	swtpm_flush(s);
}

/* A socket that nobody accepts from, and a terminal that nobody reads: the same for sockets and devices. */
static void test_silence_from_the_start(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	int silent = unix_listen(s->folder, "silent"), terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char addresses[2][128];

	snprintf(addresses[0], sizeof(addresses[0]), "swtpm:path=%s/silent", s->folder);
	unlockpt(terminal);
	struct termios raw;
	tcgetattr(terminal, &raw);
	cfmakeraw(&raw);
	tcsetattr(terminal, TCSANOW, &raw);
	snprintf(addresses[1], sizeof(addresses[1]), "device:%s", ptsname(terminal));
	for (int i = 0; i < 2; i++) {
		_cleanup_secret_ struct secret *secret = NULL;
		struct tpm2 *t = NULL;
		uint64_t before = now_ms();

		assert_int_equal(tpm2_open(addresses[i], &t, NULL), ERR_OK);
		assert_int_equal(tpm2_unseal(t, &slot, deadline_in(200), &secret, NULL), ERR_TIMEOUT);
		assert_in_range(now_ms() - before, 150, 900);
		tpm2_close(t);
	}
	close(silent);
	close(terminal);
}

static void test_deadline_that_has_passed(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = NULL;

	assert_int_equal(tpm2_unseal(t, &slot, deadline_in(0), &secret, NULL), ERR_TIMEOUT);
	assert_int_equal(wire_count(s, 0), 0);
	assert_int_equal(tpm2_unseal(t, &slot, soon(), &secret, NULL), ERR_OK);
}

/* Half a response, and then nothing any more. */
static void hang_up(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)command;
	response->size /= 2;
	s->hang_up = true;
}

static void test_tpm_goes_away(void **state)
{
	static const TPM2_CC cases[] = { TPM2_CC_ReadPublic, TPM2_CC_Load, TPM2_CC_Unseal };
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *secret = NULL;
		struct err_ctx e = { 0 };

		wire_fault(s, cases[i], 1, NULL, hang_up);
		expect(tpm2_unseal(t, &slot, soon(), &secret, &e), ERR_TPM_MISSING, &e);
		swtpm_flush(s);
		expect(tpm2_unseal(t, &slot, soon(), &secret, &e), ERR_OK, &e);
	}
}

/* Nobody is there any more: the first operation notices, and so does each after it. */
static void test_tpm_is_gone(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	int listener = unix_listen(s->folder, "gone");
	_cleanup_secret_ struct secret *secret = NULL;
	struct tpm2 *t = NULL;
	char address[128];

	snprintf(address, sizeof(address), "swtpm:path=%s/gone", s->folder);
	assert_int_equal(tpm2_open(address, &t, NULL), ERR_OK);
	close(listener);
	for (int i = 0; i < 3; i++) {
		struct err_ctx e = { 0 };

		expect(tpm2_unseal(t, &slot, soon(), &secret, &e), ERR_TPM_MISSING, &e);
		assert_int_equal(e.sys_errno, ECONNREFUSED);
	}
	tpm2_close(t);
}

/* In a process of its own: a signal that was caught once is remembered. */
static void test_signal_ends_the_wait(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	int silent = unix_listen(s->folder, "silent"), status;
	char address[128];

	snprintf(address, sizeof(address), "swtpm:path=%s/silent", s->folder);
	pid_t pid = fork();
	if (pid == 0) {
		struct secret *secret = NULL;
		struct tpm2 *t = NULL;

		if (process_catch_signals(NULL) || tpm2_open(address, &t, NULL))
			_exit(99);
		enum err err = tpm2_unseal(t, &slot, soon(), &secret, NULL);
		tpm2_close(t);
		_exit(err);
	}
	close(accept(silent, NULL, NULL));
	int fd = accept(silent, NULL, NULL);
	usleep(50000);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
	close(silent);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ERR_INTERRUPTED);
}

/* Persistent handles */

static void tools_unseal(struct swtpm *s, const char *auth, const struct secret *secret)
{
	char hex[HEX_TEXT_SIZE(KEY_SIZE) + 1];

	hex_encode(SPAN(secret_data(secret), KEY_SIZE), hex);
	strcat(hex, "\n");
	assert_string_equal(swtpm_tool(s, "tpm2_unseal -c 0x81010001 -p %s | xxd -p -c32", auth), hex);
}

static void test_stock_tools_open_a_persistent_object(void **state)
{
	static const struct {
		uint32_t pcrs;
		const char *auth;
	} cases[] = { { PCR(7), "pcr:sha256:7" }, { PCR(0) | PCR(7), "pcr:sha256:0,7" }, { 0, "session:policy" } };
	struct swtpm *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
		_cleanup_secret_ struct secret *secret = new_secret();
		struct slot_tpm2 slot;
		struct err_ctx e = { 0 };

		seal_to(s, secret, cases[i].pcrs, &slot);
		expect(tpm2_persist(t, &slot, 0x81010001, &e), ERR_OK, &e);
		swtpm_tool(s, "tpm2_startauthsession --policy-session -S policy");
		tools_unseal(s, cases[i].auth, secret);
		swtpm_tool(s, "tpm2_flushcontext policy");
		assert_int_equal(unseal(s, &slot), ERR_OK);
		expect(tpm2_evict(t, &slot, 0x81010001, &e), ERR_OK, &e);
		assert_string_equal(swtpm_tool(s, "tpm2_getcap handles-persistent"), "- 0x81000001\n");
	}
}

static void test_handles(void **state)
{
	static const uint32_t out_of_range[] = { 0,          0x80000000, 0x81000000, 0x81000001,
						 0x810000ff, 0x81800000, 0x40000001 };
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct slot_tpm2 slot = a_slot(s);
	struct err_ctx e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(out_of_range); i++) {
		expect(tpm2_persist(t, &slot, out_of_range[i], &e), ERR_USAGE, &e);
		expect(tpm2_evict(t, &slot, out_of_range[i], &e), ERR_USAGE, &e);
	}
	assert_int_equal(wire_count(s, 0), 0);
	expect(tpm2_evict(t, &slot, 0x81000100, &e), ERR_OK, &e); /* nothing there */
	expect(tpm2_persist(t, &slot, 0x81000100, &e), ERR_OK, &e);
	expect(tpm2_persist(t, &slot, 0x81000100, &e), ERR_OK, &e); /* the same is there already */
	expect(tpm2_check_handle(t, 0x81000100, &e), ERR_TPM_HANDLE_TAKEN, &e);
	expect(tpm2_persist(t, &slot, 0x817fffff, &e), ERR_OK, &e);
	expect(tpm2_evict(t, &slot, 0x81000100, &e), ERR_OK, &e);
	expect(tpm2_evict(t, &slot, 0x817fffff, &e), ERR_OK, &e);

}

static void test_handles_of_others(void **state)
{
	static const char *const others[] = {
		"tpm2_createprimary -C o -G ecc -c key",
		"tpm2_createprimary -C o -G ecc -L policy -c key",
		"tpm2_create -C 0x81000001 -L policy -a '" FIXED "' -i policy -u pub -r priv -c key",
	};
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct slot_tpm2 slot = a_slot(s);
	struct err_ctx e = { 0 };

	swtpm_tool(s, "printf %%032d 1 > policy");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		swtpm_tool(s, "%s && tpm2_evictcontrol -C o -c key 0x81010001 && tpm2_flushcontext -t", others[i]);
		expect(tpm2_persist(t, &slot, 0x81010001, &e), ERR_TPM_HANDLE_TAKEN, &e);
		expect(tpm2_evict(t, &slot, 0x81010001, &e), ERR_TPM_HANDLE_TAKEN, &e);
		swtpm_tool(s, "tpm2_evictcontrol -C o -c 0x81010001");
	}
}

/* A device */

static void test_device(void **state)
{
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret(), *back = NULL;
	struct tpm2_seal seal = { .secret = secret, .bank = TPM2_BANK_SHA256, .pcrs = PCR(7) };
	struct tpm2 *t = open_tpm(s);
	struct slot_tpm2 slot;
	struct err_ctx e = { 0 };

	expect(tpm2_seal(t, &seal, soon(), &slot, &e), ERR_OK, &e);
	expect(tpm2_unseal(t, &slot, soon(), &back, &e), ERR_OK, &e);
	assert_true(secret_equal(secret, back));
	assert_int_equal(tpm2_command_count(t), wire_count(s, 0));
	assert_false(log_has(s, secret));
	tpm2_close(t);
}

#define TPM_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop_clean)
#define CUT_OFF(test)  cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		TPM_TEST(test_file_is_no_device),
		cmocka_unit_test(test_codes),
		TPM_TEST(test_seal_unseal),
		TPM_TEST(test_unseal_again),
		TPM_TEST(test_seal_is_fresh),
		TPM_TEST(test_nothing_readable_on_the_wire),
		TPM_TEST(test_sessions_are_salted),
		TPM_TEST(test_seal_refuses),
		TPM_TEST(test_not_mine_costs_one_command),
		TPM_TEST(test_other_tpm),
		TPM_TEST(test_cleared),
		TPM_TEST(test_srk_made_once),
		TPM_TEST(test_srk_made_twice_at_once),
		TPM_TEST(test_srk_of_others),
		TPM_TEST(test_srk_exchanged),
		TPM_TEST(test_owner_password),
		TPM_TEST(test_changed_pcr),
		TPM_TEST(test_unrelated_pcr_does_not_matter),
		TPM_TEST(test_live_bank),
		TPM_TEST(test_bank_that_died),
		TPM_TEST(test_pcr_race),
		CUT_OFF(test_pcr_race_ends_at_the_deadline),
		TPM_TEST(test_truncated),
		TPM_TEST(test_too_long),
		TPM_TEST(test_flipped),
		TPM_TEST(test_objects_of_others),
		TPM_TEST(test_slot_that_contradicts_itself),
		TPM_TEST(test_lockout),
		TPM_TEST(test_answers),
		TPM_TEST(test_interposer_exchanges_the_key),
		TPM_TEST(test_interposer_changes_responses),
		TPM_TEST(test_interposer_cannot_choose_the_policy),
		TPM_TEST(test_garbled_responses),
		TPM_TEST(test_silence),
		TPM_TEST(test_silence_at_the_end),
		TPM_TEST(test_silence_from_the_start),
		TPM_TEST(test_deadline_that_has_passed),
		TPM_TEST(test_tpm_goes_away),
		TPM_TEST(test_tpm_is_gone),
		TPM_TEST(test_signal_ends_the_wait),
		TPM_TEST(test_stock_tools_open_a_persistent_object),
		TPM_TEST(test_handles),
		TPM_TEST(test_handles_of_others),
		cmocka_unit_test_setup_teardown(test_device, start_device, stop_clean),
	};

	setenv("TSS2_LOG", "all+none", 1);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
