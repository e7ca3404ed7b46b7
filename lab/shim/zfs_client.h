/* SPDX-License-Identifier: MIT
 *
 * The caller's side of the wire to the engine (../zfs/wire.h).
 *
 * Guarantees: threads and forked processes may call at once on one descriptor; errno is the engine's. An engine that
 * dies during a call gives EIO.
 * Refuses: to keep any state.
 */
#pragma once

#include <stdbool.h>

/* Is this an ioctl of ZFS on an open /dev/zfs? */
bool zfs_client_serves(int fd, unsigned long request);

/* Carries the ioctl to the engine. Returns what ioctl(2) would. Blocks: until the engine has answered. */
int zfs_client_ioctl(int fd, unsigned long request, void *arg);
