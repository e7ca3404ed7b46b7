/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/codec.h"

static const struct member ring_members[] = {
	{ "uuid", &kind_uuid, FIELD(struct ring, uuid) },
	{ "epoch", &kind_bytes, FIELD(struct ring, epoch) },
	{ "generation", &kind_generation, FIELD(struct ring, generation) },
	{ "order", &kind_names, FIELD(struct ring, order), .count = offsetof(struct ring, n_order) },
	{ "created", &kind_seconds, FIELD(struct ring, created) },
	{ "fingerprint", &kind_bytes, FIELD(struct ring, fingerprint) },
	{ "recovery_public", &kind_bytes, FIELD(struct ring, recovery_public), .optional = true,
	  .flag = offsetof(struct ring, has_recovery) },
};
static const struct object ring_object = { MEMBERS(ring_members), .size = sizeof(struct ring) };

static const struct member authenticated_ring_members[] = {
	{ "ring", &kind_object, FIELD(struct authenticated_ring, ring), .of = &ring_object },
	{ "mac", &kind_bytes, FIELD(struct authenticated_ring, mac) },
};
static const struct object authenticated_ring_object = {
	MEMBERS(authenticated_ring_members),
	.size = sizeof(struct authenticated_ring),
};

static enum err check_rings(const void *s, struct err_ctx *e)
{
	const struct keyring_property *p = s;
	const struct ring *new = &p->rings[0].ring, *old = &p->rings[1].ring;

	if (p->n_rings < 2)
		return ERR_OK;
	if (!uuid_equal(&new->uuid, &old->uuid))
		return err_set(e, ERR_FORMAT, "two rings of different keyrings");
	if (new->generation <= old->generation)
		return err_set(e, ERR_FORMAT, "the generations of the rings do not descend");
	if (memcmp(new->epoch, old->epoch, EPOCH_SIZE) == 0)
		return err_set(e, ERR_FORMAT, "two rings of one epoch");
	return ERR_OK;
}

static const struct member keyring_members[] = {
	VERSION("v"),
	{ "rings", &kind_array, FIELD(struct keyring_property, rings),
	  .count = offsetof(struct keyring_property, n_rings), .of = &authenticated_ring_object },
};
static const struct object keyring_object = {
	MEMBERS(keyring_members),
	.size = sizeof(struct keyring_property),
	.check = check_rings,
};

static const struct member wrap_members[] = {
	{ "epoch", &kind_bytes, FIELD(struct slot_wrap, epoch) },
	{ "key", &kind_bytes, FIELD(struct slot_wrap, key) },
};
static const struct object wrap_object = { MEMBERS(wrap_members), .size = sizeof(struct slot_wrap) };

static const struct member renew_members[] = {
	{ "ephemeral", &kind_bytes, FIELD(struct renew, ephemeral) },
	{ "secret", &kind_bytes, FIELD(struct renew, secret) },
};
static const struct object renew_object = { MEMBERS(renew_members), .size = sizeof(struct renew) };

static enum err check_slot(const void *s, struct err_ctx *e)
{
	const struct slot *slot = s;

	if (slot->n_wraps == 2 && memcmp(slot->wraps[0].epoch, slot->wraps[1].epoch, EPOCH_SIZE) == 0)
		return err_set(e, ERR_FORMAT, "two wraps of one epoch");
	return ERR_OK;
}

static const struct member slot_members[] = {
	VERSION("v"),
	{ "keyring", &kind_uuid, FIELD(struct slot, keyring) },
	{ "uuid", &kind_uuid, FIELD(struct slot, uuid) },
	{ "type", &kind_name, FIELD(struct slot, type) },
	{ "created", &kind_seconds, FIELD(struct slot, created) },
	{ "protect", &kind_json, FIELD(struct slot, protect) },
	{ "wraps", &kind_array, FIELD(struct slot, wraps), .count = offsetof(struct slot, n_wraps), .of = &wrap_object },
	{ "renew", &kind_object, FIELD(struct slot, renew), .optional = true, .flag = offsetof(struct slot, has_renew),
	  .of = &renew_object },
};
static const struct object slot_object = { MEMBERS(slot_members), .size = sizeof(struct slot), .check = check_slot };

static const struct member record_members[] = {
	{ "uuid", &kind_uuid, FIELD(struct record, uuid) },
	{ "keyring", &kind_uuid, FIELD(struct record, keyring) },
	{ "epoch", &kind_bytes, FIELD(struct record, epoch) },
	{ "generation", &kind_generation, FIELD(struct record, generation) },
	{ "created", &kind_seconds, FIELD(struct record, created) },
	{ "key", &kind_bytes, FIELD(struct record, key) },
};
static const struct object record_object = { MEMBERS(record_members), .size = sizeof(struct record) };

/* Two may be equal: one wrapping key under the old and the new keyring key. */
static enum err check_records(const void *s, struct err_ctx *e)
{
	const struct records *p = s;

