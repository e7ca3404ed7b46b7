/* SPDX-License-Identifier: MIT */
#include "core/unfinished.h"
#include "core/backup.h"
#include "zfs/zfs.h"

enum { LOCK_TIMEOUT_MS = 10000, READ_TIMEOUT_MS = 60000 };

void unfinished_clear(struct unfinished *u)
{
	free(u->path);
	header_copy_clear(&u->copy);
	*u = (struct unfinished){ 0 };
}

static bool was_rolled_back(const struct keyring *k, const struct pins *pins)
{
	const struct pin *pin = pins_find(pins, &keyring_ring(k)->uuid, k->pool_guid);

	return pin && pin->generation > keyring_ring(k)->generation;
}

void unfinished_find(const struct keyring *k, const struct pins *pins, struct unfinished *ret)
{
	_cleanup_(unfinished_clearp) struct unfinished *u = &(struct unfinished){ 0 };
	char uuid[UUID_TEXT_SIZE];

	if (k->state || was_rolled_back(k, pins))
		return;
	uuid_print(&keyring_ring(k)->uuid, uuid);
	if (str_format(&u->path, NULL, HEADER_PATH "/%s/%u", uuid, keyring_ring(k)->generation + 1) ||
	    header_copy_load(u->path, &u->copy, NULL))
		return;
	if (u->copy.pool_guid != k->pool_guid || !str_equal(u->copy.dataset, k->dataset))
		return;
	u->found = true;
	*ret = *u;
	*u = (struct unfinished){ 0 };
}

static const char *value_in_pool(const struct keyring *k, const char *name)
{
	for (size_t i = 0; i < k->n_slots; i++)
		if (str_equal(k->slots[i].name, name))
			return k->slots[i].value;
	return NULL;
}

/* Under the lock: another zseal that was at work on that very change may have finished it meanwhile. */
static enum err check_still_unfinished(const struct keyring *k, struct err_ctx *e)
{
	_cleanup_(zfs_properties_clearp) struct zfs_properties *now = &(struct zfs_properties){ 0 };
	const struct zfs_query q = {
		.datasets = &k->dataset, .n_datasets = 1, .properties = PROPERTY_KEYRING,
		.deadline = deadline_in(READ_TIMEOUT_MS),
	};
	enum err err = zfs_get(&q, now, e);

	if (!err && (now->n != 1 || !str_equal(now->all[0].value, k->value)))
		err = err_set(e, ERR_ZFS_RACED, "keyring on %s", k->dataset);
	return err;
}

enum err unfinished_take_back(const struct unfinished *u, const struct keyring *k, struct protector_context *context,
			      struct err_ctx *e)
{
	_cleanup_(keyring_freep) struct keyring *begun = NULL;
	_cleanup_fd_ int lock = -1;
	enum err err = header_copy_lock(&keyring_ring(k)->uuid, deadline_in(LOCK_TIMEOUT_MS), &lock, e);

	if (!err)
		err = check_still_unfinished(k, e);
	if (!err)
		err = backup_keyring(&u->copy, &begun, e);

	for (size_t i = 0; !err && i < begun->n_slots; i++) {
		const struct stored_slot *s = &begun->slots[i];
		const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

		if (p && p->withdraw && !str_equal(value_in_pool(k, s->name), s->value))
			(void)!p->withdraw(context, &s->slot, NULL);
	}
	for (size_t i = 0; !err && i < k->n_slots; i++) {
		const struct stored_slot *s = &k->slots[i];
		const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

		if (p && p->settle && !str_equal(backup_slot_value(&u->copy, s->name), s->value))
			(void)!p->settle(context, &s->slot, NULL);
	}
	return err ? err : header_copy_discard(&u->copy, e);
}
