/* SPDX-License-Identifier: MIT */
/* What every verb needs: configuration, pins, the slots' context, and what a person types. */
#pragma once

#include "cli/verb.h"
#include "core/opening.h"

struct session {
	struct config config;
	struct pins pins;
	struct protector_context context;
	struct secret *recovery_key;
};

/* Reads configuration and pins. The caller owns it, all zero before, and clears it. */
must_check enum err session_begin(struct session *s, const struct invocation *inv, struct err_ctx *e);
void session_clear(struct session *s);
DEFINE_CLEANUP(struct session *, session_clear)

/* How this session opens keyrings; --trust is taken from the command line. */
struct open_request session_open_request(struct session *s, const struct invocation *inv);

/* The options that come with it. */
#define OPTION_TRUST                                                                                                   \
	{ "trust", 0, "FINGERPRINT", "trust the keyring with this fingerprint from now on, if it is the one", false }
#define OPTION_RECOVERY    { "recovery", 0, NULL, "open with the recovery key, asked for on the terminal", false }
#define OPTION_RECOVERY_FD { "recovery-fd", 0, "N", "open with the recovery key, read from file descriptor N", false }

/*
 * If --recovery or --recovery-fd was given, gets the key into the session: at a terminal, with another try after a
 * mistyped group. Errors: ERR_RECOVERY_TYPO, ERR_NO_INPUT, ERR_USAGE.
 */
must_check enum err session_ask_recovery(struct session *s, const struct invocation *inv, struct err_ctx *e);

/* Remembers an opened keyring, if it is not yet, and says so. */
must_check enum err session_remember(const struct keyring *k, const struct opening *o, struct err_ctx *e);
