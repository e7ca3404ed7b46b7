/* SPDX-License-Identifier: MIT */
/* A key that adopt takes out of a site's Vault: from KV of version 2, as it is or wrapped by Transit. */
#pragma once

#include "cli/session.h"
#include "cli/vault-admin.h"

/* What was read, and how. */
struct vault_source {
	struct kv_entry entry;
	struct site_key key; /* if entry.wrapped */
};

#define OPTIONS_VAULT_SOURCE                                                                                           \
	{ "vault-kv", 0, "PATH", "it is in Vault's KV (version 2) at PATH; {node} stands for this node", false },      \
	{ "vault-kv-mount", 0, "MOUNT", "where that KV is mounted ([vault] kv-mount; else Vault is asked)", false },   \
	{ "vault-field", 0, "NAME", "the field that has it, if there are several", false },                            \
	{ "vault-transit", 0, "KEY", "that field was wrapped with this key of Transit: KEY or MOUNT/KEY", false },     \
	{ "vault-context", 0, "CONTEXT", "the context for a key of Transit that derives, in base64", false },          \
	OPTIONS_VAULT_ADMIN

/* Whether its options go together. Errors: ERR_USAGE. */
must_check enum err vault_source_check(const struct invocation *inv, struct err_ctx *e);

/*
 * Gets the key, as an administrator if there is a token, else by the node's login. Owns: the caller frees *ret_given.
 * Errors: ERR_USAGE, those of vault_admin_get(), protector_vault_asking(), vault_entry_take(), vault_transit_unwrap().
 */
must_check enum err vault_source_get(const struct invocation *inv, struct session *session, struct vault_source *ret,
				     struct secret **ret_given, struct err_ctx *e);
