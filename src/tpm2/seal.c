/* SPDX-License-Identifier: MIT */
/*
 * Seals: a new object under the SRK, with a policy over the PCRs as they are now and perhaps an authorisation value,
 * proven by unsealing it.
 */
#include <string.h>

#include "tpm2/internal.h"

static enum err check_request(struct tpm2 *t, const struct tpm2_seal *seal, struct err_ctx *e)
{
	char pcrs[PCRS_TEXT_SIZE];
	bool live;

	if (secret_size(seal->secret) != KEY_SIZE || seal->pcrs >> TPM2_PCRS ||
	    (seal->pcrs == 0) != (seal->bank == TPM2_BANK_NONE))
		return err_set(e, ERR_BUG, "sealing %zu bytes to PCRs 0x%x", secret_size(seal->secret), seal->pcrs);
	enum err err = bank_is_live(t, seal->bank, seal->pcrs, &live, e);
	if (err || live)
		return err;
	pcrs_print(seal->bank, seal->pcrs, pcrs);
	return err_set(e, ERR_TPM_BANK, "%s: nothing was measured", pcrs);
}

static enum err read_policy(const struct transient *hmac, struct slot_tpm2 *s, struct err_ctx *e)
{
	TRANSIENT(policy, hmac->t);
	enum err err = session_start(&policy, TPM2_SE_POLICY, e);

	return err ? err : policy_assert_pcrs(&policy, s, hmac, s->policy, e);
}

/* ESYS wants the key in a structure of its own, which therefore is a secret, too. */
static enum err sensitive_of(const struct tpm2_seal *seal, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *auth = NULL;
	enum err err = seal->auth ? auth_of(seal->auth, &auth, e) : ERR_OK;

	if (!err)
		err = secret_new(sizeof(TPM2B_SENSITIVE_CREATE), ret, e);
	if (err)
		return err;
	TPM2B_SENSITIVE_CREATE *sensitive = (TPM2B_SENSITIVE_CREATE *)secret_bytes(*ret);
	sensitive->sensitive.data.size = (UINT16)secret_size(seal->secret);
	memcpy(sensitive->sensitive.data.buffer, secret_data(seal->secret), secret_size(seal->secret));
	if (auth)
		memcpy(&sensitive->sensitive.userAuth, secret_data(auth), sizeof(sensitive->sensitive.userAuth));
	return ERR_OK;
}

/* The session authorises with the SRK's empty password, and encrypts the secret on its way. */
static enum err create_object(const struct transient *hmac, const struct tpm2_seal *seal, struct slot_tpm2 *s,
			      struct err_ctx *e)
{
	static const TPM2B_DATA no_data;
	static const TPML_PCR_SELECTION no_pcrs;
	_cleanup_secret_ struct secret *sensitive = NULL;
	_cleanup_esys_ TPM2B_PRIVATE *private = NULL;
	_cleanup_esys_ TPM2B_PUBLIC *public = NULL;
	TPM2B_PUBLIC template = object_template(s);
	struct tpm2 *t = hmac->t;

	enum err err = session_use(hmac, TPMA_SESSION_DECRYPT | TPMA_SESSION_CONTINUESESSION, e);
	if (!err)
		err = sensitive_of(seal, &sensitive, e);
	if (err)
		return err;
	TSS2_RC rc = Esys_Create(t->esys, t->srk, hmac->handle, NO_SESSION, NO_SESSION,
				 (const TPM2B_SENSITIVE_CREATE *)secret_data(sensitive), &template, &no_data, &no_pcrs,
				 &private, &public, NULL, NULL, NULL);
	err = tpm2_result(t, "TPM2_Create", rc, e);
	return err ? err : object_print(public, private, s, e);
}

static enum err make_object(struct tpm2 *t, const struct tpm2_seal *seal, struct slot_tpm2 *s, struct err_ctx *e)
{
	TRANSIENT(hmac, t);
	enum err err = session_start(&hmac, TPM2_SE_HMAC, e);

	if (!err)
		err = read_policy(&hmac, s, e);
	return err ? err : create_object(&hmac, seal, s, e);
}

static enum err prove(struct tpm2 *t, const struct tpm2_seal *seal, const struct slot_tpm2 *s, struct err_ctx *e)
{
	TRANSIENT(object, t);
	_cleanup_secret_ struct secret *back = NULL;
	enum err err = object_load(&object, s, e);

	if (!err)
		err = object_unseal(&object, s, seal->auth, &back, e);
	if (!err && !secret_equal(seal->secret, back))
		err = err_set(e, ERR_BUG, "what was unsealed is not what was sealed");
	return err_wrap(e, err, "proving the new object");
}

enum err tpm2_seal(struct tpm2 *t, const struct tpm2_seal *seal, struct deadline deadline, struct slot_tpm2 *ret,
		   struct err_ctx *e)
{
	struct slot_tpm2 s = { .bank = seal->bank, .pcrs = seal->pcrs, .has_pin = seal->auth != NULL };
	enum err err = tpm2_begin(t, deadline, e);

	if (!err)
		err = check_request(t, seal, e);
	if (!err && s.has_pin)
		err = lockout_allows_try(t, true, e);
	if (!err)
		err = srk_find_or_make(t, e);
	if (!err)
		err = make_object(t, seal, &s, e);
	if (err)
		return err;
	memcpy(s.srk_name, t->srk_name, sizeof(s.srk_name));
	err = prove(t, seal, &s, e);
	if (!err)
		*ret = s;
	return err;
}
