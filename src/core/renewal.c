/* SPDX-License-Identifier: MIT */
#include "core/renewal.h"
#include "event/event.h"
#include "protector/vault.h"
#include "sys/credstore.h"
#include "sys/file.h"
#include "vault/policy.h"

enum { LOCK_TIMEOUT_MS = 10000, CREDENTIAL_TIMEOUT_MS = 60000, DUE_MAX_S = 30 * 86400 };

#define LOCK_PATH VAULT_STATE_PATH "/.lock-renewal"

/* What there is while it goes on. */
struct work {
	struct renewal *renewal;
	char role[VAULT_ROLE_SIZE];
	struct vault_credentials old;
	struct vault_secret_id fresh;
	struct vault *vault, *proof; /* with a login by the old one, by the new one */
	int lock;
};

static void work_clear(struct work *w)
{
	vault_close(w->vault);
	vault_close(w->proof);
	vault_secret_id_clear(&w->fresh);
	vault_credentials_clear(&w->old);
	fd_close(w->lock);
}
DEFINE_CLEANUP(struct work *, work_clear)

static struct deadline patience(const struct vault_settings *s)
{
	return deadline_in(s->timeout_ms);
}

/* One whose end nobody here knows is renewed, and then it is known. */
static bool is_due(const struct renewal *r)
{
	const struct vault_lifetime *l = &r->lifetime;
	uint64_t half_s = (l->ends - l->made) / 2;
	uint64_t within_s = r->within_s ? r->within_s : half_s < DUE_MAX_S ? half_s : DUE_MAX_S;

	if (r->now || !l->known)
		return true;
	return l->ends && vault_lifetime_left_s(l) <= within_s;
}

static enum err begin(struct work *w, struct err_ctx *e)
{
	bool changes = !w->renewal->dry_run;
	char node[VAULT_WORD_SIZE];
	enum err err = changes ? file_make_folder(VAULT_STATE_PATH, 0700, e) : ERR_OK;

	if (!err && changes)
		err = file_lock(LOCK_PATH, deadline_in(LOCK_TIMEOUT_MS), &w->lock, e);
	if (err)
		return err;
	vault_node_name(w->renewal->settings, node);
	vault_role_name(node, w->role);
	vault_lifetime_get(w->renewal->settings, &w->renewal->lifetime);
	return ERR_OK;
}

static enum err connect_to(struct work *w, struct vault **ret, struct err_ctx *e)
{
	enum err err = vault_open(w->renewal->settings, ret, e);

	if (!err)
		vault_set_deadline(*ret, patience(w->renewal->settings));
	return err;
}

static enum err log_in_by_old(struct work *w, struct err_ctx *e)
{
	const struct vault_settings *s = w->renewal->settings;
	enum err err = protector_vault_credentials(s, deadline_in(CREDENTIAL_TIMEOUT_MS), &w->old, e);

	if (!err)
		err = connect_to(w, &w->vault, e);
	return err ? err : vault_login(w->vault, w->old.role_id, w->old.secret_id, e);
}

/*
 * Over one connection, so that the server which knows the new one is the one that it logs in at: a login too early would
 * be a wrong one, and some wrong ones lock a role. Where the policy does not let us look, we try.
 */
static enum err prove(struct work *w, struct err_ctx *e)
{
	struct err_ctx own = { 0 };
	enum err err = connect_to(w, &w->proof, e);

	if (!err)
		err = vault_borrow_token(w->proof, w->vault, e);
	if (err)
		return err;
	err = vault_secret_id_await(w->proof, w->role, w->fresh.text, &own);
	if (err && err != ERR_VAULT_DENIED) {
		*e = own;
		return err;
	}
	return vault_login(w->proof, w->old.role_id, w->fresh.text, e);
}

/* Of no use to anybody. That it may not be destroyed was so when it was made: then it ends by itself. */
static void give_up_fresh(struct work *w)
{
	vault_set_deadline(w->vault, patience(w->renewal->settings));
	(void)!vault_secret_id_destroy(w->vault, w->role, w->fresh.text, NULL);
}

static enum err make(struct work *w, struct err_ctx *e)
{
	enum err err;

	vault_set_deadline(w->vault, patience(w->renewal->settings));
	err = vault_secret_id_make(w->vault, w->role, &w->fresh, e);
	if (err)
		return err_wrap(e, err, "making a secret_id for %s, which its policy allows after zseal vault setup "
					"--renewable", w->role);
	err = prove(w, e);
	if (err)
		give_up_fresh(w);
	return err_wrap(e, err, "logging in with the new secret_id; the old one is kept");
}

/* What unlocking would read now. */
static enum err read_kept(const struct work *w, struct secret **ret, struct err_ctx *e)
{
	bool plain;

	return credstore_read(w->renewal->settings->secret_id, deadline_in(CREDENTIAL_TIMEOUT_MS), ret, &plain, e);
}

static enum err prove_kept(const struct work *w, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *kept = NULL;
	enum err err = read_kept(w, &kept, e);

	if (!err && !secret_equal(kept, w->fresh.text))
		err = err_set(e, ERR_CREDENTIAL, "somebody else has changed %s", w->renewal->settings->secret_id);
	return err;
}

/* Keeping can fail when it is done all but for the last word of the disk: only what is surely not kept is destroyed. */
static enum err keep(struct work *w, struct err_ctx *e)
{
	struct renewal *r = w->renewal;
	_cleanup_secret_ struct secret *kept = NULL;
	enum err err = credstore_keep(r->settings->secret_id, w->fresh.text, deadline_in(CREDENTIAL_TIMEOUT_MS),
				      &r->host_only, e);

	if (err && !read_kept(w, &kept, NULL) && secret_equal(kept, w->old.secret_id))
		give_up_fresh(w);
	return err ? err : prove_kept(w, e);
}

static void destroy_old(struct work *w)
{
	vault_set_deadline(w->proof, patience(w->renewal->settings));
	w->renewal->old_destroyed = !vault_secret_id_destroy(w->proof, w->role, w->old.secret_id, NULL);
}

static enum err exchange(struct work *w, struct err_ctx *e)
{
	struct renewal *r = w->renewal;
	enum err err = make(w, e);

	if (!err)
		err = keep(w, e);
	if (err)
		return err;
	r->outcome = RENEWAL_DONE;
	event_emit(&(struct event){ .id = EVENT_VAULT_LOGIN_RENEWED, .credential = r->settings->secret_id });
	/* not to remember costs one more renewal, and nothing else */
	err = vault_lifetime_remember(r->settings, w->fresh.made, w->fresh.ttl_s, e);
	destroy_old(w);
	vault_lifetime_get(r->settings, &r->lifetime);
	return err;
}

enum err renewal_run(struct renewal *r, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ .renewal = r, .lock = -1 };
	enum err err = ERR_OK;

	if (r->settings->login == VAULT_LOGIN_CERT)
		return err_set(e, ERR_USAGE, "there is no secret_id to renew: [vault] login is cert in zseal.conf");
	err = begin(w, e);
	if (err || !is_due(r))
		return err;
	err = log_in_by_old(w, e);
	if (!err && r->dry_run)
		r->outcome = RENEWAL_WOULD;
	else if (!err)
		err = exchange(w, e);
	return err;
}
