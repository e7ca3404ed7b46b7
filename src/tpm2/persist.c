/* SPDX-License-Identifier: MIT */
/*
 * A sealed object at a persistent handle, for stock tools. What is there already is never replaced, and nothing is
 * removed that zseal would not have put there: other people's keys have such handles, too.
 */
#include <string.h>
#include <tss2/tss2_mu.h>

#include "sys/process.h"
#include "tpm2/internal.h"

/* Spec: TCG Registry of Reserved TPM 2.0 Handles and Localities 1.1: the owner's; below are the SRK and its like. */
enum { HANDLE_FIRST = 0x81000100, HANDLE_LAST = 0x817fffff };

static enum err check_handle(uint32_t handle, struct err_ctx *e)
{
	if (handle >= HANDLE_FIRST && handle <= HANDLE_LAST)
		return ERR_OK;
	return err_set(e, ERR_USAGE, "handle 0x%x is not between 0x%x and 0x%x", handle, HANDLE_FIRST, HANDLE_LAST);
}

enum err evict_control(struct tpm2 *t, ESYS_TR object, uint32_t handle, struct err_ctx *e)
{
	ESYS_TR persistent;

	process_signals_hold();
	TSS2_RC rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, object, ESYS_TR_PASSWORD, NO_SESSION, NO_SESSION,
				       handle, &persistent);
	process_signals_release();
	return err_wrap(e, tpm2_result(t, "TPM2_EvictControl", rc, e), "handle 0x%x", handle);
}

/* A public area has a hash of what is sealed in it: no two objects have the same. */
static bool is_the_sealed(const struct tpm2 *t, const struct slot_tpm2 *sealed)
{
	uint8_t name[TPM2_NAME_SIZE], area[TPM2_BLOB_MAX];
	TPM2B_PUBLIC public;
	size_t size = 0;

	return public_read(&t->transport, &public, name) &&
	       !Tss2_MU_TPM2B_PUBLIC_Marshal(&public, area, sizeof(area), &size) && size == sealed->public_size &&
	       memcmp(area, sealed->public, size) == 0;
}

enum occupant { OCCUPANT_NONE, OCCUPANT_SEALED, OCCUPANT_OTHER };

/* Begins an operation with what is at handle: nothing, the sealed object (NULL: none is), or another one. */
static enum err begin_at(struct tpm2 *t, const struct slot_tpm2 *sealed, uint32_t handle, enum occupant *ret,
			 ESYS_TR *ret_object, struct err_ctx *e)
{
	enum err err = check_handle(handle, e);

	if (!err)
		err = tpm2_begin(t, deadline_in(TPM2_TIMEOUT_MS), e);
	if (err)
		return err;
	*ret_object = ESYS_TR_NONE;
	*ret = OCCUPANT_NONE;
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, handle, NO_SESSIONS, ret_object);
	if (code_is(rc, TPM2_RC_HANDLE))
		return ERR_OK;
	err = tpm2_result(t, "TPM2_ReadPublic", rc, e);
	if (!err)
		*ret = sealed && is_the_sealed(t, sealed) ? OCCUPANT_SEALED : OCCUPANT_OTHER;
	return err;
}

enum err tpm2_check_handle(struct tpm2 *t, uint32_t handle, struct err_ctx *e)
{
	enum occupant occupant;
	ESYS_TR there;
	enum err err = begin_at(t, NULL, handle, &occupant, &there, e);

	if (err || occupant == OCCUPANT_NONE)
		return err;
	Esys_TR_Close(t->esys, &there);
	return err_set(e, ERR_TPM_HANDLE_TAKEN, "handle 0x%x", handle);
}

enum err tpm2_persist(struct tpm2 *t, const struct slot_tpm2 *sealed, uint32_t handle, struct err_ctx *e)
{
	TRANSIENT(object, t);
	enum occupant occupant;
	ESYS_TR there;
	enum err err = begin_at(t, sealed, handle, &occupant, &there, e);

	if (err)
		return err;
	if (occupant != OCCUPANT_NONE)
		Esys_TR_Close(t->esys, &there);
	if (occupant == OCCUPANT_SEALED)
		return ERR_OK;
	if (occupant == OCCUPANT_OTHER)
		return err_set(e, ERR_TPM_HANDLE_TAKEN, "handle 0x%x", handle);
	err = object_load(&object, sealed, e);
	return err ? err : evict_control(t, object.handle, handle, e);
}

enum err tpm2_evict(struct tpm2 *t, const struct slot_tpm2 *sealed, uint32_t handle, struct err_ctx *e)
{
	enum occupant occupant;
	ESYS_TR there;
	enum err err = begin_at(t, sealed, handle, &occupant, &there, e);

	if (err || occupant == OCCUPANT_NONE)
		return err;
	if (occupant == OCCUPANT_SEALED)
		return evict_control(t, there, handle, e);
	Esys_TR_Close(t->esys, &there);
	return err_set(e, ERR_TPM_HANDLE_TAKEN, "handle 0x%x has another object than the slot", handle);
}
