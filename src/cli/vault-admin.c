/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cli/vault-admin.h"
#include "sys/descriptor.h"
#include "sys/process.h"

static enum err take_text(const char *name, char *out, size_t size, bool (*is_valid)(const char *, size_t),
			  struct err_ctx *e)
{
	const char *value = process_vault_variable(name);

	if (!value)
		return ERR_OK;
	if (strlen(value) >= size || (is_valid && !is_valid(value, size)))
		return err_set(e, ERR_USAGE, "what the environment has as BAO_%s or VAULT_%s is none", name, name);
	snprintf(out, size, "%s", value);
	return ERR_OK;
}

/* One address, in the place of all of zseal.conf's. */
static enum err take_address(struct vault_settings *s, struct err_ctx *e)
{
	const char *value = process_vault_variable("ADDR");

	if (!value)
		return ERR_OK;
	if (!vault_address_normalise(value, s->addresses[0]))
		return err_set(e, ERR_USAGE, "BAO_ADDR or VAULT_ADDR: expected https://HOST:PORT");
	s->n_addresses = 1;
	return ERR_OK;
}

static enum err take_environment(struct vault_settings *s, struct err_ctx *e)
{
	const struct {
		const char *name;
		char *out;
		size_t size;
		bool (*is_valid)(const char *, size_t);
	} texts[] = {
		{ "CACERT", s->ca, sizeof(s->ca), NULL },
		{ "CLIENT_CERT", s->client_cert, sizeof(s->client_cert), NULL },
		{ "CLIENT_KEY", s->client_key, sizeof(s->client_key), NULL },
		{ "TLS_SERVER_NAME", s->server_name, sizeof(s->server_name), vault_host_is_valid },
		{ "NAMESPACE", s->namespace, sizeof(s->namespace), vault_path_is_valid },
	};
	enum err err = take_address(s, e);

	if (!err && process_vault_variable("SKIP_VERIFY"))
		err = err_set(e, ERR_USAGE,
			      "BAO_SKIP_VERIFY or VAULT_SKIP_VERIFY is set: zseal trusts no server unseen");
	for (size_t i = 0; !err && i < ARRAY_SIZE(texts); i++)
		err = take_text(texts[i].name, texts[i].out, texts[i].size, texts[i].is_valid, e);
	return err;
}

static enum err take_token(const struct invocation *inv, struct secret **ret, struct err_ctx *e)
{
	const char *value = process_vault_variable("TOKEN");
	long fd = -1;
	enum err err = invocation_number(inv, "vault-token-fd", INT32_MAX, -1, &fd, e);

	if (!err && fd >= 0)
		err = descriptor_check_source((int)fd, e);
	if (!err && fd >= 0)
		err = descriptor_read((int)fd, ret, e);
	else if (!err && value)
		err = secret_new_copy(value, strlen(value), ret, e);
	process_vault_variable_wipe("TOKEN");
	return err_wrap(e, err, "an administrator's token for Vault");
}

enum err vault_admin_get(const struct invocation *inv, struct session *s, struct err_ctx *e)
{
	s->vault_admin = s->config.vault;
	enum err err = take_environment(&s->vault_admin, e);

	if (!err && !s->vault_token)
		err = take_token(inv, &s->vault_token, e);
	s->context.vault_admin_settings = &s->vault_admin;
	s->context.vault_token = s->vault_token;
	return err;
}
