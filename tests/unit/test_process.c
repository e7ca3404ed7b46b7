/* SPDX-License-Identifier: MIT */
/*
 * The process: deadlines, signals, a hardened start, children.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/sanitizer.h"
#include "sys.h"
#include "sys/file.h"
#include "sys/process.h"

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
	};

	return run_in_folder(tests, ARRAY_SIZE(tests));
}
