/* SPDX-License-Identifier: MIT */
/*
 * What a node may do in Vault: decrypt for the slots that it hosts, each named by its context, and give its token back.
 * Written as JSON, which Vault takes for HCL, so that it can be read again, and a context added to it.
 */
#pragma once

#include "vault/vault.h"

/* The name of this machine in Vault: zseal.conf's, else its host's, without what a name there cannot have. */
void vault_node_name(const struct vault_settings *s, char ret[static VAULT_WORD_SIZE]);

/* "zseal-NODE", of its policy and its AppRole. */
enum { VAULT_ROLE_SIZE = VAULT_WORD_SIZE + 8 };
void vault_role_name(const char *node, char ret[static VAULT_ROLE_SIZE]);

/* A policy that lets a node give its token back, and nothing else; NULL without memory. */
json_t *vault_policy_new(void);

/*
 * The policy of a node as JSON: a new one if there is none. Owns: the caller frees *ret.
 * Errors: ERR_VAULT_POLICY for one that zseal did not write; those of vault_ask().
 */
must_check enum err vault_policy_load(struct vault *v, const char *name, json_t **ret, struct err_ctx *e);

/*
 * Lets a policy decrypt with a key, for one context more (NULL: none yet). True in *ret_changed if it did not before.
 * Errors: ERR_NO_MEMORY.
 */
must_check enum err vault_policy_allow(json_t *policy, const struct vault_settings *s, const struct transit_key *key,
				       bool with_context, bool *ret_changed, struct err_ctx *e);

/* Takes that context out again. True in *ret_changed if it was there. Errors: ERR_NO_MEMORY. */
must_check enum err vault_policy_forbid(json_t *policy, const struct vault_settings *s, const struct transit_key *key,
					bool *ret_changed, struct err_ctx *e);

/* The same for reading a path in KV. */
must_check enum err vault_policy_allow_kv(json_t *policy, const struct vault_settings *s, const char *path,
					  bool *ret_changed, struct err_ctx *e);

/* A slot that a node may open, and where KV has a copy of it for the node, or "". */
struct vault_grant {
	uint8_t context[VAULT_CONTEXT_SIZE];
	char kv[VAULT_KV_SIZE];
};

/* All that were made with one Transit key. */
struct vault_grants {
	const char *key;
	size_t n;
	const struct vault_grant *list;
};

/* Lets a policy open these, and whatever it may open already. As vault_policy_allow(). */
must_check enum err vault_policy_grant(json_t *policy, const struct vault_settings *s,
				       const struct vault_grants *grants, bool *ret_changed, struct err_ctx *e);

must_check enum err vault_policy_store(struct vault *v, const char *name, const json_t *policy, struct err_ctx *e);

/* The same policy in HCL, for Terraform and its like; the caller frees it. Errors: ERR_NO_MEMORY. */
must_check enum err vault_policy_hcl(const json_t *policy, char **ret, struct err_ctx *e);

/* What an administrator of these slots needs, and no more. */
must_check enum err vault_policy_admin(const struct vault_settings *s, json_t **ret, struct err_ctx *e);

/* The text that Vault keeps. */
must_check enum err vault_policy_text(const json_t *policy, char **ret, struct err_ctx *e);
