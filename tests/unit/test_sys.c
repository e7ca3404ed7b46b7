/* SPDX-License-Identifier: MIT */
/*
 * The process and its surroundings: deadlines, signals, children, files, locks, terminals.
 *
 * What changes a process for good (a signal that was caught, a hardened start, a terminal) happens in a child made by
 * in_child(); there CHECK() takes the place of cmocka's assertions. All files are in a folder made for this run.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include <cmocka.h>

#include "sys/file.h"
#include "sys/process.h"
#include "sys/terminal.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WITH_SANITIZER 1
#endif
#ifndef WITH_SANITIZER
#define WITH_SANITIZER 0
#endif

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
static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static pid_t fork_child(void (*run)(void))
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

static int end_of(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void in_child(void (*run)(void))
{
	assert_int_equal(end_of(fork_child(run)), 0);
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Sends signal to pid in a while, from a process of its own. */
static pid_t signal_later(pid_t pid, int signal, long ms)
{
	pid_t sender = fork();

	if (sender == 0) {
		sleep_ms(ms);
		kill(pid, signal);
		_exit(0);
	}
	return sender;
}

static bool appears(const char *path)
{
	for (int i = 0; i < 200 && access(path, F_OK) < 0; i++)
		sleep_ms(10);
	return access(path, F_OK) == 0;
}

static struct secret *secret_of(const char *text)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_copy(text, strlen(text), &s, NULL), ERR_OK);
	return s;
}

/* -- deadlines ----------------------------------------------------------------------------------------------------- */

static void test_deadline(void **state)
{
	(void)state;
	int left = deadline_left_ms(deadline_in(10000));

	assert_in_range(left, 9000, 10000);
	assert_int_equal(deadline_left_ms(deadline_in(0)), 0);
	assert_int_equal(deadline_left_ms((struct deadline){ 1 }), 0);
	assert_int_equal(deadline_left_ms(DEADLINE_NEVER), INT32_MAX);
	assert_int_equal(deadline_left_ms(deadline_in(UINT64_MAX)), INT32_MAX);
	assert_int_equal(deadline_min((struct deadline){ 5 }, (struct deadline){ 7 }).at_ms, 5);
	assert_int_equal(deadline_min((struct deadline){ 7 }, (struct deadline){ 5 }).at_ms, 5);
}

/* -- signals ------------------------------------------------------------------------------------------------------- */

static void check_catch(void)
{
	struct err_ctx e = { 0 };

	CHECK(process_catch_signals(&e) == ERR_OK);
	CHECK(process_interrupted(&e) == ERR_OK);
	raise(SIGHUP);
	raise(SIGTERM);
	CHECK(process_interrupted(&e) == ERR_INTERRUPTED);
	CHECK_EQUAL(e.chain[0], "SIGHUP");
	CHECK(process_interrupted(NULL) == ERR_INTERRUPTED);
}

static void check_ignored_stays(void)
{
	signal(SIGHUP, SIG_IGN);
	CHECK(process_catch_signals(NULL) == ERR_OK);
	raise(SIGHUP);
	CHECK(process_interrupted(NULL) == ERR_OK);
}

/* Held back, it interrupts no system call either. */
static void check_hold(void)
{
	sigset_t pending;

	CHECK(process_catch_signals(NULL) == ERR_OK);
	process_signals_hold();
	process_signals_hold();
	raise(SIGTERM);
	process_signals_release();
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1);
	CHECK(process_interrupted(NULL) == ERR_OK);
	process_signals_release();
	CHECK(process_interrupted(NULL) == ERR_INTERRUPTED);
	process_signals_hold();
	CHECK(process_interrupted(NULL) == ERR_OK);
	process_signals_release();
}

static void check_poll(void)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLOUT } };
	bool ready = true;
	int ends[2];

	CHECK(pipe(ends) == 0);
	fds[0].fd = ends[0];
	fds[1].fd = ends[1];
	CHECK(process_poll(fds, 1, deadline_in(20), &ready, NULL) == ERR_OK && !ready);
	CHECK(process_poll(fds, 2, deadline_in(0), &ready, NULL) == ERR_OK && ready && fds[1].revents == POLLOUT);
	CHECK(process_poll(NULL, 0, deadline_in(20), &ready, NULL) == ERR_OK && !ready);
}

static void check_poll_interrupted(void)
{
	struct deadline start = deadline_in(0), end;
	bool ready;

	CHECK(process_catch_signals(NULL) == ERR_OK);
	signal_later(getpid(), SIGTERM, 50);
	CHECK(process_poll(NULL, 0, deadline_in(30000), &ready, NULL) == ERR_INTERRUPTED);
	CHECK(process_poll(NULL, 0, deadline_in(30000), &ready, NULL) == ERR_INTERRUPTED);
	end = deadline_in(0);
	CHECK(end.at_ms - start.at_ms < 10000);
	process_signals_hold();
	CHECK(process_poll(NULL, 0, deadline_in(20), &ready, NULL) == ERR_OK);
	process_signals_release();
}

