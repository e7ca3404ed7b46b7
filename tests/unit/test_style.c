/* SPDX-License-Identifier: MIT */
/*
 * What say() makes of a text for a terminal, and what a program behind a pipe gets. Each case runs in a process of its
 * own, whose standard output and error are the terminal.
 */
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "cli/style.h"
#include "sys.h"

enum { SCREEN_SIZE = 1 << 20 };

struct terminal {
	unsigned short columns;
	const char *term, *no_colour, *columns_wanted, *locale;
};

static const struct terminal usual = { 80, "xterm", NULL, NULL, "C.UTF-8" };

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void become(const struct terminal *t)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	set("TERM", t->term);
	set("NO_COLOR", t->no_colour);
	set("COLUMNS", t->columns_wanted);
	set("LC_ALL", t->locale);
}

/* All that comes until the other side is closed, which a terminal reports as an error; without the \r of line ends. */
static void read_all(int fd, char ret[static SCREEN_SIZE])
{
	size_t size = 0, kept = 0;
	ssize_t n;

	while ((n = read(fd, ret + size, SCREEN_SIZE - 1 - size)) > 0)
		size += (size_t)n;
	for (size_t i = 0; i < size; i++)
		if (ret[i] != '\r' || ret[i + 1] != '\n')
			ret[kept++] = ret[i];
	ret[kept] = '\0';
}

static const char *shown_by(const struct terminal *t, void (*speak)(void))
{
	static char screen[SCREEN_SIZE];
	struct winsize size = { .ws_row = 24, .ws_col = t->columns };
	int fd;
	pid_t pid = forkpty(&fd, NULL, NULL, &size);

	assert_true(pid >= 0);
	if (pid == 0) {
		become(t);
		speak();
		fflush(stdout);
		_exit(0);
	}
	read_all(fd, screen);
	close(fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return screen;
}

static const char *piped(const struct terminal *t, void (*speak)(void))
{
	static char text[SCREEN_SIZE];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[1]);
		become(t);
		speak();
		fflush(stdout);
		_exit(0);
	}
	close(ends[1]);
	read_all(ends[0], text);
	close(ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return text;
}

/* -- colours ------------------------------------------------------------------------------------------------------- */

static void speak_of_colours(void)
{
	say(stdout, HEADING "pool" PLAIN ": " BAD "LOCKED" PLAIN ", " GOOD "ready" PLAIN "\n");
	say(stderr, CAUTION "WARNING" PLAIN "\n");
}

static void test_colours(void **state)
{
	static const char coloured[] = "\033[1mpool\033[0m: \033[1;31mLOCKED\033[0m, \033[32mready\033[0m\n"
				       "\033[33mWARNING\033[0m\n";
	static const char plain[] = "pool: LOCKED, ready\nWARNING\n";
	static const struct {
		const char *term, *no_colour, *shown;
	} cases[] = {
		{ "xterm", NULL, coloured }, { "xterm", "", coloured }, { "xterm", "1", plain }, { "xterm", "0", plain },
		{ "dumb", NULL, plain },     { "", NULL, plain },       { NULL, NULL, plain },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct terminal t = usual;

		t.term = cases[i].term;
		t.no_colour = cases[i].no_colour;
		assert_string_equal(shown_by(&t, speak_of_colours), cases[i].shown);
		assert_string_equal(piped(&t, speak_of_colours), plain);
	}
}

/* -- width --------------------------------------------------------------------------------------------------------- */

static void speak_at_length(void)
{
	say(stdout, "  next: if you changed firmware or boot settings, open it");
	say(stdout, " with the recovery key: zseal unlock --recovery tank; or wait\n");
	say(stdout, "short\n");
}

#define IN_ONE "  next: if you changed firmware or boot settings, open it with the recovery key: " \
	       "zseal unlock --recovery tank; or wait\nshort\n"
#define IN_60  "  next: if you changed firmware or boot settings, open it\n    with the recovery key:" \
	       " zseal unlock --recovery tank; or\n    wait\nshort\n"
#define IN_52  "  next: if you changed firmware or boot settings,\n    open it with the recovery key:\n" \
	       "    zseal unlock --recovery tank; or wait\nshort\n"
#define IN_40  "  next: if you changed firmware or boot\n    settings, open it with the recovery\n    key:" \
	       " zseal unlock --recovery tank;\n    or wait\nshort\n"

