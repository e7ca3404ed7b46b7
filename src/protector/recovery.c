/* SPDX-License-Identifier: MIT */
/* Slots of type recovery: the slot secret follows from the key that a person keeps on paper and types. */
#include "protector/protector.h"

static enum answer needs(const struct slot *slot __attribute__((unused)))
{
	return ANSWER_RECOVERY_KEY;
}

static enum err derive(const struct secret *key, const struct uuid *keyring, const struct uuid *slot,
		       struct secret **ret, struct err_ctx *e)
{
	struct key_scope scope = { .purpose = PURPOSE_RECOVERY_SECRET, .keyring = *keyring, .object = *slot };

	if (!key)
		return err_set(e, ERR_NO_INPUT, "the recovery key was not given");
	return crypto_derive(key, &scope, ret, e);
}

static enum err protect(struct protector_context *c __attribute__((unused)), const struct protect_request *r,
			struct secret **ret_secret, char **ret_protect, struct err_ctx *e)
{
	_cleanup_free_ char *nothing = NULL;
	enum err err = str_copy("{}", &nothing, e);

	if (!err)
		err = derive(r->answer, &r->keyring, &r->slot, ret_secret, e);
	if (!err)
		*ret_protect = TAKE(nothing);
	return err;
}

static enum err open_slot(struct protector_context *c, const struct slot *slot,
			  struct deadline deadline __attribute__((unused)), struct secret **ret_secret,
			  struct err_ctx *e)
{
	return derive(c->answers[ANSWER_RECOVERY_KEY], &slot->keyring, &slot->uuid, ret_secret, e);
}

/* Nothing can be said without the key itself: a recovery slot is there, that is all. */
static enum err check(struct protector_context *c __attribute__((unused)),
		      const struct slot *slot __attribute__((unused)), struct err_ctx *e __attribute__((unused)))
{
	return ERR_OK;
}

const struct protector protector_recovery = {
	.type = "recovery",
	.needs = needs,
	.protect = protect,
	.open = open_slot,
	.check = check,
};
