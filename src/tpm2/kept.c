/* SPDX-License-Identifier: MIT */
/*
 * Sealed objects of other tools at persistent handles, to be taken over. What is known of them is only what the TPM
 * says: that it is a sealed object, and whether a password or a policy opens it. Nothing is guessed: a wrong password
 * counts towards a lockout.
 */
#include <string.h>

#include "tpm2/internal.h"

enum { KEPT_MAX = 128 }; /* bytes; TPMs seal no more */

static enum err find(struct tpm2 *t, uint32_t handle, TPM2B_PUBLIC *ret_public, uint8_t ret_name[static TPM2_NAME_SIZE],
		     ESYS_TR *ret, struct err_ctx *e)
{
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, handle, NO_SESSIONS, ret);

	if (code_is(rc, TPM2_RC_HANDLE))
		return err_set_tss(e, ERR_TPM_NO_OBJECT, rc, "handle 0x%x", handle);
	enum err err = tpm2_result(t, "TPM2_ReadPublic", rc, e);
	if (err)
		return err;
	if (public_read(&t->transport, ret_public, ret_name) && ret_public->publicArea.type == TPM2_ALG_KEYEDHASH)
		return ERR_OK;
	Esys_TR_Close(t->esys, ret);
	return err_set(e, ERR_TPM_NO_OBJECT, "handle 0x%x has something else, such as a key", handle);
}

/* The policy's digest is known before it is used: no use in asking the TPM to refuse. */
static enum err authorise_by_policy(struct transient *session, const struct tpm2_kept *kept, const TPM2B_DIGEST *policy,
				    struct err_ctx *e)
{
	const struct slot_tpm2 pcrs = { .bank = kept->bank, .pcrs = kept->pcrs };
	uint8_t digest[TPM2_DIGEST_SIZE];
	char text[PCRS_TEXT_SIZE];
	enum err err = session_start(session, TPM2_SE_POLICY, e);

	if (!err)
		err = policy_assert_pcrs(session, &pcrs, NULL, digest, e);
	pcrs_print(kept->bank, kept->pcrs, text);
	if (!err && (policy->size != sizeof(digest) || memcmp(policy->buffer, digest, sizeof(digest)) != 0))
		err = err_set(e, ERR_TPM_OBJECT_CLOSED, "handle 0x%x: its policy is not that of %s as they are now",
			      kept->handle, text);
	return err;
}

static enum err authorise(struct transient *session, const struct tpm2_kept *kept, const TPMT_PUBLIC *public,
			  struct err_ctx *e)
{
	if (kept->pcrs)
		return authorise_by_policy(session, kept, &public->authPolicy, e);
	if (!(public->objectAttributes & TPMA_OBJECT_USERWITHAUTH))
		return err_set(e, ERR_TPM_OBJECT_CLOSED, "handle 0x%x: only a policy opens it", kept->handle);
	return session_start(session, TPM2_SE_HMAC, e);
}

/* tss's own copy is wiped before it is freed. */
static enum err take(TPM2B_SENSITIVE_DATA *data, struct secret **ret, struct err_ctx *e)
{
	enum err err = ERR_OK;

	if (data->size == 0 || data->size > KEPT_MAX)
		err = err_set(e, ERR_KEY_SHAPE, "there are %u bytes in it", data->size);
	else
		err = secret_new_copy(data->buffer, data->size, ret, e);
	explicit_bzero(data, sizeof(*data));
	Esys_Free(data);
	return err;
}

static enum err unseal(struct tpm2 *t, const struct tpm2_kept *kept, ESYS_TR object, const TPMT_PUBLIC *public,
		       struct secret **ret, struct err_ctx *e)
{
	TRANSIENT(session, t);
	TPM2B_SENSITIVE_DATA *data = NULL;
	enum err err = authorise(&session, kept, public, e);

	if (!err)
		err = session_use(&session, TPMA_SESSION_ENCRYPT, e);
	if (err)
		return err;
	TSS2_RC rc = Esys_Unseal(t->esys, object, session.handle, NO_SESSION, NO_SESSION, &data);
	err = tpm2_result(t, "TPM2_Unseal", rc, e);
	if (err == ERR_TPM_AUTH)
		return err_set_tss(e, ERR_TPM_OBJECT_CLOSED, rc, "handle 0x%x: it has a password", kept->handle);
	if (err == ERR_TPM_POLICY)
		return err_set_tss(e, ERR_TPM_OBJECT_CLOSED, rc, "handle 0x%x: its policy asks for more", kept->handle);
	if (err)
		return err;
	Esys_TR_Close(t->esys, &session.handle);
	return take(data, ret, e);
}

enum err tpm2_unseal_kept(struct tpm2 *t, struct tpm2_kept *kept, struct deadline deadline, struct secret **ret,
			  struct err_ctx *e)
{
	TPM2B_PUBLIC public;
	ESYS_TR object;
	enum err err = tpm2_begin(t, deadline, e);

	if (!err)
		err = srk_find_or_make(t, e);
	if (!err)
		err = find(t, kept->handle, &public, kept->name, &object, e);
	if (err)
		return err;
	err = unseal(t, kept, object, &public.publicArea, ret, e);
	Esys_TR_Close(t->esys, &object);
	return err;
}

enum err tpm2_evict_kept(struct tpm2 *t, const struct tpm2_kept *kept, struct err_ctx *e)
{
	uint8_t name[TPM2_NAME_SIZE];
	TPM2B_PUBLIC public;
	ESYS_TR object;
	enum err err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);

	if (!err)
		err = find(t, kept->handle, &public, name, &object, e);
	if (err == ERR_TPM_NO_OBJECT && e)
		err_clear(e);
	if (err)
		return err == ERR_TPM_NO_OBJECT ? ERR_OK : err;
	if (memcmp(name, kept->name, sizeof(name)) == 0)
		return evict_control(t, object, kept->handle, e);
	Esys_TR_Close(t->esys, &object);
	return err_set(e, ERR_TPM_HANDLE_TAKEN, "handle 0x%x has another object by now", kept->handle);
}
