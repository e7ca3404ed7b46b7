/* SPDX-License-Identifier: MIT */
/* zseal vault renew: a new secret_id in time, for a timer. */
#include "cli/output.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "core/renewal.h"
#include "sys/process.h"

enum { WITHIN_MAX_S = 10 * 366 * 86400 };

static json_t *to_json(const struct renewal *r)
{
	static const char *const names[] = {
		[RENEWAL_NOT_DUE] = "not-due", [RENEWAL_WOULD] = "would", [RENEWAL_DONE] = "renewed",
	};
	json_t *j = json_pack("{s:s}", "outcome", names[r->outcome]);

	if (r->lifetime.known)
		json_object_set_new(j, "ends", r->lifetime.ends ? json_integer((json_int_t)r->lifetime.ends)
								: json_null());
	if (r->outcome == RENEWAL_DONE) {
		json_object_set_new(j, "old_destroyed", json_boolean(r->old_destroyed));
		json_object_set_new(j, "host_only", json_boolean(r->host_only));
	}
	return j;
}

static void print(const struct renewal *r)
{
	static const char *const words[] = {
		[RENEWAL_NOT_DUE] = "not renewed yet: the secret_id",
		[RENEWAL_WOULD] = "would be renewed: the secret_id",
		[RENEWAL_DONE] = "renewed: the new secret_id",
	};
	const struct vault_lifetime *l = &r->lifetime;
	char date[VAULT_LIFETIME_SIZE];

	vault_lifetime_print(l->ends, date);
	say(stdout, "%s %s%s\n", words[r->outcome],
	    !l->known  ? "ends when nobody here knows"
	    : !l->ends ? "does not end"
		       : "ends on ",
	    l->known && l->ends ? date : "");
	if (r->outcome == RENEWAL_DONE)
		say(stdout, "the old one %s\n", r->old_destroyed ? "is destroyed" : "was not destroyed: it ends by itself");
}

static enum err parse(const struct invocation *inv, struct renewal *ret, struct err_ctx *e)
{
	long within_s = 0;
	enum err err = invocation_number(inv, "within", WITHIN_MAX_S, 0, &within_s, e);

	ret->now = invocation_has(inv, "now");
	ret->within_s = (uint64_t)within_s;
	ret->dry_run = inv->dry_run;
	if (!err && invocation_has(inv, "within") && (within_s == 0 || ret->now))
		err = err_set(e, ERR_USAGE, "--within takes seconds, 1 at least, and not with --now");
	return err;
}

static enum err run_renew(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(session_clearp) struct session *s = &(struct session){ 0 };
	struct renewal r = { .settings = &s->config.vault };
	enum err err = process_require_root(e, "renewing this machine's secret_id");

	if (!err)
		err = parse(inv, &r, e);
	if (!err)
		err = session_begin(s, inv, e);
	if (!err)
		err = renewal_run(&r, e);
	output_progress(NULL);
	if (r.host_only)
		output_host_only();
	if (err)
		return err_wrap(e, err, "vault renew");
	if (inv->json)
		return output_json(to_json(&r), e);
	print(&r);
	return ERR_OK;
}

static const struct option_spec options[] = {
	{ "within", 0, "SECONDS", "renew it if it ends within so many (half of its life, 30 days at most)", false },
	{ "now", 0, NULL, "renew it whatever is left of it", false },
	{ 0 },
};

const struct verb verb_vault_renew = {
	.name = "vault renew",
	.arguments = "",
	.summary = "Make this machine a new secret_id before the old one ends",
	.details = "For a timer: while the old one is good for long, nothing is asked and nothing done. The new one has\n"
		   "logged in before it takes the old one's place; only then is the old one destroyed. The node's policy\n"
		   "has to allow it: zseal vault setup POOL --renewable.",
	.options = options,
	.lists = true,
	.changes = true,
	.run = run_renew,
};
