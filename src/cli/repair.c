/* SPDX-License-Identifier: MIT */
/* zseal repair: a header that is whole again. */

#include "cli/output.h"
#include "cli/repair-options.h"
#include "cli/repair-report.h"
#include "cli/session.h"
#include "sys/process.h"
#include "sys/terminal.h"

struct work {
	const struct invocation *inv;
	struct session session;
	struct repair_place place;
	struct sources sources;
	struct repair repair;
};

static void work_clear(struct work *w)
{
	repair_end(&w->repair);
	sources_clear(&w->sources);
	repair_place_clear(&w->place);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

static enum err begin(struct work *w, struct err_ctx *e)
{
	const struct repair_search search = {
		.dataset = w->inv->arguments[0], .from = invocation_value(w->inv, "from"),
	};
	enum err err = session_begin(&w->session, w->inv, e);

	output_progress("reading the header and its copies");
	if (!err)
		err = repair_load(&search, &w->place, &w->sources, e);
	output_progress(NULL);
	if (!err)
		err = session_ask_answers(&w->session, w->inv, e);
	return err;
}

static enum err judge(struct work *w, struct err_ctx *e)
{
	const struct repair_request r = {
		.place = &w->place, .sources = &w->sources, .open = session_open_request(&w->session, w->inv),
		.accept_older = invocation_has(w->inv, "accept-older"),
	};

	output_progress("opening the keyring and proving its records");
	enum err err = repair_judge(&w->repair, &r, e);
	output_progress(NULL);
	if (err && !w->inv->json)
		repair_report_attempts(&w->repair);
	return err;
}

/* ---- what nothing vouches for ---- */

/* Each by its name: yes, or anything else. Errors: ERR_INTERRUPTED; whatever else keeps a person from answering is a no. */
static enum err ask_drop(struct work *w, struct err_ctx *e)
{
	const struct judged_slot *s;
	enum err err = ERR_OK;
	bool yes = true;

	if (w->inv->json || w->inv->dry_run || !terminal_available() || !isatty(STDIN_FILENO))
		return ERR_OK;
	while (!err && yes && (s = repair_undecided(&w->repair))) {
		char prompt[256];

		snprintf(prompt, sizeof(prompt), "Leave slot %s out for good? Type yes: ", s->name);
		err = answer_yes(prompt, &yes, e);
		if (yes)
			err = repair_drop(&w->repair, s->name, e);
	}
	return err == ERR_INTERRUPTED ? err : ERR_OK;
}

/* ---- the verb ---- */

static enum err tell(const struct work *w, struct err_ctx *e)
{
	if (w->inv->json)
		return output_json(repair_report_json(&w->repair), e);
	if (!repair_is_needed(&w->repair) && repair_count_failed(&w->repair) == 0)
		say(stdout, "nothing is wrong with the header of %s\n", w->place.dataset);
	else if (w->inv->dry_run)
		say(stdout, "nothing was written\n");
	repair_report_written(&w->repair);
	return ERR_OK;
}

static enum err write_all(struct work *w, struct err_ctx *e)
{
	struct repair *r = &w->repair;
	enum err err = repair_options_drop(&w->repair, w->inv, e);

	if (!w->inv->json)
		repair_report_print(r);
	if (!err)
		err = ask_drop(w, e);
	if (!err && repair_is_needed(r))
		err = repair_draft(r, w->inv->dry_run, e);
	if (!err && repair_is_needed(r) && !w->inv->dry_run)
		err = repair_write(r, e);
	if (!err && repair_count_failed(r) > 0)
		err = err_set(e, ERR_PARTIAL, "%zu of %zu encryption roots have no record that opens them",
			      repair_count_failed(r), r->n_roots);
	return err;
}

static enum err run(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ .inv = inv };
	enum err err = process_require_root(e, "repairing");

	if (!err)
		err = begin(w, e);
	if (!err)
		err = judge(w, e);
	if (!err) {
		err = write_all(w, e);
		if (!err || err == ERR_PARTIAL) {
			enum err told = tell(w, e);
			err = told ? told : err;
		}
	}
	return err_wrap(e, err, "repair of %s", inv->arguments[0]);
}

static const struct option_spec options[] = {
	OPTIONS_REPAIR,
	{ "from", 0, "FILE", "look in this copy, too", false },
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

const struct verb verb_repair = {
	.name = "repair",
	.arguments = "DATASET",
	.summary = "Make the header of DATASET whole: slots, key records, a change that was cut off",
	.details = "Opens the keyring and judges each part. What opens here, or is as in a copy whose MAC is right, or\n"
		   "what the recovery key vouches for, stays; what a copy has and the pool lost comes back; the rest is\n"
		   "left out, each slot by its name, after a question or with --drop. The last tested slot never is.",
	.options = options,
	.lists = true,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run,
};
