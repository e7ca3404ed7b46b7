/* SPDX-License-Identifier: MIT */
/* Writing what was judged. */
#include <string.h>

#include "core/repair.h"
#include "core/tested.h"
#include "core/unfinished.h"
#include "event/event.h"
#include "sys/process.h"

void repair_end(struct repair *r)
{
	if (r->unfinished)
		unfinished_clear(r->unfinished);
	free(r->unfinished);
	free(r->roots);
	free(r->result.copy);
	draft_clear(&r->draft);
	opening_clear(&r->opening);
	zfs_close(r->zfs);
	*r = (struct repair){ 0 };
}

/* ---- deciding ---- */

static bool is_undecided(const struct judged_slot *s)
{
	return !s->dropped && (s->judgement == JUDGED_UNKNOWN || s->judgement == JUDGED_REMOVED);
}

const struct judged_slot *repair_undecided(const struct repair *r)
{
	for (unsigned i = 0; i < r->n_slots; i++)
		if (is_undecided(&r->slots[i]))
			return &r->slots[i];
	return NULL;
}

static void drop(struct judged_slot *s)
{
	s->dropped = true;
	s->value = NULL;
}

enum err repair_drop(struct repair *r, const char *name, struct err_ctx *e)
{
	for (unsigned i = 0; i < r->n_slots; i++) {
		struct judged_slot *s = &r->slots[i];

		if (str_equal(s->name, name) && is_undecided(s)) {
			drop(s);
			return ERR_OK;
		}
	}
	return err_set(e, ERR_NO_SLOT, "slot %s is not one that nothing vouches for", name);
}

void repair_drop_all(struct repair *r)
{
	for (unsigned i = 0; i < r->n_slots; i++)
		if (is_undecided(&r->slots[i]))
			drop(&r->slots[i]);
}

void repair_drop_recovery(struct repair *r)
{
	r->ring_unvouched = false;
	r->ring.has_recovery = false;
	memset(r->ring.recovery_public, 0, sizeof(r->ring.recovery_public));
}

static bool needs_record(const struct repair *r)
{
	for (size_t i = 0; i < r->n_roots; i++)
		if (r->roots[i].judgement == ROOT_BACK)
			return true;
	return false;
}

bool repair_is_needed(const struct repair *r)
{
	return !r->is_whole || needs_record(r) || r->unfinished->found;
}

size_t repair_count_failed(const struct repair *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_roots; i++)
		n += r->roots[i].judgement == ROOT_FAILED;
	return n;
}

/* ---- the draft ---- */

/* The header as it shall be, but for its MAC and generation. It borrows *ret_value, which the caller frees after it. */
static enum err assemble(const struct repair *r, char **ret_value, struct keyring **ret, struct err_ctx *e)
{
	const struct keyring_property property = { .n_rings = 1, .rings[0].ring = r->ring };
	_cleanup_(keyring_freep) struct keyring *k = NULL;
	enum err err = keyring_property_print(&property, ret_value, e);

	if (!err)
		err = keyring_new(r->request.place->dataset, *ret_value, &k, e);
	for (unsigned i = 0; !err && i < r->n_slots; i++) {
		if (r->slots[i].value && k->n_slots == SLOTS_MAX)
			err = err_set(e, ERR_TOO_LARGE, "a keyring has room for %d slots", SLOTS_MAX);
		else if (r->slots[i].value)
			err = keyring_add_slot(k, r->slots[i].name, r->slots[i].value, e);
	}
	if (!err)
		*ret = TAKE(k);
	return err;
}

static bool is_tested(const struct repair *r, const struct stored_slot *s)
{
	if (str_equal(s->value, r->opening.slot->value) && str_equal(s->name, r->opening.slot->name))
		return true;
	for (unsigned i = 0; i < r->n_slots; i++)
		if (str_equal(r->slots[i].name, s->name) && r->slots[i].judgement == JUDGED_OPENED)
			return true;
	return !s->state && tested_when(&s->slot.uuid) > 0;
}

static enum err check_tested(const struct repair *r, const struct keyring *k, struct err_ctx *e)
{
	for (size_t i = 0; i < k->n_slots; i++)
		if (is_tested(r, &k->slots[i]))
			return ERR_OK;
	return err_set(e, ERR_SLOT_LAST, "without it nothing that was tested would open the keyring on %s",
		       k->dataset);
}

static enum err check_decided(const struct repair *r, struct err_ctx *e)
{
	const struct judged_slot *s = repair_undecided(r);

	if (s)
		return err_set(e, ERR_SLOT_UNKNOWN, "slot %s on %s", s->name, r->request.place->dataset);
	if (r->ring_unvouched)
		return err_set(e, ERR_SLOT_UNKNOWN, "the recovery key that the keyring on %s names: run it again with "
			       "--recovery", r->request.place->dataset);
	return ERR_OK;
}

/* Those in the order that are no more, which would be no error but a riddle. */
static void mend_order(struct draft *d)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < d->ring.n_order; i++) {
		if (!draft_find_slot(d, d->ring.order[i]))
			continue;
		if (kept != i)
			memcpy(d->ring.order[kept], d->ring.order[i], NAME_SIZE);
		kept++;
	}
	d->ring.n_order = kept;
}

enum err repair_draft(struct repair *r, bool dry_run, struct err_ctx *e)
{
	_cleanup_free_ char *value = NULL;
	_cleanup_(keyring_freep) struct keyring *k = NULL;
	enum err err = check_decided(r, e);

