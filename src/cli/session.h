/* SPDX-License-Identifier: MIT */
/* What every verb needs: configuration, pins, the slots' context, and what a person types. */
#pragma once

#include "cli/answers.h"
#include "core/opening.h"

struct session {
	struct config config;
	struct pins pins;
	struct protector_context context;
	struct secret *answers[ANSWER_MAX]; /* what context shows to the slots */
	struct secret *vault_token;         /* an administrator's, or NULL; the same */
	struct vault_settings vault_admin;  /* where it is good */
};

/* Reads configuration and pins. The caller owns it, all zero before, and clears it. */
must_check enum err session_begin(struct session *s, const struct invocation *inv, struct err_ctx *e);
void session_clear(struct session *s);
DEFINE_CLEANUP(struct session *, session_clear)

/* How this session opens keyrings; --trust is taken from the command line. */
struct open_request session_open_request(struct session *s, const struct invocation *inv);

/* The option that comes with it. */
#define OPTION_TRUST                                                                                                   \
	{ "trust", 0, "FINGERPRINT", "trust the keyring with this fingerprint from now on, if it is the one", false }

/* Gets the answers that the command line names into the session (OPTIONS_ANSWERS). Errors: as answers_ask(). */
must_check enum err session_ask_answers(struct session *s, const struct invocation *inv, struct err_ctx *e);

/* Remembers an opened keyring, if it is not yet, and says so. */
must_check enum err session_remember(const struct keyring *k, const struct opening *o, struct err_ctx *e);
