/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "cli/style.h"
#include "cli/verb.h"

static const struct option_spec option_json = { "json", 0, NULL, "print JSON", false };
static const struct option_spec option_dry_run = { "dry-run", 0, NULL, "tell what would be done, and do nothing", false };
static const struct option_spec common_options[] = {
	{ "config", 0, "FILE", "read FILE, which only root may write, instead of /etc/zseal/zseal.conf", false },
	{ "help", 'h', NULL, "print this help", false },
	{ 0 },
};

size_t verb_list_options(const struct verb *v, const struct option_spec *ret[static VERB_OPTIONS_MAX])
{
	size_t n = 0;

	for (const struct option_spec *o = v->options; o && (o->name || o->letter); o++)
		ret[n++] = o;
	if (v->lists)
		ret[n++] = &option_json;
	if (v->changes)
		ret[n++] = &option_dry_run;
	for (const struct option_spec *o = common_options; o->name; o++)
		ret[n++] = o;
	return n;
}

/* ---- parsing ---- */

/* Long options are numbered from here, so that they cannot be taken for a letter. */
enum { LONG_BASE = 256 };

struct getopt_tables {
	size_t n;
	const struct option_spec *specs[VERB_OPTIONS_MAX];
	struct option longs[VERB_OPTIONS_MAX + 1];
	char shorts[2 * VERB_OPTIONS_MAX + 3];
};

static void make_tables(const struct verb *v, struct getopt_tables *t)
{
	char *s = t->shorts;
	size_t n_longs = 0;

	memset(t, 0, sizeof(*t));
	t->n = verb_list_options(v, t->specs);
	if (v->options_first)
		*s++ = '+';
	*s++ = ':'; /* a missing argument is told apart from an unknown option */
	for (size_t i = 0; i < t->n; i++) {
		const struct option_spec *o = t->specs[i];

		if (o->name)
			t->longs[n_longs++] = (struct option){
				o->name, o->argument ? required_argument : no_argument, NULL, (int)(LONG_BASE + i),
			};
		if (o->letter)
			*s++ = o->letter;
		if (o->letter && o->argument)
			*s++ = ':';
	}
	*s = '\0';
}

static const struct option_spec *find_spec(const struct getopt_tables *t, int c)
{
	if (c >= LONG_BASE)
		return t->specs[c - LONG_BASE];
	for (size_t i = 0; i < t->n; i++)
		if (t->specs[i]->letter == c)
			return t->specs[i];
	return NULL;
}

/* The word on the line that getopt has just taken: the one before an argument that stands by itself. */
static const char *taken_word(char **argv)
{
	return argv[optarg && optarg == argv[optind - 1] ? optind - 2 : optind - 1];
}

/*
 * getopt takes "--al" for --all. What scripts have come to rely on would break, or mean something else, as soon as a verb
 * has another option that begins so.
 */
static bool is_abbreviated(const struct option_spec *o, int c, char **argv)
{
	const char *word = taken_word(argv);

	return c >= LONG_BASE && strcspn(word, "=") != strlen("--") + strlen(o->name);
}

static enum err take_option(struct invocation *inv, const struct option_spec *o, const char *value, struct err_ctx *e)
{
	if (str_equal(o->name, "json"))
		inv->json = true;
	else if (str_equal(o->name, "dry-run"))
		inv->dry_run = true;
	else if (str_equal(o->name, "help"))
		inv->help = true;
	else if (str_equal(o->name, "config"))
		inv->config = value;
	else if (inv->n_options == INVOCATION_OPTIONS_MAX)
		return err_set(e, ERR_USAGE, "more than %d options", INVOCATION_OPTIONS_MAX);
	else
		inv->options[inv->n_options++] = (struct given_option){ o, value };
	return ERR_OK;
}

static enum err check_arguments(const struct invocation *inv, struct err_ctx *e)
{
	const struct verb *v = inv->verb;

	if (inv->help)
		return ERR_OK;
	if (inv->n_arguments < v->min_arguments)
		return err_set(e, ERR_USAGE, "it needs %s", v->arguments);
	if (inv->n_arguments > v->max_arguments)
		return err_set(e, ERR_USAGE, "it does not take '%.64s'", inv->arguments[v->max_arguments]);
	return ERR_OK;
}

enum err invocation_parse(const struct verb *verb, int argc, char **argv, struct invocation *ret, struct err_ctx *e)
{
	struct invocation inv = { .verb = verb };
	struct getopt_tables t;
	enum err err = ERR_OK;
	int c;

	make_tables(verb, &t);
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		const struct option_spec *o = c == ':' || c == '?' ? NULL : find_spec(&t, c);
		enum err wrong;

		if (c == ':')
			wrong = err_set(err ? NULL : e, ERR_USAGE, "%.64s needs an argument", argv[optind - 1]);
		else if (!o || is_abbreviated(o, c, argv))
			wrong = err_set(err ? NULL : e, ERR_USAGE, "there is no option %.64s", taken_word(argv));
		else
			wrong = take_option(&inv, o, optarg, err ? NULL : e);
		err = err ? err : wrong;
	}
	/* also where something is wrong: who asked for JSON is told in JSON, wherever on the line he asked */
	ret->json = inv.json;
	if (err)
		return err;
	inv.n_arguments = (size_t)(argc - optind);
	inv.arguments = (const char *const *)argv + optind;
	err = check_arguments(&inv, e);
	if (!err)
		*ret = inv;
	return err;
}

bool invocation_has(const struct invocation *inv, const char *name)
{
	for (size_t i = 0; i < inv->n_options; i++)
		if (str_equal(inv->options[i].spec->name, name))
			return true;
	return false;
}

const char *invocation_value(const struct invocation *inv, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < inv->n_options; i++)
		if (str_equal(inv->options[i].spec->name, name))
			value = inv->options[i].value;
	return value;
}

enum err invocation_number(const struct invocation *inv, const char *name, unsigned long max, long fallback, long *ret,
			   struct err_ctx *e)
{
	const char *text = invocation_value(inv, name);
	char *end = NULL;

	if (!text) {
		*ret = fallback;
		return ERR_OK;
	}
	errno = 0;
	unsigned long n = strtoul(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || n > max || n > LONG_MAX)
		return err_set(e, ERR_USAGE, "--%s takes a number up to %lu, not '%.32s'", name, max, text);
	*ret = (long)n;
	return ERR_OK;
}

/* ---- help ---- */

enum { LEFT_WIDTH = 29 };
#define HELP_BELOW "\n                               "

static void print_option(const struct option_spec *o)
{
	char left[64];
	const char *space = o->argument ? " " : "", *argument = o->argument ? o->argument : "";

	if (o->name && o->letter)
		snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter, o->name, space, argument);
	else if (o->name)
		snprintf(left, sizeof(left), "    --%s%s%s", o->name, space, argument);
	else
		snprintf(left, sizeof(left), "-%c%s%s", o->letter, space, argument);
	/* one that leaves no room beside it has the help below it */
	say(stdout, "  %-*s%s%s\n", LEFT_WIDTH, left, strlen(left) < LEFT_WIDTH ? "" : HELP_BELOW, o->help);
}

void verb_print_help(const struct verb *v)
{
	const struct option_spec *list[VERB_OPTIONS_MAX];
	size_t n = verb_list_options(v, list);

	say(stdout, "usage: zseal %s [OPTION…]%s%s\n\n%s.\n", v->name, *v->arguments ? " " : "", v->arguments, v->summary);
	if (v->details)
		say(stdout, "\n%s\n", v->details);
	say(stdout, "\n");
	for (size_t i = 0; i < n; i++)
		print_option(list[i]);
}
