/* SPDX-License-Identifier: MIT */
/* The protector's part of a tpm2 slot. Pure, like header.h; knows no TPM library: blobs are bytes. */
#pragma once

#include "format/header.h"

enum {
	TPM2_BLOB_MAX = 1024, /* bytes of a marshalled TPM2B_PUBLIC or TPM2B_PRIVATE; ours have some 80 and 180 */
	TPM2_NAME_SIZE = 34,  /* a Name: algorithm (2 bytes, big-endian) and SHA-256 digest */
	TPM2_DIGEST_SIZE = 32,
	TPM2_PCRS = 24,
};

enum tpm2_bank { TPM2_BANK_NONE, TPM2_BANK_SHA1, TPM2_BANK_SHA256, TPM2_BANK_SHA384, TPM2_BANK_MAX };

/* A sealed object and what it needs to be opened. */
struct slot_tpm2 {
	uint8_t srk_name[TPM2_NAME_SIZE]; /* Name of the storage root key: whose TPM it is */
	size_t public_size, private_size;
	uint8_t public[TPM2_BLOB_MAX];    /* marshalled TPM2B_PUBLIC */
	uint8_t private[TPM2_BLOB_MAX];   /* marshalled TPM2B_PRIVATE, encrypted by the TPM */
	enum tpm2_bank bank;              /* NONE if, and only if, pcrs is 0 */
	uint32_t pcrs;                    /* bit n: PCR n, 0 to 23 */
	uint8_t policy[TPM2_DIGEST_SIZE]; /* authPolicy; all zero if pcrs is 0 and there is no PIN */
	uint32_t handle;                  /* where the object is kept in the TPM as well, or 0 */
	bool has_pin;                     /* the object needs a PIN, too */
	struct stretch pin;               /* how it is stretched; all zero unless has_pin */
};

/* Name of a bank ("sha256"); "none" for TPM2_BANK_NONE. */
const char *tpm2_bank_name(enum tpm2_bank bank);

/* protect object <-> struct; errors as in header.h. */
must_check enum err slot_tpm2_parse(const char *protect, struct slot_tpm2 *ret, struct err_ctx *e);
must_check enum err slot_tpm2_print(const struct slot_tpm2 *s, char **ret, struct err_ctx *e);
