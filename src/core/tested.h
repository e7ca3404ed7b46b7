/* SPDX-License-Identifier: MIT */
/* When slots were last opened as a test on this machine: local state, not part of any header. */
#pragma once

#include "base/text.h"

#define TESTED_PATH "/var/lib/zseal/tested"

/* When a slot was last opened as a test, seconds since 1970; 0 if never, or not known here. */
uint64_t tested_when(const struct uuid *slot);
/* Remembers that a slot was opened now. */
must_check enum err tested_now(const struct uuid *slot, struct err_ctx *e);
