/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/adopt.h"
#include "core/backup.h"
#include "core/unlock.h"
#include "event/event.h"
#include "sys/process.h"

enum { LOCK_TIMEOUT_MS = 10000, SET_TIMEOUT_MS = 60000 };

/* ---- beginning ---- */

static const struct root *find_root(const struct inventory *inv, const char *dataset)
{
	for (size_t i = 0; i < inv->n_roots; i++)
		if (str_equal(inv->roots[i].dataset, dataset))
			return &inv->roots[i];
	return NULL;
}

/* The whole pool's, because the keyring may be far above, and serve others that belong into the header's copy. */
static enum err load_pool(struct adoption *a, struct inventory *ret, const struct root **ret_root, struct err_ctx *e)
{
	const char *pool = a->pool;
	enum err err = inventory_load(&pool, 1, ret, e);

	if (err)
		return err;
	*ret_root = find_root(ret, a->request.dataset);
	return *ret_root ? ERR_OK : err_set(e, ERR_ZFS_RACED, "%s was an encryption root just now", a->request.dataset);
}

enum err adopt_begin(struct adoption *a, const struct adopt_request *r, struct err_ctx *e)
{
	a->request = *r;
	snprintf(a->pool, sizeof(a->pool), "%.*s", (int)zfs_pool_name_length(r->dataset), r->dataset);
	enum err err = adopt_check_load(r->dataset, r->replica, &a->check, e);
	if (!err)
		err = load_pool(a, &a->inventory, &a->root, e);
	return err;
}

bool adopt_has_keyring(const struct adoption *a)
{
	return a->root && a->root->keyring;
}

bool adopt_has_key(const struct adoption *a)
{
	return a->key != NULL;
}

bool adopt_is_done(const struct adoption *a)
{
	return a->recorded && a->check.format == KEY_FORMAT_RAW && a->check.located;
}

/* ---- a keyring that is there ---- */

struct proving {
	struct zfs *zfs;
	struct secret **ret_key;
};

static enum err prove_record(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e)
{
	struct proving *p = arg;
	enum err err = zfs_prove_key(p->zfs, root->dataset, key, e);

	return err ? err : secret_new_copy(secret_data(key), secret_size(key), p->ret_key, e);
}

/*
 * No record, or none that opens it, is how most adoptions begin. One of a switch that was cut off is not used again, but
 * stays behind the new one: nobody can tell it from one that was changed because somebody else knows it.
 */
static enum err look_for_record(struct adoption *a, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *zfs = NULL;
	struct err_ctx own = { 0 };
	enum err err = zfs_open(&zfs, e);

	if (err)
		return err;
	struct proving p = { zfs, &a->key };
	err = root_with_key(a->root, &a->opening, prove_record, &p, &own);
	a->recorded = !err;
	/* a damaged one as well: the key that is given is proven, and its record replaces that */
	if (!err || err == ERR_NO_RECORD || err == ERR_UNWRAP || err == ERR_ZFS_KEY_WRONG || err == ERR_FORMAT)
		return ERR_OK;
	*e = own;
	return err;
}

enum err adopt_open(struct adoption *a, struct err_ctx *e)
{
	const struct keyring *k = a->root->keyring;
	enum err err = ERR_OK;

	if (k->readonly)
		err = err_set(e, ERR_ZFS_READONLY, "pool %s", k->pool);
	if (!err)
		err = keyring_open(k, &a->request.open, &a->opening, e);
	if (!err && a->opening.mac)
		err = (*e = a->opening.mac_error).code;
	if (!err && a->opening.rollback)
		err = (*e = a->opening.rollback_error).code;
	if (!err)
		err = draft_continue(&a->draft, k, &a->opening, e);
	return err ? err : look_for_record(a, e);
}

/* ---- the key ---- */

enum err adopt_take_key(struct adoption *a, const struct secret *given, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *zfs = NULL;
	_cleanup_secret_ struct secret *key = NULL;
	enum err err = adopt_key_make(given, &a->check, &key, e);

	if (!err)
		err = zfs_open(&zfs, e);
	if (!err)
		err = zfs_prove_key(zfs, a->request.dataset, key, e);
	if (err == ERR_ZFS_KEY_WRONG)
		return err_set(e, ERR_KEY_NOT_THIS, "%s", a->request.dataset);
	if (!err)
		a->key = TAKE(key);
	return err;
}

/* ---- in memory ---- */

