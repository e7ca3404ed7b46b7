/* SPDX-License-Identifier: MIT */
/*
 * Transit: a slot secret for a ciphertext and back. The key is derived, by a context that names keyring and slot; a node's
 * policy allows its own contexts alone.
 */
#include <string.h>

#include "event/event.h"
#include "vault/internal.h"

/* Every failure of Transit is a 400; in words it tells which. */
struct refusal {
	const char *words, *ours;
	enum err code; /* of a slot's ciphertext */
};

static const struct refusal *known_refusal(const struct vault_answer *a)
{
	static const struct refusal known[] = {
		{ "key not found", "Vault has no key of that name", ERR_VAULT_KEY },
		{ "policy (too old)", "its version of the key is archived", ERR_VAULT_KEY },
		{ "version is too new", "its version of the key is not there", ERR_VAULT_KEY },
		{ "message authentication failed", "made with another key or context", ERR_VAULT_CIPHERTEXT },
		{ "missing 'context'", "the key derives, and no context was given", ERR_VAULT_CIPHERTEXT },
		{ "", "no such ciphertext", ERR_VAULT_CIPHERTEXT },
	};
	size_t i = 0;

	while (*known[i].words && !vault_answer_says(a, known[i].words))
		i++;
	return &known[i];
}

static enum err judge_refusal(struct vault *v, const struct vault_question *q, const struct vault_answer *a,
			      bool is_site, struct err_ctx *e)
{
	if (a->status != 400)
		return vault_answer_unexpected(v, q, a, e);
	const struct refusal *r = known_refusal(a);
	return err_set_http(e, is_site ? ERR_VAULT_UNWRAP : r->code, 400, "%s: %s: %s",
			    v->settings->addresses[v->winner], q->path, r->ours);
}

static enum err ask_transit(struct vault *v, const char *verb, const struct transit_key *key, struct body *b,
			    struct vault_answer *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *body = NULL;
	_cleanup_free_ char *path = NULL;
	enum err err;

	body_add(b, ",\"context\":");
	body_add_base64(b, SPAN(key->context, sizeof(key->context)));
	body_add(b, "}");
	err = body_take(b, &body, e);
	if (!err)
		err = str_format(&path, e, "%s/%s/%s", v->settings->transit_mount, verb, key->name);
	if (err)
		return err;
	const struct vault_question q = { .method = "POST", .path = path, .body = body };
	err = vault_ask(v, &q, ret, e);
	if (!err && ret->status != 200)
		err = judge_refusal(v, &q, ret, false, e);
	return err;
}

enum err vault_transit_look(struct vault *v, const char *key, bool *ret_derived, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "%s/keys/%s", v->settings->transit_mount, key);

	if (!err)
		err = vault_ask_json(v, "GET", path, NULL, a, e);
	if (err)
		return err;
	if (a->status != 200)
		return err_set_http(e, ERR_VAULT_KEY, a->status, "%s: there is no key %s; zseal vault setup makes it",
				    path, key);
	*ret_derived = json_is_true(json_object_get(json_object_get(a->json, "data"), "derived"));
	return ERR_OK;
}

enum err vault_transit_encrypt(struct vault *v, const struct transit_key *key, const struct secret *plain,
			       char ret[static VAULT_CIPHERTEXT_MAX], struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	struct body b = { 0 };

	body_add(&b, "{\"plaintext\":");
	body_add_base64(&b, SPAN(secret_data(plain), secret_size(plain)));
	enum err err = ask_transit(v, "encrypt", key, &b, a, e);
	if (err)
		return err;
	const char *text = vault_answer_text(a, "data", "ciphertext");
	if (!text || !vault_ciphertext_is_valid(text))
		return err_set(e, ERR_VAULT_ANSWER, "no ciphertext in the answer of transit/encrypt");
	strcpy(ret, text);
	return ERR_OK;
}

static enum err decode_plaintext(const char *text, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *s = NULL;
	size_t size = 0;
	enum err err = text ? secret_new(KEY_SIZE, &s, e)
			    : err_set(e, ERR_VAULT_ANSWER, "no plaintext in the answer of transit/decrypt");

	if (err)
		return err;
	if (!base64_decode(text, secret_bytes(s), KEY_SIZE, &size) || size != KEY_SIZE)
		return err_set(e, ERR_VAULT_CIPHERTEXT, "what was in it is no slot secret");
	*ret = TAKE(s);
	return ERR_OK;
}

enum err vault_transit_decrypt(struct vault *v, const struct transit_key *key, const char *ciphertext,
			       struct secret **ret, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	struct body b = { 0 };

	if (!vault_ciphertext_is_valid(ciphertext) || !vault_word_is_valid(key->name))
		return err_set(e, ERR_BUG, "decrypting what is no ciphertext");
	body_add(&b, "{\"ciphertext\":\"");
	body_add(&b, ciphertext);
	body_add(&b, "\"");
	enum err err = ask_transit(v, "decrypt", key, &b, a, e);
	return err ? err : decode_plaintext(vault_answer_text(a, "data", "plaintext"), ret, e);
}

/* ---- a site's own ---- */

static enum err decode_up_to(const char *text, size_t max, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *s = NULL;
	size_t size = 0;
	enum err err = text ? secret_new(max, &s, e)
			    : err_set(e, ERR_VAULT_ANSWER, "no plaintext in the answer of transit/decrypt");

	if (err)
		return err;
	if (!base64_decode(text, secret_bytes(s), max, &size) || size == 0)
		return err_set(e, ERR_KEY_SHAPE, "what was wrapped has no bytes, or more than %zu", max);
	secret_shrink(s, size);
	*ret = TAKE(s);
	return ERR_OK;
}

static enum err make_unwrap_body(const struct site_key *key, const struct secret *ciphertext, struct secret **ret,
				 struct err_ctx *e)
{
	struct body b = { 0 };

	body_add(&b, "{\"ciphertext\":");
	body_add_secret(&b, ciphertext);
	if (key->context) {
		body_add(&b, ",\"context\":\"");
		body_add(&b, key->context);
		body_add(&b, "\"");
	}
	body_add(&b, "}");
	return body_take(&b, ret, e);
}

enum err vault_transit_unwrap(struct vault *v, const struct site_key *key, const struct secret *ciphertext, size_t max,
			      struct secret **ret, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_secret_ struct secret *body = NULL;
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "%s/decrypt/%s", key->mount, key->name);

	if (!err)
		err = make_unwrap_body(key, ciphertext, &body, e);
	if (err)
		return err;
	const struct vault_question q = { .method = "POST", .path = path, .body = body };
	err = vault_ask(v, &q, a, e);
	if (!err && a->status != 200)
		err = judge_refusal(v, &q, a, true, e);
	if (!err)
		err = decode_up_to(vault_answer_text(a, "data", "plaintext"), max, ret, e);
	if (!err && !key->context)
		event_emit(&(struct event){ .id = EVENT_VAULT_KEY_SHARED, .vault = { .key = key->name } });
	return err;
}
