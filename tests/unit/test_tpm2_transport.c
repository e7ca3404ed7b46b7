/* SPDX-License-Identifier: MIT */
/* The way to the TPM: addresses, response codes, silence, lies, devices. Each test has a software TPM of its own. */
#include "tpm2.h"

#include "sys/process.h"
#include "tpm2/code.h"

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



int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		TPM_TEST(test_file_is_no_device),
		cmocka_unit_test(test_codes),
		TPM_TEST(test_answers),
		TPM_TEST(test_garbled_responses),
		TPM_TEST(test_silence),
		TPM_TEST(test_silence_at_the_end),
		TPM_TEST(test_silence_from_the_start),
		TPM_TEST(test_deadline_that_has_passed),
		TPM_TEST(test_tpm_goes_away),
		TPM_TEST(test_tpm_is_gone),
		TPM_TEST(test_signal_ends_the_wait),
		cmocka_unit_test_setup_teardown(test_device, start_device, stop_clean),
	};

	tpm2_tests_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
