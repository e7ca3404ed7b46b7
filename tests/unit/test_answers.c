/* SPDX-License-Identifier: MIT */
/*
 * Answers of a person: what can be one, from where it is taken, and the dialogue at a terminal with the test as the
 * person in front of it.
 */
#include <pty.h>

#include "sys.h"
#include "cli/answers.h"
#include "sys/process.h"

#define X512 X256 X256
#define KEY  "treljv-tlddvi-fjchnk-frdlgt-renftc-kuurci-lltkfu-lkuffr"
#define KEY_BYTES "\xdc\x3a\x8d\xa2\x2f\x48\x06\xb4\xc2\xa5\xc3\xb4\xd9\xee\xc0\xaa\xd9\x4a\x9e\x44"

static const struct option_spec options[] = { OPTIONS_ANSWERS, OPTIONS_NEW_PIN, OPTIONS_NEW_PASSPHRASE, { 0 } };
static const struct verb verb = { .name = "test", .arguments = "", .options = options };

/* A command line of up to six words. */
static void parse(const char *const *words, struct invocation *ret)
{
	char *argv[8] = { (char *)"test" };
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	assert_int_equal(invocation_parse(&verb, argc, argv, ret, NULL), ERR_OK);
}

static void clear(struct secret **answers)
{
	for (int i = 0; i < ANSWER_MAX; i++)
		secret_free(TAKE(answers[i]));
}

static bool is_bytes(const struct secret *s, const void *bytes, size_t size)
{
	return s && secret_size(s) == size && memcmp(secret_data(s), bytes, size) == 0;
}

static int pipe_with(const void *bytes, size_t size)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], bytes, size), size);
	close(ends[1]);
	return ends[0];
}

