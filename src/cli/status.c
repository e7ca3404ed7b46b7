/* SPDX-License-Identifier: MIT */
/*
 * zseal status, zseal slot list: what is there, what is locked, what would open it, what that is worth, and what to do.
 * Opens nothing, asks nobody.
 */
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"
#include "cli/status-remembered.h"
#include "core/health.h"

struct view {
	struct session session;
	struct inventory inventory;
	struct open_request open;
};

static void view_clear(struct view *v)
{
	inventory_clear(&v->inventory);
	session_clear(&v->session);
}
DEFINE_CLEANUP(struct view *, view_clear)

static enum err view_load(struct view *v, const struct invocation *inv, struct err_ctx *e)
{
	enum err err = session_begin(&v->session, inv, e);

	if (!err)
		err = inventory_load(inv->arguments, inv->n_arguments, &v->inventory, e);
	v->open = session_open_request(&v->session, inv);
	return err;
}

static size_t get_health(struct view *v, const struct keyring *k, struct slot_health health[static SLOTS_MAX])
{
	for (size_t i = 0; i < k->n_slots; i++)
		slot_health_get(k, &k->slots[i], &v->open, &health[i]);
	return k->n_slots;
}

/* What stands beside a name in its line, and how wide names usually are. */
enum { SLOT_REST = 50, SLOT_COLUMN = 20, ROOT_REST = 52, ROOT_COLUMN = 28 };

/* ---- slots ---- */

static const char *slot_state(const struct slot_health *h)
{
	static const char *const states[CLASS_MAX] = {
		[CLASS_OK] = GOOD "ready" PLAIN,
		[CLASS_NOT_MINE] = "not this machine's",
		[CLASS_UNAVAILABLE] = CAUTION "unavailable" PLAIN,
		[CLASS_REFUSED] = BAD "REFUSED" PLAIN,
		[CLASS_CORRUPT] = BAD "DAMAGED" PLAIN,
		[CLASS_STATE] = CAUTION "not understood" PLAIN,
	};
	const char *state = states[err_info(h->error.code)->class];

	if (h->error.code || h->needs == ANSWER_NONE)
		return state ? state : BAD "FAILED" PLAIN;
	return h->needs == ANSWER_PIN ? GOOD "ready" PLAIN ", with its PIN" : "typed by a person";
}

static void print_lockout(const struct tpm2_lockout *l)
{
	say(stdout, "        wrong PINs that the TPM allows before it locks itself: %u of %u, forgetting one in %u s\n",
	       tpm2_lockout_tries(l), l->failures_max, l->interval_s);
	if (!l->auth_set)
		say(stdout, "        " CAUTION "WARNING:" PLAIN " " OUTPUT_LOCKOUT_EMPTY "\n        " OUTPUT_NEXT
			    OUTPUT_LOCKOUT_ADVICE "\n");
}

/* Another machine's slot is as it should be; with a TPM that was cleared there is something to do. */
static void print_slot_error(const struct keyring *k, const struct slot_health *h)
{
	say(stdout, "        %s\n", err_info(h->error.code)->sentence);
	if (h->error.code != ERR_TPM_NOT_MINE)
		output_next(stdout, 8, k->dataset, h->error.code);
}

static void print_slot(const struct keyring *k, const struct slot_health *h, int column)
{
	char date[16], pcrs[128] = "";

	output_date(h->tested, date);
	if (h->has_sealed)
		output_pcrs(h->sealed.pcrs, pcrs);
	say_name(stdout, 6, h->slot->name, column);
	say(stdout, " %-9s %s%s%s", h->slot->state ? "?" : h->slot->slot.type, slot_state(h), *pcrs ? "; " : "", pcrs);
	say(stdout, "%s%s\n", h->slot->state ? "" : "; tested here: ", h->slot->state ? "" : date);
	if (h->error.code)
		print_slot_error(k, h);
	if (h->has_sealed && h->sealed.handle)
		say(stdout, "        also in the TPM at 0x%08x\n", h->sealed.handle);
	if (h->has_lockout)
		print_lockout(&h->lockout);
}

static void print_slots(const struct keyring *k, const struct slot_health *health, size_t n)
{
	size_t longest = 0;

	for (size_t i = 0; i < n; i++)
		longest = strlen(health[i].slot->name) > longest ? strlen(health[i].slot->name) : longest;
	for (size_t i = 0; i < n; i++)
		print_slot(k, &health[i], style_column(stdout, longest, SLOT_COLUMN, SLOT_REST));
}

