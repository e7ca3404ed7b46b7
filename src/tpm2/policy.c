/* SPDX-License-Identifier: MIT */
/* PCRs: their banks, and the policy over the values that they have now. */
#include <endian.h>
#include <openssl/evp.h>
#include <string.h>

#include "tpm2/internal.h"

enum { PCR_SELECT_SIZE = 3 }; /* bytes for 24 PCRs; TPMs refuse other sizes. Spec: PC Client Platform TPM Profile */

/* In the order of preference. */
static const struct {
	enum tpm2_bank bank;
	TPMI_ALG_HASH hash;
} banks[] = {
	{ TPM2_BANK_SHA256, TPM2_ALG_SHA256 },
	{ TPM2_BANK_SHA384, TPM2_ALG_SHA384 },
	{ TPM2_BANK_SHA1, TPM2_ALG_SHA1 },
};

static TPMI_ALG_HASH bank_hash(enum tpm2_bank bank)
{
	for (size_t i = 0; i < ARRAY_SIZE(banks); i++)
		if (banks[i].bank == bank)
			return banks[i].hash;
	return TPM2_ALG_NULL;
}

static TPML_PCR_SELECTION selection_of(enum tpm2_bank bank, uint32_t pcrs)
{
	return (TPML_PCR_SELECTION){
		.count = 1,
		.pcrSelections[0] = {
			.hash = bank_hash(bank),
			.sizeofSelect = PCR_SELECT_SIZE,
			.pcrSelect = { pcrs & 0xff, pcrs >> 8 & 0xff, pcrs >> 16 & 0xff },
		},
	};
}

static uint32_t selected_pcrs(const TPML_PCR_SELECTION *selection)
{
	const uint8_t *select = selection->pcrSelections[0].pcrSelect;

	if (selection->count != 1 || selection->pcrSelections[0].sizeofSelect != PCR_SELECT_SIZE)
		return 0;
	return select[0] | (uint32_t)select[1] << 8 | (uint32_t)select[2] << 16;
}

void pcrs_print(enum tpm2_bank bank, uint32_t pcrs, char out[static PCRS_TEXT_SIZE])
{
	int n = snprintf(out, PCRS_TEXT_SIZE, "PCR");

	for (unsigned i = 0; i < TPM2_PCRS; i++)
		if (pcrs >> i & 1)
			n += snprintf(out + n, PCRS_TEXT_SIZE - (size_t)n, " %u", i);
	snprintf(out + n, PCRS_TEXT_SIZE - (size_t)n, " of %s", tpm2_bank_name(bank));
}

/* Nothing was measured into a PCR that is all zero (as after a reset) or all one (no dynamic launch). */
static bool values_are_live(const TPML_DIGEST *values)
{
	for (size_t i = 0; i < values->count; i++) {
		const TPM2B_DIGEST *v = &values->digests[i];

		if (v->size < 2 || ((v->buffer[0] == 0 || v->buffer[0] == 0xff) &&
				    memcmp(v->buffer, v->buffer + 1, v->size - 1) == 0))
			return false;
	}
	return values->count > 0;
}

/* One PCR_Read: *ret_read are the PCRs whose values were there and live; 0 if one was not. */
static enum err read_live(struct tpm2 *t, enum tpm2_bank bank, uint32_t pcrs, uint32_t *ret_read, struct err_ctx *e)
{
	TPML_PCR_SELECTION selection = selection_of(bank, pcrs);
	_cleanup_esys_ TPML_PCR_SELECTION *read = NULL;
	_cleanup_esys_ TPML_DIGEST *values = NULL;

	TSS2_RC rc = Esys_PCR_Read(t->esys, NO_SESSIONS, &selection, NULL, &read, &values);
	if (code_is_parameter(rc)) { /* the TPM does not know the bank's hash */
		*ret_read = 0;
		return ERR_OK;
	}
	enum err err = tpm2_result(t, "TPM2_PCR_Read", rc, e);
	if (err)
		return err;
	*ret_read = values_are_live(values) ? selected_pcrs(read) & pcrs : 0;
	return ERR_OK;
}

/* A TPM gives at most eight values at a time. */
enum err bank_is_live(struct tpm2 *t, enum tpm2_bank bank, uint32_t pcrs, bool *ret, struct err_ctx *e)
{
	while (pcrs) {
		uint32_t read = 0;
		enum err err = read_live(t, bank, pcrs, &read, e);

		if (err)
			return err;
		if (read == 0)
			break;
		pcrs &= ~read;
	}
	*ret = pcrs == 0;
	return ERR_OK;
}

enum err tpm2_live_bank(struct tpm2 *t, uint32_t pcrs, enum tpm2_bank *ret, struct err_ctx *e)
{
	enum tpm2_bank bank = TPM2_BANK_NONE;

