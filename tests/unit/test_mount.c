/* SPDX-License-Identifier: MIT */
/* What may be mounted where: the rules, and what is on the way on a real file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mount.h"
#include "sys/path.h"

/* ---- paths ---- */

static void paths_are_spelled_in_one_way(void **state)
{
	static const struct {
		const char *path, *normal; /* NULL: refused */
	} cases[] = {
		{ "/", "/" },                     { "//", "/" },
		{ "/.", "/" },                    { "/srv", "/srv" },
		{ "/srv/", "/srv" },              { "//srv///a//", "/srv/a" },
		{ "/./srv/./a/.", "/srv/a" },     { "/srv/.a", "/srv/.a" },
		{ "/srv/...", "/srv/..." },       { "/srv/..a", "/srv/..a" },
		{ "/srv/a b", "/srv/a b" },       { "/srv/a\nb", "/srv/a\nb" },
		{ "/srv/\xc3\xa4", "/srv/\xc3\xa4" }, { "/ETC", "/ETC" },
		{ "/..", NULL },                  { "/srv/..", NULL },
		{ "/srv/../etc", NULL },          { "/srv/..//", NULL },
		{ "", NULL },                     { "srv", NULL },
		{ "./srv", NULL },                { "none", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char normal[PATH_MAX] = "untouched";
		bool good = path_normalise(cases[i].path, normal);

		assert_int_equal(good, cases[i].normal != NULL);
		assert_string_equal(normal, good ? cases[i].normal : "untouched");
	}
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
	char longest[PATH_MAX + 1], normal[PATH_MAX];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[PATH_MAX - 1] = '\0';
	assert_true(path_normalise(longest, normal));
	assert_string_equal(normal, longest);
	longest[PATH_MAX - 1] = 'a';
	longest[PATH_MAX] = '\0';
	assert_false(path_normalise(longest, normal));
}

static void below_means_by_whole_names(void **state)
{
	(void)state;
	assert_true(path_is_below("/etc", "/etc"));
	assert_true(path_is_below("/etc/x", "/etc"));
	assert_true(path_is_below("/etc", "/"));
	assert_true(path_is_below("/", "/"));
	assert_false(path_is_below("/etcetera", "/etc"));
	assert_false(path_is_below("/et", "/etc"));
	assert_false(path_is_below("/", "/etc"));
}

/* ---- judging ---- */

static struct file_system at(const char *mountpoint)
{
	return (struct file_system){
		.dataset = "tank/a", .encryption = "aes-256-gcm", .mountpoint = mountpoint, .canmount = "on",
	};
}

static void mount_points_are_judged(void **state)
{
	static const struct {
		const char *mountpoint;
		const char *why; /* NULL: it may be mounted there */
	} cases[] = {
		/* where people mount */
		{ "/tank", NULL },             { "/tank/vm", NULL },           { "/home", NULL },
		{ "/home/alice", NULL },       { "/srv", NULL },               { "/srv/etc", NULL },
		{ "/mnt/a", NULL },            { "/media/a", NULL },           { "/opt", NULL },
		{ "/opt/app", NULL },          { "/var/lib/vz", NULL },        { "/var/lib/mysql", NULL },
		{ "/var/log", NULL },          { "/var/www", NULL },           { "/rpool/data/subvol-100-disk-0", NULL },
		{ "/library", NULL },          { "/etcetera", NULL },          { "/roots", NULL },
		{ "/var/lib/zsealed", NULL },  { "/binaries", NULL },          { "/srv/a\nb", NULL },
		{ "/srv/\xc3\xa4\xe2\x82\xac", NULL }, { "/ETC", NULL },       { "/srv//a/", NULL },
		/* an altroot is part of what zfs get says */
		{ "/mnt/altroot/etc", NULL },
		/* the system's own */
		{ "/etc", "/etc is a system folder" },
		{ "/etc/", "/etc is a system folder" },
		{ "//etc", "/etc is a system folder" },
		{ "/./etc/.", "/etc is a system folder" },
		{ "/etc/cron.d", "/etc/cron.d lies in the system folder /etc" },
		{ "/etc/a\nb", "/etc/a\nb lies in the system folder /etc" },
		{ "/usr/local", "/usr/local lies in the system folder /usr" },
		{ "/root", "/root is a system folder" },
		{ "/root/.ssh", "/root/.ssh lies in the system folder /root" },
		{ "/boot", "/boot is a system folder" },
		{ "/dev/shm", "/dev/shm lies in the system folder /dev" },
		{ "/proc", "/proc is a system folder" },
		{ "/sys/fs", "/sys/fs lies in the system folder /sys" },
		{ "/run/systemd", "/run/systemd lies in the system folder /run" },
		{ "/bin", "/bin is a system folder" },
		{ "/sbin/x", "/sbin/x lies in the system folder /sbin" },
		{ "/lib", "/lib is a system folder" },
		{ "/lib64", "/lib64 is a system folder" },
		{ "/libx32/y", "/libx32/y lies in the system folder /libx32" },
		{ "/var/run/x", "/var/run/x lies in the system folder /var/run" },
		{ "/var/lib/zseal", "/var/lib/zseal is a system folder" },
		{ "/var/lib/zseal/header", "/var/lib/zseal/header lies in the system folder /var/lib/zseal" },
		{ "/var/lib/pve-cluster", "/var/lib/pve-cluster is a system folder" },
		{ "/var/spool/cron/crontabs", "/var/spool/cron/crontabs lies in the system folder /var/spool/cron" },
		/* above it */
		{ "/", "/ would hide the system folder /bin" },
		{ "//", "/ would hide the system folder /bin" },
		{ "/var", "/var would hide the system folder /var/lib/cloud" },
		{ "/var/lib", "/var/lib would hide the system folder /var/lib/cloud" },
		{ "/var/spool", "/var/spool would hide the system folder /var/spool/cron" },
		/* no plain path */
		{ "/srv/../etc", "/srv/../etc is no absolute path without .." },
		{ "/srv/..", "/srv/.. is no absolute path without .." },
		{ "srv", "srv is no absolute path without .." },
		{ "", " is no absolute path without .." },
	};
	const struct config config = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct file_system fs = at(cases[i].mountpoint);
		struct err_ctx e = { 0 };
		enum mount_verdict verdict = mount_judge(&fs, &config, &e);

		if (verdict != (cases[i].why ? MOUNT_REFUSE : MOUNT_GO))
			fail_msg("'%s' gets verdict %d", cases[i].mountpoint, verdict);
		assert_int_equal(e.code, cases[i].why ? ERR_MOUNT_POINT : ERR_OK);
		if (cases[i].why)
			assert_string_equal(e.chain[0], cases[i].why);
	}
}

