/* SPDX-License-Identifier: MIT */
/* Logging in: role_id and secret_id, or a certificate, for a token; and the token back. */
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

/* What a server says in words is known, and told in ours. */
static const char *reason_of(const struct vault_answer *a, enum err code)
{
	static const struct {
		const char *theirs, *ours;
	} reasons[] = {
		{ "source address", "not from this network address" },
		{ "cidr", "not from this network address" },
		{ "no client certificate found", "no certificate came there: the listener does not ask for one, or TLS "
						 "ends before it" },
		{ "matching all constraints", "it has none of the names that its role asks for" },
		{ VAULT_SAYS_OUT_OF_DATE, "out of date, by that server's clock" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (vault_answer_says(a, reasons[i].theirs))
			return reasons[i].ours;
	return code == ERR_VAULT_LOGIN ? "wrong, expired or used up" : "not the one that its role knows, nor signed by it";
}

static enum err refuse(const struct vault *v, const struct vault_answer *a, enum err code, struct err_ctx *e)
{
	const char *address = v->settings->addresses[v->winner];
	struct vault_lifetime l;
	char date[VAULT_LIFETIME_SIZE];

	vault_lifetime_get(v->settings, &l);
	if (vault_lifetime_left_s(&l) > 0)
		return err_set_http(e, code, a->status, "%s: %s", address, reason_of(a, code));
	vault_lifetime_print(l.ends, date);
	return err_set_http(e, code, a->status, "%s: it ended on %s", address, date);
}

/*
 * What is shown decides which error: refused is the one code. A wrong secret_id or certificate is told as 400, and so is
 * a source address that the role does not allow: no second try, ever.
 */
static enum err log_in(struct vault *v, const char *mount, const struct secret *body, enum err refused,
		       struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "auth/%s/login", mount);

	if (err)
		return err;
	const struct vault_question q = { .method = "POST", .path = path, .body = body };
	secret_free(TAKE(v->token));
	err = vault_ask(v, &q, a, e);
	if (err)
		return err;
	if (a->status == 400 || a->status == 500)
		return refuse(v, a, refused, e);
	return a->status == 200 ? take_token(v, &q, a, e) : vault_answer_unexpected(v, &q, a, e);
}

enum err vault_login(struct vault *v, const struct secret *role_id, const struct secret *secret_id, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *body = NULL;
	enum err err = make_body(role_id, secret_id, &body, e);

	return err ? err : log_in(v, v->settings->approle_mount, body, ERR_VAULT_LOGIN, e);
}

/* The name, so that a certificate that several roles take is this node's login and no other's. */
enum err vault_login_cert(struct vault *v, const char *role, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *body = NULL;
	struct body b = { 0 };

	body_add(&b, "{\"name\":\"");
	body_add(&b, role);
	body_add(&b, "\"}");
	enum err err = body_take(&b, &body, e);
	return err ? err : log_in(v, v->settings->cert_mount, body, ERR_VAULT_LOGIN_CERT, e);
}

struct vault_login_info vault_login_info(const struct vault *v)
{
	return (struct vault_login_info){
		.address = v->settings->addresses[v->winner],
		.ttl_s = v->ttl_s,
		.batch = !v->gives_back,
	};
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