static json_t *lockout_json(const struct tpm2_lockout *l)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:b, s:b}", "tries_left", (int)tpm2_lockout_tries(l), "tries_max",
			 (int)l->failures_max, "interval_s", (int)l->interval_s, "recovery_s", (int)l->recovery_s,
			 "in_lockout", l->in_lockout, "authorisation_set", l->auth_set);
}

static json_t *slot_json(const struct slot_health *h)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:I}", "name", h->slot->name, "type",
			      h->slot->state ? "unknown" : h->slot->slot.type, "state",
			      h->needs == ANSWER_NONE || h->error.code ? err_class_name(err_info(h->error.code)->class)
								       : "attended", "tested",
			      (json_int_t)h->tested);
	char uuid[UUID_TEXT_SIZE];

	if (!h->slot->state) {
		uuid_print(&h->slot->slot.uuid, uuid);
		json_object_set_new(j, "uuid", json_string(uuid));
		json_object_set_new(j, "created", json_integer((json_int_t)h->slot->slot.created));
	}
	if (h->has_sealed) {
		json_t *pcrs = json_array();

		for (int i = 0; i < TPM2_PCRS; i++)
			if (h->sealed.pcrs >> i & 1)
				json_array_append_new(pcrs, json_integer(i));
		json_object_set_new(j, "pcrs", pcrs);
		json_object_set_new(j, "bank", json_string(tpm2_bank_name(h->sealed.bank)));
		if (h->sealed.handle)
			json_object_set_new(j, "handle", json_integer(h->sealed.handle));
	}
	if (h->has_sealed)
		json_object_set_new(j, "pin", json_boolean(h->sealed.has_pin));
	if (h->has_lockout)
		json_object_set_new(j, "lockout", lockout_json(&h->lockout));
	if (h->error.code)
		json_object_set_new(j, "error", output_error_json(&h->error));
	return j;
}

/* ---- roots ---- */

/* It has a key record, so it was zseal's. */
static bool lost_keyring(const struct root *r)
{
	return !r->keyring && r->value && !r->misplaced;
}

/* The old way to its key has not ended: adopt writes the record first, and this last. */
static bool is_half_adopted(const struct root *r)
{
	return r->keyring && !r->state && (!r->raw || !str_equal(r->location, "prompt"));
}

static void print_root_error(const struct root *r)
{
	say(stdout, "        %s\n", err_info(r->state)->sentence);
	output_next(stdout, 8, r->dataset, r->state);
}

static void print_root(const struct root *r, int column)
{
	char date[16];

	say_name(stdout, 6, r->dataset, column);
	say(stdout, " %s %s", r->locked ? BAD "LOCKED  " PLAIN : GOOD "unlocked" PLAIN, r->encryption);
	if (!r->state) {
		output_date(r->records.records[0].created, date);
		say(stdout, ", key %u made %s", r->records.records[0].generation, date);
	}
	say(stdout, "\n");
	if (lost_keyring(r))
		say(stdout, "        its keyring is lost: zseal header restore %s\n", r->dataset);
	else if (r->state && r->keyring)
		print_root_error(r);
	if (is_half_adopted(r))
		say(stdout, "        its adoption was cut off: zseal adopt %s finishes it\n", r->dataset);
	if (r->keyring && !str_equal(r->location, "prompt"))
		say(stdout, "        keylocation is '%.64s', not prompt: zfs load-key would look there\n",
		       output_printable(r->location).text);
}

static size_t count_roots(const struct view *v, const struct keyring *k, bool locked)
{
	size_t n = 0;

	for (size_t i = 0; i < v->inventory.n_roots; i++)
		n += v->inventory.roots[i].keyring == k && (v->inventory.roots[i].locked || !locked);
	return n;
}

static void print_roots(const struct view *v, const struct keyring *k)
{
	const struct inventory *inv = &v->inventory;
	size_t longest = 0;

	for (size_t i = 0; i < inv->n_roots; i++)
		if (inv->roots[i].keyring == k && strlen(inv->roots[i].dataset) > longest)
			longest = strlen(inv->roots[i].dataset);
	for (size_t i = 0; i < inv->n_roots; i++)
		if (inv->roots[i].keyring == k)
			print_root(&inv->roots[i], style_column(stdout, longest, ROOT_COLUMN, ROOT_REST));
}