static void test_width(void **state)
{
	static const struct {
		unsigned short columns;
		const char *wanted, *shown;
	} cases[] = {
		{ 60, NULL, IN_60 }, { 52, NULL, IN_52 }, { 120, NULL, IN_ONE }, { 120, "60", IN_60 }, { 60, "200", IN_ONE },
		{ 40, NULL, IN_40 }, { 12, NULL, IN_40 },   { 60, "0", IN_60 },   { 60, "x", IN_60 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct terminal t = usual;

		t.columns = cases[i].columns;
		t.columns_wanted = cases[i].wanted;
		assert_string_equal(shown_by(&t, speak_at_length), cases[i].shown);
		assert_string_equal(piped(&t, speak_at_length), IN_ONE);
	}
}

static void speak_of_tables(void)
{
	static const char *const names[] = { "tank", "tank/a/name/that/is/longer/than/usual" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		say_name(stdout, 2, names[i], style_column(stdout, strlen(names[1]), 8, 20));
		say(stdout, " LOCKED  aes\n");
	}
}

static void test_columns(void **state)
{
	struct terminal t = usual;

	(void)state;
	assert_string_equal(shown_by(&t, speak_of_tables),
			    "  tank                                  LOCKED  aes\n"
			    "  tank/a/name/that/is/longer/than/usual LOCKED  aes\n");
	assert_string_equal(piped(&t, speak_of_tables),
			    "  tank                                  LOCKED  aes\n"
			    "  tank/a/name/that/is/longer/than/usual LOCKED  aes\n");
	t.columns = 40;
	assert_string_equal(shown_by(&t, speak_of_tables),
			    "  tank                 LOCKED  aes\n"
			    "  tank/a/name/that/is/longer/than/usual\n"
			    "                       LOCKED  aes\n");
}

/* -- characters ---------------------------------------------------------------------------------------------------- */

static void speak_of_dots(void)
{
	say(stdout, "VDEV… and more\n");
}

static void test_ellipsis(void **state)
{
	static const struct {
		const char *locale, *shown;
	} cases[] = {
		{ "C.UTF-8", "VDEV… and more\n" }, { "C", "VDEV... and more\n" }, { "POSIX", "VDEV... and more\n" },
		{ "no_SUCH", "VDEV... and more\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct terminal t = usual;

		t.locale = cases[i].locale;
		assert_string_equal(shown_by(&t, speak_of_dots), cases[i].shown);
		assert_string_equal(piped(&t, speak_of_dots), "VDEV… and more\n");
	}
}

/* -- progress ------------------------------------------------------------------------------------------------------ */

static void work_a_little(void)
{
	style_progress("proving", 0, 0);
	say(stdout, "done\n");
	style_progress("proving it once more, at a length that would not fit into a line of so few columns", 0, 0);
	style_progress_clear();
	style_progress_clear();
}

static void test_progress(void **state)
{
	struct terminal t = usual;

	(void)state;
	t.columns = 40;
	assert_string_equal(shown_by(&t, work_a_little), "\r\033[Kproving …\r\033[Kdone\n"
			    "\r\033[Kproving it once more, at a length t …\r\033[K");
	t.locale = "C";
	assert_string_equal(shown_by(&t, work_a_little), "\r\033[Kproving ...\r\033[Kdone\n"
			    "\r\033[Kproving it once more, at a length t ...\r\033[K");
	assert_string_equal(piped(&t, work_a_little), "done\n");
	t.term = "dumb";
	assert_string_equal(shown_by(&t, work_a_little), "done\n");
}

/* A million steps, which no machine does within a hundredth of a second, nor in a day. */
static void work_a_lot(void)
{
	for (size_t i = 0; i < 1000000; i++)
		style_progress("unlocking", i, 1000000);
	say(stdout, "done\n");
}

static void test_progress_is_not_told_at_every_step(void **state)
{
	const char *screen = shown_by(&usual, work_a_lot);
	size_t n = 0;

	(void)state;
	assert_int_equal(strncmp(screen, "\r\033[Kunlocking 0 of 1000000 …\r\033[K", 34), 0);
	for (const char *p = screen; (p = strstr(p, "unlocking")); p++)
		n++;
	assert_in_range(n, 1, 100000);
	assert_non_null(strstr(screen, "\r\033[Kdone\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_ellipsis),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_progress_is_not_told_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
