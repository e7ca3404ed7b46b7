/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "sys/file.h"
#include "sys/path.h"
#include "tpm2/tpm2.h"

enum { CONFIG_SIZE_MAX = 64 << 10, TIMEOUT_MAX_S = 3600 };
enum { SCRYPT_TIME_MAX_MS = 10000, SCRYPT_MEMORY_MIN_MIB = 16, SCRYPT_MEMORY_MAX_MIB = 1024 };

/* Each setter takes the value and says false if it is none for its key. */
static bool set_text(char *out, size_t size, const char *value)
{
	int n = snprintf(out, size, "%s", value);

	return n > 0 && (size_t)n < size;
}

static bool set_tcti(struct config *c, const char *value)
{
	return set_text(c->tcti, sizeof(c->tcti), value);
}

/* A whole number of some range. */
static bool set_number(uint64_t *out, const char *value, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || *value == '-' || n < least || n > most)
		return false;
	*out = n;
	return true;
}

static bool set_seconds(uint64_t *ret_ms, const char *value, uint64_t most)
{
	uint64_t s;

	if (!set_number(&s, value, 1, most))
		return false;
	*ret_ms = s * 1000;
	return true;
}

/*
 * One entry of an order, "vault" or "vault (20 s)", at *rest, which moves behind it and the commas and spaces that follow.
 */
static bool take_order_entry(struct order_entry *ret, const char **rest)
{
	size_t length = strcspn(*rest, ", (");
	char name[NAME_SIZE], seconds[8] = "";
	int end = -1;

	if (length >= sizeof(name))
		return false;
	memcpy(name, *rest, length);
	name[length] = '\0';
	*rest += length;
	if ((*rest)[strspn(*rest, " ")] == '(') {
		if (sscanf(*rest, " ( %7[0-9] s )%n", seconds, &end) != 1 || end < 0 ||
		    !set_seconds(&ret->timeout_ms, seconds, TIMEOUT_MAX_S))
			return false;
		*rest += end;
	}
	*rest += strspn(*rest, ", ");
	return name_is_valid(name) && set_text(ret->name, sizeof(ret->name), name);
}

static bool set_order(struct config *c, const char *value)
{
	const char *rest = value + strspn(value, ", ");

	memset(c->order, 0, sizeof(c->order));
	for (c->n_order = 0; *rest; c->n_order++)
		if (c->n_order == SLOTS_MAX || !take_order_entry(&c->order[c->n_order], &rest))
			return false;
	return c->n_order > 0;
}

static bool set_slot_timeout(struct config *c, const char *value)
{
	return set_seconds(&c->slot_timeout_ms, value, TIMEOUT_MAX_S);
}

static bool set_hedge(struct config *c, const char *value)
{
	return set_seconds(&c->hedge_ms, value, TIMEOUT_MAX_S);
}

static bool set_scrypt_time(struct config *c, const char *value)
{
	return set_number(&c->stretch.time_ms, value, 1, SCRYPT_TIME_MAX_MS);
}

static bool set_scrypt_memory(struct config *c, const char *value)
{
	return set_number(&c->stretch.memory_mib, value, SCRYPT_MEMORY_MIN_MIB, SCRYPT_MEMORY_MAX_MIB);
}

static bool set_first_use(struct config *c, const char *value)
{
	c->first_use = str_equal(value, "yes");
	return c->first_use || str_equal(value, "no");
}

static bool set_fingerprint(struct config *c, const char *value)
{
	if (c->n_trusted == TRUSTED_MAX || !fingerprint_text_is_valid(value))
		return false;
	return set_text(c->trusted[c->n_trusted++], FINGERPRINT_TEXT_SIZE, value);
}

static bool set_mount_allowed(struct config *c, const char *value)
{
	char path[PATH_MAX];

	if (c->n_mount_allowed == MOUNT_ALLOWED_MAX || !path_normalise(value, path))
		return false;
	return set_text(c->mount_allowed[c->n_mount_allowed++], MOUNT_ALLOWED_SIZE, path);
}

/* ---- [vault] ---- */

