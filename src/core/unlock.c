/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/copies.h"
#include "core/opened.h"
#include "core/unlock.h"
#include "event/event.h"
#include "event/progress.h"
#include "sys/process.h"

const char *outcome_name(enum outcome outcome, const char *done)
{
	static const char *const names[] = {
		[OUTCOME_ALREADY] = "already", [OUTCOME_WOULD] = "would", [OUTCOME_FAILED] = "failed",
		[OUTCOME_FOREIGN] = "left-alone",
	};

	return outcome == OUTCOME_DONE ? done : names[outcome];
}

static enum err make_result(const struct inventory *inv, struct unlock_result *res, struct err_ctx *e)
{
	res->roots = calloc(inv->n_roots + 1, sizeof(*res->roots));
	res->keyrings = calloc(inv->n_keyrings + 1, sizeof(*res->keyrings));
	if (!res->roots || !res->keyrings)
		return err_set(e, ERR_NO_MEMORY, "room for the result");
	for (size_t i = 0; i < inv->n_keyrings; i++)
		res->keyrings[i].keyring = inv->keyrings[i];
	res->n_keyrings = inv->n_keyrings;
	return ERR_OK;
}

void unlock_result_clear(struct unlock_result *r)
{
	for (size_t i = 0; i < r->n_keyrings; i++)
		opening_clear(&r->keyrings[i].opening);
	free(r->roots);
	free(r->keyrings);
	*r = (struct unlock_result){ 0 };
}

static struct keyring_result *result_of(struct unlock_result *res, const struct keyring *k)
{
	for (size_t i = 0; i < res->n_keyrings; i++)
		if (res->keyrings[i].keyring == k)
			return &res->keyrings[i];
	return NULL;
}

/* ---- both ---- */

struct job {
	void (*decide)(const struct unlock_request *, struct zfs *, struct unlock_result *, struct root_result *);
	enum event_id done, failed;
	bool deepest_first;
	const char *doing;
};

static void report_root(const struct root_result *rr, const struct job *job)
{
	const struct keyring *k = rr->root->keyring;

	if (rr->outcome != OUTCOME_DONE && rr->outcome != OUTCOME_FAILED)
		return;
	event_emit(&(struct event){
		.id = rr->outcome == OUTCOME_DONE ? job->done : job->failed,
		.dataset = rr->root->dataset,
		.slot = rr->slot,
		.keyring = k && !k->state ? &k->property.rings[0].ring.uuid : NULL,
		.error = rr->outcome == OUTCOME_FAILED ? &rr->error : NULL,
	});
}

/* ---- unlocking ---- */

static const struct secret *key_of(const struct root *root, const struct opening *o, const struct record *record)
{
	const struct keyring_property *p = &root->keyring->property;

	for (unsigned i = 0; i < p->n_rings; i++)
		if (o->keys[i] && uuid_equal(&record->keyring, &p->rings[i].ring.uuid) &&
		    memcmp(record->epoch, p->rings[i].ring.epoch, EPOCH_SIZE) == 0)
			return o->keys[i];
	return NULL;
}

enum err root_with_key(const struct root *root, const struct opening *opening,
		       enum err (*use)(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e),
		       void *arg, struct err_ctx *e)
{
	enum err err;

	if (root->state) {
		*e = root->error;
		return root->state;
	}
	err = err_set(e, ERR_NO_RECORD, "its records belong to other keyring keys");
	for (unsigned i = 0; i < root->records.n; i++) {
		const struct record *record = &root->records.records[i];
		const struct secret *keyring_key = key_of(root, opening, record);
		_cleanup_secret_ struct secret *key = NULL;

		if (!keyring_key)
			continue;
		struct key_scope scope = {
			.purpose = PURPOSE_RECORD_WRAP, .keyring = record->keyring, .object = record->uuid,
		};
		err = crypto_unwrap(keyring_key, &scope, &record->key, &key, e);
		if (!err)
			err = use(arg, root, key, e);
		if (!err || err_info(err)->class == CLASS_INTERRUPTED)
			break;
	}
	return err;
}

struct loading {
	struct zfs *zfs;
	bool was_loaded;
};

static enum err load(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e)
{
	struct loading *l = arg;

	return zfs_load_key(l->zfs, root->dataset, key, &l->was_loaded, e);
}

/* Opens a root's keyring if no root before it did. */
static enum err open_once(const struct unlock_request *r, struct keyring_result *kr)
{
	if (!kr->tried) {
		kr->tried = true;
		if (!keyring_open(kr->keyring, &r->open, &kr->opening, &kr->error))
			opened_remember(&keyring_ring(kr->keyring)->uuid, &kr->opening);
	}
	return kr->error.code;
}

static enum err unlock_root(const struct unlock_request *r, struct zfs *zfs, struct keyring_result *kr,
			    struct root_result *rr)
{
	struct loading l = { .zfs = zfs };
	enum err err = open_once(r, kr);

	if (err) {
		rr->error = kr->error;
		return err;
	}
	rr->slot = kr->opening.slot->name;
	err = root_with_key(rr->root, &kr->opening, load, &l, &rr->error);
	if (err)
		return err;
	err_clear(&rr->error);
	rr->outcome = l.was_loaded ? OUTCOME_ALREADY : OUTCOME_DONE;
	return ERR_OK;
}

