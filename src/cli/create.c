/* SPDX-License-Identifier: MIT */
/* zseal create: a new encrypted pool whose key never touches a disk. */
#include <ctype.h>
#include <string.h>

#include "cli/output.h"
#include "cli/recovery.h"
#include "cli/session.h"
#include "core/create.h"
#include "format/recovery-key.h"
#include "sys/process.h"

enum { SEAL_TIMEOUT_MS = 60000, CREATE_TIMEOUT_MS = 600000, ZPOOL_OPTIONS_MAX = 2 * INVOCATION_OPTIONS_MAX + 32 };

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
	struct secret *recovery_key;
	struct recovery_takers takers;
	size_t n_options;
	const char *options[ZPOOL_OPTIONS_MAX];
	char assigned[ARRAY_SIZE(defaults)][64];
	char tpm_name[NAME_SIZE];
	unsigned n_slots;
	struct draft_slot_request slots[2];
	struct creation creation;
};

static void work_clear(struct work *w)
{
	create_end(&w->creation);
	secret_free(w->recovery_key);
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

/* ---- the slots ---- */

/* "tpm2-NODE": on a cluster each node has its own. Letters that a slot's name cannot have become '-'. */
static void name_tpm_slot(char name[static NAME_SIZE])
{
	char host[NAME_SIZE] = "";

	if (gethostname(host, sizeof(host) - 1) < 0 || !*host)
		snprintf(host, sizeof(host), "local");
	host[strcspn(host, ".")] = '\0';
	for (char *p = host; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", *p))
			*p = '-';
	}
	snprintf(name, NAME_SIZE, "tpm2-%.*s", NAME_SIZE - 6, host);
}

static enum err parse_pcrs(const char *text, uint32_t *ret, struct err_ctx *e)
{
	uint32_t pcrs = 0;

	if (str_equal(text, "none")) {
		*ret = 0;
		return ERR_OK;
	}
	for (const char *p = text;; p++) {
		char *end;
		unsigned long n = strtoul(p, &end, 10);

		if (end == p || !isdigit((unsigned char)*p) || n >= TPM2_PCRS || !strchr("+,", *end))
			return err_set(e, ERR_USAGE, "--pcrs takes numbers from 0 to 23 such as 0+7, or none, not '%.32s'",
				       text);
		pcrs |= 1u << n;
		p = end;
		if (!*p)
			break;
	}
	*ret = pcrs;
	return ERR_OK;
}

/* PCR 7 where its bank is live, else none, said loudly: many machines have a TPM and no measured boot. */
static enum err choose_pcrs(struct work *w, uint32_t *ret, struct err_ctx *e)
{
	const char *given = invocation_value(w->inv, "pcrs");
	struct tpm2 *tpm;
	enum tpm2_bank bank;

	if (given)
		return parse_pcrs(given, ret, e);
	enum err err = protector_tpm(&w->session.context, &tpm, e);
	if (!err)
		err = tpm2_live_bank(tpm, 1u << 7, &bank, e);
	if (err)
		return err;
	if (bank == TPM2_BANK_NONE)
		fprintf(stderr, "zseal: WARNING: this machine measures nothing into PCR 7: the TPM slot will open "
				"whatever boots on it\n");
	*ret = bank == TPM2_BANK_NONE ? 0 : 1u << 7;
	return ERR_OK;
}

static enum err add_tpm_slot(struct work *w, struct err_ctx *e)
{
	const char *name = invocation_value(w->inv, "slot-name");
	struct draft_slot_request *s = &w->slots[w->n_slots];
	long handle = 0;

	*s = (struct draft_slot_request){ .type = protector_tpm2.type, .deadline = deadline_in(SEAL_TIMEOUT_MS) };
	if (name && !name_is_valid(name))
		return err_set(e, ERR_USAGE, "--slot-name takes 1 to 63 of a-z 0-9 _ -, not '%.64s'", name);
	name_tpm_slot(w->tpm_name);
	s->name = name ? name : w->tpm_name;
	enum err err = invocation_number(w->inv, "handle", UINT32_MAX, 0, &handle, e);
	if (!err && !handle && invocation_has(w->inv, "handle"))
		err = err_set(e, ERR_USAGE, "--handle 0 is no persistent handle; those begin with 0x81");
	if (!err)
		err = choose_pcrs(w, &s->pcrs, e);
	s->tpm_handle = w->inv->dry_run ? 0 : (uint32_t)handle;
	w->n_slots++;
	return err;
}

/* An option that would be ignored was meant for something. */
static enum err check_not_without(const struct invocation *inv, struct err_ctx *e)
{
	static const struct {
		const char *without, *option;
	} pairs[] = {
		{ "no-tpm", "pcrs" }, { "no-tpm", "handle" }, { "no-tpm", "slot-name" },
		{ "no-recovery", "recovery-to-fd" }, { "no-recovery", "recovery-sheet-fd" }, { "no-recovery", "no-qr" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (invocation_has(inv, pairs[i].without) && invocation_has(inv, pairs[i].option))
			return err_set(e, ERR_USAGE, "--%s and --%s: one of them", pairs[i].without, pairs[i].option);
	return ERR_OK;
}

static enum err choose_slots(struct work *w, struct err_ctx *e)
{
	bool tpm = !invocation_has(w->inv, "no-tpm"), recovery = !invocation_has(w->inv, "no-recovery");
	enum err err = ERR_OK;

	if (!tpm && !recovery)
		return err_set(e, ERR_USAGE, "without a TPM slot and a recovery key nothing would open the pool");
	err = check_not_without(w->inv, e);
	if (err)
		return err;
	if (tpm)
		err = add_tpm_slot(w, e);
	if (err || !recovery)
		return err;
	if (str_equal(w->slots[0].name, "recovery"))
		return err_set(e, ERR_USAGE, "--slot-name recovery is the recovery key's slot");
	err = secret_new_random(RECOVERY_KEY_SIZE, &w->recovery_key, e);
	w->slots[w->n_slots++] = (struct draft_slot_request){
		.name = "recovery", .type = protector_recovery.type, .answer = w->recovery_key,
	};
	w->session.context.answers[ANSWER_RECOVERY_KEY] = w->recovery_key;
	return err;
}

/* ---- the recovery key ---- */

/* Whether there is a way to hand the recovery key over, before anything is made. */
static enum err find_takers(struct work *w, struct err_ctx *e)
{
	return invocation_has(w->inv, "no-recovery") ? ERR_OK : recovery_takers_find(w->inv, &w->takers, e);
}

static enum err hand_over_key(struct work *w, struct err_ctx *e)
{
	const struct ring *ring = &w->creation.draft.ring;
	struct handover h = {
		.key = w->recovery_key, .dataset = w->creation.request.pool.pool, .keyring = &ring->uuid,
		.fingerprint = ring->fingerprint, .takers = w->takers,
	};

	if (!w->recovery_key)
		return ERR_OK;
	output_progress(NULL);
	return recovery_hand_over(&h, &w->creation.recovery_confirmed, e);
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
		.n_slots = w->n_slots,
		.slots = w->slots,
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
	printf("pool %s is made, unlocked, and opens by", c->request.pool.pool);
	for (unsigned i = 0; i < c->draft.n_slots; i++)
		printf("%s %s", i ? " or" : "", c->draft.slots[i].slot.name);
	printf("\nkeyring %s\nfingerprint %s\n", uuid, fingerprint);
	if (!w->recovery_key)
		printf("there is NO recovery key: if the TPM is lost, so is the pool\n");
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
		err = find_takers(w, e);
	if (!err)
		err = session_begin(&w->session, w->inv, e);
	if (!err)
		err = collect_options(w, e);
	if (!err)
		err = choose_slots(w, e);
	if (!err)
		err = prepare(w, e);
	return err;
}

static enum err make(struct work *w, struct err_ctx *e)
{
	enum err err = w->inv->dry_run ? ERR_OK : hand_over_key(w, e);

	if (err)
		return err;
	output_progress("making the pool");
	return create_commit(&w->creation, e);
}

/* What zpool said goes to standard output only where it is the answer. */
static void print_zpool(const struct work *w, bool is_answer)
{
	if (w->creation.said && *w->creation.said)
		fprintf(is_answer ? stdout : stderr, "%s\n", w->creation.said);
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
	{ "no-tpm", 0, NULL, "no slot for this machine's TPM", false },
	{ "no-recovery", 0, NULL, "no recovery key: if the TPM is lost, so is the pool", false },
	{ "pcrs", 0, "LIST", "seal to these PCRs, such as 0+7, or none (PCR 7 if it is measured)", false },
	{ "handle", 0, "HANDLE", "keep the sealed object at this persistent TPM handle as well", false },
	{ "slot-name", 0, "NAME", "name of the TPM slot (tpm2-HOSTNAME)", false },
	OPTIONS_RECOVERY_TAKERS,
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
