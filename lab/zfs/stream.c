/* SPDX-License-Identifier: MIT
 *
 * Files of the caller: the streams that `zfs send` writes and `zfs receive` reads. call.c has put the engine's own
 * descriptor of the same file into the request.
 *
 * Guarantees: when the caller dies, its send or receive ends with EINTR, as in a kernel, although the engine's
 * descriptors keep the other end of a pipe from noticing.
 * Refuses: to be quick: a pipe is written in pieces that it takes without blocking.
 *
 * libzpool has these functions for files that it opens itself, and they replace those too: without a caller to watch
 * they do the same.
 */
#include "compat.h"

#include <limits.h>
#include <poll.h>

/* A zfs_file_t has a member for a debug dump, unused here, in which the caller's channel fits. */

zfs_file_t *zfs_file_get(int fd)
{
	zfs_file_t *file = umem_zalloc(sizeof(*file), UMEM_NOFAIL);

	file->f_fd = fd;
	file->f_dump_fd = caller_current.channel;
	return file;
}

void zfs_file_put(zfs_file_t *file)
{
	umem_free(file, sizeof(*file));
}

void *zfs_file_private(zfs_file_t *file)
{
	(void) file;
	return NULL;
}

/* libzpool's mixes up lseek's arguments: it moves to offset 1, and `zfs send > file` overwrites what was there. */
loff_t zfs_file_off(zfs_file_t *file)
{
	return lseek(file->f_fd, 0, SEEK_CUR);
}

/* Blocks: until the stream is ready or the caller has gone, which is EINTR. */
static int stream_wait(const zfs_file_t *file, short events)
{
	struct pollfd fds[] = { { .fd = file->f_fd, .events = events }, { .fd = file->f_dump_fd } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return errno;
	return fds[1].revents & POLLHUP ? EINTR : 0;
}

/* Without ret_rest, less than all is an error. */
static int finish(size_t rest, ssize_t *ret_rest)
{
	if (ret_rest)
		*ret_rest = (ssize_t)rest;
	return rest == 0 || ret_rest ? 0 : EIO;
}

int zfs_file_read(zfs_file_t *file, void *buffer, size_t size, ssize_t *ret_rest)
{
	int error = stream_wait(file, POLLIN);
	ssize_t n;

	if (error != 0)
		return error;
	n = read(file->f_fd, buffer, size);
	return n < 0 ? errno : finish(size - (size_t)n, ret_rest);
}

int zfs_file_write(zfs_file_t *file, const void *buffer, size_t size, ssize_t *ret_rest)
{
	const char *next = buffer;

	while (size > 0) {
		int error = stream_wait(file, POLLOUT);
		ssize_t n;

		if (error != 0)
			return error;
		n = write(file->f_fd, next, MIN(size, PIPE_BUF));
		if (n < 0)
			return errno;
		next += n;
		size -= (size_t)n;
	}
	return finish(size, ret_rest);
}
