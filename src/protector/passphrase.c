/* SPDX-License-Identifier: MIT */
/*
 * Slots of type passphrase: the slot secret is what a person remembers, stretched. As strong as the passphrase, and whoever
 * has the disks may guess at it for as long as he likes.
 */
#include "format/slot-passphrase.h"
#include "protector/protector.h"

static enum answer needs(const struct slot *slot __attribute__((unused)))
{
	return ANSWER_PASSPHRASE;
}

static enum err protect(struct protector_context *c, const struct protect_request *r, struct secret **ret_secret,
			char **ret_protect, struct err_ctx *e)
{
	_cleanup_free_ char *protect = NULL;
	struct slot_passphrase s;

	if (!r->answer)
		return err_set(e, ERR_NO_INPUT, "the new passphrase was not given");
	enum err err = crypto_stretch_new(&c->stretch, &s.stretch, e);
	if (!err)
		err = slot_passphrase_print(&s, &protect, e);
	if (!err)
		err = crypto_stretch(r->answer, &s.stretch, ret_secret, e);
	if (!err)
		*ret_protect = TAKE(protect);
	return err;
}

/* A wrong passphrase gives a secret, too: that it opens nothing is noticed by whoever unwraps with it. */
static enum err open_slot(struct protector_context *c, const struct slot *slot,
			  struct deadline deadline __attribute__((unused)), struct secret **ret_secret,
			  struct err_ctx *e)
{
	const struct secret *typed = c->answers[ANSWER_PASSPHRASE];
	struct slot_passphrase s;

	if (!typed)
		return err_set(e, ERR_NO_INPUT, "the passphrase was not given");
	enum err err = slot_passphrase_parse(slot->protect, &s, e);
	return err ? err : crypto_stretch(typed, &s.stretch, ret_secret, e);
}

static enum err check(struct protector_context *c __attribute__((unused)), const struct slot *slot, struct err_ctx *e)
{
	struct slot_passphrase s;
	enum err err = slot_passphrase_parse(slot->protect, &s, e);

	return err ? err : crypto_stretch_check(&s.stretch, e);
}

const struct protector protector_passphrase = {
	.type = "passphrase",
	.needs = needs,
	.protect = protect,
	.open = open_slot,
	.check = check,
};
