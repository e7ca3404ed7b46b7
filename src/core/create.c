/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include "core/copies.h"
#include "core/create.h"
#include "core/tested.h"
#include "core/unlock.h"
#include "event/event.h"
#include "sys/process.h"

enum { READ_TIMEOUT_MS = 60000 };

static enum err check_name(const char *pool, uint64_t *ret_guid, struct err_ctx *e)
{
	_cleanup_(zfs_pools_clearp) struct zfs_pools *pools = &(struct zfs_pools){ 0 };
	enum err err = zfs_pools_get(deadline_in(READ_TIMEOUT_MS), pools, e);
	const struct zfs_pool *found = err ? NULL : zfs_pools_find(pools, pool);

	*ret_guid = found ? found->guid : 0;
	return err;
}

/* zpool's own words are in c->said; to run it by hand, as ERR_CHILD advises, would take the key and the header. */
static enum err tell_refusal(const struct creation *c, enum err err, struct err_ctx *e)
{
	if (err == ERR_CHILD && c->said) {
		err = ERR_ZFS_FAILED;
		if (e)
			e->code = err;
	}
	return err;
}

static void list_properties(struct creation *c)
{
	size_t n = 0;

	c->properties[n++] = (struct zfs_change){ PROPERTY_KEYRING, c->draft.value };
	c->properties[n++] = (struct zfs_change){ PROPERTY_KEY, c->record };
	for (unsigned i = 0; i < c->draft.n_slots; i++) {
		snprintf(c->property_names[i], sizeof(c->property_names[i]), "%s%s", PROPERTY_SLOT_PREFIX,
			 c->draft.slots[i].slot.name);
		c->properties[n++] = (struct zfs_change){ c->property_names[i], c->draft.slots[i].value };
	}
	c->request.pool.properties = c->properties;
	c->request.pool.n_properties = n;
	c->request.pool.key = c->key;
}

static enum err add_slots(struct creation *c, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (unsigned i = 0; !err && i < c->request.n_slots; i++) {
		err = process_interrupted(e);
		if (!err)
			err = draft_add_slot(&c->draft, c->request.open.context, &c->request.slots[i], e);
	}
	return err;
}

/* What zpool would refuse (a disk in use, a property that there is not) is told before a person writes down a key. */
static enum err rehearse(struct creation *c, struct err_ctx *e)
{
	struct zfs_create pool = c->request.pool;
	_cleanup_free_ char *said = NULL;

	pool.dry_run = true;
	enum err err = zfs_create_pool(&pool, c->request.deadline, &said, e);
	if (err)
		c->said = TAKE(said);
	return tell_refusal(c, err, e);
}

enum err create_prepare(struct creation *c, const struct create_request *r, struct err_ctx *e)
{
	uint64_t guid = 0;

	c->request = *r;
	enum err err = check_name(r->pool.pool, &guid, e);
	if (!err && guid)
		err = err_set(e, ERR_ZFS_EXISTS, "a pool named %s is imported", r->pool.pool);
	if (!err)
		err = rehearse(c, e);
	if (!err)
		err = draft_begin(&c->draft, e);
	if (!err)
		err = add_slots(c, e);
	if (!err)
		err = draft_finish(&c->draft, e);
	if (!err)
		err = draft_prove(&c->draft, r->pool.pool, &r->open, e);
	if (!err)
		err = secret_new_random(KEY_SIZE, &c->key, e);
	if (!err)
		err = draft_record(&c->draft, c->key, NULL, &c->record, e);
	if (!err)
		list_properties(c);
	return err;
}

/* The header's copy borrows every string from the creation. */
struct copy_view {
	struct header_copy copy;
	struct header_copy_value slots[SLOTS_MAX];
	struct header_copy_value record;
};

static void view_copy(struct creation *c, struct copy_view *v)
{
	char *pool = (char *)c->request.pool.pool;

	*v = (struct copy_view){
		.copy = {
			.pool = pool, .dataset = pool, .pool_guid = c->guid, .saved = (uint64_t)time(NULL),
			.keyring = c->draft.value, .n_slots = c->draft.n_slots, .n_records = 1,
		},
		.record = { pool, c->record },
	};
	for (unsigned i = 0; i < c->draft.n_slots; i++)
		v->slots[i] = (struct header_copy_value){ c->draft.slots[i].slot.name, c->draft.slots[i].value };
	v->copy.slots = v->slots;
	v->copy.records = &v->record;
}

static enum err remember(struct creation *c, struct err_ctx *e)
{
	const struct ring *ring = &c->draft.ring;
	struct pin pin = { .pool_guid = c->guid, .keyring = ring->uuid, .generation = ring->generation };
	struct copy_view v;

	view_copy(c, &v);
	snprintf(pin.pool, sizeof(pin.pool), "%s", c->request.pool.pool);
	memcpy(pin.fingerprint, ring->fingerprint, sizeof(pin.fingerprint));
	memcpy(pin.epoch, ring->epoch, sizeof(pin.epoch));
	for (unsigned i = 0; i < c->draft.n_slots; i++) {
		struct slot_tpm2 sealed;

		if (!str_equal(c->draft.slots[i].slot.type, "tpm2"))
			continue;
		if (slot_tpm2_parse(c->draft.slots[i].slot.protect, &sealed, NULL))
			continue;
		pin.has_srk = true;
		memcpy(pin.srk_name, sealed.srk_name, sizeof(pin.srk_name));
	}
	enum err err = header_copy_save(&v.copy, NULL, e);
	if (!err)
		err = pins_remember(&pin, e);
	return err;
}

