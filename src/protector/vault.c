/* SPDX-License-Identifier: MIT */
/*
 * Slots of type vault: the slot secret is encrypted by Transit in a Vault or OpenBao, under a key that is derived for
 * this slot alone. Vault sees the slot secret and nothing above it, and never what it opens.
 *
 * All slots of a command share one connection and one login, and if that failed, the failure: several keyrings wait for
 * a Vault that is away as long as one.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "event/event.h"
#include "format/slot-vault.h"
#include "protector/protector.h"
#include "protector/vault.h"
#include "sys/credstore.h"
#include "vault/policy.h"

static const struct vault_settings *settings_of(const struct protector_context *c)
{
	return c->vault_settings ? c->vault_settings : &vault_settings_default;
}

/* ---- the connection ---- */

/* A TPM that does not decrypt it now may do so later, and another slot may open: whatever is wrong passes. */
static enum err as_unavailable(enum err err, struct err_ctx *e)
{
	if (err == ERR_CREDENTIAL && e)
		e->code = ERR_VAULT_CREDENTIAL;
	return err == ERR_CREDENTIAL ? ERR_VAULT_CREDENTIAL : err;
}

static enum err read_credential(const char *name, struct deadline deadline, struct secret **ret, struct err_ctx *e)
{
	bool plain = false;
	enum err err = as_unavailable(credstore_read(name, deadline, ret, &plain, e), e);

	if (!err && plain)
		event_emit(&(struct event){ .id = EVENT_CREDENTIAL_PLAIN, .credential = name });
	return err;
}

static enum err check_credential(const char *name, struct err_ctx *e)
{
	return as_unavailable(credstore_check(name, e), e);
}

enum err protector_vault_credentials(const struct vault_settings *s, struct deadline deadline,
				     struct vault_credentials *ret, struct err_ctx *e)
{
	enum err err = read_credential(s->role_id, deadline, &ret->role_id, e);

	return err ? err : read_credential(s->secret_id, deadline, &ret->secret_id, e);
}

void vault_credentials_clear(struct vault_credentials *c)
{
	secret_free(TAKE(c->role_id));
	secret_free(TAKE(c->secret_id));
}

/* The key is as good as a secret_id, and is held to the same. libcurl reads both files, and says what is wrong inside. */
static enum err check_certificate(const struct vault_settings *s, struct err_ctx *e)
{
	enum err err = credstore_check_file(s->client_key, e);

	if (!err && access(s->client_cert, R_OK) < 0)
		err = err_set_errno(e, ERR_CREDENTIAL, errno, "opening %s", s->client_cert);
	if (err == ERR_CREDENTIAL && e)
		e->code = ERR_VAULT_CLIENT_CERT;
	return err == ERR_CREDENTIAL ? ERR_VAULT_CLIENT_CERT : err;
}

static enum err log_in_by_certificate(const struct vault_settings *s, struct vault *v, struct err_ctx *e)
{
	char node[VAULT_WORD_SIZE], role[VAULT_ROLE_SIZE];
	enum err err = check_certificate(s, e);

	vault_node_name(s, node);
	vault_role_name(node, role);
	return err ? err : vault_login_cert(v, role, e);
}

static enum err log_in_by_approle(const struct vault_settings *s, struct vault *v, struct deadline deadline,
				  struct err_ctx *e)
{
	_cleanup_(vault_credentials_clearp) struct vault_credentials *c = &(struct vault_credentials){ 0 };
	enum err err = protector_vault_credentials(s, deadline, c, e);

	return err ? err : vault_login(v, c->role_id, c->secret_id, e);
}

static enum err log_in(const struct vault_settings *s, struct deadline deadline, struct vault **ret, struct err_ctx *e)
{
	_cleanup_(vault_closep) struct vault *v = NULL;
	enum err err = vault_open(s, &v, e);

	if (err)
		return err;
	vault_set_deadline(v, deadline);
	err = s->login == VAULT_LOGIN_CERT ? log_in_by_certificate(s, v, e) : log_in_by_approle(s, v, deadline, e);
	if (!err)
		*ret = TAKE(v);
	return err;
}

