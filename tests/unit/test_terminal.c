/* SPDX-License-Identifier: MIT */
/*
 * Descriptors, and a terminal with the test as the person in front of it.
 */
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#include "sys.h"
#include "sys/descriptor.h"
#include "sys/process.h"
#include "sys/terminal.h"

/* -- descriptors --------------------------------------------------------------------------------------------------- */

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

static void check_ends(const int *ends, enum err source, enum err taker)
{
	assert_int_equal(descriptor_check_source(ends[0], NULL), source);
	assert_int_equal(descriptor_check_taker(ends[1], NULL), taker);
	if (ends[0] != ends[1])
		close(ends[0]);
	close(ends[1]);
}

static void check_file(const char *path, enum err taker)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	check_ends((int[]){ fd, fd }, ERR_OK, taker);
	unlink(path);
}

/* /dev/shm is in memory, as systemd and Debian mount it; /var/tmp outlives a boot, so it is on a disk. */
static void test_descriptor_check(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	check_ends(ends, ERR_OK, ERR_OK);
	assert_int_equal(pipe(ends), 0);
	check_ends((int[]){ ends[1], ends[0] }, ERR_USAGE, ERR_USAGE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	check_ends(ends, ERR_OK, ERR_OK);
	int memory = memfd_create("key", MFD_CLOEXEC);
	check_ends((int[]){ memory, memory }, ERR_OK, ERR_OK);
	int null = open("/dev/null", O_RDWR);
	check_ends((int[]){ null, null }, ERR_OK, ERR_OK);
	check_ends((int[]){ 1000, 1001 }, ERR_USAGE, ERR_USAGE);
	check_file("/dev/shm/zseal-test-key", ERR_OK);
	check_file("/var/tmp/zseal-test-key", ERR_USAGE);
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
	CHECK(terminal_size().columns == 0 && terminal_size().rows == 0);
	CHECK(!terminal_available());
	CHECK(terminal_ask(PROMPT, false, &s, NULL) == ERR_NO_INPUT);
	CHECK(terminal_show("key", 3, NULL) == ERR_NO_INPUT);
}

static void test_terminal_show(void **state)
{
	char screen[64] = "";
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, &(struct winsize){ .ws_col = 80, .ws_row = 25 });

	(void)state;
	if (pid == 0)
		_exit(terminal_size().columns != 80 || terminal_size().rows != 25 ||
		      terminal_show("key", 3, NULL) != ERR_OK);
	watch(terminal, NULL, screen, sizeof(screen));
	assert_int_equal(end_of(pid), 0);
	assert_string_equal(screen, "key");
	close(terminal);
	in_child(check_no_terminal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptor_read),
		cmocka_unit_test(test_descriptor_read_lines),
		cmocka_unit_test(test_descriptor_write),
		cmocka_unit_test(test_descriptor_check),
		cmocka_unit_test(test_terminal_ask),
		cmocka_unit_test(test_terminal_stop),
		cmocka_unit_test(test_terminal_show),
	};

	return run_in_folder(tests, ARRAY_SIZE(tests));
}