static enum err make_keyring(struct adoption *a, const struct draft_slot_request *slots, unsigned n_slots,
			     struct err_ctx *e)
{
	struct protector_context *context = a->request.open.context;
	enum err err = draft_begin(&a->draft, e);

	for (unsigned i = 0; !err && i < n_slots; i++) {
		err = process_interrupted(e);
		if (!err)
			err = draft_add_slot(&a->draft, context, &slots[i], e);
	}
	if (!err)
		err = draft_finish(&a->draft, e);
	return err ? err : draft_prove(&a->draft, a->request.dataset, &a->request.open, e);
}

/* A passphrase can be guessed for as long as the key that it makes is in use. */
static enum err choose_next(struct adoption *a, struct err_ctx *e)
{
	if (a->check.format == KEY_FORMAT_PASSPHRASE && !a->recorded)
		return secret_new_random(KEY_SIZE, &a->next, e);
	return secret_new_copy(secret_data(a->key), KEY_SIZE, &a->next, e);
}

enum err adopt_prepare(struct adoption *a, const struct draft_slot_request *slots, unsigned n_slots, struct err_ctx *e)
{
	enum err err = adopt_has_keyring(a) ? ERR_OK : make_keyring(a, slots, n_slots, e);

	if (!err)
		err = choose_next(a, e);
	if (err || a->recorded)
		return err;
	return draft_record(&a->draft, a->next, a->root->state ? NULL : &a->root->records, &a->record, e);
}

/* ---- the record into the pool ---- */

static enum err write_new_keyring(struct adoption *a, struct zfs *zfs, struct err_ctx *e)
{
	const struct zfs_pool *pool = zfs_pools_find(&a->inventory.pools, a->pool);
	const struct zfs_change also = { PROPERTY_KEY, a->record };
	const struct header_copy_value record = { (char *)a->request.dataset, a->record };
	const struct commit_request commit = {
		.draft = &a->draft, .zfs = zfs, .context = a->request.open.context, .pool = a->pool,
		.pool_guid = pool ? pool->guid : 0, .dataset = a->request.dataset, .also = &also, .n_also = 1,
		.records = &record, .n_records = 1, .recovery_confirmed = a->recovery_confirmed,
	};

	if (pool && pool->readonly)
		return err_set(e, ERR_ZFS_READONLY, "pool %s", a->pool);
	return commit_header(&commit, &a->result, e);
}

/* The header's copy with the new record in it. */
static enum err add_to_copy(const struct adoption *a, struct header_copy *copy, struct err_ctx *e)
{
	struct header_copy_value *value = NULL;

	for (size_t i = 0; !value && i < copy->n_records; i++)
		if (str_equal(copy->records[i].name, a->request.dataset))
			value = &copy->records[i];
	if (value) {
		free(TAKE(value->value));
		return str_copy(a->record, &value->value, e);
	}
	struct header_copy_value *more = reallocarray(copy->records, copy->n_records + 1, sizeof(*more));
	if (!more)
		return err_set(e, ERR_NO_MEMORY, "room for a copy");
	copy->records = more;
	value = &more[copy->n_records++];
	*value = (struct header_copy_value){ 0 };
	enum err err = str_copy(a->request.dataset, &value->name, e);
	return err ? err : str_copy(a->record, &value->value, e);
}

static enum err save_copy(struct adoption *a, struct err_ctx *e)
{
	_cleanup_(header_copy_clearp) struct header_copy *copy = &(struct header_copy){ 0 };
	struct header_copy_saved saved = { 0 };
	enum err err = backup_collect(&a->inventory, a->root->keyring, copy, e);

	if (!err)
		err = add_to_copy(a, copy, e);
	if (err)
		return err;
	(void)backup_leave_out_damaged(copy);
	err = header_copy_save(copy, &saved, e);
	free(saved.kept);
	a->result.copy = saved.path;
	return err;
}

static enum err write_record(struct adoption *a, struct zfs *zfs, struct err_ctx *e)
{
	const struct zfs_change change = { PROPERTY_KEY, a->record };
	const struct root *root = a->root;
	const struct zfs_write write = {
		.dataset = a->request.dataset, .expect_name = PROPERTY_KEY,
		.expect_value = root->misplaced ? NULL : root->value, .changes = &change, .n_changes = 1,
	};
	_cleanup_fd_ int lock = -1;
	enum err err = header_copy_lock(&a->draft.ring.uuid, deadline_in(LOCK_TIMEOUT_MS), &lock, e);

	if (!err)
		err = save_copy(a, e);
	return err ? err : zfs_write_properties(zfs, &write, e);
}

