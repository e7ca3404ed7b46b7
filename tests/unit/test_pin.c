/* SPDX-License-Identifier: MIT */
#include "format/pin.h"
#include "vectors.h"

static bool pin_is(json_t *expect, const struct pin *p)
{
	_cleanup_free_ char *guid = NULL;

	return str_format(&guid, NULL, "%ju", (uintmax_t)p->pool_guid) == ERR_OK &&
	       expects_text(expect, "pool", p->pool) && expects_text(expect, "pool_guid", guid) &&
	       expects_uuid(expect, "keyring", &p->keyring) &&
	       expects_hex(expect, "fingerprint", p->fingerprint, FINGERPRINT_SIZE) &&
	       expects_number(expect, "generation", p->generation) &&
	       expects_hex(expect, "epoch", p->epoch, EPOCH_SIZE) && expects(expect, "srk") == p->has_srk &&
	       (!p->has_srk || expects_hex(expect, "srk", p->srk_name, TPM2_NAME_SIZE));
}

static void check_good(json_t *v)
{
	_cleanup_(pins_clear) struct pins pins = { 0 };
	_cleanup_free_ char *again = NULL;
	json_t *expect = json_object_get(v, "expect");

	if (!str_equal(vector_text(v, "kind"), "pins"))
		return;
	vector_assert(v, pins_parse(vector_text(v, "value"), &pins, NULL) == ERR_OK);
	vector_assert(v, pins.n == json_array_size(expect));
	for (size_t i = 0; i < pins.n; i++)
		vector_assert(v, pin_is(json_array_get(expect, i), &pins.pins[i]));
	vector_assert(v, pins_print(&pins, &again, NULL) == ERR_OK);
	vector_assert(v, str_equal(vector_text(v, "value"), again));
}

static void good_pins_mean_what_they_should_and_print_the_same(void **state)
{
	(void)state;
	vectors_walk("good/values.json", check_good);
}

static void check_bad(json_t *v)
{
	_cleanup_free_ char *value = vector_value(v);
	struct pins pins = { .n = 7 };
	struct err_ctx e = { 0 };

	vector_assert_error(v, pins_parse(value, &pins, &e), &e);
	vector_assert(v, strstr(e.chain[e.depth - 1], "in line "));
	vector_assert(v, pins.n == 7 && !pins.pins);
}

static void bad_pins_are_refused_with_their_line(void **state)
{
	(void)state;
	vectors_walk("bad/pins.json", check_bad);
}

/* n pins of different pools, printed; the caller frees it. */
static char *print_pins(size_t n)
{
	_cleanup_free_ struct pin *all = calloc(n, sizeof(*all));
	struct pins pins = { n, all };
	char *text = NULL;

	for (size_t i = 0; i < n; i++)
		all[i] = (struct pin){ .pool = "tank", .pool_guid = i, .generation = 1 };
	assert_int_equal(pins_print(&pins, &text, NULL), ERR_OK);
	return text;
}

static void a_person_may_leave_lines_empty_and_the_last_one_open(void **state)
{
	_cleanup_(pins_clear) struct pins pins = { 0 };
	_cleanup_free_ char *text = print_pins(1), *edited = NULL, *again = NULL;

	(void)state;
	assert_int_equal(str_format(&edited, NULL, "\n\n%.*s", (int)strlen(text) - 1, text), ERR_OK);
	assert_int_equal(pins_parse(edited, &pins, NULL), ERR_OK);
	assert_int_equal(pins.n, 1);
	assert_int_equal(pins_print(&pins, &again, NULL), ERR_OK);
	assert_string_equal(again, text);
}

static void many_pins_come_back(void **state)
{
	_cleanup_(pins_clear) struct pins pins = { 0 };
	_cleanup_free_ char *text = print_pins(1000);

	(void)state;
	assert_int_equal(pins_parse(text, &pins, NULL), ERR_OK);
	assert_int_equal(pins.n, 1000);
	for (size_t i = 0; i < pins.n; i++)
		assert_true(pins.pins[i].pool_guid == i);
}

static void a_file_that_is_too_large_is_refused(void **state)
{
	struct pins pins = { 0 };
	_cleanup_free_ char *text = malloc(PIN_FILE_MAX + 2);

	(void)state;
	memset(text, '\n', PIN_FILE_MAX + 1);
	text[PIN_FILE_MAX + 1] = '\0';
	assert_int_equal(pins_parse(text, &pins, NULL), ERR_FORMAT);
	text[PIN_FILE_MAX] = '\0';
	assert_int_equal(pins_parse(text, &pins, NULL), ERR_OK);
	assert_int_equal(pins.n, 0);
	pins_clear(&pins);
}

static void a_pin_without_a_pool_is_not_printed(void **state)
{
	struct pin pin = { .generation = 1 };
	struct pins pins = { 1, &pin };
	char *none = NULL;

	(void)state;
	assert_int_equal(pins_print(&pins, &none, NULL), ERR_BUG);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_pins_mean_what_they_should_and_print_the_same),
		cmocka_unit_test(bad_pins_are_refused_with_their_line),
		cmocka_unit_test(a_person_may_leave_lines_empty_and_the_last_one_open),
		cmocka_unit_test(many_pins_come_back),
		cmocka_unit_test(a_file_that_is_too_large_is_refused),
		cmocka_unit_test(a_pin_without_a_pool_is_not_printed),
	};

	return cmocka_run_group_tests_name("pin", tests, NULL, NULL);
}
