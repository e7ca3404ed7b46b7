/* SPDX-License-Identifier: MIT */
/* zseal slot add, remove, test, reseal. (slot list is in status.c.) */
#include <string.h>

#include "cli/new-slots.h"
#include "cli/output.h"
#include "core/change.h"
#include "core/tested.h"
#include "format/slot-vault.h"
#include "sys/process.h"

struct work {
	const struct invocation *inv;
	struct session session;
	struct inventory inventory;
	const struct keyring *keyring;
	struct new_slots slots;
	struct change change;
	unsigned n_without_renew;
};

static void work_clear(struct work *w)
{
	change_end(&w->change);
	new_slots_clear(&w->slots);
	inventory_clear(&w->inventory);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

static enum err begin(struct work *w, const struct invocation *inv, const char *what, struct err_ctx *e)
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

static enum err begin_change(struct work *w, struct err_ctx *e)
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

/* Proves, hands a new recovery key over, and writes; a dry run ends before anybody is shown anything. */
static enum err finish_change(struct work *w, struct err_ctx *e)
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

static const struct stored_slot *find_slot(const struct keyring *k, const char *name)
{
	for (size_t i = 0; i < k->n_slots; i++)
		if (str_equal(k->slots[i].name, name))
			return &k->slots[i];
	return NULL;
}

/* ---- telling ---- */

static void print_left(const struct work *w)
{
	const struct commit_result *res = &w->change.result;

	for (unsigned i = 0; i < res->n_left; i++)
		say(stderr, OUTPUT_WARNING "slot %s: its object may still be in its TPM\n  " OUTPUT_NEXT
				   "on that machine: tpm2_evictcontrol -C o -c HANDLE\n", res->left[i]);
	if (w->n_without_renew > 0)
		say(stderr, OUTPUT_WARNING "%u slots of other machines cannot be renewed with this recovery key\n  "
				   OUTPUT_NEXT "there, run: zseal slot reseal %s\n", w->n_without_renew,
		    w->keyring->dataset);
}

/* A recovery key that nobody typed back may not have been read. */
static bool was_tested(const struct work *w)
{
	return !w->slots.recovery_key || w->change.recovery_confirmed;
}

static enum err print_change(const struct work *w, const char *name, const char *done, const char *would,
			     struct err_ctx *e)
{
	const struct change *c = &w->change;

	print_left(w);
	if (w->inv->json)
		return output_json(json_pack("{s:s, s:s, s:i, s:b, s:s?}", "dataset", w->keyring->dataset, "slot", name,
					     "generation", (int)c->draft.ring.generation, "dry_run", w->inv->dry_run,
					     "copy", c->result.copy), e);
	if (w->inv->dry_run) {
		say(stdout, "slot %s of the keyring on %s would be %s\n", name, w->keyring->dataset, would);
		return ERR_OK;
	}
	say(stdout, "slot %s of the keyring on %s is %s\n", name, w->keyring->dataset, done);
	say(stdout, "copy of the new header: %s\n", c->result.copy);
	return ERR_OK;
}

/* ---- add ---- */

static enum err choose_new(struct work *w, struct err_ctx *e)
{
	const char *type = w->inv->arguments[1], *name = invocation_value(w->inv, "name");

	if (str_equal(type, protector_tpm2.type))
		return new_slots_add_tpm(&w->slots, w->inv, &w->session, name, e);
	if (str_equal(type, protector_recovery.type))
		return new_slots_add_recovery(&w->slots, w->inv, name, e);
	if (str_equal(type, protector_passphrase.type))
		return new_slots_add_passphrase(&w->slots, w->inv, name, e);
	if (str_equal(type, protector_vault.type))
		return new_slots_add_vault(&w->slots, w->inv, &w->session, w->keyring->pool, name, e);
	return err_set(e, ERR_USAGE, "there is no type of slot '%.32s'; there are tpm2, vault, recovery and passphrase",
		       type);
}

/* A slot's `renew` is for one recovery key. */
static enum err check_new(const struct work *w, struct err_ctx *e)
{
	const char *name = w->slots.names[0];

	if (w->slots.recovery_key && keyring_ring(w->keyring)->has_recovery)
		return err_set(e, ERR_SLOT_EXISTS, "the keyring on %s has its one recovery key", w->keyring->dataset);
	/* also one that is not the keyring's, or damaged: it would be lost */
	if (find_slot(w->keyring, name))
		return err_set(e, ERR_SLOT_EXISTS, "slot %s on %s", name, w->keyring->dataset);
	return ERR_OK;
}

static enum err add_slot(struct work *w, struct err_ctx *e)
{
	struct change *c = &w->change;
	enum err err = choose_new(w, e);

	if (!err)
		err = check_new(w, e);
	if (!err)
		err = begin_change(w, e);
	if (err)
		return err;
	output_progress("making the slot");
	err = draft_add_slot(&c->draft, &w->session.context, &w->slots.slots[0], e);
	if (!err && w->slots.recovery_key)
		w->n_without_renew = draft_renew_all(&c->draft, &w->session.context, NULL);
	return err ? err : finish_change(w, e);
}

static enum err run_add(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = begin(w, inv, "adding a slot", e);

	if (!err)
		err = add_slot(w, e);
	output_progress(NULL);
	if (!err)
		err = print_change(w, w->slots.names[0], was_tested(w) ? "added, and was opened as a test" : "added", "added",
				   e);
	return err_wrap(e, err, "slot add to %s", inv->arguments[0]);
}

/* ---- reseal ---- */

/* One that another machine sealed would become this one's, and the other machine would be locked out. */
static enum err check_mine(struct work *w, const struct stored_slot *s, struct err_ctx *e)
{
	const struct protector *p = protector_find(s->slot.type);
	struct err_ctx own = { 0 };

	if (p->check(&w->session.context, &s->slot, &own) == ERR_OK)
		return ERR_OK;
	enum err err = opening_tell_cleared(w->keyring, &w->session.pins, &s->slot, &own);
	if (err != ERR_TPM_NOT_MINE)
		return ERR_OK;
	*e = own;
	return err_wrap(e, err, "slot %s", s->name);
}

static enum err check_resealed(struct work *w, const char *name, const struct stored_slot **ret, struct err_ctx *e)
{
	const struct stored_slot *s = find_slot(w->keyring, name);

	if (!s)
		return err_set(e, ERR_NO_SLOT, "slot %s on %s", name, w->keyring->dataset);
	if (s->state)
		return err_wrap(e, (*e = s->error).code, "slot %s", name);
	if (!protector_find(s->slot.type))
		return err_set(e, ERR_FORMAT_NEWER, "slot %s is of type %s", name, s->slot.type);
	*ret = s;
	return check_mine(w, s, e);
}

/* A new secret under the same key, unless another one is named: the key's newest version encrypts it. */
static enum err choose_vault_again(struct work *w, const struct stored_slot *s, struct err_ctx *e)
{
	struct slot_vault old;
	enum err err = slot_vault_parse(s->slot.protect, &old, e);

	if (!err)
		err = new_slots_add_vault(&w->slots, w->inv, &w->session, w->keyring->pool, s->name, e);
	if (!err && !invocation_has(w->inv, "transit-key"))
		snprintf(w->slots.vault_key, sizeof(w->slots.vault_key), "%s", old.key);
	if (!err && !invocation_has(w->inv, "kv"))
		snprintf(w->slots.vault_kv, sizeof(w->slots.vault_kv), "%s", old.kv);
	return err;
}

/* As it was, but for what the command line says. */
static enum err choose_again(struct work *w, const struct stored_slot *s, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	enum err err;

	if (str_equal(s->slot.type, protector_vault.type))
		return choose_vault_again(w, s, e);
	if (str_equal(s->slot.type, protector_recovery.type))
		return new_slots_add_recovery(&w->slots, w->inv, s->name, e);
	if (str_equal(s->slot.type, protector_passphrase.type))
		return new_slots_add_passphrase(&w->slots, w->inv, s->name, e);
	err = slot_tpm2_parse(s->slot.protect, &sealed, e);
	if (!err)
		err = new_slots_add_tpm(&w->slots, w->inv, &w->session, s->name, e);
	if (err)
		return err;
	if (!invocation_has(w->inv, "pcrs"))
		w->slots.slots[0].pcrs = sealed.pcrs;
	if (!invocation_has(w->inv, "handle"))
		w->slots.slots[0].tpm_handle = sealed.handle;
	if (!w->slots.answer && sealed.has_pin)
		w->slots.slots[0].answer = w->session.answers[ANSWER_PIN];
	if (!w->slots.slots[0].answer && sealed.has_pin)
		return err_set(e, ERR_NO_INPUT, "slot %s has a PIN: --pin keeps it, --new-pin changes it", s->name);
	return ERR_OK;
}

static enum err reseal_slot(struct work *w, const char *name, struct err_ctx *e)
{
	const struct secret *old_recovery_key = w->session.context.answers[ANSWER_RECOVERY_KEY];
	const struct stored_slot *s = NULL;
	enum err err = check_resealed(w, name, &s, e);

	if (!err)
		err = choose_again(w, s, e);
	if (!err)
		err = begin_change(w, e);
	if (err)
		return err;
	output_progress("making the slot anew");
	err = draft_replace_slot(&w->change.draft, &w->session.context, &w->slots.slots[0], e);
	if (!err && w->slots.recovery_key)
		w->n_without_renew = draft_renew_all(&w->change.draft, &w->session.context, old_recovery_key);
	return err ? err : finish_change(w, e);
}

static enum err run_reseal(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	char own[NAME_SIZE];
	enum err err = begin(w, inv, "resealing a slot", e);

	new_slots_name_tpm(own);
	const char *name = inv->n_arguments > 1 ? inv->arguments[1] : own;
	if (!err)
		err = reseal_slot(w, name, e);
	output_progress(NULL);
	if (!err)
		err = print_change(w, name, was_tested(w) ? "made anew, and was opened as a test" : "made anew", "made anew",
				   e);
	return err_wrap(e, err, "slot reseal of %s", inv->arguments[0]);
}

/* ---- remove ---- */

static enum err check_removed(const struct work *w, const char *name, struct err_ctx *e)
{
	const struct stored_slot *s = find_slot(w->keyring, name);

	if (!s)
		return err_set(e, ERR_NO_SLOT, "slot %s on %s", name, w->keyring->dataset);
	if (!stored_slot_is_of(s, &keyring_ring(w->keyring)->uuid))
		return err_set(e, ERR_NO_SLOT, "slot %s on %s is not one of its keyring's", name, w->keyring->dataset);
	if (!s->state && str_equal(s->slot.type, protector_recovery.type) && !invocation_has(w->inv, "no-recovery"))
		return err_set(e, ERR_SLOT_LAST, "slot %s is the recovery key: if the other slots are lost, so is the "
			       "pool; --no-recovery insists", name);
	return ERR_OK;
}

static enum err remove_slot(struct work *w, const char *name, struct err_ctx *e)
{
	enum err err = w->keyring->state ? (*e = w->keyring->error).code : check_removed(w, name, e);

	if (!err)
		err = begin_change(w, e);
	if (!err)
		err = draft_remove_slot(&w->change.draft, name, e);
	if (!err)
		err = finish_change(w, e);
	return err;
}

static enum err run_remove(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	const char *name = inv->arguments[1];
	enum err err = begin(w, inv, "removing a slot", e);

	if (!err)
		err = remove_slot(w, name, e);
	output_progress(NULL);
	if (!err)
		err = print_change(w, name, "removed", "removed", e);
	if (!err && !inv->dry_run && !inv->json)
		say(stdout, "that does not revoke it: its old value stays readable in the pool's history, and opens the "
			    "pool for\nwhoever has what it asks for\n");
	return err_wrap(e, err, "slot remove from %s", inv->arguments[0]);
}

/* ---- test ---- */

enum verdict { VERDICT_OPENS, VERDICT_ANOTHERS, VERDICT_NOT_ASKED, VERDICT_FAILS };

struct test_line {
	const struct stored_slot *slot;
	enum verdict verdict;
	struct err_ctx error;
};

static void test_slot(struct work *w, struct test_line *line)
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

static void print_test(const struct work *w, const struct test_line *line)
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

static enum err check_names(const struct work *w, struct err_ctx *e)
{
	if (w->keyring->state)
		return (*e = w->keyring->error).code;
	for (size_t i = 1; i < w->inv->n_arguments; i++)
		if (!find_slot(w->keyring, w->inv->arguments[i]))
			return err_set(e, ERR_NO_SLOT, "slot %s on %s", w->inv->arguments[i], w->keyring->dataset);
	return ERR_OK;
}

/* Named ones must open; of all, those that can be tested here must, and there must be one. */
static enum err judge_tests(const struct work *w, const struct test_line *lines, size_t n, struct err_ctx *e)
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

static enum err test_slots(struct work *w, struct err_ctx *e)
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
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = begin(w, inv, "testing slots", e);

	if (!err)
		err = check_names(w, e);
	if (!err)
		err = test_slots(w, e);
	return err && e->depth ? err_wrap(e, err, "slot test of %s", inv->arguments[0]) : err;
}

