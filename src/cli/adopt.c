/* SPDX-License-Identifier: MIT */
/* zseal adopt: takes over an encryption root that exists, and names the old copies of its key that remain. */
#include <string.h>

#include "cli/adopt-source.h"
#include "cli/new-slots.h"
#include "cli/output.h"
#include "core/adopt.h"
#include "sys/process.h"
#include "sys/terminal.h"

struct work {
	const struct invocation *inv;
	struct session session;
	struct adoption adoption;
	struct source source;
	struct new_slots slots;
	struct leftovers leftovers;
	bool key_given;  /* in this run, and proven */
	size_t n_failed; /* leftovers that were to be destroyed, and were not */
};

static void work_clear(struct work *w)
{
	leftovers_clear(&w->leftovers);
	adopt_end(&w->adoption);
	new_slots_clear(&w->slots);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

static const char *dataset_of(const struct work *w)
{
	return w->inv->arguments[0];
}

/* ---- what was found beforehand ---- */

static void tell_findings(const struct work *w)
{
	const struct adopt_check *c = &w->adoption.check;

	for (size_t i = 0; i < c->n; i++)
		if (!c->findings[i].refuses)
			output_warning(dataset_of(w), &c->findings[i].error);
}

static enum err begin(struct work *w, struct err_ctx *e)
{
	const struct adopt_request r = {
		.dataset = dataset_of(w), .open = session_open_request(&w->session, w->inv),
		.replica = invocation_has(w->inv, "replica"),
	};
	enum err err = zfs_name_is_valid(r.dataset) ? ERR_OK
						    : err_set(e, ERR_USAGE, "'%.64s' is no dataset's name", r.dataset);

	if (!err)
		err = adopt_begin(&w->adoption, &r, e);
	tell_findings(w);
	if (!err)
		err = adopt_check_refusal(&w->adoption.check, e);
	return err;
}

/* ---- the keyring and the key ---- */

static enum err open_keyring(struct work *w, struct err_ctx *e)
{
	if (!adopt_has_keyring(&w->adoption))
		return ERR_OK;
	enum err err = session_ask_answers(&w->session, w->inv, e);
	output_progress("opening the keyring");
	if (!err)
		err = adopt_open(&w->adoption, e);
	output_progress(NULL);
	return err;
}

static enum err get_key(struct work *w, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *given = NULL;
	enum err err = source_choose(w->inv, &w->adoption.check, &w->source, e);

	if (!err)
		err = source_get(&w->source, &w->session, &w->adoption.check, &given, e);
	output_progress("proving the key");
	if (!err)
		err = adopt_take_key(&w->adoption, given, e);
	output_progress(NULL);
	w->key_given = !err;
	return err;
}

/*
 * Whether what an earlier run took the key out of is still there and still holds it, so that it can be named. Not asked
 * for where a person would have to answer; what does not open now is nobody's business here, but for a Vault that cannot
 * be asked: a copy that is there would not be missed.
 */
static void look_again(struct work *w)
{
	_cleanup_secret_ struct secret *given = NULL, *key = NULL;
	struct source *s = &w->source;
	struct err_ctx own = { 0 };

	if (s->kind != SOURCE_TPM && s->kind != SOURCE_CLEVIS && s->kind != SOURCE_VAULT)
		return;
	enum err err = source_get(s, &w->session, &w->adoption.check, &given, &own);
	w->key_given = !err && !adopt_key_make(given, &w->adoption.check, &key, NULL) &&
		       secret_equal(key, w->adoption.key);
	if (s->kind == SOURCE_VAULT && err && err != ERR_VAULT_NO_ENTRY)
		output_warning(dataset_of(w), &own);
	if ((s->kind == SOURCE_TPM && !w->key_given) || (s->kind == SOURCE_VAULT && err))
		*s = (struct source){ .kind = SOURCE_NONE };
}

/* What an earlier adoption has done need not be asked for again; what was given names the leftovers all the same. */
static enum err get_key_once(struct work *w, struct err_ctx *e)
{
	if (!adopt_has_key(&w->adoption))
		return get_key(w, e);
	if (source_choose(w->inv, &w->adoption.check, &w->source, NULL))
		w->source = (struct source){ .kind = SOURCE_NONE };
	look_again(w);
	return ERR_OK;
}

/* ---- doing it ---- */

static enum err make(struct work *w, struct err_ctx *e)
{
	struct adoption *a = &w->adoption;
	const bool is_new = !adopt_has_keyring(a);
	enum err err = ERR_OK;

	if (is_new)
		err = new_slots_choose_first(&w->slots, w->inv, &w->session, e);
	if (err)
		return err;
	output_progress("sealing and proving the slots");
	err = adopt_prepare(a, w->slots.slots, w->slots.n, e);
	output_progress(NULL);
	if (!err && is_new)
		err = new_slots_hand_over(&w->slots, dataset_of(w), &a->draft, &a->recovery_confirmed, e);
	if (err)
		return err;
	output_progress("taking the root over");
	err = adopt_commit(a, e);
	output_progress(NULL);
	return err;
}

/* --trust and a typed recovery key mean: this keyring is mine. A pin without a pool is of an adoption that was cut off. */
static enum err remember(struct work *w, struct err_ctx *e)
{
	const struct adoption *a = &w->adoption;
	const struct keyring *k = a->root->keyring;
	const struct pin *pin = k ? pins_find(&w->session.pins, &keyring_ring(k)->uuid, k->pool_guid) : NULL;

	if (!k || (pin && pin->pool_guid))
		return ERR_OK;
	return session_remember(k, &a->opening, e);
}

/* ---- leftovers ---- */

static enum err find_leftovers(struct work *w, struct err_ctx *e)
{
	const struct source *s = &w->source;
	const struct leftover_hints hints = {
		.dataset = dataset_of(w), .location_file = w->adoption.check.key_file,
		.key_file = s->kind == SOURCE_FILE ? s->path : NULL, .jwe = s->kind == SOURCE_CLEVIS ? s->path : NULL,
		.jwe_opened = w->key_given, .check = &w->adoption.check, .key = w->adoption.key,
		/* one that was not opened in this run might be another's */
		.kept = s->kind == SOURCE_TPM && s->kept.name[0] | s->kept.name[1] ? &s->kept : NULL,
		.entry = s->kind == SOURCE_VAULT ? &s->vault.entry : NULL, .entry_opened = w->key_given,
	};

	return leftovers_find(&hints, &w->leftovers, e);
}

enum { LEFTOVER_NAME_SIZE = VAULT_PATH_SIZE + VAULT_KV_SIZE + 16 };

static void leftover_name(const struct leftover *l, char ret[static LEFTOVER_NAME_SIZE])
{
	if (l->path)
		snprintf(ret, LEFTOVER_NAME_SIZE, "%s", output_printable(l->path).text);
	else if (l->entry)
		snprintf(ret, LEFTOVER_NAME_SIZE, "KV entry %s/%s", l->entry->mount, l->entry->path);
	else
		snprintf(ret, LEFTOVER_NAME_SIZE, "TPM handle 0x%08x", l->kept.handle);
}

static enum err ask_destroy(const char *name, bool *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *answer = NULL;
	char prompt[LEFTOVER_NAME_SIZE + 32];

	snprintf(prompt, sizeof(prompt), "Destroy %s? [y/N] ", name);
	style_progress_clear();
	enum err err = terminal_ask(prompt, true, &answer, e);
	*ret = !err && secret_size(answer) == 1 && (*secret_data(answer) | 0x20) == 'y';
	return err == ERR_INTERRUPTED ? err : ERR_OK;
}

static bool may_ask(const struct invocation *inv)
{
	return !inv->json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static enum err settle_leftover(struct work *w, struct leftover *l, struct err_ctx *e)
{
	const bool is_told = invocation_has(w->inv, "destroy-leftovers");
	bool destroy = is_told && l->proven;
	struct err_ctx own = { 0 };
	char name[LEFTOVER_NAME_SIZE];
	enum err err = process_interrupted(e);

	leftover_name(l, name);
	if (!err && !is_told && !leftover_is_needed(l) && may_ask(w->inv))
		err = ask_destroy(name, &destroy, e);
	if (err || !destroy || !leftover_destroy(l, &w->session.context, &own))
		return err;
	w->n_failed++;
	output_error(name, &own);
	return ERR_OK;
}

static void print_entry(const struct leftover *l, const char *name)
{
	const struct kv_entry *entry = l->entry;

	if (l->destroyed)
		say(stdout, "  %s: destroyed with all its versions; Vault's backups still have them\n", name);
	else if (entry->has_more)
		say(stdout, "  %s: still there; it has other fields, too: take the key out of it, and destroy the "
			    "versions that have it: bao kv destroy\n", name);
	else
		say(stdout, "  %s: still there%s destroy it with all its versions: bao kv metadata delete -mount=%s %s\n",
		    name, l->proven ? ";" : ", and not proven to be a copy; if it is one,", entry->mount, entry->path);
}

static void print_leftover(const struct leftover *l)
{
	char name[LEFTOVER_NAME_SIZE];

	leftover_name(l, name);
	if (l->entry)
		print_entry(l, name);
	else if (l->destroyed)
		say(stdout, "  %s: destroyed%s\n", name,
		       l->path ? "; its blocks stay readable on the disk until they are written anew" : "");
	else if (l->needed_by)
		say(stdout, "  %s: keep it until %s is adopted as well\n", name, output_printable(l->needed_by).text);
	else if (!l->proven)
		say(stdout, "  %s: still there, and not proven to be a copy; if it is one, destroy it: rm %s\n", name, name);
	else
		say(stdout, "  %s: still there; destroy it: %s %s\n", name,
		    l->path ? "rm" : "tpm2_evictcontrol -C o -c", l->path ? name : strrchr(name, ' ') + 1);
}

/* ---- telling ---- */

static json_t *leftovers_json(const struct work *w)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->leftovers.n; i++) {
		const struct leftover *l = &w->leftovers.all[i];
		char name[LEFTOVER_NAME_SIZE];

		leftover_name(l, name);
		json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:s?}", "what", name, "proven", l->proven,
						      "destroyed", l->destroyed, "needed_by", l->needed_by));
	}
	return list;
}

