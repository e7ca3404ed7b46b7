/* SPDX-License-Identifier: MIT */
/* The ZFS adapter, as far as it needs no ZFS: names, what zfs and zpool write, errors, and what is refused at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "zfs/internal.h"

#define FRAME         "zseal:frame.00000000-0000-4000-8000-000000000000"
#define FRAMED(dataset, rest) dataset "\t" rest "\n" dataset "\t" FRAME "\t-\t-\n"

/* A text of n times the same letter behind a beginning; the caller frees it. */
static char *long_text(const char *start, char letter, size_t n)
{
	size_t length = strlen(start);
	char *text = malloc(length + n + 1);

	assert_non_null(text);
	memcpy(text, start, length);
	memset(text + length, letter, n);
	text[length + n] = '\0';
	return text;
}

/* ---- names ---- */

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = {
		{ "tank", true },           { "T", true },              { "tank/a", true },
		{ "a1-_.: b/c d", true },   { "tank/..a", true },       { "tank/a..", true },
		{ "tank/...", true },       { "tank/-a", true },        { "tank/1", true },
		{ "tank/mirror", true },    { "mirror-1", true },       { "tank/ ", true },
		{ "", false },              { "/", false },             { "/tank", false },
		{ "tank/", false },         { "tank//a", false },       { "tank/.", false },
		{ "tank/..", false },       { "tank/../a", false },     { "tank/./a", false },
		{ "1tank", false },         { "-tank", false },         { " tank", false },
		{ ".", false },             { "_tank", false },         { "tank@a", false },
		{ "tank/a@b", false },      { "tank#a", false },        { "tank/%recv", false },
		{ "tank/a\tb", false },     { "tank/a\nb", false },     { "tank/\xc3\xa4", false },
		{ "tank/$a", false },       { "tank/a,b", false },      { "tank/a=b", false },
		{ "mirror", false },        { "raidz/a", false },       { "draid", false },
		{ "[tank", false },         { "@tank", false },         { "tank\x7f", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (zfs_name_is_valid(cases[i].name) != cases[i].valid)
			fail_msg("'%s' should be %s", cases[i].name, cases[i].valid ? "valid" : "refused");
}

static void test_name_lengths(void **state)
{
	static const struct {
		const char *start;
		size_t n;
		bool valid;
	} cases[] = {
		{ "tank/", 250, true }, { "tank/", 251, false }, { "", 239, true }, { "", 240, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *name = long_text(cases[i].start, 'a', cases[i].n);

		assert_int_equal(zfs_name_is_valid(name), cases[i].valid);
	}
	assert_int_equal(zfs_pool_name_length("tank"), 4);
	assert_int_equal(zfs_pool_name_length("tank/a/b"), 4);
}

static void test_changes(void **state)
{
	_cleanup_free_ char *name_max = long_text("a:", 'b', 253), *name_over = long_text("a:", 'b', 254);
	_cleanup_free_ char *value_max = long_text("", 'v', 8191), *value_over = long_text("", 'v', 8192);
	const struct {
		const char *name, *value;
		enum err expected;
	} cases[] = {
		{ "zseal:keyring", "{}", ERR_OK },
		{ "zseal:slot.a-b_c", NULL, ERR_OK },
		{ name_max, value_max, ERR_OK },
		{ "zseal:key", "a\tb\nc", ERR_OK },
		{ name_over, "", ERR_TOO_LARGE },
		{ "zseal:key", value_over, ERR_TOO_LARGE },
		{ "mountpoint", "/etc", ERR_BUG },
		{ "mountpoint", NULL, ERR_BUG },
		{ "zseal:KEY", "", ERR_BUG },
		{ "zseal:a b", "", ERR_BUG },
		{ "zseal:a$recvd", "", ERR_BUG },
		{ "", "", ERR_BUG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct zfs_change change = { cases[i].name, cases[i].value };

		assert_int_equal(zfs_check_change(&change, NULL), cases[i].expected);
	}
}

/* ---- what zfs get wrote ---- */

static struct zfs_properties parse(const char *text)
{
	struct zfs_properties list = { 0 };
	struct err_ctx e = { 0 };
	char *copy = strdup(text);

	assert_non_null(copy);
	if (zfs_properties_parse(copy, FRAME, &list, &e))
		fail_msg("%s: %s", err_info(e.code)->name, e.chain[0]);
	return list;
}

static void assert_property(const struct zfs_property *p, const struct zfs_property *expected)
{
	assert_string_equal(p->dataset, expected->dataset);
	assert_string_equal(p->name, expected->name);
	assert_string_equal(p->value, expected->value);
	assert_string_equal(p->source, expected->source);
	assert_int_equal(p->inherited, expected->inherited);
}

static void test_properties(void **state)
{
	static const char text[] = FRAMED("tank", "zseal:key\t-\t-")
		FRAMED("tank", "keystatus\tavailable\t-")
		FRAMED("tank/a b", "zseal:key\t{\"v\":1}\tinherited from tank/c d")
		FRAMED("tank/a b", "keylocation\tprompt\tlocal")
		FRAMED("tank/c", "zseal:key\t\treceived")
		FRAMED("tank/c", "zseal:key\t-\tlocal");
	static const struct zfs_property expected[] = {
		{ "tank", "zseal:key", "-", "-", false },
		{ "tank", "keystatus", "available", "-", false },
		{ "tank/a b", "zseal:key", "{\"v\":1}", "tank/c d", true },
		{ "tank/a b", "keylocation", "prompt", "local", false },
		{ "tank/c", "zseal:key", "", "received", false },
		{ "tank/c", "zseal:key", "-", "local", false },
	};

	(void)state;
	_cleanup_(zfs_properties_clear) struct zfs_properties list = parse(text);
	assert_int_equal(list.n, ARRAY_SIZE(expected));
	for (size_t i = 0; i < list.n; i++)
		assert_property(&list.all[i], &expected[i]);
}

static void test_no_properties(void **state)
{
	(void)state;
	_cleanup_(zfs_properties_clear) struct zfs_properties list = parse("");
	assert_int_equal(list.n, 0);
}

/* What whoever may set a user property on tank/x would set it to, in order to speak for others. */
static void test_hostile_values(void **state)
{
	static const char *const values[] = {
		"a\tb", "a\nb", "\n", "\t", "\t\t\t", "a\n", "\na", "\xff\x01 \x7f", "local", "-\t-",
		"v\tlocal\ntank\tzseal:keyring\tforged",
		"v\tlocal\ntank/x\tkeystatus\tavailable\t-\ntank\tzseal:keyring\tforged",
		"v\tlocal\ntank/x\t" FRAME "x\t-\t-\ntank\tzseal:keyring\tforged",
		"v\tlocal\ntank/x\tzseal:frame.\t-\t-\ntank\tzseal:keyring\tforged",
		"v\tinherited from tank\n", "inherited from tank",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		_cleanup_free_ char *text = NULL;
		const struct zfs_property hostile = { "tank/x", "zseal:key", values[i], "local", false };
		const struct zfs_property next = { "tank/x", "keystatus", "none", "-", false };

		assert_int_equal(str_format(&text, NULL,
			"tank/x\tzseal:key\t%s\tlocal\ntank/x\t" FRAME "\t-\t-\n%s", values[i],
			FRAMED("tank/x", "keystatus\tnone\t-")), ERR_OK);
		_cleanup_(zfs_properties_clear) struct zfs_properties list = parse(text);
		assert_int_equal(list.n, 2);
		assert_property(&list.all[0], &hostile);
		assert_property(&list.all[1], &next);
	}
}

/* Whatever the values are made of, what is printed as zfs prints it is read as it was. */
static void test_any_values(void **state)
{
	static const char *const parts[] = {
		"\t", "\n", "-", "tank", "local", "\tlocal\n", "zseal:key", "\t-\t-\n", "zseal:frame.11111111", FRAME "1",
	};
	uint32_t random = 1;

	(void)state;
	for (size_t round = 0; round < 5000; round++) {
		_cleanup_free_ char *text = NULL;
		char value[512] = "";

		for (size_t i = 0; i < 8; i++) {
			random = random * 1664525 + 1013904223; /* Numerical Recipes' generator: the same on every run */
			strcat(value, parts[(random >> 16) % ARRAY_SIZE(parts)]);
		}
		const struct zfs_property expected = { "tank", "zseal:key", value, "local", false };
		assert_int_equal(str_format(&text, NULL, "tank\tzseal:key\t%s\tlocal\ntank\t" FRAME "\t-\t-\n", value),
				 ERR_OK);
		_cleanup_(zfs_properties_clear) struct zfs_properties list = parse(text);
		assert_int_equal(list.n, 1);
		assert_property(&list.all[0], &expected);
	}
}

static void test_many_properties(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, n = 5000; /* more takes minutes under ASan, whose strstr() looks at all that follows */
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "tank/%zu\tzseal:key\t%zu\tlocal\ntank/%zu\t" FRAME "\t-\t-\n", i / 5, i, i / 5);
	fclose(out);
	_cleanup_(zfs_properties_clear) struct zfs_properties list = parse(text);
	assert_int_equal(list.n, n);
	assert_string_equal(list.all[n - 1].dataset, "tank/999");
	assert_string_equal(list.all[n - 1].value, "4999");
}

static void test_bad_output(void **state)
{
	static const char *const texts[] = {
		"tank",
		"\n",
		"tank\tzseal:key\t-\t-\n",
		"tank\tzseal:key\t-\t-\ntank\t" FRAME "\t-\t-",
		"tank\tzseal:key\t-\t-\ntank/a\t" FRAME "\t-\t-\n",
		"tank\tzseal:key\t-\t-\nank\t" FRAME "\t-\t-\n",
		"tank\tzseal:key\t-\t-\nfoot\t" FRAME "\t-\t-\n",
		"tank\tzseal:key\t-\t-tank\t" FRAME "\t-\t-\n",
		"tank\t" FRAME "\t-\t-\n",
		"\t" FRAME "\t-\t-\n",
		"tank\nzseal:key\ntank\t" FRAME "\t-\t-\n",
		FRAMED("tank", "zseal:key"),
		FRAMED("tank", "zseal:key\t-"),
		FRAMED("tank", "zseal:key\t-\t-") "tank",
		FRAMED("tank", "zseal:key\t-\t-") "tank\t" FRAME "\t-\t-\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *copy = strdup(texts[i]);
		struct zfs_properties list = { 0 };

		assert_non_null(copy);
		if (zfs_properties_parse(copy, FRAME, &list, NULL) != ERR_CHILD)
			fail_msg("accepted: %s", texts[i]);
		assert_null(list.all);
	}
}

/* ---- what zpool list wrote ---- */

static void test_pools(void **state)
{
	char text[] = "rpool\t18446744073709551615\toff\tONLINE\nt k\t7\ton\tDEGRADED\nz\t8\t-\tSUSPENDED\n", none[] = "";
	_cleanup_(zfs_pools_clear) struct zfs_pools pools = { 0 }, empty = { 0 };

	(void)state;
	assert_int_equal(zfs_pools_parse(none, &empty, NULL), ERR_OK);
	assert_int_equal(empty.n, 0);
	assert_int_equal(zfs_pools_parse(text, &pools, NULL), ERR_OK);
	assert_int_equal(pools.n, 3);
	assert_string_equal(pools.all[1].name, "t k");
	assert_false(pools.all[1].suspended);
	assert_true(pools.all[2].suspended);
	assert_ptr_equal(zfs_pools_find_guid(&pools, 7), &pools.all[1]);
	assert_null(zfs_pools_find_guid(&pools, 9));
	assert_true(pools.all[0].guid == UINT64_MAX);
	assert_false(pools.all[0].readonly);
	assert_true(pools.all[1].readonly);
	assert_true(pools.all[2].readonly);
	assert_ptr_equal(zfs_pools_find(&pools, "t k/a/b"), &pools.all[1]);
	assert_ptr_equal(zfs_pools_find(&pools, "rpool"), &pools.all[0]);
	assert_null(zfs_pools_find(&pools, "rpoo"));
	assert_null(zfs_pools_find(&pools, "rpool2/a"));
	assert_null(zfs_pools_find(&empty, "rpool"));
}

static void test_bad_pools(void **state)
{
	static const char *const texts[] = {
		"tank\t1\toff\tONLINE", "tank\t1\toff\n", "tank\t1\toff\tONLINE\tx\n", "tank\t-\toff\tONLINE\n",
		"tank\t-1\toff\tONLINE\n", "tank\t 1\toff\tONLINE\n", "tank\t1x\toff\tONLINE\n", "\n",
		"tank\t18446744073709551616\toff\tONLINE\n", "tank\t1\toff\tAS HEALTHY AS CAN BE\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *copy = strdup(texts[i]);
		struct zfs_pools pools = { 0 };

		assert_non_null(copy);
		if (zfs_pools_parse(copy, &pools, NULL) != ERR_CHILD)
			fail_msg("accepted: %s", texts[i]);
		assert_null(pools.all);
	}
}

/* ---- errors ---- */

static void test_errors(void **state)
{
	static const struct zfs_reason own[] = { { EACCES, ERR_ZFS_KEY_WRONG, "because" }, { 0 } };
	static const struct {
		const struct zfs_reason *own;
		int sys_errno;
		enum err expected;
		const char *place;
	} cases[] = {
		{ own, EACCES, ERR_ZFS_KEY_WRONG, "loading tank/a: because" },
		{ NULL, EACCES, ERR_ZFS_DENIED, "loading tank/a" },
		{ own, ENOENT, ERR_ZFS_NOT_FOUND, "loading tank/a" },
		{ own, EDQUOT, ERR_ZFS_FULL, "loading tank/a: over quota" },
		{ own, EAGAIN, ERR_ZFS_IO, "loading tank/a: the pool is suspended" },
		{ own, EDOM, ERR_ZFS_FAILED, "loading tank/a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err_ctx e = { 0 };

		assert_int_equal(zfs_fail(cases[i].own, cases[i].sys_errno, "loading", "tank/a", &e), cases[i].expected);
		assert_int_equal(e.sys_errno, cases[i].sys_errno);
		assert_string_equal(e.chain[0], cases[i].place);
	}
}

/* ---- refused before anything is asked of ZFS ---- */

static void test_refused_keys(void **state)
{
	_cleanup_secret_ struct secret *key = NULL, *short_key = NULL;
	bool was_loaded;

	(void)state;
	assert_int_equal(secret_new(KEY_SIZE, &key, NULL), ERR_OK);
	assert_int_equal(secret_new(KEY_SIZE - 1, &short_key, NULL), ERR_OK);
	assert_int_equal(zfs_load_key(NULL, "tank@a", key, &was_loaded, NULL), ERR_USAGE);
	assert_int_equal(zfs_prove_key(NULL, "/tank", key, NULL), ERR_USAGE);
	assert_int_equal(zfs_change_key(NULL, "tank/%a", key, NULL), ERR_USAGE);
	assert_int_equal(zfs_unload_key(NULL, "", &was_loaded, NULL), ERR_USAGE);
	assert_int_equal(zfs_load_key(NULL, "tank", short_key, &was_loaded, NULL), ERR_BUG);
	assert_int_equal(zfs_prove_key(NULL, "tank", short_key, NULL), ERR_BUG);
	assert_int_equal(zfs_change_key(NULL, "tank", short_key, NULL), ERR_BUG);
}

static void test_refused_writes(void **state)
{
	_cleanup_free_ char *over = long_text("", 'v', 8192);
	const struct zfs_change good = { "zseal:key", "v" }, native = { "mountpoint", "/etc" }, large = { "zseal:key", over };
	const struct {
		struct zfs_write write;
		enum err expected;
	} cases[] = {
		{ { "tank@a", "zseal:keyring", NULL, &good, 1 }, ERR_USAGE },
		{ { "tank", "zseal:keyring", NULL, &native, 1 }, ERR_BUG },
		{ { "tank", "zseal:keyring", NULL, &large, 1 }, ERR_TOO_LARGE },
		{ { "tank", "zseal:keyring", over, &good, 1 }, ERR_TOO_LARGE },
		{ { "tank", "guid", NULL, &good, 1 }, ERR_BUG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(zfs_write_properties(NULL, &cases[i].write, NULL), cases[i].expected);
}

static void test_refused_queries(void **state)
{
	static const char *const snapshot[] = { "tank", "tank@a" }, *const two[] = { "tank", "rpool" };
	static const struct {
		struct zfs_query query;
		enum err expected;
	} cases[] = {
		{ { .datasets = snapshot, .n_datasets = 2, .properties = "zseal:key" }, ERR_USAGE },
		{ { .datasets = two, .n_datasets = 2, .properties = "zseal:key,zseal:slot.*" }, ERR_BUG },
		{ { .datasets = two, .n_datasets = 1, .properties = "all", .recursive = true }, ERR_BUG },
		{ { .properties = "all" }, ERR_BUG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct zfs_properties list = { 0 };

		assert_int_equal(zfs_get(&cases[i].query, &list, NULL), cases[i].expected);
	}
}

static void test_refused_pools(void **state)
{
	_cleanup_secret_ struct secret *key = NULL;
	_cleanup_free_ char *over = long_text("", 'v', 8192);
	const struct zfs_change large = { "zseal:key", over };

	(void)state;
	assert_int_equal(secret_new(KEY_SIZE, &key, NULL), ERR_OK);
	const struct {
		struct zfs_create create;
		enum err expected;
	} cases[] = {
		{ { .pool = "-tank", .key = key }, ERR_USAGE },
		{ { .pool = "tank/a", .key = key }, ERR_USAGE },
		{ { .pool = "mirror", .key = key }, ERR_USAGE },
		{ { .pool = "tank" }, ERR_BUG },
		{ { .pool = "tank", .key = key, .properties = &large, .n_properties = 1 }, ERR_TOO_LARGE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *said = (char *)"";

		assert_int_equal(zfs_create_pool(&cases[i].create, deadline_in(0), &said, NULL), cases[i].expected);
		assert_null(said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_no_properties),
		cmocka_unit_test(test_hostile_values),
		cmocka_unit_test(test_any_values),
		cmocka_unit_test(test_many_properties),
		cmocka_unit_test(test_bad_output),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_bad_pools),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_refused_keys),
		cmocka_unit_test(test_refused_writes),
		cmocka_unit_test(test_refused_queries),
		cmocka_unit_test(test_refused_pools),
	};

	return cmocka_run_group_tests_name("zfs", tests, NULL, NULL);
}
