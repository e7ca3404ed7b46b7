/* SPDX-License-Identifier: MIT */
/* What a status and a body mean. What a server says in words is compared with what is known, and never repeated. */
#include <string.h>

#include "vault/internal.h"

/*
 * Vault's own numbers for what it cannot do just now (472 to 474, 530) count as no leader: a cluster that replicates
 * has another one that can.
 */
enum err vault_status_error(long status, const char *address, struct err_ctx *e)
{
	switch (status) {
	case 200:
	case 204:
	case 307:
	case 400:
	case 404:
		return ERR_OK;
	case 403:
		return err_set_http(e, ERR_VAULT_DENIED, status, "%s", address);
	case 501:
		return err_set_http(e, ERR_VAULT_SEALED, status, "%s is not initialised", address);
	case 503:
		return err_set_http(e, ERR_VAULT_SEALED, status, "%s", address);
	case 472:
	case 473:
	case 474:
	case 530:
		return err_set_http(e, ERR_VAULT_NO_LEADER, status, "%s", address);
	default:
		break;
	}
	if (status == 412 || status == 429 || (status >= 500 && status < 600))
		return err_set_http(e, ERR_VAULT_BUSY, status, "%s", address);
	return err_set_http(e, ERR_VAULT_ANSWER, status, "%s", address);
}

void vault_answer_clear(struct vault_answer *a)
{
	json_decref(a->json);
	*a = (struct vault_answer){ 0 };
}

const char *vault_answer_text(const struct vault_answer *a, const char *outer, const char *inner)
{
	return json_string_value(json_object_get(json_object_get(a->json, outer), inner));
}

bool vault_answer_says(const struct vault_answer *a, const char *words)
{
	const json_t *errors = json_object_get(a->json, "errors");

	for (size_t i = 0; i < json_array_size(errors); i++) {
		const char *text = json_string_value(json_array_get(errors, i));

		if (text && strcasestr(text, words))
			return true;
	}
	return false;
}

enum err vault_answer_bad(const struct vault *v, const struct vault_question *q, const char *what, struct err_ctx *e)
{
	return err_set(e, ERR_VAULT_ANSWER, "%s: %s in the answer to %s", v->settings->addresses[v->winner], what,
		       q->path);
}

enum err vault_answer_unexpected(const struct vault *v, const struct vault_question *q, const struct vault_answer *a,
				 struct err_ctx *e)
{
	return err_set_http(e, a->status == 404 ? ERR_VAULT_NOT_FOUND : ERR_VAULT_REQUEST, a->status, "%s: %s",
			    v->settings->addresses[v->winner], q->path);
}

/* Nothing secret in it: the text is made in ordinary memory. */
enum err vault_ask_json(struct vault *v, const char *method, const char *path, json_t *body, struct vault_answer *ret,
			struct err_ctx *e)
{
	_cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	_cleanup_secret_ struct secret *bytes = NULL;
	bool given = body != NULL;
	enum err err = ERR_OK;

	json_decref(body);
	if (given && !text)
		return err_set(e, ERR_NO_MEMORY, "room for a request");
	if (!given && !str_equal(method, "GET"))
		return err_set(e, ERR_NO_MEMORY, "room for a request");
	if (text)
		err = secret_new_copy(text, strlen(text), &bytes, e);
	if (err)
		return err;
	const struct vault_question q = { .method = method, .path = path, .body = bytes };
	return vault_ask(v, &q, ret, e);
}

/* ---- bodies ---- */

static void add_bytes(struct body *b, const void *bytes, size_t n)
{
	if (!b->bytes && secret_new(VAULT_BODY_MAX, &b->bytes, NULL))
		b->failed = true;
	if (b->failed || n > secret_size(b->bytes) - b->size) {
		b->failed = true;
		return;
	}
	memcpy(secret_bytes(b->bytes) + b->size, bytes, n);
	b->size += n;
}

void body_add(struct body *b, const char *json)
{
	add_bytes(b, json, strlen(json));
}

void body_add_secret(struct body *b, const struct secret *text)
{
	for (size_t i = 0; i < secret_size(text); i++) {
		uint8_t c = secret_data(text)[i];

		b->failed |= c < ' ' || c > '~' || c == '"' || c == '\\';
	}
	body_add(b, "\"");
	add_bytes(b, secret_data(text), secret_size(text));
	body_add(b, "\"");
}

/* base64_encode() writes where it is told, so the text is made where it stays. */
void body_add_base64(struct body *b, struct span bytes)
{
	size_t size = BASE64_TEXT_SIZE(bytes.size);

	body_add(b, "\"");
	if (b->failed || size > secret_size(b->bytes) - b->size) {
		b->failed = true;
		return;
	}
	base64_encode(bytes, (char *)secret_bytes(b->bytes) + b->size);
	b->size += size - 1;
	body_add(b, "\"");
}

enum err body_take(struct body *b, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *bytes = TAKE(b->bytes);
	size_t size = b->size;
	bool failed = b->failed;

	*b = (struct body){ 0 };
	if (failed || !bytes)
		return err_set(e, ERR_VAULT_CREDENTIAL, "it is no text that a request can hold");
	secret_shrink(bytes, size);
	*ret = TAKE(bytes);
	return ERR_OK;
}
