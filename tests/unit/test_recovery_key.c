/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "format/recovery-key.h"

enum { LETTERS = RECOVERY_GROUPS * RECOVERY_GROUP_LETTERS };

static const char modhex[] = "cbdefghijklnrtuv";

/* A key with different groups, and its text. */
#define KEY  "00112233445566778899aabbccddeeff01234567"
#define TEXT "ccbbdi-deeffg-gghhib-ijjkkr-llnnrl-rttuuu-vvcbdt-efghii"

static struct secret *key_of(const char *hex)
{
	struct secret *key = NULL;

	assert_int_equal(secret_new(strlen(hex) / 2, &key, NULL), ERR_OK);
	assert_true(hex_decode(hex, secret_bytes(key), secret_size(key)));
	return key;
}

/* The place in TEXT of a letter of a group. */
static size_t place(size_t group, size_t letter)
{
	return group * (RECOVERY_GROUP_LETTERS + 1) + letter;
}

static void swap(char *a, char *b)
{
	char c = *a;

	*a = *b;
	*b = c;
}

/* Typing text gives KEY. */
static void assert_parses(const char *text)
{
	_cleanup_secret_ struct secret *key = NULL, *expected = key_of(KEY);

	assert_int_equal(recovery_key_parse((const uint8_t *)text, strlen(text), &key, NULL), ERR_OK);
	assert_true(secret_equal(key, expected));
}

/* No three letters in a row of what was typed are anywhere in the error. */
static void assert_repeats_nothing(const struct err_ctx *e, const uint8_t *typed, size_t size)
{
	for (size_t i = 0; i + 3 <= size; i++)
		assert_null(memmem(e, sizeof(*e), typed + i, 3));
}

/* Typing size bytes is a typo whose only place is complaint, and nothing else comes of it. */
static void assert_typo(const void *typed, size_t size, const char *complaint)
{
	struct secret *key = NULL;
	struct err_ctx e = { 0 };

	assert_int_equal(recovery_key_parse(typed, size, &key, &e), ERR_RECOVERY_TYPO);
	assert_int_equal(e.code, ERR_RECOVERY_TYPO);
	assert_int_equal(e.depth, 1);
	assert_string_equal(e.chain[0], complaint);
	assert_null(key);
	assert_repeats_nothing(&e, typed, size);
}

static void assert_typo_in_group(const char *text, size_t size, size_t group)
{
	char complaint[] = "group 0 of 8";

	complaint[6] = (char)('1' + group);
	assert_typo(text, size, complaint);
}

/* The texts were made by a few lines of Python that multiply in GF(16) by the book: shift, add, reduce by 0x13. */
static void print_is_as_specified(void **state)
{
	static const struct {
		const char *key, *text;
	} cases[] = {
		{ "0000000000000000000000000000000000000000",
		  "cccccc-cccccb-cccccd-ccccce-cccccf-cccccg-ccccch-ccccci" },
		{ KEY, TEXT },
		{ "ffffffffffffffffffffffffffffffffffffffff",
		  "vvvvve-vvvvvd-vvvvvb-vvvvvc-vvvvvi-vvvvvh-vvvvvg-vvvvvf" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *key = key_of(cases[i].key), *text = NULL, *back = NULL;

		assert_int_equal(recovery_key_print(key, &text, NULL), ERR_OK);
		assert_int_equal(secret_size(text), RECOVERY_TEXT_SIZE);
		assert_string_equal((const char *)secret_data(text), cases[i].text);
		assert_int_equal(recovery_key_parse(secret_data(text), RECOVERY_TEXT_SIZE - 1, &back, NULL), ERR_OK);
		assert_true(secret_equal(key, back));
	}
}

static void random_keys_come_back(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		_cleanup_secret_ struct secret *key = NULL, *text = NULL, *back = NULL;

		assert_int_equal(secret_new_random(RECOVERY_KEY_SIZE, &key, NULL), ERR_OK);
		assert_int_equal(recovery_key_print(key, &text, NULL), ERR_OK);
		assert_int_equal(recovery_key_parse(secret_data(text), RECOVERY_TEXT_SIZE - 1, &back, NULL), ERR_OK);
		assert_true(secret_equal(key, back));
	}
}

