/* SPDX-License-Identifier: MIT */
/*
 * Which slots of an imported pool a node's policy in Vault may name.
 *
 * Refuses: keyrings that this machine does not know. Whoever may set properties can write another pool's slots into a
 * header, and would have a node allowed to open those.
 */
#pragma once

#include "cli/session.h"
#include "vault/policy.h"

/* The vault slots of a pool that are made with a Transit key. The caller owns it, and clears list. */
struct grants {
	const struct session *session;
	const char *key, *node; /* up to here filled by the caller */
	size_t n;
	struct vault_grant *list;
};

/* A keyring that is left out is told on standard error. Errors: ERR_NO_SLOT if there is none; as inventory_load(). */
must_check enum err grants_collect(struct grants *g, const char *pool, struct err_ctx *e);
void grants_clear(struct grants *g);
