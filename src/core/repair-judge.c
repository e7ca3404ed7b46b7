/* SPDX-License-Identifier: MIT */
/* Opening what is left of a keyring, and judging each part of it by the key. */
#include <string.h>

#include "core/repair.h"
#include "core/unfinished.h"
#include "event/progress.h"
#include "sys/process.h"

/* A generation near the end of the number was not counted up to: somebody wrote it to leave no room above it. */
enum { GENERATION_MAX = UINT32_MAX - (1 << 16) };

/* What is known about the sources once the key is there. */
struct view {
	struct repair *r;
	const struct keyring *here;  /* the pool's keyring, or what is left without one */
	bool same_ring;              /* its ring is of the opened key */
	bool same_mac;               /* and its MAC is right */
	const struct source *newest; /* of the copies whose MAC is right, or NULL */
	bool decides;                /* it does: the pool's own header is not newer */
};

/* ---- opening ---- */

static bool stops(enum err err)
{
	enum err_class class = err_info(err)->class;

	return class == CLASS_INTERRUPTED || class == CLASS_BUG || err == ERR_NO_MEMORY;
}

static enum err try_keyring(struct repair *r, const struct keyring *k, const char *where, struct err_ctx *e)
{
	enum err err = keyring_open(k, &r->request.open, &r->opening, e);

	if (!err && !r->opening.keys[0])
		err = err_set(e, ERR_UNFINISHED, "the keyring key on %s is being changed", k->dataset);
	if (err) {
		opening_clear(&r->opening);
		if (r->first.n_attempts == 0)
			r->first = r->opening;
		r->opening = (struct opening){ 0 };
		return err;
	}
	r->opened = k;
	r->opened_where = where;
	return ERR_OK;
}

/* The pool's own, then each copy; the first failure is the one that tells most. */
static enum err open_any(struct repair *r, struct err_ctx *e)
{
	const struct sources *sources = r->request.sources;
	const struct keyring *k = r->request.place->keyring;
	struct err_ctx first = { 0 };

	if (k && !try_keyring(r, k, NULL, &first))
		return ERR_OK;
	for (unsigned i = 0; i < sources->n && !stops(first.code); i++) {
		const size_t tried = r->first.n_attempts;
		struct err_ctx own = { 0 };

		if (!try_keyring(r, sources->all[i].keyring, sources->all[i].where, &own))
			return ERR_OK;
		/* where no slot could be tried, a copy's slots tell more */
		if (!first.code || stops(own.code) || (tried == 0 && r->first.n_attempts > 0))
			first = own;
	}
	if (!first.code)
		return err_set(e, ERR_NO_COPY, "%s has no keyring, and neither this machine nor the pool's history a copy",
			       r->request.place->dataset);
	*e = first;
	return first.code;
}

/* ---- the key's view ---- */

static const struct ring *opened_ring(const struct repair *r)
{
	return keyring_ring(r->opened);
}

static bool is_same_ring(const struct repair *r, const struct keyring *k)
{
	const struct ring *a = opened_ring(r);

	return !k->state && k->property.n_rings == 1 && uuid_equal(&keyring_ring(k)->uuid, &a->uuid) &&
	       memcmp(keyring_ring(k)->epoch, a->epoch, EPOCH_SIZE) == 0 &&
	       memcmp(keyring_ring(k)->fingerprint, a->fingerprint, FINGERPRINT_SIZE) == 0;
}

static bool is_same_mac(const struct repair *r, const struct keyring *k)
{
	uint8_t mac[MAC_SIZE];

	return is_same_ring(r, k) && keyring_mac(k, 0, r->opening.keys[0], mac, NULL) == ERR_OK &&
	       crypto_equal32(mac, k->property.rings[0].mac);
}

static uint32_t generation_of(const struct keyring *k)
{
	return keyring_ring(k)->generation;
}

static uint32_t pinned_generation(const struct repair *r)
{
	const struct pin *pin = pins_find(r->request.open.pins, &opened_ring(r)->uuid, r->request.place->pool->guid);

	return pin ? pin->generation : 0;
}