/* A signal is no failure of Vault's, and one that had no time may yet answer. */
static bool stays(const struct protector_context *c, enum err err)
{
	enum err_class class = err_info(err)->class;

	return class != CLASS_INTERRUPTED && class != CLASS_BUG && !(c->hedged && class == CLASS_UNAVAILABLE);
}

enum err protector_vault_node(struct protector_context *c, struct deadline deadline, struct vault **ret,
			      struct err_ctx *e)
{
	struct err_ctx own = { 0 };
	enum err err = c->vault_error.code;

	if (!err && !c->vault) {
		err = log_in(settings_of(c), deadline, &c->vault, &own);
		if (stays(c, err))
			c->vault_error = own;
	} else if (err) {
		own = c->vault_error;
	}
	if (err) {
		if (e)
			*e = own;
		return err;
	}
	vault_set_deadline(c->vault, deadline);
	*ret = c->vault;
	return ERR_OK;
}

enum err protector_vault_asking(struct protector_context *c, struct deadline deadline, struct vault **ret,
				struct err_ctx *e)
{
	enum err err = ERR_OK;

	if (!c->vault_token)
		return protector_vault_node(c, deadline, ret, e);
	if (!c->vault_admin)
		err = vault_open(c->vault_admin_settings, &c->vault_admin, e);
	if (!err)
		err = vault_set_token(c->vault_admin, c->vault_token, e);
	if (err)
		return err;
	vault_set_deadline(c->vault_admin, deadline);
	*ret = c->vault_admin;
	return ERR_OK;
}

/* ---- making ---- */

static struct transit_key key_of(const char *name, const struct uuid *keyring, const struct uuid *slot)
{
	struct transit_key key = { .name = name };

	slot_vault_context(keyring, slot, key.context);
	return key;
}

/* A key that does not derive opens every slot's ciphertext for whoever may decrypt with it: an older site's, accepted. */
static enum err look_at_key(struct vault *v, const struct transit_key *key, struct err_ctx *e)
{
	struct err_ctx own = { 0 };
	bool derived = true;
	enum err err = vault_transit_look(v, key->name, &derived, &own);

	if (!err && !derived)
		event_emit(&(struct event){ .id = EVENT_VAULT_KEY_SHARED, .vault = { .key = key->name } });
	if (!err || err == ERR_VAULT_DENIED)
		return ERR_OK;
	if (e)
		*e = own;
	return err;
}

/*
 * The node's policy has to name the new slot's context. Where this token may not write it, or somebody else wrote it, it
 * may allow the slot all the same: the proof that follows tells.
 */
static enum err allow_slot(struct protector_context *c, struct vault *v, const struct transit_key *key, const char *kv,
			   struct err_ctx *e)
{
	char node[VAULT_WORD_SIZE], role[VAULT_ROLE_SIZE];
	_cleanup_(json_decrefp) json_t *policy = NULL;
	struct err_ctx own = { 0 };
	bool changed = false;
	enum err err;

	vault_node_name(settings_of(c), node);
	vault_role_name(node, role);
	err = vault_policy_load(v, role, &policy, &own);
	if (!err)
		err = vault_policy_allow(policy, settings_of(c), key, true, &changed, &own);
	if (!err && *kv)
		err = vault_policy_allow_kv(policy, settings_of(c), kv, &changed, &own);
	if (!err && changed)
		err = vault_policy_store(v, role, policy, &own);
	if (!err || err == ERR_VAULT_DENIED || err == ERR_VAULT_POLICY)
		return ERR_OK;
	if (e)
		*e = own;
	return err;
}

/*
 * The context of a slot that is no more opens nothing, but whoever reads the policy should not have to find that out.
 * What another node's policy allows is not known here.
 */
