/* SPDX-License-Identifier: MIT */
/*
 * The recovery key's QR code and sheet, as far as no reader of either is needed: test_secrets.py has those.
 */
#include <sys/mman.h>

#include "sys.h"
#include "cli/sheet.h"

#define KEY "treljv-tlddvi-fjchnk-frdlgt-renftc-kuurci-lltkfu-lkuffr"

enum { WIDTH = 29 }; /* of a recovery key's code: version 3 */

/* Dark rim, light ring, dark centre of 3 by 3; light around. ISO/IEC 18004, 5.3.2. */
static void assert_finder(const struct qr *q, unsigned left, unsigned top)
{
	for (unsigned y = 0; y < 7; y++)
		for (unsigned x = 0; x < 7; x++) {
			unsigned dx = x > 3 ? x - 3 : 3 - x, dy = y > 3 ? y - 3 : 3 - y, ring = dx > dy ? dx : dy;

			assert_int_equal(qr_is_dark(q, left + x, top + y), ring != 2);
		}
}

static void test_qr(void **state)
{
	_cleanup_secret_ struct secret *text = secret_of(KEY), *lines = NULL;
	_cleanup_(qr_clearp) struct qr *q = &(struct qr){ 0 };
	unsigned n = 0;

	(void)state;
	assert_int_equal(qr_encode(text, q, NULL), ERR_OK);
	assert_int_equal(q->width, WIDTH);
	assert_finder(q, 0, 0);
	assert_finder(q, WIDTH - 7, 0);
	assert_finder(q, 0, WIDTH - 7);
	assert_false(qr_is_dark(q, WIDTH, 0) || qr_is_dark(q, 0, WIDTH) || qr_is_dark(q, UINT32_MAX, 0));
	assert_int_equal(qr_print(q, &lines, NULL), ERR_OK);
	for (size_t i = 0; i < secret_size(lines); i++)
		n += secret_data(lines)[i] == '\n';
	assert_int_equal(n, qr_lines(q));
	assert_true(secret_is(text, KEY));
}

static void test_qr_of_what_is_none(void **state)
{
	_cleanup_secret_ struct secret *text = secret_of("under_score");
	_cleanup_(qr_clearp) struct qr *q = &(struct qr){ 0 };
	struct err_ctx e = { 0 };

	(void)state;
	assert_int_equal(qr_encode(text, q, &e), ERR_BUG);
	assert_null(strstr(e.chain[0], "under"));
	assert_null(q->modules);
}

/* A sheet in a file in memory; the caller frees it. */
static char *sheet_of(const char *dataset)
{
	_cleanup_secret_ struct secret *text = secret_of(KEY);
	_cleanup_(qr_clearp) struct qr *q = &(struct qr){ 0 };
	_cleanup_fd_ int fd = memfd_create("sheet", MFD_CLOEXEC);
	struct sheet s = { .dataset = dataset, .keyring = "KEYRING", .fingerprint = "FINGERPRINT", .date = "DATE",
			   .key = text, .qr = q };
	char *page = calloc(1, 64 << 10);

	assert_int_equal(qr_encode(text, q, NULL), ERR_OK);
	assert_int_equal(sheet_write(&s, fd, NULL), ERR_OK);
	assert_in_range(pread(fd, page, (64 << 10) - 1, 0), 1000, 60000);
	return page;
}

static void test_sheet(void **state)
{
	_cleanup_free_ char *page = sheet_of("tank/vm");

	(void)state;
	assert_int_equal(strncmp(page, "%!PS-Adobe-3.0\n", 15), 0);
	assert_non_null(strstr(page, "(tank/vm) 130 646 at (KEYRING) 130 630 at (FINGERPRINT) 130 614 at (DATE) "));
	assert_non_null(strstr(page, "(zseal unlock --recovery tank/vm)"));
	assert_non_null(strstr(page, "(zseal recover tank/vm)"));
	assert_non_null(strstr(page, "(treljv)"));
	assert_non_null(strstr(page, "(lkuffr)"));
	assert_string_equal(page + strlen(page) - 6, "%%EOF\n");
}

/* A name must not end its string: what follows would be a program. */
static void test_sheet_of_a_hostile_name(void **state)
{
	_cleanup_free_ char *page = sheet_of("a) quit (\\\n%%EOF\xc3\xa9x");

	(void)state;
	assert_non_null(strstr(page, "(a\\) quit \\(\\\\?%%EOF?" "?x) 130 646 at"));
	assert_null(strstr(page, "(a)"));
}

static void test_sheet_that_nobody_reads(void **state)
{
	_cleanup_secret_ struct secret *text = secret_of(KEY);
	_cleanup_(qr_clearp) struct qr *q = &(struct qr){ 0 };
	struct sheet s = { .dataset = "tank", .keyring = "", .fingerprint = "", .date = "", .key = text, .qr = q };
	struct err_ctx e = { 0 };
	int ends[2];

	(void)state;
	assert_int_equal(qr_encode(text, q, NULL), ERR_OK);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(sheet_write(&s, ends[1], &e), ERR_OUTPUT);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(e.sys_errno, EPIPE);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qr),
		cmocka_unit_test(test_qr_of_what_is_none),
		cmocka_unit_test(test_sheet),
		cmocka_unit_test(test_sheet_of_a_hostile_name),
		cmocka_unit_test(test_sheet_that_nobody_reads),
	};

	return run_in_folder(tests, ARRAY_SIZE(tests));
}
