/* SPDX-License-Identifier: MIT */
/* What the tests of src/tpm2 and of its protector share: a software TPM each, with something measured into PCR 0 and 7. */
#pragma once

#include "swtpm.h"

#include "tpm2/tpm2.h"

#define PCR(n) (1u << (n))

enum { TIMEOUT_MS = 20000 };

static inline struct deadline soon(void)
{
	return deadline_in(TIMEOUT_MS);
}

static inline int start(void **state)
{
	struct swtpm *s = calloc(1, sizeof(*s));

	swtpm_start(s, false);
	*state = s;
	return 0;
}

static inline int start_device(void **state)
{
	struct swtpm *s = calloc(1, sizeof(*s));

	swtpm_start(s, true);
	*state = s;
	return 0;
}

static inline int stop(void **state)
{
	swtpm_stop(*state);
	free(*state);
	return 0;
}

/* Nothing may be left in the TPM's memory, whatever happened. */
static inline int stop_clean(void **state)
{
	const char *left = swtpm_tool(*state, "tpm2_getcap handles-transient && tpm2_getcap handles-loaded-session");

	if (*left)
		print_error("left in the TPM: %s", left);
	return stop(state) || *left ? -1 : 0;
}

static inline struct tpm2 *open_tpm(const struct swtpm *s)
{
	struct err_ctx e = { 0 };
	struct tpm2 *t = NULL;

	if (tpm2_open(swtpm_address(s), &t, &e))
		fail_msg("%s: %s", err_info(e.code)->name, e.chain[0]);
	return t;
}

/* Fails the test, with what zseal says about it, unless got is wanted. */
static inline void expect(enum err got, enum err wanted, const struct err_ctx *e)
{
	if (got != wanted)
		fail_msg("%s instead of %s: %s; %s", err_info(got)->name, err_info(wanted)->name, e->chain[0],
			 e->depth > 1 ? e->chain[1] : "");
	if (got)
		assert_int_equal(e->code, got);
}

static inline struct secret *new_secret(void)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_random(KEY_SIZE, &s, NULL), ERR_OK);
	return s;
}

static inline void seal_to(const struct swtpm *s, const struct secret *secret, uint32_t pcrs, struct slot_tpm2 *ret)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct tpm2_seal seal = { .secret = secret, .bank = pcrs ? TPM2_BANK_SHA256 : TPM2_BANK_NONE, .pcrs = pcrs };
	struct err_ctx e = { 0 };

	expect(tpm2_seal(t, &seal, soon(), ret, &e), ERR_OK, &e);
}

/* A slot with some secret, under PCR 7. The wire's memory starts anew. */
static inline struct slot_tpm2 a_slot(struct swtpm *s)
{
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot;

	seal_to(s, secret, PCR(7), &slot);
	wire_forget(s);
	return slot;
}

/* Unseals on a connection of its own. *ret_text, if wanted, is what failed. */
static inline enum err unseal_text(const struct swtpm *s, const struct slot_tpm2 *slot, struct secret **ret, char *ret_text)
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

static inline enum err unseal(const struct swtpm *s, const struct slot_tpm2 *slot)
{
	_cleanup_secret_ struct secret *secret = NULL;
	enum err err = unseal_text(s, slot, &secret, NULL);

	assert_true((err == ERR_OK) == (secret != NULL));
	return err;
}

static inline enum err find_srk(const struct swtpm *s)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t name[TPM2_NAME_SIZE];

	return tpm2_srk_name(t, name, NULL);
}

/* Reads what a tool wrote. Returns its size. */
static inline size_t tool_file(const struct swtpm *s, const char *name, uint8_t *out, size_t size)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", s->folder, name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(out, 1, size, f);
	fclose(f);
	return n;
}

static inline bool log_has(const struct swtpm *s, const struct secret *secret)
{
	assert_in_range(s->log_size, 1000, LOG_SIZE);
	return memmem(s->log, s->log_size, secret_data(secret), secret_size(secret));
}

static inline bool answer_code(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)command;
	message_set_code(response, s->fault_code);
	return true;
}

/* The last byte of a response: of an HMAC where there is one. */
static inline void flip_last(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->bytes[response->size - 1] ^= 1;
}

/* The first byte of the secret, encrypted: two sizes come before it. */
static inline void flip_secret(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->bytes[HEADER_BYTES + 4 + 2] ^= 1;
}

#define TPM_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop_clean)
#define CUT_OFF(test)  cmocka_unit_test_setup_teardown(test, start, stop)

static inline void tpm2_tests_begin(void)
{
	setenv("TSS2_LOG", "all+none", 1);
	signal(SIGPIPE, SIG_IGN);
}
