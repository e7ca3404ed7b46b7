/* SPDX-License-Identifier: MIT
 *
 * Whole buffers over a stream socket, used at both ends of the wire.
 *
 * Guarantees: all or an error; interrupted calls are repeated; no SIGPIPE.
 * Refuses: to say how much of a failed transfer was done, since nobody could use it.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Sends size bytes. Errors: false, when the other side is gone. */
static inline bool transfer_send(int fd, const void *buffer, size_t size)
{
	const char *next = buffer;

	while (size > 0) {
		ssize_t n = send(fd, next, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		next += n;
		size -= (size_t)n;
	}
	return true;
}

/* Receives exactly size bytes. Errors: false, when the other side ended before. */
static inline bool transfer_receive(int fd, void *buffer, size_t size)
{
	char *next = buffer;

	while (size > 0) {
		ssize_t n = recv(fd, next, size, MSG_WAITALL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		next += n;
		size -= (size_t)n;
	}
	return true;
}