/* What wraps is nobody's copy, and zseal cannot know what else it wraps. NULL if nothing did. */
static const struct site_key *transit_key(const struct work *w)
{
	const struct vault_source *s = &w->source.vault;

	return w->source.kind == SOURCE_VAULT && w->key_given && s->entry.wrapped ? &s->key : NULL;
}

static enum err print_json(const struct work *w, bool was_done, struct err_ctx *e)
{
	const struct adoption *a = &w->adoption;
	char uuid[UUID_TEXT_SIZE], fingerprint[FINGERPRINT_TEXT_SIZE];
	const struct site_key *key = transit_key(w);

	uuid_print(&a->draft.ring.uuid, uuid);
	fingerprint_print(a->draft.ring.fingerprint, fingerprint);
	json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "dataset", dataset_of(w), "keyring", uuid,
			      "fingerprint", fingerprint, "new_keyring", !adopt_has_keyring(a), "new_key",
			      a->changed_key && a->check.format == KEY_FORMAT_PASSPHRASE, "was_adopted", was_done,
			      "leftovers", leftovers_json(w));
	if (key)
		json_object_set_new(j, "transit_key", json_sprintf("%s/%s", key->mount, key->name));
	return output_json(j, e);
}

static void print_text(const struct work *w, bool was_done)
{
	const struct adoption *a = &w->adoption;
	char uuid[UUID_TEXT_SIZE], fingerprint[FINGERPRINT_TEXT_SIZE];
	const struct site_key *key = transit_key(w);

	uuid_print(&a->draft.ring.uuid, uuid);
	fingerprint_print(a->draft.ring.fingerprint, fingerprint);
	if (was_done)
		say(stdout, "%s is adopted already\n", dataset_of(w));
	else if (adopt_has_keyring(a))
		say(stdout, "%s is adopted: the keyring on %s opens it\n", dataset_of(w), a->root->keyring->dataset);
	else
		say(stdout, "%s is adopted, and opens by", dataset_of(w));
	for (unsigned i = 0; !adopt_has_keyring(a) && i < a->draft.n_slots; i++)
		say(stdout, "%s %s%s", i ? " or" : "", a->draft.slots[i].slot.name,
		    i + 1 < a->draft.n_slots ? "" : "\n");
	if (a->changed_key && a->check.format == KEY_FORMAT_PASSPHRASE)
		say(stdout, "it has a new random key: the passphrase opens it no more, except out of old copies of the "
			    "disks\n");
	say(stdout, "keyring %s\nfingerprint %s\n", uuid, fingerprint);
	if (!adopt_has_keyring(a) && !w->slots.recovery_key)
		say(stdout, "there is NO recovery key: if the TPM is lost, so is %s\n", dataset_of(w));
	if (w->leftovers.n > 0)
		say(stdout, "old copies of its key:\n");
	for (size_t i = 0; i < w->leftovers.n; i++)
		print_leftover(&w->leftovers.all[i]);
	if (key)
		say(stdout, "the Transit key %s/%s, which wrapped it, may serve others: zseal leaves it as it is\n",
		    key->mount, key->name);
}

