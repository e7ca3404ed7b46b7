/* SPDX-License-Identifier: MIT */
#include "tpm2/code.h"

/* A format-one code says in these bits what it is about: parameter or not, and which parameter, handle or session. */
#define FORMAT_ONE_PLACE (TPM2_RC_P | 0xf00)

static const struct {
	TPM2_RC code;
	enum err error;
} table[] = {
	{ TPM2_RC_AUTH_FAIL, ERR_TPM_AUTH },
	{ TPM2_RC_BAD_AUTH, ERR_TPM_AUTH },
	{ TPM2_RC_AUTH_UNAVAILABLE, ERR_TPM_AUTH },
	{ TPM2_RC_LOCKOUT, ERR_TPM_LOCKOUT },
	{ TPM2_RC_POLICY_FAIL, ERR_TPM_POLICY },
	{ TPM2_RC_INTEGRITY, ERR_TPM_OBJECT },
	{ TPM2_RC_NV_DEFINED, ERR_TPM_HANDLE_TAKEN },
	/* what passes by itself */
	{ TPM2_RC_PCR_CHANGED, ERR_TPM_BUSY },
	{ TPM2_RC_OBJECT_MEMORY, ERR_TPM_BUSY },
	{ TPM2_RC_SESSION_MEMORY, ERR_TPM_BUSY },
	{ TPM2_RC_MEMORY, ERR_TPM_BUSY },
	{ TPM2_RC_SESSION_HANDLES, ERR_TPM_BUSY },
	{ TPM2_RC_OBJECT_HANDLES, ERR_TPM_BUSY },
	{ TPM2_RC_CONTEXT_GAP, ERR_TPM_BUSY },
	{ TPM2_RC_YIELDED, ERR_TPM_BUSY },
	{ TPM2_RC_CANCELED, ERR_TPM_BUSY },
	{ TPM2_RC_TESTING, ERR_TPM_BUSY },
	{ TPM2_RC_RETRY, ERR_TPM_BUSY },
	{ TPM2_RC_NV_RATE, ERR_TPM_BUSY },
	{ TPM2_RC_NV_UNAVAILABLE, ERR_TPM_BUSY },
};

/* Linux's resource manager puts the TPM's codes into the layer that the specification has for its own. */
bool code_is_answer(TSS2_RC rc)
{
	TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

	return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER || layer == TSS2_RESMGR_RC_LAYER;
}

static TPM2_RC answer_of(TSS2_RC rc)
{
	TPM2_RC answer = rc & ~TSS2_RC_LAYER_MASK;

	return answer & TPM2_RC_FMT1 ? answer & ~FORMAT_ONE_PLACE : answer;
}

bool code_is(TSS2_RC rc, TPM2_RC which)
{
	return code_is_answer(rc) && answer_of(rc) == which;
}

bool code_is_parameter(TSS2_RC rc)
{
	return code_is_answer(rc) && (rc & TPM2_RC_FMT1) && (rc & TPM2_RC_P);
}

enum err code_error(TSS2_RC rc)
{
	if (rc == TSS2_RC_SUCCESS)
		return ERR_OK;
	if (!code_is_answer(rc))
		return (rc & ~TSS2_RC_LAYER_MASK) == TSS2_BASE_RC_MEMORY ? ERR_NO_MEMORY : ERR_TPM_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (answer_of(rc) == table[i].code)
			return table[i].error;
	return ERR_TPM_FAILED;
}
