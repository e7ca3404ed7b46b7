/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "vault/setup.h"

/* What there should be. The members of should are compared with the answer's data; body is sent if they differ. */
struct wish {
	const char *what;
	char look[2 * VAULT_PATH_SIZE], change[2 * VAULT_PATH_SIZE];
	json_t *should, *body; /* owned; body NULL: the same as should */
	bool keep;             /* never changed once it is there */
	bool required;         /* that it is missing is an error */
};

static void wish_clear(struct wish *w)
{
	json_decref(w->should);
	json_decref(w->body);
}

static enum err no_room(struct err_ctx *e)
{
	return err_set(e, ERR_NO_MEMORY, "room for a request");
}

/* Vault writes "192.0.2.1/32" as "192.0.2.1". */
static bool same_text(const char *a, const char *b)
{
	size_t n = strcspn(a, "/"), m = strcspn(b, "/");
	bool whole_a = !a[n] || str_equal(a + n, "/32") || str_equal(a + n, "/128");
	bool whole_b = !b[m] || str_equal(b + m, "/32") || str_equal(b + m, "/128");

	return str_equal(a, b) || (whole_a && whole_b && n == m && strncmp(a, b, n) == 0);
}

static bool same_list(const json_t *a, const json_t *b)
{
	if (json_array_size(a) != json_array_size(b))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!same_text(json_string_value(json_array_get(a, i)) ?: "",
			       json_string_value(json_array_get(b, i)) ?: ""))
			return false;
	return true;
}

/* No CIDRs is null in Vault's answer. */
static bool same(const json_t *should, const json_t *is)
{
	if (json_is_array(should))
		return same_list(should, is);
	return json_equal((json_t *)should, (json_t *)is);
}

static bool is_as_wished(const struct wish *w, const struct vault_answer *a)
{
	json_t *data = json_object_get(a->json, "data"), *should;
	const char *name;

	json_object_foreach (w->should, name, should)
		if (!same(should, json_object_get(data, name)))
			return false;
	return true;
}

static enum err change(struct vault_setup *s, const struct wish *w, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	json_t *body = w->body ? w->body : w->should;
	_cleanup_free_ char *text = json_dumps(body, JSON_COMPACT);
	struct vault_step step = {
		.state = s->dry_run ? STEP_WOULD : STEP_DONE,
		.what = w->what,
		.method = "POST",
		.path = w->change,
		.body = text,
	};
	enum err err = text ? ERR_OK : no_room(e);

	if (!err && !s->dry_run)
		err = vault_ask_json(s->vault, "POST", w->change, json_incref(body), a, e);
	if (!err && !s->dry_run && a->status != 200 && a->status != 204)
		err = err_set_http(e, ERR_VAULT_REQUEST, a->status, "%s", w->change);
	if (!err)
		s->tell(s->arg, &step);
	return err;
}

static enum err ensure(struct vault_setup *s, const struct wish *w, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	struct vault_step step = { .what = w->what };
	enum err err = w->should ? vault_ask_json(s->vault, "GET", w->look, NULL, a, e) : no_room(e);

	if (err)
		return err_wrap(e, err, "%s", w->what);
	bool there = a->status == 200;
	if (there && (is_as_wished(w, a) || w->keep)) {
		step.state = is_as_wished(w, a) ? STEP_THERE : STEP_DIFFERS;
		s->tell(s->arg, &step);
		return ERR_OK;
	}
	if (!there && w->required)
		return err_set_http(e, ERR_VAULT_NOT_FOUND, a->status, "%s: --mounts makes it", w->what);
	return err_wrap(e, change(s, w, e), "%s", w->what);
}

/* ---- the wishes ---- */

/* Frees should. */
static enum err ensure_mount(struct vault_setup *s, const char *what, const char *where, const char *mount,
			     json_t *should, struct err_ctx *e)
{
	_cleanup_(wish_clear) struct wish w = {
		.what = what,
		.keep = true,
		.required = !s->mounts,
		.should = should,
	};

	snprintf(w.look, sizeof(w.look), "%s/%s", where, mount);
	strcpy(w.change, w.look);
	return ensure(s, &w, e);
}