static void a_long_mount_point_leaves_room_for_the_reason(void **state)
{
	char path[PATH_MAX] = "/etc/";
	const struct config config = { 0 };
	struct file_system fs = at(path);
	struct err_ctx e = { 0 };

	(void)state;
	memset(path + 5, 'a', 2000);
	assert_int_equal(mount_judge(&fs, &config, &e), MOUNT_REFUSE);
	assert_non_null(strstr(e.chain[0], "lies in the system folder /etc"));
}

static void what_is_configured_is_allowed_with_what_lies_below(void **state)
{
	static const struct {
		const char *mountpoint;
		enum mount_verdict verdict;
	} cases[] = {
		{ "/usr/local", MOUNT_GO },         { "/usr/local/share", MOUNT_GO }, { "/usr/local/", MOUNT_GO },
		{ "/var", MOUNT_GO },               { "/var/lib/dpkg", MOUNT_GO },    { "/usr", MOUNT_REFUSE },
		{ "/usr/locale", MOUNT_REFUSE },    { "/usr/local/../bin", MOUNT_REFUSE },
		{ "/", MOUNT_REFUSE },              { "/etc", MOUNT_REFUSE },
	};
	const struct config config = { .n_mount_allowed = 2, .mount_allowed = { "/usr/local", "/var" } };
	const struct config everything = { .n_mount_allowed = 1, .mount_allowed = { "/" } };
	struct file_system root = at("/"), etc = at("/etc/x");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct file_system fs = at(cases[i].mountpoint);

		if (mount_judge(&fs, &config, NULL) != cases[i].verdict)
			fail_msg("'%s' is judged otherwise", cases[i].mountpoint);
	}
	assert_int_equal(mount_judge(&root, &everything, NULL), MOUNT_GO);
	assert_int_equal(mount_judge(&etc, &everything, NULL), MOUNT_GO);
}

