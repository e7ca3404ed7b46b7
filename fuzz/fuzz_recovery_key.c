/* SPDX-License-Identifier: MIT */
/* What was typed and accepted is a key that prints, and typing that gives the same key. */
#include "format/recovery-key.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_secret_ struct secret *key = NULL, *text = NULL, *again = NULL;

	if (recovery_key_parse(data, size, &key, NULL))
		return 0;
	must(!recovery_key_print(key, &text, NULL));
	must(!recovery_key_parse(secret_data(text), secret_size(text) - 1, &again, NULL));
	must(secret_equal(key, again));
	return 0;
}
