/* SPDX-License-Identifier: MIT */
/*
 * What Vault answers when adopt asks for a key. The first byte: m for which part of a path is the mount, else for an entry
 * of KV: n with a field named, w one that was wrapped, g one that is gone. What is taken is a text of the answer, whole
 * and within its bound; what is told of the rest is printable.
 */
#include <string.h>

#include "fuzz.h"
#include "vault/internal.h"

enum { TEXT_MAX = 514 };

static void check_told(const struct err_ctx *e)
{
	must(e->code && e->depth > 0);
	for (const char *p = e->chain[0]; *p; p++)
		must(*p >= ' ' && *p <= '~');
}

static void check_mount(const struct vault_answer *a)
{
	static const char path[] = "secret/zfs/keys/a";
	struct kv_entry entry = { .path = "secret/zfs/keys/a" };
	struct err_ctx e = { 0 };

	if (vault_entry_split(&entry, a, &e)) {
		check_told(&e);
		return;
	}
	size_t n = strlen(entry.mount);
	must(n > 0 && strncmp(path, entry.mount, n) == 0 && path[n] == '/' && str_equal(path + n + 1, entry.path));
	must(*entry.path);
}

static void check_entry(const struct vault_answer *a, char how)
{
	_cleanup_secret_ struct secret *text = NULL;
	struct kv_entry entry = { .field = how == 'n' ? "key" : NULL, .wrapped = how == 'w' };
	struct err_ctx e = { 0 };

	if (vault_entry_read(&entry, a, TEXT_MAX, &text, &e)) {
		must(!text);
		check_told(&e);
		return;
	}
	must(secret_size(text) > 0 && secret_size(text) <= (entry.wrapped ? VAULT_CIPHERTEXT_MAX : TEXT_MAX));
	must(!entry.wrapped || (secret_size(text) > 7 && memcmp(secret_data(text), "vault:v", 7) == 0));
	json_t *data = json_object_get(json_object_get(a->json, "data"), "data"), *value;
	const char *name;
	bool found = false;
	json_object_foreach (data, name, value)
		found |= json_string_length(value) == secret_size(text) &&
			 memcmp(json_string_value(value), secret_data(text), secret_size(text)) == 0;
	must(found && entry.has_more == (json_object_size(data) > 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){
		.status = data[0] == 'g' ? 404 : 200,
		.json = json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES, NULL),
	};
	if (!json_is_object(a->json))
		return 0;
	if (data[0] == 'm')
		check_mount(a);
	else
		check_entry(a, (char)data[0]);
	return 0;
}
