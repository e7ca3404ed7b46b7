/* SPDX-License-Identifier: MIT */
#include "cli/repair-options.h"

enum err repair_options_drop(struct repair *r, const struct invocation *inv, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0; !err && i < inv->n_options; i++)
		if (str_equal(inv->options[i].spec->name, "drop"))
			err = repair_drop(r, inv->options[i].value, e);
	if (invocation_has(inv, "drop-unknown")) {
		repair_drop_all(r);
		if (r->ring_unvouched)
			repair_drop_recovery(r);
	}
	return err;
}