static bool has_openable(const struct view *v, const struct keyring *k)
{
	for (size_t i = 0; i < v->inventory.n_roots; i++) {
		const struct root *r = &v->inventory.roots[i];

		if (r->keyring == k && r->locked && !r->state)
			return true;
	}
	return false;
}

/* How what is locked would be unlocked, by the slot that asks least of a person. */
static void print_how(const struct view *v, const struct keyring *k, const struct slot_health *health, size_t n)
{
	static const char *const commands[ANSWER_MAX] = {
		[ANSWER_NONE] = "unlock", [ANSWER_PIN] = "unlock --pin", [ANSWER_PASSPHRASE] = "unlock --passphrase",
		[ANSWER_RECOVERY_KEY] = "unlock --recovery",
	};
	static const enum answer order[] = { ANSWER_NONE, ANSWER_PIN, ANSWER_PASSPHRASE, ANSWER_RECOVERY_KEY };
	const char *command = "recover";

	if (k->state || !has_openable(v, k))
		return;
	for (size_t i = ARRAY_SIZE(order); i > 0; i--)
		for (size_t j = 0; j < n; j++)
			if (!health[j].error.code && health[j].needs == order[i - 1])
				command = commands[order[i - 1]];
	say(stdout, "    to unlock: zseal %s %s\n", command, k->dataset);
}

/* ---- keyrings ---- */

static enum err pin_state(const struct view *v, const struct keyring *k, struct err_ctx *e)
{
	if (k->state)
		return k->state;
	return pins_check(&v->session.pins, &v->session.config, k->pool_guid, keyring_ring(k), e);
}

static const char *worth_name(enum worth w)
{
	static const char *const names[WORTH_MAX] = {
		[WORTH_CLOSED] = "closed", [WORTH_PIN] = "pin", [WORTH_PASSPHRASE] = "passphrase",
		[WORTH_VAULT] = "vault",
		[WORTH_PIN_FREE] = "pin-without-limit", [WORTH_UNCHANGED] = "if-unchanged", [WORTH_OPEN] = "open",
	};

	return names[w];
}

static const char *const worth_before[WORTH_MAX] = {
	[WORTH_CLOSED] = "no", [WORTH_PIN] = "only with the PIN of slot ",
	[WORTH_PASSPHRASE] = "only with the passphrase of slot ",
	[WORTH_VAULT] = "while Vault answers it (slot ",
	[WORTH_PIN_FREE] = BAD "YES" PLAIN ", if he guesses the PIN of slot ",
	[WORTH_UNCHANGED] = "when it boots unchanged (slot ",
	[WORTH_OPEN] = BAD "YES" PLAIN " (slot ",
};

static const char *const worth_after[WORTH_MAX] = {
	[WORTH_CLOSED] = "", [WORTH_PIN] = " (the TPM limits guessing)",
	[WORTH_PASSPHRASE] = " (as strong as that is: nothing limits guessing)",
	[WORTH_VAULT] = "; revoke its secret_id then)",
	[WORTH_PIN_FREE] = ", without limit: the lockout authorisation is empty", [WORTH_UNCHANGED] = " has no PIN)",
	[WORTH_OPEN] = " has no PIN and no PCRs)",
};

static void print_thief(const char *of, enum thief thief, const struct slot_health *health, size_t n)
{
	const struct slot_health *weakest;
	enum worth w = keyring_worth(thief, health, n, &weakest);
	bool unknown = w == WORTH_PIN && !weakest->has_lockout;

	say(stdout, "    opens for a thief of %s: %s%s%s\n", of, worth_before[w], weakest ? weakest->slot->name : "",
	       unknown ? " (whether its TPM limits guessing is not known)" : worth_after[w]);
}

static void print_worth(const struct slot_health *health, size_t n)
{
	print_thief("the disks", THIEF_OF_DISKS, health, n);
	print_thief("this whole machine", THIEF_OF_MACHINE, health, n);
}

