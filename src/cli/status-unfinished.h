/* SPDX-License-Identifier: MIT */
/* What status says about changes that were cut off on this machine. */
#pragma once

#include <jansson.h>

#include "core/keyring.h"
#include "core/pins.h"

/* Prints a line if there is such a change of k; the same as JSON, or NULL if there is none. */
void status_print_unfinished(const struct keyring *k, const struct pins *pins);
json_t *status_unfinished_json(const struct keyring *k, const struct pins *pins);
