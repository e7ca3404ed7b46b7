/* SPDX-License-Identifier: MIT */
/* zseal unlock, zseal lock. */
#include <limits.h>
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"
#include "cli/unlock-report.h"
#include "event/event.h"
#include "sys/process.h"
#include "sys/terminal.h"

/* ---- trust ---- */

static const struct keyring *first_unknown(const struct unlock_result *res)
{
	for (size_t i = 0; i < res->n_keyrings; i++)
		if (res->keyrings[i].error.code == ERR_PIN_MISSING)
			return res->keyrings[i].keyring;
	return NULL;
}

/* Only where a person sits, and only for a keyring that is unknown: one that changed is never asked away. */
static bool may_ask_trust(const struct invocation *inv, const struct unlock_result *res)
{
	return !inv->json && !invocation_has(inv, "trust") && isatty(STDIN_FILENO) && isatty(STDERR_FILENO) &&
	       first_unknown(res);
}

/* Whether the person vouches for k. Errors: ERR_INTERRUPTED; whatever else keeps him from answering is a no. */
static enum err ask_trust(const struct keyring *k, char fingerprint[static FINGERPRINT_TEXT_SIZE], bool *ret,
			  struct err_ctx *e)
{
	char prompt[512];

	fingerprint_print(keyring_ring(k)->fingerprint, fingerprint);
	snprintf(prompt, sizeof(prompt),
		 "This machine has never seen the keyring on %s.\nIts fingerprint: %s\n"
		 "Is that the one on your sheet? Type yes to trust it from now on: ",
		 k->dataset, fingerprint);
	output_progress(NULL);
	enum err err = answer_yes(prompt, ret, e);
	return err == ERR_INTERRUPTED ? err : ERR_OK;
}

/* ---- the verbs ---- */

struct work {
	const struct invocation *inv;
	struct session session;
	struct inventory inventory;
	struct unlock_result result;
	struct mount_results mounts;
	struct err_ctx warning; /* what this machine logs in to Vault with ends soon, or has ended */
};

