/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/slot-tpm2.h"
#include "format/stretch.h"

/* Persistent objects. Spec: TPM 2.0 Library, part 2, table 28, TPM_HC. */
enum { PERSISTENT_FIRST = 0x81000000, PERSISTENT_LAST = 0x81ffffff, HANDLE_TEXT_SIZE = sizeof("0x81000000") };

static const char *const bank_names[TPM2_BANK_MAX] = {
	[TPM2_BANK_NONE] = "none",
	[TPM2_BANK_SHA1] = "sha1",
	[TPM2_BANK_SHA256] = "sha256",
	[TPM2_BANK_SHA384] = "sha384",
};

const char *tpm2_bank_name(enum tpm2_bank bank)
{
	return bank_names[(unsigned)bank < TPM2_BANK_MAX ? bank : TPM2_BANK_NONE];
}

static enum err decode_bank(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	for (unsigned i = TPM2_BANK_NONE + 1; i < TPM2_BANK_MAX; i++)
		if (str_equal(json_string_value(from), bank_names[i])) {
			*(enum tpm2_bank *)codec_at(into, m->offset) = i;
			return ERR_OK;
		}
	return codec_expected(m, e, "sha1, sha256 or sha384");
}

static enum err encode_bank(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return codec_give(json_string(tpm2_bank_name(*(enum tpm2_bank *)codec_at(from, m->offset))), ret, e);
}

static const struct kind kind_bank = { decode_bank, encode_bank };

/* Ascending, each PCR once: then there is one text for each set. */
static enum err decode_pcrs(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	uint32_t pcrs = 0;

	for (size_t i = 0; i < json_array_size(from); i++) {
		json_t *element = json_array_get(from, i);
		json_int_t pcr = json_is_integer(element) ? json_integer_value(element) : -1;

		if (pcr < 0 || pcr >= TPM2_PCRS || pcrs >> pcr)
			return codec_expected(m, e, "ascending numbers from 0 to 23");
		pcrs |= UINT32_C(1) << pcr;
	}
	if (!pcrs)
		return codec_expected(m, e, "an array of PCR numbers");
	*(uint32_t *)codec_at(into, m->offset) = pcrs;
	return ERR_OK;
}

static enum err encode_pcrs(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *array = json_array();
	uint32_t pcrs = *(const uint32_t *)codec_at(from, m->offset);

	for (int i = 0; pcrs >> i; i++)
		if ((pcrs >> i & 1) && json_array_append_new(array, json_integer(i)) < 0)
			return err_set(e, ERR_NO_MEMORY, "room for PCR numbers");
	return codec_give(TAKE(array), ret, e);
}

static const struct kind kind_pcrs = { decode_pcrs, encode_pcrs };

static enum err decode_handle(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	const char *text = json_string_value(from);
	uint8_t b[sizeof(uint32_t)];
	uint32_t handle = 0;

	if (text && strncmp(text, "0x", 2) == 0 && hex_decode(text + 2, b, sizeof(b)))
		handle = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	if (handle < PERSISTENT_FIRST || handle > PERSISTENT_LAST)
		return codec_expected(m, e, "a persistent handle, \"0x81000000\" to \"0x81ffffff\"");
	*(uint32_t *)codec_at(into, m->offset) = handle;
	return ERR_OK;
}

static enum err encode_handle(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	char text[HANDLE_TEXT_SIZE];

	snprintf(text, sizeof(text), "0x%08x", *(const uint32_t *)codec_at(from, m->offset));
	return codec_give(json_string(text), ret, e);
}

static const struct kind kind_handle = { decode_handle, encode_handle };

static enum err check_tpm2(const void *s, struct err_ctx *e)
{
	static const uint8_t none[TPM2_DIGEST_SIZE];
	const struct slot_tpm2 *t = s;
	bool has_policy = memcmp(t->policy, none, sizeof(none)) != 0;

	if ((t->bank != TPM2_BANK_NONE) != (t->pcrs != 0))
		return err_set(e, ERR_FORMAT, "bank and pcrs are there together or not at all");
	if (has_policy != (t->pcrs != 0 || t->has_pin))
		return err_set(e, ERR_FORMAT, "policy is there if, and only if, there are pcrs or pin");
	return ERR_OK;
}

static const struct member tpm2_members[] = {
	{ "srk", &kind_bytes, FIELD(struct slot_tpm2, srk_name) },
	{ "public", &kind_blob, FIELD(struct slot_tpm2, public), .count = offsetof(struct slot_tpm2, public_size) },
	{ "private", &kind_blob, FIELD(struct slot_tpm2, private), .count = offsetof(struct slot_tpm2, private_size) },
	{ "bank", &kind_bank, FIELD(struct slot_tpm2, bank), .optional = true },
	{ "pcrs", &kind_pcrs, FIELD(struct slot_tpm2, pcrs), .optional = true },
	{ "policy", &kind_bytes, FIELD(struct slot_tpm2, policy), .optional = true },
	{ "handle", &kind_handle, FIELD(struct slot_tpm2, handle), .optional = true },
	{ "pin", &kind_object, FIELD(struct slot_tpm2, pin), .flag = offsetof(struct slot_tpm2, has_pin), .optional = true,
	  .of = &stretch_object },
};
static const struct object tpm2_object = {
	MEMBERS(tpm2_members),
	.size = sizeof(struct slot_tpm2),
	.check = check_tpm2,
};
static const struct document tpm2_document = { .object = &tpm2_object, .max = PROPERTY_VALUE_MAX };

enum err slot_tpm2_parse(const char *protect, struct slot_tpm2 *ret, struct err_ctx *e)
{
	return codec_parse(&tpm2_document, protect, ret, e);
}

enum err slot_tpm2_print(const struct slot_tpm2 *s, char **ret, struct err_ctx *e)
{
	return codec_print(&tpm2_document, s, ret, e);
}
