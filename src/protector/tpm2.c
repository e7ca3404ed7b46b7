/* SPDX-License-Identifier: MIT */
/*
 * Slots of type tpm2: the slot secret is sealed by this machine's TPM, to PCRs where their bank is live.
 *
 * With a PIN, the TPM has to be given it too, and what was sealed is but a half: the slot secret is derived from it and
 * from the stretched PIN. So whoever breaks the TPM still has to guess, at the price of one stretch for each try.
 */
#include "protector/protector.h"

static enum answer needs(const struct slot *slot)
{
	struct slot_tpm2 sealed;

	return slot_tpm2_parse(slot->protect, &sealed, NULL) == ERR_OK && sealed.has_pin ? ANSWER_PIN : ANSWER_NONE;
}

/* What follows from a PIN. */
struct pin_keys {
	struct key_scope scope; /* whose they are; of any purpose */
	struct secret *stretched;
	struct secret *auth; /* what the TPM asks for */
};

static void pin_keys_clear(struct pin_keys *k)
{
	secret_free(k->stretched);
	secret_free(k->auth);
}

/* TPMs leave zeros at the end out, tpm2-tss before 4.1 does not: one PIN in 256 would not open its own slot. */
static void cut_zeros(struct secret *auth)
{
	size_t size = secret_size(auth);

	while (size > 1 && secret_data(auth)[size - 1] == 0)
		size--;
	secret_shrink(auth, size);
}

static enum err pin_keys_derive(struct pin_keys *k, const struct secret *pin, const struct stretch *stretch,
				struct err_ctx *e)
{
	enum err err = crypto_stretch(pin, stretch, &k->stretched, e);

	k->scope.purpose = PURPOSE_PIN_AUTH;
	if (!err)
		err = crypto_derive(k->stretched, &k->scope, &k->auth, e);
	if (!err)
		cut_zeros(k->auth);
	return err;
}

static enum err pin_slot_secret(struct pin_keys *k, const struct secret *sealed, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *both = NULL;
	enum err err = secret_new_joined(sealed, k->stretched, &both, e);

	k->scope.purpose = PURPOSE_PIN_SECRET;
	return err ? err : crypto_derive(both, &k->scope, ret, e);
}

/* Where a slot keeps its object in the TPM, or 0. */
static uint32_t handle_of(const struct slot *slot)
{
	struct slot_tpm2 sealed;

	return slot && slot_tpm2_parse(slot->protect, &sealed, NULL) == ERR_OK ? sealed.handle : 0;
}

/* Told now, not when the slot is settled: by then a person may have written down a recovery key. */
static enum err choose_place(struct tpm2 *tpm, const struct protect_request *r, enum tpm2_bank *ret_bank,
			     struct err_ctx *e)
{
	enum tpm2_bank bank = TPM2_BANK_NONE;
	enum err err = ERR_OK;

	if (r->tpm_handle && handle_of(r->replaces) != r->tpm_handle)
		err = tpm2_check_handle(tpm, r->tpm_handle, e);
	if (!err && r->pcrs)
		err = tpm2_live_bank(tpm, r->pcrs, &bank, e);
	if (!err && r->pcrs && bank == TPM2_BANK_NONE)
		err = err_set(e, ERR_TPM_BANK, "no bank of this TPM has all of the PCRs that were asked for");
	if (!err)
		*ret_bank = bank;
	return err;
}

static enum err stretch_new_pin(struct protector_context *c, const struct protect_request *r, struct pin_keys *k,
				struct slot_tpm2 *s, struct err_ctx *e)
{
	enum err err = crypto_stretch_new(&c->stretch, &s->pin, e);

	return err ? err : pin_keys_derive(k, r->answer, &s->pin, e);
}

/* What is sealed is random; without a PIN it is the slot secret itself. */
static enum err seal_new(struct tpm2 *tpm, const struct protect_request *r, struct pin_keys *k, struct slot_tpm2 *s,
			 struct secret **ret_secret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *random = NULL;
	struct tpm2_seal seal = { .bank = s->bank, .pcrs = r->pcrs, .auth = k->auth };
	struct stretch pin = s->pin;
	enum err err = secret_new_random(KEY_SIZE, &random, e);

	seal.secret = random;
	if (!err)
		err = tpm2_seal(tpm, &seal, r->deadline, s, e);
	if (err)
		return err;
	s->handle = r->tpm_handle;
	s->pin = pin;
	if (k->auth)
		return pin_slot_secret(k, random, ret_secret, e);
	*ret_secret = TAKE(random);
	return ERR_OK;
}

