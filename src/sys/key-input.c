/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sys/key-input.h"
#include "sys/process.h"

/* Reads to the end; one byte more than may be there shows that there is more. */
static enum err read_to_end(int fd, struct secret *room, size_t *ret_size, struct err_ctx *e)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };
	size_t size = 0;
	bool ready;

	while (size < secret_size(room)) {
		enum err err = process_poll(&input, 1, DEADLINE_NEVER, &ready, e);

		if (err)
			return err;
		ssize_t n = read(fd, secret_bytes(room) + size, secret_size(room) - size);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_set_errno(e, ERR_IO, errno, "reading it");
		size += n > 0 ? (size_t)n : 0;
	}
	*ret_size = size;
	return ERR_OK;
}

static enum err read_key(int fd, size_t max, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *room = NULL;
	size_t size = 0;
	enum err err = secret_new(max + 1, &room, e);

	if (!err)
		err = read_to_end(fd, room, &size, e);
	if (!err && size == 0)
		err = err_set(e, ERR_KEY_SHAPE, "it is empty");
	if (!err && size > max)
		err = err_set(e, ERR_KEY_SHAPE, "it has more than %zu bytes", max);
	if (err)
		return err;
	secret_shrink(room, size);
	*ret = TAKE(room);
	return ERR_OK;
}

enum err key_file_read(const char *path, size_t max, struct secret **ret, bool *ret_is_open, struct err_ctx *e)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return err_set(e, ERR_IO, "%s is a symbolic link: name the file that it points to", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "opening %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "%s is no regular file; a pipe is read with --key-fd", path);
	enum err err = read_key(fd, max, ret, e);
	if (!err)
		*ret_is_open = (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
	return err_wrap(e, err, "key file %s", path);
}

enum err key_descriptor_read(int fd, size_t max, struct secret **ret, struct err_ctx *e)
{
	int mode = fcntl(fd, F_GETFL);

	if (mode < 0 || (mode & O_ACCMODE) == O_WRONLY)
		return err_set(e, ERR_USAGE, "descriptor %d is not open for reading", fd);
	return err_wrap(e, read_key(fd, max, ret, e), "descriptor %d", fd);
}
