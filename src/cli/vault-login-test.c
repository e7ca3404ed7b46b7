/* SPDX-License-Identifier: MIT */
/* zseal vault login-test. */
#include "cli/vault-work.h"

static enum err run_login_test(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(vault_work_clearp) struct vault_work *w = &(struct vault_work){ 0 };
	enum err err = vault_work_begin(w, inv, "logging in", e);

	return err ? err : err_wrap(e, vault_work_log_in(w, e), "vault login-test");
}

const struct verb verb_vault_login_test = {
	.name = "vault login-test",
	.arguments = "",
	.summary = "Log this machine in to Vault, as an unlock would",
	.lists = true,
	.run = run_login_test,
};
