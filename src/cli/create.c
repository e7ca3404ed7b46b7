/* SPDX-License-Identifier: MIT */
/* zseal create: a new encrypted pool whose key never touches a disk. */
#include <string.h>

#include "cli/new-slots.h"
#include "cli/output.h"
#include "core/create.h"
#include "sys/process.h"

enum { CREATE_TIMEOUT_MS = 600000, ZPOOL_OPTIONS_MAX = 2 * INVOCATION_OPTIONS_MAX + 32 };

/* What guests need and ZFS does not do by itself; each gives way to the same property on the command line. */
static const struct {
	const char *flag, *property, *value;
} defaults[] = {
	{ "-o", "ashift", "12" },          { "-O", "encryption", "aes-256-gcm" }, { "-O", "compression", "lz4" },
	{ "-O", "atime", "off" },          { "-O", "xattr", "sa" },               { "-O", "recordsize", "1M" },
};

struct work {
	const struct invocation *inv;
	struct session session;
	size_t n_options;
	const char *options[ZPOOL_OPTIONS_MAX];
	char assigned[ARRAY_SIZE(defaults)][64];
	struct new_slots slots;
	struct creation creation;
};

static void work_clear(struct work *w)
{
	create_end(&w->creation);
	new_slots_clear(&w->slots);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

/* ---- zpool's own options ---- */

/* True if text is an assignment to property. */
static bool assigns(const char *text, const char *property)
{
	size_t n = strlen(property);

	return text && strncmp(text, property, n) == 0 && text[n] == '=';
}

static bool is_given(const struct invocation *inv, const char *property)
{
	for (size_t i = 0; i < inv->n_options; i++)
		if (inv->options[i].spec->pass && assigns(inv->options[i].value, property))
			return true;
	return false;
}

/* What zseal sets itself cannot be set beside it. */
static enum err check_given(const struct given_option *o, struct err_ctx *e)
{
	static const char *const ours[] = { "keyformat", "keylocation", "pbkdf2iters" };

	if (o->spec->letter != 'O' && o->spec->letter != 'o')
		return ERR_OK;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (assigns(o->value, ours[i]))
			return err_set(e, ERR_USAGE, "-O %s: zseal sets %s itself", o->value, ours[i]);
	if (str_equal(o->value, "encryption=off"))
		return err_set(e, ERR_USAGE, "-O encryption=off: zseal makes encrypted pools only");
	if (strncmp(o->value, "zseal:", strlen("zseal:")) == 0)
		return err_set(e, ERR_USAGE, "-O %.64s: zseal's own properties are made, not given", o->value);
	return ERR_OK;
}

static enum err collect_options(struct work *w, struct err_ctx *e)
{
	static char flags[256][3];

	for (size_t i = 0; i < w->inv->n_options; i++) {
		const struct given_option *o = &w->inv->options[i];
		unsigned char letter = (unsigned char)o->spec->letter;
		enum err err = o->spec->pass ? check_given(o, e) : ERR_OK;

		if (err)
			return err;
		if (!o->spec->pass)
			continue;
		snprintf(flags[letter], sizeof(flags[letter]), "-%c", letter);
		w->options[w->n_options++] = flags[letter];
		if (o->value)
			w->options[w->n_options++] = o->value;
	}
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		if (is_given(w->inv, defaults[i].property))
			continue;
		snprintf(w->assigned[i], sizeof(w->assigned[i]), "%s=%s", defaults[i].property, defaults[i].value);
		w->options[w->n_options++] = defaults[i].flag;
		w->options[w->n_options++] = w->assigned[i];
	}
	return ERR_OK;
}

/* ---- the verb ---- */

static enum err prepare(struct work *w, struct err_ctx *e)
{
	const struct create_request r = {
		.pool = {
			.pool = w->inv->arguments[0], .options = w->options, .n_options = w->n_options,
			.vdevs = w->inv->arguments + 1, .n_vdevs = w->inv->n_arguments - 1, .dry_run = w->inv->dry_run,
		},
		.open = session_open_request(&w->session, w->inv),
		.deadline = deadline_in(CREATE_TIMEOUT_MS),
		.n_slots = w->slots.n,
		.slots = w->slots.slots,
	};

	output_progress("sealing and proving the slots");
	return create_prepare(&w->creation, &r, e);
}

static enum err print_result(const struct work *w, struct err_ctx *e)
{
	const struct creation *c = &w->creation;
	char uuid[UUID_TEXT_SIZE], fingerprint[FINGERPRINT_TEXT_SIZE];
	json_t *slots = json_array();

