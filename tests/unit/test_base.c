/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/secret.h"
#include "base/text.h"

/* -- error.h -- */

static bool is_kebab(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && name[0] != '-' &&
	       name[n - 1] != '-';
}

static void every_error_has_its_line(void **state)
{
	(void)state;
	for (enum err code = 0; code < ERR_MAX; code++) {
		const struct err_info *info = err_info(code);

		assert_true(is_kebab(info->name));
		assert_in_range(info->class, CLASS_OK, CLASS_MAX - 1);
		assert_int_equal(info->class == CLASS_OK, code == ERR_OK);
		assert_in_range(strlen(info->sentence), 4, 80);
		assert_int_not_equal(info->sentence[strlen(info->sentence) - 1], '.');
		assert_int_equal(info->advice[0] == '\0', code == ERR_OK);
		assert_null(strpbrk(info->sentence, "\n%"));
		assert_null(strpbrk(info->advice, "\n%"));
	}
}

static void error_names_and_sentences_are_unique(void **state)
{
	(void)state;
	for (enum err code = 0; code < ERR_MAX; code++)
		for (enum err other = 0; other < code; other++) {
			assert_string_not_equal(err_info(code)->name, err_info(other)->name);
			assert_string_not_equal(err_info(code)->sentence, err_info(other)->sentence);
		}
}

static void what_is_no_error_is_a_bug(void **state)
{
	(void)state;
	assert_ptr_equal(err_info(ERR_MAX), err_info(ERR_BUG));
	assert_ptr_equal(err_info((enum err)-1), err_info(ERR_BUG));
	assert_string_equal(err_class_name(CLASS_MAX), "bug");
	assert_int_equal(err_exit_status(CLASS_MAX), 70);
	assert_int_equal(err_exit_status((enum err_class)-1), 70);
}

/* The numbers are promised to scripts, the names to programs. */
static void classes_have_their_exit_statuses(void **state)
{
	static const struct {
		enum err_class class;
		const char *name;
		int exit_status;
	} cases[] = {
		{ CLASS_OK, "ok", 0 },
		{ CLASS_PARTIAL, "partial", 1 },
		{ CLASS_USAGE, "usage", 2 },
		{ CLASS_NOT_MINE, "not-mine", 3 },
		{ CLASS_UNAVAILABLE, "unavailable", 4 },
		{ CLASS_REFUSED, "refused", 5 },
		{ CLASS_CORRUPT, "corrupt", 6 },
		{ CLASS_STATE, "state", 7 },
		{ CLASS_INTERRUPTED, "interrupted", 8 },
		{ CLASS_BUG, "bug", 70 },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(cases), CLASS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(err_class_name(cases[i].class), cases[i].name);
		assert_int_equal(err_exit_status(cases[i].class), cases[i].exit_status);
	}
}

static void an_error_keeps_its_details(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, ERR_FORMAT, "line %d of %s", 3, "pins"), ERR_FORMAT);
	assert_int_equal(e.code, ERR_FORMAT);
	assert_int_equal(e.depth, 1);
	assert_string_equal(e.chain[0], "line 3 of pins");
	assert_int_equal(err_set_errno(&e, ERR_IO, 5, "reading"), ERR_IO);
	assert_int_equal(e.sys_errno, 5);
	assert_int_equal(err_set_tss(&e, ERR_TPM_FAILED, 0x101, "unsealing"), ERR_TPM_FAILED);
	assert_int_equal(e.tss, 0x101);
}

/* A new error leaves nothing of the one before it, nor does clearing. */
static void an_error_forgets_the_one_before(void **state)
{
	static const struct err_ctx nothing;
	struct err_ctx e, fresh = { 0 };

	(void)state;
	memset(&e, 0xff, sizeof(e));
	err_set(&e, ERR_IO, "reading");
	err_set(&fresh, ERR_IO, "reading");
	assert_memory_equal(&e, &fresh, sizeof(e));
	err_clear(&e);
	assert_memory_equal(&e, &nothing, sizeof(e));
	err_clear(NULL);
}

static void wrapping_adds_places_from_the_inside_out(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	assert_int_equal(err_wrap(&e, ERR_OK, "all is well"), ERR_OK);
	assert_int_equal(e.depth, 0);
	err_set_errno(&e, ERR_IO, 5, "reading %s", "a");
	assert_int_equal(err_wrap(&e, ERR_IO, "loading %s", "b"), ERR_IO);
	assert_int_equal(e.depth, 2);
	assert_string_equal(e.chain[0], "reading a");
	assert_string_equal(e.chain[1], "loading b");
	assert_int_equal(e.sys_errno, 5);
}

