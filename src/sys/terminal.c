/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "sys/descriptor.h"
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
	enum err r = descriptor_write_bytes(fd, prompt, strlen(prompt), e);

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

enum err terminal_show(const void *bytes, size_t size, struct err_ctx *e)
{
	_cleanup_fd_ int fd = -1;
	enum err r = open_terminal(&fd, e);

	return r ? r : descriptor_write_bytes(fd, bytes, size, e);
}

struct terminal_size terminal_size(void)
{
	_cleanup_fd_ int fd = -1;
	struct winsize size;

	if (open_terminal(&fd, NULL) || ioctl(fd, TIOCGWINSZ, &size) < 0)
		return (struct terminal_size){ 0 };
	return (struct terminal_size){ .columns = size.ws_col, .rows = size.ws_row };
}