/* Whoever knows a role_id could lock its node out; a secret_id of 128 bits needs no lock. */
static enum err ensure_no_lockout(struct vault_setup *s, struct err_ctx *e)
{
	_cleanup_(wish_clear) struct wish w = {
		.what = "nobody can lock a node out",
		.should = json_pack("{s:b}", "user_lockout_disable", 1),
		.body = json_pack("{s:{s:b}}", "user_lockout_config", "lockout_disable", 1),
	};

	snprintf(w.look, sizeof(w.look), "sys/auth/%s/tune", s->settings->approle_mount);
	strcpy(w.change, w.look);
	return ensure(s, &w, e);
}

static enum err ensure_key(struct vault_setup *s, struct err_ctx *e)
{
	_cleanup_(wish_clear) struct wish key = {
		.what = "the Transit key",
		.keep = true,
		.should = json_pack("{s:s, s:b, s:b, s:b}", "type", "aes256-gcm96", "derived", 1, "exportable", 0,
				    "allow_plaintext_backup", 0),
	};
	_cleanup_(wish_clear) struct wish upsert = {
		.what = "encrypting makes no keys",
		.should = json_pack("{s:b}", "disable_upsert", 1),
	};

	snprintf(key.look, sizeof(key.look), "%s/keys/%s", s->settings->transit_mount, s->key);
	strcpy(key.change, key.look);
	snprintf(upsert.look, sizeof(upsert.look), "%s/config/keys", s->settings->transit_mount);
	strcpy(upsert.change, upsert.look);
	enum err err = ensure(s, &key, e);
	return err ? err : ensure(s, &upsert, e);
}

static enum err write_policy(struct vault_setup *s, const char *what, const char *name, const json_t *policy,
			     struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL, *path = NULL;
	enum err err = str_format(&path, e, "sys/policies/acl/%s", name);

	if (!err)
		err = vault_policy_text(policy, &text, e);
	if (!err && !s->dry_run)
		err = vault_policy_store(s->vault, name, policy, e);
	if (!err)
		s->tell(s->arg, &(struct vault_step){ s->dry_run ? STEP_WOULD : STEP_DONE, what, "PUT", path, text });
	return err;
}

static enum err ensure_policy(struct vault_setup *s, const char *role, struct err_ctx *e)
{
	const struct vault_grants grants = { s->key, s->n_grants, s->grants };
	_cleanup_(json_decrefp) json_t *policy = NULL;
	bool changed = false;
	enum err err = vault_policy_load(s->vault, role, &policy, e);

	if (!err)
		err = vault_policy_grant(policy, s->settings, &grants, &changed, e);
	if (!err && s->renewable)
		err = vault_policy_allow_renewal(policy, s->settings, role, &changed, e);
	if (!err && changed)
		err = write_policy(s, "the node's policy", role, policy, e);
	else if (!err)
		s->tell(s->arg, &(struct vault_step){ .state = STEP_THERE, .what = "the node's policy" });
	return err;
}

static enum err ensure_admin_policy(struct vault_setup *s, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *wanted = NULL, *is = NULL;
	enum err err = vault_policy_admin(s->settings, &wanted, e);

	if (!err)
		err = vault_policy_load(s->vault, "zseal-admin", &is, e);
	if (err)
		return err;
	if (!json_equal(wanted, is))
		return write_policy(s, "the administrators' policy", "zseal-admin", wanted, e);
	s->tell(s->arg, &(struct vault_step){ .state = STEP_THERE, .what = "the administrators' policy" });
	return ERR_OK;
}

static json_t *list_of(const char *cidrs)
{
	json_t *list = json_array();

	for (const char *p = cidrs ? cidrs : ""; *p;) {
		size_t n = strcspn(p, ",");

		(void)json_array_append_new(list, json_stringn(p, n));
		p += n + (p[n] == ',');
	}
	return list;
}

