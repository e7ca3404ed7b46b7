/* SPDX-License-Identifier: MIT */
/*
 * Entries of KV version 2 that are a site's own.
 *
 * Guarantees: what an entry holds is in a secret of ours, or in what free() wipes; of what a server sends, names of fields
 * alone are repeated, and of those a few, made printable. Refuses: to guess between fields; to destroy an entry that is
 * not the one that was read any more.
 */
#include <string.h>

#include "vault/internal.h"

enum { NAMES_SIZE = 160, NAME_SHOWN = 32 };

/* ---- where ---- */

/*
 * What Vault says is the mount must be how our path begins: nothing is taken over from the answer itself.
 */
enum err vault_entry_split(struct kv_entry *entry, const struct vault_answer *a, struct err_ctx *e)
{
	const char *mount = vault_answer_text(a, "data", "path"), *type = vault_answer_text(a, "data", "type");
	json_t *options = json_object_get(json_object_get(a->json, "data"), "options");
	const char *version = json_string_value(json_object_get(options, "version"));
	size_t n = mount ? strlen(mount) : 0;

	if (a->status != 200 || n < 2 || n > sizeof(entry->mount) || mount[n - 1] != '/' ||
	    strncmp(entry->path, mount, n) != 0 || !entry->path[n])
		return err_set_http(e, ERR_VAULT_NO_ENTRY, a->status, "no mount is there");
	snprintf(entry->mount, sizeof(entry->mount), "%.*s", (int)(n - 1), entry->path);
	memmove(entry->path, entry->path + n, strlen(entry->path + n) + 1);
	if (!type || !str_equal(type, "kv") || !version || !str_equal(version, "2"))
		return err_set(e, ERR_VAULT_NO_ENTRY, "the mount %s is not KV of version 2", entry->mount);
	return ERR_OK;
}

/* As the official client finds it: Vault knows its mounts. */
static enum err find_mount(struct vault *v, struct kv_entry *entry, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "sys/internal/ui/mounts/%s", entry->path);

	if (!err)
		err = vault_ask_json(v, "GET", path, NULL, a, e);
	if (err)
		return err_wrap(e, err, "finding out which part of it is the mount; --vault-kv-mount says so");
	return vault_entry_split(entry, a, e);
}

/* ---- reading ---- */

static enum err load(struct vault *v, const struct kv_entry *entry, struct vault_answer *ret, struct err_ctx *e)
{
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "%s/data/%s", entry->mount, entry->path);

	return err ? err : vault_ask_json(v, "GET", path, NULL, ret, e);
}

static enum err judge_missing(const struct vault_answer *a, struct err_ctx *e)
{
	json_t *metadata = json_object_get(json_object_get(a->json, "data"), "metadata");

	if (!json_is_object(metadata))
		return err_set_http(e, ERR_VAULT_NO_ENTRY, a->status, "nothing is at this path");
	return err_set_http(e, ERR_VAULT_DELETED, a->status, "its newest version was %s",
			    json_is_true(json_object_get(metadata, "destroyed")) ? "destroyed" : "deleted");
}

/* The entry's fields. *ret_data is borrowed from the answer. */
static enum err judge(const struct vault_answer *a, json_t **ret_data, struct err_ctx *e)
{
	if (a->status == 404)
		return judge_missing(a, e);
	/* a mount that is new says so on a standby, and it passes */
	if (a->status != 200)
		return err_set_http(e, vault_answer_says(a, "upgrad") ? ERR_VAULT_BUSY : ERR_VAULT_REQUEST, a->status,
				    "reading it");
	*ret_data = json_object_get(json_object_get(a->json, "data"), "data");
	if (!json_is_object(*ret_data))
		return err_set(e, ERR_VAULT_ANSWER, "what came is no entry of KV version 2");
	return ERR_OK;
}

/* Tells a version from another one, also if the entry was removed and written anew meanwhile. "" is none. */
static const char *made_of(const struct vault_answer *a)
{
	json_t *metadata = json_object_get(json_object_get(a->json, "data"), "metadata");
	const char *made = json_string_value(json_object_get(metadata, "created_time"));

	return made && strlen(made) < VAULT_TIME_SIZE ? made : "";
}

/* ---- fields ---- */