static void find_newest(struct view *v)
{
	const struct sources *all = v->r->request.sources;

	for (unsigned i = 0; i < all->n; i++)
		if (is_same_mac(v->r, all->all[i].keyring) &&
		    (!v->newest || generation_of(all->all[i].keyring) > generation_of(v->newest->keyring)))
			v->newest = &all->all[i];
}

static struct view view_of(struct repair *r)
{
	const struct repair_place *p = r->request.place;
	struct view v = { .r = r, .here = p->keyring ? p->keyring : p->left };

	v.same_ring = is_same_ring(r, v.here);
	v.same_mac = is_same_mac(r, v.here);
	find_newest(&v);
	v.decides = v.newest && (!v.same_ring || generation_of(v.newest->keyring) >= generation_of(v.here) ||
				 (!v.same_mac && generation_of(v.here) > GENERATION_MAX));
	return v;
}

/* ---- whole, or older ---- */

static bool has_strays(const struct view *v)
{
	for (size_t i = 0; i < v->here->n_slots; i++)
		if (!stored_slot_is_of(&v->here->slots[i], &opened_ring(v->r)->uuid))
			return true;
	return false;
}

static enum err find_unfinished(struct view *v, struct err_ctx *e)
{
	struct repair *r = v->r;

	r->unfinished = calloc(1, sizeof(*r->unfinished));
	if (!r->unfinished)
		return err_set(e, ERR_NO_MEMORY, "room for a copy");
	if (v->same_mac)
		unfinished_find(v->here, r->request.open.pins, r->unfinished);
	return ERR_OK;
}

/* A header whose MAC is right, and which this machine has seen a later one of: in its pin, or as a copy. */
static bool is_older(const struct view *v)
{
	const uint32_t here = v->same_mac ? generation_of(v->here) : UINT32_MAX;
	/* one generation ahead is a change that was cut off, unless the pool had reached it */
	const uint32_t ahead = here == UINT32_MAX ? here : here + (v->r->unfinished->found ? 1 : 0);

	return pinned_generation(v->r) > here || (v->newest && generation_of(v->newest->keyring) > ahead);
}

static enum err judge_header(struct view *v, struct err_ctx *e)
{
	struct repair *r = v->r;
	enum err err = find_unfinished(v, e);

	if (err)
		return err;
	r->is_older = is_older(v);
	if (r->is_older && !r->request.accept_older &&
	    !(v->newest && generation_of(v->newest->keyring) >= pinned_generation(r)))
		return err_set(e, ERR_PIN_ROLLBACK, "generation %u, and no copy of %u is here; if it was put back on "
			       "purpose: --accept-older", generation_of(v->here), pinned_generation(r));
	r->is_whole = v->same_mac && !r->is_older && !has_strays(v);
	return ERR_OK;
}

/* ---- the ring ---- */

static void raise_generation(struct repair *r, uint32_t seen)
{
	if (seen > r->ring.generation && seen <= GENERATION_MAX)
		r->ring.generation = seen;
}

/*
 * Whose recovery key the keyring has decides who gets new keyring keys: it must be the one that was typed, or that a
 * right MAC covers.
 */
static enum err judge_recovery(const struct view *v, struct err_ctx *e)
{
	struct repair *r = v->r;
	const struct secret *typed = r->request.open.context->answers[ANSWER_RECOVERY_KEY];
	const struct ring *copied = v->newest ? keyring_ring(v->newest->keyring) : NULL;

	if (v->same_mac || v->decides)
		return ERR_OK;
	if (typed) {
		r->ring.has_recovery = true;
		return crypto_recovery_public(typed, &r->ring.uuid, r->ring.recovery_public, e);
	}
	r->ring_unvouched = !copied ? r->ring.has_recovery : copied->has_recovery != r->ring.has_recovery ||
			    memcmp(copied->recovery_public, r->ring.recovery_public, X25519_SIZE) != 0;
	return ERR_OK;
}

