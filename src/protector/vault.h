/* SPDX-License-Identifier: MIT */
/* What the vault protector shares with protector.c and the verbs about Vault. */
#pragma once

#include "protector/protector.h"

/*
 * The context's Vault, with this node's login, made on first need; it stays the context's. Errors: those of vault_open()
 * and vault_login(), ERR_VAULT_CREDENTIAL; one that was met once is met again at no cost.
 */
must_check enum err protector_vault_node(struct protector_context *c, struct deadline deadline, struct vault **ret,
					 struct err_ctx *e);

/*
 * The context's Vault for what is no opening of a slot: with an administrator's token where one was given, else with the
 * node's own login, whose policy may allow it. Errors: as above, ERR_USAGE for a token that is none.
 */
must_check enum err protector_vault_asking(struct protector_context *c, struct deadline deadline, struct vault **ret,
					   struct err_ctx *e);

void protector_vault_clear(struct protector_context *c);
