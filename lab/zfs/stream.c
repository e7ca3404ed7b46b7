/* SPDX-License-Identifier: MIT
 *
 * Files of the caller: the streams that `zfs send` writes and `zfs receive` reads. call.c has put the engine's own
 * descriptor of the same file into the request.
 *
 * Guarantees: when the caller dies, its send or receive through a pipe ends with EINTR, as in a kernel, although the
 * engine's descriptors keep the other end from noticing.
 * Refuses: to watch over streams that are no pipes; those end when their other side does.
 *
 * libzpool has these functions for files that it opens itself, and they replace those too: without a caller to watch
 * they do the same.
 */
#include "compat.h"

#include <poll.h>
#include <sys/stat.h>

/* A descriptor of our own. A pipe is opened anew, since not to block is a property that the caller's would share. */
static int stream_open(int fd)
{
	struct stat64 st;
	char path[32];
	int own = -1;

	if (fstat64(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, (fcntl(fd, F_GETFL) & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC);
	}
	return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

zfs_file_t *zfs_file_get(int fd)
{
	int own = stream_open(fd);
	zfs_file_t *file;

	if (own < 0)
		return NULL;
	file = umem_zalloc(sizeof(*file), UMEM_NOFAIL);
	file->f_fd = own;
	/* This one is for a debug dump, of which there is none here: the caller's channel fits. */
	file->f_dump_fd = caller_current.channel;
	return file;
}

void zfs_file_put(zfs_file_t *file)
{
	(void)close(file->f_fd);
	umem_free(file, sizeof(*file));
}

void *zfs_file_private(zfs_file_t *file)
{
	(void)file;
	return NULL;
}

/* libzpool's mixes up lseek's arguments: it moves to offset 1, and `zfs send > file` overwrites what was there. */
loff_t zfs_file_off(zfs_file_t *file)
{
	return lseek(file->f_fd, 0, SEEK_CUR);
}

/* Waits for events, if any, or only looks whether the caller is still there. Errors: EINTR if it is not. */
static int stream_wait(const zfs_file_t *file, short events)
{
	struct pollfd fds[] = { { .fd = file->f_dump_fd }, { .fd = file->f_fd, .events = events } };

	while (poll(fds, events ? 2 : 1, events ? -1 : 0) < 0)
		if (errno != EINTR)
			return errno;
	return fds[0].revents & POLLHUP ? EINTR : 0;
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
	int error = stream_wait(file, 0);

	while (error == 0) {
		ssize_t n = read(file->f_fd, buffer, size);

		if (n >= 0)
			return finish(size - (size_t)n, ret_rest);
		error = errno == EAGAIN ? stream_wait(file, POLLIN) : errno;
	}
	return error;
}

int zfs_file_write(zfs_file_t *file, const void *buffer, size_t size, ssize_t *ret_rest)
{
	const char *next = buffer;
	int error = stream_wait(file, 0);

	while (error == 0 && size > 0) {
		ssize_t n = write(file->f_fd, next, size);

		if (n >= 0) {
			next += n;
			size -= (size_t)n;
		} else {
			error = errno == EAGAIN ? stream_wait(file, POLLOUT) : errno;
		}
	}
	return error != 0 ? error : finish(size, ret_rest);
}
