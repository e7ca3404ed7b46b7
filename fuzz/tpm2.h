/* SPDX-License-Identifier: MIT */
/*
 * What fuzz_tpm2.c and record_tpm2.c share: an operation on the TPM, and random numbers that are none, so that a
 * recorded conversation can be had again, its sessions' HMACs included.
 *
 * An input is a letter for the operation, the `protect` text of a slot up to a line end, and the TPM's responses, each
 * behind its size in two bytes.
 */
#pragma once

#include <openssl/rand.h>
#include <string.h>

#include "fuzz.h"
#include "tpm2/internal.h"

enum { OPERATION_TIMEOUT_MS = 10000, PCR_7 = 1 << 7, A_HANDLE = 0x81010001 };

static uint64_t fixed_state;

static int fixed_bytes(unsigned char *out, int n)
{
	for (int i = 0; i < n; i++) {
		fixed_state = fixed_state * 6364136223846793005u + 1442695040888963407u;
		out[i] = (unsigned char)(fixed_state >> 56);
	}
	return 1;
}

static int fixed_status(void)
{
	return 1;
}

/* OpenSSL 3 deprecates this way, which is the one that reaches all of a process's random numbers. */
static inline void fix_random_numbers(void)
{
	static const RAND_METHOD method = { .bytes = fixed_bytes, .pseudorand = fixed_bytes, .status = fixed_status };

	fixed_state = 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	must(RAND_set_rand_method(&method) == 1);
#pragma GCC diagnostic pop
}

static inline struct secret *fixed_secret(const char *text)
{
	uint8_t bytes[KEY_SIZE];
	struct secret *secret = NULL;

	memset(bytes, '.', sizeof(bytes));
	memcpy(bytes, text, strlen(text));
	must(secret_new_copy(bytes, sizeof(bytes), &secret, NULL) == ERR_OK);
	return secret;
}

/* With a PIN, if that is what the slot needs. */
static inline enum err run_unseal(struct tpm2 *t, const struct slot_tpm2 *sealed, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *secret = NULL, *auth = fixed_secret("the fuzzer's PIN");
	struct deadline deadline = deadline_in(OPERATION_TIMEOUT_MS);
	struct tpm2_try try = { .sealed = sealed, .auth = auth, .deadline = deadline };
	enum err err = sealed->has_pin ? tpm2_unseal_pin(t, &try, &secret, e) :
					 tpm2_unseal(t, sealed, deadline, &secret, e);

	must((err == ERR_OK) == (secret != NULL));
	must(!secret || secret_size(secret) == KEY_SIZE);
	return err;
}

static inline enum err run_seal(struct tpm2 *t, bool with_pin, struct slot_tpm2 *sealed, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *secret = fixed_secret("the fuzzer's secret");
	_cleanup_secret_ struct secret *auth = with_pin ? fixed_secret("the fuzzer's PIN") : NULL;
	struct tpm2_seal seal = { .secret = secret, .bank = TPM2_BANK_SHA256, .pcrs = PCR_7, .auth = auth };
	enum err err = tpm2_seal(t, &seal, deadline_in(OPERATION_TIMEOUT_MS), sealed, e);

	if (with_pin && !err)
		sealed->pin = (struct stretch){ .log_n = STRETCH_LOG_N_MIN, .r = STRETCH_R, .p = 1 };
	return err;
}

static inline enum err run_bank(struct tpm2 *t, struct err_ctx *e)
{
	enum tpm2_bank bank = TPM2_BANK_NONE;
	enum err err = tpm2_live_bank(t, PCR_7, &bank, e);

	must(err || bank < TPM2_BANK_MAX);
	return err;
}

/* ERR_USAGE for a letter that stands for nothing. */
static inline enum err run_operation(char letter, struct tpm2 *t, struct slot_tpm2 *sealed, struct err_ctx *e)
{
	uint8_t name[TPM2_NAME_SIZE];
	struct tpm2_lockout lockout;

	switch (letter) {
	case 'u':
	case 'v':
		return run_unseal(t, sealed, e);
	case 'c':
		return tpm2_check(t, sealed, e);
	case 'n':
		return tpm2_srk_name(t, name, e);
	case 'm':
		return tpm2_srk_make(t, name, e);
	case 'b':
		return run_bank(t, e);
	case 's':
	case 'w':
		return run_seal(t, letter == 'w', sealed, e);
	case 'l':
		return tpm2_lockout_get(t, &lockout, e);
	case 'p':
		return tpm2_persist(t, sealed, A_HANDLE, e);
	case 'e':
		return tpm2_evict(t, sealed, A_HANDLE, e);
	default:
		return ERR_USAGE;
	}
}