static bool set_vault_address(struct config *c, const char *value)
{
	struct vault_settings *v = &c->vault;

	if (v->n_addresses == VAULT_ADDRESSES_MAX || !vault_address_normalise(value, v->addresses[v->n_addresses]))
		return false;
	for (unsigned i = 0; i < v->n_addresses; i++)
		if (str_equal(v->addresses[i], v->addresses[v->n_addresses]))
			return false;
	v->n_addresses++;
	return true;
}

static bool set_file(char out[static VAULT_FILE_SIZE], const char *value)
{
	char path[PATH_MAX];

	return path_normalise(value, path) && set_text(out, VAULT_FILE_SIZE, path);
}

static bool set_vault_ca(struct config *c, const char *value)
{
	return set_file(c->vault.ca, value);
}

static bool set_vault_client_cert(struct config *c, const char *value)
{
	return set_file(c->vault.client_cert, value);
}

static bool set_vault_client_key(struct config *c, const char *value)
{
	return set_file(c->vault.client_key, value);
}

static bool set_vault_server_name(struct config *c, const char *value)
{
	return vault_host_is_valid(value, sizeof(c->vault.server_name)) &&
	       set_text(c->vault.server_name, sizeof(c->vault.server_name), value);
}

static bool set_path(char out[static VAULT_PATH_SIZE], const char *value)
{
	return vault_path_is_valid(value, VAULT_PATH_SIZE) && set_text(out, VAULT_PATH_SIZE, value);
}

static bool set_vault_namespace(struct config *c, const char *value)
{
	return set_path(c->vault.namespace, value);
}

static bool set_vault_approle_mount(struct config *c, const char *value)
{
	return set_path(c->vault.approle_mount, value);
}

static bool set_vault_transit_mount(struct config *c, const char *value)
{
	return set_path(c->vault.transit_mount, value);
}

static bool set_vault_kv_mount(struct config *c, const char *value)
{
	return set_path(c->vault.kv_mount, value);
}

static bool set_name(char out[static VAULT_WORD_SIZE], const char *value)
{
	return vault_word_is_valid(value) && set_text(out, VAULT_WORD_SIZE, value);
}

static bool set_vault_cluster(struct config *c, const char *value)
{
	return set_name(c->vault.cluster, value);
}

static bool set_vault_node(struct config *c, const char *value)
{
	return set_name(c->vault.node, value);
}

static bool set_vault_role_id(struct config *c, const char *value)
{
	return set_name(c->vault.role_id, value);
}

static bool set_vault_secret_id(struct config *c, const char *value)
{
	return set_name(c->vault.secret_id, value);
}

static bool set_vault_allow_http(struct config *c, const char *value)
{
	c->vault.allow_http = str_equal(value, "yes");
	return c->vault.allow_http || str_equal(value, "no");
}

static bool set_vault_connect_timeout(struct config *c, const char *value)
{
	return set_seconds(&c->vault.connect_timeout_ms, value, 60);
}

static bool set_vault_request_timeout(struct config *c, const char *value)
{
	return set_seconds(&c->vault.request_timeout_ms, value, 60);
}

static bool set_vault_timeout(struct config *c, const char *value)
{
	return set_seconds(&c->vault.timeout_ms, value, TIMEOUT_MAX_S);
}

