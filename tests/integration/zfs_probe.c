/* SPDX-License-Identifier: MIT */
/*
 * Calls the ZFS adapter as the command line says, so that test_zfs_adapter.py can drive it. Never installed: keys are
 * arguments here.
 *
 *	zfs_probe get|get-recursive PROPERTIES [DATASET…]
 *		a line for each: dataset, name, value in hexadecimal, source, "inherited" or "own"
 *	zfs_probe pools
 *	zfs_probe load|prove|change DATASET KEY		KEY is in hexadecimal
 *	zfs_probe unload DATASET
 *	zfs_probe write DATASET EXPECTED [CHANGE…]	each NAME=VALUE, or NAME alone for NULL
 *	zfs_probe create|dry-run POOL KEY [OPTION…] -- [NAME=VALUE…] -- VDEV…
 *
 * An error is one line: its name, errno, the innermost place. Exit status 0, 1 for an error, 2 for a wrong call.
 */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "sys/process.h"
#include "zfs/zfs.h"

enum { WORDS_MAX = 2000, TIMEOUT_MS = 60000 };

/* What follows the verb. */
struct call {
	const char *const *words;
	size_t n;
};

static enum err read_key(const char *hex, struct secret **ret, struct err_ctx *e)
{
	enum err err = secret_new(strlen(hex) / 2, ret, e);

	if (!err && !hex_decode(hex, secret_bytes(*ret), secret_size(*ret)))
		err = err_set(e, ERR_USAGE, "a key is hexadecimal");
	return err;
}

/* "NAME=VALUE" or "NAME"; cuts the word. */
static struct zfs_change read_change(const char *word)
{
	char *name = strdup(word), *value = name ? strchr(name, '=') : NULL;

	if (value)
		*value++ = '\0';
	return (struct zfs_change){ name, value };
}

static void print_property(const struct zfs_property *p)
{
	_cleanup_free_ char *hex = malloc(HEX_TEXT_SIZE(strlen(p->value)));

	if (!hex)
		return;
	hex_encode(SPAN(p->value, strlen(p->value)), hex);
	printf("%s\t%s\t%s\t%s\t%s\n", p->dataset, p->name, hex, p->source, p->inherited ? "inherited" : "own");
}

static enum err get(const struct call *c, bool recursive, struct err_ctx *e)
{
	_cleanup_(zfs_properties_clear) struct zfs_properties list = { 0 };
	const struct zfs_query q = {
		.datasets = c->words + 1, .n_datasets = c->n - 1, .properties = c->words[0], .recursive = recursive,
		.deadline = deadline_in(TIMEOUT_MS),
	};
	enum err err = zfs_get(&q, &list, e);

	for (size_t i = 0; i < list.n; i++)
		print_property(&list.all[i]);
	return err;
}

static enum err do_get(const struct call *c, struct err_ctx *e)
{
	return get(c, false, e);
}

static enum err do_get_recursive(const struct call *c, struct err_ctx *e)
{
	return get(c, true, e);
}

static enum err do_pools(const struct call *c, struct err_ctx *e)
{
	_cleanup_(zfs_pools_clear) struct zfs_pools pools = { 0 };
	enum err err = zfs_pools_get(deadline_in(TIMEOUT_MS), &pools, e);

	(void)c;
	for (size_t i = 0; i < pools.n; i++)
		printf("%s\t%" PRIu64 "\t%s\t%s\n", pools.all[i].name, pools.all[i].guid,
		       pools.all[i].readonly ? "read-only" : "writable", pools.all[i].suspended ? "suspended" : "alive");
	return err;
}

static enum err do_load(const struct call *c, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *z = NULL;
	_cleanup_secret_ struct secret *key = NULL;
	bool was_loaded = false;
	enum err err = read_key(c->words[1], &key, e);

	if (!err)
		err = zfs_open(&z, e);
	if (!err)
		err = zfs_load_key(z, c->words[0], key, &was_loaded, e);
	if (!err)
		puts(was_loaded ? "was loaded" : "loaded");
	return err;
}

static enum err do_prove(const struct call *c, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *z = NULL;
	_cleanup_secret_ struct secret *key = NULL;
	enum err err = read_key(c->words[1], &key, e);

	if (!err)
		err = zfs_open(&z, e);
	return err ? err : zfs_prove_key(z, c->words[0], key, e);
}

