/* SPDX-License-Identifier: MIT */
/* Public areas: are they what they should be? */
#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "tpm2/internal.h"

enum { READ_PUBLIC_OFFSET = 10 }; /* of the parameters in a response without sessions: after tag, size and code */

struct area {
	size_t size;
	uint8_t bytes[sizeof(TPM2B_PUBLIC)];
};

static bool marshal(const TPM2B_PUBLIC *p, struct area *ret)
{
	ret->size = 0;
	return Tss2_MU_TPM2B_PUBLIC_Marshal(p, ret->bytes, sizeof(ret->bytes), &ret->size) == TSS2_RC_SUCCESS;
}

bool public_matches(const TPM2B_PUBLIC *p, TPM2B_PUBLIC template)
{
	struct area is, should;

	if (p->publicArea.type != template.publicArea.type)
		return false;
	template.publicArea.unique = p->publicArea.unique;
	return marshal(p, &is) && marshal(&template, &should) && is.size == should.size &&
	       memcmp(is.bytes, should.bytes, is.size) == 0;
}

/* Spec: TPM 2.0 Part 1, "Names": the algorithm, then its digest of the area without its size. */
static bool name_of(const TPM2B_PUBLIC *p, uint8_t ret[static TPM2_NAME_SIZE])
{
	struct area area = { .size = 0 };

	ret[0] = TPM2_ALG_SHA256 >> 8;
	ret[1] = TPM2_ALG_SHA256 & 0xff;
	return p->publicArea.nameAlg == TPM2_ALG_SHA256 &&
	       Tss2_MU_TPMT_PUBLIC_Marshal(&p->publicArea, area.bytes, sizeof(area.bytes), &area.size) ==
		       TSS2_RC_SUCCESS &&
	       EVP_Digest(area.bytes, area.size, ret + 2, NULL, EVP_sha256(), NULL) == 1;
}

/*
 * ESYS takes the area and the Name from a ReadPublic as they come, without a look at whether they belong together. It
 * encrypts the salt to the key in the area: were it another one than the Name says, somebody on the way could read all
 * that is meant for the TPM. So the very bytes that ESYS had are looked at here.
 */
bool public_read(const struct transport *t, TPM2B_PUBLIC *ret, uint8_t ret_name[static TPM2_NAME_SIZE])
{
	TPM2B_PUBLIC p = { .size = 0 };
	TPM2B_NAME told = { .size = 0 };
	size_t offset = READ_PUBLIC_OFFSET;
	uint8_t name[TPM2_NAME_SIZE];

	if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(t->response, t->response_size, &offset, &p) ||
	    Tss2_MU_TPM2B_NAME_Unmarshal(t->response, t->response_size, &offset, &told))
		return false;
	if (!name_of(&p, name) || told.size != sizeof(name) || memcmp(told.name, name, sizeof(name)) != 0)
		return false;
	*ret = p;
	memcpy(ret_name, name, sizeof(name));
	return true;
}
