/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/recover.h"
#include "core/tested.h"

/* How the slot of a TPM looks from here. */
static enum err look(const struct repair *r, const struct slot *slot, struct err_ctx *e)
{
	const struct open_request *open = &r->request.open;

	if (protector_tpm2.check(open->context, slot, e) == ERR_OK)
		return ERR_OK;
	/* by the pin of the pool that the keyring is in */
	return opening_tell_cleared(r->opened, open->pins, slot, e);
}

/* Sealed by another TPM, under the name that this machine's slot has: a new mainboard, whose pins are gone as well. */
static bool is_namesake(enum err err, const char *name, const char *own_name)
{
	return err == ERR_TPM_NOT_MINE && str_equal(name, own_name);
}

static void decide_slot(const struct repair *r, const struct slot *slot, const char *own_name,
			struct recover_plan *plan)
{
	struct err_ctx own = { 0 };
	enum err err = look(r, slot, &own);

	if (err == ERR_TPM_NOT_MINE && !is_namesake(err, slot->name, own_name)) {
		if (plan->n_others < SLOTS_MAX)
			snprintf(plan->others[plan->n_others++], NAME_SIZE, "%s", slot->name);
		return;
	}
	if (plan->tpm == TPM_PLAN_READY || (err && plan->tpm == TPM_PLAN_REPLACE))
		return;
	plan->tpm = err ? TPM_PLAN_REPLACE : TPM_PLAN_READY;
	plan->why = own;
	snprintf(plan->name, sizeof(plan->name), "%s", slot->name);
}

static enum err decide(const struct repair *r, const char *own_name, struct recover_plan *plan, struct err_ctx *e)
{
	bool taken = false;
	enum err err = ERR_OK;

	for (unsigned i = 0; !err && i < r->n_slots; i++) {
		const struct judged_slot *s = &r->slots[i];
		struct slot slot;

		if (!s->value || s->judgement == JUDGED_UNKNOWN || s->judgement == JUDGED_REMOVED)
			continue;
		taken = taken || str_equal(s->name, own_name);
		if (slot_parse(s->name, s->value, &slot, NULL))
			continue;
		if (str_equal(slot.type, protector_tpm2.type))
			decide_slot(r, &slot, own_name, plan);
		slot_clear(&slot);
	}
	if (plan->tpm != TPM_PLAN_ADD)
		return ERR_OK;
	snprintf(plan->name, sizeof(plan->name), "%s", own_name);
	return taken ? err_set(e, ERR_SLOT_EXISTS, "slot %s, of another type", own_name) : ERR_OK;
}

enum err recover_decide(const struct repair *r, const char *own_name, struct recover_plan *ret, struct err_ctx *e)
{
	struct recover_plan plan = { .tpm = TPM_PLAN_ADD };
	struct tpm2 *tpm;
	enum err err = protector_tpm(r->request.open.context, &tpm, e);

	if (!err)
		err = decide(r, own_name, &plan, e);
	if (!err)
		*ret = plan;
	return err;
}

enum err recover_make_slot(struct repair *r, const struct recover_plan *plan, const struct draft_slot_request *slot,
			   struct err_ctx *e)
{
	struct protector_context *context = r->request.open.context;

	if (plan->tpm == TPM_PLAN_REPLACE)
		return draft_replace_slot(&r->draft, context, slot, e);
	return plan->tpm == TPM_PLAN_ADD ? draft_add_slot(&r->draft, context, slot, e) : ERR_OK;
}

enum err recover_remember(const struct repair *r, struct err_ctx *e)
{
	const struct pin pin = keyring_pin(r->opened, &r->opening);
	enum err err = r->result.copy ? ERR_OK : pins_remember(&pin, e);

	return err ? err : tested_now(&r->opening.slot->slot.uuid, e);
}
