/* SPDX-License-Identifier: MIT */
/* The first byte says whose value it is. What parses prints to the very same bytes. */
#include <string.h>

#include "format/slot-passphrase.h"
#include "format/slot-tpm2.h"
#include "format/slot-vault.h"
#include "fuzz.h"

static char *again_keyring(const char *text)
{
	struct keyring_property p;
	char *again = NULL;

	if (keyring_property_parse(text, &p, NULL))
		return NULL;
	must(!keyring_property_print(&p, &again, NULL));
	return again;
}

static char *again_slot(const char *text)
{
	_cleanup_(slot_clear) struct slot slot = { 0 };
	struct uuid keyring;
	char *again = NULL;
	bool has;

	if (slot_parse("any", text, &slot, NULL))
		return NULL;
	must(!slot_keyring(text, &keyring, &has, NULL) && has && uuid_equal(&keyring, &slot.keyring));
	must(!slot_print(&slot, &again, NULL));
	return again;
}

static char *again_records(const char *text)
{
	struct records records;
	char *again = NULL;

	if (records_parse(text, &records, NULL))
		return NULL;
	must(!records_print(&records, &again, NULL));
	return again;
}

static char *again_tpm2(const char *text)
{
	struct slot_tpm2 sealed;
	char *again = NULL;

	if (slot_tpm2_parse(text, &sealed, NULL))
		return NULL;
	must(!slot_tpm2_print(&sealed, &again, NULL));
	return again;
}

static char *again_passphrase(const char *text)
{
	struct slot_passphrase s;
	char *again = NULL;

	if (slot_passphrase_parse(text, &s, NULL))
		return NULL;
	must(!slot_passphrase_print(&s, &again, NULL));
	return again;
}

static char *again_vault(const char *text)
{
	struct slot_vault s;
	char *again = NULL;

	if (slot_vault_parse(text, &s, NULL))
		return NULL;
	must(!slot_vault_print(&s, &again, NULL));
	return again;
}

static char *again_copy(const char *text)
{
	_cleanup_(header_copy_clear) struct header_copy copy = { 0 };
	char *again = NULL;

	if (header_copy_parse(text, &copy, NULL))
		return NULL;
	must(!header_copy_print(&copy, &again, NULL));
	return again;
}

static char *again_any(char letter, const char *text)
{
	switch (letter) {
	case 'k':
		return again_keyring(text);
	case 's':
		return again_slot(text);
	case 'r':
		return again_records(text);
	case 't':
		return again_tpm2(text);
	case 'p':
		return again_passphrase(text);
	case 'v':
		return again_vault(text);
	case 'c':
		return again_copy(text);
	default:
		return NULL;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	_cleanup_free_ char *text = strndup((const char *)data + 1, size - 1);
	must(text);
	_cleanup_free_ char *again = again_any((char)data[0], text);
	must(!again || str_equal(again, text));
	return 0;
}