	uuid_print(&c->draft.ring.uuid, uuid);
	fingerprint_print(c->draft.ring.fingerprint, fingerprint);
	for (unsigned i = 0; i < c->draft.n_slots; i++)
		json_array_append_new(slots, json_string(c->draft.slots[i].slot.name));
	if (w->inv->json)
		return output_json(json_pack("{s:s, s:s, s:s, s:o}", "pool", c->request.pool.pool, "keyring", uuid,
					     "fingerprint", fingerprint, "slots", slots), e);
	say(stdout, "pool %s is made, unlocked, and opens by", c->request.pool.pool);
	for (unsigned i = 0; i < c->draft.n_slots; i++)
		say(stdout, "%s %s", i ? " or" : "", c->draft.slots[i].slot.name);
	say(stdout, "\nkeyring %s\nfingerprint %s\n", uuid, fingerprint);
	if (!w->slots.recovery_key)
		say(stdout, "there is NO recovery key: if the TPM is lost, so is the pool\n");
	json_decref(slots);
	return ERR_OK;
}

static enum err check_arguments(const struct invocation *inv, struct err_ctx *e)
{
	const char *pool = inv->arguments[0];

	if (!zfs_name_is_valid(pool) || strchr(pool, '/'))
		return err_set(e, ERR_USAGE, "'%.64s' is no pool's name", pool);
	/* zpool would take it for an option of its own, which zseal has not looked at */
	for (size_t i = 1; i < inv->n_arguments; i++)
		if (*inv->arguments[i] == '-')
			return err_set(e, ERR_USAGE, "'%.64s' comes too late: options stand before POOL",
				       inv->arguments[i]);
	return ERR_OK;
}

static enum err get_ready(struct work *w, struct err_ctx *e)
{
	enum err err = process_require_root(e, "making a pool");

	if (!err)
		err = check_arguments(w->inv, e);
	if (!err)
		err = session_begin(&w->session, w->inv, e);
	if (!err)
		err = collect_options(w, e);
	if (!err)
		err = new_slots_choose_first(&w->slots, w->inv, &w->session, e);
	if (!err)
		err = prepare(w, e);
	return err;
}

static enum err make(struct work *w, struct err_ctx *e)
{
	enum err err = w->inv->dry_run ? ERR_OK : new_slots_hand_over(&w->slots, w->inv->arguments[0],
								       &w->creation.draft,
								       &w->creation.recovery_confirmed, e);

	if (err)
		return err;
	output_progress("making the pool");
	return create_commit(&w->creation, e);
}

/* What zpool said goes to standard output only where it is the answer. */
static void print_zpool(const struct work *w, bool is_answer)
{
	if (w->creation.said && *w->creation.said)
		say(is_answer ? stdout : stderr, "%s\n", w->creation.said);
}

static enum err run(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ .inv = inv };
	enum err err = get_ready(w, e);

	if (!err)
		err = make(w, e);
	output_progress(NULL);
	if (!err && inv->dry_run && inv->json)
		return output_json(json_pack("{s:s, s:b}", "pool", inv->arguments[0], "dry_run", true), e);
	print_zpool(w, !err && inv->dry_run);
	return err || inv->dry_run ? err : print_result(w, e);
}

static const struct option_spec options[] = {
	OPTIONS_FIRST_SLOTS,
	{ NULL, 'f', NULL, "zpool create: use disks that seem to be in use", true },
	{ NULL, 'd', NULL, "zpool create: enable no features", true },
	{ NULL, 'o', "PROPERTY=VALUE", "zpool create: a property of the pool (ashift=12)", true },
	{ NULL, 'O', "PROPERTY=VALUE", "zpool create: a property of its root dataset", true },
	{ NULL, 'm', "MOUNTPOINT", "zpool create: where it is mounted", true },
	{ NULL, 'R', "ROOT", "zpool create: alternate root", true },
	{ 0 },
};

const struct verb verb_create = {
	.name = "create",
	.arguments = "POOL VDEV…",
	.summary = "Make an encrypted pool with a random key and a keyring",
	.details = "The slots are sealed and opened once, the recovery key is shown once and two of its groups typed\n"
		   "back; then one zpool create makes the pool with everything in it. VDEV… is as zpool create takes\n"
		   "it. Set unless given: ashift=12 encryption=aes-256-gcm compression=lz4 atime=off xattr=sa\n"
		   "recordsize=1M.",
	.options = options,
	.lists = true,
	.changes = true,
	.options_first = true,
	.min_arguments = 2,
	.max_arguments = SIZE_MAX,
	.run = run,
};
