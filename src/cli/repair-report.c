/* SPDX-License-Identifier: MIT */
#include "cli/output.h"
#include "cli/repair-report.h"
#include "core/unfinished.h"

static const struct {
	const char *name, *line;
	bool has_where;
} judgements[] = {
	[JUDGED_WHOLE] = { "whole", "stays", false },
	[JUDGED_AS_COPY] = { "as-copy", "stays: it is as in", true },
	[JUDGED_OPENED] = { "opened", "stays: it opened the keyring here and now", false },
	[JUDGED_RENEWED] = { "renewed", "stays: the recovery key vouches for it", false },
	[JUDGED_BACK] = { "back", "comes back from", true },
	[JUDGED_UNKNOWN] = { "unknown", "nothing vouches for it", false },
	[JUDGED_REMOVED] = { "removed", "was put back after it was removed: it is not in", true },
	[JUDGED_STRAY] = { "stray", "is no slot of this keyring, and is removed", false },
	[JUDGED_ABSENT] = { "absent", "stays away: the pool's newer header does not name it, only", true },
};

static void print_slot(const struct judged_slot *s)
{
	say(stdout, "  slot %s %s%s%s%s\n", s->name, judgements[s->judgement].line,
	    judgements[s->judgement].has_where ? " " : "", judgements[s->judgement].has_where ? s->where : "", s->dropped ? "; it is left out" : "");
	if (s->judgement == JUDGED_UNKNOWN)
		output_reason(s->name, &s->error);
}

static void print_root(const struct judged_root *root)
{
	static const char *const lines[] = {
		[ROOT_OPENS] = "its record opens it", [ROOT_BACK] = "its record comes back from ",
		[ROOT_NEW] = "has no key record: it was never zseal's", [ROOT_FAILED] = BAD "NO record opens it" PLAIN,
	};

	say(stdout, "  %s: %s%s\n", root->root->dataset, lines[root->judgement],
	       root->judgement == ROOT_BACK ? root->where : "");
	if (root->judgement == ROOT_FAILED)
		output_reason(root->root->dataset, &root->error);
}

void repair_report_print(const struct repair *r)
{
	const char *dataset = r->request.place->dataset;

	say(stdout, "the keyring on %s was opened by slot %s%s%s\n", dataset, r->opening.slot->name,
	       r->opened_where ? " out of " : "", r->opened_where ? r->opened_where : "");
	if (r->is_older)
		say(stdout, "  the header in the pool is older than one that was seen\n");
	if (r->unfinished->found)
		say(stdout, "  a change to generation %u was cut off: it is taken back\n",
		       keyring_ring(r->request.place->keyring)->generation + 1);
	if (r->ring_where && !r->is_whole)
		say(stdout, "  the keyring comes back from %s\n", r->ring_where);
	for (unsigned i = 0; !r->is_whole && i < r->n_slots; i++)
		print_slot(&r->slots[i]);
	for (size_t i = 0; i < r->n_roots; i++)
		print_root(&r->roots[i]);
}

void repair_report_written(const struct repair *r)
{
	if (r->result.copy)
		say(stdout, "the header of %s is whole, in generation %u; its copy: %s\n", r->request.place->dataset,
		       r->result.generation, r->result.copy);
	output_left(r->result.left, r->result.n_left);
}

void repair_report_attempts(const struct repair *r)
{
	const struct opening *o = r->opened ? &r->opening : &r->first;

	for (size_t i = 0; i < o->n_attempts; i++)
		if (o->attempts[i].error.code)
			output_reason(o->attempts[i].slot->name, &o->attempts[i].error);
}

static json_t *slot_json(const struct judged_slot *s)
{
	json_t *j = json_pack("{s:s, s:s, s:b, s:s?}", "name", s->name, "judgement", judgements[s->judgement].name,
			      "dropped", s->dropped, "from", s->where);

	if (s->error.code)
		json_object_set_new(j, "error", output_error_json(&s->error));
	return j;
}

static json_t *root_json(const struct judged_root *root)
{
	static const char *const names[] = { "opens", "back", "new", "failed" };
	json_t *j = json_pack("{s:s, s:s, s:s?, s:b}", "dataset", root->root->dataset, "record", names[root->judgement],
			      "from", root->where, "written", root->written);

	if (root->judgement == ROOT_FAILED)
		json_object_set_new(j, "error", output_error_json(&root->error));
	return j;
}

json_t *repair_report_json(const struct repair *r)
{
	json_t *slots = json_array(), *roots = json_array();

	for (unsigned i = 0; i < r->n_slots; i++)
		json_array_append_new(slots, slot_json(&r->slots[i]));
	for (size_t i = 0; i < r->n_roots; i++)
		json_array_append_new(roots, root_json(&r->roots[i]));
	return json_pack("{s:s, s:s, s:s?, s:b, s:b, s:b, s:o, s:o, s:i, s:s?}", "dataset", r->request.place->dataset,
			 "slot", r->opening.slot->name, "from", r->opened_where, "whole", r->is_whole, "older",
			 r->is_older, "unfinished", r->unfinished->found, "slots", slots, "roots", roots, "generation",
			 (int)(r->result.copy ? r->result.generation : r->ring.generation), "copy", r->result.copy);
}
