/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include "core/draft.h"

static void draft_slot_clear(struct draft_slot *s)
{
	slot_clear(&s->slot);
	free(TAKE(s->value));
	secret_free(TAKE(s->secret));
}

void draft_clear(struct draft *d)
{
	for (unsigned i = 0; i < d->n_slots; i++)
		draft_slot_clear(&d->slots[i]);
	secret_free(d->keyring_key);
	free(d->value);
	*d = (struct draft){ 0 };
}

/* ---- beginning ---- */

enum err draft_begin(struct draft *d, struct err_ctx *e)
{
	struct ring *ring = &d->ring;
	struct uuid epoch;
	enum err err = uuid_new(&ring->uuid, e);

	if (!err)
		err = uuid_new(&epoch, e);
	if (!err)
		err = secret_new_random(KEY_SIZE, &d->keyring_key, e);
	if (!err)
		err = crypto_fingerprint(d->keyring_key, &ring->uuid, ring->fingerprint, e);
	if (err)
		return err;
	memcpy(ring->epoch, epoch.bytes, sizeof(ring->epoch));
	ring->generation = 1;
	ring->created = (uint64_t)time(NULL);
	return ERR_OK;
}

/* One that is damaged or of a newer version keeps its value and its place in the MAC. */
static enum err keep_slot(struct draft *d, const struct stored_slot *stored, struct err_ctx *e)
{
	struct draft_slot *s = &d->slots[d->n_slots++];
	enum err err = str_copy(stored->value, &s->value, e);

	if (!err && !stored->state)
		err = slot_parse(stored->name, stored->value, &s->slot, e);
	snprintf(s->slot.name, sizeof(s->slot.name), "%s", stored->name);
	return err;
}

enum err draft_continue(struct draft *d, const struct keyring *k, const struct opening *o, struct err_ctx *e)
{
	const struct secret *key = o->keys[0];
	enum err err = ERR_OK;

	if (k->property.n_rings != 1 || !key)
		return err_set(e, ERR_UNFINISHED, "the keyring key on %s is being changed", k->dataset);
	d->ring = *keyring_ring(k);
	d->ring.generation++;
	err = secret_new_copy(secret_data(key), secret_size(key), &d->keyring_key, e);
	for (size_t i = 0; !err && i < k->n_slots; i++)
		if (stored_slot_is_of(&k->slots[i], &d->ring.uuid))
			err = keep_slot(d, &k->slots[i], e);
	return err;
}

/* ---- slots ---- */

struct draft_slot *draft_find_slot(struct draft *d, const char *name)
{
	for (unsigned i = 0; i < d->n_slots; i++)
		if (str_equal(d->slots[i].slot.name, name))
			return &d->slots[i];
	return NULL;
}

static enum err wrap_keyring_key(const struct draft *d, struct draft_slot *s, struct err_ctx *e)
{
	struct key_scope scope = { .purpose = PURPOSE_SLOT_WRAP, .keyring = s->slot.keyring, .object = s->slot.uuid };

	s->slot.n_wraps = 1;
	memcpy(s->slot.wraps[0].epoch, d->ring.epoch, EPOCH_SIZE);
	return crypto_wrap(s->secret, &scope, d->keyring_key, &s->slot.wraps[0].key, e);
}

static enum err set_recovery_key(struct draft *d, const struct secret *key, struct err_ctx *e)
{
	d->ring.has_recovery = true;
	return crypto_recovery_public(key, &d->ring.uuid, d->ring.recovery_public, e);
}

static enum err make_slot(const struct draft *d, struct protector_context *context, const struct draft_slot_request *r,
			  const struct slot *replaces, struct draft_slot *s, struct err_ctx *e)
{
	const struct protector *p = protector_find(r->type);

	*s = (struct draft_slot){
		.slot = { .keyring = d->ring.uuid, .created = (uint64_t)time(NULL) }, .is_new = true, .answer = r->answer,
	};
	if (!p || !name_is_valid(r->name))
		return err_set(e, ERR_BUG, "making slot %s of type %s", r->name, r->type);
	snprintf(s->slot.name, sizeof(s->slot.name), "%s", r->name);
	snprintf(s->slot.type, sizeof(s->slot.type), "%s", r->type);
	enum err err = uuid_new(&s->slot.uuid, e);
	struct protect_request request = {
		.keyring = s->slot.keyring, .slot = s->slot.uuid, .answer = r->answer, .pcrs = r->pcrs,
		.tpm_handle = r->tpm_handle, .vault_key = r->vault_key, .vault_kv = r->vault_kv,
		.replaces = replaces, .deadline = r->deadline,
	};
	if (!err)
		err = p->protect(context, &request, &s->secret, &s->slot.protect, e);
	if (!err)
		err = wrap_keyring_key(d, s, e);
	return err;
}