static void print_needs_a_key_of_the_right_size(void **state)
{
	static const char *const keys[] = { "00", "00112233445566778899aabbccddeeff012345", KEY "89" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_secret_ struct secret *key = key_of(keys[i]), *text = NULL;

		assert_int_equal(recovery_key_print(key, &text, NULL), ERR_BUG);
		assert_null(text);
	}
}

static void separators_and_case_do_not_matter(void **state)
{
	static const char *const texts[] = {
		TEXT,
		"ccbbdideeffggghhibijjkkrllnnrlrttuuuvvcbdtefghii",
		"CCBBDI-DEEFFG-GGHHIB-IJJKKR-LLNNRL-RTTUUU-VVCBDT-EFGHII",
		"CcBbDi dEeFfG gGhHiB iJjKkR LlNnRl rTtUuU vVcBdT EfGhIi",
		"\tccbbdi deeffg gghhib ijjkkr\r\n  llnnrl rttuuu vvcbdt efghii \r\n",
		"cc-bb-di-de-ef-fg-gg-hh-ib-ij-jk-kr-ll-nn-rl-rt-tu-uu-vv-cb-dt-ef-gh-ii-",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_parses(texts[i]);
}

static void every_wrong_letter_is_noticed(void **state)
{
	char text[] = TEXT;

	(void)state;
	for (size_t group = 0; group < RECOVERY_GROUPS; group++)
		for (size_t i = 0; i < RECOVERY_GROUP_LETTERS; i++)
			for (size_t v = 0; v < 16; v++) {
				char *letter = &text[place(group, i)], right = *letter;

				*letter = modhex[v];
				if (modhex[v] != right)
					assert_typo_in_group(text, sizeof(text) - 1, group);
				*letter = right;
			}
}

static void every_swap_of_two_letters_is_noticed(void **state)
{
	char text[] = TEXT;

	(void)state;
	for (size_t group = 0; group < RECOVERY_GROUPS; group++)
		for (size_t i = 0; i < RECOVERY_GROUP_LETTERS; i++)
			for (size_t k = 0; k < i; k++) {
				char *a = &text[place(group, i)], *b = &text[place(group, k)];

				swap(a, b);
				if (*a != *b)
					assert_typo_in_group(text, sizeof(text) - 1, group);
				swap(a, b);
			}
}

static void swap_groups(char *text, size_t a, size_t b)
{
	for (size_t i = 0; i < RECOVERY_GROUP_LETTERS; i++)
		swap(&text[place(a, i)], &text[place(b, i)]);
}

static void every_swap_of_two_groups_is_noticed(void **state)
{
	/* The second is a key whose groups differ in the check letter only. */
	char texts[][RECOVERY_TEXT_SIZE] = { TEXT, "cccccc-cccccb-cccccd-ccccce-cccccf-cccccg-ccccch-ccccci" };

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(texts); t++)
		for (size_t a = 0; a < RECOVERY_GROUPS; a++)
			for (size_t b = a + 1; b < RECOVERY_GROUPS; b++) {
				swap_groups(texts[t], a, b);
				assert_typo_in_group(texts[t], RECOVERY_TEXT_SIZE - 1, a);
				swap_groups(texts[t], a, b);
			}
}

static bool is_ignored(int byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '-';
}

/* NUL, look-alikes, control characters, bytes of UTF-8: all of them, in each place. */
static void every_byte_that_is_no_letter_names_the_group(void **state)
{
	char text[] = TEXT;

	(void)state;
	for (size_t n = 0; n < LETTERS; n++)
		for (int byte = 0; byte < 256; byte++) {
			size_t group = n / RECOVERY_GROUP_LETTERS;
			char *letter = &text[place(group, n % RECOVERY_GROUP_LETTERS)], right = *letter;

			if (is_ignored(byte) || memchr(modhex, tolower(byte), 16))
				continue;
			*letter = (char)byte;
			assert_typo_in_group(text, sizeof(text) - 1, group);
			*letter = right;
		}
}

