/* SPDX-License-Identifier: MIT */
/*
 * Starts a program; private to sys/, the others use process_run().
 *
 * By fork(), neither vfork() nor posix_spawn(): between fork and exec the child asks to die with us (PR_SET_PDEATHSIG)
 * and closes whatever was inherited, and the kernel wipes every struct secret in it (MADV_WIPEONFORK). That costs
 * less than a millisecond, for a program that runs a handful of children.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Where programs are looked for, by us and by them. */
#define SPAWN_PATH "/usr/sbin:/usr/bin:/sbin:/bin"

struct spawn {
	const char *const *argv; /* argv[0] is a bare name */
	int fds[3];              /* what becomes the child's 0, 1 and 2; -1: what they are here */
	bool finish;             /* the child outlives us, and a terminal's signals do not reach it */
};

/*
 * Owns: the caller closes *ret_pidfd and reaps the child. A program that is found but cannot be executed says so on its
 * standard error and ends with status 127. Errors: ERR_NO_PROGRAM, ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err spawn(const struct spawn *s, int *ret_pidfd, struct err_ctx *e);
