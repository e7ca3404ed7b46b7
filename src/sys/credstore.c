/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "sys/credential.h"
#include "sys/credstore.h"
#include "sys/file.h"
#include "sys/process.h"

/* Where a credential is. */
struct place {
	char path[PATH_MAX];
	bool plain;
};

static bool name_is_usable(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= NAME_MAX && *name != '.' && *name != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

static enum err find(const char *name, struct place *ret, struct err_ctx *e)
{
	if (!name_is_usable(name))
		return err_set(e, ERR_USAGE, "'%.64s' is no credential's name", name);
	snprintf(ret->path, sizeof(ret->path), CREDSTORE_ENCRYPTED "%s", name);
	ret->plain = access(ret->path, F_OK) < 0;
	if (!ret->plain)
		return ERR_OK;
	snprintf(ret->path, sizeof(ret->path), CREDSTORE_PLAIN "%s", name);
	if (access(ret->path, F_OK) < 0)
		return err_set_errno(e, ERR_CREDENTIAL, errno,
				     "%s is neither in " CREDSTORE_ENCRYPTED " nor in " CREDSTORE_PLAIN, name);
	return ERR_OK;
}

/* O_NONBLOCK: a FIFO does not hang us before we see that it is one. */
static enum err open_plain(const char *path, int *ret_fd, struct err_ctx *e)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(e, ERR_CREDENTIAL, errno, "opening %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CREDENTIAL, "%s is no regular file", path);
	if (st.st_uid != 0)
		return err_set(e, ERR_CREDENTIAL_OPEN, "%s belongs to user %u", path, st.st_uid);
	if (st.st_mode & 07177)
		return err_set(e, ERR_CREDENTIAL_OPEN, "%s has mode %04o, not 0600", path, st.st_mode & 07777);
	*ret_fd = TAKE_FD(fd);
	return ERR_OK;
}

/* A line end, and one byte more to see that it is too long. */
static enum err read_plain(const char *path, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *s = NULL;
	_cleanup_fd_ int fd = -1;
	ssize_t n = 0;
	enum err err = open_plain(path, &fd, e);

	if (!err)
		err = secret_new(CREDENTIAL_MAX + 2, &s, e);
	if (err)
		return err;
	n = read(fd, secret_bytes(s), secret_size(s));
	if (n < 0)
		return err_set_errno(e, ERR_CREDENTIAL, errno, "reading %s", path);
	if (n == 0)
		return err_set(e, ERR_CREDENTIAL, "%s is empty", path);
	secret_shrink(s, (size_t)n);
	*ret = TAKE(s);
	return ERR_OK;
}

static enum err decrypt(const char *name, const char *path, struct deadline deadline, struct secret **ret,
			struct err_ctx *e)
{
	_cleanup_(child_result_clearp) struct child_result *done = &(struct child_result){ 0 };
	_cleanup_free_ char *name_option = NULL;
	enum err err = str_format(&name_option, e, "--name=%s", name);

	if (err)
		return err;
	const struct child child = {
		.argv = (const char *const[]){ "systemd-creds", "--newline=no", name_option, "decrypt", path, "-",
					       NULL },
		.output_max = CREDENTIAL_MAX + 2,
		.deadline = deadline,
		.secret = true,
	};
	err = process_run(&child, done, e);
	if (err)
		return err_info(err)->class == CLASS_INTERRUPTED || !e ? err : (e->code = ERR_CREDENTIAL);
	if (done->status != 0)
		return err_set(e, ERR_CREDENTIAL, "systemd-creds: %s",
			       *done->complaint ? done->complaint : "no reason told");
	if (!done->secret)
		return err_set(e, ERR_CREDENTIAL, "%s is empty", path);
	*ret = TAKE(done->secret);
	return ERR_OK;
}

enum err credstore_read(const char *name, struct deadline deadline, struct secret **ret, bool *ret_plain,
			struct err_ctx *e)
{
	_cleanup_secret_ struct secret *s = NULL;
	struct place place;
	enum err err = find(name, &place, e);

	if (!err && place.plain)
		err = read_plain(place.path, &s, e);
	else if (!err)
		err = decrypt(name, place.path, deadline, &s, e);
	if (!err)
		err = credential_cut(s, secret_size(s), e);
	if (err)
		return err_wrap(e, err, "credential %s", name);
	*ret = TAKE(s);
	*ret_plain = place.plain;
	return ERR_OK;
}

/* ---- making one ---- */

/*
 * PCR 23 is the application's, zero after every boot: what is sealed to it survives a new firmware, so that one update
 * does not close both the TPM's slot and this. No PCR at all would be right too, but systemd 252 encrypts so what it
 * then cannot decrypt.
 */
static enum err encrypt(const char *name_option, const struct secret *s, enum credstore_key key,
			struct deadline deadline, char **ret, struct err_ctx *e)
{
	_cleanup_(child_result_clearp) struct child_result *done = &(struct child_result){ 0 };
	static const char *const keys[] = {
		[CREDSTORE_HOST_AND_TPM] = "--with-key=host+tpm2", [CREDSTORE_HOST] = "--with-key=host"
	};
	const struct child child = {
		.argv = (const char *const[]){ "systemd-creds", keys[key], "--tpm2-pcrs=23", name_option, "encrypt",
					       "-", "-", NULL },
		.input = s,
		.output_max = 64 << 10,
		.deadline = deadline,
	};
	enum err err = process_run(&child, done, e);

	if (err)
		return err;
	if (done->status != 0)
		return err_set(e, ERR_CREDENTIAL, "systemd-creds: %s",
			       *done->complaint ? done->complaint : "no reason told");
	*ret = TAKE(done->output);
	return ERR_OK;
}

/* By its own name, but beside its place: the name is part of what is encrypted. */
static enum err prove(const char *name, const char *path, const struct secret *s, struct deadline deadline,
		      struct err_ctx *e)
{
	_cleanup_secret_ struct secret *again = NULL;
	enum err err = decrypt(name, path, deadline, &again, e);

	if (!err && !secret_equal(again, s))
		err = err_set(e, ERR_CREDENTIAL, "what systemd-creds decrypts is not what it encrypted");
	return err;
}

static enum err write_proven(const char *name, const struct secret *s, const char *text, struct deadline deadline,
			     struct err_ctx *e)
{
	_cleanup_free_ char *path = NULL, *trial = NULL, *plain = NULL;
	enum err err = str_format(&path, e, CREDSTORE_ENCRYPTED "%s", name);

	if (!err)
		err = str_format(&trial, e, CREDSTORE_ENCRYPTED "%s.new", name);
	if (!err)
		err = str_format(&plain, e, CREDSTORE_PLAIN "%s", name);
	if (!err)
		err = file_write(trial, text, 0600, e);
	if (err)
		return err;
	err = prove(name, trial, s, deadline, e);
	if (!err)
		err = file_write(path, text, 0600, e);
	if (!err)
		err = file_remove(plain, e);
	enum err removed = file_remove(trial, err ? NULL : e);
	return err ? err : removed;
}

enum err credstore_write(const char *name, const struct secret *s, enum credstore_key key, struct deadline deadline,
			 struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL, *name_option = NULL;
	enum err err = name_is_usable(name) ? ERR_OK : err_set(e, ERR_USAGE, "'%.64s' is no credential's name", name);

	if (!err)
		err = str_format(&name_option, e, "--name=%s", name);
	if (!err)
		err = file_make_folder("/etc/credstore.encrypted", 0700, e);
	if (!err)
		err = encrypt(name_option, s, key, deadline, &text, e);
	if (!err)
		err = write_proven(name, s, text, deadline, e);
	return err_wrap(e, err, "credential %s", name);
}

enum err credstore_check(const char *name, struct err_ctx *e)
{
	_cleanup_fd_ int fd = -1;
	struct place place;
	enum err err = find(name, &place, e);

	if (!err && place.plain)
		err = open_plain(place.path, &fd, e);
	return err_wrap(e, err, "credential %s", name);
}

enum err credstore_keep(const char *name, const struct secret *s, struct deadline deadline, bool *ret_host_only,
			struct err_ctx *e)
{
	struct err_ctx own = { 0 };
	enum err err = credstore_write(name, s, CREDSTORE_HOST_AND_TPM, deadline, &own);

	if (err == ERR_CREDENTIAL) {
		err = credstore_write(name, s, CREDSTORE_HOST, deadline, &own);
		*ret_host_only |= !err;
	}
	if (err && e)
		*e = own;
	return err;
}

enum err credstore_changed(const char *name, uint64_t *ret_ns, struct err_ctx *e)
{
	struct place place;
	struct stat st;
	enum err err = find(name, &place, e);

	if (err)
		return err;
	if (stat(place.path, &st) < 0)
		return err_set_errno(e, ERR_CREDENTIAL, errno, "looking at %s", place.path);
	*ret_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	return ERR_OK;
}

enum err credstore_check_file(const char *path, struct err_ctx *e)
{
	_cleanup_fd_ int fd = -1;

	return open_plain(path, &fd, e);
}
