/* SPDX-License-Identifier: MIT */
/*
 * Unseals, with as few commands as it takes: on a new connection ReadPublic, Load, StartAuthSession, PolicyPCR,
 * PolicyGetDigest, Unseal, FlushContext.
 *
 * One session does two things: it carries the policy, and it is salted to the SRK, so that it encrypts the secret on
 * its way back and proves that the TPM has the SRK's private part. The parent's authorisation for Load is the empty
 * password; the object goes there encrypted as it is, and its Name is bound into the Unseal.
 */
#include <string.h>

#include "tpm2/internal.h"

enum { PCR_RACES_MAX = 30 }; /* as systemd; a machine that boots extends its PCRs for a while */

static enum err load(struct transient *object, const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private,
		     struct err_ctx *e)
{
	struct tpm2 *t = object->t;
	TSS2_RC rc = Esys_Load(t->esys, t->srk, ESYS_TR_PASSWORD, NO_SESSION, NO_SESSION, private, public,
			       &object->handle);

	/* the command has no other parameters than the object */
	if (code_is_parameter(rc))
		return err_set_tss(e, ERR_TPM_OBJECT, rc, "TPM2_Load");
	return tpm2_result(t, "TPM2_Load", rc, e);
}

enum err object_load(struct transient *object, const struct slot_tpm2 *s, struct err_ctx *e)
{
	TPM2B_PUBLIC public;
	TPM2B_PRIVATE private;
	enum err err = srk_find(object->t, e);

	if (err)
		return err;
	if (memcmp(object->t->srk_name, s->srk_name, sizeof(s->srk_name)) != 0)
		return err_set(e, ERR_TPM_NOT_MINE, "the slot's storage root key is not this TPM's");
	err = object_parse(s, &public, &private, e);
	return err ? err : load(object, &public, &private, e);
}

/* Which of the two it is only matters to whoever reads the message, so only then it is looked at. */
static enum err explain_mismatch(struct tpm2 *t, const struct slot_tpm2 *s, struct err_ctx *e)
{
	char pcrs[PCRS_TEXT_SIZE];
	bool live;

	if (bank_is_live(t, s->bank, s->pcrs, &live, NULL))
		live = true;
	pcrs_print(s->bank, s->pcrs, pcrs);
	return err_set(e, live ? ERR_TPM_POLICY : ERR_TPM_BANK, live ? "%s" : "%s: nothing was measured", pcrs);
}

/* A policy session in which the PCRs are as they were when the object was sealed. */
static enum err satisfy_policy(struct transient *session, const struct slot_tpm2 *s, struct err_ctx *e)
{
	uint8_t digest[TPM2_DIGEST_SIZE];
	enum err err = policy_start(session, s, NULL, digest, e);

	if (err || memcmp(digest, s->policy, sizeof(digest)) == 0)
		return err;
	return explain_mismatch(session->t, s, e);
}

/* tss's own copy is wiped before it is freed. */
static enum err take_secret(TPM2B_SENSITIVE_DATA *data, struct secret **ret, struct err_ctx *e)
{
	enum err err = ERR_OK;

	if (data->size != KEY_SIZE)
		err = err_set(e, ERR_TPM_OBJECT, "there are %u bytes in it instead of %u", data->size, KEY_SIZE);
	else
		err = secret_new_copy(data->buffer, data->size, ret, e);
	explicit_bzero(data, sizeof(*data));
	Esys_Free(data);
	return err;
}

/* A success ends the session in the TPM; its record in ESYS is left to be closed. */
static enum err unseal_once(const struct transient *object, const struct slot_tpm2 *s, TSS2_RC *ret_rc,
			    struct secret **ret, struct err_ctx *e)
{
	struct tpm2 *t = object->t;
	TRANSIENT(session, t);
	TPM2B_SENSITIVE_DATA *data = NULL;

	*ret_rc = TSS2_RC_SUCCESS;
	enum err err = satisfy_policy(&session, s, e);
	if (!err)
		err = session_use(&session, TPMA_SESSION_ENCRYPT, e);
	if (err)
		return err;
	*ret_rc = Esys_Unseal(t->esys, object->handle, session.handle, NO_SESSION, NO_SESSION, &data);
	err = tpm2_result(t, "TPM2_Unseal", *ret_rc, e);
	if (err)
		return err;
	Esys_TR_Close(t->esys, &session.handle);
	return take_secret(data, ret, e);
}

/* Any PCR that is extended between the policy and its use, an unrelated one as well, makes the TPM refuse. */
enum err object_unseal(const struct transient *object, const struct slot_tpm2 *s, struct secret **ret,
		       struct err_ctx *e)
{
	enum err err;
	TSS2_RC rc;

	for (unsigned races = 0; races <= PCR_RACES_MAX; races++) {
		err = unseal_once(object, s, &rc, ret, e);
		if (!code_is(rc, TPM2_RC_PCR_CHANGED) || deadline_left_ms(object->t->transport.deadline) == 0)
			break;
	}
	return err;
}

enum err tpm2_unseal(struct tpm2 *t, const struct slot_tpm2 *sealed, struct deadline deadline, struct secret **ret,
		     struct err_ctx *e)
{
	TRANSIENT(object, t);
	enum err err = tpm2_begin(t, deadline, e);

	if (!err)
		err = object_load(&object, sealed, e);
	return err ? err : object_unseal(&object, sealed, ret, e);
}

enum err tpm2_check(struct tpm2 *t, const struct slot_tpm2 *sealed, struct err_ctx *e)
{
	TRANSIENT(object, t);
	TRANSIENT(session, t);
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);

	if (!err)
		err = object_load(&object, sealed, e);
	return err ? err : satisfy_policy(&session, sealed, e);
}
