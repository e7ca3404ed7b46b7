/* SPDX-License-Identifier: MIT */
/* zseal slot test. */
#include "cli/output.h"
#include "cli/slot-work.h"
#include "core/tested.h"
#include "sys/process.h"

enum verdict { VERDICT_OPENS, VERDICT_ANOTHERS, VERDICT_NOT_ASKED, VERDICT_FAILS };

struct test_line {
	const struct stored_slot *slot;
	enum verdict verdict;
	struct err_ctx error;
};

static void test_slot(struct slot_work *w, struct test_line *line)
{
	_cleanup_(opening_clearp) struct opening *o = &(struct opening){ 0 };
	struct open_request r = session_open_request(&w->session, w->inv);
	const struct stored_slot *s = line->slot;
	enum answer needed = s->state ? ANSWER_NONE : protector_needs(&s->slot);

	if (needed != ANSWER_NONE && !w->session.context.answers[needed]) {
		line->verdict = VERDICT_NOT_ASKED;
		(void)!err_set(&line->error, ERR_NO_INPUT, "slot %s is tested with --%s", s->name,
			       answer_option(needed));
		return;
	}
	r.only = s->name;
	w->session.context.thorough = true;
	enum err err = keyring_open(w->keyring, &r, o, &line->error);
	if (!err && o->mac)
		err = (line->error = o->mac_error).code;
	if (!err)
		err = tested_now(&s->slot.uuid, &line->error);
	line->verdict = !err ? VERDICT_OPENS
			: err_info(err)->class == CLASS_NOT_MINE && err != ERR_TPM_CLEARED ? VERDICT_ANOTHERS
											    : VERDICT_FAILS;
}

static void print_test(const struct slot_work *w, const struct test_line *line)
{
	static const char *const words[] = { GOOD "opens the keyring" PLAIN, "another machine's: test it there",
					     "not tested: a person has to give what it asks for, with --",
					     BAD "DOES NOT OPEN the keyring" PLAIN };

	say(stdout, "slot %s: %s%s\n", line->slot->name, words[line->verdict],
	    line->verdict == VERDICT_NOT_ASKED ? answer_option(protector_needs(&line->slot->slot)) : "");
	if (line->verdict == VERDICT_FAILS)
		output_error(w->keyring->dataset, &line->error);
}

static json_t *test_json(const struct test_line *line)
{
	static const char *const names[] = { "opens", "anothers", "not-tested", "fails" };
	json_t *j = json_pack("{s:s, s:s}", "name", line->slot->name, "result", names[line->verdict]);

	if (line->verdict == VERDICT_FAILS)
		json_object_set_new(j, "error", output_error_json(&line->error));
	return j;
}

static bool is_chosen(const struct invocation *inv, const char *name)
{
	for (size_t i = 1; i < inv->n_arguments; i++)
		if (str_equal(inv->arguments[i], name))
			return true;
	return inv->n_arguments == 1;
}

static enum err check_names(const struct slot_work *w, struct err_ctx *e)
{
	if (w->keyring->state)
		return (*e = w->keyring->error).code;
	for (size_t i = 1; i < w->inv->n_arguments; i++)
		if (!slot_find(w->keyring, w->inv->arguments[i]))
			return err_set(e, ERR_NO_SLOT, "slot %s on %s", w->inv->arguments[i], w->keyring->dataset);
	return ERR_OK;
}

/* Named ones must open; of all, those that can be tested here must, and there must be one. */
static enum err judge_tests(const struct slot_work *w, const struct test_line *lines, size_t n, struct err_ctx *e)
{
	size_t n_open = 0;

	for (size_t i = 0; i < n; i++) {
		const struct test_line *line = &lines[i];

		n_open += line->verdict == VERDICT_OPENS;
		if (line->verdict != VERDICT_FAILS && (w->inv->n_arguments == 1 || line->verdict == VERDICT_OPENS))
			continue;
		*e = line->error;
		if (line->verdict == VERDICT_FAILS)
			e->depth = 0; /* its line has told why */
		return e->code;
	}
	return n_open > 0 ? ERR_OK : err_set(e, ERR_NO_SLOT_OPENS, "none of the slots on %s could be tested here",
					     w->keyring->dataset);
}

static enum err test_slots(struct slot_work *w, struct err_ctx *e)
{
	struct test_line lines[SLOTS_MAX] = { 0 };
	json_t *slots = json_array();
	size_t n = 0;
	enum err err = ERR_OK;

	for (size_t i = 0; !err && i < w->keyring->n_slots; i++) {
		if (!is_chosen(w->inv, w->keyring->slots[i].name))
			continue;
		lines[n].slot = &w->keyring->slots[i];
		err = process_interrupted(e);
		if (!err)
			test_slot(w, &lines[n]);
		if (!err && !w->inv->json)
			print_test(w, &lines[n]);
		else if (!err)
			json_array_append_new(slots, test_json(&lines[n]));
		n++;
	}
	if (!err)
		err = judge_tests(w, lines, n, e);
	if (!w->inv->json || (err && err_info(err)->class == CLASS_INTERRUPTED)) {
		json_decref(slots);
		return err;
	}
	enum err printed = output_json(json_pack("{s:s, s:o}", "dataset", w->keyring->dataset, "slots", slots), e);
	return err ? err : printed;
}

static enum err run_test(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(slot_work_clearp) struct slot_work *w = &(struct slot_work){ 0 };
	enum err err = slot_begin(w, inv, "testing slots", e);

	if (!err)
		err = check_names(w, e);
	if (!err)
		err = test_slots(w, e);
	return err && e->depth ? err_wrap(e, err, "slot test of %s", inv->arguments[0]) : err;
}

static const struct option_spec test_options[] = { OPTIONS_ANSWERS, OPTION_TRUST, { 0 } };

const struct verb verb_slot_test = {
	.name = "slot test",
	.arguments = "DATASET [NAME…]",
	.summary = "Open the keyring of DATASET by each slot, without loading any key",
	.details = "What a person has to give is asked for with --recovery and its like; another machine's slots can be\n"
		   "tested only there. Named slots must open.",
	.options = test_options,
	.lists = true,
	.min_arguments = 1,
	.max_arguments = SIZE_MAX,
	.run = run_test,
};
