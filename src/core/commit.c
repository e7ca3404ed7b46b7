/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include "core/commit.h"
#include "core/copies.h"
#include "core/tested.h"
#include "event/event.h"
#include "sys/process.h"
#include "zfs/zfs.h"

enum { LOCK_TIMEOUT_MS = 10000, READ_TIMEOUT_MS = 60000, CHANGES_MAX = 3 * SLOTS_MAX };

/* What is to be written, and what would undo it. Strings are the request's. */
struct change_list {
	size_t n;
	struct zfs_change changes[CHANGES_MAX];
	char names[CHANGES_MAX][sizeof(PROPERTY_SLOT_PREFIX) + NAME_SIZE];
};

static const struct stored_slot *slot_before(const struct commit_request *r, const char *name)
{
	for (size_t i = 0; r->before && i < r->before->n_slots; i++)
		if (str_equal(r->before->slots[i].name, name))
			return &r->before->slots[i];
	return NULL;
}

/* Another slot of that name, or none, shall be there. */
static bool goes(const struct commit_request *r, const struct stored_slot *before)
{
	const struct draft_slot *after = draft_find_slot(r->draft, before->name);

	return !after || after->is_new;
}

/* Slots on the dataset that are not this keyring's are left alone. */
static bool is_of_keyring(const struct commit_request *r, const struct stored_slot *s)
{
	return stored_slot_is_of(s, &r->draft->ring.uuid);
}

static void add_slot(struct change_list *l, const char *name, const char *value)
{
	char *property = l->names[l->n];

	snprintf(property, sizeof(l->names[0]), PROPERTY_SLOT_PREFIX "%s", name);
	l->changes[l->n++] = (struct zfs_change){ property, value };
}

/* Slots first: should the pool be full between two of them, the old keyring still says which ones count. */
static void list_changes(const struct commit_request *r, struct change_list *l)
{
	const struct draft *d = r->draft;

	for (unsigned i = 0; i < d->n_slots; i++) {
		const struct stored_slot *before = slot_before(r, d->slots[i].slot.name);

		/* a received value stays behind when a local zseal:keyring masks the received one */
		if (!before || r->before->received || !str_equal(before->value, d->slots[i].value))
			add_slot(l, d->slots[i].slot.name, d->slots[i].value);
	}
	for (size_t i = 0; r->before && i < r->before->n_slots; i++) {
		const struct stored_slot *s = &r->before->slots[i];

		if (is_of_keyring(r, s) && !draft_find_slot(r->draft, s->name))
			add_slot(l, s->name, NULL);
	}
	for (size_t i = 0; i < r->n_also; i++)
		l->changes[l->n++] = r->also[i];
	l->changes[l->n++] = (struct zfs_change){ PROPERTY_KEYRING, d->value };
}

static enum err write_list(const struct commit_request *r, const struct change_list *l, struct err_ctx *e)
{
	const struct zfs_write write = {
		.dataset = r->dataset, .expect_name = PROPERTY_KEYRING,
		.expect_value = r->before ? r->before->value : NULL, .changes = l->changes, .n_changes = l->n,
	};

	return zfs_write_properties(r->zfs, &write, e);
}

/* ---- reading back ---- */

static const char *value_of(const struct zfs_properties *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (str_equal(all->all[i].name, name) && !all->all[i].inherited && !str_equal(all->all[i].value, "-"))
			return all->all[i].value;
	return NULL;
}

enum written { WRITTEN_NOTHING, WRITTEN_ALL, WRITTEN_PART };

/* How much of a list the dataset has. A value to be removed that was received shows again: that is as good. */
static enum err compare_list(const struct commit_request *r, const struct change_list *l, enum written *ret,
			     struct err_ctx *e)
{
	_cleanup_(zfs_properties_clearp) struct zfs_properties *all = &(struct zfs_properties){ 0 };
	const struct zfs_query q = {
		.datasets = &r->dataset, .n_datasets = 1, .deadline = deadline_in(READ_TIMEOUT_MS),
		.properties = PROPERTY_KEYRING "," PROPERTY_KEY "," PROPERTY_SLOT_PREFIX "*",
	};
	size_t n_right = 0, n_old = 0;
	enum err err = zfs_get(&q, all, e);

	for (size_t i = 0; !err && i < l->n; i++) {
		const struct zfs_change *c = &l->changes[i];
		const char *now = value_of(all, c->name);

		if (str_equal(now, c->value) || (!c->value && (!now || (r->before && r->before->received))))
			n_right++;
		else
			n_old++;
	}
	*ret = n_old == 0 ? WRITTEN_ALL : n_right == 0 ? WRITTEN_NOTHING : WRITTEN_PART;
	return err;
}