static enum err judge_ring(const struct view *v, struct err_ctx *e)
{
	struct repair *r = v->r;
	const bool keeps = v->same_mac && (!r->is_older || !v->decides);

	if (keeps || (v->same_ring && !v->decides)) {
		r->ring = *keyring_ring(v->here);
	} else {
		r->ring = v->newest ? *keyring_ring(v->newest->keyring) : *opened_ring(r);
		r->ring_where = v->newest ? v->newest->where : r->opened_where;
		if (v->newest && str_equal(v->newest->copy.keyring, v->here->value))
			r->ring_where = NULL;
	}
	if (r->ring.generation > GENERATION_MAX)
		r->ring.generation = 1;
	if (v->same_ring)
		raise_generation(r, generation_of(v->here));
	if (v->newest)
		raise_generation(r, generation_of(v->newest->keyring));
	raise_generation(r, pinned_generation(r));
	return judge_recovery(v, e);
}

/* ---- slots ---- */

/* Does this secret unwrap the slot's wrap of the key that was opened? */
static bool gives_key(const struct repair *r, const struct slot *slot, const struct secret *slot_secret)
{
	const struct key_scope scope = {
		.purpose = PURPOSE_SLOT_WRAP, .keyring = slot->keyring, .object = slot->uuid,
	};

	for (unsigned i = 0; i < slot->n_wraps; i++) {
		_cleanup_secret_ struct secret *key = NULL;

		if (memcmp(slot->wraps[i].epoch, opened_ring(r)->epoch, EPOCH_SIZE) == 0 &&
		    crypto_unwrap(slot_secret, &scope, &slot->wraps[i].key, &key, NULL) == ERR_OK &&
		    secret_equal(key, r->opening.keys[0]))
			return true;
	}
	return false;
}

static bool opens_here(const struct repair *r, const struct slot *slot, struct err_ctx *e)
{
	const struct protector *p = protector_find(slot->type);
	const enum answer needed = protector_needs(slot);
	_cleanup_secret_ struct secret *slot_secret = NULL;

	if (!p || (needed != ANSWER_NONE && !r->request.open.context->answers[needed])) {
		(void)!err_set(e, p ? ERR_NO_INPUT : ERR_FORMAT_NEWER, "slot %s is of type %s", slot->name, slot->type);
		return false;
	}
	if (p->open(r->request.open.context, slot, deadline_in(r->request.open.config->slot_timeout_ms), &slot_secret, e))
		return false;
	if (gives_key(r, slot, slot_secret))
		return true;
	(void)!err_set(e, ERR_UNWRAP, "slot %s", slot->name);
	return false;
}

static bool renews(const struct repair *r, const struct slot *slot)
{
	const struct secret *typed = r->request.open.context->answers[ANSWER_RECOVERY_KEY];
	const struct renew_scope scope = {
		.keyring = slot->keyring, .slot = slot->uuid, .keyring_key = r->opening.keys[0],
	};
	_cleanup_secret_ struct secret *slot_secret = NULL;

	return typed && slot->has_renew && crypto_renew_open(&scope, typed, &slot->renew, &slot_secret, NULL) == ERR_OK &&
	       gives_key(r, slot, slot_secret);
}

/* One that no copy vouches for. */
static enum judgement judge_alone(const struct repair *r, const struct stored_slot *s, struct err_ctx *e)
{
	if (s->state) {
		*e = s->error;
		return JUDGED_UNKNOWN;
	}
	if (opens_here(r, &s->slot, e)) {
		err_clear(e);
		return JUDGED_OPENED;
	}
	return renews(r, &s->slot) ? JUDGED_RENEWED : JUDGED_UNKNOWN;
}

static struct judged_slot *add_judged(struct repair *r, const char *name, enum judgement j, const char *value)
{
	struct judged_slot *s = &r->slots[r->n_slots++];

	*s = (struct judged_slot){ .judgement = j, .value = value };
	snprintf(s->name, sizeof(s->name), "%s", name);
	return s;
}

