/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a program that is measured: what only the process itself can tell without being slowed down. As it
 * ends, it adds a line to the file that ZSEAL_WITNESS names: its name, how long it waited for children from fork() to
 * waitid(), and its own processor time, both in microseconds, and its peak memory in KiB.
 *
 * With ZSEAL_WITNESS_VALGRIND set, it also stands in for pidfd_open(), which valgrind does not know before 3.21: it
 * waits for the child's end, and returns a descriptor that is always readable. What the child says must fit in a pipe.
 * Refuses: to touch anything else; a program without the variable runs as ever.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int file = -1;
static bool for_valgrind;
static pid_t awaited;
static double children_us, forked_at_us;

static double now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

__attribute__((constructor)) static void open_file(void)
{
	const char *path = getenv("ZSEAL_WITNESS");

	for_valgrind = getenv("ZSEAL_WITNESS_VALGRIND") != NULL;
	if (path)
		file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static long peak_kib(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib;
}

__attribute__((destructor)) static void tell(void)
{
	if (file >= 0)
		dprintf(file, "%s %.0f %.0f %ld\n", program_invocation_short_name, children_us,
			now_us(CLOCK_PROCESS_CPUTIME_ID), peak_kib());
}

EXPORT pid_t fork(void)
{
	forked_at_us = now_us(CLOCK_MONOTONIC);
	pid_t pid = ((__typeof__(&fork))dlsym(RTLD_NEXT, "fork"))();

	/* not this program any more until it executes another */
	if (pid == 0)
		file = -1;
	return pid;
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *end, int options)
{
	bool stands_in = for_valgrind && type == P_PIDFD;
	int rc = (int)syscall(SYS_waitid, stands_in ? P_PID : type, stands_in ? (id_t)awaited : id, end, options, NULL);

	children_us += now_us(CLOCK_MONOTONIC) - forked_at_us;
	return rc;
}

int pidfd_open(pid_t pid, unsigned flags);
EXPORT int pidfd_open(pid_t pid, unsigned flags)
{
	siginfo_t end;

	if (!for_valgrind)
		return (int)syscall(SYS_pidfd_open, pid, flags);
	awaited = pid;
	while (syscall(SYS_waitid, P_PID, pid, &end, WEXITED | WNOWAIT, NULL) < 0 && errno == EINTR)
		;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}