/* Batch tokens: two requests for an unlock instead of three, and nothing left behind. */
static enum err ensure_role(struct vault_setup *s, const char *role, struct err_ctx *e)
{
	_cleanup_(wish_clear) struct wish w = {
		.what = "the node's AppRole",
		.should = json_pack("{s:[s], s:s, s:b, s:b, s:I, s:I, s:i, s:o, s:o}", "token_policies", role,
				    "token_type", "batch", "token_no_default_policy", 1, "bind_secret_id", 1,
				    "token_ttl", (json_int_t)s->token_ttl_s, "secret_id_ttl",
				    (json_int_t)s->secret_id_ttl_s, "secret_id_num_uses", 0, "secret_id_bound_cidrs",
				    list_of(s->cidrs), "token_bound_cidrs", list_of(s->cidrs)),
	};

	snprintf(w.look, sizeof(w.look), "auth/%s/role/%s", s->settings->approle_mount, role);
	strcpy(w.change, w.look);
	return ensure(s, &w, e);
}

/* The same rights, whatever is shown. Without a list of names, whatever the certificate signs may come. */
static enum err ensure_certificate(struct vault_setup *s, const char *role, struct err_ctx *e)
{
	_cleanup_(wish_clear) struct wish w = {
		.what = "the node's certificate",
		.should = json_pack("{s:s, s:[s], s:s, s:b, s:I, s:o, s:o}", "certificate", s->certificate,
				    "token_policies", role, "token_type", "batch", "token_no_default_policy", 1,
				    "token_ttl", (json_int_t)s->token_ttl_s, "allowed_names",
				    list_of(s->certificate_names), "token_bound_cidrs", list_of(s->cidrs)),
	};

	snprintf(w.look, sizeof(w.look), "auth/%s/certs/%s", s->settings->cert_mount, role);
	strcpy(w.change, w.look);
	return ensure(s, &w, e);
}

static enum err ensure_login(struct vault_setup *s, const char *role, struct err_ctx *e)
{
	return s->login == VAULT_LOGIN_CERT ? ensure_certificate(s, role, e) : ensure_role(s, role, e);
}

static json_t *of_type(const char *type)
{
	return json_pack("{s:s}", "type", type);
}

static enum err ensure_engines(struct vault_setup *s, struct err_ctx *e)
{
	const struct vault_settings *v = s->settings;
	enum err err = ensure_mount(s, "the Transit engine", "sys/mounts", v->transit_mount, of_type("transit"), e);

	if (err || !*v->kv_mount)
		return err;
	return ensure_mount(s, "the KV engine, version 2", "sys/mounts", v->kv_mount,
			    json_pack("{s:s, s:{s:s}}", "type", "kv", "options", "version", "2"), e);
}

static enum err ensure_methods(struct vault_setup *s, struct err_ctx *e)
{
	const struct vault_settings *v = s->settings;
	enum err err = ensure_engines(s, e);

	if (!err && s->login == VAULT_LOGIN_CERT)
		return ensure_mount(s, "the certificate method", "sys/auth", v->cert_mount, of_type("cert"), e);
	if (!err)
		err = ensure_mount(s, "the AppRole method", "sys/auth", v->approle_mount, of_type("approle"), e);
	return err ? err : ensure_no_lockout(s, e);
}

static enum err ensure_audit(struct vault_setup *s, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_(wish_clear) struct wish w = {
		.what = "the audit notes X-Correlation-Id",
		.look = "sys/config/auditing/request-headers/X-Correlation-Id",
		.should = json_pack("{s:{s:b}}", "X-Correlation-Id", "hmac", 0),
		.body = json_pack("{s:b}", "hmac", 0),
	};

	strcpy(w.change, w.look);
	enum err err = ensure(s, &w, e);
	if (!err)
		err = vault_ask_json(s->vault, "GET", "sys/audit", NULL, a, e);
	if (!err)
		s->has_audit = json_object_size(json_object_get(a->json, "data")) > 0;
	return err;
}

enum err vault_setup(struct vault_setup *s, struct err_ctx *e)
{
	char role[VAULT_ROLE_SIZE];
	enum err err = ensure_methods(s, e);

	vault_role_name(s->node, role);
	if (!err)
		err = ensure_key(s, e);
	if (!err)
		err = ensure_policy(s, role, e);
	if (!err)
		err = ensure_admin_policy(s, e);
	if (!err)
		err = ensure_login(s, role, e);
	s->knows_audit = !*s->settings->namespace;
	if (!err && s->knows_audit)
		err = ensure_audit(s, e);
	return err;
}