static void judge_with_copy(const struct view *v, const struct stored_slot *s, struct judged_slot *judged)
{
	const char *copied = v->newest ? backup_slot_value(&v->newest->copy, s->name) : NULL;

	if (copied && str_equal(copied, s->value)) {
		judged->judgement = JUDGED_AS_COPY;
		judged->where = v->newest->where;
		return;
	}
	judged->judgement = copied && v->decides ? JUDGED_UNKNOWN : judge_alone(v->r, s, &judged->error);
	if (copied && judged->judgement == JUDGED_UNKNOWN) {
		judged->judgement = JUDGED_BACK;
		judged->value = copied;
		judged->where = v->newest->where;
	} else if (!copied && v->decides && v->same_ring && generation_of(v->newest->keyring) > generation_of(v->here)) {
		judged->judgement = JUDGED_REMOVED;
		judged->where = v->newest->where;
	}
}

/* No slot of this keyring: in the place of one that is lost, or a stray. */
static void judge_foreign(const struct view *v, const struct stored_slot *s, bool covered)
{
	const char *copied = v->newest && !covered ? backup_slot_value(&v->newest->copy, s->name) : NULL;
	struct judged_slot *judged = add_judged(v->r, s->name, copied ? JUDGED_BACK : JUDGED_STRAY, copied);

	judged->where = copied ? v->newest->where : NULL;
}

static void judge_here(const struct view *v)
{
	struct repair *r = v->r;
	const bool covered = v->same_mac && !(r->is_older && v->decides);

	for (size_t i = 0; i < v->here->n_slots; i++) {
		const struct stored_slot *s = &v->here->slots[i];

		if (!stored_slot_is_of(s, &opened_ring(r)->uuid)) {
			judge_foreign(v, s, covered);
			continue;
		}
		struct judged_slot *judged = add_judged(r, s->name, JUDGED_WHOLE, s->value);
		if (!covered)
			judge_with_copy(v, s, judged);
	}
}

static bool is_judged(const struct repair *r, const char *name)
{
	for (unsigned i = 0; i < r->n_slots; i++)
		if (str_equal(r->slots[i].name, name))
			return true;
	return false;
}

static bool is_ordered(const struct keyring *k, const char *name)
{
	for (unsigned i = 0; i < keyring_ring(k)->n_order; i++)
		if (str_equal(keyring_ring(k)->order[i], name))
			return true;
	return false;
}

/* What the copy has and the pool has not. A newer header whose order leaves a slot out has probably removed it. */
static enum err judge_lost(const struct view *v, struct err_ctx *e)
{
	struct repair *r = v->r;

	if (!v->newest || (v->same_mac && !(r->is_older && v->decides)))
		return ERR_OK;
	for (size_t i = 0; i < v->newest->copy.n_slots && r->n_slots < ARRAY_SIZE(r->slots); i++) {
		const struct header_copy_value *slot = &v->newest->copy.slots[i];

		struct uuid keyring;
		bool has_keyring;
		enum err err = slot_keyring(slot->value, &keyring, &has_keyring, e);

		if (err)
			return err;
		if (is_judged(r, slot->name) || !has_keyring || !uuid_equal(&keyring, &opened_ring(r)->uuid))
			continue;
		const bool back = v->decides || is_ordered(v->here, slot->name);
		add_judged(r, slot->name, back ? JUDGED_BACK : JUDGED_ABSENT, back ? slot->value : NULL)->where =
			v->newest->where;
	}
	return ERR_OK;
}

/* ---- records ---- */

static enum err prove(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e)
{
	return zfs_prove_key(arg, root->dataset, key, e);
}

static enum err prove_record(const struct repair *r, const struct root *root, const char *value, struct err_ctx *e)
{
	struct root own = { .dataset = root->dataset, .keyring = (struct keyring *)r->opened };
	enum err err = records_parse(value, &own.records, e);

	return err ? err : root_with_key(&own, &r->opening, prove, r->zfs, e);
}

static bool take_record(const struct repair *r, const struct header_copy_value *record, const struct source *from,
			struct judged_root *judged)
{
	if (prove_record(r, judged->root, record->value, NULL))
		return false;
	err_clear(&judged->error);
	judged->judgement = ROOT_BACK;
	judged->value = record->value;
	judged->where = from->where;
	return true;
}

