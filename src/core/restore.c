/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/restore.h"
#include "event/event.h"
#include "event/progress.h"
#include "sys/process.h"

void restore_report_clear(struct restore_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->lines[i].dataset);
	free(r->lines);
	*r = (struct restore_report){ 0 };
}

struct restoring {
	const struct restore_request *request;
	const struct keyring *keyring;
	const struct opening *opening;
	struct zfs *zfs;
	struct restore_report *report;
};

static enum err prove(void *arg, const struct root *root, const struct secret *key, struct err_ctx *e)
{
	return zfs_prove_key(arg, root->dataset, key, e);
}

/* The local value of one property of one dataset as it is now; *ret is the caller's, NULL if there is none. */
static enum err read_local(const char *dataset, const char *property, char **ret, struct err_ctx *e)
{
	_cleanup_(zfs_properties_clearp) struct zfs_properties *all = &(struct zfs_properties){ 0 };
	const struct zfs_query q = {
		.datasets = &dataset, .n_datasets = 1, .properties = property, .deadline = deadline_in(60000),
	};
	enum err err = zfs_get(&q, all, e);

	if (!err && all->n == 1 && str_equal(all->all[0].source, "local"))
		err = str_copy(all->all[0].value, ret, e);
	return err;
}

static enum err write_record(struct restoring *s, const struct header_copy_value *record, struct restore_line *line,
			     struct err_ctx *e)
{
	_cleanup_free_ char *now = NULL;
	const struct zfs_change change = { PROPERTY_KEY, record->value };
	enum err err = read_local(record->name, PROPERTY_KEY, &now, e);

	if (err || str_equal(now, record->value))
		return err;
	const struct zfs_write write = {
		.dataset = record->name, .expect_name = PROPERTY_KEY, .expect_value = now,
		.changes = &change, .n_changes = 1,
	};
	if (!s->request->dry_run)
		err = zfs_write_properties(s->zfs, &write, e);
	line->written = !err;
	return err;
}

static enum err restore_record(struct restoring *s, const struct header_copy_value *record, struct restore_line *line)
{
	struct root root = { .dataset = record->name, .keyring = (struct keyring *)s->keyring };
	struct err_ctx *e = &line->error;
	enum err err = records_parse(record->value, &root.records, e);

	if (!err)
		err = root_with_key(&root, s->opening, prove, s->zfs, e);
	line->proven = !err;
	if (!err && s->request->write)
		err = write_record(s, record, line, e);
	if (!err)
		err_clear(e);
	return err;
}

static enum err restore_records(struct restoring *s, struct err_ctx *e)
{
	const struct header_copy *copy = s->request->copy;
	struct restore_report *report = s->report;
	enum err err = ERR_OK;

	report->lines = calloc(copy->n_records + 1, sizeof(*report->lines));
	if (!report->lines)
		return err_set(e, ERR_NO_MEMORY, "room for a report");
	for (size_t i = 0; !err && i < copy->n_records; i++) {
		struct restore_line *line = &report->lines[report->n++];

		progress_tell("proving key records", i, copy->n_records);
		err = process_interrupted(e);
		if (!err)
			err = str_copy(copy->records[i].name, &line->dataset, e);
		if (!err && restore_record(s, &copy->records[i], line))
			report->n_failed++;
	}
	return err;
}

static const char *local_value(const struct zfs_properties *now, const char *name)
{
	for (size_t i = 0; i < now->n; i++)
		if (str_equal(now->all[i].name, name) && str_equal(now->all[i].source, "local"))
			return now->all[i].value;
	return NULL;
}

struct change_list {
	size_t n;
	struct zfs_change *changes;
	char *names;
};

static void change_list_clear(struct change_list *l)
{
	free(l->changes);
	free(l->names);
}
DEFINE_CLEANUP(struct change_list *, change_list_clear)

/* What differs is set, and slots that the copy does not know are removed: the MAC covers them all. */
static enum err list_changes(const struct header_copy *copy, const struct zfs_properties *now, struct change_list *l,
			     struct err_ctx *e)
{
	const size_t size = sizeof(PROPERTY_SLOT_PREFIX) + NAME_SIZE, prefix = strlen(PROPERTY_SLOT_PREFIX);

	l->changes = calloc(1 + copy->n_slots + now->n, sizeof(*l->changes));
	l->names = calloc(copy->n_slots + 1, size);
	if (!l->changes || !l->names)
		return err_set(e, ERR_NO_MEMORY, "room for the changes");
	if (!str_equal(local_value(now, PROPERTY_KEYRING), copy->keyring))
		l->changes[l->n++] = (struct zfs_change){ PROPERTY_KEYRING, copy->keyring };
	for (size_t i = 0; i < copy->n_slots; i++) {
		char *name = l->names + i * size;

		snprintf(name, size, PROPERTY_SLOT_PREFIX "%s", copy->slots[i].name);
		if (!str_equal(local_value(now, name), copy->slots[i].value))
			l->changes[l->n++] = (struct zfs_change){ name, copy->slots[i].value };
	}
	for (size_t i = 0; i < now->n; i++)
		if (strncmp(now->all[i].name, PROPERTY_SLOT_PREFIX, prefix) == 0 &&
		    str_equal(now->all[i].source, "local") && !backup_slot_value(copy, now->all[i].name + prefix))
			l->changes[l->n++] = (struct zfs_change){ now->all[i].name, NULL };
	return ERR_OK;
}