static void work_clear(struct work *w)
{
	mount_results_clear(&w->mounts);
	unlock_result_clear(&w->result);
	inventory_clear(&w->inventory);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

static enum err begin(struct work *w, const struct invocation *inv, struct err_ctx *e)
{
	bool all = invocation_has(inv, "all");

	w->inv = inv;
	if (all == (inv->n_arguments > 0))
		return err_set(e, ERR_USAGE, "name datasets, or --all, not both");
	enum err err = session_begin(&w->session, inv, e);
	if (!err)
		err = inventory_load(inv->arguments, inv->n_arguments, &w->inventory, e);
	return err;
}

static struct unlock_request request_of(struct work *w)
{
	return (struct unlock_request){
		.inventory = &w->inventory, .open = session_open_request(&w->session, w->inv),
		.strict = w->inv->n_arguments > 0, .dry_run = w->inv->dry_run,
	};
}

/* A typed recovery key and --trust both mean: this is mine. What was opened that way is remembered. */
static enum err remember_opened(struct work *w, bool trusted, struct err_ctx *e)
{
	enum err err = ERR_OK;

	if (!trusted && !w->session.context.answers[ANSWER_RECOVERY_KEY])
		return ERR_OK;
	for (size_t i = 0; !err && i < w->result.n_keyrings; i++) {
		const struct keyring_result *kr = &w->result.keyrings[i];

		if (kr->tried && !kr->error.code && !kr->opening.mac &&
		    !pins_find(&w->session.pins, &keyring_ring(kr->keyring)->uuid, kr->keyring->pool_guid))
			err = session_remember(kr->keyring, &kr->opening, e);
	}
	return err;
}

/* ---- what should be there ---- */

static bool keyring_is_here(const struct inventory *inv, const struct pin *pin)
{
	for (size_t i = 0; i < inv->n_keyrings; i++) {
		const struct keyring *k = inv->keyrings[i];

		/* a damaged one tells its own failure */
		if (k->pool_guid == pin->pool_guid &&
		    (k->state || uuid_equal(&keyring_ring(k)->uuid, &pin->keyring)))
			return true;
	}
	return false;
}

static enum err check_absent(const struct inventory *inv, const struct pin *pin, struct err_ctx *e)
{
	const struct zfs_pool *pool = zfs_pools_find_guid(&inv->pools, pin->pool_guid);
	char uuid[UUID_TEXT_SIZE];

	uuid_print(&pin->keyring, uuid);
	if (pool && pool->suspended)
		return err_set(e, ERR_ZFS_IO, "%s: the pool is suspended", pool->name);
	if (!pool)
		return err_set(e, ERR_ZFS_NOT_FOUND, "pool %s (guid %llu) is not imported; if it is gone for good, "
			       "remove its line from %s", pin->pool, (unsigned long long)pin->pool_guid, PINS_PATH);
	if (!keyring_is_here(inv, pin))
		return err_set(e, ERR_NO_KEYRING, "keyring %s is not in pool %s; if it is gone for good, remove its "
			       "line from %s", uuid, pin->pool, PINS_PATH);
	return ERR_OK;
}

/*
 * What this machine remembers and what is not here is a failure, not nothing to do. Returns it, or "partial" for several
 * kinds; list gets each, or standard error if it is NULL.
 */
static enum err report_absent(const struct work *w, json_t *list)
{
	enum err code = ERR_OK;

	for (size_t i = 0; i < w->session.pins.n; i++) {
		const struct pin *pin = &w->session.pins.pins[i];
		struct err_ctx e = { 0 };

		/* one without a GUID is of a pool that was about to be made */
		if (pin->pool_guid == 0 || !check_absent(&w->inventory, pin, &e))
			continue;
		code = code && code != e.code ? ERR_PARTIAL : e.code;
		if (list)
			json_array_append_new(list, json_pack("{s:s, s:o}", "pool", pin->pool, "error",
							      output_error_json(&e)));
		else
			output_error(pin->pool, &e);
	}
	return code;
}

/* ---- what came of it ---- */

/* What went well, and the one kind of failure that there was, or "partial". */
struct tally {
	enum err code;
	size_t n_ok;
};

static void count(struct tally *t, enum outcome outcome, enum err code)
{
	if (outcome == OUTCOME_FAILED)
		t->code = t->code && t->code != code ? ERR_PARTIAL : code;
	else if (outcome != OUTCOME_FOREIGN)
		t->n_ok++;
}

/* If all failures are of one kind, the exit status tells which; else "partial". */
static enum err sum_up(const struct work *w, enum err absent, struct err_ctx *e)
{
	struct tally t = { .code = absent };

	for (size_t i = 0; i < w->result.n_roots; i++)
		count(&t, w->result.roots[i].outcome, w->result.roots[i].error.code);
	for (size_t i = 0; i < w->mounts.n; i++)
		count(&t, w->mounts.all[i].outcome, w->mounts.all[i].error.code);
	if (t.code == ERR_OK)
		return ERR_OK;
	err_clear(e);
	e->code = t.n_ok ? ERR_PARTIAL : t.code;
	return e->code; /* the reasons were printed: an empty chain says so */
}

/* What one of the two verbs does, in words. */
struct words {
	const char *verb, *done, *mount_option, *mounts_done;
};

static const struct words to_unlock = { "unlock", "unlocked", "mount", "mounted" };
static const struct words to_lock = { "lock", "locked", "unmount", "unmounted" };

static enum err tell(const struct work *w, const struct words *words, json_t *absent, struct err_ctx *e)
{
	const struct unlock_report report = {
		.roots = &w->result, .done = words->done, .absent = absent, .mounts_done = words->mounts_done,
		.mounts = invocation_has(w->inv, words->mount_option) ? &w->mounts : NULL,
		.mounts_first = words == &to_lock, .warning = &w->warning,
	};

	return unlock_report_print(w->inv->json, &report, e);
}

/* Cut off half-way: what was done until then is told all the same. */
static void tell_part(const struct work *w, const struct words *words)
{
	if (w->result.n_roots + w->mounts.n > 0)
		(void)!tell(w, words, NULL, NULL);
}

/* The end of both verbs: tells all, and judges it. */
static enum err finish(const struct work *w, const struct words *words, struct err_ctx *e)
{
	bool expects = words == &to_unlock && invocation_has(w->inv, "all");
	json_t *list = expects && w->inv->json ? json_array() : NULL;
	enum err absent = expects ? report_absent(w, list) : ERR_OK;
	enum err err = tell(w, words, list, e);

	if (!err && !absent && w->result.n_roots == 0 && !w->inv->json)
		say(stdout, "nothing to %s: no encryption root with a keyring is imported\n", words->verb);
	return err ? err : sum_up(w, absent, e);
}

/* ---- unlock ---- */

static enum err unlock_once(struct work *w, const char *trust, struct err_ctx *e)
{
	struct unlock_request r = request_of(w);

	if (trust)
		r.open.trust = trust;
	unlock_result_clear(&w->result);
	enum err err = unlock_roots(&r, &w->result, e);
	if (err)
		tell_part(w, &to_unlock);
	if (!err)
		err = remember_opened(w, r.open.trust != NULL, e);
	return err;
}

static enum err unlock_trusted(struct work *w, struct err_ctx *e)
{
	char fingerprint[FINGERPRINT_TEXT_SIZE];
	bool trusted = false;
	enum err err = ask_trust(first_unknown(&w->result), fingerprint, &trusted, e);

	return err || !trusted ? err : unlock_once(w, fingerprint, e);
}

static struct mount_request mount_request_of(const struct work *w)
{
	return (struct mount_request){
		.inventory = &w->inventory, .unlocked = &w->result, .datasets = w->inv->arguments,
		.n_datasets = w->inv->n_arguments, .config = &w->session.config, .dry_run = w->inv->dry_run,
	};
}

static enum err mount_unlocked(struct work *w, struct err_ctx *e)
{
	struct mount_request r = mount_request_of(w);

	/* without roots there may be no pool at all, and nothing to ask ZFS about */
	if (!invocation_has(w->inv, "mount") || w->result.n_roots == 0)
		return ERR_OK;
	enum err err = mount_roots(&r, &w->mounts, e);
	if (err)
		tell_part(w, &to_unlock);
	return err;
}

/* Whatever opened the pool: where the next slot stands in for Vault's, nobody would notice. */
static void warn_of_login(struct work *w)
{
	const struct vault_settings *s = &w->session.config.vault;

	if (s->n_addresses > 0 && vault_lifetime_check(s, &w->warning) && !w->inv->dry_run)
		event_emit(&(struct event){ .id = EVENT_VAULT_LOGIN_ENDS, .error = &w->warning });
}

static enum err run_unlock(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = process_require_root(e, "unlocking");

	if (!err)
		err = begin(w, inv, e);
	if (!err)
		err = session_ask_answers(&w->session, inv, e);
	if (!err)
		err = unlock_once(w, NULL, e);
	if (!err && may_ask_trust(inv, &w->result))
		err = unlock_trusted(w, e);
	if (!err)
		err = mount_unlocked(w, e);
	if (!err)
		warn_of_login(w);
	return err ? err : finish(w, &to_unlock, e);
}

/* ---- lock ---- */

static enum err unmount_and_lock(struct work *w, struct err_ctx *e)
{
	struct mount_request m = mount_request_of(w);
	struct unlock_request r = request_of(w);
	enum err err = ERR_OK;

	if (invocation_has(w->inv, "unmount") && w->inventory.n_roots > 0)
		err = unmount_roots(&m, &w->mounts, e);
	if (!err)
		err = lock_roots(&r, &w->result, e);
	if (err)
		tell_part(w, &to_lock);
	return err;
}

static enum err run_lock(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = process_require_root(e, "locking");

	if (!err)
		err = begin(w, inv, e);
	if (!err)
		err = unmount_and_lock(w, e);
	return err ? err : finish(w, &to_lock, e);
}

static const struct option_spec unlock_options[] = {
	{ "all", 'a', NULL, "every encryption root with a keyring, in all imported pools", false },
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ "mount", 0, NULL, "then mount the file systems that are encrypted under these roots", false },
	{ 0 },
};

