/* SPDX-License-Identifier: MIT */
/* zseal vault status: what each server says of itself, and how long this machine may log in. */
#include <string.h>

#include "cli/output.h"
#include "cli/vault-work.h"
#include "protector/vault.h"

static json_t *health_json(const struct vault_health *h)
{
	json_t *j = json_pack("{s:s, s:s, s:s}", "address", h->address, "state",
			      h->error.code ? err_info(h->error.code)->name
			      : h->standby  ? "standby"
					    : "active",
			      "version", h->version);

	if (h->error.code)
		json_object_set_new(j, "error", output_error_json(&h->error));
	return j;
}

static void print_health(const struct vault_health *h)
{
	printf("%s: %s%s%s\n", h->address,
	       h->error.code ? err_info(h->error.code)->sentence
	       : h->standby  ? "standby"
			     : "active",
	       *h->version ? ", version " : "", output_printable(h->version).text);
	if (h->error.code)
		output_reason(NULL, &h->error);
}

static const char *const login_names[] = { [VAULT_LOGIN_APPROLE] = "approle", [VAULT_LOGIN_CERT] = "cert" };

static json_t *login_json(const struct vault_settings *s)
{
	json_t *j = json_pack("{s:s}", "by", login_names[s->login]);
	struct vault_lifetime l;
	struct err_ctx e = { 0 };

	vault_lifetime_get(s, &l);
	if (l.known)
		json_object_set_new(j, "ends", l.ends ? json_integer((json_int_t)l.ends) : json_null());
	if (vault_lifetime_check(s, &e))
		json_object_set_new(j, "warning", output_error_json(&e));
	return j;
}

static void print_login(const struct vault_settings *s)
{
	const char *what = s->login == VAULT_LOGIN_CERT ? "certificate" : "secret_id";
	char date[VAULT_LIFETIME_SIZE];
	struct vault_lifetime l;
	struct err_ctx e = { 0 };

	vault_lifetime_get(s, &l);
	vault_lifetime_print(l.ends, date);
	printf("this machine logs in by %s, which %s%s\n", what,
	       !l.known  ? "ends when nobody here knows"
	       : !l.ends ? "does not end"
			 : "ends on ",
	       l.known && l.ends ? date : "");
	if (vault_lifetime_check(s, &e))
		output_warning(NULL, &e);
}

/* One that serves is enough; a standby serves as long as there is a leader. */
static enum err judge_health(const struct vault_health *all, unsigned n, struct err_ctx *e)
{
	for (unsigned i = 0; i < n; i++)
		if (!all[i].error.code)
			return ERR_OK;
	*e = all[0].error;
	e->depth = 0; /* its line has told why */
	return e->code;
}

static enum err do_status(struct vault_work *w, struct err_ctx *e)
{
	const struct vault_settings *s = &w->session.config.vault;
	struct vault_health all[VAULT_ADDRESSES_MAX] = { 0 };
	json_t *list = NULL;
	enum err err = vault_open(s, &w->vault, e), printed = ERR_OK;

	if (!err) {
		vault_set_deadline(w->vault, deadline_in(s->request_timeout_ms));
		err = vault_survey(w->vault, all, e);
	}
	if (err)
		return err;
	list = w->inv->json ? json_array() : NULL;
	for (unsigned i = 0; i < s->n_addresses; i++) {
		if (w->inv->json)
			json_array_append_new(list, health_json(&all[i]));
		else
			print_health(&all[i]);
	}
	if (w->inv->json)
		printed = output_json(json_pack("{s:s, s:s, s:o, s:o}", "cluster", s->cluster, "node", w->node, "login",
						login_json(s), "servers", list), e);
	else
		print_login(s);
	return printed ? printed : judge_health(all, s->n_addresses, e);
}

static enum err run_status(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(vault_work_clearp) struct vault_work *w = &(struct vault_work){ 0 };
	enum err err = vault_work_begin(w, inv, "asking Vault", e);

	return err ? err : do_status(w, e);
}

const struct verb verb_vault_status = {
	.name = "vault status",
	.arguments = "",
	.summary = "Ask each of Vault's servers how it is, without logging in",
	.lists = true,
	.run = run_status,
};
