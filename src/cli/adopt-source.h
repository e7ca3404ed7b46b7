/* SPDX-License-Identifier: MIT */
/* Where a root's key is that zseal takes over: what the command line says, and getting it, straight into a secret. */
#pragma once

#include "cli/adopt-vault.h"
#include "cli/session.h"
#include "core/adopt-key.h"
#include "core/adopt-leftovers.h"

enum source_kind { SOURCE_NONE, SOURCE_FILE, SOURCE_DESCRIPTOR, SOURCE_PROMPT, SOURCE_TPM, SOURCE_CLEVIS, SOURCE_VAULT };

struct source {
	enum source_kind kind;
	const char *path; /* of a key file or a JWE */
	int fd;
	struct tpm2_kept kept;
	struct vault_source vault;
	const struct invocation *inv; /* that says so */
};

#define OPTIONS_SOURCE                                                                                                 \
	{ "key-file", 0, "FILE", "the key is in FILE: 32 bytes, those in hexadecimal or base64, or the passphrase", false }, \
	{ "key-fd", 0, "N", "the same, read from file descriptor N to its end", false },                               \
	{ "prompt", 0, NULL, "it is typed: the passphrase, or 64 hexadecimal digits", false },                         \
	{ "tpm-handle", 0, "HANDLE", "it is sealed in the TPM at this persistent handle", false },                     \
	{ "tpm-pcrs", 0, "PCRS", "to these PCRs, such as sha256:0,7", false },                                    \
	{ "clevis", 0, "FILE", "it is in this JWE, which clevis decrypts", false },                                    \
	OPTIONS_VAULT_SOURCE

/*
 * Chooses: by an option, else the file that keylocation names, else the terminal.
 * Errors: ERR_USAGE for two of them, ERR_NO_INPUT if there is none.
 */
must_check enum err source_choose(const struct invocation *inv, const struct adopt_check *check, struct source *ret,
				  struct err_ctx *e);

/*
 * Gets what is there. Errors: ERR_IO, ERR_KEY_SHAPE, ERR_TPM_*, ERR_NO_PROGRAM, ERR_CHILD, as terminal_ask() and
 * vault_source_get().
 */
must_check enum err source_get(struct source *s, struct session *session, const struct adopt_check *check,
			       struct secret **ret, struct err_ctx *e);
