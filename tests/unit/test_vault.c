/* SPDX-License-Identifier: MIT */
/* What the Vault adapter decides without a server: addresses, names, what a status means, policies, bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "vault/internal.h"
#include "vault/policy.h"

static void addresses_are_written_in_one_way(void **state)
{
	static const struct {
		const char *given, *expected;
	} good[] = {
		{ "https://vault.example:8200", "https://vault.example:8200" },
		{ "HTTPS://Vault.Example", "https://vault.example:443" },
		{ "https://192.0.2.1:1/", "https://192.0.2.1:1" },
		{ "http://a", "http://a:80" },
		{ "https://[2001:DB8::1]:65535", "https://[2001:db8::1]:65535" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char address[VAULT_ADDRESS_SIZE];

		assert_true(vault_address_normalise(good[i].given, address));
		assert_string_equal(address, good[i].expected);
	}
}

static void what_is_more_than_an_address_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"vault.example:8200",
		"ftp://a",
		"https://",
		"https://:8200",
		"https://a/v1",
		"https://a//",
		"https://u@a",
		"https://a?x",
		"https://a#x",
		"https://a:0",
		"https://a:65536",
		"https://a:",
		"https://a:1:2",
		"https://a:+1",
		"https://a: 1",
		"https://-a",
		"https://.a",
		"https://a b",
		"https://a_b",
		"https://[::1",
		"https://[]",
		"https://a\n",
		"https://[::1]x",
		"https://\xc3\xbc",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char address[VAULT_ADDRESS_SIZE];

		if (vault_address_normalise(bad[i], address))
			fail_msg("taken: %s", bad[i]);
	}
}

static void a_long_host_is_refused(void **state)
{
	char text[600], address[VAULT_ADDRESS_SIZE];

	(void)state;
	snprintf(text, sizeof(text), "https://%0253d:65535", 1);
	assert_true(vault_address_normalise(text, address));
	snprintf(text, sizeof(text), "https://%0254d:65535", 1);
	assert_false(vault_address_normalise(text, address));
	snprintf(text, sizeof(text), "https://[%0500d]", 1);
	assert_false(vault_address_normalise(text, address));
}

static void paths_have_words_alone(void **state)
{
	static const char *const good[] = { "a", "a/b", "A-Z_9/x", "team/env/approle" };
	static const char *const bad[] = { "", "/a", "a/", "a//b", "a/../b", ".", "a.b", "a b", "a?b", "a%2f" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(vault_path_is_valid(good[i], VAULT_PATH_SIZE));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(vault_path_is_valid(bad[i], VAULT_PATH_SIZE));
	assert_true(vault_path_is_valid("abc", 4));
	assert_false(vault_path_is_valid("abcd", 4));
}

static void paths_that_a_site_chose_stay_where_they_point(void **state)
{
	static const char *const good[] = { "a", "a/b.c", ".a/..a/a~", "A-Z_9/node.example", "..." };
	static const char *const bad[] = { "", "/a", "a/", "a//b", "..", "a/../b", ".", "a/.", "./a", "a b",
		"a?b", "a%2f", "{node}", "\xc3\xbc" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(vault_site_path_is_valid(good[i], VAULT_PATH_SIZE));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (vault_site_path_is_valid(bad[i], VAULT_PATH_SIZE))
			fail_msg("taken: %s", bad[i]);
	assert_true(vault_site_path_is_valid("a.c", 4));
	assert_false(vault_site_path_is_valid("a.cd", 4));
}

static void a_status_has_its_class(void **state)
{
	static const struct {
		long status;
		enum err code;
	} all[] = {
		{ 200, ERR_OK },
		{ 204, ERR_OK },
		{ 307, ERR_OK },
		{ 400, ERR_OK },
		{ 404, ERR_OK },
		{ 403, ERR_VAULT_DENIED },
		{ 412, ERR_VAULT_BUSY },
		{ 429, ERR_VAULT_BUSY },
		{ 500, ERR_VAULT_BUSY },
		{ 502, ERR_VAULT_BUSY },
		{ 599, ERR_VAULT_BUSY },
		{ 501, ERR_VAULT_SEALED },
		{ 503, ERR_VAULT_SEALED },
		{ 472, ERR_VAULT_NO_LEADER },
		{ 473, ERR_VAULT_NO_LEADER },
		{ 474, ERR_VAULT_NO_LEADER },
		{ 530, ERR_VAULT_NO_LEADER },
		{ 0, ERR_VAULT_ANSWER },
		{ 100, ERR_VAULT_ANSWER },
		{ 201, ERR_VAULT_ANSWER },
		{ 301, ERR_VAULT_ANSWER },
		{ 401, ERR_VAULT_ANSWER },
		{ 600, ERR_VAULT_ANSWER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct err_ctx e = { 0 };

		assert_int_equal(vault_status_error(all[i].status, "https://a:1", &e), all[i].code);
		assert_int_equal(e.http, all[i].code ? all[i].status : 0);
	}
}

/* ---- policies ---- */