	if (!err && !dry_run && r->request.place->pool->readonly)
		err = err_set(e, ERR_ZFS_READONLY, "pool %s", r->request.place->pool->name);
	if (!err)
		err = assemble(r, &value, &k, e);
	if (!err)
		err = check_tested(r, k, e);
	if (!err && r->unfinished->found && !dry_run)
		err = unfinished_take_back(r->unfinished, r->request.place->keyring, r->request.open.context, e);
	if (!err)
		err = draft_continue(&r->draft, k, &r->opening, e);
	if (!err)
		mend_order(&r->draft);
	return err;
}

/* ---- records ---- */

static enum err write_record(struct repair *r, struct judged_root *root, struct err_ctx *e)
{
	const struct zfs_change change = { PROPERTY_KEY, root->value };
	const struct zfs_write write = {
		.dataset = root->root->dataset, .expect_name = PROPERTY_KEY,
		.expect_value = root->root->misplaced ? NULL : root->root->value, .changes = &change, .n_changes = 1,
	};
	enum err err = zfs_write_properties(r->zfs, &write, e);

	root->written = !err;
	return err;
}

static enum err write_records(struct repair *r, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0; !err && i < r->n_roots; i++) {
		if (r->roots[i].judgement != ROOT_BACK || r->roots[i].written)
			continue;
		err = process_interrupted(e);
		if (!err)
			err = write_record(r, &r->roots[i], e);
	}
	return err;
}

/* ---- the header ---- */

struct lists {
	size_t n_records;
	struct header_copy_value *records;
	size_t n_strays;
	struct zfs_change strays[SLOTS_MAX];
	char names[SLOTS_MAX][sizeof(PROPERTY_SLOT_PREFIX) + NAME_SIZE];
};

static bool is_printable(const char *value)
{
	for (; value && *value; value++)
		if (*value < ' ' || *value > '~')
			return false;
	return value != NULL;
}

static enum err list_records(const struct repair *r, struct lists *l, struct err_ctx *e)
{
	l->records = calloc(r->n_roots + 1, sizeof(*l->records));
	if (!l->records)
		return err_set(e, ERR_NO_MEMORY, "room for the records");
	for (size_t i = 0; i < r->n_roots; i++)
		if (is_printable(r->roots[i].value))
			l->records[l->n_records++] = (struct header_copy_value){ (char *)r->roots[i].root->dataset,
										 (char *)r->roots[i].value };
	return ERR_OK;
}

/* Values that are no slots of this keyring: commit_header() leaves them alone unless it is told. */
static void list_strays(const struct repair *r, struct lists *l)
{
	for (unsigned i = 0; i < r->n_slots && l->n_strays < SLOTS_MAX; i++) {
		char *name = l->names[l->n_strays];

		if (r->slots[i].judgement != JUDGED_STRAY || draft_find_slot((struct draft *)&r->draft, r->slots[i].name))
			continue;
		snprintf(name, sizeof(l->names[0]), PROPERTY_SLOT_PREFIX "%s", r->slots[i].name);
		l->strays[l->n_strays++] = (struct zfs_change){ name, NULL };
	}
}

static enum err write_header(struct repair *r, struct err_ctx *e)
{
	const struct repair_place *p = r->request.place;
	struct lists *l = calloc(1, sizeof(*l));
	enum err err = l ? list_records(r, l, e) : err_set(e, ERR_NO_MEMORY, "room for the changes");

	if (!err)
		list_strays(r, l);
	const struct commit_request commit = {
		.draft = &r->draft, .zfs = r->zfs, .context = r->request.open.context, .pool = p->pool->name,
		.pool_guid = p->pool->guid, .dataset = p->dataset, .before = p->keyring ? p->keyring : p->left,
		.also = l ? l->strays : NULL, .n_also = l ? l->n_strays : 0, .records = l ? l->records : NULL,
		.n_records = l ? l->n_records : 0,
	};
	if (!err)
		err = commit_header(&commit, &r->result, e);
	if (l)
		free(l->records);
	free(l);
	return err;
}

static bool adds_slots(const struct repair *r)
{
	for (unsigned i = 0; i < r->draft.n_slots; i++)
		if (r->draft.slots[i].is_new)
			return true;
	return false;
}

enum err repair_write(struct repair *r, struct err_ctx *e)
{
	enum err err = write_records(r, e);

	if (!err && (!r->is_whole || adds_slots(r))) {
		err = draft_finish(&r->draft, e);
		if (!err)
			err = draft_prove(&r->draft, r->request.place->dataset, &r->request.open, e);
		if (!err)
			err = write_header(r, e);
		if (!err)
			event_emit(&(struct event){ .id = EVENT_HEADER_RESTORED, .dataset = r->request.place->dataset,
						    .keyring = &r->ring.uuid, .generation = r->result.generation });
	}
	return err;
}

/* ---- loading ---- */

struct loading {
	struct zfs *zfs;
	bool was_loaded;
};

static enum err load(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e)
{
	struct loading *l = arg;

	return zfs_load_key(l->zfs, root->dataset, key, &l->was_loaded, e);
}

enum err repair_load_key(struct repair *r, const struct judged_root *root, bool *ret_was_loaded, struct err_ctx *e)
{
	struct root own = { .dataset = root->root->dataset, .keyring = (struct keyring *)r->opened };
	struct loading l = { .zfs = r->zfs };
	enum err err = records_parse(root->value, &own.records, e);

	if (!err)
		err = root_with_key(&own, &r->opening, load, &l, e);
	if (!err)
		*ret_was_loaded = l.was_loaded;
	return err;
}
