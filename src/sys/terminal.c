/* SPDX-License-Identifier: MIT */
/*
 * Typed bytes go from the kernel's line buffer into a secret, one by one: nothing is read that is not asked for, so
 * that several answers can come from one descriptor, and nothing is kept anywhere else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>

#include "sys/process.h"
#include "sys/terminal.h"

static enum err open_terminal(int *ret_fd, struct err_ctx *e)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return err_set_errno(e, ERR_NO_INPUT, errno, "there is no terminal");
	*ret_fd = fd;
	return ERR_OK;
}

bool terminal_available(void)
{
	_cleanup_fd_ int fd = -1;

	return open_terminal(&fd, NULL) == ERR_OK;
}

/* Waits for room first: a reader who does not read must not keep a signal from ending us. */
static enum err write_all(int fd, const uint8_t *bytes, size_t size, struct err_ctx *e)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	bool ready;

	while (size > 0) {
		enum err r = process_poll(&room, 1, DEADLINE_NEVER, &ready, e);

		if (r)
			return r;
		ssize_t n = write(fd, bytes, size);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_set_errno(e, ERR_OUTPUT, errno, "writing to descriptor %d", fd);
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
	return ERR_OK;
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

enum err descriptor_write(int fd, const struct secret *s, struct err_ctx *e)
{
	enum err r = write_all(fd, secret_data(s), secret_size(s), e);

	return r ? r : write_all(fd, (const uint8_t *)"\n", 1, e);
}

static void set_stop_signal(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigprocmask(how, &set, NULL);
}

static int set_modes(int fd, const struct termios *modes)
{
	int r;

	/* At once: waiting for output to drain could wait for ever, for the person's ^Q. */
	do
		r = tcsetattr(fd, TCSANOW, modes);
	while (r < 0 && errno == EINTR);
	return r;
}

/* No echo but the line end's. A ^Z waits until the terminal is as it was: a shell must not find it silent. */
static enum err hide_echo(int fd, struct termios *ret_before, struct err_ctx *e)
{
	struct termios modes;

	if (tcgetattr(fd, ret_before) < 0)
		return err_set_errno(e, ERR_IO, errno, "reading the terminal's modes");
	modes = *ret_before;
	modes.c_lflag = (modes.c_lflag & ~(tcflag_t)ECHO) | ECHONL;
	set_stop_signal(SIG_BLOCK);
	if (set_modes(fd, &modes) < 0) {
		err_set_errno(e, ERR_IO, errno, "setting the terminal's modes");
		set_stop_signal(SIG_UNBLOCK);
		return ERR_IO;
	}
	return ERR_OK;
}

/* The rest of a line that was not finished is thrown away: the shell would read and show it. */
static void restore_echo(int fd, const struct termios *before, bool finished)
{
	if (!finished)
		tcflush(fd, TCIFLUSH);
	(void)set_modes(fd, before);
	set_stop_signal(SIG_UNBLOCK);
}

static enum err ask(int fd, const char *prompt, struct secret **ret, struct err_ctx *e)
{
	enum err r = write_all(fd, (const uint8_t *)prompt, strlen(prompt), e);

	return r ? r : descriptor_read(fd, ret, e);
}

enum err terminal_ask(const char *prompt, bool echo, struct secret **ret, struct err_ctx *e)
{
	_cleanup_fd_ int fd = -1;
	struct termios before;
	enum err r = open_terminal(&fd, e);

	if (r || echo)
		return r ? r : ask(fd, prompt, ret, e);
	r = hide_echo(fd, &before, e);
	if (r)
		return r;
	r = ask(fd, prompt, ret, e);
	restore_echo(fd, &before, r == ERR_OK);
	return r;
}

enum err terminal_show(const uint8_t *bytes, size_t size, struct err_ctx *e)
{
	_cleanup_fd_ int fd = -1;
	enum err r = open_terminal(&fd, e);

	return r ? r : write_all(fd, bytes, size, e);
}
