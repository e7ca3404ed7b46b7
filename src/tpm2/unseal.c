/* SPDX-License-Identifier: MIT */
/*
 * Unseals, with as few commands as it takes: on a new connection ReadPublic, Load, StartAuthSession, PolicyPCR,
 * PolicyGetDigest, Unseal, FlushContext. With a PIN also GetCapability, after Load, and PolicyAuthValue.
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

static enum err check_mine(struct tpm2 *t, const struct slot_tpm2 *s, struct err_ctx *e)
{
	enum err err = srk_find(t, e);

	if (!err && memcmp(t->srk_name, s->srk_name, sizeof(s->srk_name)) != 0)
		err = err_set(e, ERR_TPM_NOT_MINE, "the slot's storage root key is not this TPM's");
	return err;
}

enum err tpm2_check_mine(struct tpm2 *t, const struct slot_tpm2 *sealed, struct err_ctx *e)
{
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);

	return err ? err : check_mine(t, sealed, e);
}

enum err object_load(struct transient *object, const struct slot_tpm2 *s, struct err_ctx *e)
{
	TPM2B_PUBLIC public;
	TPM2B_PRIVATE private;
	enum err err = check_mine(object->t, s, e);

	if (!err)
		err = object_parse(s, &public, &private, e);
	return err ? err : load(object, &public, &private, e);
}

/* Which of the two it is only matters to whoever reads the message, so only then it is looked at. */
static enum err explain_mismatch(struct tpm2 *t, const struct slot_tpm2 *s, struct err_ctx *e)
{
	char pcrs[PCRS_TEXT_SIZE];
	bool live;

	if (!s->pcrs)
		return err_set(e, ERR_TPM_OBJECT, "its policy is more than a PIN");
	if (bank_is_live(t, s->bank, s->pcrs, &live, NULL))
		live = true;
	pcrs_print(s->bank, s->pcrs, pcrs);
	return err_set(e, live ? ERR_TPM_POLICY : ERR_TPM_BANK, live ? "%s" : "%s: nothing was measured", pcrs);
}

/* A policy session in which the PCRs are as they were when the object was sealed. */
static enum err satisfy_policy(struct transient *session, const struct slot_tpm2 *s, struct err_ctx *e)
{
	uint8_t digest[TPM2_DIGEST_SIZE];
	enum err err = session_start(session, TPM2_SE_POLICY, e);

	if (!err)
		err = policy_assert_pcrs(session, s, NULL, digest, e);
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

static bool is_wrong_auth(TSS2_RC rc)
{
	return code_is(rc, TPM2_RC_AUTH_FAIL) || code_is(rc, TPM2_RC_BAD_AUTH);
}

/*
 * With a PIN, the session that authorises has the object's authorisation value in its keys, beside the salt: who does
 * not know both cannot answer in it, nor read the answer. Binding it to the object as well would say that a second time;
 * tpm2-tss (3.2.1) then leaves the value out of the HMAC of a policy session, and the TPM refuses the right PIN.
 * A success ends the session in the TPM; its record in ESYS is left to be closed.
 */
static enum err unseal_once(const struct transient *object, const struct slot_tpm2 *s, TSS2_RC *ret_rc,
			    struct secret **ret, struct err_ctx *e)
{
	struct tpm2 *t = object->t;
	TRANSIENT(session, t);
	TPM2B_SENSITIVE_DATA *data = NULL;

	*ret_rc = TSS2_RC_SUCCESS;
	enum err err = satisfy_policy(&session, s, e);
	if (!err && s->has_pin)
		err = policy_assert_pin(&session, e);
	if (!err)
		err = session_use(&session, TPMA_SESSION_ENCRYPT, e);
	if (err)
		return err;
	*ret_rc = Esys_Unseal(t->esys, object->handle, session.handle, NO_SESSION, NO_SESSION, &data);
	if (s->has_pin && is_wrong_auth(*ret_rc))
		return lockout_explain_wrong(t, *ret_rc, e);
	err = tpm2_result(t, "TPM2_Unseal", *ret_rc, e);
	if (err)
		return err;
	Esys_TR_Close(t->esys, &session.handle);
	return take_secret(data, ret, e);
}

enum err auth_of(const struct secret *auth, struct secret **ret, struct err_ctx *e)
{
	size_t size = secret_size(auth);

	if (size > TPM2_DIGEST_SIZE || secret_data(auth)[size - 1] == 0)
		return err_set(e, ERR_BUG, "an authorisation value of %zu bytes, or with a zero at its end", size);
	enum err err = secret_new(sizeof(TPM2B_AUTH), ret, e);
	if (err)
		return err;
	TPM2B_AUTH *own = (TPM2B_AUTH *)secret_bytes(*ret);
	own->size = (UINT16)size;
	memcpy(own->buffer, secret_data(auth), size);
	return ERR_OK;
}

/* ESYS keeps the value until the object is flushed, and computes with it; it is not sent. */
static enum err set_auth(const struct transient *object, const struct secret *auth, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *own = NULL;
	enum err err = auth_of(auth, &own, e);

	if (err)
		return err;
	TSS2_RC rc = Esys_TR_SetAuth(object->t->esys, object->handle, (const TPM2B_AUTH *)secret_data(own));
	return tpm2_result(object->t, "Esys_TR_SetAuth", rc, e);
}

/*
 * Any PCR that is extended between the policy and its use, an unrelated one as well, makes the TPM refuse. It says so
 * before it looks at the PIN: another go is not another try.
 */
enum err object_unseal(const struct transient *object, const struct slot_tpm2 *s, const struct secret *auth,
		       struct secret **ret, struct err_ctx *e)
{
	enum err err = auth ? set_auth(object, auth, e) : ERR_OK;
	TSS2_RC rc;

	if (err)
		return err;
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
	enum err err = sealed->has_pin ? err_set(e, ERR_NO_INPUT, "the PIN was not given") : tpm2_begin(t, deadline, e);

	if (!err)
		err = object_load(&object, sealed, e);
	return err ? err : object_unseal(&object, sealed, NULL, ret, e);
}

enum err tpm2_unseal_pin(struct tpm2 *t, const struct tpm2_try *try, struct secret **ret, struct err_ctx *e)
{
	TRANSIENT(object, t);
	enum err err = try->sealed->has_pin ? tpm2_begin(t, try->deadline, e) :
					      err_set(e, ERR_BUG, "a PIN for an object that needs none");

	if (!err)
		err = object_load(&object, try->sealed, e);
	if (!err)
		err = lockout_allows_try(t, try->attended, e);
	return err ? err : object_unseal(&object, try->sealed, try->auth, ret, e);
}

enum err tpm2_check(struct tpm2 *t, const struct slot_tpm2 *sealed, struct err_ctx *e)
{
	TRANSIENT(object, t);
	TRANSIENT(session, t);
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);

	if (!err)
		err = object_load(&object, sealed, e);
	if (!err && sealed->has_pin)
		err = lockout_allows_try(t, true, e);
	return err ? err : satisfy_policy(&session, sealed, e);
}
