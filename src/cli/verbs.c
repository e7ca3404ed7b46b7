/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cli/style.h"
#include "cli/verb.h"

const struct verb *const verbs[] = {
	&verb_create, &verb_adopt, &verb_unlock, &verb_lock, &verb_status,
	&verb_slot_list, &verb_slot_add, &verb_slot_test, &verb_slot_reseal, &verb_slot_remove,
	&verb_header_backup, &verb_header_verify, &verb_header_restore,
	&verb_repair, &verb_recover,
	&verb_vault_setup, &verb_vault_enroll, &verb_vault_status, &verb_vault_login_test,
	&verb_version,
	NULL,
};

enum { LINE_WIDTH = 96 };

/* Behind what is on the line already; a class is never broken. */
static void print_exit_statuses(size_t column)
{
	for (enum err_class c = 0; c < CLASS_MAX; c++) {
		const struct err_class_info *info = err_class_info(c);
		char text[80];
		size_t n = (size_t)snprintf(text, sizeof(text), "%d %s%s", info->exit_status, info->words,
					    c + 1 < CLASS_MAX ? ";" : ".");
		bool fits = column + 1 + n <= LINE_WIDTH;

		column = fits ? column + 1 + n : n;
		say(stdout, "%s%s", fits ? " " : "\n", text);
	}
	say(stdout, "\n");
}

void verbs_print_usage(void)
{
	static const char more[] = "zseal VERB --help tells more. Exit status:";

	say(stdout, "usage: zseal VERB [OPTION…] [ARGUMENT…]\n\nKeeps the keys of encrypted ZFS pools.\n\n");
	for (size_t i = 0; verbs[i]; i++)
		say(stdout, "  %-16s %s\n", verbs[i]->name, verbs[i]->summary);
	say(stdout, "\n%s", more);
	print_exit_statuses(strlen(more));
}
