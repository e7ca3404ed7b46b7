/* SPDX-License-Identifier: MIT */
/*
 * The table of verbs: dispatch, option parsing, --help, the options in the manual pages (man/) and the completions come
 * from it. A verb's word for an argument (DATASET, FILE, N) also says how shells complete it (man/completions.py).
 */
#pragma once

#include "base/error.h"

/* One option of a verb. */
struct option_spec {
	const char *name;     /* long name without dashes; NULL if it has only a letter */
	char letter;          /* short name, or 0 */
	const char *argument; /* what its argument is called in the help, or NULL */
	const char *help;
	bool pass;            /* handed on to another program as it is */
};

enum { INVOCATION_OPTIONS_MAX = 128 };

/* One option as it was given. */
struct given_option {
	const struct option_spec *spec;
	const char *value; /* NULL if it takes none */
};

/* A parsed command line. Strings are argv's. */
struct invocation {
	const struct verb *verb;
	bool json, dry_run, help;
	const char *config; /* --config FILE, or NULL */
	size_t n_options;
	struct given_option options[INVOCATION_OPTIONS_MAX];
	size_t n_arguments;
	const char *const *arguments;
};

struct verb {
	const char *name;      /* "unlock", or "slot list" */
	const char *arguments; /* "[DATASET…]" for the usage line */
	const char *summary;   /* one line, no full stop */
	const char *details;   /* paragraphs for --help, or NULL */
	const struct option_spec *options; /* ends with an all-zero one; NULL for none */
	bool lists;            /* takes --json */
	bool changes;          /* takes --dry-run */
	bool options_first;    /* options end at the first argument */
	size_t min_arguments, max_arguments;
	enum err (*run)(const struct invocation *inv, struct err_ctx *e);
};

/* Parses argv[0 …] (behind the verb's words). Errors: ERR_USAGE, naming what is wrong; only ret->json is set then. */
must_check enum err invocation_parse(const struct verb *verb, int argc, char **argv, struct invocation *ret,
				     struct err_ctx *e);

/* True if the option was given; its last value, or NULL. */
bool invocation_has(const struct invocation *inv, const char *name);
const char *invocation_value(const struct invocation *inv, const char *name);

/*
 * The option's value as a number of at most max, or fallback if it was not given. Decimal, or hexadecimal with 0x.
 * Errors: ERR_USAGE.
 */
must_check enum err invocation_number(const struct invocation *inv, const char *name, unsigned long max, long fallback,
				      long *ret, struct err_ctx *e);

enum { VERB_OPTIONS_MAX = 64 };

/* All options that a verb takes: its own first. Returns how many. */
size_t verb_list_options(const struct verb *v, const struct option_spec *ret[static VERB_OPTIONS_MAX]);

/* Prints the usage, options, and details of a verb. */
void verb_print_help(const struct verb *v);

/* Every verb, in the order of --help; NULL ends it. */
extern const struct verb *const verbs[];

/* Prints them, and the exit statuses. */
void verbs_print_usage(void);

extern const struct verb verb_create, verb_adopt, verb_unlock, verb_lock, verb_status, verb_slot_list, verb_slot_add,
	verb_slot_remove, verb_slot_test, verb_slot_reseal, verb_header_backup, verb_header_restore,
	verb_header_verify, verb_repair, verb_recover, verb_vault_setup, verb_vault_status,
	verb_vault_login_test, verb_vault_enroll, verb_vault_renew, verb_version;