static void print_keyring_head(const struct view *v, const struct keyring *k)
{
	char uuid[UUID_TEXT_SIZE], fingerprint[FINGERPRINT_TEXT_SIZE], date[16];
	const struct ring *ring = keyring_ring(k);
	struct err_ctx e = { 0 };

	say(stdout, "  keyring on %s\n", k->dataset);
	if (k->state) {
		say(stdout, "    %s: %s\n", k->state == ERR_FORMAT_NEWER ? "not understood" : BAD "DAMAGED" PLAIN,
		    err_info(k->state)->sentence);
		output_next(stdout, 4, k->dataset, k->state);
		return;
	}
	uuid_print(&ring->uuid, uuid);
	fingerprint_print(ring->fingerprint, fingerprint);
	output_date(ring->created, date);
	say(stdout, "    %s, generation %u, made %s\n    fingerprint %s\n", uuid, ring->generation, date, fingerprint);
	enum err err = pin_state(v, k, &e);
	say(stdout, "    known to this machine: %s%s\n", err ? BAD "NO" PLAIN ": " : "yes",
	    err ? err_info(err)->sentence : "");
	if (err)
		output_next(stdout, 4, k->dataset, err);
	status_print_unfinished(k, &v->session.pins);
}

static void print_keyring(struct view *v, const struct keyring *k)
{
	struct slot_health health[SLOTS_MAX];
	size_t n = get_health(v, k, health);

	print_keyring_head(v, k);
	if (!k->state && count_roots(v, k, true) < count_roots(v, k, false))
		status_print_opened(k);
	say(stdout, "    slots, any of which opens it\n");
	print_slots(k, health, n);
	print_worth(health, n);
	say(stdout, "    encryption roots\n");
	print_roots(v, k);
	print_how(v, k, health, n);
}

static json_t *keyring_json(struct view *v, const struct keyring *k)
{
	struct slot_health health[SLOTS_MAX];
	const struct slot_health *weakest;
	size_t n = get_health(v, k, health);
	json_t *slots = json_array();
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:o}", "dataset", k->dataset, "pool", k->pool,
			      "opens_for_thief_of_disks",
			      worth_name(keyring_worth(THIEF_OF_DISKS, health, n, &weakest)),
			      "opens_for_thief_of_machine",
			      worth_name(keyring_worth(THIEF_OF_MACHINE, health, n, &weakest)), "slots", slots);
	char uuid[UUID_TEXT_SIZE], fingerprint[FINGERPRINT_TEXT_SIZE];
	struct err_ctx e = { 0 };

	for (size_t i = 0; i < n; i++)
		json_array_append_new(slots, slot_json(&health[i]));
	json_object_set_new(j, "known", json_boolean(pin_state(v, k, &e) == ERR_OK));
	if (k->state) {
		json_object_set_new(j, "error", output_error_json(&k->error));
		return j;
	}
	if (e.code)
		json_object_set_new(j, "error", output_error_json(&e));
	uuid_print(&keyring_ring(k)->uuid, uuid);
	fingerprint_print(keyring_ring(k)->fingerprint, fingerprint);
	json_object_set_new(j, "uuid", json_string(uuid));
	json_object_set_new(j, "generation", json_integer(keyring_ring(k)->generation));
	json_object_set_new(j, "created", json_integer((json_int_t)keyring_ring(k)->created));
	json_object_set_new(j, "fingerprint", json_string(fingerprint));
	json_t *opened = status_opened_json(k), *unfinished = status_unfinished_json(k, &v->session.pins);
	if (opened)
		json_object_set_new(j, "opened", opened);
	if (unfinished)
		json_object_set_new(j, "unfinished", unfinished);
	return j;
}

static bool has_foreign_roots(const struct inventory *inv)
{
	for (size_t i = 0; i < inv->n_roots; i++)
		if (!inv->roots[i].keyring)
			return true;
	return false;
}

static json_t *root_json(const struct root *r)
{
	json_t *j = json_pack("{s:s, s:b, s:s, s:o}", "dataset", r->dataset, "locked", r->locked, "encryption",
			      r->encryption, "keylocation", output_text_json(r->location));

	json_object_set_new(j, "keyring", r->keyring ? json_string(r->keyring->dataset) : json_null());
	if (lost_keyring(r)) {
		struct err_ctx e = { 0 };

		(void)!err_set(&e, ERR_NO_KEYRING, "%s", r->dataset);
		json_object_set_new(j, "error", output_error_json(&e));
	}
	if (!r->keyring)
		return j;
	if (r->state) {
		json_object_set_new(j, "error", output_error_json(&r->error));
		return j;
	}
	json_object_set_new(j, "key_generation", json_integer(r->records.records[0].generation));
	json_object_set_new(j, "key_created", json_integer((json_int_t)r->records.records[0].created));
	json_object_set_new(j, "adoption_unfinished", json_boolean(is_half_adopted(r)));
	return j;
}

