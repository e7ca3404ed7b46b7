/* SPDX-License-Identifier: MIT */
#include "cli/output.h"
#include "cli/vault-grants.h"
#include "core/inventory.h"
#include "protector/protector.h"

static void take_slot(struct grants *g, const struct stored_slot *stored)
{
	struct vault_grant *grant = &g->list[g->n];
	const struct slot *slot = &stored->slot;
	struct slot_vault s;

	if (stored->state || !str_equal(slot->type, protector_vault.type) ||
	    slot_vault_parse(slot->protect, &s, NULL) || !str_equal(s.key, g->key))
		return;
	slot_vault_context(&slot->keyring, &slot->uuid, grant->context);
	if (!*s.kv || !slot_vault_kv_path(&s, g->node, grant->kv))
		*grant->kv = '\0';
	g->n++;
}

/* A header that is older than the one that this machine has seen is still the same keyring's. */
static enum err check_keyring(const struct session *s, const struct keyring *k, struct err_ctx *e)
{
	enum err err = k->state;

	if (err)
		*e = k->error;
	else
		err = pins_check(&s->pins, &s->config, k->pool_guid, keyring_ring(k), e);
	return err == ERR_PIN_ROLLBACK ? ERR_OK : err_wrap(e, err, "no slot of it gets into Vault's policy");
}

static void take_keyring(struct grants *g, const struct keyring *k)
{
	struct err_ctx own = { 0 };
	enum err err = check_keyring(g->session, k, &own);

	if (err)
		output_warning(k->dataset, &own);
	for (size_t i = 0; !err && i < k->n_slots; i++)
		take_slot(g, &k->slots[i]);
}

static enum err make_room(struct grants *g, const struct inventory *inv, struct err_ctx *e)
{
	size_t n = 0;

	for (size_t i = 0; i < inv->n_keyrings; i++)
		n += inv->keyrings[i]->n_slots;
	g->list = calloc(n + 1, sizeof(*g->list)); /* one more, since take_slot() writes before it knows */
	return g->list ? ERR_OK : err_set(e, ERR_NO_MEMORY, "room for the pool's slots");
}

enum err grants_collect(struct grants *g, const char *pool, struct err_ctx *e)
{
	_cleanup_(inventory_clearp) struct inventory *inv = &(struct inventory){ 0 };
	enum err err = inventory_load((const char *const[]){ pool }, 1, inv, e);

	if (!err)
		err = make_room(g, inv, e);
	for (size_t i = 0; !err && i < inv->n_keyrings; i++)
		take_keyring(g, inv->keyrings[i]);
	if (!err && g->n == 0)
		err = err_set(e, ERR_NO_SLOT, "none of type vault that was made with the Transit key %s", g->key);
	return err_wrap(e, err, "%s", pool);
}

void grants_clear(struct grants *g)
{
	free(TAKE(g->list));
	g->n = 0;
}
