/* SPDX-License-Identifier: MIT */
/*
 * Which slot unlocked a keyring last on this machine, and whether by fallback, for `status`: local state that ends with
 * the machine's run, not part of any header, nothing of it secret.
 *
 * Refuses: to fail. An unlock that can't leave this behind is none the worse, and the journal has it too.
 */
#pragma once

#include "core/opening.h"

#define OPENED_PATH "/run/zseal/opened"

struct opened {
	uint64_t when; /* seconds since 1970 */
	char slot[NAME_SIZE];
	char missed[NAME_SIZE]; /* the slot that should have opened before it; "": no fallback */
	enum err why;           /* why that one did not */
};

void opened_remember(const struct uuid *keyring, const struct opening *o);

/* False if it was not unlocked by zseal since the machine booted. */
bool opened_recall(const struct uuid *keyring, struct opened *ret);