	for (unsigned i = 1; i < p->n; i++)
		if (p->records[i - 1].generation < p->records[i].generation)
			return err_set(e, ERR_FORMAT, "the generations of the records ascend");
	return ERR_OK;
}

static const struct member records_members[] = {
	VERSION("v"),
	{ "records", &kind_array, FIELD(struct records, records), .count = offsetof(struct records, n),
	  .of = &record_object },
};
static const struct object records_object = {
	MEMBERS(records_members),
	.size = sizeof(struct records),
	.check = check_records,
};

static void clear_slot(void *s)
{
	slot_clear(s);
}

static const struct document ring_document = { .object = &ring_object, .max = PROPERTY_VALUE_MAX };
static const struct document keyring_document = { .object = &keyring_object, .max = PROPERTY_VALUE_MAX };
static const struct document slot_document = { .object = &slot_object, .max = PROPERTY_VALUE_MAX, .clear = clear_slot };
static const struct document records_document = { .object = &records_object, .max = PROPERTY_VALUE_MAX };

enum err keyring_property_parse(const char *value, struct keyring_property *ret, struct err_ctx *e)
{
	return codec_parse(&keyring_document, value, ret, e);
}

enum err keyring_property_print(const struct keyring_property *p, char **ret, struct err_ctx *e)
{
	return codec_print(&keyring_document, p, ret, e);
}

enum err ring_print(const struct ring *ring, char **ret, struct err_ctx *e)
{
	return codec_print(&ring_document, ring, ret, e);
}

enum err slot_parse(const char *name, const char *value, struct slot *ret, struct err_ctx *e)
{
	struct slot slot;

	if (!name_is_valid(name))
		return err_set(e, ERR_FORMAT, "a slot's name is 1 to 63 of a-z 0-9 _ -");
	enum err r = codec_parse(&slot_document, value, &slot, e);
	if (r)
		return r;
	memcpy(slot.name, name, strlen(name) + 1);
	*ret = slot;
	return ERR_OK;
}

enum err slot_print(const struct slot *slot, char **ret, struct err_ctx *e)
{
	return codec_print(&slot_document, slot, ret, e);
}

void slot_clear(struct slot *slot)
{
	free(slot->protect);
	*slot = (struct slot){ 0 };
}

enum err records_parse(const char *value, struct records *ret, struct err_ctx *e)
{
	return codec_parse(&records_document, value, ret, e);
}

enum err records_print(const struct records *records, char **ret, struct err_ctx *e)
{
	return codec_print(&records_document, records, ret, e);
}

enum err slot_keyring(const char *value, struct uuid *ret, bool *ret_has, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	const char *text = NULL;
	enum err err = ERR_FORMAT;

	if (codec_text_is_printable(value, PROPERTY_VALUE_MAX))
		err = codec_load(value, PROPERTY_VALUE_MAX, &root, NULL);
	if (err == ERR_NO_MEMORY)
		return err_set(e, err, "room for a slot");
	if (!err)
		text = json_string_value(json_object_get(root, "keyring"));
	*ret_has = text && uuid_parse(text, ret);
	return ERR_OK;
}

static int compare_slots(const void *a, const void *b)
{
	return strcmp(((const struct raw_slot *)a)->name, ((const struct raw_slot *)b)->name);
}

enum err header_mac(const struct secret *keyring_key, const struct ring *ring, struct raw_slot *slots, size_t n_slots,
		    uint8_t ret[static MAC_SIZE], struct err_ctx *e)
{
	_cleanup_free_ struct span *parts = calloc(1 + 2 * n_slots, sizeof(*parts));
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	if (!parts)
		return err_set(e, ERR_NO_MEMORY, "room for %zu slots", n_slots);
	enum err r = ring_print(ring, &text, e);
	if (r)
		return r;
	if (n_slots > 0)
		qsort(slots, n_slots, sizeof(*slots), compare_slots);
	parts[n++] = SPAN(text, strlen(text));
	for (size_t i = 0; i < n_slots; i++) {
		parts[n++] = SPAN(slots[i].name, strlen(slots[i].name));
		parts[n++] = SPAN(slots[i].value, strlen(slots[i].value));
	}
	return crypto_table_mac(keyring_key, &ring->uuid, parts, n, ret, e);
}

void fingerprint_print(const uint8_t fingerprint[static FINGERPRINT_SIZE], char ret[static FINGERPRINT_TEXT_SIZE])
{
	for (size_t i = 0; i < 8; i++) {
		hex_encode(SPAN(fingerprint + 2 * i, 2), ret + 5 * i);
		ret[5 * i + 4] = i < 7 ? '-' : '\0';
	}
}

bool fingerprint_text_is_valid(const char *text)
{
	size_t digits = strspn(text, "0123456789abcdef-");

	if (digits != FINGERPRINT_TEXT_SIZE - 1 || text[digits])
		return false;
	for (size_t i = 0; i < digits; i++)
		if ((text[i] == '-') != (i % 5 == 4))
			return false;
	return true;
}
