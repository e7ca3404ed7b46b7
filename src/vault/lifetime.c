/* SPDX-License-Identifier: MIT */
/* One line of JSON for each credential, beside the time of change of the file that it is about. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/certificate.h"
#include "sys/credstore.h"
#include "sys/file.h"
#include "vault/lifetime.h"

enum { STATE_MAX = 4096, CERTIFICATE_MAX = 64 << 10, NEAR_MAX_S = 14 * 86400 };

static void path_of(const struct vault_settings *s, char ret[static sizeof(VAULT_STATE_PATH) + VAULT_WORD_SIZE])
{
	snprintf(ret, sizeof(VAULT_STATE_PATH) + VAULT_WORD_SIZE, VAULT_STATE_PATH "/%s", s->secret_id);
}

static bool get_number(const json_t *j, const char *name, uint64_t *ret)
{
	const json_t *value = json_object_get(j, name);

	*ret = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static void get_secret_id(const struct vault_settings *s, struct vault_lifetime *ret)
{
	char path[sizeof(VAULT_STATE_PATH) + VAULT_WORD_SIZE];
	_cleanup_free_ char *text = NULL;
	uint64_t changed, remembered, version;
	struct vault_lifetime l = { .known = true };

	path_of(s, path);
	if (credstore_changed(s->secret_id, &changed, NULL) || file_read(path, STATE_MAX, &text, NULL))
		return;
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (get_number(j, "v", &version) && version == 1 && get_number(j, "changed", &remembered) &&
	    remembered == changed && get_number(j, "made", &l.made) && get_number(j, "ends", &l.ends))
		*ret = l;
	json_decref(j);
}

/* It may be a link that whoever renews it moves on. */
static void get_certificate(const struct vault_settings *s, struct vault_lifetime *ret)
{
	_cleanup_(certificate_clearp) struct certificate *c = &(struct certificate){ 0 };
	_cleanup_free_ char *text = NULL, *path = realpath(s->client_cert, NULL);

	if (path && !file_read(path, CERTIFICATE_MAX, &text, NULL) && certificate_parse(text, c))
		*ret = (struct vault_lifetime){ .known = true, .made = c->begins, .ends = c->ends };
}

void vault_lifetime_get(const struct vault_settings *s, struct vault_lifetime *ret)
{
	*ret = (struct vault_lifetime){ 0 };
	if (s->login == VAULT_LOGIN_CERT)
		get_certificate(s, ret);
	else
		get_secret_id(s, ret);
}

enum err vault_lifetime_remember(const struct vault_settings *s, uint64_t made, uint64_t ttl_s, struct err_ctx *e)
{
	char path[sizeof(VAULT_STATE_PATH) + VAULT_WORD_SIZE];
	uint64_t changed;
	_cleanup_free_ char *text = NULL;

	path_of(s, path);
	if (ttl_s == VAULT_TTL_UNKNOWN)
		return file_remove(path, e);
	enum err err = credstore_changed(s->secret_id, &changed, e);
	if (!err)
		err = str_format(&text, e, "{\"v\":1,\"changed\":%llu,\"made\":%llu,\"ends\":%llu}\n",
				 (unsigned long long)changed, (unsigned long long)made,
				 (unsigned long long)(ttl_s ? made + ttl_s : 0));
	if (!err)
		err = file_make_folder(VAULT_STATE_PATH, 0700, e);
	if (!err)
		err = file_write(path, text, 0600, e);
	return err_wrap(e, err, "remembering when the secret_id ends");
}

uint64_t vault_lifetime_left_s(const struct vault_lifetime *l)
{
	uint64_t now = (uint64_t)time(NULL);

	if (!l->known || !l->ends)
		return UINT64_MAX;
	return l->ends > now ? l->ends - now : 0;
}

enum err vault_lifetime_check(const struct vault_settings *s, struct err_ctx *e)
{
	bool cert = s->login == VAULT_LOGIN_CERT;
	char date[VAULT_LIFETIME_SIZE];
	struct vault_lifetime l;

	vault_lifetime_get(s, &l);
	uint64_t left_s = vault_lifetime_left_s(&l), life_s = l.ends - l.made;
	if (left_s == UINT64_MAX || (uint64_t)time(NULL) < l.made)
		return ERR_OK;
	vault_lifetime_print(l.ends, date);
	if (left_s == 0)
		return err_set(e, cert ? ERR_VAULT_LOGIN_CERT : ERR_VAULT_LOGIN, "it ended on %s", date);
	if (left_s < life_s / 4 && left_s < NEAR_MAX_S)
		return err_set(e, cert ? ERR_VAULT_CERT_ENDS : ERR_VAULT_LOGIN_ENDS, "on %s", date);
	return ERR_OK;
}

void vault_lifetime_print(uint64_t seconds, char ret[static VAULT_LIFETIME_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(ret, VAULT_LIFETIME_SIZE, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(ret, VAULT_LIFETIME_SIZE, "a time unknown");
}
