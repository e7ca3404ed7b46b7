/* SPDX-License-Identifier: MIT */
/*
 * An administrator at his Vault: zseal.conf, and over it what the official client takes from the environment (BAO_NAME,
 * else VAULT_NAME, of ADDR, TOKEN, CACERT, CAPATH, CLIENT_CERT, CLIENT_KEY, CLIENT_TIMEOUT, MAX_RETRIES, NAMESPACE,
 * TLS_SERVER_NAME).
 *
 * Refuses: a token on the command line; SKIP_VERIFY.
 */
#pragma once

#include "cli/session.h"

#define OPTIONS_VAULT_ADMIN                                                                                            \
	{ "vault-token-fd", 0, "N", "read an administrator's token for Vault from file descriptor N", false }

/*
 * Sets what the session's context makes vault slots with; without a token that is the node's own login.
 * Errors: ERR_USAGE, ERR_NO_INPUT, ERR_INTERRUPTED, ERR_IO, ERR_NO_MEMORY.
 */
must_check enum err vault_admin_get(const struct invocation *inv, struct session *s, struct err_ctx *e);
