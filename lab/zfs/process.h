/* SPDX-License-Identifier: MIT
 *
 * The processes that have /dev/zfs open, and what a kernel keeps for a thread from one ioctl to the next: the name of
 * the pool that it may write a line of history about. libzfs and libzfs_core open /dev/zfs separately, and one logs
 * what the other did; so it can't be kept with a connection.
 *
 * Guarantees: one object to a process, as long as it has a connection.
 * Refuses: to tell its threads apart; only zfs and zpool write history, and they use one.
 */
#pragma once

#include <sys/types.h>

struct process;

/* Finds or makes it. Owns: the caller, until process_release(). Errors: NULL, out of memory. */
struct process *process_hold(pid_t pid);

void process_release(struct process *process);

/* Puts the name, or NULL, in and returns what was there. Owns: names go in and out with their ownership. */
char *process_exchange_pool(struct process *process, char *pool);