static bool signal_before_sleep;

/* libc's, with a signal at the worst moment: after process_poll() has looked for one, before it sleeps. */
int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left = *timeout;

	if (signal_before_sleep)
		raise(SIGTERM);
	return (int)syscall(SYS_ppoll, fds, n, &left, mask, _NSIG / 8);
}

static void check_poll_race(void)
{
	bool ready;

	CHECK(process_catch_signals(NULL) == ERR_OK);
	signal_before_sleep = true;
	CHECK(process_poll(NULL, 0, deadline_in(500), &ready, NULL) == ERR_INTERRUPTED);
}

static void check_require_root(void)
{
	struct err_ctx e = { 0 };

	CHECK(geteuid() != 0 || process_require_root(&e, "unlocking tank") == ERR_OK);
	if (seteuid(65534) < 0)
		return; /* root in a user namespace, where nobody else is */
	CHECK(process_require_root(&e, "unlocking tank") == ERR_NOT_ROOT);
	CHECK_EQUAL(e.chain[0], "unlocking tank");
}

static void test_signals(void **state)
{
	(void)state;
	in_child(check_catch);
	in_child(check_ignored_stays);
	in_child(check_hold);
	in_child(check_poll);
	in_child(check_poll_interrupted);
	in_child(check_poll_race);
	in_child(check_require_root);
}

/* -- hardening ----------------------------------------------------------------------------------------------------- */

static void check_environment(void)
{
	static const char *const dropped[] = { "LD_PRELOAD", "TSS2_TCTI",     "ZFS_IOC_TRACE", "OPENSSL_CONF",
					       "TMPDIR",     "MALLOC_CHECK_", "http_proxy" };

	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		setenv(dropped[i], "1", 1);
	setenv("PATH", "/tmp", 1);
	setenv("LANG", "de_DE.UTF-8", 1);
	setenv("NOTIFY_SOCKET", "@notify", 1);
	unsetenv("TZ");
	CHECK(process_harden(NULL) == ERR_OK);
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
		CHECK(!getenv(dropped[i]));
	CHECK(!getenv("TZ"));
	CHECK_EQUAL(getenv("PATH"), "/usr/sbin:/usr/bin:/sbin:/bin");
	CHECK_EQUAL(getenv("LANG"), "de_DE.UTF-8");
	CHECK_EQUAL(getenv("NOTIFY_SOCKET"), "@notify");
	CHECK_EQUAL(getenv("TSS2_LOG"), "all+none");
}

static void check_harden(void)
{
	struct rlimit core = { 1, 1 };
	struct sigaction pipe_action, child_action;

	setrlimit(RLIMIT_CORE, &core);
	signal(SIGCHLD, SIG_IGN);
	close(0);
	CHECK(process_harden(NULL) == ERR_OK);
	CHECK(fcntl(0, F_GETFD) == 0);
	CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
	CHECK(prctl(PR_GET_DUMPABLE) == WITH_SANITIZER);
	CHECK(umask(0) == 077);
	CHECK(sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_IGN);
	CHECK(sigaction(SIGCHLD, NULL, &child_action) == 0 && child_action.sa_handler == SIG_DFL);
}

/* Under a limit nothing is locked, so that more than the limit can be had. */
static void check_harden_limited(void)
{
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	limit.rlim_cur = limit.rlim_max = limit.rlim_max < 8 << 20 ? limit.rlim_max : 8 << 20;
	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	(void)!setuid(65534); /* where there is nobody else, root may not exceed it either */
	CHECK(process_harden(NULL) == ERR_OK);
	_cleanup_free_ char *memory = malloc(64 << 20);
	CHECK(memory);
}

/* Where a limit does not hold, by CAP_IPC_LOCK, everything is locked. */
static void check_harden_unlimited(void)
{
	static char more[1 << 20];
	struct rlimit limit = { 65536, 65536 };
	_cleanup_free_ char *status = NULL;

	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	if (mlock(more, sizeof(more)) < 0 || munlock(more, sizeof(more)) < 0)
		return;
	CHECK(process_harden(NULL) == ERR_OK);
	CHECK(file_read("/proc/self/status", 65536, &status, NULL) == ERR_OK);
	CHECK((strstr(status, "VmLck:\t       0 kB") != NULL) == WITH_SANITIZER);
}

static void test_harden(void **state)
{
	(void)state;
	in_child(check_environment);
	in_child(check_harden);
	in_child(check_harden_limited);
	in_child(check_harden_unlimited);
}

/* -- children ------------------------------------------------------------------------------------------------------ */

#define SHELL(script)                    \
	{                                \
		"sh", "-c", script, NULL \
	}