static enum err protect(struct protector_context *c, const struct protect_request *r, struct secret **ret_secret,
			char **ret_protect, struct err_ctx *e)
{
	_cleanup_(pin_keys_clear) struct pin_keys k = { .scope = { .keyring = r->keyring, .object = r->slot } };
	_cleanup_secret_ struct secret *secret = NULL;
	struct slot_tpm2 s = { 0 };
	struct tpm2 *tpm;
	enum err err = protector_tpm(c, &tpm, e);

	if (!err)
		err = choose_place(tpm, r, &s.bank, e);
	if (!err && r->answer)
		err = stretch_new_pin(c, r, &k, &s, e);
	if (!err)
		err = seal_new(tpm, r, &k, &s, &secret, e);
	if (!err)
		err = slot_tpm2_print(&s, ret_protect, e);
	if (!err)
		*ret_secret = TAKE(secret);
	return err;
}

/* What each of the following begins with: what is sealed, and the TPM. */
static enum err begin(struct protector_context *c, const struct slot *slot, struct slot_tpm2 *ret_sealed,
		      struct tpm2 **ret_tpm, struct err_ctx *e)
{
	enum err err = slot_tpm2_parse(slot->protect, ret_sealed, e);

	return err ? err : protector_tpm(c, ret_tpm, e);
}

/* Another machine's slot is not worth the stretching. */
static enum err open_with_pin(struct protector_context *c, const struct slot *slot, struct tpm2_try *try,
			      struct secret **ret_secret, struct err_ctx *e)
{
	_cleanup_(pin_keys_clear) struct pin_keys k = { .scope = { .keyring = slot->keyring, .object = slot->uuid } };
	_cleanup_secret_ struct secret *sealed = NULL;
	const struct secret *pin = c->answers[ANSWER_PIN];
	enum err err = pin ? tpm2_check_mine(c->tpm, try->sealed, e) : err_set(e, ERR_NO_INPUT, "the PIN was not given");

	if (!err)
		err = pin_keys_derive(&k, pin, &try->sealed->pin, e);
	try->auth = k.auth;
	if (!err)
		err = tpm2_unseal_pin(c->tpm, try, &sealed, e);
	return err ? err : pin_slot_secret(&k, sealed, ret_secret, e);
}

static enum err open_slot(struct protector_context *c, const struct slot *slot, struct deadline deadline,
			  struct secret **ret_secret, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2_try try = { .sealed = &sealed, .attended = c->typed, .deadline = deadline };
	struct tpm2 *tpm;
	enum err err = begin(c, slot, &sealed, &tpm, e);

	if (!err && sealed.has_pin)
		return open_with_pin(c, slot, &try, ret_secret, e);
	return err ? err : tpm2_unseal(tpm, &sealed, deadline, ret_secret, e);
}

static enum err check(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2 *tpm;
	enum err err = begin(c, slot, &sealed, &tpm, e);

	if (!err && sealed.has_pin)
		err = crypto_stretch_check(&sealed.pin, e);
	return err ? err : tpm2_check(tpm, &sealed, e);
}

/* A slot without a handle has nothing outside of the header, and needs no TPM for that. */
static enum err settle(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2 *tpm;
	enum err err = slot_tpm2_parse(slot->protect, &sealed, e);

	if (err || !sealed.handle)
		return err;
	err = protector_tpm(c, &tpm, e);
	return err ? err : tpm2_persist(tpm, &sealed, sealed.handle, e);
}

/* Takes the object away only if it is the slot's own: another one may have the handle by now. */
static enum err withdraw(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2 *tpm;
	enum err err = slot_tpm2_parse(slot->protect, &sealed, e);

	if (err || !sealed.handle)
		return err;
	err = protector_tpm(c, &tpm, e);
	if (!err)
		err = tpm2_check_mine(tpm, &sealed, e);
	return err ? err : tpm2_evict(tpm, &sealed, sealed.handle, e);
}

enum err protector_tpm2_lockout(struct protector_context *c, struct tpm2_lockout *ret, struct err_ctx *e)
{
	struct tpm2 *tpm;
	enum err err = protector_tpm(c, &tpm, e);

	return err ? err : tpm2_lockout_get(tpm, ret, e);
}

const struct protector protector_tpm2 = {
	.type = "tpm2",
	.needs = needs,
	.protect = protect,
	.open = open_slot,
	.check = check,
	.settle = settle,
	.withdraw = withdraw,
};
