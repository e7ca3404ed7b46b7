/* SPDX-License-Identifier: MIT */
#include "cli/output.h"
#include "cli/status-unfinished.h"
#include "core/unfinished.h"

void status_print_unfinished(const struct keyring *k, const struct pins *pins)
{
	_cleanup_(unfinished_clearp) struct unfinished *u = &(struct unfinished){ 0 };
	char date[16];

	unfinished_find(k, pins, u);
	if (!u->found)
		return;
	output_date(u->copy.saved, date);
	printf("    a change to generation %u begun on %s was cut off: the next change takes it back, or zseal repair %s\n",
	       keyring_ring(k)->generation + 1, date, k->dataset);
}

json_t *status_unfinished_json(const struct keyring *k, const struct pins *pins)
{
	_cleanup_(unfinished_clearp) struct unfinished *u = &(struct unfinished){ 0 };

	unfinished_find(k, pins, u);
	return u->found ? json_pack("{s:I, s:I, s:s}", "generation", (json_int_t)keyring_ring(k)->generation + 1, "begun",
				    (json_int_t)u->copy.saved, "copy", u->path) : NULL;
}
