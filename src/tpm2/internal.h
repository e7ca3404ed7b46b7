/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: the connection, and the steps that the operations of tpm2.h are made of. */
#pragma once

#include <tss2/tss2_esys.h>

#include "tpm2/code.h"
#include "tpm2/tpm2.h"
#include "tpm2/transport.h"

struct tpm2 {
	struct transport transport;
	ESYS_CONTEXT *esys;
	bool stale;  /* an error on the way left ESYS and the transport unusable: the next operation opens them anew */
	ESYS_TR srk; /* ESYS_TR_NONE until srk_find() */
	uint8_t srk_name[TPM2_NAME_SIZE];
};

/* For operations whose caller has no deadline: longer than a slow chip takes to make a key. */
enum { TPM2_TIMEOUT_MS = 30000 };

#define NO_SESSIONS ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE
#define NO_SESSION  ESYS_TR_NONE

/* Starts an operation; it must be over by the deadline. Errors: ERR_TIMEOUT, as tpm2_open(). */
must_check enum err tpm2_begin(struct tpm2 *t, struct deadline deadline, struct err_ctx *e);

/* What a command's return code means; command is its name in the specification. */
must_check enum err tpm2_result(struct tpm2 *t, const char *command, TSS2_RC rc, struct err_ctx *e);

/* An object or session that takes up the TPM's memory until it is flushed: when this goes out of scope. */
struct transient {
	struct tpm2 *t;
	ESYS_TR handle;
};

void transient_flush(struct transient *x);
#define TRANSIENT(name, tpm) \
	_cleanup_(transient_flush) struct transient name = { .t = (tpm), .handle = ESYS_TR_NONE }

/* For what ESYS allocated. */
static inline void esys_freep(void *p)
{
	Esys_Free(*(void **)p);
}
#define _cleanup_esys_ _cleanup_(esys_freep)

/* Public areas. */

/* True if p is of the template, whatever its `unique` is. */
must_check bool public_matches(const TPM2B_PUBLIC *p, TPM2B_PUBLIC template);

/* The public area and Name in the ReadPublic response that came last. False unless the Name is that of the area. */
must_check bool public_read(const struct transport *t, TPM2B_PUBLIC *ret, uint8_t ret_name[static TPM2_NAME_SIZE]);

/* The storage root key. Errors: as tpm2_srk_name() and tpm2_srk_make(). */
must_check enum err srk_find(struct tpm2 *t, struct err_ctx *e);
must_check enum err srk_find_or_make(struct tpm2 *t, struct err_ctx *e);

/* PCRs and policies. */

/* Starts a session of type HMAC or POLICY, salted to the SRK: only who has its private part can answer in it. */
must_check enum err session_start(struct transient *session, TPM2_SE type, struct err_ctx *e);

/*
 * What the next commands use the session for, as the TPM sees it: TPMA_SESSION_DECRYPT, the first parameter that is
 * sent is encrypted; TPMA_SESSION_ENCRYPT, the first that comes back. It refuses either where there is no such
 * parameter. Without TPMA_SESSION_CONTINUESESSION the session ends with the next command, if that succeeds.
 */
must_check enum err session_use(const struct transient *session, TPMA_SESSION attributes, struct err_ctx *e);

/*
 * In a policy session that was just started, asserts the PCRs of s as they are now. Tells the digest that this and, if s
 * has a PIN, policy_assert_pin() give: all zero if there is neither. With an HMAC session, which may be NULL, nobody on
 * the way can change what is asserted and told.
 */
must_check enum err policy_assert_pcrs(const struct transient *session, const struct slot_tpm2 *s,
				       const struct transient *hmac, uint8_t ret[static TPM2_DIGEST_SIZE],
				       struct err_ctx *e);

/* Then asserts that the object's authorisation value will be proven to be known. */
must_check enum err policy_assert_pin(const struct transient *session, struct err_ctx *e);

/* Whether all of the PCRs pcrs have a value in the bank that something was measured into. */
must_check enum err bank_is_live(struct tpm2 *t, enum tpm2_bank bank, uint32_t pcrs, bool *ret, struct err_ctx *e);

/* "PCR 0, 7 of sha256", for messages. */
enum { PCRS_TEXT_SIZE = 128 };
void pcrs_print(enum tpm2_bank bank, uint32_t pcrs, char out[static PCRS_TEXT_SIZE]);

/* Sealed objects. */

/*
 * The public area that zseal seals under: no authorisation but the policy's, and nothing to move it to another TPM.
 * Of s, its policy counts and whether it has a PIN.
 */
TPM2B_PUBLIC object_template(const struct slot_tpm2 *s);

/* Checks what s says about its object, and gives it as ESYS wants it. Errors: ERR_TPM_OBJECT. */
must_check enum err object_parse(const struct slot_tpm2 *s, TPM2B_PUBLIC *ret_public, TPM2B_PRIVATE *ret_private,
				 struct err_ctx *e);

/* Puts an object as ESYS gives it into s. Errors: ERR_TPM_FAILED. */
must_check enum err object_print(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private, struct slot_tpm2 *s,
				 struct err_ctx *e);

/* Loads the object of s, which must be one of zseal's and of this TPM. Errors: as tpm2_unseal(). */
must_check enum err object_load(struct transient *object, const struct slot_tpm2 *s, struct err_ctx *e);

/* Unseals a loaded object, with its authorisation value if it has one, else NULL. Errors: as tpm2_unseal_pin(). */
must_check enum err object_unseal(const struct transient *object, const struct slot_tpm2 *s, const struct secret *auth,
				  struct secret **ret, struct err_ctx *e);

/* An authorisation value as ESYS wants it, which therefore is a secret, too. Errors: ERR_BUG, ERR_NO_MEMORY. */
must_check enum err auth_of(const struct secret *auth, struct secret **ret, struct err_ctx *e);

/* Dictionary attack. */

/* tpm2_lockout_get() in an operation that was begun. */
must_check enum err lockout_read(struct tpm2 *t, struct tpm2_lockout *ret, struct err_ctx *e);

/* Whether a try at a PIN is allowed now. Errors: ERR_TPM_LOCKOUT, ERR_TPM_LOCKOUT_NEAR unless attended, ERR_TPM_*. */
must_check enum err lockout_allows_try(struct tpm2 *t, bool attended, struct err_ctx *e);

/* Says in e how many tries are left after a wrong PIN, and returns ERR_PIN_WRONG. */
enum err lockout_explain_wrong(struct tpm2 *t, TSS2_RC rc, struct err_ctx *e);

/*
 * Makes a loaded object persistent at handle, or removes a persistent one: the TPM has one command for both. A signal
 * waits for its answer: who does not know whether the object is there could not take it back.
 */
must_check enum err evict_control(struct tpm2 *t, ESYS_TR object, uint32_t handle, struct err_ctx *e);
