/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/text.h"
#include "sys/spawn.h"

enum { STATUS_NOT_EXECUTED = 127 }; /* as the shell has it */

static const char *const environment[] = { "LC_ALL=C", "PATH=" SPAWN_PATH, NULL };

static enum err find_program(const char *name, char **ret, struct err_ctx *e)
{
	const char *folder = SPAWN_PATH;

	if (strchr(name, '/'))
		return err_set(e, ERR_BUG, "running %s, which is no bare name", name);
	while (*folder) {
		size_t length = strcspn(folder, ":");
		_cleanup_free_ char *path = NULL;
		enum err r = str_format(&path, e, "%.*s/%s", (int)length, folder, name);

		if (r)
			return r;
		if (access(path, X_OK) == 0) {
			*ret = TAKE(path);
			return ERR_OK;
		}
		folder += length + (folder[length] == ':');
	}
	return err_set(e, ERR_NO_PROGRAM, "%s", name);
}

/* 0, or -1 if a call failed or our parent is gone already, which PR_SET_PDEATHSIG would not notice any more. */
static int prepare_child(const struct spawn *s, pid_t parent)
{
	sigset_t none;

	if (s->finish)
		setsid();
	else if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return -1;
	for (int i = 0; i < (int)ARRAY_SIZE(s->fds); i++)
		if (s->fds[i] >= 0 && dup2(s->fds[i], i) < 0)
			return -1;
	/* Files that it makes are for everybody, as if it were run by hand. */
	umask(022);
	/* Who is to finish what it began does so even if nobody is left to read what it says. */
	signal(SIGPIPE, s->finish ? SIG_IGN : SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return close_range(STDERR_FILENO + 1, ~0U, 0);
}

static _Noreturn void run_child(const struct spawn *s, const char *path, pid_t parent)
{
	if (prepare_child(s, parent) == 0)
		execve(path, (char *const *)s->argv, (char *const *)environment);
	dprintf(STDERR_FILENO, "%s: %s\n", path, strerror(errno));
	_exit(STATUS_NOT_EXECUTED);
}

enum err spawn(const struct spawn *s, int *ret_pidfd, struct err_ctx *e)
{
	_cleanup_free_ char *path = NULL;
	pid_t parent = getpid();
	enum err r = find_program(s->argv[0], &path, e);

	if (r)
		return r;
	pid_t pid = fork();
	if (pid < 0)
		return err_set_errno(e, ERR_NO_MEMORY, errno, "starting %s", path);
	if (pid == 0)
		run_child(s, path, parent);
	int pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		err_set_errno(e, ERR_NO_MEMORY, errno, "watching %s", path);
		/* Without memory for a descriptor; the child has hardly begun. */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return ERR_NO_MEMORY;
	}
	*ret_pidfd = pidfd;
	return ERR_OK;
}
