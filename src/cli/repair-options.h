/* SPDX-License-Identifier: MIT */
/* How a person decides about what nothing vouches for: for repair and recover. */
#pragma once

#include "cli/verb.h"
#include "core/repair.h"

#define OPTIONS_REPAIR                                                                                                 \
	{ "drop", 0, "SLOT", "leave this slot out, which nothing vouches for (may be repeated)", false },              \
	{ "drop-unknown", 0, NULL, "leave out all that nothing vouches for", false },                                  \
	{ "accept-older", 0, NULL, "the pool was put back on purpose, and no copy of the newer header is left", false }

/* Leaves out what --drop and --drop-unknown say. Errors: ERR_NO_SLOT for one that is not undecided. */
must_check enum err repair_options_drop(struct repair *r, const struct invocation *inv, struct err_ctx *e);
