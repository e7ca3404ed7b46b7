/* SPDX-License-Identifier: MIT */
/* zseal recover: one path from the recovery key to a machine that opens the pool again. */
#include <string.h>

#include "cli/new-slots.h"
#include "cli/output.h"
#include "cli/repair-options.h"
#include "cli/repair-report.h"
#include "core/recover.h"
#include "sys/process.h"
#include "sys/terminal.h"

enum { KEY_TRIES = 3 };

struct work {
	const struct invocation *inv;
	struct session session;
	struct repair_place place;
	struct sources sources;
	struct repair repair;
	struct recover_plan plan;
	struct new_slots slots;
	size_t n_loaded, n_failed;
};

static void work_clear(struct work *w)
{
	repair_end(&w->repair);
	new_slots_clear(&w->slots);
	sources_clear(&w->sources);
	repair_place_clear(&w->place);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

/* ---- finding and opening ---- */

static enum err begin(struct work *w, struct err_ctx *e)
{
	const struct repair_search search = {
		.dataset = w->inv->arguments[0], .from = invocation_value(w->inv, "from"), .any_pool = true,
	};
	enum err err = session_begin(&w->session, w->inv, e);

	output_progress("looking for the header: in the pool, in copies, in its history");
	if (!err)
		err = repair_load(&search, &w->place, &w->sources, e);
	output_progress(NULL);
	if (!err && !w->place.keyring && w->sources.n == 0)
		err = err_set(e, ERR_NO_COPY, "%s cannot be recovered from here: neither the pool nor its history nor "
			      "this machine has its header", w->inv->arguments[0]);
	return err;
}

static enum err judge(struct work *w, struct err_ctx *e)
{
	const struct repair_request r = {
		.place = &w->place, .sources = &w->sources, .open = session_open_request(&w->session, w->inv),
		.accept_older = invocation_has(w->inv, "accept-older"),
	};

	output_progress("opening the keyring and proving its records");
	repair_end(&w->repair);
	enum err err = repair_judge(&w->repair, &r, e);
	output_progress(NULL);
	return err;
}

/* Somebody who sits here has come with the sheet. */
static bool may_ask(const struct work *w)
{
	return !protector_was_answered(&w->session.context) && !w->inv->json && isatty(STDIN_FILENO) &&
	       terminal_available() && w->inv->n_options < INVOCATION_OPTIONS_MAX;
}

/* As with --recovery. A key of another pool is noticed by its keyring alone; nothing is locked by trying. */
static enum err ask_and_judge(struct work *w, struct err_ctx *e)
{
	static const struct option_spec asked = { .name = "recovery" };
	struct invocation inv = *w->inv;
	enum err err = ERR_RECOVERY_WRONG;

	inv.options[inv.n_options++].spec = &asked;
	for (int i = 0; i < KEY_TRIES && err == ERR_RECOVERY_WRONG; i++) {
		if (i > 0)
			output_reason(NULL, e);
		secret_free(TAKE(w->session.answers[ANSWER_RECOVERY_KEY]));
		err_clear(e);
		err = session_ask_answers(&w->session, &inv, e);
		if (!err)
			err = judge(w, e);
	}
	return err;
}

static enum err open_keyring(struct work *w, struct err_ctx *e)
{
	enum err err = session_ask_answers(&w->session, w->inv, e);

	if (!err)
		err = may_ask(w) ? ask_and_judge(w, e) : judge(w, e);
	if (err && !w->inv->json)
		repair_report_attempts(&w->repair);
	return err;
}

/* ---- the plan ---- */

static enum err plan_tpm(struct work *w, struct err_ctx *e)
{
	const char *name = invocation_value(w->inv, "slot-name");
	char own[NAME_SIZE];

	if (invocation_has(w->inv, "no-tpm"))
		return ERR_OK;
	new_slots_name_tpm(own);
	enum err err = recover_decide(&w->repair, name ? name : own, &w->plan, e);
	if (!err && w->plan.tpm != TPM_PLAN_READY)
		err = new_slots_add_tpm(&w->slots, w->inv, &w->session, w->plan.name, e);
	return err_wrap(e, err, "a slot for this machine's TPM (--no-tpm goes without)");
}

static bool needs_write(const struct work *w)
{
	return repair_is_needed(&w->repair) || w->plan.tpm == TPM_PLAN_REPLACE || w->plan.tpm == TPM_PLAN_ADD;
}

static void print_plan(const struct work *w)
{
	const struct recover_plan *p = &w->plan;

	repair_report_print(&w->repair);
	if (p->tpm == TPM_PLAN_READY)
		say(stdout, "  slot %s opens with this machine's TPM\n", p->name);
	if (p->tpm == TPM_PLAN_REPLACE)
		say(stdout, "  slot %s is made anew for this machine's TPM: %s\n", p->name,
		    err_info(p->why.code)->sentence);
	if (p->tpm == TPM_PLAN_ADD)
		say(stdout, "  slot %s is added for this machine's TPM\n", p->name);
	for (unsigned i = 0; i < p->n_others; i++)
		say(stdout, "  slot %s is another machine's and stays; if that one is gone: zseal slot remove %s %s\n",
		       p->others[i], w->place.dataset, p->others[i]);
}

/* Errors: ERR_NO_INPUT if nobody can answer or the answer is another one than yes. */
static enum err confirm(const struct work *w, struct err_ctx *e)
{
	bool yes;

	if (!needs_write(w) || invocation_has(w->inv, "yes"))
		return ERR_OK;
	if (w->inv->json || !isatty(STDIN_FILENO) || !terminal_available())
		return err_set(e, ERR_NO_INPUT, "the above is written only after a question, or with --yes");
	enum err err = answer_yes("Do this? Type yes: ", &yes, e);
	if (!err && !yes)
		err = err_set(e, ERR_NO_INPUT, "the answer was not yes; nothing was written");
	return err;
}

static enum err plan(struct work *w, struct err_ctx *e)
{
	enum err err = repair_options_drop(&w->repair, w->inv, e);

	if (!err)
		err = plan_tpm(w, e);
	if (!err && !w->inv->json)
		print_plan(w);
	if (!err && repair_undecided(&w->repair))
		err = err_set(e, ERR_SLOT_UNKNOWN, "slot %s on %s", repair_undecided(&w->repair)->name,
			      w->place.dataset);
	return err || w->inv->dry_run ? err : confirm(w, e);
}

/* ---- doing it ---- */

/* First of all the data: nothing that goes wrong later takes that back. */
static enum err load_keys(struct work *w, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0; !err && i < w->repair.n_roots; i++) {
		const struct judged_root *root = &w->repair.roots[i];
		struct err_ctx own = { 0 };
		bool was_loaded = false;

		err = process_interrupted(e);
		if (err || (root->judgement != ROOT_OPENS && root->judgement != ROOT_BACK))
			continue;
		if (repair_load_key(&w->repair, root, &was_loaded, &own) == ERR_OK) {
			w->n_loaded++;
			if (!w->inv->json)
				say(stdout, "%s: %s\n", root->root->dataset, was_loaded ? "was unlocked" : "unlocked");
			continue;
		}
		w->n_failed++;
		output_error(root->root->dataset, &own);
	}
	return err;
}

