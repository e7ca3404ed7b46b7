/* SPDX-License-Identifier: MIT */
#include "cli/output.h"
#include "cli/vault-work.h"
#include "protector/vault.h"
#include "sys/process.h"
#include "vault/policy.h"

/* Set-up makes a dozen requests, which may take three times what a slot may with its two. */
enum { SETUP_SLOTS = 3 };

void vault_work_clear(struct vault_work *w)
{
	vault_close(w->vault);
	session_clear(&w->session);
}

enum err vault_work_begin(struct vault_work *w, const struct invocation *inv, const char *what, struct err_ctx *e)
{
	enum err err = process_require_root(e, what);

	w->inv = inv;
	if (!err)
		err = session_begin(&w->session, inv, e);
	vault_node_name(&w->session.config.vault, w->node);
	return err;
}

struct deadline vault_work_patience(const struct vault_settings *s)
{
	uint64_t whole_ms = SETUP_SLOTS * s->timeout_ms;

	return deadline_in(s->request_timeout_ms > whole_ms ? s->request_timeout_ms : whole_ms);
}

enum err vault_work_log_in(struct vault_work *w, struct err_ctx *e)
{
	struct vault_login_info info;
	struct vault *v;
	enum err err =
		protector_vault_node(&w->session.context, deadline_in(w->session.config.vault.timeout_ms), &v, e);

	if (err)
		return err;
	info = vault_login_info(v);
	if (w->inv->json)
		return output_json(json_pack("{s:s, s:s, s:s, s:I}", "node", w->node, "address", info.address, "token",
					     info.batch ? "batch" : "service", "ttl_s", (json_int_t)info.ttl_s),
				   e);
	printf("logged in at %s as zseal-%s: a %s token for %llu s\n", info.address, w->node,
	       info.batch ? "batch" : "service", (unsigned long long)info.ttl_s);
	return ERR_OK;
}
