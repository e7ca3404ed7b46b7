/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/opening.h"
#include "event/event.h"
#include "event/progress.h"
#include "sys/process.h"

/* ---- the order ---- */

static bool order_names(const char *entry, const struct stored_slot *s)
{
	return str_equal(entry, s->name) || (!s->state && str_equal(entry, s->slot.type));
}

struct sequence {
	size_t n;
	const struct stored_slot *slots[SLOTS_MAX];
};

static void append(struct sequence *seq, const struct stored_slot *s)
{
	for (size_t i = 0; i < seq->n; i++)
		if (seq->slots[i] == s)
			return;
	seq->slots[seq->n++] = s;
}

static void append_named(struct sequence *seq, const struct keyring *k, const char *entry)
{
	for (size_t i = 0; i < k->n_slots; i++)
		if (order_names(entry, &k->slots[i]))
			append(seq, &k->slots[i]);
}

/* zseal.conf's order is complete: what it leaves out is not tried. The keyring's own is a preference. */
static struct sequence sequence_of(const struct keyring *k, const struct open_request *r)
{
	const struct ring *ring = keyring_ring(k);
	const struct config *c = r->config;
	struct sequence seq = { 0 };

	if (c->n_order > 0 && !r->only && !protector_was_answered(r->context)) {
		for (unsigned i = 0; i < c->n_order; i++)
			append_named(&seq, k, c->order[i].name);
		return seq;
	}
	for (unsigned i = 0; i < ring->n_order; i++)
		append_named(&seq, k, ring->order[i]);
	for (size_t i = 0; i < k->n_slots; i++)
		append(&seq, &k->slots[i]);
	return seq;
}

/* What a person gave is meant to be used, and nothing else; slots that nothing was given for are not tried. */
static bool is_asked_for(const struct stored_slot *s, const struct protector_context *context)
{
	if (s->state == ERR_SLOT_STRAY)
		return false;
	enum answer needed = s->state ? ANSWER_NONE : protector_needs(&s->slot);

	if (!protector_was_answered(context))
		return needed == ANSWER_NONE;
	return needed != ANSWER_NONE && context->answers[needed];
}

/* ---- one slot ---- */

/* The ring that a wrap belongs to, or RINGS_MAX. */
static unsigned ring_of(const struct keyring *k, const struct slot_wrap *wrap)
{
	for (unsigned i = 0; i < k->property.n_rings; i++)
		if (memcmp(k->property.rings[i].ring.epoch, wrap->epoch, EPOCH_SIZE) == 0)
			return i;
	return RINGS_MAX;
}

static enum err unwrap_ring(const struct ring *ring, const struct slot *slot, const struct secret *slot_secret,
			    const struct slot_wrap *wrap, struct secret **ret, struct err_ctx *e)
{
	struct key_scope scope = { .purpose = PURPOSE_SLOT_WRAP, .keyring = ring->uuid, .object = slot->uuid };
	_cleanup_secret_ struct secret *key = NULL;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	enum err err = crypto_unwrap(slot_secret, &scope, &wrap->key, &key, e);

	if (!err)
		err = crypto_fingerprint(key, &ring->uuid, fingerprint, e);
	if (!err && !crypto_equal32(fingerprint, ring->fingerprint))
		err = err_set(e, ERR_FINGERPRINT, "slot %s", slot->name);
	if (!err)
		*ret = TAKE(key);
	return err;
}

/* Every ring that the slot has a wrap for; the newest one must open. */
static enum err unwrap_all(const struct keyring *k, const struct slot *slot, const struct secret *slot_secret,
			   struct opening *o, struct err_ctx *e)
{
	enum err first = err_set(e, ERR_UNWRAP, "slot %s has no wrap of this keyring's key", slot->name);
	bool any = false;

