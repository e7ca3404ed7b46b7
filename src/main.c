/* SPDX-License-Identifier: MIT */
/* zseal keeps the keys of encrypted ZFS pools. Finds the verb and runs it; the rest is below. */
#include <string.h>

#include "cli/output.h"
#include "cli/verb.h"
#include "crypto/crypto.h"
#include "event/event.h"
#include "sys/process.h"

/* A verb of one word or two; *ret_words is how many. NULL if there is none. */
static const struct verb *find_verb(int argc, char **argv, int *ret_words)
{
	char two[64] = "";

	if (argc > 2)
		snprintf(two, sizeof(two), "%s %s", argv[1], argv[2]);
	for (size_t i = 0; verbs[i]; i++) {
		*ret_words = strchr(verbs[i]->name, ' ') ? 2 : 1;
		if (str_equal(verbs[i]->name, *ret_words == 2 ? two : argv[1]))
			return verbs[i];
	}
	return NULL;
}

/* True if name consists of more words than this one, which is the first. */
static bool begins_with_word(const char *name, const char *word)
{
	size_t n = strcspn(name, " ");

	return name[n] && strlen(word) == n && strncmp(name, word, n) == 0;
}

static enum err no_verb(int argc, char **argv, struct err_ctx *e)
{
	int words;
	const struct verb *asked = argc > 2 && str_equal(argv[1], "help") ? find_verb(argc - 1, argv + 1, &words) : NULL;

	if (asked) {
		verb_print_help(asked);
		return ERR_OK;
	}
	if (argc > 1 && (str_equal(argv[1], "--help") || str_equal(argv[1], "-h") || str_equal(argv[1], "help"))) {
		verbs_print_usage();
		return ERR_OK;
	}
	if (argc > 1 && str_equal(argv[1], "--version"))
		return verb_version.run(&(struct invocation){ .verb = &verb_version }, e);
	if (argc < 2)
		return err_set(e, ERR_USAGE, "no verb was given");
	for (size_t i = 0; verbs[i]; i++)
		if (begins_with_word(verbs[i]->name, argv[1]))
			return err_set(e, ERR_USAGE, "there is no verb '%s%s%.32s', but '%s'", argv[1],
				       argc > 2 ? " " : "", argc > 2 ? argv[2] : "", verbs[i]->name);
	return err_set(e, ERR_USAGE, "there is no verb '%.32s'", argv[1]);
}

/* Only a verb that changes or opens something leaves a trace of being refused. */
static void report_refusal(const struct verb *v, const struct err_ctx *e)
{
	if (v->changes && e->depth && err_info(e->code)->class != CLASS_USAGE)
		event_emit(&(struct event){ .id = EVENT_CONTROL_REFUSED, .error = e });
}

static enum err run(int argc, char **argv, struct invocation *inv, struct err_ctx *e)
{
	int words = 1;
	const struct verb *v = argc > 1 ? find_verb(argc, argv, &words) : NULL;

	if (!v)
		return no_verb(argc, argv, e);
	enum err err = invocation_parse(v, argc - words, argv + words, inv, e);
	if (err)
		return err_wrap(e, err, "zseal %s", v->name);
	if (inv->help) {
		verb_print_help(v);
		return ERR_OK;
	}
	err = v->run(inv, e);
	if (err)
		report_refusal(v, e);
	return err;
}

int main(int argc, char **argv)
{
	struct invocation inv = { 0 };
	struct err_ctx e = { 0 }, late = { 0 };
	enum err err = process_harden(&e);

	crypto_ignore_configuration();
	if (!err)
		err = process_catch_signals(&e);
	if (!err)
		err = run(argc, argv, &inv, &e);
	if (err)
		output_failure(&e, inv.json);
	enum err finished = output_finish(&late);
	if (!err && finished) {
		output_error(NULL, &late);
		err = finished;
	}
	return err_exit_status(err_info(err)->class);
}
