/* SPDX-License-Identifier: MIT
 *
 * One ioctl: brought in over its private channel, carried out by ZFS, its answer sent back.
 *
 * Guarantees: a caller that dies at any moment, or sends nonsense, harms nobody else; buffers are wiped, since keys
 * pass through them; the privileges are those of the process that made the call.
 * Refuses: a caller whose zfs_cmd_t has another size, which is a program of another version of ZFS.
 */
#pragma once

#include <stdatomic.h>

#include "compat.h"
#include "process.h"
#include "wire.h"

/* An open /dev/zfs, shared by its calls. */
struct connection {
	struct process *process;
	minor_t minor;
	atomic_uint users;
};

struct call {
	struct connection *connection;
	struct wire_call wire;
	int channel;
	int stream;
};

/* Serves one call on the calling thread. Owns: neither the call nor its descriptors. Blocks: as long as the ioctl. */
void call_serve(const struct call *call);
