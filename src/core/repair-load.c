/* SPDX-License-Identifier: MIT */
/* What a repair is about: the keyring's dataset, what is left on it, and where else its header may be. */
#include <string.h>

#include "core/change.h"
#include "core/repair.h"

enum { READ_TIMEOUT_MS = 60000 };

void repair_place_clear(struct repair_place *p)
{
	keyring_free(p->left);
	zfs_properties_clear(&p->left_properties);
	inventory_clear(&p->inventory);
	free(p->dataset);
	*p = (struct repair_place){ 0 };
}

static enum err add_sources(const struct repair_search *s, const struct repair_place *p, struct sources *ret,
			    struct err_ctx *e)
{
	const struct source_place place = {
		.dataset = s->dataset, .pool = p->pool->name, .pool_guid = p->pool->guid, .any_pool = s->any_pool,
		.keyring = p->keyring && !p->keyring->state ? &keyring_ring(p->keyring)->uuid : NULL,
	};
	struct err_ctx own = { 0 };
	enum err err = ERR_OK;

	if (s->from)
		err = sources_add_file(ret, &place, s->from, e);
	if (!err)
		err = sources_add_kept(ret, &place, e);
	if (!err)
		err = sources_add_history(ret, &place, &own);
	/* the last resort; what keeps it from being read must not keep the others from being used */
	if (err && own.code && err_info(err)->class != CLASS_INTERRUPTED && err != ERR_NO_MEMORY)
		return ERR_OK;
	if (err && own.code)
		*e = own;
	return err;
}

/* The keyring's property is lost: its slots may still be there. */
static enum err load_left(struct repair_place *p, struct err_ctx *e)
{
	const struct zfs_query q = {
		.datasets = (const char *const *)&p->dataset, .n_datasets = 1, .properties = PROPERTY_SLOT_PREFIX "*",
		.deadline = deadline_in(READ_TIMEOUT_MS),
	};
	const size_t prefix = strlen(PROPERTY_SLOT_PREFIX);
	enum err err = zfs_get(&q, &p->left_properties, e);

	if (!err)
		err = keyring_new(p->dataset, "", &p->left, e);
	for (size_t i = 0; !err && i < p->left_properties.n; i++) {
		const struct zfs_property *property = &p->left_properties.all[i];

		if (strncmp(property->name, PROPERTY_SLOT_PREFIX, prefix) == 0 && str_equal(property->source, "local"))
			err = keyring_add_slot(p->left, property->name + prefix, property->value, e);
	}
	if (err)
		return err;
	p->left->value = NULL;
	p->left->pool = p->pool->name;
	p->left->pool_guid = p->pool->guid;
	p->left->readonly = p->pool->readonly;
	return ERR_OK;
}

static enum err find_pool(struct repair_place *p, const char *dataset, struct err_ctx *e)
{
	p->pool = zfs_pools_find(&p->inventory.pools, dataset);
	return p->pool ? ERR_OK : err_set(e, ERR_ZFS_NOT_FOUND, "%s", dataset);
}

/* Reads again, from the dataset that the keyring was on; the sources have borrowed the pool's name. */
static enum err load_again(struct repair_place *p, struct sources *sources, struct err_ctx *e)
{
	inventory_clear(&p->inventory);
	enum err err = inventory_load((const char *const *)&p->dataset, 1, &p->inventory, e);

	if (!err)
		err = find_pool(p, p->dataset, e);
	for (size_t i = 0; !err && i < sources->n; i++)
		sources->all[i].keyring->pool = p->pool->name;
	return err;
}

/* Without a keyring in the pool the copy tells where it was, and so which roots it served. */
static enum err load_lost(const struct repair_search *s, struct repair_place *p, struct sources *sources,
			  struct err_ctx *e)
{
	enum err err = inventory_load(&s->dataset, 1, &p->inventory, e);

	if (!err)
		err = find_pool(p, s->dataset, e);
	if (!err)
		err = add_sources(s, p, sources, e);
	if (!err)
		err = str_copy(sources->n ? sources->all[0].copy.dataset : s->dataset, &p->dataset, e);
	if (!err && !str_equal(p->dataset, s->dataset))
		err = load_again(p, sources, e);
	return err ? err : load_left(p, e);
}

enum err repair_load(const struct repair_search *s, struct repair_place *p, struct sources *sources, struct err_ctx *e)
{
	const struct keyring *k;
	enum err err = change_load(s->dataset, &p->inventory, &k, e);

	if (err == ERR_NO_KEYRING) {
		err_clear(e);
		return load_lost(s, p, sources, e);
	}
	if (!err)
		err = str_copy(k->dataset, &p->dataset, e);
	if (!err)
		err = find_pool(p, k->dataset, e);
	if (err)
		return err;
	p->keyring = (struct keyring *)k;
	return add_sources(s, p, sources, e);
}
