/* SPDX-License-Identifier: MIT */
/*
 * Pins: what this machine remembers of a keyring (design, section 3). Nothing in them is secret. A file of them is
 * text, one JSON object a line, so that an administrator can read, copy and delete them. Pure, like header.h.
 */
#pragma once

#include "format/slot-tpm2.h"

enum { POOL_NAME_SIZE = 256, PIN_FILE_MAX = 4 << 20 };

struct pin {
	char pool[POOL_NAME_SIZE]; /* name when it was written, a hint for messages */
	uint64_t pool_guid;        /* 0: the pool was about to be made */
	struct uuid keyring;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	uint32_t generation;       /* highest seen */
	uint8_t epoch[EPOCH_SIZE];
	bool has_srk;
	uint8_t srk_name[TPM2_NAME_SIZE]; /* of this machine's TPM when it sealed for the keyring */
};

struct pins {
	size_t n;
	struct pin *pins;
};

/*
 * text <-> struct; errors as in header.h, with the number of the line. Empty text is no pins. An empty line is skipped,
 * a last line without its end is read; a second pin of one keyring in one pool is an error.
 */
must_check enum err pins_parse(const char *text, struct pins *ret, struct err_ctx *e);
must_check enum err pins_print(const struct pins *pins, char **ret, struct err_ctx *e);
void pins_clear(struct pins *pins);
