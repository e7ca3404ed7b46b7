/* SPDX-License-Identifier: MIT */
/*
 * What the tests of sys/ share: children, signals after a while, files.
 *
 * What changes a process for good (a signal that was caught, a hardened start, a terminal) happens in a child made by
 * in_child(); there CHECK() takes the place of cmocka's assertions. All files are in a folder made for this run.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/secret.h"

enum { PATIENCE_S = 60 }; /* after which something hangs */

#define CHECK(truth)                                                                                \
	do {                                                                                        \
		if (!(truth)) {                                                                     \
			fprintf(stderr, "# %s:%d: %s does not hold\n", __func__, __LINE__, #truth); \
			_exit(1);                                                                   \
		}                                                                                   \
	} while (0)

#define CHECK_EQUAL(found, expected)                                                                             \
	do {                                                                                                     \
		if (strcmp(found, expected) != 0) {                                                              \
			fprintf(stderr, "# %s:%d: \"%s\" is not \"%s\"\n", __func__, __LINE__, found, expected); \
			_exit(1);                                                                                \
		}                                                                                                \
	} while (0)

/* Whatever started this may ignore or block signals, as for a shell's background job; cmocka catches some. */
static inline void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static inline pid_t fork_child(void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		reset_signals();
		alarm(PATIENCE_S);
		run();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static inline int end_of(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void in_child(void (*run)(void))
{
	assert_int_equal(end_of(fork_child(run)), 0);
}

static inline void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Sends signal to pid in a while, from a process of its own. */
static inline pid_t signal_later(pid_t pid, int signal, long ms)
{
	pid_t sender = fork();

	if (sender == 0) {
		sleep_ms(ms);
		kill(pid, signal);
		_exit(0);
	}
	return sender;
}

static inline bool appears(const char *path)
{
	for (int i = 0; i < 200 && access(path, F_OK) < 0; i++)
		sleep_ms(10);
	return access(path, F_OK) == 0;
}

static inline struct secret *secret_of(const char *text)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_copy(text, strlen(text), &s, NULL), ERR_OK);
	return s;
}

static inline void make_file(const char *path, const char *bytes, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, bytes, size), size);
}

static inline void assert_io(enum err r, const struct err_ctx *e, int sys_errno)
{
	assert_int_equal(r, ERR_IO);
	assert_int_equal(e->sys_errno, sys_errno);
}

static inline bool secret_is(const struct secret *s, const char *text)
{
	return secret_size(s) == strlen(text) && memcmp(secret_data(s), text, strlen(text)) == 0;
}

#define X64   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256  X64 X64 X64 X64
#define X1024 X256 X256 X256 X256

/* Runs a program's tests in a folder made for this run, which is removed afterwards. */
static inline int run_in_folder(const struct CMUnitTest *tests, size_t n)
{
	char folder[] = "/tmp/zseal-test-sys.XXXXXX", command[64];

	reset_signals();
	umask(022);
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 1;
	int failed = _cmocka_run_group_tests("sys", tests, n, NULL, NULL);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return chdir("/") == 0 && system(command) == 0 ? failed : 1;
}