/* -- what can be one ----------------------------------------------------------------------------------------------- */

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
	enum answer kind;
	const char *given;
	size_t size;
	enum err result;
} rules[] = {
	{ ANSWER_PIN, TEXT("1234"), ERR_OK },
	{ ANSWER_PIN, TEXT("123"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT(" 12 "), ERR_OK },
	{ ANSWER_PIN, TEXT(X64), ERR_OK },
	{ ANSWER_PIN, TEXT(X64 "x"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("12\t4"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("12\0004"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("1234\r"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("12\033[D34"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("123\x7f"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("12\xc2\x85"), ERR_ANSWER_RULES },         /* U+0085, a control character too */
	{ ANSWER_PIN, TEXT("12\xc2\xa0"), ERR_OK },                   /* the first that is none */
	{ ANSWER_PIN, TEXT("\xc3\xa9\xc3\xa9"), ERR_OK },
	{ ANSWER_PIN, TEXT("\xe2\x82\xac\xdf\xbf"), ERR_OK },
	{ ANSWER_PIN, TEXT("\xf0\x9f\x98\x80"), ERR_OK },
	{ ANSWER_PIN, TEXT("\xf4\x8f\xbf\xbf"), ERR_OK },             /* U+10FFFF, the last one */
	{ ANSWER_PIN, TEXT("\xf4\x90\x80\x80"), ERR_ANSWER_RULES },   /* beyond */
	{ ANSWER_PIN, TEXT("\xf5\x80\x80\x80"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("\xed\x9f\xbf" "1"), ERR_OK },
	{ ANSWER_PIN, TEXT("\xed\xa0\x80" "1"), ERR_ANSWER_RULES },   /* a surrogate */
	{ ANSWER_PIN, TEXT("\xe0\x9f\xbf" "1"), ERR_ANSWER_RULES },   /* two bytes would do */
	{ ANSWER_PIN, TEXT("\xf0\x8f\xbf\xbf"), ERR_ANSWER_RULES },   /* three would */
	{ ANSWER_PIN, TEXT("\xc1\xbf" "12"), ERR_ANSWER_RULES },      /* one would */
	{ ANSWER_PIN, TEXT("\x80" "123"), ERR_ANSWER_RULES },         /* not the first of anything */
	{ ANSWER_PIN, TEXT("123\xc3"), ERR_ANSWER_RULES },            /* cut off */
	{ ANSWER_PIN, TEXT("12\xe2\x82"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("1\xe2\x82" "A"), ERR_ANSWER_RULES },
	{ ANSWER_PIN, TEXT("caf\xe9"), ERR_ANSWER_RULES },            /* Latin-1 */
	{ ANSWER_PASSPHRASE, TEXT("1234567"), ERR_ANSWER_RULES },
	{ ANSWER_PASSPHRASE, TEXT("correct horse"), ERR_OK },
	{ ANSWER_PASSPHRASE, TEXT("12345678"), ERR_OK },
	{ ANSWER_PASSPHRASE, TEXT(X512), ERR_OK },
	{ ANSWER_PASSPHRASE, TEXT(X512 "x"), ERR_ANSWER_RULES },
	{ ANSWER_PASSPHRASE, TEXT(""), ERR_NO_INPUT },
	{ ANSWER_PASSPHRASE, TEXT(X1024 "x"), ERR_IO },
};

/* Nothing of four bytes or more that was given is in what is said of it. */
static void assert_not_told(const struct err_ctx *e, const char *given, size_t size)
{
	for (unsigned i = 0; i < e->depth && i < ERR_CHAIN_MAX; i++)
		for (size_t at = 0; at + 4 <= size; at++)
			assert_null(memmem(e->chain[i], strlen(e->chain[i]), given + at, 4));
}

static void try_rule(size_t i, bool is_new)
{
	const char *names[] = { [ANSWER_PASSPHRASE] = "passphrase-fd", [ANSWER_PIN] = "pin-fd" };
	_cleanup_fd_ int fd = pipe_with(rules[i].given, rules[i].size);
	struct secret *answers[ANSWER_MAX] = { 0 };
	struct err_ctx e = { 0 };
	struct invocation inv;
	char option[32], number[16];

	snprintf(option, sizeof(option), "--%s%s", is_new ? "new-" : "", names[rules[i].kind]);
	snprintf(number, sizeof(number), "%d", fd);
	parse((const char *[]){ option, number, NULL }, &inv);
	assert_int_equal(answer_new_is_given(&inv, rules[i].kind), is_new);
	enum err err = is_new ? answer_ask_new(&inv, rules[i].kind, &answers[rules[i].kind], &e)
			      : answers_ask(&inv, answers, &e);
	if (err != rules[i].result)
		fail_msg("rule %zu: %s", i, err_info(err)->name);
	assert_int_equal(err ? answers[rules[i].kind] == NULL
			     : is_bytes(answers[rules[i].kind], rules[i].given, rules[i].size), 1);
	assert_not_told(&e, rules[i].given, rules[i].size);
	clear(answers);
}

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		try_rule(i, false);
		try_rule(i, true);
	}
}

/* -- from where ---------------------------------------------------------------------------------------------------- */

static void test_several_from_one_descriptor(void **state)
{
	static const char lines[] = KEY "\ncorrect horse\n1234\nrest";
	struct secret *answers[ANSWER_MAX] = { 0 };
	struct invocation inv;
	char number[16], rest[8] = "";

	(void)state;
	_cleanup_fd_ int fd = pipe_with(lines, strlen(lines));
	snprintf(number, sizeof(number), "%d", fd);
	parse((const char *[]){ "--pin-fd", number, "--passphrase-fd", number, "--recovery-fd", number, NULL }, &inv);
	assert_int_equal(answers_ask(&inv, answers, NULL), ERR_OK);
	assert_true(is_bytes(answers[ANSWER_RECOVERY_KEY], TEXT(KEY_BYTES)));
	assert_true(is_bytes(answers[ANSWER_PASSPHRASE], TEXT("correct horse")));
	assert_true(is_bytes(answers[ANSWER_PIN], TEXT("1234")));
	assert_null(answers[ANSWER_NONE]);
	assert_int_equal(read(fd, rest, sizeof(rest)), 4);
	clear(answers);
}

static void test_none(void **state)
{
	struct secret *answers[ANSWER_MAX] = { 0 };
	struct invocation inv;

	(void)state;
	parse((const char *[]){ NULL }, &inv);
	assert_int_equal(answers_ask(&inv, answers, NULL), ERR_OK);
	for (int i = 0; i < ANSWER_MAX; i++)
		assert_null(answers[i]);
	assert_false(answer_new_is_given(&inv, ANSWER_PIN) || answer_new_is_given(&inv, ANSWER_PASSPHRASE));
}

static void test_credentials(void **state)
{
	struct secret *answers[ANSWER_MAX] = { 0 };
	struct err_ctx e = { 0 };
	struct invocation inv;
	char *here = realpath(".", NULL);

	(void)state;
	make_file("key", KEY "\n", strlen(KEY) + 1);
	make_file("pin", "1234\n", 5);
	make_file("two", "1234\n5678\n", 10);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", here, 1), 0);
	free(here);
	parse((const char *[]){ "--recovery-credential", "key", "--pin-credential", "pin", NULL }, &inv);
	assert_int_equal(answers_ask(&inv, answers, NULL), ERR_OK);
	assert_true(is_bytes(answers[ANSWER_RECOVERY_KEY], TEXT(KEY_BYTES)) &&
		    is_bytes(answers[ANSWER_PIN], TEXT("1234")));
	clear(answers);
	parse((const char *[]){ "--pin-credential", "two", NULL }, &inv);
	assert_int_equal(answers_ask(&inv, answers, &e), ERR_ANSWER_RULES);
	assert_string_equal(e.chain[1], "--pin-credential");
	parse((const char *[]){ "--new-pin-credential", "missing", NULL }, &inv);
	assert_int_equal(answer_ask_new(&inv, ANSWER_PIN, &answers[ANSWER_PIN], &e), ERR_CREDENTIAL);
	assert_int_equal(e.sys_errno, ENOENT);
	clear(answers);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* Nothing is read from any before each of them was looked at. */
static void test_wrong_sources(void **state)
{
	static const char *const wrong[][5] = {
		{ "--pin", "--pin-fd", "0" },
		{ "--pin", "--pin-credential", "pin" },
		{ "--passphrase-fd", "0", "--passphrase-credential", "x" },
		{ "--pin-fd", "1000" },
		{ "--recovery-fd", "-1" },
		{ "--recovery-fd", "" },
		{ "--recovery-fd", "three" },
	};
	struct secret *answers[ANSWER_MAX] = { 0 };
	_cleanup_fd_ int fd = pipe_with(KEY "\n", strlen(KEY) + 1);
	struct invocation inv;
	char number[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		parse(wrong[i], &inv);
		assert_int_equal(answers_ask(&inv, answers, NULL), ERR_USAGE);
	}
	snprintf(number, sizeof(number), "%d", fd);
	parse((const char *[]){ "--recovery-fd", number, "--pin-fd", "1000", NULL }, &inv);
	assert_int_equal(answers_ask(&inv, answers, NULL), ERR_USAGE);
	assert_null(answers[ANSWER_RECOVERY_KEY]);
	parse((const char *[]){ "--recovery-fd", number, NULL }, &inv);
	assert_int_equal(answers_ask(&inv, answers, NULL), ERR_OK);
	clear(answers);
}

/* -- at a terminal ------------------------------------------------------------------------------------------------- */

static const struct dialogue {
	const char *option; /* NULL: none */
	enum answer new;    /* or ANSWER_NONE, for what is there already */
	struct {
		const char *shown, *typed;
	} steps[7];
	enum err result;
	const char *pin; /* or passphrase */
	const char *last; /* shown at the end */
} dialogues[] = {
	{ "--pin", ANSWER_NONE, { { "PIN: ", "1234\n" } }, ERR_OK, "1234", "" },
	{ "--passphrase", ANSWER_NONE, { { "Passphrase: ", "correct horse\n" } }, ERR_OK, "correct horse", "" },
	{ "--pin", ANSWER_NONE,
	  { { "PIN: ", "12\n" }, { "a PIN has 4 to 64 bytes", "" }, { "PIN: ", "1234\n" } }, ERR_OK, "1234", "" },
	{ "--pin", ANSWER_NONE,
	  { { "PIN: ", "12\033[D34\n" }, { "without control characters", "" }, { "PIN: ", "1\n" }, { "PIN: ", "2\n" } },
	  ERR_ANSWER_RULES, NULL, "" },
	{ "--pin", ANSWER_NONE, { { "PIN: ", "\n" } }, ERR_NO_INPUT, NULL, "" },
	{ "--pin", ANSWER_NONE, { { "PIN: ", "12\x03" } }, ERR_INTERRUPTED, NULL, "" },
	{ "--new-pin", ANSWER_PIN, { { "New PIN: ", "123456\n" }, { "New PIN again: ", "123456\n" } }, ERR_OK, "123456",
	  "" },
	{ "--new-pin", ANSWER_PIN, { { "New PIN: ", "12345\n" }, { "New PIN again: ", "12345\n" } }, ERR_OK, "12345",
	  "So few digits are safe only as long as the TPM counts wrong ones." },
	{ "--new-pin", ANSWER_PIN, { { "New PIN: ", "1234x\n" }, { "New PIN again: ", "1234x\n" } }, ERR_OK, "1234x",
	  "" },
	{ NULL, ANSWER_PASSPHRASE,
	  { { "New passphrase: ", "12345678\n" }, { "New passphrase again: ", "12345678\n" } }, ERR_OK, "12345678", "" },
	{ NULL, ANSWER_PASSPHRASE,
	  { { "New passphrase: ", "12345678\n" }, { "New passphrase again: ", "12345679\n" },
	    { "it was not typed the same twice", "" },
	    { "New passphrase: ", "87654321\n" }, { "New passphrase again: ", "87654321\n" } }, ERR_OK, "87654321", "" },
	{ "--new-pin", ANSWER_PIN,
	  { { "New PIN: ", "\n" }, { "nobody is there to answer", "" }, { "New PIN: ", "12\n" },
	    { "a PIN has 4 to 64 bytes", "" }, { "New PIN: ", "123456\n" }, { "New PIN again: ", "12345\n" } },
	  ERR_ANSWER_DIFFERENT, NULL, "" },
	{ "--new-pin", ANSWER_PIN, { { "New PIN: ", "123456\n" }, { "New PIN again: ", "12\x03" } }, ERR_INTERRUPTED,
	  NULL, "" },
};

/* In the child, and what it says goes to the terminal. */
static _Noreturn void answer(const struct dialogue *d)
{
	struct secret *answers[ANSWER_MAX] = { 0 };
	struct invocation inv;
	struct err_ctx e = { 0 };

	alarm(PATIENCE_S);
	parse((const char *[]){ d->option, NULL }, &inv);
	CHECK(process_catch_signals(NULL) == ERR_OK);
	enum err err = d->new ? answer_ask_new(&inv, d->new, &answers[ANSWER_PIN], &e)
			      : answers_ask(&inv, answers, &e);
	const struct secret *got = answers[ANSWER_PIN] ? answers[ANSWER_PIN] : answers[ANSWER_PASSPHRASE];
	CHECK(err == d->result);
	CHECK(d->pin ? is_bytes(got, d->pin, strlen(d->pin)) : !got);
	_exit(0);
}

/* What the terminal shows until text, or until its end; then that is forgotten. False if text does not come. */
static bool shows(int terminal, const char *text)
{
	char screen[4096] = "";
	size_t n = 0;

	while (n < sizeof(screen) - 1 && !(text && strstr(screen, text))) {
		ssize_t got = read(terminal, screen + n, 1);

		if (got <= 0)
			break;
		n++;
	}
	if (text ? !strstr(screen, text) : strstr(screen, "123") || strstr(screen, "does not hold"))
		fail_msg("on the screen: %s", screen);
	return true;
}

static void converse(const struct dialogue *d)
{
	int terminal, status;
	setenv("COLUMNS", "1000", 1); /* where lines break is another test's */
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	if (pid == 0)
		answer(d);
	for (size_t i = 0; i < ARRAY_SIZE(d->steps) && d->steps[i].shown; i++) {
		size_t size = strlen(d->steps[i].typed);

		assert_true(shows(terminal, d->steps[i].shown));
		assert_int_equal(write(terminal, d->steps[i].typed, size), size);
	}
	if (*d->last)
		assert_true(shows(terminal, d->last));
	assert_true(shows(terminal, NULL));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("dialogue %zd ended with %d", d - dialogues, status);
	close(terminal);
}

static void test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dialogues); i++)
		converse(&dialogues[i]);
}

static void check_no_terminal(void)
{
	struct secret *answers[ANSWER_MAX] = { 0 };
	struct invocation inv;

	CHECK(setsid() > 0);
	parse((const char *[]){ "--pin", NULL }, &inv);
	CHECK(answers_ask(&inv, answers, NULL) == ERR_NO_INPUT);
	CHECK(answer_ask_new(&inv, ANSWER_PASSPHRASE, &answers[ANSWER_PASSPHRASE], NULL) == ERR_NO_INPUT);
	CHECK(!answers[ANSWER_PIN] && !answers[ANSWER_PASSPHRASE]);
}

static void test_no_terminal(void **state)
{
	(void)state;
	in_child(check_no_terminal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_several_from_one_descriptor),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_wrong_sources),
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_no_terminal),
	};

	return run_in_folder(tests, ARRAY_SIZE(tests));
}