static const struct {
	const char *argv[5];
	const char *input;
	int status;
	const char *output, *complaint;
} run_cases[] = {
	{ { "true" }, NULL, 0, "", "" },
	{ SHELL("echo out; echo err >&2; exit 7"), NULL, 7, "out\n", "err" },
	{ SHELL("kill -9 $$"), NULL, 137, "", "" },
	{ { "cat" }, "a key", 0, "a key", "" },
	{ { "cat" }, NULL, 0, "", "" },
	{ { "true" }, "read by nobody", 0, "", "" },
	{ { "env" }, NULL, 0, "LC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n", "" },
	{ SHELL("ls /proc/$$/fd"), NULL, 0, "0\n1\n2\n", "" },
	{ SHELL("umask"), NULL, 0, "0022\n", "" },
	/* but for 32 and 33: glibc's own, which posix_spawn() leaves ignored, so that make's children come with them */
	{ { "grep", "-cE", "^Sig(Blk|Ign):.0{7}[01][08]0{7}$", "/proc/self/status" }, NULL, 0, "2\n", "" },
	{ SHELL("printf '\\033[31mred\\ttab\\n\\303\\244\\n\\n' >&2"), NULL, 0, "", "?[31mred tab\n??" },
};

static void assert_runs(const struct child *child, int status, const char *output, const char *complaint)
{
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	struct err_ctx e = { 0 };

	if (process_run(child, &result, &e))
		fail_msg("%s: %s, %s", e.chain[1], err_info(e.code)->name, e.chain[0]);
	assert_string_equal(result.output, output);
	assert_string_equal(result.complaint, complaint);
	assert_int_equal(result.status, status);
}

static enum err run(const struct child *child)
{
	_cleanup_(child_result_clear) struct child_result result = { 0 };

	return process_run(child, &result, NULL);
}

/* What a child must not inherit: our standard input, an open descriptor, an ignored and a blocked signal, a umask. */
static void spoil_inheritance(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0 && dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
	/* a shell's background job comes with these ignored, which children may know */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	process_signals_hold();
	umask(077);
}

static void check_runs(void)
{
	spoil_inheritance();
	for (size_t i = 0; i < ARRAY_SIZE(run_cases); i++) {
		_cleanup_(child_result_clear) struct child_result result = { 0 };
		_cleanup_secret_ struct secret *input = run_cases[i].input ? secret_of(run_cases[i].input) : NULL;
		struct child child = { .argv = run_cases[i].argv, .input = input, .deadline = deadline_in(30000) };

		CHECK(process_run(&child, &result, NULL) == ERR_OK);
		CHECK_EQUAL(result.output, run_cases[i].output);
		CHECK_EQUAL(result.complaint, run_cases[i].complaint);
		CHECK(result.status == run_cases[i].status);
	}
}

static void test_run(void **state)
{
	(void)state;
	in_child(check_runs);
}

static void test_run_program_missing(void **state)
{
	const char *const missing[] = { "no-such-program", NULL }, *const path[] = { "/bin/true", NULL };
	struct child child = { .argv = missing, .deadline = deadline_in(30000) };
	struct err_ctx e = { 0 };
	struct child_result result;

	(void)state;
	assert_int_equal(process_run(&child, &result, &e), ERR_NO_PROGRAM);
	assert_string_equal(e.chain[0], "no-such-program");
	assert_string_equal(e.chain[1], "running no-such-program");
	child.argv = path;
	assert_int_equal(run(&child), ERR_BUG);
}

/* The kernel refuses an argument this long. */
static void test_run_not_executed(void **state)
{
	_cleanup_free_ char *huge = calloc(1, 256 << 10);
	const char *const argv[] = { "true", huge, NULL };
	struct child child = { .argv = argv, .deadline = deadline_in(30000) };

	(void)state;
	assert_non_null(huge);
	memset(huge, 'x', (256 << 10) - 1);
	assert_runs(&child, 127, "", "/usr/bin/true: Argument list too long");
}

static void test_run_large_output(void **state)
{
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	const char *const most[] = SHELL("yes | head -c 67108864");
	const char *const more[] = SHELL("yes | head -c 67108865");
	const char *const both[] = SHELL("yes | head -c 1000000; yes | head -c 1000000 >&2; yes | head -c 1000000");
	struct child child = { .argv = most, .deadline = deadline_in(30000) };

	(void)state;
	assert_int_equal(process_run(&child, &result, NULL), ERR_OK);
	assert_int_equal(strlen(result.output), 64 << 20);
	child_result_clear(&result);
	child.argv = more;
	assert_int_equal(run(&child), ERR_CHILD);
	child.argv = both;
	assert_int_equal(process_run(&child, &result, NULL), ERR_OK);
	assert_int_equal(strlen(result.output), 2000000);
	assert_int_equal(strlen(result.complaint), 4095); /* the 4,096th was a line end */
}

