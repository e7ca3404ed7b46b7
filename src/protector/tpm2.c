/* SPDX-License-Identifier: MIT */
/* Slots of type tpm2: the slot secret is sealed by this machine's TPM, to PCRs where their bank is live. */
#include <string.h>

#include "protector/protector.h"

/* Where a slot keeps its object in the TPM, or 0. */
static uint32_t handle_of(const struct slot *slot)
{
	struct slot_tpm2 sealed;

	return slot && slot_tpm2_parse(slot->protect, &sealed, NULL) == ERR_OK ? sealed.handle : 0;
}

static enum err protect(struct protector_context *c, const struct protect_request *r, struct secret **ret_secret,
			char **ret_protect, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *secret = NULL;
	struct tpm2 *tpm;
	struct slot_tpm2 sealed;
	enum tpm2_bank bank = TPM2_BANK_NONE;
	enum err err = protector_tpm(c, &tpm, e);

	/* told now, not when the slot is settled: by then a person may have written down a recovery key */
	if (!err && r->tpm_handle && handle_of(r->replaces) != r->tpm_handle)
		err = tpm2_check_handle(tpm, r->tpm_handle, e);
	if (!err && r->pcrs)
		err = tpm2_live_bank(tpm, r->pcrs, &bank, e);
	if (!err && r->pcrs && bank == TPM2_BANK_NONE)
		err = err_set(e, ERR_TPM_BANK, "no bank of this TPM has all of the PCRs that were asked for");
	if (!err)
		err = secret_new_random(KEY_SIZE, &secret, e);
	if (!err)
		err = tpm2_seal(tpm, &(struct tpm2_seal){ .secret = secret, .bank = bank, .pcrs = r->pcrs },
				r->deadline, &sealed, e);
	if (err)
		return err;
	sealed.handle = r->tpm_handle;
	err = slot_tpm2_print(&sealed, ret_protect, e);
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

static enum err open_slot(struct protector_context *c, const struct slot *slot, struct deadline deadline,
			  struct secret **ret_secret, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2 *tpm;
	enum err err = begin(c, slot, &sealed, &tpm, e);

	return err ? err : tpm2_unseal(tpm, &sealed, deadline, ret_secret, e);
}

static enum err check(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2 *tpm;
	enum err err = begin(c, slot, &sealed, &tpm, e);

	return err ? err : tpm2_check(tpm, &sealed, e);
}

static enum err settle(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2 *tpm;
	enum err err = begin(c, slot, &sealed, &tpm, e);

	return err || !sealed.handle ? err : tpm2_persist(tpm, &sealed, sealed.handle, e);
}

static enum err check_mine(struct tpm2 *tpm, const struct slot_tpm2 *sealed, struct err_ctx *e)
{
	uint8_t name[TPM2_NAME_SIZE];
	enum err err = tpm2_srk_name(tpm, name, e);

	if (!err && memcmp(name, sealed->srk_name, sizeof(name)) != 0)
		err = err_set(e, ERR_TPM_NOT_MINE, "its object is in another TPM");
	return err;
}

/* Takes the object away only if it is the slot's own: another one may have the handle by now. */
static enum err withdraw(struct protector_context *c, const struct slot *slot, struct err_ctx *e)
{
	struct slot_tpm2 sealed;
	struct tpm2 *tpm;
	enum err err = begin(c, slot, &sealed, &tpm, e);

	if (!err && sealed.handle)
		err = check_mine(tpm, &sealed, e);
	return err || !sealed.handle ? err : tpm2_evict(tpm, &sealed, sealed.handle, e);
}

const struct protector protector_tpm2 = {
	.type = "tpm2",
	.protect = protect,
	.open = open_slot,
	.check = check,
	.settle = settle,
	.withdraw = withdraw,
};