	for (unsigned i = 0; i < slot->n_wraps; i++) {
		unsigned ring = ring_of(k, &slot->wraps[i]);

		if (ring == RINGS_MAX)
			continue;
		enum err err = unwrap_ring(&k->property.rings[ring].ring, slot, slot_secret, &slot->wraps[i],
					   &o->keys[ring], e);
		any = any || !err;
		first = err;
	}
	return any ? ERR_OK : first;
}

enum err opening_tell_cleared(const struct keyring *k, const struct pins *pins, const struct slot *slot,
			      struct err_ctx *e)
{
	const struct pin *pin = pins_find(pins, &slot->keyring, k->pool_guid);
	struct slot_tpm2 sealed;

	if (e->code != ERR_TPM_NOT_MINE && e->code != ERR_TPM_CLEARED)
		return e->code;
	bool ours = pin && pin->has_srk && slot_tpm2_parse(slot->protect, &sealed, NULL) == ERR_OK &&
		    memcmp(pin->srk_name, sealed.srk_name, sizeof(sealed.srk_name)) == 0;
	e->code = ours ? ERR_TPM_CLEARED : ERR_TPM_NOT_MINE;
	return e->code;
}

/* What a person gave, and what was derived from it unwraps nothing: that it is wrong is likelier than a damaged slot. */
static enum err tell_wrong_answer(const struct slot *slot, enum err err, struct err_ctx *e)
{
	switch (protector_needs(slot)) {
	case ANSWER_RECOVERY_KEY:
		return err_set(e, ERR_RECOVERY_WRONG, "it does not open the keyring's key");
	case ANSWER_PASSPHRASE:
		return err_set(e, ERR_PASSPHRASE_WRONG, "it does not open the keyring's key");
	default: /* a TPM has checked the PIN */
		return err;
	}
}

static enum err try_slot(const struct keyring *k, const struct open_request *r, const struct stored_slot *s,
			 struct deadline deadline, struct opening *o, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *slot_secret = NULL;
	const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

	if (s->state) {
		*e = s->error;
		return s->state;
	}
	if (!p)
		return err_set(e, ERR_FORMAT_NEWER, "slot %s is of type %s", s->name, s->slot.type);
	enum err err = p->open(r->context, &s->slot, deadline, &slot_secret, e);
	if (err)
		return opening_tell_cleared(k, r->pins, &s->slot, e);
	err = unwrap_all(k, &s->slot, slot_secret, o, e);
	return err ? tell_wrong_answer(&s->slot, err, e) : ERR_OK;
}

/* ---- the keyring ---- */

static void report_attempt(const struct keyring *k, const struct attempt *a)
{
	event_emit(&(struct event){
		.id = a->error.code ? EVENT_SLOT_FAILED : EVENT_KEYRING_OPENED,
		.dataset = k->dataset,
		.slot = a->slot->name,
		.slot_type = a->slot->state ? NULL : a->slot->slot.type,
		.keyring = &keyring_ring(k)->uuid,
		.generation = keyring_ring(k)->generation,
		.error = a->error.code ? &a->error : NULL,
	});
}

/* A TPM may take a second, scrypt what zseal.conf gives it. */
static void tell_progress(const struct keyring *k, const struct stored_slot *s)
{
	char what[64 + NAME_SIZE + DATASET_NAME_MAX];

	snprintf(what, sizeof(what), "trying slot %s of the keyring on %s", s->name, k->dataset);
	progress_tell(what, 0, 0);
}

static bool may_try(const struct open_request *r, const struct stored_slot *s)
{
	return r->only ? str_equal(r->only, s->name) : is_asked_for(s, r->context);
}

static bool is_remote(const struct stored_slot *s)
{
	const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

	return p && p->remote;
}

/* Something far away gets a shorter time, if this machine is to be quick and another slot may open meanwhile. */
static bool is_hedged(const struct open_request *r, const struct sequence *seq, size_t i)
{
	bool next = false;

	for (size_t j = i + 1; j < seq->n; j++)
		next = next || (may_try(r, seq->slots[j]) && !is_remote(seq->slots[j]));
	return next && r->config->hedge_ms && is_remote(seq->slots[i]);
}

