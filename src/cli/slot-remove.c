/* SPDX-License-Identifier: MIT */
/* zseal slot remove. */
#include "cli/output.h"
#include "cli/slot-work.h"
#include "cli/vault-admin.h"

static enum err check_removed(const struct slot_work *w, const char *name, struct err_ctx *e)
{
	const struct stored_slot *s = slot_find(w->keyring, name);

	if (!s)
		return err_set(e, ERR_NO_SLOT, "slot %s on %s", name, w->keyring->dataset);
	if (!stored_slot_is_of(s, &keyring_ring(w->keyring)->uuid))
		return err_set(e, ERR_NO_SLOT, "slot %s on %s is not one of its keyring's", name, w->keyring->dataset);
	if (!s->state && str_equal(s->slot.type, protector_recovery.type) && !invocation_has(w->inv, "no-recovery"))
		return err_set(e, ERR_SLOT_LAST, "slot %s is the recovery key: if the other slots are lost, so is the "
			       "pool; --no-recovery insists", name);
	return ERR_OK;
}

static bool is_vault(const struct slot_work *w, const char *name)
{
	const struct stored_slot *s = slot_find(w->keyring, name);

	return !s->state && str_equal(s->slot.type, protector_vault.type);
}

static enum err remove_slot(struct slot_work *w, const char *name, struct err_ctx *e)
{
	enum err err = w->keyring->state ? (*e = w->keyring->error).code : check_removed(w, name, e);

	if (!err && is_vault(w, name))
		err = vault_admin_get(w->inv, &w->session, e);
	if (!err)
		err = slot_begin_change(w, e);
	if (!err)
		err = draft_remove_slot(&w->change.draft, name, e);
	if (!err)
		err = slot_finish_change(w, e);
	return err;
}

static enum err run_remove(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(slot_work_clearp) struct slot_work *w = &(struct slot_work){ 0 };
	const char *name = inv->arguments[1];
	enum err err = slot_begin(w, inv, "removing a slot", e);

	if (!err)
		err = remove_slot(w, name, e);
	output_progress(NULL);
	if (!err)
		err = slot_print_change(w, name, "removed", e);
	if (!err && !inv->dry_run && !inv->json)
		say(stdout, "that does not revoke it: its old value stays readable in the pool's history, and opens the "
			    "pool for\nwhoever has what it asks for\n");
	return err_wrap(e, err, "slot remove from %s", inv->arguments[0]);
}

static const struct option_spec remove_options[] = {
	{ "no-recovery", 0, NULL, "remove the recovery key's slot, too: if the others are lost, so is the pool", false },
	OPTIONS_VAULT_ADMIN,
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

const struct verb verb_slot_remove = {
	.name = "slot remove",
	.arguments = "DATASET NAME",
	.summary = "Remove a slot; refuses the last one that was tested",
	.details = "That does not revoke it: whoever kept its old value (it stays readable in the pool's history) and has\n"
		   "what it asks for can still open the pool.",
	.options = remove_options,
	.lists = true,
	.changes = true,
	.min_arguments = 2,
	.max_arguments = 2,
	.run = run_remove,
};
