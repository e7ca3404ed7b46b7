/* SPDX-License-Identifier: MIT */
/* zseal slot add. */
#include "cli/output.h"
#include "cli/slot-work.h"

static enum err choose_new(struct slot_work *w, struct err_ctx *e)
{
	const char *type = w->inv->arguments[1], *name = invocation_value(w->inv, "name");

	if (str_equal(type, protector_tpm2.type))
		return new_slots_add_tpm(&w->slots, w->inv, &w->session, name, e);
	if (str_equal(type, protector_recovery.type))
		return new_slots_add_recovery(&w->slots, w->inv, name, e);
	if (str_equal(type, protector_passphrase.type))
		return new_slots_add_passphrase(&w->slots, w->inv, name, e);
	if (str_equal(type, protector_vault.type))
		return new_slots_add_vault(&w->slots, w->inv, &w->session, w->keyring->pool, name, e);
	return err_set(e, ERR_USAGE, "there is no type of slot '%.32s'; there are tpm2, vault, recovery and passphrase",
		       type);
}

/* A slot's `renew` is for one recovery key. */
static enum err check_new(const struct slot_work *w, struct err_ctx *e)
{
	const char *name = w->slots.names[0];

	if (w->slots.recovery_key && keyring_ring(w->keyring)->has_recovery)
		return err_set(e, ERR_SLOT_EXISTS, "the keyring on %s has its one recovery key", w->keyring->dataset);
	/* also one that is not the keyring's, or damaged: it would be lost */
	if (slot_find(w->keyring, name))
		return err_set(e, ERR_SLOT_EXISTS, "slot %s on %s", name, w->keyring->dataset);
	return ERR_OK;
}

static enum err add_slot(struct slot_work *w, struct err_ctx *e)
{
	struct change *c = &w->change;
	enum err err = choose_new(w, e);

	if (!err)
		err = check_new(w, e);
	if (!err)
		err = slot_begin_change(w, e);
	if (err)
		return err;
	output_progress("making the slot");
	err = draft_add_slot(&c->draft, &w->session.context, &w->slots.slots[0], e);
	if (!err && w->slots.recovery_key)
		w->n_without_renew = draft_renew_all(&c->draft, &w->session.context, NULL);
	return err ? err : slot_finish_change(w, e);
}

static enum err run_add(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(slot_work_clearp) struct slot_work *w = &(struct slot_work){ 0 };
	enum err err = slot_begin(w, inv, "adding a slot", e);

	if (!err)
		err = add_slot(w, e);
	output_progress(NULL);
	if (!err)
		err = slot_print_change(w, w->slots.names[0], "added", e);
	return err_wrap(e, err, "slot add to %s", inv->arguments[0]);
}

static const struct option_spec add_options[] = {
	{ "name", 0, "NAME", "name of the slot (tpm2-HOSTNAME, vault, recovery, passphrase)", false },
	OPTIONS_TPM_SLOT,
	OPTIONS_VAULT_SLOT,
	OPTIONS_NEW_PASSPHRASE,
	OPTIONS_RECOVERY_TAKERS,
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

const struct verb verb_slot_add = {
	.name = "slot add",
	.arguments = "DATASET TYPE",
	.summary = "Add another way to open the keyring of DATASET: tpm2, vault, recovery or passphrase",
	.details =
		"The keyring is opened first, by a slot that it has. The new one is made, opened once from the very\n"
		"text that will be stored, and only then written, in one transaction.",
	.options = add_options,
	.lists = true,
	.changes = true,
	.min_arguments = 2,
	.max_arguments = 2,
	.run = run_add,
};
