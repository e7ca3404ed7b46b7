/* SPDX-License-Identifier: MIT */
/* What came of unlocking or locking, told to a person or a program. */
#pragma once

#include <jansson.h>

#include "core/mount.h"

/* What there is to tell. */
struct unlock_report {
	const struct unlock_result *roots;
	const char *done;                   /* what should have become of the roots: "unlocked", "locked" */
	const struct mount_results *mounts; /* NULL if none were asked for */
	const char *mounts_done;            /* "mounted", "unmounted" */
	bool mounts_first;                  /* they were done before the roots */
	const struct err_ctx *warning;      /* of what nothing has failed yet, or NULL */
	json_t *absent;                     /* what should be here and is not; NULL for nothing; consumed */
};

/*
 * Prints a line for each root and each file system, and before them once what is to be said about each keyring; or one
 * JSON document. Errors: ERR_NO_MEMORY.
 */
must_check enum err unlock_report_print(bool json, const struct unlock_report *report, struct err_ctx *e);