static void test_run_output_max(void **state)
{
	const char *const argv[] = SHELL("printf 0123456789; sleep 0.2; touch went-on");
	struct child child = { .argv = argv, .output_max = 10, .deadline = deadline_in(30000) };

	(void)state;
	assert_runs(&child, 0, "0123456789", "");
	assert_int_equal(unlink("went-on"), 0);
	child.output_max = 9;
	assert_int_equal(run(&child), ERR_CHILD);
	assert_int_equal(access("went-on", F_OK), -1);
	child.finish = true;
	assert_int_equal(run(&child), ERR_CHILD);
	assert_int_equal(access("went-on", F_OK), 0);
}

static void test_run_deadline(void **state)
{
	const char *const argv[] = { "sleep", "60", NULL };
	struct child child = { .argv = argv, .deadline = deadline_in(50) };

	(void)state;
	assert_int_equal(run(&child), ERR_TIMEOUT);
	assert_int_equal(waitpid(-1, NULL, 0), -1); /* it was killed and reaped */
	assert_int_equal(errno, ECHILD);
	child.finish = true;
	assert_int_equal(run(&child), ERR_TIMEOUT); /* passed already, so it was not even started */
}

/* What the program leaves behind holds its pipes. */
static void test_run_daemon(void **state)
{
	const char *const argv[] = SHELL("sleep 10 & echo started");
	struct child child = { .argv = argv, .deadline = deadline_in(8000) };

	(void)state;
	assert_runs(&child, 0, "started\n", "");
}

static void check_run_interrupted(void)
{
	const char *const argv[] = { "sleep", "60", NULL };
	struct child child = { .argv = argv, .deadline = deadline_in(50000) };

	CHECK(process_catch_signals(NULL) == ERR_OK);
	signal_later(getpid(), SIGTERM, 50);
	CHECK(run(&child) == ERR_INTERRUPTED);
	child.finish = true;
	CHECK(run(&child) == ERR_INTERRUPTED); /* not even started */
}

/* Neither a signal nor its deadline ends it; the signal is told afterwards. */
static void check_run_finish(void)
{
	const char *const argv[] = SHELL("sleep 1; touch finished");
	struct child child = { .argv = argv, .deadline = deadline_in(500), .finish = true };

	CHECK(process_catch_signals(NULL) == ERR_OK);
	signal_later(getpid(), SIGTERM, 300);
	CHECK(run(&child) == ERR_OK);
	CHECK(unlink("finished") == 0);
	CHECK(process_interrupted(NULL) == ERR_INTERRUPTED);
}

static void test_run_signals(void **state)
{
	(void)state;
	in_child(check_run_interrupted);
	in_child(check_run_finish);
}

/* One that is to finish leads its own session and process group, so that no ^C reaches it. */
static void test_run_session(void **state)
{
	const char *const argv[] = SHELL("cut -d' ' -f1,5,6 /proc/$$/stat | tr ' ' '\\n' | uniq | wc -l");
	struct child child = { .argv = argv, .deadline = deadline_in(30000), .finish = true };

	(void)state;
	assert_runs(&child, 0, "1\n", "");
}

static void run_until_killed(void)
{
	const char *const argv[] = SHELL("touch begun; sleep 0.3; touch outlived");
	struct child child = { .argv = argv, .deadline = deadline_in(30000) };

	(void)!run(&child);
}

/* Speaks into pipes that nobody reads any more. */
static void run_to_finish(void)
{
	const char *const argv[] = SHELL("touch begun; sleep 0.3; echo; echo >&2; touch outlived");
	struct child child = { .argv = argv, .deadline = deadline_in(30000), .finish = true };

	(void)!run(&child);
}

static bool outlives(void (*run_it)(void))
{
	pid_t pid = fork_child(run_it);

	assert_true(appears("begun"));
	kill(pid, SIGKILL);
	end_of(pid);
	bool outlived = appears("outlived");
	unlink("begun");
	unlink("outlived");
	return outlived;
}

static void test_run_killed(void **state)
{
	(void)state;
	assert_false(outlives(run_until_killed));
	assert_true(outlives(run_to_finish));
}

/* -- files --------------------------------------------------------------------------------------------------------- */

static void assert_file(const char *path, const char *text)
{
	_cleanup_free_ char *found = NULL;

	assert_int_equal(file_read(path, 1 << 20, &found, NULL), ERR_OK);
	assert_string_equal(found, text);
}

static void make_file(const char *path, const char *bytes, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, bytes, size), size);
}

static void assert_io(enum err r, const struct err_ctx *e, int sys_errno)
{
	assert_int_equal(r, ERR_IO);
	assert_int_equal(e->sys_errno, sys_errno);
}

