/* SPDX-License-Identifier: MIT */
/*
 * How zseal behaves as a process: hardened at start, ends cleanly on signals, and runs other programs with bounds.
 */
#pragma once

#include "base/secret.h"
#include "base/text.h"
#include "sys/deadline.h"

/*
 * At the start of main(), before anything is read: no core dumps, not dumpable, memory locked, descriptors 0 to 2 open,
 * umask 077, SIGPIPE ignored, the environment reduced to what zseal and its children know (PATH fixed; LANG, LC_*, TERM,
 * COLUMNS, NO_COLOR, TZ, TMPDIR dropped or kept as the file's table says), tss's own logging silenced.
 * Errors: ERR_IO when a step that must work did not.
 */
must_check enum err process_harden(struct err_ctx *e);

/*
 * SIGINT, SIGTERM and SIGHUP from now on only set a flag, and interrupt a wait. process_interrupted() turns the flag
 * into ERR_INTERRUPTED; loops ask between steps. process_ignore_signals() is for the few steps that must run to their
 * end; the signal is not lost, the next process_interrupted() tells it.
 */
must_check enum err process_catch_signals(struct err_ctx *e);
must_check enum err process_interrupted(struct err_ctx *e);

/* Blocks the caught signals while in scope; nests. */
void process_signals_hold(void);
void process_signals_release(void);

/* Errors: ERR_NOT_ROOT with what needs it ("unlocking tank"). */
must_check enum err process_require_root(struct err_ctx *e, const char *what);

/* How a child is run. */
struct child {
	const char *const *argv;    /* argv[0] is a bare name, looked for in /usr/sbin, /usr/bin, /sbin, /bin only */
	const struct secret *input; /* bytes for its standard input, or NULL for none; never in an argument */
	size_t output_max;          /* most bytes of standard output that are kept; more is an error. 0: 64 MiB */
	struct deadline deadline;
	bool finish;                /* once started it is never killed, only waited for: for what changes a pool */
};

struct child_result {
	char *output;    /* standard output, NUL-terminated; the caller frees it */
	char *complaint; /* standard error, at most 4 KiB, printable, no line end at the end; the caller frees it */
	int status;      /* exit status, or 128 + signal */
};

/*
 * Runs a program to its end. A non-zero exit status is not an error here: the caller reads it and the complaint.
 * The child gets a small fixed environment (LC_ALL=C), no descriptors but 0, 1, 2, and dies with zseal unless finish.
 * Errors: ERR_NO_PROGRAM, ERR_TIMEOUT (the child is killed), ERR_INTERRUPTED, ERR_CHILD (too much output), ERR_NO_MEMORY.
 * Blocks: until the child ends or the deadline.
 */
must_check enum err process_run(const struct child *child, struct child_result *ret, struct err_ctx *e);
void child_result_clear(struct child_result *r);
DEFINE_CLEANUP(struct child_result *, child_result_clear)

/*
 * Replaces this process's part in a terminal: runs a program with our own standard descriptors (its output is for the
 * person), optionally a secret as standard input, to its end. Errors as process_run(). *ret_status as above.
 */
must_check enum err process_run_in_foreground(const struct child *child, int *ret_status, struct err_ctx *e);
