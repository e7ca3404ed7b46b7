/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "sys/buffer.h"
#include "sys/file.h"
#include "sys/process.h"

enum {
	CHUNK_SIZE = 16 << 10,
	LOCK_WAIT_MS_MAX = 200, /* between two looks at a lock */
};

/* O_NONBLOCK: a FIFO without a writer does not hang us before we see that it is one. */
#define OPEN_TO_READ (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define OPEN_FOLDER  (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static enum err require_regular(int fd, const char *path, struct err_ctx *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "looking at %s", path);
	return S_ISREG(st.st_mode) ? ERR_OK : err_set(e, ERR_IO, "%s is no regular file", path);
}

static enum err read_chunks(int fd, const char *path, size_t max, struct buffer *text, struct err_ctx *e)
{
	char chunk[CHUNK_SIZE];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_IO, errno, "reading %s", path);
		if ((size_t)n > max - text->size)
			return err_set(e, ERR_FORMAT, "%s has more than %zu bytes", path, max);
		if (memchr(chunk, '\0', (size_t)n))
			return err_set(e, ERR_FORMAT, "%s has a NUL byte", path);
		if (buffer_append(text, chunk, (size_t)n) < 0)
			return err_set(e, ERR_NO_MEMORY, "room for %s", path);
		if (n == 0)
			return ERR_OK;
	}
}

static enum err read_text(int fd, const char *path, size_t max, char **ret, struct err_ctx *e)
{
	_cleanup_(buffer_clear) struct buffer text = { 0 };
	enum err r = require_regular(fd, path, e);

	if (!r)
		r = read_chunks(fd, path, max, &text, e);
	if (r)
		return r;
	*ret = TAKE(text.text);
	return ERR_OK;
}

enum err file_read(const char *path, size_t max, char **ret, struct err_ctx *e)
{
	_cleanup_fd_ int fd = open(path, OPEN_TO_READ);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "opening %s", path);
	return read_text(fd, path, max, ret, e);
}

static enum err require_trusted(int fd, const char *path, int length, struct err_ctx *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "looking at %.*s", length, path);
	if (st.st_uid != 0)
		return err_set(e, ERR_CONFIG_UNSAFE, "%.*s belongs to user %u", length, path, st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, ERR_CONFIG_UNSAFE, "%.*s has mode %04o", length, path, st.st_mode & 07777);
	return ERR_OK;
}

/*
 * From the root down, each folder is looked at through its descriptor before a name in it is: what was found cannot be
 * exchanged by anybody but root. No symbolic links on the way; sticky folders such as /tmp are not trusted.
 */
static enum err open_trusted(const char *path, int *ret_fd, struct err_ctx *e)
{
	_cleanup_fd_ int fd = open("/", O_PATH | OPEN_FOLDER);
	_cleanup_free_ char *names = strdup(path);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "opening /");
	if (!names)
		return err_set(e, ERR_NO_MEMORY, "room for a path");
	for (char *name, *rest = names + 1; (name = strsep(&rest, "/"));) {
		if (*name == '\0')
			continue;
		enum err r = require_trusted(fd, path, (int)(name - names), e);
		if (r)
			return r;
		int next = openat(fd, name, rest ? O_PATH | OPEN_FOLDER : OPEN_TO_READ);
		if (next < 0)
			return err_set_errno(e, ERR_IO, errno, "opening %s", path);
		close(fd);
		fd = next;
	}
	*ret_fd = TAKE_FD(fd);
	return ERR_OK;
}

enum err file_read_trusted(const char *path, size_t max, char **ret, struct err_ctx *e)
{
	_cleanup_fd_ int fd = -1;

	if (path[0] != '/')
		return err_set(e, ERR_USAGE, "%s is no absolute path", path);
	enum err r = open_trusted(path, &fd, e);
	if (!r)
		r = require_trusted(fd, path, (int)strlen(path), e);
	return r ? r : read_text(fd, path, max, ret, e);
}

/* The folder that path is in, opened, and path's name there. */
static enum err open_folder_of(const char *path, int *ret_fd, const char **ret_name, struct err_ctx *e)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");

	if (!folder)
		return err_set(e, ERR_NO_MEMORY, "room for a path");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "opening %s", folder);
	*ret_fd = fd;
	*ret_name = slash ? slash + 1 : path;
	return ERR_OK;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

static enum err write_new(int fd, const char *text, mode_t mode, struct err_ctx *e)
{
	if (write_all(fd, text) < 0)
		return err_set_errno(e, ERR_IO, errno, "writing");
	if (fchmod(fd, mode) < 0)
		return err_set_errno(e, ERR_IO, errno, "setting the mode");
	if (fsync(fd) < 0)
		return err_set_errno(e, ERR_IO, errno, "writing to the disk");
	return ERR_OK;
}