/* By the root's name; or any of them, for what may have been called otherwise where the copy was made. */
static bool take_record_from(const struct repair *r, const struct source *from, bool any, struct judged_root *judged)
{
	enum { TRIED_MAX = 64 }; /* each proof leaves a line in the pool's history */
	const struct header_copy *c = &from->copy;

	for (size_t i = 0, tried = 0; i < c->n_records && tried < TRIED_MAX; i++) {
		if (any == str_equal(c->records[i].name, judged->root->dataset))
			continue;
		tried++;
		if (take_record(r, &c->records[i], from, judged))
			return true;
	}
	return false;
}

static bool has_record(const struct repair *r, const char *dataset)
{
	const struct sources *all = r->request.sources;

	for (unsigned i = 0; i < all->n; i++)
		for (size_t j = 0; j < all->all[i].copy.n_records; j++)
			if (str_equal(all->all[i].copy.records[j].name, dataset))
				return true;
	return false;
}

static void judge_root(const struct repair *r, const struct root *root, struct judged_root *judged)
{
	const struct sources *all = r->request.sources;
	const bool may_be_renamed = !r->request.place->keyring;

	*judged = (struct judged_root){ .root = root, .value = root->misplaced ? NULL : root->value };
	if (judged->value && !prove_record(r, root, judged->value, &judged->error)) {
		err_clear(&judged->error);
		return;
	}
	for (unsigned i = 0; i < all->n; i++)
		if (take_record_from(r, &all->all[i], false, judged))
			return;
	for (unsigned i = 0; may_be_renamed && i < all->n; i++)
		if (take_record_from(r, &all->all[i], true, judged))
			return;
	judged->judgement = judged->value || has_record(r, root->dataset) ? ROOT_FAILED : ROOT_NEW;
	if (!judged->error.code)
		(void)!err_set(&judged->error, ERR_NO_RECORD, "%s", root->dataset);
}

static bool is_served(const struct repair_place *p, const struct root *root)
{
	return p->keyring ? root->keyring == p->keyring : dataset_is_below(root->dataset, p->dataset) && !root->keyring;
}

static enum err judge_roots(struct repair *r, struct err_ctx *e)
{
	const struct inventory *inv = &r->request.place->inventory;
	enum err err = zfs_open(&r->zfs, e);

	r->roots = calloc(inv->n_roots + 1, sizeof(*r->roots));
	if (!err && !r->roots)
		err = err_set(e, ERR_NO_MEMORY, "room for the roots");
	for (size_t i = 0; !err && i < inv->n_roots; i++) {
		progress_tell("proving key records", i, inv->n_roots);
		err = process_interrupted(e);
		if (!err && is_served(r->request.place, &inv->roots[i]))
			judge_root(r, &inv->roots[i], &r->roots[r->n_roots++]);
	}
	return err;
}

/* A header from elsewhere is written only where one of its records has opened something. */
static enum err check_roots(const struct repair *r, struct err_ctx *e)
{
	if (r->request.place->keyring)
		return ERR_OK;
	for (size_t i = 0; i < r->n_roots; i++)
		if (r->roots[i].judgement == ROOT_OPENS || r->roots[i].judgement == ROOT_BACK)
			return ERR_OK;
	return err_set(e, ERR_ZFS_KEY_WRONG, "nothing at or below %s opens by the header in %s",
		       r->request.place->dataset, r->opened_where);
}

enum err repair_judge(struct repair *r, const struct repair_request *request, struct err_ctx *e)
{
	r->request = *request;
	enum err err = open_any(r, e);
	if (err)
		return err;
	struct view v = view_of(r);
	err = judge_header(&v, e);
	if (!err)
		err = judge_ring(&v, e);
	if (err)
		return err;
	judge_here(&v);
	err = judge_lost(&v, e);
	if (!err)
		err = judge_roots(r, e);
	return err ? err : check_roots(r, e);
}
