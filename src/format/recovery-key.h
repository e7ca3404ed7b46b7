/* SPDX-License-Identifier: MIT */
/*
 * The recovery key as a person writes and types it: 160 bits in eight groups of six letters of modhex
 * (cbdefghijklnrtuv: the same keys on every Latin keyboard), five of data and one to check them.
 *
 * Check letter: over GF(16) with polynomial x^4 + x + 1, sum of a^(i+1) * letter i (i = 0 to 4, a = x) plus the group's
 * number (0 to 7). Notices every single wrong letter, every swap of two letters and every swap of two groups.
 * Refuses: to repeat what was typed in an error; it says only which group.
 */
#pragma once

#include "base/secret.h"

enum {
	RECOVERY_KEY_SIZE = 20,  /* bytes */
	RECOVERY_GROUPS = 8,
	RECOVERY_GROUP_LETTERS = 6,
	RECOVERY_TEXT_SIZE = 56, /* 8 groups of 6, 7 hyphens, NUL */
};

/*
 * key -> text of RECOVERY_TEXT_SIZE bytes, in a secret. Letters are printed lower case, groups joined by '-'.
 * Errors: ERR_NO_MEMORY, ERR_BUG if key has another size.
 */
must_check enum err recovery_key_print(const struct secret *key, struct secret **ret_text, struct err_ctx *e);

/*
 * text (typed_size bytes, no NUL needed) -> key. Blanks, hyphens, line ends and case do not matter.
 * Errors: ERR_RECOVERY_TYPO, saying which group (1 to 8) or how many letters there are; ERR_NO_MEMORY.
 */
must_check enum err recovery_key_parse(const uint8_t *typed, size_t typed_size, struct secret **ret_key,
				       struct err_ctx *e);

/* True if typed is group number group (0 to 7) of key: what "typed back" means. Constant time in the letters. */
must_check bool recovery_key_group_matches(const struct secret *key, unsigned group, const uint8_t *typed,
					   size_t typed_size);