/* What failed stays, and the outermost place; what is lost is in between. */
static void a_chain_has_an_end(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	err_set(&e, ERR_IO, "place 0");
	for (int i = 1; i < 20; i++)
		err_wrap(&e, ERR_IO, "place %d", i);
	assert_int_equal(e.depth, ERR_CHAIN_MAX);
	assert_string_equal(e.chain[0], "place 0");
	assert_string_equal(e.chain[1], "place 1");
	assert_string_equal(e.chain[ERR_CHAIN_MAX - 1], "place 19");
}

static void a_long_place_is_cut(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	err_set(&e, ERR_IO, "%01000d", 0);
	assert_int_equal(strlen(e.chain[0]), ERR_PLACE_MAX - 1);
	assert_string_equal(e.chain[1], "");
}

static void errors_need_no_details(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_IO, "x"), ERR_IO);
	assert_int_equal(err_set_errno(NULL, ERR_IO, 5, "x"), ERR_IO);
	assert_int_equal(err_set_tss(NULL, ERR_TPM_BUSY, 5, "x"), ERR_TPM_BUSY);
	assert_int_equal(err_wrap(NULL, ERR_IO, "x"), ERR_IO);
}

/* -- text.h -- */

static void hex_goes_both_ways(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0x9a, 0xf0, 0xff };
	char text[HEX_TEXT_SIZE(sizeof(bytes))];
	uint8_t back[sizeof(bytes)];

	(void)state;
	hex_encode(SPAN(bytes, sizeof(bytes)), text);
	assert_string_equal(text, "00019af0ff");
	assert_true(hex_decode(text, back, sizeof(back)));
	assert_memory_equal(bytes, back, sizeof(bytes));
	hex_encode(SPAN(NULL, 0), text);
	assert_string_equal(text, "");
	assert_true(hex_decode("", back, 0));
}

static void hex_is_strict(void **state)
{
	static const char *const bad[] = {
		"",       "0",      "0011",   "00112",  "0011223", "001122334", "00112G",
		"00112 ", "0x1122", "AABBCC", "00112/", "00112:",  "00112`",    "\xff\xff\xff\xff\xff\xff",
	};
	uint8_t bytes[3];

	(void)state;
	assert_true(hex_decode("001122", bytes, 3));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(hex_decode(bad[i], bytes, 3));
}

/* RFC 4648, section 10, and what tells the alphabets apart. */
static void base64_is_rfc_4648(void **state)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xfb\xff\xfe", "+//+" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t size = strlen(cases[i].bytes), got = 99;
		char text[BASE64_TEXT_SIZE(6)];
		uint8_t bytes[6];

		base64_encode(SPAN(cases[i].bytes, size), text);
		assert_string_equal(text, cases[i].text);
		assert_true(base64_decode(text, bytes, size, &got));
		assert_int_equal(got, size);
		assert_memory_equal(bytes, cases[i].bytes, size);
	}
}

static void base64_takes_every_byte_at_every_length(void **state)
{
	uint8_t bytes[64], back[64];
	char text[BASE64_TEXT_SIZE(64)];
	size_t got;

	(void)state;
	for (unsigned first = 0; first < 256; first++)
		for (size_t size = 0; size <= sizeof(bytes); size++) {
			for (size_t i = 0; i < size; i++)
				bytes[i] = (uint8_t)(first + 37 * i);
			base64_encode(SPAN(bytes, size), text);
			assert_int_equal(strlen(text) + 1, BASE64_TEXT_SIZE(size));
			assert_true(base64_decode(text, back, sizeof(back), &got));
			assert_int_equal(got, size);
			assert_memory_equal(bytes, back, size);
		}
}

/* One text for each value: no blanks, no line ends, no stray bits, padding at the end only. */
static void base64_is_strict(void **state)
{
	static const char *const bad[] = {
		"Z",    "Zg",     "Zg=",      "Z===",     "====", "=g==", "Z=g=",    "Zg=A",  "Zh==",    "Zm9=",
		" Zg=", "Zg==\n", "Zg==Zg==", "Zm8=Zg==", "Zm8-", "Zm8_", "Zm8\xff", "Zm9vY", "Zm9vYg=", "Zm9vYg===",
	};
	uint8_t bytes[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		size_t got = 99;

		assert_false(base64_decode(bad[i], bytes, sizeof(bytes), &got));
		assert_int_equal(got, 99);
	}
}