/* The keyring's own property decides; slots that only a half of a change had set or removed get their old values. */
static enum err put_back(const struct commit_request *r, struct err_ctx *e)
{
	struct change_list back = { 0 };
	const struct draft *d = r->draft;

	for (unsigned i = 0; i < d->n_slots; i++)
		if (!slot_before(r, d->slots[i].slot.name))
			add_slot(&back, d->slots[i].slot.name, NULL);
	for (size_t i = 0; r->before && i < r->before->n_slots; i++)
		if (is_of_keyring(r, &r->before->slots[i]))
			add_slot(&back, r->before->slots[i].name, r->before->slots[i].value);
	return write_list(r, &back, e);
}

/* Nobody knows what is in the pool: then nothing is taken back. */
static enum err unfinished(struct err_ctx *e, const char *what)
{
	if (e)
		e->code = ERR_UNFINISHED;
	return err_wrap(e, ERR_UNFINISHED, "%s", what);
}

/*
 * A write that failed: ZFS may have made a part of it all the same (a pool that became full), or all of it (an answer
 * that was lost). What is on disk decides. Returns ERR_OK if all of it is there.
 */
static enum err settle_failure(const struct commit_request *r, const struct change_list *l, enum err why,
			       struct err_ctx *e)
{
	enum written written;

	if (why == ERR_ZFS_RACED)
		return why;
	if (compare_list(r, l, &written, NULL))
		return unfinished(e, "whether it was written is not known");
	if (written == WRITTEN_ALL)
		return ERR_OK;
	if (written == WRITTEN_PART && put_back(r, NULL))
		return unfinished(e, "a part of it was written and could not be taken back");
	return why;
}

/* After a write that succeeded: whatever is found now, it was in the pool, and others may have built on it. */
static enum err read_back(const struct commit_request *r, const struct change_list *l, struct err_ctx *e)
{
	enum written written;

	if (compare_list(r, l, &written, e))
		return unfinished(e, "it was written, but could not be read back");
	if (written != WRITTEN_ALL)
		return err_set(e, ERR_UNFINISHED, "it was written, and %s has another header again", r->dataset);
	return ERR_OK;
}

static enum err write_and_read_back(const struct commit_request *r, struct err_ctx *e)
{
	struct change_list *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, ERR_NO_MEMORY, "room for the changes");
	list_changes(r, l);
	enum err err = write_list(r, l, e);
	err = err ? settle_failure(r, l, err, e) : read_back(r, l, e);
	free(l);
	return err;
}

/* ---- outside of the pool ---- */

static enum err save_copy(const struct commit_request *r, struct header_copy *copy, char **ret_path, struct err_ctx *e)
{
	struct header_copy_value slots[SLOTS_MAX];
	struct header_copy_saved saved = { 0 };
	const struct draft *d = r->draft;

	*copy = (struct header_copy){
		.pool = (char *)r->pool, .pool_guid = r->pool_guid, .dataset = (char *)r->dataset,
		.saved = (uint64_t)time(NULL), .keyring = d->value, .n_slots = d->n_slots, .slots = slots,
		.n_records = r->n_records, .records = (struct header_copy_value *)r->records,
	};
	for (unsigned i = 0; i < d->n_slots; i++)
		slots[i] = (struct header_copy_value){ (char *)d->slots[i].slot.name, d->slots[i].value };
	enum err err = header_copy_save(copy, &saved, e);
	copy->slots = NULL;
	copy->n_slots = 0;
	free(saved.kept);
	*ret_path = saved.path;
	return err;
}

/* Objects of slots that go make room for those that come at the same handle. */
static void withdraw_outgoing(const struct commit_request *r, struct commit_result *ret)
{
	for (size_t i = 0; r->before && i < r->before->n_slots; i++) {
		const struct stored_slot *s = &r->before->slots[i];
		const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

		if (p && p->withdraw && is_of_keyring(r, s) && goes(r, s) && p->withdraw(r->context, &s->slot, NULL))
			ret->left[ret->n_left++] = &s->slot;
	}
}

/* Not before the pool has let go of them: until then they have to open. */
static void forget_outgoing(const struct commit_request *r, struct commit_result *ret)
{
	for (size_t i = 0; r->before && i < r->before->n_slots; i++) {
		const struct stored_slot *s = &r->before->slots[i];
		const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

		if (p && p->forget && is_of_keyring(r, s) && goes(r, s) && p->forget(r->context, &s->slot, NULL))
			ret->left[ret->n_left++] = &s->slot;
	}
}

