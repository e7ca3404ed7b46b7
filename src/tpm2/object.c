/* SPDX-License-Identifier: MIT */
/*
 * Sealed objects as bytes, to the TPM and back. What a slot says was written by whoever could write the pool's
 * properties: nothing of it is sent before it is exactly what zseal would have made.
 */
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm2/internal.h"

/*
 * FIXEDTPM, FIXEDPARENT: it cannot be duplicated. No USERWITHAUTH: only the policy opens it, not an empty password.
 * NODA where there is nothing to guess: what others guess at does not lock it.
 */
TPM2B_PUBLIC object_template(const struct slot_tpm2 *s)
{
	TPM2B_PUBLIC p = {
		.publicArea = {
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    (s->has_pin ? 0 : TPMA_OBJECT_NODA),
			.authPolicy.size = TPM2_DIGEST_SIZE,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
		},
	};

	memcpy(p.publicArea.authPolicy.buffer, s->policy, TPM2_DIGEST_SIZE);
	return p;
}

/* Two texts of one area would be two slots that look different and are the same: only what we would write is read. */
static bool parse_public(const struct slot_tpm2 *s, TPM2B_PUBLIC *ret)
{
	uint8_t again[TPM2_BLOB_MAX];
	size_t offset = 0, size = 0;

	return s->public_size <= sizeof(s->public) &&
	       !Tss2_MU_TPM2B_PUBLIC_Unmarshal(s->public, s->public_size, &offset, ret) &&
	       public_matches(ret, object_template(s)) &&
	       !Tss2_MU_TPM2B_PUBLIC_Marshal(ret, again, sizeof(again), &size) && size == s->public_size &&
	       memcmp(again, s->public, size) == 0;
}

static bool parse_private(const struct slot_tpm2 *s, TPM2B_PRIVATE *ret)
{
	size_t offset = 0;

	return s->private_size <= sizeof(s->private) &&
	       !Tss2_MU_TPM2B_PRIVATE_Unmarshal(s->private, s->private_size, &offset, ret) &&
	       offset == s->private_size && ret->size > 0;
}

static bool policy_is_plausible(const struct slot_tpm2 *s)
{
	static const uint8_t no_policy[TPM2_DIGEST_SIZE];
	bool none = memcmp(s->policy, no_policy, sizeof(no_policy)) == 0;

	return s->pcrs >> TPM2_PCRS == 0 && (s->pcrs == 0) == (s->bank == TPM2_BANK_NONE) &&
	       none == (s->pcrs == 0 && !s->has_pin);
}

enum err object_parse(const struct slot_tpm2 *s, TPM2B_PUBLIC *ret_public, TPM2B_PRIVATE *ret_private,
		      struct err_ctx *e)
{
	TPM2B_PUBLIC public = { .size = 0 };
	TPM2B_PRIVATE private = { .size = 0 };

	if (!policy_is_plausible(s))
		return err_set(e, ERR_TPM_OBJECT, "its PCRs, its PIN and its policy do not belong together");
	if (!parse_public(s, &public))
		return err_set(e, ERR_TPM_OBJECT, "its public area is not one that zseal makes for this policy");
	if (!parse_private(s, &private))
		return err_set(e, ERR_TPM_OBJECT, "its private area has a wrong length");
	*ret_public = public;
	*ret_private = private;
	return ERR_OK;
}

enum err object_print(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private, struct slot_tpm2 *s, struct err_ctx *e)
{
	s->public_size = 0;
	s->private_size = 0;
	TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, s->public, sizeof(s->public), &s->public_size);
	if (!rc)
		rc = Tss2_MU_TPM2B_PRIVATE_Marshal(private, s->private, sizeof(s->private), &s->private_size);
	return rc ? err_set_tss(e, ERR_TPM_FAILED, rc, "TPM2_Create: an object of another size than zseal's") : ERR_OK;
}
