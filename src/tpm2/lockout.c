/* SPDX-License-Identifier: MIT */
/*
 * Dictionary attack protection: the TPM counts wrong authorisation values, of all objects together, and from some number
 * on refuses the right ones, too. So a wrong PIN is everybody's harm: before one is given, the count is looked at.
 *
 * Nothing authenticates what is read here. Who changes it on its way could as well have sent wrong PINs himself.
 *
 * Spec: TPM 2.0 Part 1, "Dictionary Attack Protection"; Part 2, "TPM_PT" and "TPMA_PERMANENT".
 */
#include "tpm2/internal.h"

/* The properties from the first that we want to the last. */
enum { FIRST = TPM2_PT_PERMANENT, COUNT = TPM2_PT_LOCKOUT_RECOVERY - TPM2_PT_PERMANENT + 1 };

static bool take_property(const TPMS_TAGGED_PROPERTY *p, struct tpm2_lockout *l)
{
	switch (p->property) {
	case TPM2_PT_PERMANENT:
		l->in_lockout = p->value & TPMA_PERMANENT_INLOCKOUT;
		l->auth_set = p->value & TPMA_PERMANENT_LOCKOUTAUTHSET;
		return true;
	case TPM2_PT_LOCKOUT_COUNTER:
		l->failures = p->value;
		return true;
	case TPM2_PT_MAX_AUTH_FAIL:
		l->failures_max = p->value;
		return true;
	case TPM2_PT_LOCKOUT_INTERVAL:
		l->interval_s = p->value;
		return true;
	case TPM2_PT_LOCKOUT_RECOVERY:
		l->recovery_s = p->value;
		return true;
	default:
		return false;
	}
}

enum err lockout_read(struct tpm2 *t, struct tpm2_lockout *ret, struct err_ctx *e)
{
	enum { WANTED = 5 };
	_cleanup_esys_ TPMS_CAPABILITY_DATA *data = NULL;
	struct tpm2_lockout l = { 0 };
	unsigned found = 0;

	TSS2_RC rc = Esys_GetCapability(t->esys, NO_SESSIONS, TPM2_CAP_TPM_PROPERTIES, FIRST, COUNT, NULL, &data);
	enum err err = tpm2_result(t, "TPM2_GetCapability", rc, e);
	if (err)
		return err;
	const TPML_TAGGED_TPM_PROPERTY *p = &data->data.tpmProperties;
	for (uint32_t i = 0; data->capability == TPM2_CAP_TPM_PROPERTIES && i < p->count; i++)
		found += take_property(&p->tpmProperty[i], &l);
	if (found != WANTED)
		return err_set(e, ERR_TPM_FAILED, "TPM2_GetCapability: no word about dictionary attack protection");
	*ret = l;
	return ERR_OK;
}

enum err tpm2_lockout_get(struct tpm2 *t, struct tpm2_lockout *ret, struct err_ctx *e)
{
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);

	return err ? err : lockout_read(t, ret, e);
}

uint32_t tpm2_lockout_tries(const struct tpm2_lockout *l)
{
	return l->in_lockout || l->failures >= l->failures_max ? 0 : l->failures_max - l->failures;
}

enum err lockout_allows_try(struct tpm2 *t, bool attended, struct err_ctx *e)
{
	struct tpm2_lockout l;
	enum err err = lockout_read(t, &l, e);

	if (err)
		return err;
	if (tpm2_lockout_tries(&l) == 0)
		return err_set(e, ERR_TPM_LOCKOUT, "%u wrong values of %u; the next is forgotten within %u seconds",
			       l.failures, l.failures_max, l.interval_s);
	if (tpm2_lockout_tries(&l) == 1 && !attended)
		return err_set(e, ERR_TPM_LOCKOUT_NEAR,
			       "%u wrong values of %u; the next is forgotten within %u seconds; the PIN was not given to it",
			       l.failures, l.failures_max, l.interval_s);
	return ERR_OK;
}

enum err lockout_explain_wrong(struct tpm2 *t, TSS2_RC rc, struct err_ctx *e)
{
	struct tpm2_lockout l;

	if (lockout_read(t, &l, NULL))
		return err_set_tss(e, ERR_PIN_WRONG, rc, "TPM2_Unseal");
	if (tpm2_lockout_tries(&l) == 0)
		return err_set_tss(e, ERR_PIN_WRONG, rc, "the TPM has locked itself, for up to %u seconds",
				   l.interval_s);
	return err_set_tss(e, ERR_PIN_WRONG, rc, "%u of %u tries are left before the TPM locks itself",
			   tpm2_lockout_tries(&l), l.failures_max);
}
