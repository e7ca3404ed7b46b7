/* SPDX-License-Identifier: MIT */
/* What parses prints, and from then on stays the same: only empty lines and the last line's end may change at first. */
#include <string.h>

#include "format/pin.h"
#include "fuzz.h"

/* The text as zseal would write it, or NULL. */
static char *print_again(const char *text)
{
	_cleanup_(pins_clear) struct pins pins = { 0 };
	char *again = NULL;

	if (pins_parse(text, &pins, NULL))
		return NULL;
	must(!pins_print(&pins, &again, NULL));
	return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	must(text);
	_cleanup_free_ char *first = print_again(text);
	if (!first)
		return 0;
	_cleanup_free_ char *second = print_again(first);
	must(second && str_equal(first, second));
	return 0;
}
