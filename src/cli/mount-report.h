/* SPDX-License-Identifier: MIT */
/* What came of mounting or unmounting, told to a person or a program. */
#pragma once

#include <jansson.h>

#include "core/mount.h"

/* Prints a line for each file system. done is what should have become of them: "mounted", "unmounted". */
void mount_report_print(const struct mount_results *res, const char *done);

/* The same as a JSON array. NULL without memory. */
json_t *mount_report_json(const struct mount_results *res, const char *done);