/* Its own time in zseal.conf's order, else that of its kind. */
static uint64_t timeout_of(const struct config *c, const struct stored_slot *s)
{
	for (unsigned i = 0; i < c->n_order; i++)
		if (c->order[i].timeout_ms && order_names(c->order[i].name, s))
			return c->order[i].timeout_ms;
	return is_remote(s) ? c->vault.timeout_ms : c->slot_timeout_ms;
}

/* One slot. a is where its answer goes; ERR_OK also if it does not open and the next one may be tried. */
static enum err try_one(const struct keyring *k, const struct open_request *r, struct attempt *a, bool hedged,
			struct opening *o, struct err_ctx *e)
{
	uint64_t timeout_ms = timeout_of(r->config, a->slot);
	enum err err = process_interrupted(e);

	if (err)
		return err;
	if (hedged && r->config->hedge_ms < timeout_ms)
		timeout_ms = r->config->hedge_ms;
	r->context->hedged = hedged;
	err = try_slot(k, r, a->slot, deadline_in(timeout_ms), o, &a->error);
	if (!err) {
		err_clear(&a->error);
		o->slot = a->slot;
	}
	report_attempt(k, a);
	if (err_info(err)->class != CLASS_BUG && err_info(err)->class != CLASS_INTERRUPTED)
		return ERR_OK;
	*e = a->error;
	return err;
}

static enum err try_in_order(const struct keyring *k, const struct open_request *r, struct opening *o,
			     struct err_ctx *e)
{
	struct sequence seq = sequence_of(k, r);
	bool hedged[SLOTS_MAX] = { 0 };
	enum err err = ERR_OK;

	for (size_t i = 0; !err && !o->slot && i < seq.n; i++) {
		if (!may_try(r, seq.slots[i]))
			continue;
		tell_progress(k, seq.slots[i]);
		struct attempt *a = &o->attempts[o->n_attempts++];
		*a = (struct attempt){ .slot = seq.slots[i] };
		hedged[o->n_attempts - 1] = is_hedged(r, &seq, i);
		err = try_one(k, r, a, hedged[o->n_attempts - 1], o, e);
	}
	for (size_t i = 0; !err && !o->slot && i < o->n_attempts; i++)
		if (hedged[i] && err_info(o->attempts[i].error.code)->class == CLASS_UNAVAILABLE)
			err = try_one(k, r, &o->attempts[i], false, o, e);
	return err;
}

/* One that belongs to another machine, or that only a newer zseal understands, is none that should have opened. */
static bool should_have_opened(enum err err)
{
	return err && err != ERR_FORMAT_NEWER && err_info(err)->class != CLASS_NOT_MINE;
}

const struct attempt *opening_missed(const struct opening *o)
{
	for (size_t i = 0; o->slot && i < o->n_attempts && o->attempts[i].slot != o->slot; i++)
		if (should_have_opened(o->attempts[i].error.code))
			return &o->attempts[i];
	return NULL;
}

static void tell_fallback(const struct keyring *k, const struct opening *o)
{
	if (opening_missed(o))
		event_emit(&(struct event){
			.id = EVENT_OPENED_BY_FALLBACK, .dataset = k->dataset, .slot = o->slot->name,
			.slot_type = o->slot->slot.type, .keyring = &keyring_ring(k)->uuid,
		});
}

static enum err try_all(const struct keyring *k, const struct open_request *r, struct opening *o, struct err_ctx *e)
{
	enum err err = try_in_order(k, r, o, e);

