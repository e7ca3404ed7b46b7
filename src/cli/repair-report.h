/* SPDX-License-Identifier: MIT */
/* What a repair found and does, told to a person or a program: for repair and recover. */
#pragma once

#include <jansson.h>

#include "core/repair.h"

/* One line for each part of the header that is not as it was, and one for each root. */
void repair_report_print(const struct repair *r);

/* The same: slots, roots, where it was opened from. */
json_t *repair_report_json(const struct repair *r);

/* Prints what kept each slot from opening, to standard error. */
void repair_report_attempts(const struct repair *r);

/* What was written, behind it. */
void repair_report_written(const struct repair *r);
