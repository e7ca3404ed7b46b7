/* SPDX-License-Identifier: MIT */
/* zseal vault enroll. */
#include <string.h>

#include "cli/output.h"
#include "cli/vault-work.h"
#include "sys/credstore.h"
#include "sys/descriptor.h"
#include "vault/policy.h"

enum { CREDENTIAL_TIMEOUT_MS = 60000 };

static enum err store(const char *name, const struct secret *s, bool *ret_host_only, struct err_ctx *e)
{
	return credstore_keep(name, s, deadline_in(CREDENTIAL_TIMEOUT_MS), ret_host_only, e);
}

static enum err unwrap(struct vault_work *w, struct vault_secret_id *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *wrapped = NULL;
	char role[VAULT_ROLE_SIZE];
	long fd = -1;
	enum err err = invocation_number(w->inv, "wrapped-token-fd", INT32_MAX, -1, &fd, e);

	if (!err && fd < 0)
		err = err_set(e, ERR_USAGE, "--wrapped-token-fd says where the wrapping token comes from");
	if (!err)
		err = descriptor_check_source((int)fd, e);
	if (!err)
		err = descriptor_read((int)fd, &wrapped, e);
	if (!err)
		err = vault_open(&w->session.config.vault, &w->vault, e);
	if (err)
		return err;
	vault_role_name(w->node, role);
	vault_set_deadline(w->vault, vault_work_patience(&w->session.config.vault));
	return vault_secret_id_unwrap(w->vault, wrapped, role, ret, e);
}

static enum err store_role_id(const struct vault_work *w, bool *ret_host_only, struct err_ctx *e)
{
	const char *role_id = invocation_value(w->inv, "role-id");
	_cleanup_secret_ struct secret *s = NULL;

	if (!role_id)
		return credstore_check(w->session.config.vault.role_id, e);
	if (!*role_id || strlen(role_id) > 256)
		return err_set(e, ERR_USAGE, "--role-id takes what bao read -field=role_id prints");
	enum err err = secret_new_copy(role_id, strlen(role_id), &s, e);
	return err ? err : store(w->session.config.vault.role_id, s, ret_host_only, e);
}

/* The role_id first: the wrapping token can be used once, and what goes wrong before costs none. */
static enum err enroll(struct vault_work *w, bool *ret_host_only, struct err_ctx *e)
{
	const struct vault_settings *s = &w->session.config.vault;
	_cleanup_(vault_secret_id_clearp) struct vault_secret_id *secret_id = &(struct vault_secret_id){ 0 };
	enum err err = store_role_id(w, ret_host_only, e);

	if (!err)
		err = unwrap(w, secret_id, e);
	if (!err)
		err = store(s->secret_id, secret_id->text, ret_host_only, e);
	return err ? err : vault_lifetime_remember(s, secret_id->made, secret_id->ttl_s, e);
}

static enum err run_enroll(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(vault_work_clearp) struct vault_work *w = &(struct vault_work){ 0 };
	bool host_only = false;
	enum err err = vault_work_begin(w, inv, "enrolling this machine", e);

	if (!err && w->session.config.vault.login == VAULT_LOGIN_CERT)
		err = err_set(e, ERR_USAGE, "there is nothing to enroll: [vault] login is cert in zseal.conf; "
					    "zseal vault login-test tries it");
	if (!err)
		err = enroll(w, &host_only, e);
	if (err)
		return err_wrap(e, err, "vault enroll");
	if (host_only)
		output_host_only();
	if (!inv->json)
		printf("role_id and secret_id are kept in " CREDSTORE_ENCRYPTED ", encrypted to this machine\n");
	return err_wrap(e, vault_work_log_in(w, e), "vault enroll");
}

static const struct option_spec enroll_options[] = {
	{ "wrapped-token-fd", 0, "N", "read the token that wraps the secret_id from file descriptor N", false },
	{ "role-id", 0, "ID", "the role_id, if it is not kept here yet", false },
	{ 0 },
};

const struct verb verb_vault_enroll = {
	.name = "vault enroll",
	.arguments = "",
	.summary = "Take this machine's secret_id out of a wrapping token, encrypt it, and log in with it",
	.details =
		"The token is looked at first: one that did not come from this machine's role, or was used before, is\n"
		"refused. What it held is kept in " CREDSTORE_ENCRYPTED ", encrypted to host and TPM.",
	.options = enroll_options,
	.lists = true,
	.run = run_enroll,
};