static void missing_letters_are_counted(void **state)
{
	static const char letters[] = "ccbbdideeffggghhibijjkkrllnnrlrttuuuvvcbdtefghii";

	(void)state;
	for (size_t n = 0; n < LETTERS; n++) {
		char complaint[32];

		snprintf(complaint, sizeof(complaint), "%zu letters instead of 48", n);
		assert_typo(letters, n, complaint);
	}
	assert_typo(NULL, 0, "0 letters instead of 48");
}

static void letters_too_many_are_counted(void **state)
{
	(void)state;
	assert_typo(TEXT "c", sizeof(TEXT), "49 letters instead of 48");
	assert_typo(TEXT "\n?", sizeof(TEXT) + 1, "49 letters instead of 48");
	assert_typo(TEXT "-" TEXT, 2 * sizeof(TEXT) - 1, "96 letters instead of 48");
}

/* Somebody who leaves out or doubles a letter is sent to its group (in 15 cases of 16), not told to count to 48. */
static void a_slip_is_told_by_its_group(void **state)
{
	static const char missing[] = "ccbbdi-deeffg-gghib-ijjkkr-llnnrl-rttuuu-vvcbdt-efghii";
	static const char doubled[] = "ccbbdi-deeffg-ggghhib-ijjkkr-llnnrl-rttuuu-vvcbdt-efghii";

	(void)state;
	assert_typo_in_group(missing, strlen(missing), 2);
	assert_typo_in_group(doubled, strlen(doubled), 2);
}

static bool matches(const struct secret *key, unsigned group, const char *typed)
{
	return recovery_key_group_matches(key, group, (const uint8_t *)typed, strlen(typed));
}

static void a_group_matches_itself_only(void **state)
{
	static const char text[] = TEXT;
	_cleanup_secret_ struct secret *key = key_of(KEY);

	(void)state;
	for (unsigned group = 0; group < RECOVERY_GROUPS; group++)
		for (unsigned other = 0; other < RECOVERY_GROUPS; other++) {
			char typed[RECOVERY_GROUP_LETTERS + 1] = { 0 };

			memcpy(typed, text + place(other, 0), RECOVERY_GROUP_LETTERS);
			assert_int_equal(matches(key, group, typed), group == other);
		}
}

static void a_group_matches_letter_by_letter(void **state)
{
	static const char *const good[] = { "gghhib", "GGHHIB", " gg-hh ib\r\n", "GgHhIb" };
	static const char *const bad[] = {
		"", "-", "gghhi", "gghhibg", "gghhibgghhib", "gghhi?", "hhggib", "gghhi\xff",
	};
	_cleanup_secret_ struct secret *key = key_of(KEY);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(matches(key, 2, good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(matches(key, 2, bad[i]));
	for (size_t i = 0; i < RECOVERY_GROUP_LETTERS; i++)
		for (size_t v = 0; v < 16; v++) {
			char typed[] = "gghhib", right = typed[i];

			typed[i] = modhex[v];
			assert_int_equal(matches(key, 2, typed), modhex[v] == right);
		}
}

static void no_such_group_matches_nothing(void **state)
{
	_cleanup_secret_ struct secret *key = key_of(KEY), *other = key_of(KEY "00");

	(void)state;
	assert_false(matches(key, RECOVERY_GROUPS, "gghhib"));
	assert_false(matches(key, UINT32_MAX, "gghhib"));
	assert_false(matches(other, 2, "gghhib"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(print_is_as_specified),
		cmocka_unit_test(random_keys_come_back),
		cmocka_unit_test(print_needs_a_key_of_the_right_size),
		cmocka_unit_test(separators_and_case_do_not_matter),
		cmocka_unit_test(every_wrong_letter_is_noticed),
		cmocka_unit_test(every_swap_of_two_letters_is_noticed),
		cmocka_unit_test(every_swap_of_two_groups_is_noticed),
		cmocka_unit_test(every_byte_that_is_no_letter_names_the_group),
		cmocka_unit_test(missing_letters_are_counted),
		cmocka_unit_test(letters_too_many_are_counted),
		cmocka_unit_test(a_slip_is_told_by_its_group),
		cmocka_unit_test(a_group_matches_itself_only),
		cmocka_unit_test(a_group_matches_letter_by_letter),
		cmocka_unit_test(no_such_group_matches_nothing),
	};

	return cmocka_run_group_tests_name("recovery-key", tests, NULL, NULL);
}