/* ---- reading back ---- */

struct expected {
	struct zfs *zfs; /* proves it, too; NULL: the root does not have this key yet */
	const struct secret *key;
};

static enum err check_key(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e)
{
	const struct expected *x = arg;

	if (!secret_equal(key, x->key))
		return err_set(e, ERR_ZFS_RACED, "the record on %s is of another key", root->dataset);
	return x->zfs ? zfs_prove_key(x->zfs, root->dataset, key, e) : ERR_OK;
}

/* As an unlock would do it: out of the pool, by a slot, through the record. */
static enum err prove_from_pool(struct adoption *a, struct zfs *zfs, struct err_ctx *e)
{
	_cleanup_(inventory_clearp) struct inventory *inv = &(struct inventory){ 0 };
	_cleanup_(opening_clearp) struct opening *o = &(struct opening){ 0 };
	struct expected expected = { zfs, a->next };
	struct open_request open = a->request.open;
	char fingerprint[FINGERPRINT_TEXT_SIZE];
	const struct root *root;
	enum err err = load_pool(a, inv, &root, e);

	if (!err && !root->keyring)
		err = err_set(e, ERR_ZFS_RACED, "%s has lost its keyring again", a->request.dataset);
	/* its pin was written after the request's pins were read */
	fingerprint_print(a->draft.ring.fingerprint, fingerprint);
	open.trust = fingerprint;
	if (!err)
		err = keyring_open(root->keyring, &open, o, e);
	if (!err && o->mac)
		err = (*e = o->mac_error).code;
	if (!err)
		err = root_with_key(root, o, check_key, &expected, e);
	return err_wrap(e, err, "proving what was written to %s", a->request.dataset);
}

/* ---- the switch ---- */

/* ZFS changes only a key that is loaded. One that was not goes out of memory again, unless somebody mounts meanwhile. */
static enum err change_key(struct adoption *a, struct zfs *zfs, struct err_ctx *e)
{
	const char *dataset = a->request.dataset;
	bool was_loaded = false, unloaded;
	enum err err = zfs_load_key(zfs, dataset, a->key, &was_loaded, e);

	if (err)
		return err;
	err = zfs_change_key(zfs, dataset, a->next, e);
	if (!err)
		err = zfs_prove_key(zfs, dataset, a->next, e);
	if (!was_loaded)
		(void)!zfs_unload_key(zfs, dataset, &unloaded, NULL);
	a->changed_key = !err;
	return err;
}

static enum err switch_over(struct adoption *a, struct zfs *zfs, struct err_ctx *e)
{
	enum err err = ERR_OK;

	if (a->check.format != KEY_FORMAT_RAW)
		err = change_key(a, zfs, e);
	if (!err && !a->check.located)
		err = zfs_set_prompt(a->request.dataset, deadline_in(SET_TIMEOUT_MS), e);
	return err_wrap(e, err, "the record of %s is written, its switch is not finished", a->request.dataset);
}

static enum err write_all(struct adoption *a, struct zfs *zfs, struct err_ctx *e)
{
	const struct keyring *keyring = a->root->keyring;
	struct zfs *proves = a->check.format == KEY_FORMAT_PASSPHRASE && !a->recorded ? NULL : zfs;
	enum err err = ERR_OK;

	if (a->record)
		err = adopt_has_keyring(a) ? write_record(a, zfs, e) : write_new_keyring(a, zfs, e);
	if (!err)
		err = prove_from_pool(a, proves, e);
	if (!err)
		err = switch_over(a, zfs, e);
	if (!err)
		event_emit(&(struct event){
			.id = EVENT_ROOT_ADOPTED, .dataset = a->request.dataset, .keyring = &a->draft.ring.uuid,
			/* a record that joins a keyring does not change its header */
			.generation = keyring ? keyring_ring(keyring)->generation : a->draft.ring.generation,
		});
	return err;
}

enum err adopt_commit(struct adoption *a, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *zfs = NULL;
	enum err err = process_interrupted(e);

	if (!err)
		err = zfs_open(&zfs, e);
	if (err)
		return err;
	process_signals_hold();
	err = write_all(a, zfs, e);
	process_signals_release();
	return err;
}

void adopt_end(struct adoption *a)
{
	secret_free(a->key);
	secret_free(a->next);
	free(a->record);
	free(a->result.copy);
	draft_clear(&a->draft);
	opening_clear(&a->opening);
	inventory_clear(&a->inventory);
	adopt_check_clear(&a->check);
	*a = (struct adoption){ 0 };
}
