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

static inline enum err run_unseal(struct tpm2 *t, const struct slot_tpm2 *sealed, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *secret = NULL;
	enum err err = tpm2_unseal(t, sealed, deadline_in(OPERATION_TIMEOUT_MS), &secret, e);

	must((err == ERR_OK) == (secret != NULL));
	must(!secret || secret_size(secret) == KEY_SIZE);
	return err;
}

static inline enum err run_seal(struct tpm2 *t, struct slot_tpm2 *sealed, struct err_ctx *e)
{
	uint8_t bytes[KEY_SIZE] = "the fuzzer's secret";
	_cleanup_secret_ struct secret *secret = NULL;

	must(secret_new_copy(bytes, sizeof(bytes), &secret, NULL) == ERR_OK);
	struct tpm2_seal seal = { .secret = secret, .bank = TPM2_BANK_SHA256, .pcrs = PCR_7 };
	return tpm2_seal(t, &seal, deadline_in(OPERATION_TIMEOUT_MS), sealed, e);
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

	switch (letter) {
	case 'u':
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
		return run_seal(t, sealed, e);
	case 'p':
		return tpm2_persist(t, sealed, A_HANDLE, e);
	case 'e':
		return tpm2_evict(t, A_HANDLE, e);
	default:
		return ERR_USAGE;
	}
}
