/* SPDX-License-Identifier: MIT */
/*
 * Credentials of systemd: what is read, and each thing that is not.
 */
#include "sys.h"
#include "sys/credential.h"

static void use_folder(const char *folder)
{
	char *path = folder ? realpath(folder, NULL) : NULL;

	assert_int_equal(path ? setenv("CREDENTIALS_DIRECTORY", path, 1) : unsetenv("CREDENTIALS_DIRECTORY"), 0);
	free(path);
}

static void make_folder(void **state)
{
	(void)state;
	if (access("credentials", F_OK) < 0)
		assert_int_equal(mkdir("credentials", 0700), 0);
	use_folder("credentials");
}

static void assert_credential(const char *name, const char *text)
{
	_cleanup_secret_ struct secret *s = NULL;

	assert_int_equal(credential_read(name, &s, NULL), ERR_OK);
	assert_true(secret_is(s, text));
}

/* The place that is told first is what failed; words is a part of it. */
static void assert_refused(const char *name, enum err code, int sys_errno, const char *words)
{
	struct secret *untouched = NULL;
	struct err_ctx e = { 0 };

	assert_int_equal(credential_read(name, &untouched, &e), code);
	assert_null(untouched);
	assert_int_equal(e.sys_errno, sys_errno);
	if (!strstr(e.chain[0], words))
		fail_msg("%s: \"%s\" has nothing of \"%s\"", name, e.chain[0], words);
}

static void test_read(void **state)
{
	static const struct {
		const char *written, *read;
	} cases[] = {
		{ "1234", "1234" },         { "1234\n", "1234" },       { "1234\n\n", "1234\n" },
		{ " 12 34 \r\n", " 12 34 \r" }, { "one\ntwo\n", "one\ntwo" }, { X1024, X1024 }, { X1024 "\n", X1024 },
	};

	make_folder(state);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_file("credentials/zseal.pin_1", cases[i].written, strlen(cases[i].written));
		assert_credential("zseal.pin_1", cases[i].read);
	}
}

static void test_size(void **state)
{
	make_folder(state);
	make_file("credentials/long", X1024 "x", 1025);
	assert_refused("long", ERR_CREDENTIAL, 0, "more than 1024 bytes");
	make_file("credentials/longer", X1024 X1024, 2048);
	assert_refused("longer", ERR_CREDENTIAL, 0, "more than 1024 bytes");
	make_file("credentials/empty", "", 0);
	assert_refused("empty", ERR_CREDENTIAL, 0, "empty");
	make_file("credentials/line", "\n", 1);
	assert_refused("line", ERR_CREDENTIAL, 0, "empty");
}

static void test_name(void **state)
{
	static const char *const names[] = { "", ".", "..", ".hidden", "a/b", "/etc/passwd", "a b", "a:b", "a\nb", "\xc3\xa9",
					     X256 };

	make_folder(state);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_refused(names[i], ERR_USAGE, 0, "is no credential's name");
}

static void test_what_is_no_file(void **state)
{
	make_folder(state);
	make_file("elsewhere", "1234", 4);
	assert_int_equal(symlink("../elsewhere", "credentials/link"), 0);
	assert_int_equal(mkdir("credentials/folder", 0700), 0);
	assert_int_equal(mkfifo("credentials/fifo", 0600), 0);
	assert_refused("missing", ERR_CREDENTIAL, ENOENT, "opening it");
	assert_refused("link", ERR_CREDENTIAL, ELOOP, "opening it");
	assert_refused("folder", ERR_CREDENTIAL, 0, "no regular file");
	assert_refused("fifo", ERR_CREDENTIAL, 0, "no regular file");
}

static void test_folder(void **state)
{
	make_folder(state);
	make_file("credentials/pin", "1234", 4);
	use_folder(NULL);
	assert_refused("pin", ERR_CREDENTIAL, 0, "CREDENTIALS_DIRECTORY is not set");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "credentials", 1), 0);
	assert_refused("pin", ERR_CREDENTIAL, 0, "no absolute path");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
	assert_refused("pin", ERR_CREDENTIAL, 0, "no absolute path");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/nowhere", 1), 0);
	assert_refused("pin", ERR_CREDENTIAL, ENOENT, "opening the folder");
	use_folder("credentials/pin");
	assert_refused("pin", ERR_CREDENTIAL, ENOTDIR, "opening the folder");
	use_folder("credentials");
	assert_credential("pin", "1234");
}

/* The last one is what root's tests can make: somebody else's. */
static void test_others(void **state)
{
	make_folder(state);
	make_file("credentials/mine", "1234", 4);
	assert_credential("mine", "1234");
	assert_int_equal(chmod("credentials/mine", 0620), 0);
	assert_refused("mine", ERR_CREDENTIAL, 0, "mode 0620");
	assert_int_equal(chmod("credentials/mine", 0440), 0);
	assert_int_equal(chmod("credentials", 0702), 0);
	assert_refused("mine", ERR_CREDENTIAL, 0, "mode 0702");
	assert_int_equal(chmod("credentials", 0500), 0);
	assert_credential("mine", "1234");
	assert_int_equal(chmod("credentials", 0700), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown("credentials/mine", 1, 0), 0);
	assert_refused("mine", ERR_CREDENTIAL, 0, "user 1");
	assert_int_equal(chown("credentials/mine", 0, 0), 0);
	assert_int_equal(chown("credentials", 1, 0), 0);
	assert_refused("mine", ERR_CREDENTIAL, 0, "user 1");
	assert_int_equal(chown("credentials", 0, 0), 0);
	assert_credential("mine", "1234");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_what_is_no_file),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_others),
	};

	return run_in_folder(tests, ARRAY_SIZE(tests));
}
