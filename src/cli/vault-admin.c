/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/vault-admin.h"
#include "sys/descriptor.h"
#include "sys/process.h"

enum { CLIENT_TIMEOUT_MAX_S = 3600, RETRIES_MAX = 100 };

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

/* As the official client takes it: a file, if there is one, else a folder; each in the place of both of zseal.conf's. */
static enum err take_authorities(struct vault_settings *s, struct err_ctx *e)
{
	char file[VAULT_FILE_SIZE] = "", folder[VAULT_FILE_SIZE] = "";
	enum err err = take_text("CACERT", file, sizeof(file), NULL, e);

	if (!err)
		err = take_text("CAPATH", folder, sizeof(folder), NULL, e);
	if (err || !(*file || *folder))
		return err;
	memcpy(s->ca, file, sizeof(file));
	memcpy(s->ca_folder, *file ? "" : folder, *file ? 1 : sizeof(folder));
	return ERR_OK;
}

/* A whole number, and a unit: "90", "90s", "2m"; of the rest of Go's durations nothing. */
static bool parse_seconds(const char *text, uint64_t *ret_s)
{
	char *unit;
	unsigned long n = strtoul(text, &unit, 10);
	unsigned long factor = str_equal(unit, "m") ? 60 : str_equal(unit, "h") ? 3600 : 1;

	if (!isdigit((unsigned char)*text) || (*unit && !strchr("smh", *unit)) || (*unit && unit[1]) ||
	    n == 0 || n > CLIENT_TIMEOUT_MAX_S / factor)
		return false;
	*ret_s = n * factor;
	return true;
}

static enum err take_patience(struct vault_settings *s, struct err_ctx *e)
{
	const char *timeout = process_vault_variable("CLIENT_TIMEOUT"), *retries = process_vault_variable("MAX_RETRIES");
	uint64_t seconds = 0;
	char *end = NULL;

	if (timeout && !parse_seconds(timeout, &seconds))
		return err_set(e, ERR_USAGE, "BAO_CLIENT_TIMEOUT or VAULT_CLIENT_TIMEOUT: expected seconds, such as 60 or "
					     "60s, 1 to %d", CLIENT_TIMEOUT_MAX_S);
	if (timeout)
		s->request_timeout_ms = seconds * 1000;
	unsigned long n = retries ? strtoul(retries, &end, 10) : 0;
	if (retries && (!isdigit((unsigned char)*retries) || *end || n > RETRIES_MAX))
		return err_set(e, ERR_USAGE, "BAO_MAX_RETRIES or VAULT_MAX_RETRIES: expected a number, 0 to %d",
			       RETRIES_MAX);
	if (retries)
		s->tries = (unsigned)n + 1;
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
		{ "CLIENT_CERT", s->client_cert, sizeof(s->client_cert), NULL },
		{ "CLIENT_KEY", s->client_key, sizeof(s->client_key), NULL },
		{ "TLS_SERVER_NAME", s->server_name, sizeof(s->server_name), vault_host_is_valid },
		{ "NAMESPACE", s->namespace, sizeof(s->namespace), vault_path_is_valid },
	};
	enum err err = take_address(s, e);

	if (!err && process_vault_variable("SKIP_VERIFY"))
		err = err_set(e, ERR_USAGE,
			      "BAO_SKIP_VERIFY or VAULT_SKIP_VERIFY is set: zseal trusts no server unseen");
	if (!err)
		err = take_authorities(s, e);
	if (!err)
		err = take_patience(s, e);
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