static const struct option_spec lock_options[] = {
	{ "all", 'a', NULL, "every encryption root with a keyring, in all imported pools", false },
	{ "unmount", 0, NULL, "unmount before what is mounted of these roots, never by force", false },
	{ 0 },
};

const struct verb verb_unlock = {
	.name = "unlock",
	.arguments = "--all | DATASET…",
	.summary = "Load the keys of the encryption roots at and below each DATASET",
	.details = "The slots of each keyring are tried in its order, those that need no person, unless an answer is\n"
		   "named: then those that need it. One root that fails stops no other. Already unlocked is success.\n"
		   "With --mount, what is not encrypted below a root, and what would be mounted over a system\n"
		   "folder or by way of a symbolic link, is refused. zseal.conf may allow folders:\n"
		   "  [mount]\n"
		   "  allow = /usr/local",
	.options = unlock_options,
	.lists = true,
	.changes = true,
	.max_arguments = SIZE_MAX,
	.run = run_unlock,
};

const struct verb verb_lock = {
	.name = "lock",
	.arguments = "--all | DATASET…",
	.summary = "Unload the keys of the encryption roots at and below each DATASET",
	.details = "Deepest first. What is in use stays open and is reported, as is what is mounted, without\n"
		   "--unmount, and every root that zseal could not open again.",
	.options = lock_options,
	.lists = true,
	.changes = true,
	.max_arguments = SIZE_MAX,
	.run = run_lock,
};