/* After a failure: the object of a slot that stays is put where it was. */
static void settle_outgoing(const struct commit_request *r)
{
	for (size_t i = 0; r->before && i < r->before->n_slots; i++) {
		const struct stored_slot *s = &r->before->slots[i];
		const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

		if (p && p->settle && is_of_keyring(r, s) && goes(r, s))
			(void)!p->settle(r->context, &s->slot, NULL);
	}
}

static enum err remember(const struct commit_request *r, uint64_t pool_guid, struct err_ctx *e)
{
	const struct ring *ring = &r->draft->ring;
	struct pin pin = { .pool_guid = pool_guid, .keyring = ring->uuid, .generation = ring->generation };

	snprintf(pin.pool, sizeof(pin.pool), "%s", r->pool);
	memcpy(pin.fingerprint, ring->fingerprint, sizeof(pin.fingerprint));
	memcpy(pin.epoch, ring->epoch, sizeof(pin.epoch));
	for (unsigned i = 0; i < r->draft->n_slots; i++) {
		const struct draft_slot *s = &r->draft->slots[i];
		struct slot_tpm2 sealed;

		if (!s->is_new || !str_equal(s->slot.type, protector_tpm2.type) ||
		    slot_tpm2_parse(s->slot.protect, &sealed, NULL))
			continue;
		pin.has_srk = true;
		memcpy(pin.srk_name, sealed.srk_name, sizeof(pin.srk_name));
	}
	return pins_remember(&pin, e);
}

static void emit(const struct commit_request *r, enum event_id id, const char *name, const char *type)
{
	event_emit(&(struct event){
		.id = id, .dataset = r->dataset, .slot = name, .slot_type = type,
		.keyring = &r->draft->ring.uuid, .generation = r->draft->ring.generation,
	});
}

static enum err note_slots(const struct commit_request *r, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (unsigned i = 0; !err && i < r->draft->n_slots; i++) {
		const struct slot *s = &r->draft->slots[i].slot;

		if (!r->draft->slots[i].is_new)
			continue;
		emit(r, EVENT_SLOT_SEALED, s->name, s->type);
		if (protector_needs(s) != ANSWER_RECOVERY_KEY || r->recovery_confirmed)
			err = tested_now(&s->uuid, e);
	}
	for (size_t i = 0; r->before && i < r->before->n_slots; i++) {
		const struct stored_slot *s = &r->before->slots[i];

		if (is_of_keyring(r, s) && !draft_find_slot(r->draft, s->name))
			emit(r, EVENT_SLOT_REMOVED, s->name, s->state ? NULL : s->slot.type);
	}
	return err;
}

/* ---- all of it ---- */

/* Leaves nothing that is not in the pool, except after ERR_UNFINISHED, when nobody knows what is. */
static void take_back(const struct commit_request *r, const struct header_copy *copy)
{
	draft_withdraw(r->draft, r->context);
	settle_outgoing(r);
	(void)!header_copy_discard(copy, NULL);
	if (!r->before)
		(void)!pins_forget(&r->draft->ring.uuid, 0, NULL);
}

/*
 * A new keyring is known to this machine before it is in the pool: else a crash between the two would leave one that is
 * there and that nobody trusts. Without a pool's GUID nothing expects it, should it never get there.
 */
static enum err announce(const struct commit_request *r, struct err_ctx *e)
{
	return r->before ? ERR_OK : remember(r, 0, e);
}

static enum err write_all(const struct commit_request *r, struct commit_result *ret, struct err_ctx *e)
{
	struct header_copy copy;
	enum err err = save_copy(r, &copy, &ret->copy, e);

	if (err)
		return err;
	withdraw_outgoing(r, ret);
	err = announce(r, e);
	if (!err)
		err = draft_settle(r->draft, r->context, e);
	if (!err)
		err = write_and_read_back(r, e);
	if (err && err != ERR_UNFINISHED)
		take_back(r, &copy);
	if (err)
		return err_wrap(e, err, "writing the header of %s", r->dataset);
	ret->generation = r->draft->ring.generation;
	forget_outgoing(r, ret);
	err = remember(r, r->pool_guid, e);
	if (!err)
		err = note_slots(r, e);
	return err_wrap(e, err, "the header of %s is written, but not everything about it could be noted", r->dataset);
}

enum err commit_header(const struct commit_request *r, struct commit_result *ret, struct err_ctx *e)
{
	struct commit_result result = { 0 };
	_cleanup_fd_ int lock = -1;
	enum err err = process_interrupted(e);

	if (!err)
		err = header_copy_lock(&r->draft->ring.uuid, deadline_in(LOCK_TIMEOUT_MS), &lock, e);
	if (err)
		return err;
	process_signals_hold();
	err = write_all(r, &result, e);
	process_signals_release();
	if (err)
		free(result.copy);
	else
		*ret = result;
	return err;
}
