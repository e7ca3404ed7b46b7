/* SPDX-License-Identifier: MIT */
/*
 * What the pools themselves do not show: which slot unlocked them, changes that were cut off, pools that are suspended, pools that this machine
 * remembers and that are not imported.
 */
#pragma once

#include <jansson.h>

#include "core/inventory.h"
#include "core/pins.h"

/* Prints which slot unlocked k last, and what should have; the same as JSON, or NULL if that is not known. */
void status_print_opened(const struct keyring *k);
json_t *status_opened_json(const struct keyring *k);

/* Prints a line if there is such a change of k; the same as JSON, or NULL if there is none. */
void status_print_unfinished(const struct keyring *k, const struct pins *pins);
json_t *status_unfinished_json(const struct keyring *k, const struct pins *pins);

/* The same for suspended pools, remembered or not; true if there is one. */
bool status_print_suspended(const struct inventory *inv);
json_t *status_suspended_json(const struct inventory *inv);

/* The same for pools that pins know of and that are not imported. */
void status_print_absent(const struct inventory *inv, const struct pins *pins);
json_t *status_absent_json(const struct inventory *inv, const struct pins *pins);
