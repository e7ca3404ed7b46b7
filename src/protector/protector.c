/* SPDX-License-Identifier: MIT */
#include "protector/protector.h"
#include "protector/vault.h"

static const struct protector *const protectors[] = {
	&protector_tpm2, &protector_vault, &protector_recovery, &protector_passphrase,
};

const char *protector_type(size_t i)
{
	return i < ARRAY_SIZE(protectors) ? protectors[i]->type : NULL;
}

const struct protector *protector_find(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(protectors); i++)
		if (str_equal(protectors[i]->type, type))
			return protectors[i];
	return NULL;
}

enum answer protector_needs(const struct slot *slot)
{
	const struct protector *p = protector_find(slot->type);

	return p && p->needs ? p->needs(slot) : ANSWER_NONE;
}

bool protector_was_answered(const struct protector_context *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->answers); i++)
		if (c->answers[i])
			return true;
	return false;
}

enum err protector_tpm(struct protector_context *c, struct tpm2 **ret, struct err_ctx *e)
{
	if (c->tpm_failed) {
		if (e)
			*e = c->tpm_error;
		return c->tpm_error.code;
	}
	if (!c->tpm) {
		enum err r = tpm2_open(c->tcti, &c->tpm, &c->tpm_error);

		if (r) {
			c->tpm_failed = true;
			return protector_tpm(c, ret, e);
		}
	}
	*ret = c->tpm;
	return ERR_OK;
}

void protector_context_clear(struct protector_context *c)
{
	tpm2_close(c->tpm);
	c->tpm = NULL;
	protector_vault_clear(c);
}
