/* SPDX-License-Identifier: MIT */
/*
 * Files that are either the old or the new, and locks.
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "sys.h"
#include "sys/file.h"
#include "sys/process.h"

/* -- files --------------------------------------------------------------------------------------------------------- */

static void assert_file(const char *path, const char *text)
{
	_cleanup_free_ char *found = NULL;

	assert_int_equal(file_read(path, 1 << 20, &found, NULL), ERR_OK);
	assert_string_equal(found, text);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_read),
		cmocka_unit_test(test_file_read_trusted),
		cmocka_unit_test(test_file_write),
		cmocka_unit_test(test_file_write_fails),
		cmocka_unit_test(test_file_remove),
		cmocka_unit_test(test_file_make_folder),
		cmocka_unit_test(test_file_lock),
	};

	return run_in_folder(tests, ARRAY_SIZE(tests));
}
