/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include "core/backup.h"

/* ---- out of the pool ---- */

static enum err copy_slots(const struct keyring *k, struct header_copy *c, struct err_ctx *e)
{
	enum err err = ERR_OK;

	c->slots = calloc(k->n_slots + 1, sizeof(*c->slots));
	if (!c->slots)
		return err_set(e, ERR_NO_MEMORY, "room for a copy");
	for (size_t i = 0; !err && i < k->n_slots; i++) {
		struct header_copy_value *slot = &c->slots[c->n_slots];

		if (k->slots[i].state == ERR_SLOT_STRAY)
			continue;
		c->n_slots++;
		err = str_copy(k->slots[i].name, &slot->name, e);
		if (!err)
			err = str_copy(k->slots[i].value, &slot->value, e);
	}
	return err;
}

static enum err copy_records(const struct inventory *inv, const struct keyring *k, struct header_copy *c,
			     struct err_ctx *e)
{
	enum err err = ERR_OK;

	c->records = calloc(inv->n_roots + 1, sizeof(*c->records));
	if (!c->records)
		return err_set(e, ERR_NO_MEMORY, "room for a copy");
	for (size_t i = 0; !err && i < inv->n_roots; i++) {
		const struct root *root = &inv->roots[i];
		struct header_copy_value *record = &c->records[c->n_records];

		if (root->keyring != k || !root->value || root->misplaced)
			continue;
		c->n_records++;
		err = str_copy(root->dataset, &record->name, e);
		if (!err)
			err = str_copy(root->value, &record->value, e);
	}
	return err;
}

enum err backup_collect(const struct inventory *inv, const struct keyring *k, struct header_copy *ret,
			struct err_ctx *e)
{
	struct header_copy c = { .pool_guid = k->pool_guid, .saved = (uint64_t)time(NULL) };
	enum err err = str_copy(k->pool, &c.pool, e);

	if (!err)
		err = str_copy(k->dataset, &c.dataset, e);
	if (!err)
		err = str_copy(k->value, &c.keyring, e);
	if (!err)
		err = copy_slots(k, &c, e);
	if (!err)
		err = copy_records(inv, k, &c, e);
	if (err)
		header_copy_clear(&c);
	else
		*ret = c;
	return err;
}

/* Anybody to whom userprop is delegated may have written what no header holds. */
static bool is_printable(const char *value)
{
	for (; *value; value++)
		if (*value < ' ' || *value > '~')
			return false;
	return true;
}

static size_t leave_out(struct header_copy_value *values, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_printable(values[i].value) && *values[i].value) {
			values[kept++] = values[i];
			continue;
		}
		free(values[i].name);
		free(values[i].value);
	}
	return kept;
}

size_t backup_leave_out_damaged(struct header_copy *copy)
{
	size_t n = copy->n_slots + copy->n_records;

	copy->n_slots = leave_out(copy->slots, copy->n_slots);
	copy->n_records = leave_out(copy->records, copy->n_records);
	return n - copy->n_slots - copy->n_records;
}

enum err backup_keyring(const struct header_copy *copy, struct keyring **ret, struct err_ctx *e)
{
	_cleanup_(keyring_freep) struct keyring *k = NULL;
	enum err err = keyring_new(copy->dataset, copy->keyring, &k, e);

	for (size_t i = 0; !err && i < copy->n_slots; i++)
		err = keyring_add_slot(k, copy->slots[i].name, copy->slots[i].value, e);
	if (err)
		return err;
	k->pool = copy->pool;
	k->pool_guid = copy->pool_guid;
	*ret = TAKE(k);
	return ERR_OK;
}

/* ---- comparing ---- */

const char *backup_slot_value(const struct header_copy *c, const char *name)
{
	for (size_t i = 0; i < c->n_slots; i++)
		if (str_equal(c->slots[i].name, name))
			return c->slots[i].value;
	return NULL;
}

static const char *record_value(const struct header_copy *c, const char *dataset)
{
	for (size_t i = 0; i < c->n_records; i++)
		if (str_equal(c->records[i].name, dataset))
			return c->records[i].value;
	return NULL;
}

struct comparison {
	difference_fn tell;
	void *arg;
	unsigned n;
};

static void compare(struct comparison *cmp, const char *dataset, const char *property, const char *here,
		    const char *copy)
{
	enum difference d = !here && copy ? DIFFERENCE_MISSING : here && !copy ? DIFFERENCE_EXTRA : DIFFERENCE_CHANGED;

	if (str_equal(here, copy) || (!here && !copy))
		return;
	cmp->n++;
	cmp->tell(cmp->arg, dataset, property, d);
}

unsigned backup_compare(const struct header_copy *here, const struct header_copy *copy, difference_fn tell, void *arg)
{
	struct comparison cmp = { .tell = tell, .arg = arg };
	char property[sizeof(PROPERTY_SLOT_PREFIX) + NAME_SIZE];

	compare(&cmp, copy->dataset, PROPERTY_KEYRING, here->keyring, copy->keyring);
	for (size_t i = 0; i < copy->n_slots; i++) {
		snprintf(property, sizeof(property), PROPERTY_SLOT_PREFIX "%s", copy->slots[i].name);
		compare(&cmp, copy->dataset, property, backup_slot_value(here, copy->slots[i].name), copy->slots[i].value);
	}
	for (size_t i = 0; i < here->n_slots; i++) {
		snprintf(property, sizeof(property), PROPERTY_SLOT_PREFIX "%s", here->slots[i].name);
		if (!backup_slot_value(copy, here->slots[i].name))
			compare(&cmp, copy->dataset, property, here->slots[i].value, NULL);
	}
	for (size_t i = 0; i < copy->n_records; i++)
		compare(&cmp, copy->records[i].name, PROPERTY_KEY, record_value(here, copy->records[i].name),
			copy->records[i].value);
	for (size_t i = 0; i < here->n_records; i++)
		if (!record_value(copy, here->records[i].name))
			compare(&cmp, here->records[i].name, PROPERTY_KEY, here->records[i].value, NULL);
	return cmp.n;
}
