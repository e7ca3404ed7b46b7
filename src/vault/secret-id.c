/* SPDX-License-Identifier: MIT */
/* secret_ids: out of a wrapping token, made by the node for itself, made worthless. */
#include <string.h>
#include <time.h>

#include "vault/internal.h"

void vault_secret_id_clear(struct vault_secret_id *s)
{
	secret_free(TAKE(s->text));
}

/* none: what it is if the answer has none. */
static enum err take(const struct vault_answer *a, enum err none, struct vault_secret_id *ret, struct err_ctx *e)
{
	const char *text = vault_answer_text(a, "data", "secret_id");
	const json_t *ttl = json_object_get(json_object_get(a->json, "data"), "secret_id_ttl");
	bool known = json_is_integer(ttl) && json_integer_value(ttl) >= 0;

	if (!text || !*text || strlen(text) > 1024)
		return err_set(e, none, "there is no secret_id in it");
	ret->ttl_s = known ? (uint64_t)json_integer_value(ttl) : VAULT_TTL_UNKNOWN;
	return secret_new_copy(text, strlen(text), &ret->text, e);
}

/* ---- one that comes wrapped ---- */

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
	const struct vault_question q = {
		.method = "POST", .path = path, .body = body, .once = once, .alone = once
	};
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

enum err vault_secret_id_unwrap(struct vault *v, const struct secret *wrapped, const char *role,
				struct vault_secret_id *ret, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	enum err err = check_origin(v, wrapped, role, e);

	ret->made = (uint64_t)time(NULL);
	if (!err)
		err = ask_wrapping(v, "sys/wrapping/unwrap", wrapped, true, a, e);
	return err ? err : take(a, ERR_VAULT_WRAPPED, ret, e);
}

/* ---- one that this machine makes for itself ---- */

enum { AWAIT_PAUSE_MS = 50 };

/* Ends b, whatever happens. */
static enum err ask_role(struct vault *v, const char *role, const char *rest, struct body *b, struct vault_answer *ret,
			 struct err_ctx *e)
{
	_cleanup_secret_ struct secret *body = NULL;
	_cleanup_free_ char *path = NULL;
	bool makes = !*rest;
	enum err err = body_take(b, &body, e);

	if (!err)
		err = str_format(&path, e, "auth/%s/role/%s/secret-id%s", v->settings->approle_mount, role, rest);
	const struct vault_question q = {
		.method = "POST", .path = path, .body = body, .once = makes, .alone = makes
	};
	if (!err)
		err = vault_ask(v, &q, ret, e);
	if (!err && ret->status != 200 && ret->status != 204)
		err = vault_answer_unexpected(v, &q, ret, e);
	return err;
}

static enum err ask_about(struct vault *v, const char *role, const char *rest, const struct secret *text,
			  struct vault_answer *ret, struct err_ctx *e)
{
	struct body b = { 0 };

	body_add(&b, "{\"secret_id\":");
	body_add_secret(&b, text);
	body_add(&b, "}");
	return ask_role(v, role, rest, &b, ret, e);
}

enum err vault_secret_id_make(struct vault *v, const char *role, struct vault_secret_id *ret, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	struct body b = { 0 };

	ret->made = (uint64_t)time(NULL);
	body_add(&b, "{}");
	enum err err = ask_role(v, role, "", &b, a, e);
	return err ? err : take(a, ERR_VAULT_ANSWER, ret, e);
}

enum err vault_secret_id_await(struct vault *v, const char *role, const struct secret *text, struct err_ctx *e)
{
	bool known = false, ready;
	enum err err = ERR_OK;

	while (!err && !known && deadline_left_ms(v->deadline) > 0) {
		_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };

		err = ask_about(v, role, "/lookup", text, a, e);
		known = !err && vault_answer_text(a, "data", "secret_id_accessor");
		if (!err && !known)
			err = process_poll(NULL, 0, deadline_min(v->deadline, deadline_in(AWAIT_PAUSE_MS)), &ready, e);
	}
	return err || known ? err
			    : err_set(e, ERR_VAULT_BUSY, "%s does not get to know a new secret_id",
				      v->settings->addresses[v->winner]);
}

/* One that is not there any more is answered like one that was. */
enum err vault_secret_id_destroy(struct vault *v, const char *role, const struct secret *text, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };

	return ask_about(v, role, "/destroy", text, a, e);
}