static enum err write_all(struct work *w, struct err_ctx *e)
{
	enum err err = needs_write(w) ? repair_draft(&w->repair, w->inv->dry_run, e) : ERR_OK;

	if (!err && w->slots.n > 0) {
		output_progress("making and proving the slot");
		err = recover_make_slot(&w->repair, &w->plan, &w->slots.slots[0], e);
		output_progress(NULL);
	}
	return err || w->inv->dry_run || !needs_write(w) ? err : repair_write(&w->repair, e);
}

static enum err do_all(struct work *w, struct err_ctx *e)
{
	enum err err = w->inv->dry_run ? ERR_OK : load_keys(w, e);

	if (!err)
		err = write_all(w, e);
	if (!err && !w->inv->dry_run)
		err = recover_remember(&w->repair, e);
	const size_t locked = w->n_failed + repair_count_failed(&w->repair);
	if (!err && locked > 0)
		err = err_set(e, ERR_PARTIAL, "%zu encryption roots stay locked", locked);
	return err;
}

/* ---- the verb ---- */

static enum err tell(const struct work *w, struct err_ctx *e)
{
	static const char *const plans[] = { "none", "ready", "replace", "add" };

	if (w->inv->json) {
		json_t *j = repair_report_json(&w->repair);

		json_object_set_new(j, "tpm", json_pack("{s:s, s:s}", "plan", plans[w->plan.tpm], "slot", w->plan.name));
		json_object_set_new(j, "unlocked", json_integer((json_int_t)w->n_loaded));
		return output_json(j, e);
	}
	repair_report_written(&w->repair);
	if (w->inv->dry_run)
		say(stdout, "nothing was written\n");
	else
		say(stdout, "this machine knows the keyring of %s%s%s\n" OUTPUT_NEXT "zseal header backup %s --output FILE, "
			    "and keep that outside of this machine\n", w->place.dataset, w->plan.tpm ? " and opens it by slot " : "",
		       w->plan.tpm ? w->plan.name : "", w->place.dataset);
	return ERR_OK;
}

static enum err run(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ .inv = inv };
	enum err err = process_require_root(e, "recovering");

	if (!err)
		err = begin(w, e);
	if (!err)
		err = open_keyring(w, e);
	if (!err)
		err = plan(w, e);
	if (!err)
		err = do_all(w, e);
	if (!err || (err == ERR_PARTIAL && w->repair.opened)) {
		enum err told = tell(w, e);

		err = told ? told : err;
	}
	return err_wrap(e, err, "recover %s", inv->arguments[0]);
}

static const struct option_spec options[] = {
	{ "from", 0, "FILE", "look in this copy of the header first", false },
	{ "no-tpm", 0, NULL, "no slot for this machine's TPM", false },
	{ "slot-name", 0, "NAME", "name of the TPM slot (tpm2-HOSTNAME)", false },
	OPTIONS_TPM_SLOT,
	{ "yes", 'y', NULL, "do it without asking", false },
	OPTIONS_REPAIR,
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

const struct verb verb_recover = {
	.name = "recover",
	.arguments = "DATASET",
	.summary = "Open DATASET with the recovery key and make this machine a member again",
	.details = "For a new mainboard, a cleared TPM, disks that were moved here, properties that are lost. Finds the\n"
		   "header (in the pool, in copies, in the pool's history), asks for the recovery key, unlocks, brings\n"
		   "back what is missing, and makes this machine's TPM slot anew; asks before it writes. May be run\n"
		   "again at any time.",
	.options = options,
	.lists = true,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run,
};
