/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/codec.h"
#include "format/slot-vault.h"

static bool is_word_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

size_t vault_word_length(const char *text)
{
	size_t n = 0;

	while (is_word_character(text[n]))
		n++;
	return n;
}

bool vault_word_is_valid(const char *text)
{
	size_t n = vault_word_length(text);

	return n > 0 && n < VAULT_WORD_SIZE && !text[n];
}

/* No segment has a dot: nothing of it can climb out of where the configuration points. */
bool vault_kv_path_is_valid(const char *text)
{
	static const char node[] = "{node}";

	if (strlen(text) >= VAULT_KV_SIZE)
		return false;
	for (const char *p = text;; p++) {
		size_t n = strncmp(p, node, sizeof(node) - 1) == 0 ? sizeof(node) - 1 : vault_word_length(p);

		p += n;
		if (n == 0 || (*p && *p != '/'))
			return false;
		if (!*p)
			return true;
	}
}

/* "vault:vN:" and base64 of at least one byte. */
bool vault_ciphertext_is_valid(const char *text)
{
	static const char start[] = "vault:v";
	uint8_t bytes[BASE64_BYTES_MAX(VAULT_CIPHERTEXT_MAX)];
	size_t n = sizeof(start) - 1, first = n, size = 0;

	if (strlen(text) >= VAULT_CIPHERTEXT_MAX || strncmp(text, start, n) != 0 || text[n] == '0')
		return false;
	while (text[n] >= '0' && text[n] <= '9')
		n++;
	return n > first && n - first <= 9 && text[n] == ':' &&
	       base64_decode(text + n + 1, bytes, sizeof(bytes), &size) && size > 0;
}

static enum err decode_checked(const struct member *m, json_t *from, void *into, bool (*is_valid)(const char *),
			       const char *what, struct err_ctx *e)
{
	const char *text = json_string_value(from);

	if (!text || !is_valid(text))
		return codec_expected(m, e, what);
	memcpy(codec_at(into, m->offset), text, strlen(text) + 1);
	return ERR_OK;
}

static enum err encode_text(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return codec_give(json_string(codec_at(from, m->offset)), ret, e);
}

static enum err decode_word(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	return decode_checked(m, from, into, vault_word_is_valid, "1 to 63 of A-Z a-z 0-9 _ -", e);
}

static enum err decode_ciphertext(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	return decode_checked(m, from, into, vault_ciphertext_is_valid,
			      "a ciphertext of Transit, \"vault:vN:\" and base64", e);
}

static enum err decode_path(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	return decode_checked(m, from, into, vault_kv_path_is_valid,
			      "words of A-Z a-z 0-9 _ -, or {node}, between slashes", e);
}

static const struct kind kind_path = { decode_path, encode_text };
static const struct kind kind_word = { decode_word, encode_text };
static const struct kind kind_ciphertext = { decode_ciphertext, encode_text };

static const struct member vault_members[] = {
	{ "cluster", &kind_word, FIELD(struct slot_vault, cluster) },
	{ "key", &kind_word, FIELD(struct slot_vault, key) },
	{ "ciphertext", &kind_ciphertext, FIELD(struct slot_vault, ciphertext) },
	{ "kv", &kind_path, FIELD(struct slot_vault, kv), .optional = true },
};
static const struct object vault_object = { MEMBERS(vault_members), .size = sizeof(struct slot_vault) };
static const struct document vault_document = { .object = &vault_object, .max = PROPERTY_VALUE_MAX };

enum err slot_vault_parse(const char *protect, struct slot_vault *ret, struct err_ctx *e)
{
	return codec_parse(&vault_document, protect, ret, e);
}

enum err slot_vault_print(const struct slot_vault *s, char **ret, struct err_ctx *e)
{
	return codec_print(&vault_document, s, ret, e);
}

bool slot_vault_kv_path(const struct slot_vault *s, const char *node, char ret[static VAULT_KV_SIZE])
{
	static const char word[] = "{node}";
	size_t size = 0;

	for (const char *p = s->kv; *p;) {
		bool is_node = strncmp(p, word, sizeof(word) - 1) == 0;
		size_t n = is_node ? strlen(node) : 1;

		if (size + n >= VAULT_KV_SIZE)
			return false;
		memcpy(ret + size, is_node ? node : p, n);
		size += n;
		p += is_node ? sizeof(word) - 1 : 1;
	}
	ret[size] = '\0';
	return size > 0;
}

void slot_vault_context(const struct uuid *keyring, const struct uuid *slot, uint8_t ret[static VAULT_CONTEXT_SIZE])
{
	memcpy(ret, keyring->bytes, UUID_SIZE);
	memcpy(ret + UUID_SIZE, slot->bytes, UUID_SIZE);
}