static struct transit_key key_number(uint8_t n)
{
	struct transit_key key = { .name = "zfs-wrapper-tank" };

	memset(key.context, n, sizeof(key.context));
	return key;
}

/* An empty list of contexts would allow every one. */
static void a_policy_without_slots_allows_no_context(void **state)
{
	_cleanup_(json_decrefp) json_t *policy = vault_policy_new();
	struct transit_key key = key_number(1);
	_cleanup_free_ char *text = NULL;
	bool changed = false;

	(void)state;
	assert_int_equal(vault_policy_allow(policy, &vault_settings_default, &key, false, &changed, NULL), ERR_OK);
	assert_true(changed);
	assert_int_equal(vault_policy_hcl(policy, &text, NULL), ERR_OK);
	assert_non_null(strstr(text, "path \"transit/decrypt/zfs-wrapper-tank\" {"));
	assert_non_null(strstr(text, "\"context\" = [\"no-slot-yet\"]"));
	assert_non_null(strstr(text, "required_parameters = [\"context\"]"));
}

static void a_policy_gets_each_context_once(void **state)
{
	_cleanup_(json_decrefp) json_t *policy = vault_policy_new();
	_cleanup_free_ char *text = NULL;
	static const struct {
		uint8_t n;
		bool changes;
	} steps[] = { { 1, true }, { 1, false }, { 2, true }, { 1, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct transit_key key = key_number(steps[i].n);
		bool changed = false;

		assert_int_equal(vault_policy_allow(policy, &vault_settings_default, &key, true, &changed, NULL),
				 ERR_OK);
		assert_int_equal(changed, steps[i].changes);
	}
	assert_int_equal(vault_policy_hcl(policy, &text, NULL), ERR_OK);
	assert_null(strstr(text, "no-slot-yet"));
	assert_non_null(strstr(text, "\"context\" = [\"AQEB"));
}

/* ---- bodies ---- */

static void body_of(const char *text, enum err expected, const char *json)
{
	_cleanup_secret_ struct secret *s = NULL, *body = NULL;
	struct body b = { 0 };

	assert_int_equal(secret_new_copy(text, strlen(text), &s, NULL), ERR_OK);
	body_add(&b, "{\"x\":");
	body_add_secret(&b, s);
	body_add(&b, "}");
	assert_int_equal(body_take(&b, &body, NULL), expected);
	assert_null(b.bytes);
	if (json)
		assert_memory_equal(secret_data(body), json, strlen(json));
}

static void a_secret_in_a_body_cannot_end_its_string(void **state)
{
	static const char *const bad[] = { "a\"b", "a\\b", "a\nb", "\x7f", "\xc3\xbc" };

	(void)state;
	body_of("s.abc-123", ERR_OK, "{\"x\":\"s.abc-123\"}");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		body_of(bad[i], ERR_VAULT_CREDENTIAL, NULL);
}

static void a_body_has_an_end(void **state)
{
	static char large[VAULT_BODY_MAX + 1];
	_cleanup_secret_ struct secret *body = NULL;
	struct body b = { 0 };

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	body_add(&b, large);
	body_add_base64(&b, SPAN("abc", 3));
	assert_int_equal(body_take(&b, &body, NULL), ERR_VAULT_CREDENTIAL);
	assert_null(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_in_one_way),
		cmocka_unit_test(what_is_more_than_an_address_is_refused),
		cmocka_unit_test(a_long_host_is_refused),
		cmocka_unit_test(paths_have_words_alone),
		cmocka_unit_test(paths_that_a_site_chose_stay_where_they_point),
		cmocka_unit_test(a_status_has_its_class),
		cmocka_unit_test(a_policy_without_slots_allows_no_context),
		cmocka_unit_test(a_policy_gets_each_context_once),
		cmocka_unit_test(a_secret_in_a_body_cannot_end_its_string),
		cmocka_unit_test(a_body_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