	if (!err && o->slot)
		tell_fallback(k, o);
	if (err || o->slot)
		return err;
	if (o->n_attempts == 0)
		return err_set(e, ERR_NO_SLOT_OPENS, protector_was_answered(r->context)
			       ? "none of its slots (%zu) asks for what was given"
			       : "none of its slots (%zu) opens without a person", k->n_slots);
	if (o->n_attempts == 1) {
		*e = o->attempts[0].error;
		return err_wrap(e, e->code, "slot %s", o->attempts[0].slot->name);
	}
	return err_set(e, ERR_NO_SLOT_OPENS, "%zu of %zu slots tried", o->n_attempts, k->n_slots);
}

/* The MAC of the newest ring that was opened. */
static enum err check_mac(const struct keyring *k, struct opening *o, struct err_ctx *e)
{
	uint8_t mac[MAC_SIZE];
	unsigned i = o->keys[0] ? 0 : 1;
	enum err err = keyring_mac(k, i, o->keys[i], mac, e);

	if (err || crypto_equal32(mac, k->property.rings[i].mac))
		return err;
	o->mac = err_set(&o->mac_error, ERR_MAC, "keyring on %s", k->dataset);
	event_emit(&(struct event){ .id = EVENT_HEADER_SUSPECT, .dataset = k->dataset, .error = &o->mac_error });
	return ERR_OK;
}

static bool vouched_for(const struct ring *ring, const char *trust)
{
	char text[FINGERPRINT_TEXT_SIZE];

	fingerprint_print(ring->fingerprint, text);
	return str_equal(trust, text);
}

/*
 * A keyring that this machine never saw may be vouched for: by its fingerprint, or by a typed recovery key, whose holder
 * owns the pool (the fingerprint is checked against it). One that changed may not.
 */
static enum err check_pin(const struct keyring *k, const struct open_request *r, struct opening *o, struct err_ctx *e)
{
	const struct ring *ring = keyring_ring(k);
	enum err err = pins_check(r->pins, r->config, k->pool_guid, ring, e);
	if (err == ERR_PIN_ROLLBACK) {
		o->rollback = err;
		o->rollback_error = *e;
		event_emit(&(struct event){ .id = EVENT_HEADER_SUSPECT, .dataset = k->dataset, .error = e });
		return ERR_OK;
	}
	if (err == ERR_PIN_MISSING && (vouched_for(ring, r->trust) || r->context->answers[ANSWER_RECOVERY_KEY]))
		return ERR_OK;
	if (err == ERR_PIN_MISSING && r->trust)
		err_wrap(e, err, "another fingerprint was vouched for");
	return err;
}

enum err keyring_open(const struct keyring *k, const struct open_request *r, struct opening *o, struct err_ctx *e)
{
	struct err_ctx own = { 0 };
	enum err err = k->state;

	if (err)
		own = k->error;
	if (!err)
		err = check_pin(k, r, o, &own);
	if (!err)
		err = try_all(k, r, o, &own);
	if (!err)
		err = check_mac(k, o, &own);
	if (err && e)
		*e = own;
	return err_wrap(e, err, "keyring on %s", k->dataset);
}

void opening_clear(struct opening *o)
{
	for (size_t i = 0; i < RINGS_MAX; i++)
		secret_free(TAKE(o->keys[i]));
}

struct pin keyring_pin(const struct keyring *k, const struct opening *o)
{
	const struct ring *ring = keyring_ring(k);
	struct pin pin = { .pool_guid = k->pool_guid, .keyring = ring->uuid, .generation = ring->generation };
	struct slot_tpm2 sealed;

	snprintf(pin.pool, sizeof(pin.pool), "%s", k->pool);
	memcpy(pin.fingerprint, ring->fingerprint, sizeof(pin.fingerprint));
	memcpy(pin.epoch, ring->epoch, sizeof(pin.epoch));
	pin.has_srk = str_equal(o->slot->slot.type, protector_tpm2.type) &&
		      slot_tpm2_parse(o->slot->slot.protect, &sealed, NULL) == ERR_OK;
	if (pin.has_srk)
		memcpy(pin.srk_name, sealed.srk_name, sizeof(pin.srk_name));
	return pin;
}