/* Asking and destroying come after the line that says that the root is safe. */
static enum err finish(struct work *w, bool was_done, struct err_ctx *e)
{
	enum err err = find_leftovers(w, e);

	for (size_t i = 0; !err && i < w->leftovers.n; i++)
		err = settle_leftover(w, &w->leftovers.all[i], e);
	enum err printed = w->inv->json ? print_json(w, was_done, e) : ERR_OK;
	if (!w->inv->json)
		print_text(w, was_done);
	if (!err && !printed && w->n_failed > 0) {
		err_clear(e);
		return e->code = ERR_PARTIAL; /* the reasons were printed: an empty chain says so */
	}
	return err ? err : printed;
}

/* ---- the verb ---- */

static enum err print_dry_run(const struct work *w, struct err_ctx *e)
{
	const struct adoption *a = &w->adoption;
	static const char *const formats[] = { "raw", "hex", "passphrase" };

	if (w->inv->json)
		return output_json(json_pack("{s:s, s:b, s:s, s:b, s:b}", "dataset", dataset_of(w), "dry_run", true,
					     "keyformat", formats[a->check.format], "new_keyring", !adopt_has_keyring(a),
					     "new_key", a->check.format == KEY_FORMAT_PASSPHRASE), e);
	say(stdout, "%s would be adopted: %s; its key %s\n", dataset_of(w),
	       adopt_has_keyring(a) ? "the keyring above it gets a record of its key" : "it gets a keyring of its own",
	       a->check.format == KEY_FORMAT_PASSPHRASE ? "is replaced by a random one" : "stays the same");
	if (!a->check.located)
		say(stdout, "keylocation would become prompt: zseal unlocks it from then on\n");
	return ERR_OK;
}

