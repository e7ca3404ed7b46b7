/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "sys/credential.h"

/* As systemd wants names: they are files', and are used in lines of text that ':' divides. */
static bool name_is_usable(const char *name)
{
	size_t length = strlen(name);

	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("/:", *p))
			return false;
	return length > 0 && length <= NAME_MAX && *name != '.';
}

/* Neither folder nor file may be somebody else's: who can exchange an answer chooses what we try, and how often. */
static enum err require_ours(int fd, struct stat *ret, struct err_ctx *e)
{
	if (fstat(fd, ret) < 0)
		return err_set_errno(e, ERR_CREDENTIAL, errno, "looking at it");
	if (ret->st_uid != 0 && ret->st_uid != geteuid())
		return err_set(e, ERR_CREDENTIAL, "it belongs to user %u", ret->st_uid);
	if (ret->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, ERR_CREDENTIAL, "others can write it: mode %04o", ret->st_mode & 07777);
	return ERR_OK;
}

static enum err open_folder(int *ret_fd, struct err_ctx *e)
{
	const char *path = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (!path)
		return err_set(e, ERR_CREDENTIAL, "CREDENTIALS_DIRECTORY is not set");
	if (*path != '/')
		return err_set(e, ERR_CREDENTIAL, "CREDENTIALS_DIRECTORY is no absolute path");
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(e, ERR_CREDENTIAL, errno, "opening the folder CREDENTIALS_DIRECTORY names");
	enum err r = require_ours(fd, &st, e);
	if (r)
		return err_wrap(e, r, "the folder CREDENTIALS_DIRECTORY names");
	*ret_fd = TAKE_FD(fd);
	return ERR_OK;
}

/* O_NONBLOCK: a FIFO does not hang us before we see that it is one. */
static enum err open_file(const char *name, int *ret_fd, struct err_ctx *e)
{
	_cleanup_fd_ int folder = -1, fd = -1;
	struct stat st;
	enum err r = open_folder(&folder, e);

	if (r)
		return r;
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(e, ERR_CREDENTIAL, errno, "opening it");
	r = require_ours(fd, &st, e);
	if (!r && !S_ISREG(st.st_mode))
		r = err_set(e, ERR_CREDENTIAL, "it is no regular file");
	if (r)
		return r;
	*ret_fd = TAKE_FD(fd);
	return ERR_OK;
}

/* To its end, or until there is no more room. */
static enum err read_bytes(int fd, struct secret *room, size_t *ret_size, struct err_ctx *e)
{
	size_t size = 0;
	ssize_t n;

	do {
		n = read(fd, secret_bytes(room) + size, secret_size(room) - size);
		if (n < 0 && errno != EINTR)
			return err_set_errno(e, ERR_CREDENTIAL, errno, "reading it");
		size += n > 0 ? (size_t)n : 0;
	} while (n != 0 && size < secret_size(room));
	*ret_size = size;
	return ERR_OK;
}

enum err credential_cut(struct secret *s, size_t size, struct err_ctx *e)
{
	if (size > 0 && secret_data(s)[size - 1] == '\n')
		size--;
	if (size == 0)
		return err_set(e, ERR_CREDENTIAL, "it is empty");
	if (size > CREDENTIAL_MAX)
		return err_set(e, ERR_CREDENTIAL, "it has more than %d bytes", CREDENTIAL_MAX);
	secret_shrink(s, size);
	return ERR_OK;
}

static enum err read_file(int fd, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *s = NULL;
	size_t size = 0;
	enum err r = secret_new(CREDENTIAL_MAX + 2, &s, e); /* a line end, and one byte to see that it is too long */

	if (!r)
		r = read_bytes(fd, s, &size, e);
	if (!r)
		r = credential_cut(s, size, e);
	if (!r)
		*ret = TAKE(s);
	return r;
}

enum err credential_read(const char *name, struct secret **ret, struct err_ctx *e)
{
	_cleanup_fd_ int fd = -1;

	if (!name_is_usable(name))
		return err_set(e, ERR_USAGE, "'%.64s' is no credential's name", name);
	enum err r = open_file(name, &fd, e);
	if (!r)
		r = read_file(fd, ret, e);
	return err_wrap(e, r, "credential %s", name);
}
