/* SPDX-License-Identifier: MIT */
/* The connection: ESYS above our transport, what its answers mean, and what has to be flushed. */
#include <string.h>
#include <tss2/tss2_rc.h>

#include "tpm2/internal.h"

enum { FLUSH_TIMEOUT_MS = 1000 };

static void disconnect(struct tpm2 *t)
{
	if (t->esys)
		Esys_Finalize(&t->esys);
	transport_close(&t->transport);
}

static enum err connect_esys(struct tpm2 *t, struct err_ctx *e)
{
	disconnect(t);
	t->srk = ESYS_TR_NONE;
	t->stale = true;
	enum err err = transport_open(&t->transport, e);
	if (err)
		return err;
	TSS2_RC rc = Esys_Initialize(&t->esys, (TSS2_TCTI_CONTEXT *)&t->transport, NULL);
	err = tpm2_result(t, "Esys_Initialize", rc, e);
	t->stale = err != ERR_OK;
	return err;
}

enum err tpm2_open(const char *tcti, struct tpm2 **ret, struct err_ctx *e)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ERR_NO_MEMORY, "room for a TPM");
	enum err err = transport_init(&t->transport, tcti, e);
	if (err)
		return err;
	t->transport.deadline = deadline_in(TPM2_TIMEOUT_MS);
	err = connect_esys(t, e);
	if (!err)
		*ret = TAKE(t);
	return err;
}

void tpm2_close(struct tpm2 *t)
{
	if (!t)
		return;
	disconnect(t);
	free(t);
}

unsigned tpm2_command_count(const struct tpm2 *t)
{
	return t->transport.commands;
}

enum err tpm2_begin(struct tpm2 *t, struct deadline deadline, struct err_ctx *e)
{
	if (deadline_left_ms(deadline) == 0)
		return err_set(e, ERR_TIMEOUT, "using the TPM at %s", t->transport.path);
	t->transport.deadline = deadline;
	return t->stale || t->transport.failure.code ? connect_esys(t, e) : ERR_OK;
}

enum err tpm2_result(struct tpm2 *t, const char *command, TSS2_RC rc, struct err_ctx *e)
{
	if (rc == TSS2_RC_SUCCESS)
		return ERR_OK;
	t->stale = t->stale || !code_is_answer(rc);
	if (!t->transport.failure.code)
		return err_set_tss(e, code_error(rc), rc, "%s: %s", command, Tss2_RC_Decode(rc));
	if (e)
		*e = t->transport.failure;
	return err_wrap(e, t->transport.failure.code, "%s", command);
}

/* Has its own time: what is left of an operation that ran out of it has to go as well. */
void transient_flush(struct transient *x)
{
	struct deadline before = x->t->transport.deadline;

	if (x->handle == ESYS_TR_NONE)
		return;
	x->t->transport.deadline = deadline_in(FLUSH_TIMEOUT_MS);
	(void)Esys_FlushContext(x->t->esys, x->handle);
	x->t->transport.deadline = before;
	x->handle = ESYS_TR_NONE;
}
