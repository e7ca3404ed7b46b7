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

/* What AppRole asks for, out of the credentials of this machine. The caller clears it, on failure too. */
struct vault_credentials {
	struct secret *role_id, *secret_id;
};
/* Errors: ERR_VAULT_CREDENTIAL, ERR_CREDENTIAL_OPEN, ERR_INTERRUPTED, ERR_NO_MEMORY. Blocks: until the deadline. */
must_check enum err protector_vault_credentials(const struct vault_settings *s, struct deadline deadline,
						struct vault_credentials *ret, struct err_ctx *e);
void vault_credentials_clear(struct vault_credentials *c);
DEFINE_CLEANUP(struct vault_credentials *, vault_credentials_clear)

/*
 * The context's Vault for what is no opening of a slot: with an administrator's token where one was given, else with the
 * node's own login, whose policy may allow it. Errors: as above, ERR_USAGE for a token that is none.
 */
must_check enum err protector_vault_asking(struct protector_context *c, struct deadline deadline, struct vault **ret,
					   struct err_ctx *e);

void protector_vault_clear(struct protector_context *c);