static const struct {
	const char *section, *key;
	bool (*set)(struct config *c, const char *value);
	const char *expected;
} keys[] = {
	{ "tpm2", "tcti", set_tcti, "a TCTI with its address, such as " TPM2_TCTI_DEFAULT },
	{ "unlock", "order", set_order, "names or types of slots in the order of trying, each with its time if it has one: vault (20 s), tpm2" },
	{ "unlock", "slot-timeout", set_slot_timeout, "seconds, 1 to 3600" },
	{ "unlock", "hedge", set_hedge, "seconds, 1 to 3600" },
	{ "scrypt", "time", set_scrypt_time, "milliseconds, 1 to 10000" },
	{ "scrypt", "memory", set_scrypt_memory, "MiB, 16 to 1024" },
	{ "trust", "first-use", set_first_use, "yes or no" },
	{ "mount", "allow", set_mount_allowed, "an absolute path without .., on at most 32 lines" },
	{ "vault", "address", set_vault_address, "https://HOST:PORT, each once, at most 8 of them" },
	{ "vault", "allow-http", set_vault_allow_http, "yes or no" },
	{ "vault", "ca", set_vault_ca, "an absolute path without .." },
	{ "vault", "server-name", set_vault_server_name, "the name in the servers' certificate" },
	{ "vault", "client-cert", set_vault_client_cert, "an absolute path without .." },
	{ "vault", "client-key", set_vault_client_key, "an absolute path without .." },
	{ "vault", "namespace", set_vault_namespace, "names of A-Z a-z 0-9 _ - with single slashes between them" },
	{ "vault", "approle-mount", set_vault_approle_mount, "names of A-Z a-z 0-9 _ - with single slashes between them" },
	{ "vault", "transit-mount", set_vault_transit_mount, "names of A-Z a-z 0-9 _ - with single slashes between them" },
	{ "vault", "kv-mount", set_vault_kv_mount, "names of A-Z a-z 0-9 _ - with single slashes between them" },
	{ "vault", "cluster", set_vault_cluster, "1 to 63 of A-Z a-z 0-9 _ -" },
	{ "vault", "node", set_vault_node, "1 to 63 of A-Z a-z 0-9 _ -" },
	{ "vault", "role-id", set_vault_role_id, "a credential's name: 1 to 63 of A-Z a-z 0-9 _ -" },
	{ "vault", "secret-id", set_vault_secret_id, "a credential's name: 1 to 63 of A-Z a-z 0-9 _ -" },
	{ "vault", "connect-timeout", set_vault_connect_timeout, "seconds, 1 to 60" },
	{ "vault", "request-timeout", set_vault_request_timeout, "seconds, 1 to 60" },
	{ "vault", "timeout", set_vault_timeout, "seconds, 1 to 3600" },
	{ "trust", "fingerprint", set_fingerprint, "a keyring's fingerprint as zseal status prints it" },
};

static const struct config config_default = {
	.tcti = TPM2_TCTI_DEFAULT, .slot_timeout_ms = 20000, .stretch = { STRETCH_TIME_MS, STRETCH_MEMORY_MIB },
};

struct reading {
	const char *path;
	struct config *config;
	struct err_ctx *e;
	enum err err;
};

/* inih's callback: 1 goes on. inih counts lines itself and gives the number only to this callback when built so. */
static int take_line(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!str_equal(section, keys[i].section) || !str_equal(name, keys[i].key))
			continue;
		if (keys[i].set(r->config, value))
			return 1;
		r->err = err_set(r->e, ERR_CONFIG, "%s: [%s] %s: expected %s", r->path, section, name,
				 keys[i].expected);
		return 0;
	}
	r->err = err_set(r->e, ERR_CONFIG, "%s: [%.40s] has no setting named %.40s", r->path, section, name);
	return 0;
}

enum err config_parse(const char *text, const char *path, struct config *ret, struct err_ctx *e)
{
	struct config c = config_default;

	c.vault = vault_settings_default;
	struct reading r = { .path = path, .config = &c, .e = e };
	int line = ini_parse_string(text, take_line, &r);

	if (r.err)
		return err_wrap(e, r.err, "line %d", line);
	if (line)
		return err_set(e, ERR_CONFIG, "%s: line %d is neither [section] nor key = value", path, line);
	*ret = c;
	return ERR_OK;
}

enum err config_load(const char *path, struct config *ret, struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL;
	struct err_ctx missing = { 0 };
	enum err err = file_read_trusted(path ? path : CONFIG_PATH, CONFIG_SIZE_MAX, &text, &missing);

	if (err && !path && missing.sys_errno == ENOENT) {
		*ret = config_default;
		ret->vault = vault_settings_default;
		return ERR_OK;
	}
	if (err && missing.sys_errno == ENOENT)
		return err_set_errno(e, ERR_USAGE, ENOENT, "--config %s", path);
	if (err) {
		if (e)
			*e = missing;
		return err;
	}
	return config_parse(text, path ? path : CONFIG_PATH, ret, e);
}

bool config_key(size_t i, struct config_key *ret)
{
	if (i >= ARRAY_SIZE(keys))
		return false;
	*ret = (struct config_key){ keys[i].section, keys[i].key, keys[i].expected };
	return true;
}