/* What was not made in the end leaves nothing behind that would be missed at the next boot. */
static void take_back(struct creation *c)
{
	struct copy_view v;

	draft_withdraw(&c->draft, c->request.open.context);
	if (!c->draft.value || !c->record)
		return;
	view_copy(c, &v);
	(void)!header_copy_discard(&v.copy, NULL);
	(void)!pins_forget(&c->draft.ring.uuid, 0, NULL);
}

void create_end(struct creation *c)
{
	if (!c->made && c->request.pool.pool && !c->request.pool.dry_run) {
		/* a signal may be why: it must not end this too */
		process_signals_hold();
		take_back(c);
		process_signals_release();
	}
	draft_clear(&c->draft);
	secret_free(TAKE(c->key));
	free(c->record);
	free(c->said);
	*c = (struct creation){ 0 };
}

static enum err prove_root(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e)
{
	return zfs_prove_key(arg, root->dataset, key, e);
}

/* Reads the new pool as an unlock would, and proves its key by ZFS itself. Says too whether the pool is ours at all. */
static enum err prove_pool(struct creation *c, struct err_ctx *e)
{
	_cleanup_(inventory_clearp) struct inventory *inv = &(struct inventory){ 0 };
	_cleanup_(opening_clearp) struct opening *o = &(struct opening){ 0 };
	_cleanup_(zfs_closep) struct zfs *zfs = NULL;
	char fingerprint[FINGERPRINT_TEXT_SIZE];
	struct open_request open = c->request.open;
	enum err err = inventory_load(&c->request.pool.pool, 1, inv, e);
	const struct root *root = !err && inv->n_roots == 1 ? &inv->roots[0] : NULL;

	if (err)
		return err;
	if (!root || !root->keyring || !str_equal(root->keyring->value, c->draft.value))
		return err_set(e, ERR_ZFS_RACED, "%s is not the pool that was being made", c->request.pool.pool);
	c->made = true;
	c->guid = root->keyring->pool_guid;
	/* its pin was written after the request's pins were read */
	fingerprint_print(c->draft.ring.fingerprint, fingerprint);
	open.trust = fingerprint;
	err = zfs_open(&zfs, e);
	if (!err)
		err = keyring_open(root->keyring, &open, o, e);
	if (!err && o->mac)
		err = (*e = o->mac_error).code;
	if (!err)
		err = root_with_key(root, o, prove_root, zfs, e);
	return err;
}

static enum err note_slots(const struct creation *c, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (unsigned i = 0; !err && i < c->draft.n_slots; i++) {
		const struct slot *s = &c->draft.slots[i].slot;

		event_emit(&(struct event){
			.id = EVENT_SLOT_SEALED, .dataset = c->request.pool.pool, .slot = s->name, .slot_type = s->type,
			.keyring = &s->keyring, .generation = c->draft.ring.generation,
		});
		if (protector_needs(s) != ANSWER_RECOVERY_KEY || c->recovery_confirmed)
			err = tested_now(&s->uuid, e);
	}
	return err;
}

/*
 * `zpool create` can make the pool and fail afterwards, at mounting it, or we at hearing of it: what decides is whether
 * the pool is there and ours.
 */
static enum err make_pool(struct creation *c, struct err_ctx *e)
{
	struct err_ctx own = { 0 }, proof = { 0 };
	enum err err = zfs_create_pool(&c->request.pool, c->request.deadline, &c->said, &own);

	err = tell_refusal(c, err, &own);
	/* the two that are told before zpool runs */
	if (c->request.pool.dry_run || err == ERR_NO_PROGRAM || err == ERR_ZFS_EXISTS) {
		if (err && e)
			*e = own;
		return err;
	}
	enum err proven = prove_pool(c, &proof);
	const bool found = c->made;
	if (!err && !proven)
		free(TAKE(c->said));
	if (!proven)
		return ERR_OK;
	/* what cannot be looked at may well be there: only what is known not to be is taken back */
	c->made = found || (proven != ERR_ZFS_NOT_FOUND && proven != ERR_ZFS_RACED);
	if (e)
		*e = err && !found ? own : proof;
	err = err && !found ? err : proven;
	if (c->made && !found)
		err_wrap(e, err, "whether it was made is not known; zpool list and zpool import tell");
	return err;
}

/* From the first write on there is no turning back half way: signals wait until the pool is made, proven and noted. */
static enum err write_all(struct creation *c, struct err_ctx *e)
{
	enum err err = remember(c, e);

	if (!err)
		err = draft_settle(&c->draft, c->request.open.context, e);
	if (!err)
		err = make_pool(c, e);
	if (err)
		return err_wrap(e, err, "%s pool %s", c->made ? "proving" : "making", c->request.pool.pool);
	event_emit(&(struct event){
		.id = EVENT_KEYRING_CREATED, .dataset = c->request.pool.pool, .keyring = &c->draft.ring.uuid,
		.generation = c->draft.ring.generation,
	});
	err = remember(c, e);
	if (!err)
		err = note_slots(c, e);
	return err_wrap(e, err, "pool %s is made and opens, but not everything about it could be noted",
			c->request.pool.pool);
}

enum err create_commit(struct creation *c, struct err_ctx *e)
{
	if (c->request.pool.dry_run)
		return make_pool(c, e);
	enum err err = process_interrupted(e);
	if (err)
		return err;
	process_signals_hold();
	err = write_all(c, e);
	process_signals_release();
	return err;
}
