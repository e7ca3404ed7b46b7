/* SPDX-License-Identifier: MIT */
/*
 * The storage root key: the key at a well-known handle that everything of ours is sealed under.
 *
 * Whoever can put a key there could put one whose private part is known, or can be had: so one that differs from the
 * template in anything but `unique` and noDA is not used. Its Name, which the slots remember, stands for all of it.
 */
#include <string.h>

#include "tpm2/internal.h"

/* Spec: TCG TPM v2.0 Provisioning Guidance 1.0, table 2: reserved handle of the SRK. */
enum { SRK_HANDLE = 0x81000001 };

#define SRK_ATTRIBUTES                                                                                       \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |                  \
	 TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

#define AES_128_CFB { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB }

/*
 * Spec: TCG EK Credential Profile 2.5, annex B, templates L-2 and L-1, with the changes for an SRK of Provisioning
 * Guidance 7.5.1: userWithAuth and noDA set, adminWithPolicy clear, no policy.
 */
static const TPM2B_PUBLIC ecc_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = SRK_ATTRIBUTES,
		.parameters.eccDetail = {
			.symmetric = AES_128_CFB,
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = { .x.size = 32, .y.size = 32 },
	},
};

static const TPM2B_PUBLIC rsa_template = {
	.publicArea = {
		.type = TPM2_ALG_RSA,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = SRK_ATTRIBUTES,
		.parameters.rsaDetail = {
			.symmetric = AES_128_CFB,
			.scheme.scheme = TPM2_ALG_NULL,
			.keyBits = 2048,
			.exponent = 0,
		},
	},
};

/* Makers differ in noDA: systemd sets it, tpm2-tools do not; what it says about an empty password does not matter. */
static bool is_srk(const TPM2B_PUBLIC *p)
{
	TPM2B_PUBLIC key = *p;

	key.publicArea.objectAttributes |= TPMA_OBJECT_NODA;
	return public_matches(&key, ecc_template) || public_matches(&key, rsa_template);
}

static enum err check_srk(struct tpm2 *t, struct err_ctx *e)
{
	TPM2B_PUBLIC public;

	if (!public_read(&t->transport, &public, t->srk_name))
		return err_set(e, ERR_TPM_SRK, "its Name is not its public area's: something changes what it says");
	if (!is_srk(&public))
		return err_set(e, ERR_TPM_SRK, "attributes 0x%x, type 0x%x", public.publicArea.objectAttributes,
			       public.publicArea.type);
	return ERR_OK;
}

enum err srk_find(struct tpm2 *t, struct err_ctx *e)
{
	ESYS_TR srk;

	if (t->srk != ESYS_TR_NONE)
		return ERR_OK;
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, SRK_HANDLE, NO_SESSIONS, &srk);
	if (code_is(rc, TPM2_RC_HANDLE))
		return err_set_tss(e, ERR_TPM_CLEARED, rc, "there is no key at 0x%x", SRK_HANDLE);
	enum err err = tpm2_result(t, "TPM2_ReadPublic", rc, e);
	if (err)
		return err;
	err = check_srk(t, e);
	if (err)
		Esys_TR_Close(t->esys, &srk);
	else
		t->srk = srk;
	return err;
}

/* Somebody else may make it at the same time, which is as good: the key depends on the template and the TPM alone. */
static enum err make_srk(struct tpm2 *t, struct err_ctx *e)
{
	static const TPM2B_SENSITIVE_CREATE no_password;
	static const TPM2B_DATA no_data;
	static const TPML_PCR_SELECTION no_pcrs;
	TRANSIENT(primary, t);
	ESYS_TR persistent;

	TSS2_RC rc = Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, NO_SESSION, NO_SESSION,
					&no_password, &ecc_template, &no_data, &no_pcrs, &primary.handle, NULL, NULL,
					NULL, NULL);
	enum err err = tpm2_result(t, "TPM2_CreatePrimary", rc, e);
	if (err)
		return err;
	rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, primary.handle, ESYS_TR_PASSWORD, NO_SESSION, NO_SESSION,
			       SRK_HANDLE, &persistent);
	return code_is(rc, TPM2_RC_NV_DEFINED) ? ERR_OK : tpm2_result(t, "TPM2_EvictControl", rc, e);
}

enum err srk_find_or_make(struct tpm2 *t, struct err_ctx *e)
{
	enum err err = srk_find(t, e);

	if (err != ERR_TPM_CLEARED)
		return err;
	err_clear(e);
	err = make_srk(t, e);
	return err ? err : srk_find(t, e);
}

enum err tpm2_srk_name(struct tpm2 *t, uint8_t ret[static TPM2_NAME_SIZE], struct err_ctx *e)
{
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);

	if (!err)
		err = srk_find(t, e);
	if (!err)
		memcpy(ret, t->srk_name, TPM2_NAME_SIZE);
	return err;
}

enum err tpm2_srk_make(struct tpm2 *t, uint8_t ret[static TPM2_NAME_SIZE], struct err_ctx *e)
{
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);

	if (!err)
		err = srk_find_or_make(t, e);
	if (!err)
		memcpy(ret, t->srk_name, TPM2_NAME_SIZE);
	return err;
}
