/* SPDX-License-Identifier: MIT */
#include "cli/output.h"
#include "cli/slot-work.h"
#include "sys/process.h"

void slot_work_clear(struct slot_work *w)
{
	change_end(&w->change);
	new_slots_clear(&w->slots);
	inventory_clear(&w->inventory);
	session_clear(&w->session);
}

enum err slot_begin(struct slot_work *w, const struct invocation *inv, const char *what, struct err_ctx *e)
{
	enum err err = process_require_root(e, what);

	w->inv = inv;
	if (!err)
		err = session_begin(&w->session, inv, e);
	if (!err)
		err = change_load(inv->arguments[0], &w->inventory, &w->keyring, e);
	if (!err)
		err = session_ask_answers(&w->session, inv, e);
	return err;
}

enum err slot_begin_change(struct slot_work *w, struct err_ctx *e)
{
	const struct change_request r = {
		.inventory = &w->inventory, .keyring = w->keyring, .open = session_open_request(&w->session, w->inv),
		.dry_run = w->inv->dry_run,
	};

	output_progress("opening the keyring");
	enum err err = change_begin(&w->change, &r, e);
	output_progress(NULL);
	if (!err && w->change.took_back)
		say(stderr, "zseal: an earlier change of the keyring on %s was cut off; it is taken back\n",
			w->keyring->dataset);
	return err;
}

enum err slot_finish_change(struct slot_work *w, struct err_ctx *e)
{
	output_progress("proving the keyring's slots");
	enum err err = change_prove(&w->change, e);
	output_progress(NULL);
	if (err || w->inv->dry_run)
		return err;
	err = new_slots_hand_over(&w->slots, w->keyring->dataset, &w->change.draft,
				  &w->change.recovery_confirmed, e);
	if (!err)
		err = change_commit(&w->change, e);
	return err;
}

const struct stored_slot *slot_find(const struct keyring *k, const char *name)
{
	for (size_t i = 0; i < k->n_slots; i++)
		if (str_equal(k->slots[i].name, name))
			return &k->slots[i];
	return NULL;
}

/* ---- telling ---- */

static void print_left(const struct slot_work *w)
{
	const struct commit_result *res = &w->change.result;

	output_left(res->left, res->n_left);
	if (w->n_without_renew > 0)
		say(stderr, OUTPUT_WARNING "%u slots of other machines cannot be renewed with this recovery key\n  "
				   OUTPUT_NEXT "there, run: zseal slot reseal %s\n", w->n_without_renew,
		    w->keyring->dataset);
}

/* One that was made; but a recovery key that nobody typed back may not have been read. */
static bool was_tested(const struct slot_work *w)
{
	return w->slots.n > 0 && (!w->slots.recovery_key || w->change.recovery_confirmed);
}

enum err slot_print_change(const struct slot_work *w, const char *name, const char *done, struct err_ctx *e)
{
	const struct change *c = &w->change;

	print_left(w);
	if (w->inv->json)
		return output_json(json_pack("{s:s, s:s, s:i, s:b, s:s?}", "dataset", w->keyring->dataset, "slot", name,
					     "generation", (int)c->draft.ring.generation, "dry_run", w->inv->dry_run,
					     "copy", c->result.copy), e);
	if (w->inv->dry_run) {
		say(stdout, "slot %s of the keyring on %s would be %s\n", name, w->keyring->dataset, done);
		return ERR_OK;
	}
	say(stdout, "slot %s of the keyring on %s is %s%s\n", name, w->keyring->dataset, done,
	    was_tested(w) ? ", and was opened as a test" : "");
	say(stdout, "copy of the new header: %s\n", c->result.copy);
	return ERR_OK;
}
