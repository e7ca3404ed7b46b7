/* SPDX-License-Identifier: MIT */
/* AppRole: role_id and secret_id for a token, and the token back. */
#include <string.h>

#include "vault/internal.h"

static enum err make_body(const struct secret *role_id, const struct secret *secret_id, struct secret **ret,
			  struct err_ctx *e)
{
	struct body b = { 0 };

	body_add(&b, "{\"role_id\":");
	body_add_secret(&b, role_id);
	body_add(&b, ",\"secret_id\":");
	body_add_secret(&b, secret_id);
	body_add(&b, "}");
	return body_take(&b, ret, e);
}

/* A batch token cannot be revoked, and ends by itself. */
static enum err take_token(struct vault *v, const struct vault_question *q, const struct vault_answer *a,
			   struct err_ctx *e)
{
	const char *text = vault_answer_text(a, "auth", "client_token"),
		   *type = vault_answer_text(a, "auth", "token_type");
	_cleanup_secret_ struct secret *token = NULL;

	if (!text || !*text || strlen(text) > 2048)
		return vault_answer_bad(v, q, "no token", e);
	enum err err = secret_new_copy(text, strlen(text), &token, e);
	if (!err && vault_set_token(v, token, NULL))
		err = vault_answer_bad(v, q, "no token", e);
	v->gives_back = !err && !(type && str_equal(type, "batch"));
	v->ttl_s = (uint64_t)json_integer_value(json_object_get(json_object_get(a->json, "auth"), "lease_duration"));
	return err;
}

/* A wrong secret_id is told as 400, and so is a source address that the role does not allow: no second try, ever. */
static enum err judge_login(struct vault *v, const struct vault_question *q, const struct vault_answer *a,
			    struct err_ctx *e)
{
	const char *address = v->settings->addresses[v->winner];

	switch (a->status) {
	case 200:
		return take_token(v, q, a, e);
	case 400:
		return err_set_http(e, ERR_VAULT_LOGIN, 400, "%s: %s", address,
				    vault_answer_says(a, "source address") || vault_answer_says(a, "cidr")
					    ? "not from this network address"
					    : "wrong, expired or used up");
	default:
		return vault_answer_unexpected(v, q, a, e);
	}
}

enum err vault_login(struct vault *v, const struct secret *role_id, const struct secret *secret_id, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_secret_ struct secret *body = NULL;
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "auth/%s/login", v->settings->approle_mount);

	if (!err)
		err = make_body(role_id, secret_id, &body, e);
	if (err)
		return err;
	const struct vault_question q = { .method = "POST", .path = path, .body = body };
	secret_free(TAKE(v->token));
	err = vault_ask(v, &q, a, e);
	return err ? err : judge_login(v, &q, a, e);
}

struct vault_login_info vault_login_info(const struct vault *v)
{
	return (struct vault_login_info){
		.address = v->settings->addresses[v->winner],
		.ttl_s = v->ttl_s,
		.batch = !v->gives_back,
	};
}

/* ---- a secret_id that comes wrapped ---- */

/* Who asks is the wrapping token itself. */
static enum err ask_wrapping(struct vault *v, const char *path, const struct secret *wrapped, bool once,
			     struct vault_answer *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *body = NULL;
	struct body b = { 0 };

	body_add(&b, once ? "{" : "{\"token\":");
	if (!once)
		body_add_secret(&b, wrapped);
	body_add(&b, "}");
	enum err err = once ? vault_set_token(v, wrapped, e) : ERR_OK;
	if (!err)
		err = body_take(&b, &body, e);
	const struct vault_question q = { .method = "POST", .path = path, .body = body, .once = once };
	if (!err)
		err = vault_ask(v, &q, ret, e);
	secret_free(TAKE(v->token));
	if (!err && ret->status != 200)
		err = err_set_http(e, ERR_VAULT_WRAPPED, ret->status, "it is used up, too old, or none");
	return err;
}

/* Looking does not use it up: a token that came from elsewhere is left to whoever has to explain it. */
static enum err check_origin(struct vault *v, const struct secret *wrapped, const char *role, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *expected = NULL;
	enum err err = str_format(&expected, e, "auth/%s/role/%s/secret-id", v->settings->approle_mount, role);

	if (!err)
		err = ask_wrapping(v, "sys/wrapping/lookup", wrapped, false, a, e);
	if (err)
		return err;
	const char *path = vault_answer_text(a, "data", "creation_path");
	return path && str_equal(path, expected) ? ERR_OK
						 : err_set(e, ERR_VAULT_WRAPPED, "it does not come from %s", expected);
}

enum err vault_unwrap_secret_id(struct vault *v, const struct secret *wrapped, const char *role, struct secret **ret,
				struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	enum err err = check_origin(v, wrapped, role, e);

	if (!err)
		err = ask_wrapping(v, "sys/wrapping/unwrap", wrapped, true, a, e);
	if (err)
		return err;
	const char *text = vault_answer_text(a, "data", "secret_id");
	if (!text || !*text || strlen(text) > 1024)
		return err_set(e, ERR_VAULT_WRAPPED, "there is no secret_id in it");
	return secret_new_copy(text, strlen(text), ret, e);
}

void vault_give_back(struct vault *v, struct deadline deadline)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_secret_ struct secret *body = NULL;
	struct body b = { 0 };

	v->gives_back = false;
	v->deadline = deadline;
	body_add(&b, "{}");
	if (body_take(&b, &body, NULL) || !v->has_winner)
		return;
	const struct vault_question q = {
		.method = "POST", .path = "auth/token/revoke-self", .body = body, .once = true
	};
	(void)!vault_ask(v, &q, a, NULL);
}