static enum err do_change(const struct call *c, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *z = NULL;
	_cleanup_secret_ struct secret *key = NULL;
	enum err err = read_key(c->words[1], &key, e);

	if (!err)
		err = zfs_open(&z, e);
	return err ? err : zfs_change_key(z, c->words[0], key, e);
}

static enum err do_unload(const struct call *c, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *z = NULL;
	bool was_loaded = false;
	enum err err = zfs_open(&z, e);

	if (!err)
		err = zfs_unload_key(z, c->words[0], &was_loaded, e);
	if (!err)
		puts(was_loaded ? "unloaded" : "was not loaded");
	return err;
}

static enum err do_write(const struct call *c, struct err_ctx *e)
{
	_cleanup_(zfs_closep) struct zfs *z = NULL;
	struct zfs_change changes[WORDS_MAX], expected = read_change(c->words[1]);
	const struct zfs_write w = { c->words[0], expected.name, expected.value, changes, c->n - 2 };
	enum err err = zfs_open(&z, e);

	for (size_t i = 0; i < w.n_changes; i++)
		changes[i] = read_change(c->words[i + 2]);
	if (!err)
		err = zfs_write_properties(z, &w, e);
	for (size_t i = 0; i < w.n_changes; i++)
		free((char *)changes[i].name);
	free((char *)expected.name);
	return err;
}

/* Number of words before the next "--", or all. */
static size_t until_dashes(const struct call *c, size_t from)
{
	size_t n = 0;

	while (from + n < c->n && !str_equal(c->words[from + n], "--"))
		n++;
	return n;
}

static enum err create(const struct call *c, bool dry_run, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL;
	_cleanup_free_ char *said = NULL;
	struct zfs_change properties[WORDS_MAX];
	size_t n_options = until_dashes(c, 2), second = 2 + n_options + 1, n_properties = until_dashes(c, second);
	size_t third = second + n_properties + 1;
	const struct zfs_create how = {
		.pool = c->words[0], .options = c->words + 2, .n_options = n_options, .properties = properties,
		.n_properties = n_properties, .vdevs = c->words + third, .n_vdevs = until_dashes(c, third),
		.dry_run = dry_run,
	};
	enum err err = read_key(c->words[1], &key, e);

	for (size_t i = 0; i < n_properties; i++)
		properties[i] = read_change(c->words[second + i]);
	if (!err) {
		struct zfs_create with_key = how;

		with_key.key = dry_run ? NULL : key;
		err = zfs_create_pool(&with_key, deadline_in(TIMEOUT_MS), &said, e);
	}
	for (size_t i = 0; i < n_properties; i++)
		free((char *)properties[i].name);
	if (said)
		printf("%s\n", said);
	return err;
}

static enum err do_create(const struct call *c, struct err_ctx *e)
{
	return create(c, false, e);
}

static enum err do_dry_run(const struct call *c, struct err_ctx *e)
{
	return create(c, true, e);
}

static const struct {
	const char *name;
	size_t words_min;
	enum err (*run)(const struct call *c, struct err_ctx *e);
} verbs[] = {
	{ "get", 1, do_get },       { "get-recursive", 1, do_get_recursive },
	{ "pools", 0, do_pools },   { "load", 2, do_load },
	{ "prove", 2, do_prove },   { "change", 2, do_change },
	{ "unload", 1, do_unload }, { "write", 2, do_write },
	{ "create", 5, do_create }, { "dry-run", 5, do_dry_run },
};

int main(int argc, char **argv)
{
	const struct call c = { (const char *const *)argv + 2, argc > 2 ? (size_t)argc - 2 : 0 };
	struct err_ctx e = { 0 };

	for (size_t i = 0; argc > 1 && c.n < WORDS_MAX && i < ARRAY_SIZE(verbs); i++) {
		if (!str_equal(argv[1], verbs[i].name) || c.n < verbs[i].words_min)
			continue;
		enum err err = verbs[i].run(&c, &e);
		if (err)
			printf("%s\t%d\t%s\n", err_info(err)->name, e.sys_errno, e.chain[0]);
		return err != ERR_OK;
	}
	return 2;
}