/* A new file in folder with a name that nobody else has. */
static enum err make_temporary(int folder, char **ret_name, int *ret_fd, struct err_ctx *e)
{
	_cleanup_free_ char *name = NULL;
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_set_errno(e, ERR_IO, errno, "reading the kernel's random numbers");
	enum err r = str_format(&name, e, ".zseal-%016llx", (unsigned long long)random);
	if (r)
		return r;
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "making a file");
	*ret_name = TAKE(name);
	*ret_fd = fd;
	return ERR_OK;
}

static enum err replace(int folder, const char *name, const char *text, mode_t mode, struct err_ctx *e)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_fd_ int fd = -1;
	enum err r = make_temporary(folder, &temporary, &fd, e);

	if (r)
		return r;
	r = write_new(fd, text, mode, e);
	if (!r && renameat(folder, temporary, folder, name) < 0)
		r = err_set_errno(e, ERR_IO, errno, "renaming");
	if (r)
		unlinkat(folder, temporary, 0);
	else if (fsync(folder) < 0)
		r = err_set_errno(e, ERR_IO, errno, "writing its folder to the disk");
	return r;
}

enum err file_write(const char *path, const char *text, mode_t mode, struct err_ctx *e)
{
	_cleanup_fd_ int folder = -1;
	const char *name;
	enum err r = open_folder_of(path, &folder, &name, e);

	if (!r)
		r = replace(folder, name, text, mode, e);
	return err_wrap(e, r, "writing %s", path);
}

enum err file_remove(const char *path, struct err_ctx *e)
{
	_cleanup_fd_ int folder = -1;
	const char *name;

	if (unlink(path) < 0)
		return errno == ENOENT ? ERR_OK : err_set_errno(e, ERR_IO, errno, "removing %s", path);
	enum err r = open_folder_of(path, &folder, &name, e);
	if (!r && fsync(folder) < 0)
		r = err_set_errno(e, ERR_IO, errno, "writing its folder to the disk");
	return err_wrap(e, r, "removing %s", path);
}

static enum err require_folder(const char *path, struct err_ctx *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "looking at %s", path);
	return S_ISDIR(st.st_mode) ? ERR_OK : err_set_errno(e, ERR_IO, ENOTDIR, "making the folder %s", path);
}

/* chmod() because our umask would make it stricter than asked for; fsync() because a file in it is no safer than it. */
static enum err make_one_folder(const char *path, mode_t mode, struct err_ctx *e)
{
	_cleanup_fd_ int above = -1;
	const char *name;

	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? require_folder(path, e)
				       : err_set_errno(e, ERR_IO, errno, "making the folder %s", path);
	if (chmod(path, mode) < 0)
		return err_set_errno(e, ERR_IO, errno, "setting the mode of %s", path);
	enum err r = open_folder_of(path, &above, &name, e);
	if (!r && fsync(above) < 0)
		r = err_set_errno(e, ERR_IO, errno, "writing the folder above it to the disk");
	return err_wrap(e, r, "making the folder %s", path);
}

enum err file_make_folder(const char *path, mode_t mode, struct err_ctx *e)
{
	_cleanup_free_ char *above = strdup(path);
	enum err r = ERR_OK;

	if (!above)
		return err_set(e, ERR_NO_MEMORY, "room for a path");
	for (char *slash = strchr(above + 1, '/'); slash && !r; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		r = make_one_folder(above, mode, e);
		*slash = '/';
	}
	return r ? r : make_one_folder(path, mode, e);
}

/*
 * A lock of the open file description: unlike fcntl()'s older kind it is not lost when some library opens and closes
 * the same file. Looking again rather than a call that sleeps: only so is the wait bound to a deadline and ended by a
 * signal without a race, and nobody minds being 0.2 s late.
 */
static enum err wait_for_lock(int fd, const char *path, struct deadline deadline, struct err_ctx *e)
{
	for (uint64_t wait_ms = 1;; wait_ms = wait_ms < LOCK_WAIT_MS_MAX / 2 ? 2 * wait_ms : LOCK_WAIT_MS_MAX) {
		struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		bool ready;

		if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
			return ERR_OK;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return err_set_errno(e, ERR_IO, errno, "locking %s", path);
		if (deadline_left_ms(deadline) == 0)
			return err_set(e, ERR_LOCKED, "%s", path);
		enum err r = process_poll(NULL, 0, deadline_min(deadline, deadline_in(wait_ms)), &ready, e);
		if (r)
			return err_wrap(e, r, "locking %s", path);
	}
}

enum err file_lock(const char *path, struct deadline deadline, int *ret_fd, struct err_ctx *e)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "opening the lock %s", path);
	enum err r = wait_for_lock(fd, path, deadline, e);
	if (r)
		return r;
	*ret_fd = TAKE_FD(fd);
	return ERR_OK;
}
