/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>

#include "vault/internal.h"
#include "vault/policy.h"

/* An empty list allows every value; this one allows none that anybody has. */
#define NO_CONTEXT "no-slot-yet"

void vault_node_name(const struct vault_settings *s, char ret[static VAULT_WORD_SIZE])
{
	char host[VAULT_WORD_SIZE] = "";

	if (*s->node) {
		snprintf(ret, VAULT_WORD_SIZE, "%s", s->node);
		return;
	}
	if (gethostname(host, sizeof(host) - 1) < 0)
		*host = '\0';
	host[vault_word_length(host)] = '\0';
	snprintf(ret, VAULT_WORD_SIZE, "%s", *host ? host : "local");
}

void vault_role_name(const char *node, char ret[static VAULT_ROLE_SIZE])
{
	snprintf(ret, VAULT_ROLE_SIZE, "zseal-%s", node);
}

static enum err no_room(struct err_ctx *e)
{
	return err_set(e, ERR_NO_MEMORY, "room for a policy");
}

json_t *vault_policy_new(void)
{
	return json_pack("{s:{s:{s:[s]}}}", "path", "auth/token/revoke-self", "capabilities", "update");
}

static enum err parse(const char *name, const struct vault_answer *a, json_t **ret, struct err_ctx *e)
{
	const char *text = vault_answer_text(a, "data", "policy");
	_cleanup_(json_decrefp) json_t *policy = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (!json_is_object(json_object_get(policy, "path")))
		return err_set(e, ERR_VAULT_POLICY, "policy %s", name);
	*ret = TAKE(policy);
	return ERR_OK;
}

static enum err policy_path(const char *name, char **ret, struct err_ctx *e)
{
	return str_format(ret, e, "sys/policies/acl/%s", name);
}

enum err vault_policy_load(struct vault *v, const char *name, json_t **ret, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *path = NULL;
	enum err err = policy_path(name, &path, e);

	if (!err)
		err = vault_ask_json(v, "GET", path, NULL, a, e);
	if (err)
		return err;
	if (a->status == 200)
		return parse(name, a, ret, e);
	*ret = vault_policy_new();
	return *ret ? ERR_OK : no_room(e);
}

static json_t *new_rule(void)
{
	return json_pack("{s:[s], s:[s], s:{s:[], s:[s]}}", "capabilities", "update", "required_parameters", "context",
			 "allowed_parameters", "ciphertext", "context", NO_CONTEXT);
}

/* Where a text is in a list; its size if it is not there. */
static size_t find_text(const json_t *list, const char *text)
{
	size_t i = 0;

	while (i < json_array_size(list) && !str_equal(json_string_value(json_array_get(list, i)) ?: "", text))
		i++;
	return i;
}

static bool has_text(const json_t *list, const char *text)
{
	return find_text(list, text) < json_array_size(list);
}

static enum err add_context(json_t *contexts, const uint8_t *context, bool *ret_changed, struct err_ctx *e)
{
	char text[BASE64_TEXT_SIZE(VAULT_CONTEXT_SIZE)];

	base64_encode(SPAN(context, VAULT_CONTEXT_SIZE), text);
	if (has_text(contexts, text))
		return ERR_OK;
	*ret_changed = true;
	if (has_text(contexts, NO_CONTEXT))
		(void)json_array_clear(contexts);
	return json_array_append_new(contexts, json_string(text)) < 0 ? no_room(e) : ERR_OK;
}

static json_t *contexts_of(const json_t *paths, const char *path)
{
	return json_object_get(json_object_get(json_object_get(paths, path), "allowed_parameters"), "context");
}

enum err vault_policy_allow(json_t *policy, const struct vault_settings *s, const struct transit_key *key,
			    bool with_context, bool *ret_changed, struct err_ctx *e)
{
	_cleanup_free_ char *path = NULL;
	json_t *paths = json_object_get(policy, "path"), *contexts;
	enum err err = str_format(&path, e, "%s/decrypt/%s", s->transit_mount, key->name);

	if (err)
		return err;
	contexts = contexts_of(paths, path);
	if (!json_is_array(contexts)) {
		*ret_changed = true;
		if (json_object_set_new(paths, path, new_rule()) < 0)
			return no_room(e);
		contexts = contexts_of(paths, path);
	}
	return with_context ? add_context(contexts, key->context, ret_changed, e) : ERR_OK;
}

enum err vault_policy_forbid(json_t *policy, const struct vault_settings *s, const struct transit_key *key,
			     bool *ret_changed, struct err_ctx *e)
{
	char text[BASE64_TEXT_SIZE(VAULT_CONTEXT_SIZE)];
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "%s/decrypt/%s", s->transit_mount, key->name);

	if (err)
		return err;
	json_t *contexts = contexts_of(json_object_get(policy, "path"), path);
	base64_encode(SPAN(key->context, VAULT_CONTEXT_SIZE), text);
	*ret_changed = has_text(contexts, text);
	if (!*ret_changed)
		return ERR_OK;
	(void)json_array_remove(contexts, find_text(contexts, text));
	if (json_array_size(contexts) == 0 && json_array_append_new(contexts, json_string(NO_CONTEXT)) < 0)
		return no_room(e);
	return ERR_OK;
}

