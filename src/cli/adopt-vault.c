/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cli/adopt-vault.h"
#include "cli/output.h"
#include "core/adopt-key.h"
#include "protector/vault.h"
#include "vault/policy.h"

enum { CONTEXT_MAX = 256 /* bytes of base64 */ };

enum err vault_source_check(const struct invocation *inv, struct err_ctx *e)
{
	static const struct {
		const char *option, *to;
	} belongs[] = {
		{ "vault-kv-mount", "vault-kv" }, { "vault-field", "vault-kv" }, { "vault-transit", "vault-kv" },
		{ "vault-token-fd", "vault-kv" }, { "vault-context", "vault-transit" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(belongs); i++)
		if (invocation_has(inv, belongs[i].option) && !invocation_has(inv, belongs[i].to))
			return err_set(e, ERR_USAGE, "--%s belongs to --%s", belongs[i].option, belongs[i].to);
	return ERR_OK;
}

/* ---- what the options say ---- */

static enum err take_place(const struct invocation *inv, const struct vault_settings *s, struct kv_entry *ret,
			   struct err_ctx *e)
{
	const char *path = invocation_value(inv, "vault-kv"), *mount = invocation_value(inv, "vault-kv-mount");
	struct slot_vault as_in_slots = { 0 };
	char node[VAULT_WORD_SIZE];

	vault_node_name(s, node);
	int n = snprintf(as_in_slots.kv, sizeof(as_in_slots.kv), "%s", path);
	if (n >= (int)sizeof(as_in_slots.kv) || !slot_vault_kv_path(&as_in_slots, node, ret->path) ||
	    !vault_site_path_is_valid(ret->path, sizeof(ret->path)))
		return err_set(e, ERR_USAGE, "--vault-kv takes names of A-Z a-z 0-9 . _ ~ -, or {node}, with single "
			       "slashes between them");
	if (mount && !vault_site_path_is_valid(mount, sizeof(ret->mount)))
		return err_set(e, ERR_USAGE, "--vault-kv-mount takes a mount as bao secrets list names it, without "
			       "the slash at its end");
	snprintf(ret->mount, sizeof(ret->mount), "%s", mount ? mount : s->kv_mount);
	ret->field = invocation_value(inv, "vault-field");
	ret->wrapped = invocation_has(inv, "vault-transit");
	return ERR_OK;
}

/* "KEY", "MOUNT/KEY", or as the API has it, "MOUNT/keys/KEY". */
static enum err take_key(const char *text, const struct vault_settings *s, struct site_key *ret, struct err_ctx *e)
{
	static const char keys[] = "/keys";
	const char *slash = strrchr(text, '/'), *name = slash ? slash + 1 : text;
	size_t n = slash ? (size_t)(slash - text) : 0, tail = sizeof(keys) - 1;

	if (n > tail && strncmp(slash - tail, keys, tail) == 0)
		n -= tail;
	if (!vault_site_path_is_valid(text, VAULT_PATH_SIZE) || strlen(name) >= sizeof(ret->name))
		return err_set(e, ERR_USAGE, "--vault-transit takes a key of Transit, such as zfs-wrapper-tank or "
			       "transit/zfs-wrapper-tank");
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->mount, sizeof(ret->mount), "%.*s", slash ? (int)n : VAULT_PATH_SIZE - 1,
		 slash ? text : s->transit_mount);
	return ERR_OK;
}

static enum err take_context(const char *text, struct site_key *ret, struct err_ctx *e)
{
	uint8_t bytes[BASE64_BYTES_MAX(CONTEXT_MAX)];
	size_t size = 0;

	if (!base64_decode(text, bytes, sizeof(bytes), &size) || size == 0)
		return err_set(e, ERR_USAGE, "--vault-context takes base64, as bao write takes a context");
	ret->context = text;
	return ERR_OK;
}

static enum err take_options(const struct invocation *inv, const struct vault_settings *s, struct vault_source *ret,
			     struct err_ctx *e)
{
	const char *key = invocation_value(inv, "vault-transit"), *context = invocation_value(inv, "vault-context");
	enum err err = take_place(inv, s, &ret->entry, e);

	if (!err && key)
		err = take_key(key, s, &ret->key, e);
	if (!err && context)
		err = take_context(context, &ret->key, e);
	return err;
}

/* ---- asking ---- */

static enum err unwrap(struct vault *v, const struct vault_source *s, const struct secret *ciphertext,
		       struct secret **ret, struct err_ctx *e)
{
	enum err err = vault_transit_unwrap(v, &s->key, ciphertext, GIVEN_MAX, ret, e);

	if (!err && !s->key.context)
		say(stderr, OUTPUT_WARNING "the Transit key %s/%s does not derive: whoever may decrypt with it opens "
		    "all that it wrapped, other nodes' keys too\n", s->key.mount, s->key.name);
	return err;
}

enum err vault_source_get(const struct invocation *inv, struct session *session, struct vault_source *ret,
			  struct secret **ret_given, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *text = NULL;
	struct vault *v;
	enum err err = vault_admin_get(inv, session, e);

	if (!err && !session->vault_token && session->config.vault.n_addresses == 0)
		err = err_set(e, ERR_VAULT_TOKEN, "and zseal.conf has no [vault] address where this node could log in");
	if (!err)
		err = take_options(inv, &session->vault_admin, ret, e);
	output_progress("asking Vault for the key");
	if (!err)
		err = protector_vault_asking(&session->context, deadline_in(session->vault_admin.timeout_ms), &v, e);
	if (!err)
		err = vault_entry_take(v, &ret->entry, GIVEN_MAX, &text, e);
	if (!err && ret->entry.wrapped)
		err = unwrap(v, ret, text, ret_given, e);
	else if (!err)
		*ret_given = TAKE(text);
	output_progress(NULL);
	return err;
}
