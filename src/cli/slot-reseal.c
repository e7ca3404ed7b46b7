/* SPDX-License-Identifier: MIT */
/* zseal slot reseal. */
#include "cli/output.h"
#include "cli/slot-work.h"
#include "format/slot-vault.h"

/* One that another machine sealed would become this one's, and the other machine would be locked out. */
static enum err check_mine(struct slot_work *w, const struct stored_slot *s, struct err_ctx *e)
{
	const struct protector *p = protector_find(s->slot.type);
	struct err_ctx own = { 0 };

	if (p->check(&w->session.context, &s->slot, &own) == ERR_OK)
		return ERR_OK;
	enum err err = opening_tell_cleared(w->keyring, &w->session.pins, &s->slot, &own);
	if (err != ERR_TPM_NOT_MINE)
		return ERR_OK;
	*e = own;
	return err_wrap(e, err, "slot %s", s->name);
}

static enum err check_resealed(struct slot_work *w, const char *name, const struct stored_slot **ret, struct err_ctx *e)
{
	const struct stored_slot *s = slot_find(w->keyring, name);

	if (!s)
		return err_set(e, ERR_NO_SLOT, "slot %s on %s", name, w->keyring->dataset);
	if (s->state)
		return err_wrap(e, (*e = s->error).code, "slot %s", name);
	if (!protector_find(s->slot.type))
		return err_set(e, ERR_FORMAT_NEWER, "slot %s is of type %s", name, s->slot.type);
	*ret = s;
	return check_mine(w, s, e);
}

/* A new secret under the same key, unless another one is named: the key's newest version encrypts it. */
static enum err choose_vault_again(struct slot_work *w, const struct stored_slot *s, struct err_ctx *e)
{
	struct slot_vault old;
	enum err err = slot_vault_parse(s->slot.protect, &old, e);

	if (!err)
		err = new_slots_add_vault(&w->slots, w->inv, &w->session, w->keyring->pool, s->name, e);
	if (!err && !invocation_has(w->inv, "transit-key"))
		snprintf(w->slots.vault_key, sizeof(w->slots.vault_key), "%s", old.key);
	if (!err && !invocation_has(w->inv, "kv"))
		snprintf(w->slots.vault_kv, sizeof(w->slots.vault_kv), "%s", old.kv);
	return err;
}

/* As it was, but for what the command line says. */
static enum err choose_again(struct slot_work *w, const struct stored_slot *s, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	enum err err;

	if (str_equal(s->slot.type, protector_vault.type))
		return choose_vault_again(w, s, e);
	if (str_equal(s->slot.type, protector_recovery.type))
		return new_slots_add_recovery(&w->slots, w->inv, s->name, e);
	if (str_equal(s->slot.type, protector_passphrase.type))
		return new_slots_add_passphrase(&w->slots, w->inv, s->name, e);
	err = slot_tpm2_parse(s->slot.protect, &sealed, e);
	if (!err)
		err = new_slots_add_tpm(&w->slots, w->inv, &w->session, s->name, e);
	if (err)
		return err;
	if (!invocation_has(w->inv, "pcrs"))
		w->slots.slots[0].pcrs = sealed.pcrs;
	if (!invocation_has(w->inv, "handle"))
		w->slots.slots[0].tpm_handle = sealed.handle;
	if (!w->slots.answer && sealed.has_pin)
		w->slots.slots[0].answer = w->session.answers[ANSWER_PIN];
	if (!w->slots.slots[0].answer && sealed.has_pin)
		return err_set(e, ERR_NO_INPUT, "slot %s has a PIN: --pin keeps it, --new-pin changes it", s->name);
	return ERR_OK;
}

static enum err reseal_slot(struct slot_work *w, const char *name, struct err_ctx *e)
{
	const struct secret *old_recovery_key = w->session.context.answers[ANSWER_RECOVERY_KEY];
	const struct stored_slot *s = NULL;
	enum err err = check_resealed(w, name, &s, e);

	if (!err)
		err = choose_again(w, s, e);
	if (!err)
		err = slot_begin_change(w, e);
	if (err)
		return err;
	output_progress("making the slot anew");
	err = draft_replace_slot(&w->change.draft, &w->session.context, &w->slots.slots[0], e);
	if (!err && w->slots.recovery_key)
		w->n_without_renew = draft_renew_all(&w->change.draft, &w->session.context, old_recovery_key);
	return err ? err : slot_finish_change(w, e);
}

static enum err run_reseal(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(slot_work_clearp) struct slot_work *w = &(struct slot_work){ 0 };
	char own[NAME_SIZE];
	enum err err = slot_begin(w, inv, "resealing a slot", e);

	new_slots_name_tpm(own);
	const char *name = inv->n_arguments > 1 ? inv->arguments[1] : own;
	if (!err)
		err = reseal_slot(w, name, e);
	output_progress(NULL);
	if (!err)
		err = slot_print_change(w, name, "made anew", e);
	return err_wrap(e, err, "slot reseal of %s", inv->arguments[0]);
}

static const struct option_spec reseal_options[] = {
	OPTIONS_TPM_SLOT,
	OPTIONS_VAULT_SLOT,
	OPTIONS_NEW_PASSPHRASE,
	OPTIONS_RECOVERY_TAKERS,
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

const struct verb verb_slot_reseal = {
	.name = "slot reseal",
	.arguments = "DATASET [NAME]",
	.summary = "Make a slot anew: after a firmware update, a new TPM, or for a new recovery key",
	.details = "NAME is this machine's TPM slot unless given. PCRs and handle stay as they were, sealed to the\n"
		   "values of now. The old slot stays until the new one was opened. Where the old one does not open\n"
		   "any more, --recovery does.",
	.options = reseal_options,
	.lists = true,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 2,
	.run = run_reseal,
};