/* ---- the verbs ---- */

static void print_pool(const struct view *v, const struct keyring *first)
{
	size_t n = 0, locked = 0;

	for (size_t i = 0; i < v->inventory.n_keyrings; i++) {
		const struct keyring *k = v->inventory.keyrings[i];

		n += str_equal(k->pool, first->pool) ? count_roots(v, k, false) : 0;
		locked += str_equal(k->pool, first->pool) ? count_roots(v, k, true) : 0;
	}
	say(stdout, HEADING "pool %s%s" PLAIN ": ", first->pool, first->readonly ? " (read-only)" : "");
	if (locked == 0)
		say(stdout, GOOD "unlocked" PLAIN "\n");
	else if (locked == n)
		say(stdout, BAD "LOCKED" PLAIN "\n");
	else
		say(stdout, "%zu of %zu encryption roots " BAD "LOCKED" PLAIN "\n", locked, n);
}

static void print_tree(struct view *v)
{
	const char *pool = NULL;

	for (size_t i = 0; i < v->inventory.n_keyrings; i++) {
		struct keyring *k = v->inventory.keyrings[i];

		if (!str_equal(pool, k->pool))
			print_pool(v, k);
		pool = k->pool;
		print_keyring(v, k);
	}
	if (has_foreign_roots(&v->inventory)) {
		say(stdout, HEADING "encryption roots without zseal" PLAIN "\n");
		print_roots(v, NULL);
	}
	if (!status_print_suspended(&v->inventory) && v->inventory.n_roots == 0)
		say(stdout, "no encrypted pool is imported\n");
}

static json_t *tree_json(struct view *v, bool with_roots)
{
	json_t *keyrings = json_array(), *roots = json_array();

	for (size_t i = 0; i < v->inventory.n_keyrings; i++)
		json_array_append_new(keyrings, keyring_json(v, v->inventory.keyrings[i]));
	for (size_t i = 0; with_roots && i < v->inventory.n_roots; i++)
		json_array_append_new(roots, root_json(&v->inventory.roots[i]));
	if (with_roots)
		return json_pack("{s:o, s:o}", "keyrings", keyrings, "roots", roots);
	json_decref(roots);
	return json_pack("{s:o}", "keyrings", keyrings);
}

static enum err run_status(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(view_clearp) struct view *v = &(struct view){ 0 };
	enum err err = view_load(v, inv, e);

	if (err)
		return err;
	if (inv->json) {
		json_t *tree = tree_json(v, true);

		json_object_set_new(tree, "suspended", status_suspended_json(&v->inventory));
		if (inv->n_arguments == 0)
			json_object_set_new(tree, "absent", status_absent_json(&v->inventory, &v->session.pins));
		return output_json(tree, e);
	}
	print_tree(v);
	if (inv->n_arguments == 0)
		status_print_absent(&v->inventory, &v->session.pins);
	return ERR_OK;
}

static enum err run_slot_list(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(view_clearp) struct view *v = &(struct view){ 0 };
	enum err err = view_load(v, inv, e);

	if (err)
		return err;
	if (inv->json)
		err = output_json(tree_json(v, false), e);
	for (size_t i = 0; !inv->json && i < v->inventory.n_keyrings; i++) {
		struct slot_health health[SLOTS_MAX];
		size_t n = get_health(v, v->inventory.keyrings[i], health);

		say(stdout, "keyring on %s\n", v->inventory.keyrings[i]->dataset);
		print_slots(v->inventory.keyrings[i], health, n);
	}
	if (!err && v->inventory.n_keyrings == 0)
		return err_set(e, ERR_NO_KEYRING, "%s", inv->n_arguments ? inv->arguments[0] : "all imported pools");
	return err;
}

const struct verb verb_status = {
	.name = "status",
	.arguments = "[DATASET…]",
	.summary = "Show every encryption root, its keyring and slots, and what they are worth",
	.details = "Reads only, opens nothing and asks nobody: whether a header is whole is known only when it is\n"
		   "opened (zseal header verify).",
	.lists = true,
	.max_arguments = SIZE_MAX,
	.run = run_status,
};

const struct verb verb_slot_list = {
	.name = "slot list",
	.arguments = "[DATASET…]",
	.summary = "List the slots of the keyrings at and below each DATASET",
	.lists = true,
	.max_arguments = SIZE_MAX,
	.run = run_slot_list,
};