enum err draft_add_slot(struct draft *d, struct protector_context *context, const struct draft_slot_request *r,
			struct err_ctx *e)
{
	struct draft_slot made;

	if (draft_find_slot(d, r->name))
		return err_set(e, ERR_SLOT_EXISTS, "slot %s", r->name);
	if (d->n_slots == SLOTS_MAX)
		return err_set(e, ERR_TOO_LARGE, "a keyring has room for %d slots", SLOTS_MAX);
	enum err err = make_slot(d, context, r, NULL, &made, e);
	if (!err && str_equal(r->type, protector_recovery.type))
		err = set_recovery_key(d, r->answer, e);
	if (err) {
		draft_slot_clear(&made);
		return err_wrap(e, err, "making slot %s", r->name);
	}
	d->slots[d->n_slots++] = made;
	if (d->ring.n_order < SLOTS_MAX)
		snprintf(d->ring.order[d->ring.n_order++], NAME_SIZE, "%s", r->name);
	return ERR_OK;
}

enum err draft_replace_slot(struct draft *d, struct protector_context *context, const struct draft_slot_request *r,
			    struct err_ctx *e)
{
	struct draft_slot *old = draft_find_slot(d, r->name), made;

	if (!old)
		return err_set(e, ERR_NO_SLOT, "slot %s", r->name);
	enum err err = make_slot(d, context, r, &old->slot, &made, e);
	if (!err && str_equal(r->type, protector_recovery.type))
		err = set_recovery_key(d, r->answer, e);
	if (err) {
		draft_slot_clear(&made);
		return err_wrap(e, err, "making slot %s anew", r->name);
	}
	draft_slot_clear(old);
	*old = made;
	return ERR_OK;
}

static void leave_out_of_order(struct ring *ring, const char *name)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ring->n_order; i++) {
		if (str_equal(ring->order[i], name))
			continue;
		if (kept != i)
			memcpy(ring->order[kept], ring->order[i], NAME_SIZE);
		kept++;
	}
	ring->n_order = kept;
}

/* A value that is to be printed anew, for which the slot must have been understood. */
static void drop_value(struct draft_slot *s)
{
	free(TAKE(s->value));
}

static void drop_recovery_key(struct draft *d)
{
	d->ring.has_recovery = false;
	memset(d->ring.recovery_public, 0, sizeof(d->ring.recovery_public));
	for (unsigned i = 0; i < d->n_slots; i++) {
		if (!d->slots[i].slot.has_renew)
			continue;
		d->slots[i].slot.has_renew = false;
		drop_value(&d->slots[i]);
	}
}

enum err draft_remove_slot(struct draft *d, const char *name, struct err_ctx *e)
{
	struct draft_slot *s = draft_find_slot(d, name);

	if (!s)
		return err_set(e, ERR_NO_SLOT, "slot %s", name);
	bool recovery = str_equal(s->slot.type, protector_recovery.type);
	draft_slot_clear(s);
	*s = d->slots[--d->n_slots];
	leave_out_of_order(&d->ring, name);
	if (recovery)
		drop_recovery_key(d);
	return ERR_OK;
}

/* ---- renew ---- */

static enum err learn_secret(const struct draft *d, struct protector_context *context, const struct secret *recovery_key,
			     struct draft_slot *s)
{
	const struct protector *p = protector_find(s->slot.type);
	struct renew_scope scope = { .keyring_key = d->keyring_key, .keyring = s->slot.keyring, .slot = s->slot.uuid };
	enum { OPEN_TIMEOUT_MS = 20000 };

	if (s->secret)
		return ERR_OK;
	if (recovery_key && s->slot.has_renew &&
	    crypto_renew_open(&scope, recovery_key, &s->slot.renew, &s->secret, NULL) == ERR_OK)
		return ERR_OK;
	return p ? p->open(context, &s->slot, deadline_in(OPEN_TIMEOUT_MS), &s->secret, NULL) : ERR_NO_SLOT;
}

unsigned draft_renew_all(struct draft *d, struct protector_context *context, const struct secret *old_recovery_key)
{
	unsigned n_without = 0;

	for (unsigned i = 0; i < d->n_slots; i++) {
		struct draft_slot *s = &d->slots[i];

		if (!*s->slot.type) /* not understood: it stays as it is */
			continue;
		if (learn_secret(d, context, old_recovery_key, s))
			n_without++;
		s->slot.has_renew = false;
		drop_value(s);
	}
	return n_without;
}

static enum err make_renew(const struct draft *d, struct draft_slot *s, struct err_ctx *e)
{
	struct renew_scope scope = { .keyring_key = d->keyring_key, .keyring = s->slot.keyring, .slot = s->slot.uuid };

	s->slot.has_renew = d->ring.has_recovery;
	return s->slot.has_renew ? crypto_renew_make(&scope, d->ring.recovery_public, s->secret, &s->slot.renew, e)
				 : ERR_OK;
}

