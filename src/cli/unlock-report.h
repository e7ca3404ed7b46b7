/* SPDX-License-Identifier: MIT */
/* What came of unlocking or locking, told to a person or a program. */
#pragma once

#include <jansson.h>

#include "core/unlock.h"

/*
 * Prints a line for each root, and before them once what is to be said about each keyring; or one JSON document.
 * done is what should have become of the roots: "unlocked", "locked". absent, which is consumed, lists what should be
 * here and is not; NULL for nothing. Errors: ERR_NO_MEMORY.
 */
must_check enum err unlock_report_print(bool json, const struct unlock_result *res, const char *done, json_t *absent,
					struct err_ctx *e);
