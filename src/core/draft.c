/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include "core/draft.h"

void draft_clear(struct draft *d)
{
	for (unsigned i = 0; i < d->n_slots; i++) {
		slot_clear(&d->slots[i].slot);
		free(d->slots[i].value);
	}
	secret_free(d->keyring_key);
	free(d->value);
	*d = (struct draft){ 0 };
}

enum err draft_begin(struct draft *d, const struct secret *recovery_key, struct err_ctx *e)
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
	if (!err && recovery_key) {
		ring->has_recovery = true;
		err = crypto_recovery_public(recovery_key, &ring->uuid, ring->recovery_public, e);
	}
	if (err)
		return err;
	memcpy(ring->epoch, epoch.bytes, sizeof(ring->epoch));
	ring->generation = 1;
	ring->created = (uint64_t)time(NULL);
	return ERR_OK;
}

/* What a slot secret makes possible: the keyring key, and the way back to the secret for the recovery key's holder. */
static enum err wrap_slot(const struct draft *d, struct slot *s, const struct secret *slot_secret, struct err_ctx *e)
{
	struct key_scope scope = { .purpose = PURPOSE_SLOT_WRAP, .keyring = s->keyring, .object = s->uuid };
	struct renew_scope renew = { .keyring_key = d->keyring_key, .keyring = s->keyring, .slot = s->uuid };
	enum err err = crypto_wrap(slot_secret, &scope, d->keyring_key, &s->wraps[0].key, e);

	s->n_wraps = 1;
	memcpy(s->wraps[0].epoch, d->ring.epoch, EPOCH_SIZE);
	s->has_renew = d->ring.has_recovery;
	if (!err && s->has_renew)
		err = crypto_renew_make(&renew, d->ring.recovery_public, slot_secret, &s->renew, e);
	return err;
}

enum err draft_add_slot(struct draft *d, struct protector_context *context, const struct draft_slot_request *r,
			struct err_ctx *e)
{
	_cleanup_secret_ struct secret *slot_secret = NULL;
	const struct protector *p = protector_find(r->type);
	struct slot s = { .keyring = d->ring.uuid, .created = (uint64_t)time(NULL) };

	if (!p || d->n_slots == SLOTS_MAX || !name_is_valid(r->name))
		return err_set(e, ERR_BUG, "adding slot %s of type %s", r->name, r->type);
	snprintf(s.name, sizeof(s.name), "%s", r->name);
	snprintf(s.type, sizeof(s.type), "%s", r->type);
	enum err err = uuid_new(&s.uuid, e);
	struct protect_request request = {
		.keyring = s.keyring, .slot = s.uuid, .pcrs = r->pcrs, .tpm_handle = r->tpm_handle,
		.deadline = r->deadline,
	};
	if (!err)
		err = p->protect(context, &request, &slot_secret, &s.protect, e);
	if (err)
		return err_wrap(e, err, "making slot %s", r->name);
	/* from here on it is the draft's, so that draft_withdraw() finds it */
	struct draft_slot *added = &d->slots[d->n_slots++];
	*added = (struct draft_slot){ .slot = s };
	snprintf(d->ring.order[d->ring.n_order++], NAME_SIZE, "%s", r->name);
	return err_wrap(e, wrap_slot(d, &added->slot, slot_secret, e), "making slot %s", r->name);
}

enum err draft_finish(struct draft *d, struct err_ctx *e)
{
	struct keyring_property p = { .n_rings = 1, .rings[0].ring = d->ring };
	struct raw_slot raw[SLOTS_MAX];
	enum err err = ERR_OK;

	for (unsigned i = 0; !err && i < d->n_slots; i++) {
		err = slot_print(&d->slots[i].slot, &d->slots[i].value, e);
		raw[i] = (struct raw_slot){ .name = d->slots[i].slot.name, .value = d->slots[i].value };
	}
	if (!err)
		err = header_mac(d->keyring_key, &d->ring, raw, d->n_slots, p.rings[0].mac, e);
	if (!err)
		err = keyring_property_print(&p, &d->value, e);
	return err;
}

static enum err prove_slot(const struct keyring *k, const struct draft *d, struct open_request r, const char *name,
			   struct err_ctx *e)
{
	_cleanup_(opening_clearp) struct opening *o = &(struct opening){ 0 };

	r.only = name;
	enum err err = keyring_open(k, &r, o, e);
	if (!err && (o->mac || !secret_equal(o->keys[0], d->keyring_key)))
		err = err_set(e, ERR_BUG, "slot %s gives another key than it was made for", name);
	return err;
}

enum err draft_prove(const struct draft *d, const struct open_request *r, struct err_ctx *e)
{
	_cleanup_(keyring_freep) struct keyring *k = NULL;
	char fingerprint[FINGERPRINT_TEXT_SIZE];
	struct open_request own = *r;
	enum err err = keyring_new("the new keyring", d->value, &k, e);

	for (unsigned i = 0; !err && i < d->n_slots; i++)
		err = keyring_add_slot(k, d->slots[i].slot.name, d->slots[i].value, e);
	fingerprint_print(d->ring.fingerprint, fingerprint);
	own.trust = fingerprint;
	for (unsigned i = 0; !err && i < d->n_slots; i++)
		err = prove_slot(k, d, own, d->slots[i].slot.name, e);
	return err_wrap(e, err, "proving the new slots");
}

enum err draft_record(const struct draft *d, const struct secret *key, char **ret, struct err_ctx *e)
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
	if (!err)
		err = records_print(&all, ret, e);
	return err;
}

void draft_withdraw(struct draft *d, struct protector_context *context)
{
	for (unsigned i = 0; i < d->n_slots; i++) {
		const struct protector *p = protector_find(d->slots[i].slot.type);

		if (p && p->withdraw)
			(void)!p->withdraw(context, &d->slots[i].slot, NULL);
	}
}