/* ---- finishing ---- */

static enum err finish_slot(const struct draft *d, struct draft_slot *s, struct err_ctx *e)
{
	enum err err = ERR_OK;

	if (s->value)
		return ERR_OK;
	if (s->secret)
		err = make_renew(d, s, e);
	return err ? err : slot_print(&s->slot, &s->value, e);
}

enum err draft_finish(struct draft *d, struct err_ctx *e)
{
	struct keyring_property p = { .n_rings = 1, .rings[0].ring = d->ring };
	struct raw_slot raw[SLOTS_MAX];
	enum err err = ERR_OK;

	for (unsigned i = 0; !err && i < d->n_slots; i++) {
		err = finish_slot(d, &d->slots[i], e);
		raw[i] = (struct raw_slot){ .name = d->slots[i].slot.name, .value = d->slots[i].value };
	}
	if (!err)
		err = header_mac(d->keyring_key, &d->ring, raw, d->n_slots, p.rings[0].mac, e);
	if (!err)
		err = keyring_property_print(&p, &d->value, e);
	return err;
}

/* ---- proving ---- */

/* With what the slot needs and nothing else, whatever the person gave to open the keyring. */
static enum err prove_slot(const struct keyring *k, const struct draft *d, const struct open_request *r,
			   const struct draft_slot *s, struct err_ctx *e)
{
	_cleanup_(opening_clearp) struct opening *o = &(struct opening){ 0 };
	struct protector_context *context = r->context;
	const enum answer needed = protector_needs(&s->slot);
	const struct secret *given = context->answers[needed];
	struct open_request own = *r;

	own.only = s->slot.name;
	context->answers[needed] = s->answer;
	enum err err = keyring_open(k, &own, o, e);
	context->answers[needed] = given;
	if (!err && (o->mac || !secret_equal(o->keys[0], d->keyring_key)))
		err = err_set(e, ERR_BUG, "slot %s gives another key than it was made for", s->slot.name);
	return err;
}

enum err draft_prove(const struct draft *d, const char *dataset, const struct open_request *r, struct err_ctx *e)
{
	_cleanup_(keyring_freep) struct keyring *k = NULL;
	char fingerprint[FINGERPRINT_TEXT_SIZE];
	struct open_request own = *r;
	enum err err = keyring_new(dataset, d->value, &k, e);

	for (unsigned i = 0; !err && i < d->n_slots; i++)
		err = keyring_add_slot(k, d->slots[i].slot.name, d->slots[i].value, e);
	fingerprint_print(d->ring.fingerprint, fingerprint);
	own.trust = fingerprint;
	for (unsigned i = 0; !err && i < d->n_slots; i++)
		if (d->slots[i].is_new)
			err = prove_slot(k, d, &own, &d->slots[i], e);
	return err_wrap(e, err, "proving the new slots");
}

/* ---- records ---- */

static void keep_older(struct records *all, const struct records *old)
{
	for (unsigned i = 0; i < old->n && all->n < RECORDS_MAX; i++)
		all->records[all->n++] = old->records[i];
	all->records[0].generation = old->records[0].generation + 1;
}

enum err draft_record(const struct draft *d, const struct secret *key, const struct records *old, char **ret,
		      struct err_ctx *e)
{
	struct records all = { .n = 1 };
	struct record *record = &all.records[0];
	enum err err = uuid_new(&record->uuid, e);

	record->keyring = d->ring.uuid;
	memcpy(record->epoch, d->ring.epoch, EPOCH_SIZE);
	record->generation = 1;
	record->created = (uint64_t)time(NULL);
	struct key_scope scope = { .purpose = PURPOSE_RECORD_WRAP, .keyring = record->keyring, .object = record->uuid };
	if (!err)
		err = crypto_wrap(d->keyring_key, &scope, key, &record->key, e);
	if (old && old->n > 0)
		keep_older(&all, old);
	if (!err)
		err = records_print(&all, ret, e);
	return err;
}

/* ---- outside of the header ---- */

enum err draft_settle(struct draft *d, struct protector_context *context, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (unsigned i = 0; !err && i < d->n_slots; i++) {
		const struct protector *p = d->slots[i].is_new ? protector_find(d->slots[i].slot.type) : NULL;

		if (p && p->settle)
			err = err_wrap(e, p->settle(context, &d->slots[i].slot, e), "slot %s", d->slots[i].slot.name);
	}
	return err;
}

void draft_withdraw(struct draft *d, struct protector_context *context)
{
	for (unsigned i = 0; i < d->n_slots; i++) {
		const struct protector *p = d->slots[i].is_new ? protector_find(d->slots[i].slot.type) : NULL;

		if (p && p->withdraw)
			(void)!p->withdraw(context, &d->slots[i].slot, NULL);
	}
}
