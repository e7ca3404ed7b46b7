/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "cli/new-slots.h"
#include "cli/output.h"
#include "format/recovery-key.h"

enum { SEAL_TIMEOUT_MS = 60000 };

void new_slots_clear(struct new_slots *n)
{
	secret_free(n->recovery_key);
	secret_free(n->answer);
	*n = (struct new_slots){ 0 };
}

/* ---- a TPM's ---- */

/* On a cluster each node has its own. Letters that a slot's name cannot have become '-'. */
void new_slots_name_tpm(char ret[static NAME_SIZE])
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
	snprintf(ret, NAME_SIZE, "tpm2-%.*s", NAME_SIZE - 6, host);
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
static enum err choose_pcrs(const struct invocation *inv, struct session *s, uint32_t *ret, struct err_ctx *e)
{
	const char *given = invocation_value(inv, "pcrs");
	struct tpm2 *tpm;
	enum tpm2_bank bank;

	if (given)
		return parse_pcrs(given, ret, e);
	enum err err = protector_tpm(&s->context, &tpm, e);
	if (!err)
		err = tpm2_live_bank(tpm, 1u << 7, &bank, e);
	if (err)
		return err;
	if (bank == TPM2_BANK_NONE)
		say(stderr, OUTPUT_WARNING "this machine measures nothing into PCR 7: the TPM slot will open whatever "
		    "boots on it\n");
	*ret = bank == TPM2_BANK_NONE ? 0 : 1u << 7;
	return ERR_OK;
}

static enum err read_handle(const struct invocation *inv, uint32_t *ret, struct err_ctx *e)
{
	long handle = 0;
	enum err err = invocation_number(inv, "handle", UINT32_MAX, 0, &handle, e);

	if (!err && !handle && invocation_has(inv, "handle"))
		err = err_set(e, ERR_USAGE, "--handle 0 is no persistent handle; those begin with 0x81");
	if (!err)
		*ret = (uint32_t)handle;
	return err;
}

/* The next request, under the name that was given, or its own. Errors: ERR_USAGE. */
static enum err begin_slot(struct new_slots *n, const struct invocation *inv, const char *name,
			   const struct draft_slot_request *like, struct err_ctx *e)
{
	char *own = n->names[n->n];

	if (!name_is_valid(name))
		return err_set(e, ERR_USAGE, "--%s takes 1 to 63 of a-z 0-9 _ -, not '%.64s'",
			       invocation_has(inv, "slot-name") ? "slot-name" : "name", name);
	snprintf(own, NAME_SIZE, "%s", name);
	n->slots[n->n] = *like;
	n->slots[n->n++].name = own;
	return ERR_OK;
}

/* A PIN is worth what the TPM does against guessing. */
static enum err warn_of_guessing(struct session *s, struct err_ctx *e)
{
	struct tpm2_lockout l;
	enum err err = protector_tpm2_lockout(&s->context, &l, e);

	if (!err && !l.auth_set)
		say(stderr, OUTPUT_WARNING "%s\n  " OUTPUT_NEXT "%s\n", OUTPUT_LOCKOUT_EMPTY, OUTPUT_LOCKOUT_ADVICE);
	return err;
}

static enum err choose_pin(struct new_slots *n, const struct invocation *inv, struct session *s, struct err_ctx *e)
{
	if (!answer_new_is_given(inv, ANSWER_PIN))
		return ERR_OK;
	enum err err = warn_of_guessing(s, e);
	return err ? err : answer_ask_new(inv, ANSWER_PIN, &n->answer, e);
}

enum err new_slots_add_tpm(struct new_slots *n, const struct invocation *inv, struct session *s, const char *name,
			   struct err_ctx *e)
{
	struct draft_slot_request r = { .type = protector_tpm2.type, .deadline = deadline_in(SEAL_TIMEOUT_MS) };
	char own[NAME_SIZE];
	enum err err = read_handle(inv, &r.tpm_handle, e);

	new_slots_name_tpm(own);
	if (!err)
		err = choose_pcrs(inv, s, &r.pcrs, e);
	if (!err)
		err = choose_pin(n, inv, s, e);
	r.answer = n->answer;
	return err ? err : begin_slot(n, inv, name ? name : own, &r, e);
}

/* ---- a passphrase's ---- */

enum err new_slots_add_passphrase(struct new_slots *n, const struct invocation *inv, const char *name,
				  struct err_ctx *e)
{
	enum err err = answer_ask_new(inv, ANSWER_PASSPHRASE, &n->answer, e);

	if (err)
		return err;
	return begin_slot(n, inv, name ? name : "passphrase", &(struct draft_slot_request){
		.type = protector_passphrase.type, .answer = n->answer,
	}, e);
}

/* ---- Vault's ---- */

static enum err choose_key(struct new_slots *n, const struct invocation *inv, const char *pool, struct err_ctx *e)
{
	const char *given = invocation_value(inv, "transit-key");
	int size = given ? snprintf(n->vault_key, sizeof(n->vault_key), "%s", given)
			 : snprintf(n->vault_key, sizeof(n->vault_key), "zfs-wrapper-%s", pool);