static enum err forget(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	char node[VAULT_WORD_SIZE], role[VAULT_ROLE_SIZE];
	_cleanup_(json_decrefp) json_t *policy = NULL;
	struct slot_vault s;
	struct vault *v;
	bool changed = false;
	enum err err = slot_vault_parse(slot->protect, &s, e);

	if (!err && !c->vault_token)
		err = err_set(e, ERR_VAULT_TOKEN, "taking slot %s out of the node's policy", slot->name);
	if (!err)
		err = protector_vault_asking(c, deadline_in(settings_of(c)->timeout_ms), &v, e);
	if (err)
		return err;
	const struct transit_key key = key_of(s.key, &slot->keyring, &slot->uuid);
	vault_node_name(settings_of(c), node);
	vault_role_name(node, role);
	err = vault_policy_load(v, role, &policy, e);
	if (!err)
		err = vault_policy_forbid(policy, settings_of(c), &key, &changed, e);
	return err || !changed ? err : vault_policy_store(v, role, policy, e);
}

static enum err prepare_vault(struct protector_context *c, struct vault *v, const struct transit_key *key,
			      const char *kv, struct err_ctx *e)
{
	enum err err = c->vault_token ? look_at_key(v, key, e) : ERR_OK;

	return err || !c->vault_token || c->dry_run ? err : allow_slot(c, v, key, kv, e);
}

/* Where this node has its copy; "" if the slot has none. */
static enum err kv_path(const struct protector_context *c, const struct slot_vault *s, char ret[static VAULT_KV_SIZE],
			struct err_ctx *e)
{
	char node[VAULT_WORD_SIZE];

	*ret = '\0';
	vault_node_name(settings_of(c), node);
	if (*s->kv && !slot_vault_kv_path(s, node, ret))
		return err_set(e, ERR_USAGE, "the path in KV is too long with the name of this node");
	if (*s->kv && !*settings_of(c)->kv_mount)
		return err_set(e, ERR_CONFIG, "the slot has a copy in KV, and [vault] kv-mount is not set");
	return ERR_OK;
}

static enum err remember_made(struct protector_context *c, const struct uuid *slot, const struct secret *s,
			      struct err_ctx *e)
{
	if (!c->dry_run)
		return ERR_OK;
	c->vault_made_for = *slot;
	secret_free(TAKE(c->vault_made));
	return secret_new_copy(secret_data(s), secret_size(s), &c->vault_made, e);
}

/* ---- the protector ---- */

static enum err protect(struct protector_context *c, const struct protect_request *r, struct secret **ret_secret,
			char **ret_protect, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *secret = NULL;
	struct slot_vault s = { 0 };
	char kv[VAULT_KV_SIZE];
	struct vault *v;

	if (!r->vault_key || !vault_word_is_valid(r->vault_key))
		return err_set(e, ERR_USAGE, "a Transit key is named with 1 to 63 of A-Z a-z 0-9 _ -");
	snprintf(s.cluster, sizeof(s.cluster), "%s", settings_of(c)->cluster);
	snprintf(s.key, sizeof(s.key), "%s", r->vault_key);
	snprintf(s.kv, sizeof(s.kv), "%s", r->vault_kv ? r->vault_kv : "");
	const struct transit_key key = key_of(s.key, &r->keyring, &r->slot);
	enum err err = kv_path(c, &s, kv, e);
	if (!err)
		err = protector_vault_asking(c, r->deadline, &v, e);
	if (!err)
		err = prepare_vault(c, v, &key, kv, e);
	if (!err)
		err = secret_new_random(KEY_SIZE, &secret, e);
	if (!err)
		err = vault_transit_encrypt(v, &key, secret, s.ciphertext, e);
	if (!err && *kv && !c->dry_run)
		err = vault_kv_write(v, kv, s.ciphertext, e);
	if (!err)
		err = remember_made(c, &r->slot, secret, e);
	if (!err)
		err = slot_vault_print(&s, ret_protect, e);
	if (!err)
		*ret_secret = TAKE(secret);
	return err;
}

static enum err begin(const struct protector_context *c, const struct slot *slot, struct slot_vault *ret,
		      struct err_ctx *e)
{
	const struct vault_settings *s = settings_of(c);
	enum err err = slot_vault_parse(slot->protect, ret, e);