/* ---- the verbs ---- */

static const struct option_spec add_options[] = {
	{ "name", 0, "NAME", "name of the slot (tpm2-HOSTNAME, vault, recovery, passphrase)", false },
	OPTIONS_TPM_SLOT,
	OPTIONS_VAULT_SLOT,
	OPTIONS_NEW_PASSPHRASE,
	OPTIONS_RECOVERY_TAKERS,
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

static const struct option_spec reseal_options[] = {
	OPTIONS_TPM_SLOT, OPTIONS_VAULT_SLOT, OPTIONS_NEW_PASSPHRASE, OPTIONS_RECOVERY_TAKERS, OPTIONS_ANSWERS,
	OPTION_TRUST, { 0 },
};

static const struct option_spec remove_options[] = {
	{ "no-recovery", 0, NULL, "remove the recovery key's slot, too: if the others are lost, so is the pool", false },
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

static const struct option_spec test_options[] = { OPTIONS_ANSWERS, OPTION_TRUST, { 0 } };

const struct verb verb_slot_add = {
	.name = "slot add",
	.arguments = "DATASET TYPE",
	.summary = "Add another way to open the keyring of DATASET: tpm2, vault, recovery or passphrase",
	.details = "The keyring is opened first, by a slot that it has. The new one is made, opened once from the very\n"
		   "text that will be stored, and only then written, in one transaction.",
	.options = add_options,
	.lists = true,
	.changes = true,
	.min_arguments = 2,
	.max_arguments = 2,
	.run = run_add,
};

const struct verb verb_slot_reseal = {
	.name = "slot reseal",
	.arguments = "DATASET [NAME]",
	.summary = "Make a slot anew: after a firmware update, a new TPM, or for a new recovery key",
	.details = "NAME is this machine's TPM slot unless given. PCRs and handle stay as they were, sealed to the\n"
		   "values of now. The old slot stays until the new one was opened. Where the old one does not open\n"
		   "any more, --recovery does.",
	.options = reseal_options,
	.lists = true,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 2,
	.run = run_reseal,
};

const struct verb verb_slot_remove = {
	.name = "slot remove",
	.arguments = "DATASET NAME",
	.summary = "Remove a slot; refuses the last one that was tested",
	.details = "That does not revoke it: whoever kept its old value (it stays readable in the pool's history) and has\n"
		   "what it asks for can still open the pool.",
	.options = remove_options,
	.lists = true,
	.changes = true,
	.min_arguments = 2,
	.max_arguments = 2,
	.run = run_remove,
};

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
