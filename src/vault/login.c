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
	const char *text = vault_answer_text(a, "auth", "client_token"), *type = vault_answer_text(a, "auth", "token_type");
	_cleanup_secret_ struct secret *token = NULL;

	if (!text || !*text || strlen(text) > 2048)
		return vault_answer_bad(v, q, "no token", e);
	enum err err = secret_new_copy(text, strlen(text), &token, e);
	if (!err && vault_set_token(v, token, NULL))
		err = vault_answer_bad(v, q, "no token", e);
	v->gives_back = !err && !(type && str_equal(type, "batch"));
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
					    ? "not from this network address" : "wrong, expired or used up");
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
	const struct vault_question q = { .method = "POST", .path = "auth/token/revoke-self", .body = body, .once = true };
	(void)!vault_ask(v, &q, a, NULL);
}