static enum err write_keyring(struct restoring *s, struct err_ctx *e)
{
	_cleanup_(zfs_properties_clearp) struct zfs_properties *now = &(struct zfs_properties){ 0 };
	_cleanup_(change_list_clearp) struct change_list *l = &(struct change_list){ 0 };
	const char *dataset = s->request->copy->dataset;
	const struct zfs_query q = {
		.datasets = &dataset, .n_datasets = 1, .properties = PROPERTY_KEYRING "," PROPERTY_SLOT_PREFIX "*",
		.deadline = deadline_in(60000),
	};
	enum err err = zfs_get(&q, now, e);

	if (!err)
		err = list_changes(s->request->copy, now, l, e);
	if (err || l->n == 0 || s->request->dry_run)
		return err;
	const struct zfs_write write = {
		.dataset = dataset, .expect_name = PROPERTY_KEYRING, .expect_value = local_value(now, PROPERTY_KEYRING),
		.changes = l->changes, .n_changes = l->n,
	};
	err = zfs_write_properties(s->zfs, &write, e);
	if (!err)
		event_emit(&(struct event){ .id = EVENT_HEADER_RESTORED, .dataset = dataset,
					    .keyring = &keyring_ring(s->keyring)->uuid,
					    .generation = keyring_ring(s->keyring)->generation });
	return err;
}

/* Refuses a copy that this machine, or the pool in a header that is whole, has a later generation of. */
static enum err check_newest(const struct restoring *s, struct err_ctx *e)
{
	const struct keyring *here = s->request->here;
	const struct ring *ring = keyring_ring(s->keyring);
	uint8_t mac[MAC_SIZE];

	if (s->opening->rollback)
		return (*e = s->opening->rollback_error).code;
	if (s->request->write && here && here->state == ERR_FORMAT_NEWER)
		return err_wrap(e, (*e = here->error).code, "keyring on %s", here->dataset);
	if (!s->request->write || !here || here->state || !uuid_equal(&keyring_ring(here)->uuid, &ring->uuid) ||
	    keyring_ring(here)->generation <= ring->generation || !s->opening->keys[0])
		return ERR_OK;
	enum err err = keyring_mac(here, 0, s->opening->keys[0], mac, e);
	if (!err && crypto_equal32(mac, here->property.rings[0].mac))
		err = err_set(e, ERR_PIN_ROLLBACK, "the copy has generation %u, the pool %u", ring->generation,
			      keyring_ring(here)->generation);
	return err;
}

static enum err prove_all(struct restoring *s, struct err_ctx *e)
{
	enum err err = s->opening->mac;

	if (err)
		*e = s->opening->mac_error;
	if (!err)
		err = check_newest(s, e);
	if (!err)
		err = zfs_open(&s->zfs, e);
	if (!err)
		err = restore_records(s, e);
	if (!err && s->request->moved && s->report->n == s->report->n_failed)
		err = err_set(e, ERR_NO_COPY, "the copy is not of %s: nothing there opens by it",
			      s->request->copy->dataset);
	if (!err && s->request->write && (s->report->n == 0 || s->report->n_failed < s->report->n))
		err = write_keyring(s, e);
	if (!err && s->report->n_failed > 0)
		err = err_set(e, ERR_PARTIAL, "%zu of %zu records", s->report->n_failed, s->report->n);
	return err;
}

static void note_tried(const struct opening *o, struct restore_report *ret)
{
	for (size_t i = 0; i < o->n_attempts; i++) {
		struct restore_tried *t = &ret->tried[ret->n_tried];

		if (!o->attempts[i].error.code)
			continue;
		snprintf(t->slot, sizeof(t->slot), "%s", o->attempts[i].slot->name);
		t->error = o->attempts[i].error;
		ret->n_tried++;
	}
}

enum err restore_prove(const struct restore_request *r, struct restore_report *ret, struct err_ctx *e)
{
	_cleanup_(keyring_freep) struct keyring *k = NULL;
	_cleanup_(opening_clearp) struct opening *o = &(struct opening){ 0 };
	struct restoring s = { .request = r, .opening = o, .report = ret };
	enum err err = backup_keyring(r->copy, &k, e);

	if (err)
		return err;
	/* the copy is opened as the pool's keyring: what this machine remembers of that one must hold for it too */
	k->pool_guid = r->pool_guid;
	s.keyring = k;
	err = keyring_open(k, &r->open, o, e);
	note_tried(o, ret);
	if (!err) {
		snprintf(ret->slot, sizeof(ret->slot), "%s", o->slot->name);
		err = prove_all(&s, e);
	}
	zfs_close(s.zfs);
	return err;
}