	if (pcrs >> TPM2_PCRS)
		return err_set(e, ERR_BUG, "PCRs 0x%x", pcrs);
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);
	for (size_t i = 0; !err && pcrs && !bank && i < ARRAY_SIZE(banks); i++) {
		bool live = false;

		err = bank_is_live(t, banks[i].bank, pcrs, &live, e);
		bank = live ? banks[i].bank : TPM2_BANK_NONE;
	}
	if (!err)
		*ret = bank;
	return err;
}

enum err session_use(const struct transient *session, TPMA_SESSION attributes, struct err_ctx *e)
{
	TSS2_RC rc = Esys_TRSess_SetAttributes(session->t->esys, session->handle, attributes, 0xff);

	return tpm2_result(session->t, "Esys_TRSess_SetAttributes", rc, e);
}

enum err session_start(struct transient *session, TPM2_SE type, struct err_ctx *e)
{
	static const TPMT_SYM_DEF aes_128_cfb = {
		.algorithm = TPM2_ALG_AES,
		.keyBits.aes = 128,
		.mode.aes = TPM2_ALG_CFB,
	};
	struct tpm2 *t = session->t;
	TSS2_RC rc = Esys_StartAuthSession(t->esys, t->srk, ESYS_TR_NONE, NO_SESSIONS, NULL, type, &aes_128_cfb,
					   TPM2_ALG_SHA256, &session->handle);

	return tpm2_result(t, "TPM2_StartAuthSession", rc, e);
}

static enum err assert_pcrs(const struct transient *session, const struct slot_tpm2 *s, const struct transient *hmac,
			    struct err_ctx *e)
{
	TPML_PCR_SELECTION selection = selection_of(s->bank, s->pcrs);
	ESYS_TR by = hmac ? hmac->handle : NO_SESSION;
	enum err err = hmac ? session_use(hmac, TPMA_SESSION_DECRYPT | TPMA_SESSION_CONTINUESESSION, e) : ERR_OK;

	if (err)
		return err;
	TSS2_RC rc = Esys_PolicyPCR(session->t->esys, session->handle, by, NO_SESSION, NO_SESSION, NULL, &selection);
	return tpm2_result(session->t, "TPM2_PolicyPCR", rc, e);
}

static enum err read_digest(const struct transient *session, const struct transient *hmac,
			    uint8_t ret[static TPM2_DIGEST_SIZE], struct err_ctx *e)
{
	_cleanup_esys_ TPM2B_DIGEST *digest = NULL;
	ESYS_TR by = hmac ? hmac->handle : NO_SESSION;
	enum err err = hmac ? session_use(hmac, TPMA_SESSION_ENCRYPT | TPMA_SESSION_CONTINUESESSION, e) : ERR_OK;

	if (err)
		return err;
	TSS2_RC rc = Esys_PolicyGetDigest(session->t->esys, session->handle, by, NO_SESSION, NO_SESSION, &digest);
	err = tpm2_result(session->t, "TPM2_PolicyGetDigest", rc, e);
	if (err)
		return err;
	if (digest->size != TPM2_DIGEST_SIZE)
		return err_set(e, ERR_TPM_FAILED, "TPM2_PolicyGetDigest: %u bytes", digest->size);
	memcpy(ret, digest->buffer, TPM2_DIGEST_SIZE);
	return ERR_OK;
}

/* Spec: TPM 2.0 Part 3, TPM2_PolicyAuthValue: the new digest is the hash of the old one and the command's code. */
static enum err extend_by_pin(uint8_t digest[static TPM2_DIGEST_SIZE], struct err_ctx *e)
{
	uint8_t extended[TPM2_DIGEST_SIZE + sizeof(uint32_t)];
	uint32_t code = htobe32(TPM2_CC_PolicyAuthValue);

	memcpy(extended, digest, TPM2_DIGEST_SIZE);
	memcpy(extended + TPM2_DIGEST_SIZE, &code, sizeof(code));
	if (EVP_Digest(extended, sizeof(extended), digest, NULL, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_NO_MEMORY, "computing a policy");
	return ERR_OK;
}

/* A session in which no PCRs were asserted has a digest of zeros by definition; that is not worth two commands. */
enum err policy_assert_pcrs(const struct transient *session, const struct slot_tpm2 *s, const struct transient *hmac,
			    uint8_t ret[static TPM2_DIGEST_SIZE], struct err_ctx *e)
{
	uint8_t digest[TPM2_DIGEST_SIZE] = { 0 };
	enum err err = s->pcrs ? assert_pcrs(session, s, hmac, e) : ERR_OK;

	if (!err && s->pcrs)
		err = read_digest(session, hmac, digest, e);
	if (!err && s->has_pin)
		err = extend_by_pin(digest, e);
	if (!err)
		memcpy(ret, digest, TPM2_DIGEST_SIZE);
	return err;
}

enum err policy_assert_pin(const struct transient *session, struct err_ctx *e)
{
	TSS2_RC rc = Esys_PolicyAuthValue(session->t->esys, session->handle, NO_SESSIONS);

	return tpm2_result(session->t, "TPM2_PolicyAuthValue", rc, e);
}
