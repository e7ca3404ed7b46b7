/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/recovery-key.h"

enum {
	DATA_LETTERS = RECOVERY_GROUP_LETTERS - 1,
	ALL_LETTERS = RECOVERY_GROUPS * RECOVERY_GROUP_LETTERS,
	REDUCE = 0x13, /* x^4 + x + 1, over which GF(16) is made */
};

static const char modhex[] = "cbdefghijklnrtuv";

/* The value of a letter in either case, or -1. Looks at all sixteen, so that time tells nothing of it. */
static int letter_value(uint8_t letter)
{
	int value = -1;

	for (int v = 0; v < 16; v++)
		value = modhex[v] == (letter | 0x20) ? v : value;
	return value;
}

static bool is_separator(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '-';
}

/* Multiplies by x in GF(16). */
static uint8_t times_x(uint8_t value)
{
	return (uint8_t)(value << 1 ^ (value >> 3) * REDUCE);
}

/* The value of data letter number i of a group: four bits of the key, the high ones first. */
static uint8_t data_letter(const struct secret *key, unsigned group, unsigned i)
{
	unsigned n = group * DATA_LETTERS + i;
	uint8_t byte = secret_data(key)[n / 2];

	return n % 2 ? byte & 15 : byte >> 4;
}

/* The check letter, sum of x^(i+1) * letter i plus the group's number, by Horner's rule. */
static uint8_t check_letter(const struct secret *key, unsigned group)
{
	uint8_t sum = 0;

	for (unsigned i = DATA_LETTERS; i-- > 0;)
		sum = times_x(sum ^ data_letter(key, group, i));
	return sum ^ (uint8_t)group;
}

static uint8_t group_letter(const struct secret *key, unsigned group, unsigned i)
{
	return i < DATA_LETTERS ? data_letter(key, group, i) : check_letter(key, group);
}

enum err recovery_key_print(const struct secret *key, struct secret **ret_text, struct err_ctx *e)
{
	struct secret *text = NULL;

	if (secret_size(key) != RECOVERY_KEY_SIZE)
		return err_set(e, ERR_BUG, "a recovery key of %zu bytes", secret_size(key));
	enum err err = secret_new(RECOVERY_TEXT_SIZE, &text, e);
	if (err)
		return err;
	char *out = (char *)secret_bytes(text);
	for (unsigned group = 0; group < RECOVERY_GROUPS; group++) {
		for (unsigned i = 0; i < RECOVERY_GROUP_LETTERS; i++)
			*out++ = modhex[group_letter(key, group, i)];
		*out++ = group + 1 < RECOVERY_GROUPS ? '-' : '\0';
	}
	*ret_text = text;
	return ERR_OK;
}

/* Puts a data letter's four bits into the key, which is all zero there. */
static void put_data_letter(struct secret *key, size_t place, int value)
{
	size_t n = place / RECOVERY_GROUP_LETTERS * DATA_LETTERS + place % RECOVERY_GROUP_LETTERS;

	secret_bytes(key)[n / 2] |= (uint8_t)(n % 2 ? value : value << 4);
}

static enum err mistyped(size_t group, struct err_ctx *e)
{
	return err_set(e, ERR_RECOVERY_TYPO, "group %zu of %d", group + 1, RECOVERY_GROUPS);
}

/*
 * Takes the letter at place (0 to 47), reading from the left; at a group's end the data letters before it are in key.
 * So the first group with a mistake is told, even when letters are missing or too many behind it.
 */
static enum err take_letter(struct secret *key, size_t place, uint8_t letter, struct err_ctx *e)
{
	unsigned group = (unsigned)(place / RECOVERY_GROUP_LETTERS);
	int value = letter_value(letter);

	if (value < 0)
		return mistyped(group, e);
	if (place % RECOVERY_GROUP_LETTERS < DATA_LETTERS)
		put_data_letter(key, place, value);
	else if (value != check_letter(key, group))
		return mistyped(group, e);
	return ERR_OK;
}

enum err recovery_key_parse(const uint8_t *typed, size_t typed_size, struct secret **ret_key, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *key = NULL;
	size_t letters = 0;
	enum err err = secret_new(RECOVERY_KEY_SIZE, &key, e);

	for (size_t i = 0; !err && i < typed_size; i++) {
		if (is_separator(typed[i]))
			continue;
		if (letters < ALL_LETTERS)
			err = take_letter(key, letters, typed[i], e);
		letters++;
	}
	if (err)
		return err;
	if (letters != ALL_LETTERS)
		return err_set(e, ERR_RECOVERY_TYPO, "%zu letters instead of %d", letters, ALL_LETTERS);
	*ret_key = TAKE(key);
	return ERR_OK;
}

bool recovery_key_group_matches(const struct secret *key, unsigned group, const uint8_t *typed, size_t typed_size)
{
	unsigned letters = 0, different = 0;

	if (secret_size(key) != RECOVERY_KEY_SIZE || group >= RECOVERY_GROUPS)
		return false;
	for (size_t i = 0; i < typed_size; i++) {
		if (is_separator(typed[i]))
			continue;
		if (letters == RECOVERY_GROUP_LETTERS)
			return false;
		different |= (unsigned)letter_value(typed[i]) ^ group_letter(key, group, letters);
		letters++;
	}
	return letters == RECOVERY_GROUP_LETTERS && different == 0;
}
