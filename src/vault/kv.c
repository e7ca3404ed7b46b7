/* SPDX-License-Identifier: MIT */
/* KV version 2: a copy of a slot's ciphertext, for a site that wants to see there what it has. Never anything else. */
#include <string.h>

#include "vault/internal.h"

static enum err kv_path(const struct vault *v, const char *path, char **ret, struct err_ctx *e)
{
	if (!*v->settings->kv_mount)
		return err_set(e, ERR_CONFIG, "[vault] kv-mount is not set");
	return str_format(ret, e, "%s/data/%s", v->settings->kv_mount, path);
}

/*
 * A standby may say 400 while a mount is being made, which passes, but not within our patience: what it is good for is
 * only a copy.
 */
enum err vault_kv_read(struct vault *v, const char *path, char ret[static VAULT_CIPHERTEXT_MAX], struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *full = NULL;
	enum err err = kv_path(v, path, &full, e);

	if (!err)
		err = vault_ask_json(v, "GET", full, NULL, a, e);
	if (err)
		return err;
	if (a->status != 200)
		return err_set_http(e, a->status == 404 ? ERR_VAULT_NOT_FOUND : ERR_VAULT_BUSY, a->status, "%s", full);
	json_t *data = json_object_get(json_object_get(a->json, "data"), "data");
	const char *text = json_string_value(json_object_get(data, "ciphertext"));
	if (!text || !vault_ciphertext_is_valid(text))
		return err_set(e, ERR_VAULT_CIPHERTEXT, "%s holds no ciphertext of Transit", full);
	strcpy(ret, text);
	return ERR_OK;
}

enum err vault_kv_write(struct vault *v, const char *path, const char *ciphertext, struct err_ctx *e)
{
	_cleanup_(vault_answer_clearp) struct vault_answer *a = &(struct vault_answer){ 0 };
	_cleanup_free_ char *full = NULL;
	enum err err = kv_path(v, path, &full, e);

	if (!err)
		err = vault_ask_json(v, "POST", full, json_pack("{s:{s:s}}", "data", "ciphertext", ciphertext), a, e);
	if (!err && a->status != 200)
		err = err_set_http(e, a->status == 404 ? ERR_VAULT_NOT_FOUND : ERR_VAULT_REQUEST, a->status, "%s",
				   full);
	return err;
}