static enum err adopt(struct work *w, struct err_ctx *e)
{
	enum err err = begin(w, e);

	if (!err && w->inv->dry_run)
		return print_dry_run(w, e);
	if (!err)
		err = open_keyring(w, e);
	if (!err)
		err = get_key_once(w, e);
	if (err)
		return err;
	const bool was_done = adopt_is_done(&w->adoption);
	if (!was_done)
		err = make(w, e);
	if (!err)
		err = remember(w, e);
	return err ? err : finish(w, was_done, e);
}

static enum err run(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ .inv = inv };
	enum err err = process_require_root(e, "adopting an encryption root");

	if (!err)
		err = session_begin(&w->session, inv, e);
	if (!err)
		err = adopt(w, e);
	output_progress(NULL);
	return err && err != ERR_PARTIAL ? err_wrap(e, err, "adopt of %s", inv->arguments[0]) : err;
}

static const struct option_spec options[] = {
	OPTIONS_SOURCE,
	OPTIONS_FIRST_SLOTS,
	{ "replica", 0, NULL, "it was received, but stands alone from now on: change its key all the same", false },
	{ "destroy-leftovers", 0, NULL, "destroy old copies that are proven to be some, which are only named otherwise", false },
	OPTIONS_ANSWERS,
	OPTION_TRUST,
	{ 0 },
};

const struct verb verb_adopt = {
	.name = "adopt",
	.arguments = "DATASET",
	.summary = "Take over an encryption root that exists, without risk for what is in it",
	.details = "The key is proven, recorded in a keyring, read back and proven again; only then the old way ends.\n"
		   "A keyring that serves DATASET already (of a dataset above it) gets the record; else DATASET gets a\n"
		   "new one with first slots. A raw or hex key is kept; a passphrase is replaced by a random key.\n"
		   "Without an option the key is where keylocation says. Cut off, the same command finishes it.",
	.options = options,
	.lists = true,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run,
};