	if (size >= (int)sizeof(n->vault_key) || !vault_word_is_valid(n->vault_key))
		return err_set(e, ERR_USAGE, "a Transit key has 1 to 63 of A-Z a-z 0-9 _ -, not '%.64s': choose one "
			       "with --transit-key", given ? given : n->vault_key);
	return ERR_OK;
}

/* "{pool}" is settled now: a pool that is renamed keeps its copy. "{node}" is each node's own. */
static enum err choose_kv(struct new_slots *n, const struct invocation *inv, const char *pool, struct err_ctx *e)
{
	static const char word[] = "{pool}";
	const char *given = invocation_value(inv, "kv"), *at = given ? strstr(given, word) : NULL;
	int size = !given ? 0 : !at ? snprintf(n->vault_kv, VAULT_KV_SIZE, "%s", given)
				    : snprintf(n->vault_kv, VAULT_KV_SIZE, "%.*s%s%s", (int)(at - given), given, pool,
					       at + sizeof(word) - 1);

	if (given && (size >= VAULT_KV_SIZE || !vault_kv_path_is_valid(n->vault_kv)))
		return err_set(e, ERR_USAGE, "--kv takes words of A-Z a-z 0-9 _ -, {node} or {pool}, with slashes "
			       "between them");
	return ERR_OK;
}

enum err new_slots_add_vault(struct new_slots *n, const struct invocation *inv, struct session *s, const char *pool,
			     const char *name, struct err_ctx *e)
{
	enum err err = choose_key(n, inv, pool, e);

	if (!err)
		err = choose_kv(n, inv, pool, e);
	if (!err)
		err = vault_admin_get(inv, s, e);
	if (err)
		return err;
	return begin_slot(n, inv, name ? name : protector_vault.type, &(struct draft_slot_request){
		.type = protector_vault.type, .vault_key = n->vault_key, .vault_kv = n->vault_kv,
		.deadline = deadline_in(SEAL_TIMEOUT_MS),
	}, e);
}

/* ---- a recovery key's ---- */

enum err new_slots_add_recovery(struct new_slots *n, const struct invocation *inv, const char *name, struct err_ctx *e)
{
	enum err err = recovery_takers_find(inv, &n->takers, e);

	if (!err)
		err = secret_new_random(RECOVERY_KEY_SIZE, &n->recovery_key, e);
	if (err)
		return err;
	return begin_slot(n, inv, name ? name : "recovery", &(struct draft_slot_request){
		.type = protector_recovery.type, .answer = n->recovery_key,
	}, e);
}

enum err new_slots_hand_over(const struct new_slots *n, const char *dataset, const struct draft *d,
			     bool *ret_confirmed, struct err_ctx *e)
{
	struct handover h = {
		.key = n->recovery_key, .dataset = dataset, .keyring = &d->ring.uuid,
		.fingerprint = d->ring.fingerprint, .takers = n->takers,
	};

	if (!n->recovery_key)
		return ERR_OK;
	output_progress(NULL);
	return recovery_hand_over(&h, ret_confirmed, e);
}

/* ---- the first two ---- */

/* An option that would be ignored was meant for something. */
static enum err check_not_without(const struct invocation *inv, struct err_ctx *e)
{
	static const struct {
		const char *without, *option;
	} pairs[] = {
		{ "no-tpm", "pcrs" }, { "no-tpm", "handle" }, { "no-tpm", "slot-name" },
		{ "no-tpm", "new-pin" }, { "no-tpm", "new-pin-fd" }, { "no-tpm", "new-pin-credential" },
		{ "no-recovery", "recovery-to-fd" }, { "no-recovery", "recovery-sheet-fd" }, { "no-recovery", "no-qr" },
	};

	if (invocation_has(inv, "no-tpm") && invocation_has(inv, "no-recovery"))
		return err_set(e, ERR_USAGE, "without a TPM slot and a recovery key nothing would open the pool");
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (invocation_has(inv, pairs[i].without) && invocation_has(inv, pairs[i].option))
			return err_set(e, ERR_USAGE, "--%s and --%s: one of them", pairs[i].without, pairs[i].option);
	return ERR_OK;
}

enum err new_slots_choose_first(struct new_slots *n, const struct invocation *inv, struct session *s,
				struct err_ctx *e)
{
	enum err err = check_not_without(inv, e);

	if (!err && !invocation_has(inv, "no-tpm"))
		err = new_slots_add_tpm(n, inv, s, invocation_value(inv, "slot-name"), e);
	s->context.answers[ANSWER_PIN] = n->answer;
	if (err || invocation_has(inv, "no-recovery"))
		return err;
	if (n->n > 0 && str_equal(n->names[0], "recovery"))
		return err_set(e, ERR_USAGE, "--slot-name recovery is the recovery key's slot");
	err = new_slots_add_recovery(n, inv, NULL, e);
	s->context.answers[ANSWER_RECOVERY_KEY] = n->recovery_key;
	return err;
}