	if (err)
		return err;
	if (s->n_addresses == 0)
		return err_set(e, ERR_VAULT_UNSET, "[vault] has no address");
	if (!str_equal(s->cluster, ret->cluster))
		return err_set(e, ERR_VAULT_UNSET, "the slot's is called %s, that of zseal.conf %s", ret->cluster,
			       s->cluster);
	return ERR_OK;
}

static enum err decrypt_copy(const struct protector_context *c, struct vault *v, const struct slot_vault *s,
			     const struct transit_key *key, struct secret **ret, struct err_ctx *e)
{
	char path[VAULT_KV_SIZE], ciphertext[VAULT_CIPHERTEXT_MAX];
	enum err err = kv_path(c, s, path, e);

	if (!err)
		err = vault_kv_read(v, path, ciphertext, e);
	if (!err)
		err = vault_transit_decrypt(v, key, ciphertext, ret, e);
	return err_wrap(e, err, "its copy in KV");
}

/* The copy serves where the pool's own is damaged; a test proves both. */
static enum err decrypt(const struct protector_context *c, struct vault *v, const struct slot *slot,
			const struct slot_vault *s, struct secret **ret, struct err_ctx *e)
{
	const struct transit_key key = key_of(s->key, &slot->keyring, &slot->uuid);
	_cleanup_secret_ struct secret *own = NULL, *copy = NULL;
	enum err err = vault_transit_decrypt(v, &key, s->ciphertext, &own, e);

	if (*s->kv && err == ERR_VAULT_CIPHERTEXT && !c->thorough)
		return decrypt_copy(c, v, s, &key, ret, e);
	if (!err && *s->kv && c->thorough)
		err = decrypt_copy(c, v, s, &key, &copy, e);
	if (!err && copy && !secret_equal(own, copy))
		err = err_set(e, ERR_VAULT_CIPHERTEXT, "its copy in KV is another slot's");
	if (!err)
		*ret = TAKE(own);
	return err;
}

static enum err open_slot(struct protector_context *c, const struct slot *slot, struct deadline deadline,
			  struct secret **ret_secret, struct err_ctx *e)
{
	struct err_ctx own = { 0 };
	struct slot_vault s;
	struct vault *v;
	enum err err = begin(c, slot, &s, &own);

	if (!err && c->vault_made && uuid_equal(&slot->uuid, &c->vault_made_for))
		return secret_new_copy(secret_data(c->vault_made), secret_size(c->vault_made), ret_secret, e);
	if (!err)
		err = protector_vault_node(c, deadline, &v, &own);
	if (!err)
		err = decrypt(c, v, slot, &s, ret_secret, &own);
	if (err_info(err)->class == CLASS_UNAVAILABLE && stays(c, err))
		c->vault_error = own;
	if (err && e)
		*e = own;
	return err;
}

static enum err check_login(const struct vault_settings *s, struct err_ctx *e)
{
	enum err err;

	if (s->login == VAULT_LOGIN_CERT)
		return check_certificate(s, e);
	err = check_credential(s->role_id, e);
	return err ? err : check_credential(s->secret_id, e);
}

/* Nobody is asked: `status` shall not wait for a network, nor leave a line in Vault's audit. */
static enum err check(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	struct err_ctx ends = { 0 };
	struct slot_vault s;
	enum err err = begin(c, slot, &s, e);

	if (!err)
		err = check_login(settings_of(c), e);
	if (err || !vault_lifetime_check(settings_of(c), &ends) || err_info(ends.code)->class != CLASS_REFUSED)
		return err;
	*e = ends;
	return e->code;
}

void protector_vault_clear(struct protector_context *c)
{
	vault_close(TAKE(c->vault));
	vault_close(TAKE(c->vault_admin));
	secret_free(TAKE(c->vault_made));
}

const struct protector protector_vault = {
	.type = "vault",
	.remote = true,
	.protect = protect,
	.open = open_slot,
	.check = check,
	.forget = forget,
};