static void test_file_read(void **state)
{
	char *text = NULL;
	struct err_ctx e = { 0 };

	(void)state;
	make_file("five", "12345", 5);
	make_file("empty", "", 0);
	make_file("nul", "12\00045", 5);
	assert_int_equal(symlink("five", "link"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_file("five", "12345");
	assert_file("empty", "");
	assert_int_equal(file_read("five", 4, &text, NULL), ERR_FORMAT);
	assert_int_equal(file_read("nul", 5, &text, NULL), ERR_FORMAT);
	assert_io(file_read("no-such-file", 5, &text, &e), &e, ENOENT);
	assert_io(file_read("link", 5, &text, &e), &e, ELOOP);
	assert_io(file_read("fifo", 5, &text, &e), &e, 0);
	assert_io(file_read(".", 5, &text, &e), &e, 0);
	assert_int_equal(file_read("five", 5, &text, NULL), ERR_OK); /* the very size that is allowed */
	free(text);
}

/* Who may change what: the folder above the folder, the folder, the file. */
static const struct {
	mode_t above, folder, file;
	uid_t owner; /* of the folder */
	enum err result;
} trust_cases[] = {
	{ 0755, 0755, 0644, 0, ERR_OK },
	{ 0700, 0700, 0400, 0, ERR_OK },
	{ 0755, 0755, 0664, 0, ERR_CONFIG_UNSAFE },
	{ 0755, 0755, 0602, 0, ERR_CONFIG_UNSAFE },
	{ 0755, 0775, 0644, 0, ERR_CONFIG_UNSAFE },
	{ 01777, 0755, 0644, 0, ERR_CONFIG_UNSAFE },
	{ 0755, 0755, 0644, 1, ERR_CONFIG_UNSAFE },
};

static void test_file_read_trusted(void **state)
{
	char base[] = "/run/zseal-test.XXXXXX", folder[64], file[64], link[64], linked[80], *text = NULL;
	struct err_ctx e = { 0 };

	(void)state;
	if (geteuid() != 0 || !mkdtemp(base))
		skip(); /* needs root, and a /run that belongs to it */
	snprintf(folder, sizeof(folder), "%s/folder", base);
	snprintf(file, sizeof(file), "%s/folder/file", base);
	snprintf(link, sizeof(link), "%s/link", base);
	snprintf(linked, sizeof(linked), "%s/link/file", base);
	assert_int_equal(mkdir(folder, 0755) | symlink("folder", link), 0);
	make_file(file, "text", 4);
	for (size_t i = 0; i < ARRAY_SIZE(trust_cases); i++) {
		assert_int_equal(chmod(base, trust_cases[i].above) | chmod(folder, trust_cases[i].folder), 0);
		assert_int_equal(chmod(file, trust_cases[i].file) | chown(folder, trust_cases[i].owner, 0), 0);
		assert_int_equal(file_read_trusted(file, 4, &text, NULL), trust_cases[i].result);
		free(TAKE(text));
	}
	assert_int_equal(chown(folder, 0, 0), 0);
	assert_io(file_read_trusted(linked, 4, &text, &e), &e, ENOTDIR);
	assert_io(file_read_trusted(link, 4, &text, &e), &e, ELOOP);
	assert_io(file_read_trusted("/no-such-folder/file", 4, &text, &e), &e, ENOENT);
	assert_int_equal(file_read_trusted("five", 5, &text, NULL), ERR_USAGE);
	assert_int_equal(unlink(file) | unlink(link) | rmdir(folder) | rmdir(base), 0);
}

static void test_file_write(void **state)
{
	struct stat st;

	(void)state;
	umask(077);
	assert_int_equal(file_write("written", "old", 0600, NULL), ERR_OK);
	assert_int_equal(file_write("written", "new", 0644, NULL), ERR_OK);
	umask(022);
	assert_file("written", "new");
	assert_int_equal(stat("written", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	make_file("victim", "safe", 4);
	assert_int_equal(symlink("victim", "trap"), 0);
	assert_int_equal(file_write("trap", "new", 0600, NULL), ERR_OK);
	assert_file("victim", "safe");
	assert_file("trap", "new");
}

/* After a write that failed the old is whole, and nothing else is there. */
static void check_write_fails(const char *folder, const char *text, int sys_errno)
{
	_cleanup_free_ char *old = NULL;
	struct err_ctx e = { 0 };

	CHECK(chdir(folder) == 0);
	CHECK(file_write("file", text, 0600, &e) == ERR_IO);
	CHECK(e.sys_errno == sys_errno);
	CHECK(file_read("file", 100, &old, NULL) == ERR_OK && strcmp(old, "old") == 0);
	CHECK(system("test \"$(ls -A)\" = file") == 0);
}

static char *large_text(void)
{
	char *text = calloc(1, (256 << 10) + 1);

	CHECK(text);
	return memset(text, 'x', 256 << 10);
}

static void check_write_limited(void)
{
	struct rlimit limit = { 64 << 10, 64 << 10 };
	_cleanup_free_ char *text = large_text();

	CHECK(mkdir("limited", 0700) == 0 && file_write("limited/file", "old", 0600, NULL) == ERR_OK);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	check_write_fails("limited", text, EFBIG);
}

/* A file system of our own, gone with the process. */
static void mount_tmpfs(const char *folder, const char *options)
{
	CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mkdir(folder, 0700) == 0 && mount("tmpfs", folder, "tmpfs", 0, options) == 0);
}

static void check_write_full(void)
{
	_cleanup_free_ char *text = large_text();

	mount_tmpfs("full", "size=64k");
	CHECK(file_write("full/file", "old", 0600, NULL) == ERR_OK);
	check_write_fails("full", text, ENOSPC);
}

static void check_write_readonly(void)
{
	mount_tmpfs("readonly", NULL);
	CHECK(file_write("readonly/file", "old", 0600, NULL) == ERR_OK);
	CHECK(mount(NULL, "readonly", NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
	check_write_fails("readonly", "new", EROFS);
	CHECK(file_remove("file", NULL) == ERR_IO);
}

static void test_file_write_fails(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	assert_io(file_write("no-such-folder/file", "text", 0600, &e), &e, ENOENT);
	assert_int_equal(mkdir("taken", 0700), 0);
	assert_io(file_write("taken", "text", 0600, &e), &e, EISDIR);
	assert_int_equal(system("! ls -A | grep -q '^[.]zseal-'"), 0);
	in_child(check_write_limited);
	if (geteuid() != 0)
		return; /* mounting needs root */
	in_child(check_write_full);
	in_child(check_write_readonly);
}

static void test_file_remove(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	make_file("here", "text", 4);
	assert_int_equal(file_remove("here", NULL), ERR_OK);
	assert_int_equal(access("here", F_OK), -1);
	assert_int_equal(file_remove("here", NULL), ERR_OK);
	assert_int_equal(file_remove("no-such-folder/file", NULL), ERR_OK);
	assert_io(file_remove(".", &e), &e, EISDIR);
}

static void assert_folder(const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | mode);
}

static void test_file_make_folder(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	umask(077);
	assert_int_equal(file_make_folder("one/two", 0755, NULL), ERR_OK);
	umask(022);
	assert_folder("one", 0755);
	assert_folder("one/two", 0755);
	assert_int_equal(file_make_folder("one/two/three", 0700, NULL), ERR_OK);
	assert_folder("one/two", 0755);
	assert_folder("one/two/three", 0700);
	assert_int_equal(file_make_folder("one/two/three", 0700, NULL), ERR_OK);
	make_file("one/file", "", 0);
	assert_io(file_make_folder("one/file", 0700, &e), &e, ENOTDIR);
	assert_io(file_make_folder("one/file/below", 0700, &e), &e, ENOTDIR);
}

static void hold_lock_for_a_while(void)
{
	_cleanup_fd_ int fd = -1;

	CHECK(file_lock("lock", deadline_in(0), &fd, NULL) == ERR_OK);
	CHECK(mkdir("locked", 0700) == 0);
	sleep_ms(500);
}

static void check_lock_interrupted(void)
{
	int fd;

	CHECK(process_catch_signals(NULL) == ERR_OK);
	signal_later(getpid(), SIGTERM, 50);
	CHECK(file_lock("lock", deadline_in(50000), &fd, NULL) == ERR_INTERRUPTED);
}

static void test_file_lock(void **state)
{
	int fd = -1, other = -1;
	pid_t pid = fork_child(hold_lock_for_a_while);

	(void)state;
	assert_true(appears("locked"));
	assert_int_equal(file_lock("lock", deadline_in(20), &fd, NULL), ERR_LOCKED);
	assert_int_equal(file_lock("lock", deadline_in(30000), &fd, NULL), ERR_OK);
	assert_int_equal(end_of(pid), 0);
	assert_int_equal(file_lock("lock", deadline_in(20), &other, NULL), ERR_LOCKED);
	in_child(check_lock_interrupted);
	close(fd);
	/* The process that sent the signal may have a copy of it for a moment more. */
	assert_int_equal(file_lock("lock", deadline_in(30000), &fd, NULL), ERR_OK);
	close(fd);
}

/* -- descriptors --------------------------------------------------------------------------------------------------- */

#define X64   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256  X64 X64 X64 X64
#define X1024 X256 X256 X256 X256

static const struct {
	const char *written;
	enum err result;
	const char *read;
} descriptor_cases[] = {
	{ "1234\n", ERR_OK, "1234" },    { "1234", ERR_OK, "1234" },
	{ "one\ntwo\n", ERR_OK, "one" }, { " blanks stay\r\n", ERR_OK, " blanks stay\r" },
	{ "", ERR_NO_INPUT, NULL },      { "\n", ERR_NO_INPUT, NULL },
	{ X1024 "\n", ERR_OK, X1024 },   { X1024 "x\n", ERR_IO, NULL },
};

static bool secret_is(const struct secret *s, const char *text)
{
	return secret_size(s) == strlen(text) && memcmp(secret_data(s), text, strlen(text)) == 0;
}

static void test_descriptor_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(descriptor_cases); i++) {
		_cleanup_secret_ struct secret *s = NULL;
		size_t size = strlen(descriptor_cases[i].written);
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		assert_int_equal(write(ends[1], descriptor_cases[i].written, size), size);
		close(ends[1]);
		assert_int_equal(descriptor_read(ends[0], &s, NULL), descriptor_cases[i].result);
		if (descriptor_cases[i].read)
			assert_true(secret_is(s, descriptor_cases[i].read));
		close(ends[0]);
	}
}

static void test_descriptor_read_lines(void **state)
{
	_cleanup_secret_ struct secret *one = NULL, *two = NULL;
	struct secret *more;
	struct err_ctx e = { 0 };

	(void)state;
	make_file("lines", "one\ntwo", 7);
	_cleanup_fd_ int fd = open("lines", O_RDONLY);
	assert_int_equal(descriptor_read(fd, &one, NULL), ERR_OK);
	assert_int_equal(descriptor_read(fd, &two, NULL), ERR_OK);
	assert_true(secret_is(one, "one") && secret_is(two, "two"));
	assert_int_equal(descriptor_read(fd, &more, NULL), ERR_NO_INPUT);
	assert_io(descriptor_read(1000, &more, &e), &e, EBADF);
}

static void check_write_interrupted(void)
{
	_cleanup_secret_ struct secret *s = secret_of(X1024);
	enum err r = ERR_OK;
	int ends[2];

	CHECK(process_catch_signals(NULL) == ERR_OK && pipe(ends) == 0);
	signal_later(getpid(), SIGTERM, 50);
	while (!r)
		r = descriptor_write(ends[1], s, NULL);
	CHECK(r == ERR_INTERRUPTED);
}

static void test_descriptor_write(void **state)
{
	_cleanup_secret_ struct secret *s = secret_of("shown once");
	char text[32] = "";
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(descriptor_write(ends[1], s, NULL), ERR_OK);
	assert_int_equal(read(ends[0], text, sizeof(text)), 11);
	assert_string_equal(text, "shown once\n");
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(descriptor_write(ends[1], s, NULL), ERR_OUTPUT);
	signal(SIGPIPE, SIG_DFL);
	close(ends[1]);
	in_child(check_write_interrupted);
}

/* -- a terminal, with the test as the person in front of it -------------------------------------------------------- */

#define PROMPT "PIN: "

static const struct ask_case {
	bool echo;
	const char *typed;
	int signal; /* sent when that was typed */
	enum err result;
	const char *read;
	const char *shown; /* on the terminal, after the prompt */
} ask_cases[] = {
	{ false, "1234\n", 0, ERR_OK, "1234", "\r\n" },
	{ true, "1234\n", 0, ERR_OK, "1234", "1234\r\n" },
	{ false,
	  "12\x7f"
	  "3\n",
	  0, ERR_OK, "13", "\r\n" },
	{ false, "12\x04\x04", 0, ERR_OK, "12", "" },
	{ false, "\n", 0, ERR_NO_INPUT, NULL, "\r\n" },
	{ false, "\x04", 0, ERR_NO_INPUT, NULL, "" },
	{ false, "12\x03", 0, ERR_INTERRUPTED, NULL, "" },
	{ false, "12\x1c", 0, ERR_INTERRUPTED, NULL, "" },
	{ false, "12", SIGTERM, ERR_INTERRUPTED, NULL, "" },
	{ false, "12", SIGHUP, ERR_INTERRUPTED, NULL, "" },
	{ false, X1024 "\n", 0, ERR_OK, X1024, "\r\n" },
	{ false, X1024 "x\n", 0, ERR_IO, NULL, "\r\n" },
};

static bool echoes(int fd)
{
	struct termios modes;

	return tcgetattr(fd, &modes) == 0 && modes.c_lflag & ECHO;
}

/* In the child: asks, and ends with 0 if all is as the case says. */
static _Noreturn void ask_and_exit(const struct ask_case *c)
{
	_cleanup_secret_ struct secret *s = NULL;
	struct termios modes;
	int left = -1;

	alarm(PATIENCE_S);
	CHECK(process_catch_signals(NULL) == ERR_OK);
	CHECK(terminal_available());
	CHECK(terminal_ask(PROMPT, c->echo, &s, NULL) == c->result);
	CHECK(!c->read || secret_is(s, c->read));
	CHECK(echoes(STDIN_FILENO));
	/* Without line editing, what was typed but not read would be seen; there must be nothing for the shell. */
	CHECK(tcgetattr(STDIN_FILENO, &modes) == 0);
	modes.c_lflag &= ~(tcflag_t)ICANON;
	CHECK(tcsetattr(STDIN_FILENO, TCSANOW, &modes) == 0);
	CHECK(ioctl(STDIN_FILENO, FIONREAD, &left) == 0 && left == 0);
	_exit(0);
}

/* Reads what the terminal shows until text is in it, or all if text is NULL. */
static void watch(int terminal, const char *text, char *screen, size_t size)
{
	size_t n = strlen(screen);

	while (n < size - 1 && !(text && strstr(screen, text))) {
		ssize_t got = read(terminal, screen + n, size - 1 - n);

		if (got <= 0)
			return;
		n += (size_t)got;
		screen[n] = '\0';
	}
}

static void sit_in_front_of(const struct ask_case *c)
{
	char screen[8192] = "";
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	if (pid == 0)
		ask_and_exit(c);
	watch(terminal, PROMPT, screen, sizeof(screen));
	assert_int_equal(echoes(terminal), c->echo);
	assert_int_equal(write(terminal, c->typed, strlen(c->typed)), strlen(c->typed));
	if (c->signal)
		kill(pid, c->signal);
	watch(terminal, NULL, screen, sizeof(screen));
	if (end_of(pid) != 0)
		fail_msg("case %zd: %s", c - ask_cases, screen);
	assert_string_equal(screen + strlen(PROMPT), c->shown);
	close(terminal);
}

static void test_terminal_ask(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ask_cases); i++)
		sit_in_front_of(&ask_cases[i]);
}