static void base64_stays_in_its_room(void **state)
{
	uint8_t bytes[6] = { 0, 0, 0, 0, 0, 0xaa };
	size_t got = 99;

	(void)state;
	assert_false(base64_decode("Zm9vYmFy", bytes, 5, &got));
	assert_int_equal(bytes[5], 0xaa);
	assert_int_equal(got, 99);
	assert_false(base64_decode("Zg==", bytes, 0, &got));
	assert_true(base64_decode("Zm9vYmE=", bytes, 5, &got));
	assert_int_equal(bytes[5], 0xaa);
}

static void uuid_goes_both_ways(void **state)
{
	static const char text[] = "00112233-4455-6677-8899-aabbccddeeff";
	struct uuid u, other = { { 1 } };
	char printed[UUID_TEXT_SIZE];

	(void)state;
	assert_true(uuid_parse(text, &u));
	for (size_t i = 0; i < UUID_SIZE; i++)
		assert_int_equal(u.bytes[i], 0x11 * i);
	uuid_print(&u, printed);
	assert_string_equal(printed, text);
	assert_true(uuid_equal(&u, &u));
	assert_false(uuid_equal(&u, &other));
}

static void uuid_is_strict(void **state)
{
	static const char *const bad[] = {
		"",
		"00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeefff",
		"00112233-4455-6677-8899-AABBCCDDEEFF",
		"00112233-4455-6677-8899-aabbccddeefg",
		"0011223-34455-6677-8899-aabbccddeeff",
		"00112233445566778899aabbccddeeff",
		"00112233445566778899aabbccddeeff0000",
		"00112233-4455-6677-8899-aabbccddee--",
		"------------------------------------",
		" 0112233-4455-6677-8899-aabbccddeeff",
		"{0112233-4455-6677-8899-aabbccddeef}",
	};
	struct uuid u = { { 7 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(uuid_parse(bad[i], &u));
	assert_int_equal(u.bytes[0], 7);
}

static void new_uuids_are_random_version_4(void **state)
{
	struct uuid a, b;

	(void)state;
	assert_int_equal(uuid_new(&a, NULL), ERR_OK);
	assert_int_equal(uuid_new(&b, NULL), ERR_OK);
	assert_int_equal(a.bytes[6] >> 4, 4);
	assert_int_equal(a.bytes[8] >> 6, 2);
	assert_false(uuid_equal(&a, &b));
}

static void strings_are_made_and_compared(void **state)
{
	_cleanup_free_ char *text = NULL, *copy = NULL;

	(void)state;
	assert_int_equal(str_format(&text, NULL, "%s-%03d", "a", 7), ERR_OK);
	assert_string_equal(text, "a-007");
	assert_int_equal(str_copy(text, &copy, NULL), ERR_OK);
	assert_string_equal(copy, text);
	assert_ptr_not_equal(copy, text);
	assert_true(str_equal("a", "a"));
	assert_false(str_equal("a", "b"));
	assert_false(str_equal("a", NULL));
	assert_false(str_equal(NULL, NULL));
}

static void names_are_what_zfs_takes(void **state)
{
#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	static const char *const good[] = { "a", "tpm2", "office-2_b", "-", "_", "0", A63 };
	static const char *const bad[] = { "", "A", "a.b", "a/b", "a b", "a:b", "a\n", "\xc3\xa9", ".", "..", A63 "a" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(name_is_valid(bad[i]));
}

/* -- cleanup.h -- */

static void what_is_taken_is_gone(void **state)
{
	char text[] = "x", *p = text;
	int fd = 5;

	(void)state;
	assert_ptr_equal(TAKE(p), text);
	assert_null(p);
	assert_int_equal(TAKE_FD(fd), 5);
	assert_int_equal(fd, -1);
}

static void scopes_close_and_free(void **state)
{
	int fd;

	(void)state;
	{
		_cleanup_fd_ int own = open("/dev/null", O_RDONLY | O_CLOEXEC);
		_cleanup_fd_ int none __attribute__((unused)) = -1;
		_cleanup_file_ FILE *no_file __attribute__((unused)) = NULL;
		_cleanup_free_ char *no_text __attribute__((unused)) = NULL;
		_cleanup_secret_ struct secret *no_secret __attribute__((unused)) = NULL;

		fd = own;
		assert_true(fcntl(fd, F_GETFD) >= 0);
	}
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* -- secret.h -- */

static struct secret *make_secret(const char *text)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_copy(text, strlen(text), &s, NULL), ERR_OK);
	return s;
}

static void a_new_secret_is_zero(void **state)
{
	static const size_t sizes[] = { 1, 32, 4000, 4095, 4096, 65536 };
	static const uint8_t zero[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_secret_ struct secret *s = NULL;

		assert_int_equal(secret_new(sizes[i], &s, NULL), ERR_OK);
		assert_int_equal(secret_size(s), sizes[i]);
		assert_memory_equal(secret_data(s), zero, sizes[i]);
		assert_ptr_equal(secret_bytes(s), secret_data(s));
		memset(secret_bytes(s), 1, sizes[i]);
	}
}

static void a_secret_has_a_sensible_size(void **state)
{
	static const size_t bad[] = { 0, 65537, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct secret *s = NULL;

		assert_int_equal(secret_new(bad[i], &s, NULL), ERR_BUG);
		assert_int_equal(secret_new_random(bad[i], &s, NULL), ERR_BUG);
		assert_int_equal(secret_new_copy("", bad[i], &s, NULL), ERR_BUG);
		assert_null(s);
	}
}

static void joined_secrets_are_one_behind_the_other(void **state)
{
	_cleanup_secret_ struct secret *a = make_secret("ab"), *b = make_secret("cde"), *both = NULL, *none = NULL;
	_cleanup_secret_ struct secret *large = NULL;

	(void)state;
	assert_int_equal(secret_new_joined(a, b, &both, NULL), ERR_OK);
	assert_int_equal(secret_size(both), 5);
	assert_memory_equal(secret_data(both), "abcde", 5);
	assert_int_equal(secret_new(65536, &large, NULL), ERR_OK);
	assert_int_equal(secret_new_joined(large, a, &none, NULL), ERR_BUG);
	assert_null(none);
}

static void a_random_secret_is_random_to_its_end(void **state)
{
	_cleanup_secret_ struct secret *a = NULL, *b = NULL;
	unsigned same = 0;

	(void)state;
	assert_int_equal(secret_new_random(4096, &a, NULL), ERR_OK);
	assert_int_equal(secret_new_random(4096, &b, NULL), ERR_OK);
	for (size_t i = 0; i < 4096; i++)
		same += secret_data(a)[i] == secret_data(b)[i];
	assert_in_range(same, 0, 64); /* 16 expected */
}

static void equal_means_size_and_every_byte(void **state)
{
	_cleanup_secret_ struct secret *a = make_secret("abcd"), *same = make_secret("abcd");
	_cleanup_secret_ struct secret *start = make_secret("abc");

	(void)state;
	assert_true(secret_equal(a, a));
	assert_true(secret_equal(a, same));
	assert_false(secret_equal(a, start));
	assert_false(secret_equal(start, a));
	for (size_t i = 0; i < 4; i++) {
		secret_bytes(same)[i] ^= 0x80;
		assert_false(secret_equal(a, same));
		secret_bytes(same)[i] ^= 0x80;
	}
}

static void shrinking_keeps_the_start_and_wipes_the_rest(void **state)
{
	static const uint8_t zero[6];
	_cleanup_secret_ struct secret *s = make_secret("abcdefgh");
	const uint8_t *end = secret_data(s) + 8, *old = secret_data(s);

	(void)state;
	secret_shrink(s, 9);
	secret_shrink(s, 8);
	assert_int_equal(secret_size(s), 8);
	secret_shrink(s, 2);
	assert_int_equal(secret_size(s), 2);
	assert_memory_equal(secret_data(s), "ab", 2);
	assert_ptr_equal(secret_data(s) + 2, end);
	assert_memory_equal(old, zero, 6);
}

/* How a child ends that writes 0 to a byte, or only reads it: 0 if it is 0 then, 1 if it is not, or the signal. */
static int end_of_child(volatile uint8_t *byte, bool write)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		/* a sanitizer's handler would make an exit status of the signal, and a core dump takes time */
		signal(SIGSEGV, SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		if (write)
			*byte = 0;
		_exit(*byte != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static uint8_t *start_of_page(uint8_t *p)
{
	return p - (uintptr_t)p % (uintptr_t)sysconf(_SC_PAGESIZE);
}

static void guard_pages_fault(void **state)
{
	static const size_t sizes[] = { 1, 32, 4096 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_secret_ struct secret *s = NULL;

		assert_int_equal(secret_new(sizes[i], &s, NULL), ERR_OK);
		uint8_t *end = secret_bytes(s) + sizes[i], *before = start_of_page((uint8_t *)s) - 1;

		assert_int_equal(end_of_child(end - 1, true), 0);
		assert_int_equal(end_of_child(end, false), SIGSEGV);
		assert_int_equal(end_of_child(end, true), SIGSEGV);
		assert_int_equal(end_of_child(before, false), SIGSEGV);
		assert_int_equal(end_of_child(before, true), SIGSEGV);
	}
}

static void a_freed_secret_is_gone(void **state)
{
	struct secret *s = make_secret("abcd");
	uint8_t *bytes = secret_bytes(s);

	(void)state;
	secret_free(s);
	assert_int_equal(end_of_child(bytes, false), SIGSEGV);
	secret_free(NULL);
}

/* MADV_WIPEONFORK: what a child process has is zero, what the parent has stays. */
static void a_child_sees_zero(void **state)
{
	_cleanup_secret_ struct secret *s = make_secret("abcd");
	uint8_t ordinary = 'a';

	(void)state;
	assert_int_equal(end_of_child(&ordinary, false), 1);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(end_of_child(secret_bytes(s) + i, false), 0);
	assert_memory_equal(secret_data(s), "abcd", 4);
}

/* The kernel's flags of the mapping that p is in (proc(5), smaps), " lo dd …". */
static void read_flags(const void *p, char *ret, size_t size)
{
	_cleanup_file_ FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0;
	char line[1024];

	assert_non_null(smaps);
	*ret = '\0';
	while (!*ret && fgets(line, sizeof(line), smaps)) {
		sscanf(line, "%lx-%lx ", &start, &end);
		if (strncmp(line, "VmFlags:", 8) == 0 && (uintptr_t)p >= start && (uintptr_t)p < end)
			snprintf(ret, size, "%s", line + 8);
	}
}

/* False where RLIMIT_MEMLOCK is used up, and under a sanitizer, which makes mlock() do nothing. */
static bool can_lock(void)
{
	_cleanup_free_ char *page = aligned_alloc(65536, 65536);
	char flags[1024];

	assert_non_null(page);
	memset(page, 1, 65536);
	bool locked = mlock(page, 65536) == 0;
	read_flags(page, flags, sizeof(flags));
	munlock(page, 65536);
	return locked && strstr(flags, " lo");
}

static void a_secret_is_locked_and_not_dumped(void **state)
{
	_cleanup_secret_ struct secret *s = make_secret("abcd");
	char flags[1024];

	(void)state;
	read_flags(secret_data(s), flags, sizeof(flags));
	assert_non_null(strstr(flags, " dd")); /* do not dump */
	assert_non_null(strstr(flags, " wf")); /* wipe on fork */
	if (can_lock())
		assert_non_null(strstr(flags, " lo"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_its_line),
		cmocka_unit_test(error_names_and_sentences_are_unique),
		cmocka_unit_test(what_is_no_error_is_a_bug),
		cmocka_unit_test(classes_have_their_exit_statuses),
		cmocka_unit_test(an_error_keeps_its_details),
		cmocka_unit_test(an_error_forgets_the_one_before),
		cmocka_unit_test(wrapping_adds_places_from_the_inside_out),
		cmocka_unit_test(a_chain_has_an_end),
		cmocka_unit_test(a_long_place_is_cut),
		cmocka_unit_test(errors_need_no_details),
		cmocka_unit_test(hex_goes_both_ways),
		cmocka_unit_test(hex_is_strict),
		cmocka_unit_test(base64_is_rfc_4648),
		cmocka_unit_test(base64_takes_every_byte_at_every_length),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(base64_stays_in_its_room),
		cmocka_unit_test(uuid_goes_both_ways),
		cmocka_unit_test(uuid_is_strict),
		cmocka_unit_test(new_uuids_are_random_version_4),
		cmocka_unit_test(strings_are_made_and_compared),
		cmocka_unit_test(names_are_what_zfs_takes),
		cmocka_unit_test(what_is_taken_is_gone),
		cmocka_unit_test(scopes_close_and_free),
		cmocka_unit_test(a_new_secret_is_zero),
		cmocka_unit_test(a_secret_has_a_sensible_size),
		cmocka_unit_test(joined_secrets_are_one_behind_the_other),
		cmocka_unit_test(a_random_secret_is_random_to_its_end),
		cmocka_unit_test(equal_means_size_and_every_byte),
		cmocka_unit_test(shrinking_keeps_the_start_and_wipes_the_rest),
		cmocka_unit_test(guard_pages_fault),
		cmocka_unit_test(a_freed_secret_is_gone),
		cmocka_unit_test(a_child_sees_zero),
		cmocka_unit_test(a_secret_is_locked_and_not_dumped),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