/* "a, b and 7 more"; they are whatever somebody called them. */
static void list_names(json_t *data, char ret[static NAMES_SIZE])
{
	size_t n = 0, total = json_object_size(data), size = 0;
	const char *name;
	json_t *value;

	*ret = '\0';
	json_object_foreach (data, name, value) {
		if (size + NAME_SHOWN + 20 > NAMES_SIZE)
			break;
		size += (size_t)snprintf(ret + size, NAMES_SIZE - size, "%s%.*s", n++ ? ", " : "", NAME_SHOWN, name);
	}
	if (n < total)
		snprintf(ret + size, NAMES_SIZE - size, " and %zu more", total - n);
	for (char *p = ret; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

static bool can_be_meant(const struct kv_entry *entry, const json_t *value)
{
	const char *text = json_string_value(value);

	return text && (!entry->wrapped || vault_ciphertext_is_valid(text));
}

static enum err choose_field(const struct kv_entry *entry, json_t *data, const char **ret, struct err_ctx *e)
{
	char names[NAMES_SIZE];
	const char *name, *found = NULL;
	json_t *value;
	size_t n = 0;

	json_object_foreach (data, name, value) {
		if (entry->field ? !str_equal(name, entry->field) : !can_be_meant(entry, value))
			continue;
		found = name;
		n++;
	}
	if (n == 1) {
		*ret = found;
		return ERR_OK;
	}
	list_names(data, names);
	if (!*names)
		return err_set(e, ERR_VAULT_FIELD, "it has no field");
	if (entry->field)
		return err_set(e, ERR_VAULT_FIELD, "none is called '%.32s'; it has: %s", entry->field, names);
	return err_set(e, ERR_VAULT_FIELD, "%s of its fields %s: %s", n ? "more than one" : "none",
		       entry->wrapped ? "is a ciphertext of Transit" : "is a text", names);
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_NULL:
		return "null";
	default:
		return "true or false";
	}
}

static enum err take_text(const struct kv_entry *entry, const json_t *value, size_t max, struct secret **ret,
			  struct err_ctx *e)
{
	const char *text = json_string_value(value);

	if (!text)
		return err_set(e, ERR_KEY_SHAPE, "it is %s, no text", type_name(value));
	if (!*text)
		return err_set(e, ERR_KEY_SHAPE, "it is empty");
	if (entry->wrapped && !vault_ciphertext_is_valid(text))
		return err_set(e, ERR_KEY_SHAPE, "it is no ciphertext of Transit, \"vault:vN:\" and base64");
	if (!entry->wrapped && vault_ciphertext_is_valid(text))
		return err_set(e, ERR_KEY_SHAPE, "it was wrapped by Transit: --vault-transit names the key");
	if (!entry->wrapped && strlen(text) > max)
		return err_set(e, ERR_KEY_SHAPE, "it has more than %zu bytes", max);
	return secret_new_copy(text, strlen(text), ret, e);
}

enum err vault_entry_read(struct kv_entry *entry, const struct vault_answer *a, size_t max, struct secret **ret,
			  struct err_ctx *e)
{
	const char *field = NULL;
	json_t *data = NULL;
	enum err err = judge(a, &data, e);

	if (!err)
		err = choose_field(entry, data, &field, e);
	if (err)
		return err;
	snprintf(entry->made, sizeof(entry->made), "%s", made_of(a));
	entry->has_more = json_object_size(data) > 1;
	return err_wrap(e, take_text(entry, json_object_get(data, field), max, ret, e), "its field '%.32s'", field);
}

static enum err take(struct vault *v, struct kv_entry *entry, size_t max, struct secret **ret, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	enum err err = load(v, entry, a, e);

	return err ? err : vault_entry_read(entry, a, max, ret, e);
}

enum err vault_entry_take(struct vault *v, struct kv_entry *entry, size_t max, struct secret **ret, struct err_ctx *e)
{
	enum err err = *entry->mount ? ERR_OK : find_mount(v, entry, e);

	if (err)
		return err_wrap(e, err, "KV entry %s", entry->path);
	return err_wrap(e, take(v, entry, max, ret, e), "KV entry %s/%s", entry->mount, entry->path);
}

/* ---- destroying ---- */

/* Gone already is success. */
static enum err check_same(struct vault *v, const struct kv_entry *entry, bool *ret_gone, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	json_t *data = NULL;
	enum err err = load(v, entry, a, e);

	if (!err)
		err = judge(a, &data, e);
	*ret_gone = err == ERR_VAULT_NO_ENTRY;
	if (err)
		return *ret_gone ? ERR_OK : err;
	if (!*entry->made || !str_equal(made_of(a), entry->made))
		return err_set(e, ERR_VAULT_CHANGED, "it is not the version that the key was read from");
	return ERR_OK;
}

static enum err destroy(struct vault *v, const struct kv_entry *entry, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *path = NULL;
	bool gone = false;
	enum err err = check_same(v, entry, &gone, e);

	if (err || gone)
		return err;
	err = str_format(&path, e, "%s/metadata/%s", entry->mount, entry->path);
	const struct vault_question q = { .method = "DELETE", .path = path };
	if (!err)
		err = vault_ask(v, &q, a, e);
	if (!err && a->status != 204 && a->status != 200)
		err = vault_answer_unexpected(v, &q, a, e);
	return err;
}

enum err vault_entry_destroy(struct vault *v, const struct kv_entry *entry, struct err_ctx *e)
{
	return err_wrap(e, destroy(v, entry, e), "KV entry %s/%s", entry->mount, entry->path);
}
