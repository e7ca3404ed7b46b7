/* SPDX-License-Identifier: MIT */
/*
 * Makes Vault as vault slots need it: mounts, a Transit key, a policy and an AppRole for a node. Each thing is looked at
 * first, and written only if it is not as it should be: a second run changes nothing.
 *
 * Refuses: to change a key or a mount that is there, to take a policy for its own that somebody else wrote.
 */
#pragma once

#include "vault/policy.h"

enum step_state { STEP_THERE, STEP_DONE, STEP_WOULD, STEP_DIFFERS };

/* One thing that set-up sees to; the request only if there is one to make. */
struct vault_step {
	enum step_state state;
	const char *what, *method, *path;
	const char *body; /* JSON; nothing of it is secret */
};

struct vault_setup {
	struct vault *vault; /* with an administrator's token */
	const struct vault_settings *settings;
	const char *node, *key; /* names of the node and of the Transit key */
	const char *cidrs;      /* from where the node may log in, separated by commas, or NULL: from anywhere */
	unsigned token_ttl_s, secret_id_ttl_s;
	bool mounts;            /* make mounts that are missing */
	bool dry_run;
	size_t n_grants;        /* slots that the node shall open */
	const struct vault_grant *grants;
	void (*tell)(void *arg, const struct vault_step *step);
	void *arg;
	bool knows_audit;       /* filled; false within a namespace, where a server's audit can be neither seen nor set */
	bool has_audit;         /* filled: some audit device is there */
};

/*
 * Errors: ERR_VAULT_NOT_FOUND for a missing mount that is not to be made; ERR_VAULT_POLICY; ERR_VAULT_REQUEST; those
 * of vault_ask(). What was done before an error stays, and was told.
 */
must_check enum err vault_setup(struct vault_setup *s, struct err_ctx *e);
