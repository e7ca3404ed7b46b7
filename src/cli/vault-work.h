/* SPDX-License-Identifier: MIT */
/*
 * What the verbs about Vault do alike: read zseal.conf, know what this machine is called there, and log it in.
 */
#pragma once

#include "cli/vault-admin.h"

/* Of one verb; all zero before, and cleared at its end. */
struct vault_work {
	const struct invocation *inv;
	struct session session;
	struct vault *vault; /* NULL until the verb opens one */
	char node[VAULT_WORD_SIZE];
};
void vault_work_clear(struct vault_work *w);
DEFINE_CLEANUP(struct vault_work *, vault_work_clear)

/* Reads the configuration. what is what needs root, for the refusal. */
must_check enum err vault_work_begin(struct vault_work *w, const struct invocation *inv, const char *what,
				     struct err_ctx *e);

/* How long a verb that makes some requests may take: a request that an administrator is ready to wait for gets that. */
struct deadline vault_work_patience(const struct vault_settings *s);

/* Logs in as an unlock would, and prints where and for how long. Errors: as protector_vault_node(). */
must_check enum err vault_work_log_in(struct vault_work *w, struct err_ctx *e);