enum err vault_policy_allow_kv(json_t *policy, const struct vault_settings *s, const char *path, bool *ret_changed,
			       struct err_ctx *e)
{
	_cleanup_free_ char *full = NULL;
	json_t *paths = json_object_get(policy, "path");
	enum err err = str_format(&full, e, "%s/data/%s", s->kv_mount, path);

	if (err || json_object_get(paths, full))
		return err;
	*ret_changed = true;
	return json_object_set_new(paths, full, json_pack("{s:[s]}", "capabilities", "read")) < 0 ? no_room(e) : ERR_OK;
}

enum err vault_policy_grant(json_t *policy, const struct vault_settings *s, const struct vault_grants *grants,
			    bool *ret_changed, struct err_ctx *e)
{
	struct transit_key key = { .name = grants->key };
	enum err err = vault_policy_allow(policy, s, &key, false, ret_changed, e);

	for (size_t i = 0; !err && i < grants->n; i++) {
		const struct vault_grant *grant = &grants->list[i];

		memcpy(key.context, grant->context, sizeof(key.context));
		err = vault_policy_allow(policy, s, &key, true, ret_changed, e);
		if (!err && *grant->kv && *s->kv_mount)
			err = vault_policy_allow_kv(policy, s, grant->kv, ret_changed, e);
	}
	return err;
}

enum err vault_policy_text(const json_t *policy, char **ret, struct err_ctx *e)
{
	*ret = json_dumps(policy, JSON_INDENT(1));
	return *ret ? ERR_OK : no_room(e);
}

enum err vault_policy_store(struct vault *v, const char *name, const json_t *policy, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *path = NULL, *text = NULL;
	enum err err = policy_path(name, &path, e);

	if (!err)
		err = vault_policy_text(policy, &text, e);
	if (!err)
		err = vault_ask_json(v, "PUT", path, json_pack("{s:s}", "policy", text), a, e);
	if (!err && a->status != 200 && a->status != 204)
		err = err_set_http(e, ERR_VAULT_REQUEST, a->status, "%s", path);
	return err;
}

/* ---- for administrators ---- */

static int add_rule(json_t *paths, const char *mount, const char *rest, json_t *capabilities)
{
	char path[VAULT_PATH_SIZE + 64];

	snprintf(path, sizeof(path), "%s%s%s", mount, *mount ? "/" : "", rest);
	return json_object_set_new(paths, path, json_pack("{s:o}", "capabilities", capabilities));
}

/* encrypt has update alone: with create, a mistyped name would make a key. */
enum err vault_policy_admin(const struct vault_settings *s, json_t **ret, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *policy = json_pack("{s:{}}", "path");
	json_t *paths = json_object_get(policy, "path");
	char role[VAULT_PATH_SIZE + 16];
	int bad = 0;

	snprintf(role, sizeof(role), "auth/%s/role", s->approle_mount);
	bad |= add_rule(paths, s->transit_mount, "keys/+", json_pack("[s,s,s]", "create", "read", "update"));
	bad |= add_rule(paths, s->transit_mount, "keys/+/rotate", json_pack("[s]", "update"));
	bad |= add_rule(paths, s->transit_mount, "encrypt/+", json_pack("[s]", "update"));
	bad |= add_rule(paths, s->transit_mount, "rewrap/+", json_pack("[s]", "update"));
	bad |= add_rule(paths, s->transit_mount, "config/keys", json_pack("[s,s]", "read", "update"));
	bad |= add_rule(paths, role, "+", json_pack("[s,s,s]", "create", "read", "update"));
	bad |= add_rule(paths, role, "+/role-id", json_pack("[s]", "read"));
	bad |= add_rule(paths, role, "+/secret-id", json_pack("[s]", "update"));
	bad |= add_rule(paths, "sys/policies/acl", "zseal-*", json_pack("[s,s,s]", "create", "read", "update"));
	if (*s->kv_mount)
		bad |= add_rule(paths, s->kv_mount, "data/*", json_pack("[s,s]", "create", "update"));
	if (bad || !policy)
		return no_room(e);
	*ret = TAKE(policy);
	return ERR_OK;
}

/* ---- HCL ---- */

static void print_list(FILE *f, const json_t *list)
{
	fprintf(f, "[");
	for (size_t i = 0; i < json_array_size(list); i++)
		fprintf(f, "%s\"%s\"", i ? ", " : "", json_string_value(json_array_get(list, i)) ?: "");
	fprintf(f, "]");
}

static void print_rule(FILE *f, const char *path, json_t *rule)
{
	const char *name;
	json_t *value;

	fprintf(f, "path \"%s\" {\n", path);
	json_object_foreach (rule, name, value) {
		const char *inner;
		json_t *list;

		fprintf(f, "  %s = ", name);
		if (json_is_array(value)) {
			print_list(f, value);
			fprintf(f, "\n");
			continue;
		}
		fprintf(f, "{\n");
		json_object_foreach (value, inner, list) {
			fprintf(f, "    \"%s\" = ", inner);
			print_list(f, list);
			fprintf(f, "\n");
		}
		fprintf(f, "  }\n");
	}
	fprintf(f, "}\n");
}

enum err vault_policy_hcl(const json_t *policy, char **ret, struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	const char *path;
	json_t *rule;

	if (!f)
		return no_room(e);
	json_object_foreach (json_object_get(policy, "path"), path, rule)
		print_rule(f, path, rule);
	if (!memstream_close(f, &text))
		return no_room(e);
	*ret = TAKE(text);
	return ERR_OK;
}
