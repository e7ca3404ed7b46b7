/* SPDX-License-Identifier: MIT */
/*
 * How zseal behaves as a process: hardened at start, ends cleanly on signals, and runs other programs with bounds.
 */
#pragma once

#include <poll.h>

#include "base/secret.h"
#include "base/text.h"
#include "sys/deadline.h"

/*
 * At the start of main(), before anything is read: no core dumps, not dumpable, memory locked, descriptors 0 to 2 open,
 * umask 077, SIGPIPE and SIGXFSZ ignored, the environment reduced to the table in harden.c, PATH fixed, tss's own
 * logging silenced. Memory is locked only where that has no limit; the rest must work.
 * Errors: ERR_IO, ERR_NO_MEMORY.
 */
must_check enum err process_harden(struct err_ctx *e);

/*
 * What Vault's own client would find in the environment that we were started with, as it was before process_harden()
 * took it away from us, our libraries and our children: BAO_NAME, else VAULT_NAME, for the few names in harden.c. For
 * administrators' verbs alone: what unlocks takes zseal.conf's word. NULL if there is neither.
 */
const char *process_vault_variable(const char *name);

/* Wipes a variable's value, such as a token, where the kernel has put it. */
void process_vault_variable_wipe(const char *name);

/*
 * SIGINT, SIGQUIT, SIGTERM and SIGHUP from now on only set a flag, and interrupt a wait; those that our parent ignores
 * stay ignored. process_interrupted() turns the flag into ERR_INTERRUPTED, again and again; loops ask between steps.
 */
must_check enum err process_catch_signals(struct err_ctx *e);
must_check enum err process_interrupted(struct err_ctx *e);

/*
 * For the few steps that must run to their end: while a hold is in scope the signals wait, and process_interrupted()
 * says ERR_OK even about an earlier one. Nothing is lost: the first process_interrupted() after it tells. Nests.
 */
void process_signals_hold(void);
void process_signals_release(void);

/*
 * Waits until one of n descriptors is ready, as poll(2) does, or the deadline; *ret_ready tells which. With none it
 * sleeps. A signal just before the wait is not missed. Errors: ERR_INTERRUPTED, ERR_IO.
 */
must_check enum err process_poll(struct pollfd *fds, nfds_t n, struct deadline deadline, bool *ret_ready,
				 struct err_ctx *e);

/* Errors: ERR_NOT_ROOT with what needs it ("unlocking tank"). */
must_check enum err process_require_root(struct err_ctx *e, const char *what);

/* How a child is run. */
struct child {
	const char *const *argv;    /* argv[0] is a bare name, looked for in /usr/sbin, /usr/bin, /sbin, /bin only */
	const struct secret *input; /* bytes for its standard input, or NULL for none; never in an argument */
	size_t output_max;          /* most bytes of standard output that are kept; more is an error. 0: 64 MiB */
	struct deadline deadline;
	bool secret;                /* standard output is a key: at most output_max (1 to 4095) bytes, into result.secret */
	bool finish;                /* once started it is never killed, only waited for: for what changes a pool */
};

struct child_result {
	char *output;    /* standard output, NUL-terminated; the caller frees it */
	struct secret *secret; /* the same of a child whose output is a key; NULL if it said nothing */
	char *complaint; /* standard error, its first 4 KiB: printable ASCII and line ends, none at the end; likewise */
	int status;      /* exit status, or 128 + signal; 127 if it could not be executed, complaint tells why */
};

/*
 * Runs a program to its end. A non-zero exit status is not an error here: the caller reads it and the complaint.
 * The child gets a small fixed environment (LC_ALL=C, PATH), umask 022, default signals, no descriptors but 0, 1, 2,
 * and dies with zseal. With finish: a deadline or a signal before the start prevents it; after that it is waited for
 * however long it takes, process_interrupted() tells the signal afterwards, and the child goes on in a session of its
 * own even if zseal is killed.
 * Errors: ERR_NO_PROGRAM, ERR_TIMEOUT (the child is killed), ERR_INTERRUPTED (likewise), ERR_CHILD (too much output),
 * ERR_NO_MEMORY, ERR_IO.
 * Blocks: until the child ends or the deadline, and 2 s more for a child that cannot be killed (asleep on a dead pool).
 */
must_check enum err process_run(const struct child *child, struct child_result *ret, struct err_ctx *e);
void child_result_clear(struct child_result *r);
DEFINE_CLEANUP(struct child_result *, child_result_clear)
