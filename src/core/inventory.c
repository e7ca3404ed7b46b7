/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/inventory.h"
#include "event/progress.h"

/* Reading can take long where tens of thousands of datasets are; a pool that hangs must not hang us. */
enum { READ_TIMEOUT_MS = 60000 };

#define ROOT_PROPERTIES "encryptionroot,keystatus,keyformat,keylocation,encryption," PROPERTY_KEYRING "," PROPERTY_KEY

bool dataset_is_below(const char *dataset, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(dataset, folder, n) == 0 && (dataset[n] == '\0' || dataset[n] == '/');
}

/* The lines of one dataset, one for each property asked for. */
struct dataset_lines {
	const struct zfs_property *root, *status, *format, *location, *encryption, *keyring, *key;
};

static void take_line(struct dataset_lines *d, const struct zfs_property *p)
{
	const struct {
		const char *name;
		const struct zfs_property **place;
	} places[] = {
		{ "encryptionroot", &d->root }, { "keystatus", &d->status }, { "keyformat", &d->format },
		{ "keylocation", &d->location }, { "encryption", &d->encryption },
		{ PROPERTY_KEYRING, &d->keyring }, { PROPERTY_KEY, &d->key },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (str_equal(p->name, places[i].name))
			*places[i].place = p;
}

/* Takes the lines of the dataset that begins at *at, and moves *at behind them. */
static struct dataset_lines next_dataset(const struct zfs_properties *all, size_t *at)
{
	struct dataset_lines d = { 0 };
	const char *name = all->all[*at].dataset;

	for (; *at < all->n && str_equal(all->all[*at].dataset, name); (*at)++)
		take_line(&d, &all->all[*at]);
	return d;
}

static bool is_set(const struct zfs_property *p)
{
	return p && !str_equal(p->value, "-");
}

/* The dataset that a property was set on. */
static const char *set_on(const struct zfs_property *p)
{
	return p->inherited ? p->source : p->dataset;
}

/* ---- keyrings ---- */

/*
 * A slot counts only if it has the same source as its keyring's property: a local value masks a received one, and half of
 * a header from here with half of one from a stream is neither.
 */
static enum err add_slots(struct keyring *k, const struct zfs_properties *all, const char *source, struct err_ctx *e)
{
	const size_t prefix = strlen(PROPERTY_SLOT_PREFIX);
	enum err err = ERR_OK;

	for (size_t i = 0; !err && i < all->n; i++) {
		const struct zfs_property *p = &all->all[i];

		if (strncmp(p->name, PROPERTY_SLOT_PREFIX, prefix) == 0 && str_equal(p->source, source))
			err = keyring_add_slot(k, p->name + prefix, p->value, e);
	}
	return err;
}

static const struct zfs_property *find_own(const struct zfs_properties *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (str_equal(all->all[i].name, name) && !all->all[i].inherited)
			return &all->all[i];
	return NULL;
}

/* Reads one dataset's keyring and slots, whose names are free. *all is the caller's to clear. */
static enum err read_once(const char *dataset, struct zfs_properties *all, struct keyring **ret, struct err_ctx *e)
{
	const struct zfs_query q = {
		.datasets = &dataset, .n_datasets = 1, .properties = PROPERTY_KEYRING "," PROPERTY_SLOT_PREFIX "*",
		.deadline = deadline_in(READ_TIMEOUT_MS),
	};
	enum err err = zfs_get(&q, all, e);
	const struct zfs_property *own = err ? NULL : find_own(all, PROPERTY_KEYRING);

	if (!err && !own)
		return err_set(e, ERR_ZFS_RACED, "%s lost its keyring meanwhile", dataset);
	if (!err)
		err = keyring_new(dataset, own->value, ret, e);
	if (!err)
		(*ret)->received = str_equal(own->source, "received");
	if (!err)
		err = add_slots(*ret, all, own->source, e);
	return err;
}

/* A keyring that is whole names all of its slots. */
static bool lacks_slot(const struct keyring *k)
{
	for (unsigned i = 0; !k->state && i < keyring_ring(k)->n_order; i++) {
		size_t j = 0;

		while (j < k->n_slots && !str_equal(k->slots[j].name, keyring_ring(k)->order[i]))
			j++;
		if (j == k->n_slots)
			return true;
	}
	return false;
}

/* Names are read before values: a slot that was added between the two would look like one that somebody took away. */
static enum err read_keyring(const char *dataset, struct zfs_properties *all, struct keyring **ret, struct err_ctx *e)
{
	enum { TRIES = 3 };
	enum err err = read_once(dataset, all, ret, e);

	for (int i = 1; !err && i < TRIES && lacks_slot(*ret); i++) {
		keyring_free(TAKE(*ret));
		zfs_properties_clear(all);
		err = read_once(dataset, all, ret, e);
	}
	return err;
}

static struct keyring *find_keyring(const struct inventory *inv, const char *dataset)
{
	for (size_t i = 0; i < inv->n_keyrings; i++)
		if (str_equal(inv->keyrings[i]->dataset, dataset))
			return inv->keyrings[i];
	return NULL;
}

/* Makes room for one keyring more. */
static enum err grow_keyrings(struct inventory *inv, struct err_ctx *e)
{
	struct keyring **k = reallocarray(inv->keyrings, inv->n_keyrings + 1, sizeof(struct keyring *));
	struct zfs_properties *p = reallocarray(inv->keyring_properties, inv->n_keyrings + 1, sizeof(*p));

	if (k)
		inv->keyrings = k;
	if (p)
		inv->keyring_properties = p;
	return k && p ? ERR_OK : err_set(e, ERR_NO_MEMORY, "room for a keyring");
}

static enum err make_keyring(struct inventory *inv, const char *dataset, struct keyring **ret, struct err_ctx *e)
{
	_cleanup_(zfs_properties_clearp) struct zfs_properties *all = &(struct zfs_properties){ 0 };
	_cleanup_(keyring_freep) struct keyring *k = NULL;
	const struct zfs_pool *pool = zfs_pools_find(&inv->pools, dataset);
	enum err err = grow_keyrings(inv, e);

	if (!err && !pool)
		err = err_set(e, ERR_ZFS_NOT_FOUND, "the pool of %s is no longer imported", dataset);
	if (!err)
		err = read_keyring(dataset, all, &k, e);
	if (err)
		return err;
	k->pool = pool->name;
	k->pool_guid = pool->guid;
	k->readonly = pool->readonly;
	inv->keyring_properties[inv->n_keyrings] = *all;
	*all = (struct zfs_properties){ 0 };
	*ret = inv->keyrings[inv->n_keyrings++] = TAKE(k);
	return ERR_OK;
}

static enum err keyring_of(struct inventory *inv, const char *dataset, struct keyring **ret, struct err_ctx *e)
{
	struct keyring *k = find_keyring(inv, dataset);

	if (!k)
		return make_keyring(inv, dataset, ret, e);
	*ret = k;
	return ERR_OK;
}

/* ---- roots ---- */

static void read_records(struct root *r, const struct zfs_property *key)
{
	if (!is_set(key)) {
		r->state = err_set(&r->error, ERR_NO_RECORD, "%s", r->dataset);
		return;
	}
	r->misplaced = key->inherited;
	r->value = key->value;
	if (r->misplaced)
		r->state = err_set(&r->error, ERR_NO_RECORD, "%s has only the record of %s", r->dataset, key->source);
	else
		r->state = err_wrap(&r->error, records_parse(key->value, &r->records, &r->error), PROPERTY_KEY " on %s",
				    r->dataset);
}

static enum err add_root(struct inventory *inv, const struct dataset_lines *d, struct err_ctx *e)
{
	struct root r = {
		.dataset = d->root->dataset,
		.locked = d->status && str_equal(d->status->value, "unavailable"),
		.raw = d->format && str_equal(d->format->value, "raw"),
		.location = d->location ? d->location->value : "-",
		.encryption = d->encryption ? d->encryption->value : "-",
	};
	enum err err = ERR_OK;

	if (is_set(d->keyring))
		err = keyring_of(inv, set_on(d->keyring), &r.keyring, e);
	if (err)
		return err;
	read_records(&r, d->key);
	/* doubling, so that ten thousand roots cost no more than their number */
	if ((inv->n_roots & (inv->n_roots - 1)) == 0) {
		size_t room = inv->n_roots ? 2 * inv->n_roots : 1;
		struct root *more = reallocarray(inv->roots, room, sizeof(*more));

		if (!more)
			return err_set(e, ERR_NO_MEMORY, "room for an encryption root");
		inv->roots = more;
	}
	inv->roots[inv->n_roots++] = r;
	return ERR_OK;
}

static bool has_root_below(const struct inventory *inv, const char *dataset)
{
	for (size_t i = 0; i < inv->n_roots; i++)
		if (dataset_is_below(inv->roots[i].dataset, dataset))
			return true;
	return false;
}

/* A dataset that was named must be, or hold, an encryption root. */
static enum err check_named(const struct inventory *inv, const char *dataset, struct err_ctx *e)
{
	if (has_root_below(inv, dataset))
		return ERR_OK;
	for (size_t at = 0; at < inv->properties.n;) {
		const char *name = inv->properties.all[at].dataset;
		struct dataset_lines d = next_dataset(&inv->properties, &at);

		if (str_equal(name, dataset) && is_set(d.root))
			return err_set(e, ERR_ZFS_NOT_ROOT, "%s belongs to %s", dataset, d.root->value);
	}
	return err_set(e, ERR_ZFS_NOT_ENCRYPTED, "%s", dataset);
}

static enum err fill(struct inventory *inv, const char *const *datasets, size_t n_datasets, struct err_ctx *e)
{
	const struct zfs_query q = {
		.datasets = datasets, .n_datasets = n_datasets, .properties = ROOT_PROPERTIES, .recursive = true,
		.deadline = deadline_in(READ_TIMEOUT_MS),
	};
	enum err err = zfs_pools_get(q.deadline, &inv->pools, e);

	if (err || inv->pools.n + n_datasets == 0)
		return err;
	err = zfs_get(&q, &inv->properties, e);
	for (size_t at = 0; !err && at < inv->properties.n;) {
		const char *name = inv->properties.all[at].dataset;
		struct dataset_lines d = next_dataset(&inv->properties, &at);

		if (is_set(d.root) && str_equal(d.root->value, name))
			err = add_root(inv, &d, e);
	}
	for (size_t i = 0; !err && i < n_datasets; i++)
		err = check_named(inv, datasets[i], e);
	return err;
}

enum err inventory_load(const char *const *datasets, size_t n_datasets, struct inventory *ret, struct err_ctx *e)
{
	struct inventory inv = { 0 };

	for (size_t i = 0; i < n_datasets; i++)
		if (!zfs_name_is_valid(datasets[i]))
			return err_set(e, ERR_USAGE, "'%.64s' is no dataset's name", datasets[i]);
	progress_tell("asking ZFS what there is", 0, 0);
	enum err err = fill(&inv, datasets, n_datasets, e);
	if (err) {
		inventory_clear(&inv);
		return err;
	}
	*ret = inv;
	return ERR_OK;
}

void inventory_clear(struct inventory *inv)
{
	for (size_t i = 0; i < inv->n_keyrings; i++) {
		keyring_free(inv->keyrings[i]);
		zfs_properties_clear(&inv->keyring_properties[i]);
	}
	free(inv->keyrings);
	free(inv->keyring_properties);
	free(inv->roots);
	zfs_properties_clear(&inv->properties);
	zfs_pools_clear(&inv->pools);
	*inv = (struct inventory){ 0 };
}

static struct keyring *keyring_above(const struct inventory *inv, const char *dataset)
{
	struct keyring *nearest = NULL;

	for (size_t i = 0; i < inv->n_keyrings; i++) {
		struct keyring *k = inv->keyrings[i];

		if (dataset_is_below(dataset, k->dataset) &&
		    (!nearest || strlen(k->dataset) > strlen(nearest->dataset)))
			nearest = k;
	}
	return nearest;
}

enum err inventory_load_keyring(const char *dataset, struct inventory *ret, struct keyring **ret_keyring,
				struct err_ctx *e)
{
	_cleanup_(inventory_clearp) struct inventory *inv = &(struct inventory){ 0 };
	_cleanup_free_ char *above = NULL;
	enum err err = inventory_load(&dataset, 1, inv, e);
	struct keyring *k = err ? NULL : keyring_above(inv, dataset);

	if (k && !str_equal(k->dataset, dataset)) {
		err = str_copy(k->dataset, &above, e);
		inventory_clear(inv);
		if (!err)
			err = inventory_load((const char *const *)&above, 1, inv, e);
		k = err ? NULL : keyring_above(inv, above);
		if (!err && !k)
			err = err_set(e, ERR_ZFS_RACED, "%s lost its keyring meanwhile", above);
	}
	if (err)
		return err;
	*ret = *inv;
	*inv = (struct inventory){ 0 };
	*ret_keyring = k;
	return ERR_OK;
}
