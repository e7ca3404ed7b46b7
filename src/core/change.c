/* SPDX-License-Identifier: MIT */
#include "core/backup.h"
#include "core/change.h"
#include "core/tested.h"
#include "core/unfinished.h"

/* ---- finding ---- */

enum err change_load(const char *dataset, struct inventory *ret, const struct keyring **ret_keyring, struct err_ctx *e)
{
	_cleanup_(inventory_clearp) struct inventory *inv = &(struct inventory){ 0 };
	struct keyring *k;
	enum err err = inventory_load_keyring(dataset, inv, &k, e);

	if (!err && !k)
		err = err_set(e, ERR_NO_KEYRING, "%s", dataset);
	if (err)
		return err;
	*ret = *inv;
	*inv = (struct inventory){ 0 };
	*ret_keyring = k;
	return ERR_OK;
}

/* ---- changing ---- */

static enum err check_opened(const struct change *c, struct err_ctx *e)
{
	if (c->opening.mac)
		return (*e = c->opening.mac_error).code;
	if (c->opening.rollback)
		return (*e = c->opening.rollback_error).code;
	return ERR_OK;
}

static enum err take_back_unfinished(struct change *c, struct err_ctx *e)
{
	_cleanup_(unfinished_clearp) struct unfinished *u = &(struct unfinished){ 0 };
	const struct change_request *r = &c->request;

	unfinished_find(r->keyring, r->open.pins, u);
	if (!u->found || r->dry_run)
		return ERR_OK;
	c->took_back = true;
	return unfinished_take_back(u, r->keyring, r->open.context, e);
}

enum err change_begin(struct change *c, const struct change_request *r, struct err_ctx *e)
{
	enum err err = ERR_OK;

	c->request = *r;
	if (r->keyring->readonly)
		err = err_set(e, ERR_ZFS_READONLY, "pool %s", r->keyring->pool);
	if (!err)
		err = keyring_open(r->keyring, &r->open, &c->opening, e);
	if (!err)
		err = check_opened(c, e);
	if (!err)
		err = take_back_unfinished(c, e);
	if (!err)
		err = draft_continue(&c->draft, r->keyring, &c->opening, e);
	return err;
}

/* New slots are proven before they are written; the one that opened the keyring was tested by that. */
static bool is_tested(const struct change *c, const struct draft_slot *s, bool recovery_confirmed)
{
	if (s->is_new)
		return protector_needs(&s->slot) != ANSWER_RECOVERY_KEY || recovery_confirmed;
	return *s->slot.type && (str_equal(s->slot.name, c->opening.slot->name) || tested_when(&s->slot.uuid) > 0);
}

static enum err check_tested(const struct change *c, bool recovery_confirmed, struct err_ctx *e)
{
	for (unsigned i = 0; i < c->draft.n_slots; i++)
		if (is_tested(c, &c->draft.slots[i], recovery_confirmed))
			return ERR_OK;
	return err_set(e, ERR_SLOT_LAST, "without it nothing that was tested would open the keyring on %s",
		       c->request.keyring->dataset);
}

enum err change_prove(struct change *c, struct err_ctx *e)
{
	/* a new recovery key may still be typed back */
	enum err err = check_tested(c, true, e);

	if (!err)
		err = draft_finish(&c->draft, e);
	if (!err)
		err = draft_prove(&c->draft, c->request.keyring->dataset, &c->request.open, e);
	return err;
}

enum err change_commit(struct change *c, struct err_ctx *e)
{
	_cleanup_(header_copy_clearp) struct header_copy *now = &(struct header_copy){ 0 };
	_cleanup_(zfs_closep) struct zfs *zfs = NULL;
	const struct keyring *k = c->request.keyring;
	enum err err = check_tested(c, c->recovery_confirmed, e);

	if (!err)
		err = backup_collect(c->request.inventory, k, now, e);
	if (!err)
		err = zfs_open(&zfs, e);
	if (err)
		return err;
	(void)backup_leave_out_damaged(now);
	const struct commit_request commit = {
		.draft = &c->draft, .zfs = zfs, .context = c->request.open.context, .pool = k->pool,
		.pool_guid = k->pool_guid, .dataset = k->dataset, .before = k, .records = now->records,
		.n_records = now->n_records, .recovery_confirmed = c->recovery_confirmed,
	};
	return commit_header(&commit, &c->result, e);
}

void change_end(struct change *c)
{
	free(c->result.copy);
	draft_clear(&c->draft);
	opening_clear(&c->opening);
	*c = (struct change){ 0 };
}
