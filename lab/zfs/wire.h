/* SPDX-License-Identifier: MIT
 *
 * The wire between the shim and the engine: an open /dev/zfs is a SOCK_SEQPACKET connection.
 *
 * Each ioctl is one packet on it, a struct wire_call, with file descriptors beside it: first the engine's end of a
 * fresh socket pair, which is this call's private channel; then, where the ioctl reads or writes a stream (send,
 * receive, diff), the descriptor of that stream.
 * Over the channel the shim sends a zfs_cmd_t as it is and the bytes of what it points to: src, conf.
 * The engine answers with a struct wire_answer, the zfs_cmd_t, and the bytes that were filled in: dst, history.
 *
 * So threads, and processes that inherited the descriptor, may call at the same time; a caller that is killed leaves
 * nothing half-read on a connection that others use; and a connection lives exactly as long as an open file does.
 *
 * Both sides come from one checkout and use native byte order: there is no version, but the size of zfs_cmd_t is
 * checked, since it differs between versions of ZFS.
 */
#pragma once

#include <stdint.h>

#define WIRE_PATH "/dev/zfs"

/* Not an ioctl of ZFS: asks for the connection's minor number, which stands for it where another call names it. */
#define WIRE_GET_MINOR 0u

/* More than the kernel itself takes (zfs_max_nvlist_src_size). Units: bytes. */
#define WIRE_BUFFER_MAX (256u << 20)

enum { WIRE_FD_CHANNEL, WIRE_FD_STREAM, WIRE_FD_MAX };

/* Lengths of what follows the zfs_cmd_t; dst_max and history_max are what the caller has room for. Units: bytes. */
struct wire_call {
	uint32_t request;
	uint32_t cmd_size;
	uint64_t src_size;
	uint64_t conf_size;
	uint64_t dst_max;
	uint64_t history_max;
};

/* error is 0 or an errno; the sizes say what follows the zfs_cmd_t. Units: bytes. */
struct wire_answer {
	int32_t error;
	uint32_t minor;
	uint64_t dst_size;
	uint64_t history_size;
};