/* A shell with one job: where the job stops, the terminal echoes again; then it goes on and gives the answer. */
static _Noreturn void be_shell_of_a_job(void)
{
	static const struct ask_case c = { .result = ERR_OK, .read = "12" };
	pid_t job = fork();
	int status;

	signal(SIGTTOU, SIG_IGN);
	setpgid(job, job);
	tcsetpgrp(STDIN_FILENO, job ? job : getpid());
	signal(SIGTTOU, job ? SIG_IGN : SIG_DFL);
	if (job == 0)
		ask_and_exit(&c);
	alarm(PATIENCE_S);
	CHECK(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
	CHECK(echoes(STDIN_FILENO));
	kill(job, SIGCONT);
	CHECK(waitpid(job, &status, 0) == job && status == 0);
	_exit(0);
}

static void test_terminal_stop(void **state)
{
	char screen[1024] = "";
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	(void)state;
	if (pid == 0)
		be_shell_of_a_job();
	watch(terminal, PROMPT, screen, sizeof(screen));
	assert_int_equal(write(terminal, "\x1a", 1), 1);
	sleep_ms(100);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(write(terminal, "12\n", 3), 3);
	watch(terminal, NULL, screen, sizeof(screen));
	if (end_of(pid) != 0)
		fail_msg("%s", screen);
	close(terminal);
}

static void check_no_terminal(void)
{
	struct secret *s = NULL;

	CHECK(setsid() > 0);
	CHECK(!terminal_available());
	CHECK(terminal_ask(PROMPT, false, &s, NULL) == ERR_NO_INPUT);
	CHECK(terminal_show((const uint8_t *)"key", 3, NULL) == ERR_NO_INPUT);
}

static void test_terminal_show(void **state)
{
	char screen[64] = "";
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	(void)state;
	if (pid == 0)
		_exit((int)terminal_show((const uint8_t *)"key", 3, NULL));
	watch(terminal, NULL, screen, sizeof(screen));
	assert_int_equal(end_of(pid), 0);
	assert_string_equal(screen, "key");
	close(terminal);
	in_child(check_no_terminal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_harden),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_run_program_missing),
		cmocka_unit_test(test_run_not_executed),
		cmocka_unit_test(test_run_large_output),
		cmocka_unit_test(test_run_output_max),
		cmocka_unit_test(test_run_deadline),
		cmocka_unit_test(test_run_daemon),
		cmocka_unit_test(test_run_signals),
		cmocka_unit_test(test_run_session),
		cmocka_unit_test(test_run_killed),
		cmocka_unit_test(test_file_read),
		cmocka_unit_test(test_file_read_trusted),
		cmocka_unit_test(test_file_write),
		cmocka_unit_test(test_file_write_fails),
		cmocka_unit_test(test_file_remove),
		cmocka_unit_test(test_file_make_folder),
		cmocka_unit_test(test_file_lock),
		cmocka_unit_test(test_descriptor_read),
		cmocka_unit_test(test_descriptor_read_lines),
		cmocka_unit_test(test_descriptor_write),
		cmocka_unit_test(test_terminal_ask),
		cmocka_unit_test(test_terminal_stop),
		cmocka_unit_test(test_terminal_show),
	};
	char folder[] = "/tmp/zseal-test-sys.XXXXXX", command[64];

	reset_signals();
	umask(022);
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return chdir("/") == 0 && system(command) == 0 ? failed : 1;
}