static void what_is_not_meant_to_be_mounted_is_passed_over(void **state)
{
	static const struct {
		const char *encryption, *mountpoint, *canmount;
		bool mounted;
		enum mount_verdict verdict;
		enum err code;
	} cases[] = {
		{ "aes-256-gcm", "/srv", "on", false, MOUNT_GO, ERR_OK },
		{ "aes-256-gcm", "/srv", "on", true, MOUNT_ALREADY, ERR_OK },
		{ "aes-256-gcm", "/srv", "off", false, MOUNT_SKIP, ERR_OK },
		{ "aes-256-gcm", "/srv", "noauto", false, MOUNT_SKIP, ERR_OK },
		{ "aes-256-gcm", "/srv", "noauto", true, MOUNT_SKIP, ERR_OK },
		{ "aes-256-gcm", "none", "on", false, MOUNT_SKIP, ERR_OK },
		{ "aes-256-gcm", "legacy", "on", false, MOUNT_SKIP, ERR_OK },
		{ "aes-256-gcm", "legacy", "on", true, MOUNT_SKIP, ERR_OK },
		/* a volume */
		{ "aes-256-gcm", "-", "-", false, MOUNT_SKIP, ERR_OK },
		/* what runs from there runs already */
		{ "aes-256-gcm", "/", "on", true, MOUNT_ALREADY, ERR_OK },
		{ "aes-256-gcm", "/etc", "noauto", false, MOUNT_SKIP, ERR_OK },
		{ "off", "/srv", "on", false, MOUNT_REFUSE, ERR_MOUNT_UNENCRYPTED },
		{ "off", "/srv", "on", true, MOUNT_REFUSE, ERR_MOUNT_UNENCRYPTED },
		{ "off", "/etc", "on", false, MOUNT_REFUSE, ERR_MOUNT_UNENCRYPTED },
		{ "off", "/srv", "noauto", true, MOUNT_SKIP, ERR_OK },
		{ "off", "none", "on", false, MOUNT_SKIP, ERR_OK },
		{ "off", "-", "-", false, MOUNT_SKIP, ERR_OK },
	};
	/* that a place is allowed does not make anything encrypted */
	const struct config config = { .n_mount_allowed = 1, .mount_allowed = { "/srv" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct file_system fs = {
			.dataset = "tank/a", .encryption = cases[i].encryption, .mountpoint = cases[i].mountpoint,
			.canmount = cases[i].canmount, .mounted = cases[i].mounted,
		};
		struct err_ctx e = { 0 };
		enum mount_verdict verdict = mount_judge(&fs, &config, &e);

		if (verdict != cases[i].verdict || e.code != cases[i].code)
			fail_msg("case %zu gets verdict %d, error %d", i, verdict, e.code);
	}
}

/* ---- the way, on a real file system ---- */

struct tree {
	char root[PATH_MAX];
	char path[PATH_MAX + 64];
};

/* root/a/b folders, root/file, links: in -> a, up -> /, dead -> nowhere, loop -> loop */
static int make_tree(void **state)
{
	static struct tree t;
	char made[] = "/tmp/zseal-mount-XXXXXX";

	if (!mkdtemp(made) || !realpath(made, t.root) || chdir(t.root) < 0)
		return -1;
	FILE *f = fopen("file", "w");
	if (!f || fclose(f) != 0 || mkdir("a", 0755) < 0 || mkdir("a/b", 0755) < 0)
		return -1;
	if (symlink("a", "in") < 0 || symlink("/", "up") < 0 || symlink("nowhere", "dead") < 0 ||
	    symlink("loop", "loop") < 0 || symlink("/etc", "a/etc") < 0)
		return -1;
	*state = &t;
	return 0;
}

static int remove_tree(void **state)
{
	static const char *const names[] = {
		"a/etc", "a/b", "a", "in", "up", "dead", "loop", "file",
	};
	struct tree *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (remove(names[i]) < 0)
			return -1;
	return chdir("/") < 0 || rmdir(t->root) < 0;
}

static const char *inside(struct tree *t, const char *name)
{
	snprintf(t->path, sizeof(t->path), "%s/%s", t->root, name);
	return t->path;
}

static void only_folders_may_be_on_the_way(void **state)
{
	static const struct {
		const char *name;
		const char *stops_at; /* NULL: it is plain */
	} cases[] = {
		{ "a", NULL },          { "a/b", NULL },       { "a/b/new", NULL },    { "new/and/newer", NULL },
		{ "in", "in" },         { "in/b", "in" },      { "in/new", "in" },     { "up/etc", "up" },
		{ "dead", "dead" },     { "dead/x", "dead" },  { "loop", "loop" },     { "a/etc", "a/etc" },
		{ "a/etc/x", "a/etc" }, { "file", "file" },    { "file/x", "file" },
	};
	struct tree *t = *state;
	char expected[sizeof(t->path)];
	size_t length = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool plain = path_is_plain(inside(t, cases[i].name), &length);

		if (plain != !cases[i].stops_at)
			fail_msg("%s is judged otherwise", cases[i].name);
		if (plain)
			continue;
		char *path = strdup(t->path);
		snprintf(expected, sizeof(expected), "%s", inside(t, cases[i].stops_at));
		assert_int_equal(length, strlen(expected));
		assert_memory_equal(path, expected, length);
		free(path);
	}
	assert_true(path_is_plain("/", &length));
}

static void a_mount_is_told_from_a_folder(void **state)
{
	struct tree *t = *state;

	assert_true(path_is_mount("/proc"));
	assert_false(path_is_mount("/proc/self"));
	assert_false(path_is_mount("/proc/tty"));
	assert_false(path_is_mount("/"));
	assert_false(path_is_mount(inside(t, "a/b")));
	assert_false(path_is_mount(inside(t, "a/new")));
	/* what is mounted there is not mounted here */
	assert_false(path_is_mount(inside(t, "up/proc")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_spelled_in_one_way),
		cmocka_unit_test(a_path_that_does_not_fit_is_refused),
		cmocka_unit_test(below_means_by_whole_names),
		cmocka_unit_test(mount_points_are_judged),
		cmocka_unit_test(a_long_mount_point_leaves_room_for_the_reason),
		cmocka_unit_test(what_is_configured_is_allowed_with_what_lies_below),
		cmocka_unit_test(what_is_not_meant_to_be_mounted_is_passed_over),
		cmocka_unit_test_setup_teardown(only_folders_may_be_on_the_way, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(a_mount_is_told_from_a_folder, make_tree, remove_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
