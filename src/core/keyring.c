/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/keyring.h"

enum err keyring_new(const char *dataset, const char *value, struct keyring **ret, struct err_ctx *e)
{
	struct keyring *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, ERR_NO_MEMORY, "room for a keyring");
	k->dataset = dataset;
	k->value = value;
	k->state = keyring_property_parse(value, &k->property, &k->error);
	*ret = k;
	return ERR_OK;
}

/* Where a slot stands in the order of trying; those that it does not name come behind. */
static unsigned place_of(const struct keyring *k, const char *name)
{
	unsigned i = 0, n = k->state ? 0 : keyring_ring(k)->n_order;

	while (i < n && !str_equal(keyring_ring(k)->order[i], name))
		i++;
	return i;
}

/* ZFS gives properties in no order that would mean anything, and another one for each pool. */
static struct stored_slot *make_room(struct keyring *k, const char *name)
{
	unsigned place = place_of(k, name);
	size_t i = k->n_slots++;

	for (; i > 0; i--) {
		unsigned before = place_of(k, k->slots[i - 1].name);

		if (before < place || (before == place && strcmp(k->slots[i - 1].name, name) < 0))
			break;
		k->slots[i] = k->slots[i - 1];
	}
	k->slots[i] = (struct stored_slot){ 0 };
	return &k->slots[i];
}

/*
 * In the place of one that the keyring's order names it is damage. Any other one is nothing to the keyring: whoever may
 * set properties can set that too, it is in no MAC and opens nothing.
 */
static void tell_foreign(const struct keyring *k, struct stored_slot *s)
{
	if (place_of(k, s->name) == keyring_ring(k)->n_order)
		s->state = err_set(&s->error, ERR_SLOT_STRAY, PROPERTY_SLOT_PREFIX "%s on %s", s->name, k->dataset);
	else if (!s->state)
		s->state = err_set(&s->error, ERR_FORMAT, "slot %s belongs to another keyring", s->name);
}

enum err keyring_add_slot(struct keyring *k, const char *name, const char *value, struct err_ctx *e)
{
	if (!name_is_valid(name))
		return ERR_OK;
	if (k->n_slots == SLOTS_MAX) {
		/* the last gives way to one that comes before it: a heap of others leaves the order's own slots alone */
		struct stored_slot *last = &k->slots[SLOTS_MAX - 1];

		if (place_of(k, name) >= place_of(k, last->name))
			return ERR_OK;
		slot_clear(&last->slot);
		k->n_slots--;
	}
	struct stored_slot *s = make_room(k, name);
	s->value = value;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->state = slot_parse(name, value, &s->slot, &s->error);
	if (s->state == ERR_NO_MEMORY || slot_keyring(value, &s->keyring, &s->has_keyring, NULL))
		return err_set(e, ERR_NO_MEMORY, "room for slot %s", name);
	if (!k->state && !stored_slot_is_of(s, &keyring_ring(k)->uuid))
		tell_foreign(k, s);
	return ERR_OK;
}

bool stored_slot_is_of(const struct stored_slot *s, const struct uuid *keyring)
{
	return s->has_keyring && uuid_equal(&s->keyring, keyring);
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n_slots; i++)
		slot_clear(&k->slots[i].slot);
	free(k);
}

const struct ring *keyring_ring(const struct keyring *k)
{
	return &k->property.rings[0].ring;
}

enum err keyring_mac(const struct keyring *k, unsigned ring, const struct secret *key, uint8_t ret[static MAC_SIZE],
		     struct err_ctx *e)
{
	const struct ring *r = &k->property.rings[ring].ring;
	struct raw_slot raw[SLOTS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < k->n_slots; i++)
		if (stored_slot_is_of(&k->slots[i], &r->uuid))
			raw[n++] = (struct raw_slot){ .name = k->slots[i].name, .value = k->slots[i].value };
	return header_mac(key, r, raw, n, ret, e);
}
