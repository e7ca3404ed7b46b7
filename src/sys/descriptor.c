/* SPDX-License-Identifier: MIT */
/*
 * Typed bytes go from the kernel's line buffer into a secret, one by one: nothing is read that is not asked for, so
 * that several answers can come from one descriptor, and nothing is kept anywhere else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "sys/descriptor.h"
#include "sys/process.h"

/* Waits for room first: a reader who does not read must not keep a signal from ending us. */
enum err descriptor_write_bytes(int fd, const void *bytes, size_t size, struct err_ctx *e)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	const uint8_t *next = bytes;
	bool ready;

	while (size > 0) {
		enum err r = process_poll(&room, 1, DEADLINE_NEVER, &ready, e);

		if (r)
			return r;
		ssize_t n = write(fd, next, size);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_set_errno(e, ERR_OUTPUT, errno, "writing to descriptor %d", fd);
		if (n > 0) {
			next += n;
			size -= (size_t)n;
		}
	}
	return ERR_OK;
}

enum err descriptor_write(int fd, const struct secret *s, struct err_ctx *e)
{
	enum err r = descriptor_write_bytes(fd, secret_data(s), secret_size(s), e);

	return r ? r : descriptor_write_bytes(fd, "\n", 1, e);
}

/* A terminal that has gone (EIO) is at its end. */
static enum err read_byte(int fd, uint8_t *ret, bool *ret_ended, struct err_ctx *e)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };
	bool ready;

	for (;;) {
		enum err r = process_poll(&input, 1, DEADLINE_NEVER, &ready, e);

		if (r)
			return r;
		ssize_t n = read(fd, ret, 1);
		if (n >= 0 || errno == EIO) {
			*ret_ended = n <= 0;
			return ERR_OK;
		}
		if (errno != EINTR && errno != EAGAIN)
			return err_set_errno(e, ERR_IO, errno, "reading descriptor %d", fd);
	}
}

enum err descriptor_read(int fd, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *line = NULL;
	size_t size = 0;
	enum err r = secret_new(TYPED_MAX + 1, &line, e);

	while (!r) {
		uint8_t *byte = secret_bytes(line) + size;
		bool ended = false;

		r = read_byte(fd, byte, &ended, e);
		if (r || ended || *byte == '\n')
			break;
		if (++size > TYPED_MAX)
			r = err_set(e, ERR_IO, "a line of more than %d bytes", TYPED_MAX);
	}
	if (!r && size == 0)
		r = err_set(e, ERR_NO_INPUT, "nothing was typed");
	if (r)
		return r;
	secret_shrink(line, size);
	*ret = TAKE(line);
	return ERR_OK;
}

static bool is_open_for(int fd, int mode)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && ((flags & O_ACCMODE) == mode || (flags & O_ACCMODE) == O_RDWR);
}

enum err descriptor_check_source(int fd, struct err_ctx *e)
{
	return is_open_for(fd, O_RDONLY) ? ERR_OK
					 : err_set(e, ERR_USAGE, "descriptor %d is not open for reading", fd);
}

/* memfd_create(2) gives files on a tmpfs too. */
static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

enum err descriptor_check_taker(int fd, struct err_ctx *e)
{
	struct stat st;

	if (!is_open_for(fd, O_WRONLY) || fstat(fd, &st) < 0)
		return err_set(e, ERR_USAGE, "descriptor %d is not open for writing", fd);
	if (S_ISBLK(st.st_mode) || (S_ISREG(st.st_mode) && !is_in_memory(fd)))
		return err_set(e, ERR_USAGE, "descriptor %d is on a disk, where a key stays even when it is deleted; "
			       "give a pipe, such as %d> >(lp)", fd, fd);
	return ERR_OK;
}