static void decide_unlock(const struct unlock_request *r, struct zfs *zfs, struct unlock_result *res,
			  struct root_result *rr)
{
	if (!rr->root->locked) {
		rr->outcome = OUTCOME_ALREADY;
	} else if (!rr->root->keyring) {
		rr->outcome = OUTCOME_FAILED;
		err_set(&rr->error, ERR_NO_KEYRING, "%s", rr->root->dataset);
	} else if (r->dry_run) {
		rr->outcome = OUTCOME_WOULD;
	} else if (unlock_root(r, zfs, result_of(res, rr->root->keyring), rr)) {
		rr->outcome = OUTCOME_FAILED;
	}
}

/* ---- locking ---- */

bool root_is_lockable(const struct root *root)
{
	return !root->locked && root->keyring && !root->state;
}

static void decide_lock(const struct unlock_request *r, struct zfs *zfs, struct unlock_result *res,
			struct root_result *rr)
{
	bool was_loaded = false;
	enum err err = ERR_OK;

	(void)res;
	if (rr->root->locked) {
		rr->outcome = OUTCOME_ALREADY;
		return;
	}
	if (!rr->root->keyring)
		err = err_set(&rr->error, ERR_NO_KEYRING, "zseal could not open %s again", rr->root->dataset);
	else if (rr->root->state)
		err = (rr->error = rr->root->error).code;
	if (!err && !r->dry_run)
		err = zfs_unload_key(zfs, rr->root->dataset, &was_loaded, &rr->error);
	rr->outcome = err ? OUTCOME_FAILED : r->dry_run ? OUTCOME_WOULD : was_loaded ? OUTCOME_DONE : OUTCOME_ALREADY;
}

/* ---- all of them ---- */

/* Also one that lost its keyring, but has a record still. */
static bool is_ours(const struct root *root)
{
	return root->keyring || (root->value && !root->misplaced);
}

static bool is_in_copy(const struct root *root)
{
	_cleanup_(kept_copy_clearp) struct kept_copy *kept = &(struct kept_copy){ 0 };
	const struct copy_wanted wanted = {
		.pool_guid = root->keyring->pool_guid, .dataset = root->dataset,
		.keyring = root->keyring->state ? NULL : &root->keyring->property.rings[0].ring.uuid,
	};

	if (header_copy_find(&wanted, kept, NULL))
		return false;
	for (size_t i = 0; i < kept->copy.n_records; i++)
		if (str_equal(kept->copy.records[i].name, root->dataset))
			return true;
	return false;
}

/*
 * A pool's owner may have roots of his own below a keyring, which he opens by himself: not to open those is no failure
 * of what boots. But a record can also be lost, and then the copy has it. A keyring's own dataset always had one.
 */
static bool is_foreign(const struct root *root)
{
	return root->keyring && (!root->value || root->misplaced) &&
	       !str_equal(root->keyring->dataset, root->dataset) && !is_in_copy(root);
}

static enum err do_root(const struct unlock_request *r, const struct job *job, struct zfs *zfs,
			struct unlock_result *res, const struct root *root)
{
	struct root_result *rr = &res->roots[res->n_roots];

	if (!is_ours(root) && !r->strict)
		return ERR_OK;
	res->n_roots++;
	rr->root = root;
	if (!r->strict && is_foreign(root))
		rr->outcome = OUTCOME_FOREIGN;
	else
		job->decide(r, zfs, res, rr);
	report_root(rr, job);
	if (rr->outcome != OUTCOME_FAILED)
		return ERR_OK;
	res->n_failed++;
	return err_info(rr->error.code)->class == CLASS_INTERRUPTED ? rr->error.code : ERR_OK;
}

static enum err do_roots(const struct unlock_request *r, const struct job *job, struct unlock_result *ret,
			 struct err_ctx *e)
{
	const struct inventory *inv = r->inventory;
	_cleanup_(zfs_closep) struct zfs *zfs = NULL;
	enum err err = make_result(inv, ret, e);

	if (!err)
		err = zfs_open(&zfs, e);
	for (size_t i = 0; !err && i < inv->n_roots; i++) {
		size_t at = job->deepest_first ? inv->n_roots - 1 - i : i;

		progress_tell(job->doing, i, inv->n_roots);
		err = process_interrupted(e);
		if (!err)
			err = do_root(r, job, zfs, ret, &inv->roots[at]);
	}
	return err;
}

enum err unlock_roots(const struct unlock_request *r, struct unlock_result *ret, struct err_ctx *e)
{
	return do_roots(r, &(struct job){ decide_unlock, EVENT_KEY_LOADED, EVENT_KEY_REFUSED, false, "unlocking" },
			ret, e);
}

enum err lock_roots(const struct unlock_request *r, struct unlock_result *ret, struct err_ctx *e)
{
	return do_roots(r, &(struct job){ decide_lock, EVENT_KEY_UNLOADED, EVENT_LOCK_REFUSED, true, "locking" },
			ret, e);
}
