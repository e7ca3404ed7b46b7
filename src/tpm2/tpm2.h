/* SPDX-License-Identifier: MIT */
/*
 * The TPM 2.0: seal a slot secret to this chip and its PCRs, and get it back (design, sections 2 and 7).
 *
 * Guarantees: every key byte crosses the bus encrypted, in a session salted to the storage root key; the storage root
 * key (SRK) is checked by its Name before anything is sent; nothing transient stays in the TPM; what was sealed was
 * unsealed once before it is returned; every wait ends at a deadline or with a signal. Refuses: to choose a TPM by
 * itself, to replace an SRK or what others keep at a handle, to retry what could cause a lockout.
 *
 * Each operation takes the deadline that it is given, else half a minute. After an error on the way (a TPM that went
 * away or did not answer in time) the next operation opens the connection anew.
 *
 * Spec: TCG TPM 2.0 Library 1.59; TCG TPM v2.0 Provisioning Guidance (SRK at 0x81000001); TCG EK Credential Profile
 * 2.5, templates L-1 and L-2 as used for storage keys.
 */
#pragma once

#include "base/secret.h"
#include "format/slot-tpm2.h"
#include "sys/deadline.h"

struct tpm2;

#define TPM2_TCTI_DEFAULT "device:/dev/tpmrm0"

/*
 * Opens the TPM that tcti names, as tpm2-tools would write it: "device:/PATH" or, for tests, "swtpm:path=/PATH".
 * Anything else is refused, an address left out above all. Sends no command. Owns: the caller closes it.
 * Errors: ERR_TPM_MISSING, ERR_CONFIG, ERR_NO_MEMORY, ERR_IO.
 */
must_check enum err tpm2_open(const char *tcti, struct tpm2 **ret, struct err_ctx *e);
void tpm2_close(struct tpm2 *t);
DEFINE_CLEANUP(struct tpm2 *, tpm2_close)

/*
 * The Name of the SRK at 0x81000001: one ReadPublic, remembered for the life of t.
 * Errors: ERR_TPM_CLEARED if there is no key, ERR_TPM_SRK if it is not one by the template or not the one that it says
 * it is, ERR_TPM_*.
 */
must_check enum err tpm2_srk_name(struct tpm2 *t, uint8_t ret[static TPM2_NAME_SIZE], struct err_ctx *e);

/* The same, and makes the SRK (ECC P-256, persistent) if it is missing. Errors: also ERR_TPM_AUTH. */
must_check enum err tpm2_srk_make(struct tpm2 *t, uint8_t ret[static TPM2_NAME_SIZE], struct err_ctx *e);

/*
 * The best bank (SHA-384 and SHA-1 only where SHA-256 is dead) in which all of the PCRs pcrs are live: neither all zero
 * nor all one. TPM2_BANK_NONE if there is none, which is success.
 */
must_check enum err tpm2_live_bank(struct tpm2 *t, uint32_t pcrs, enum tpm2_bank *ret, struct err_ctx *e);

/* What to seal to. */
struct tpm2_seal {
	const struct secret *secret; /* 32 bytes */
	enum tpm2_bank bank;         /* NONE if, and only if, pcrs is 0 */
	uint32_t pcrs;
	/*
	 * What the PIN was stretched to, and the TPM is to ask for; or NULL. 1 to 32 bytes, the last not zero: TPMs cut
	 * zeros off, and tpm2-tss before 4.1 does not.
	 */
	const struct secret *auth;
};

/*
 * Seals under the SRK (made if missing) with a literal policy over the PCRs' present values, and unseals it once as
 * proof. With an auth, ret->has_pin is set; ret->pin is left to the caller, who knows how it was stretched.
 * Errors: ERR_TPM_BANK if one of the PCRs is not live in the bank; ERR_TPM_LOCKOUT, with an auth; ERR_TPM_*; ERR_BUG if
 * what came back is not what was sealed.
 */
must_check enum err tpm2_seal(struct tpm2 *t, const struct tpm2_seal *seal, struct deadline deadline,
			      struct slot_tpm2 *ret, struct err_ctx *e);

/*
 * Unseals what needs no PIN (ERR_NO_INPUT if it does). Seven commands on a fresh connection, five without PCRs, one if
 * the SRK's Name is another's. PCR races are retried with a fresh session, thirty times and not after the deadline.
 * Errors: ERR_TPM_NOT_MINE, ERR_TPM_CLEARED, ERR_TPM_POLICY (found before Unseal is sent), ERR_TPM_BANK (the PCRs
 * differ because nothing is measured into them any more), ERR_TPM_OBJECT, ERR_TPM_SRK, ERR_TPM_AUTH, ERR_TPM_LOCKOUT,
 * ERR_TPM_BUSY, ERR_TPM_MISSING, ERR_TPM_FAILED, ERR_TIMEOUT, ERR_INTERRUPTED.
 */
must_check enum err tpm2_unseal(struct tpm2 *t, const struct slot_tpm2 *sealed, struct deadline deadline,
				struct secret **ret, struct err_ctx *e);

/* Whether it is this TPM's, by the SRK's Name: before work that would be in vain. Errors: as tpm2_srk_name(), too. */
must_check enum err tpm2_check_mine(struct tpm2 *t, const struct slot_tpm2 *sealed, struct err_ctx *e);

/* One try at an object that needs a PIN. */
struct tpm2_try {
	const struct slot_tpm2 *sealed;
	const struct secret *auth; /* as in struct tpm2_seal */
	bool attended;             /* the PIN was typed just now, by a person who sees what comes of it */
	struct deadline deadline;
};

/*
 * The same with a PIN: nine commands, seven without PCRs. The object has dictionary attack protection, so the PIN is
 * given at most once; before that it is looked whether the TPM would take it, and whether the PCRs are right, which
 * costs no try. A PIN that is not attended is not given when one more wrong one would lock the TPM for everybody.
 * Errors: also ERR_PIN_WRONG (says how many tries are left), ERR_TPM_LOCKOUT (says how long to wait),
 * ERR_TPM_LOCKOUT_NEAR, ERR_BUG for an object that needs no PIN or a wrong kind of auth.
 */
must_check enum err tpm2_unseal_pin(struct tpm2 *t, const struct tpm2_try *try, struct secret **ret,
				    struct err_ctx *e);

/*
 * Looks without unsealing: ERR_OK if it would open here and now (with the right PIN, if it needs one), else as
 * tpm2_unseal_pin(). For `status`.
 */
must_check enum err tpm2_check(struct tpm2 *t, const struct slot_tpm2 *sealed, struct err_ctx *e);

/* Whether a persistent handle (0x81000100 to 0x817fffff) is free. Errors: ERR_TPM_HANDLE_TAKEN, ERR_USAGE, ERR_TPM_*. */
must_check enum err tpm2_check_handle(struct tpm2 *t, uint32_t handle, struct err_ctx *e);

/*
 * Keeps the sealed object at a persistent handle as well, so that stock tools open it; and removes it. Success if it is
 * there, or gone, already. Errors: ERR_TPM_HANDLE_TAKEN if another object is there; ERR_TPM_AUTH, ERR_USAGE, ERR_TPM_*.
 */
must_check enum err tpm2_persist(struct tpm2 *t, const struct slot_tpm2 *sealed, uint32_t handle, struct err_ctx *e);
must_check enum err tpm2_evict(struct tpm2 *t, const struct slot_tpm2 *sealed, uint32_t handle, struct err_ctx *e);

/* A key that other tools sealed and keep at a persistent handle: tpm2_create -i, tpm2_load, tpm2_evictcontrol. */
struct tpm2_kept {
	uint32_t handle;
	enum tpm2_bank bank; /* of its PCR policy; NONE if, and only if, pcrs is 0: it opens with an empty password */
	uint32_t pcrs;
	uint8_t name[TPM2_NAME_SIZE]; /* of the object that was opened: set by tpm2_unseal_kept() */
};

/*
 * Unseals 1 to 128 bytes, in a session salted to the SRK (made if missing): they do not cross the bus as they are.
 * Tried once, since a wrong password may count. Errors: ERR_TPM_NO_OBJECT, ERR_TPM_OBJECT_CLOSED for other PCRs or a
 * password, ERR_TPM_*.
 */
must_check enum err tpm2_unseal_kept(struct tpm2 *t, struct tpm2_kept *kept, struct deadline deadline,
				     struct secret **ret, struct err_ctx *e);

/* Removes it from its handle, if it is still the object that was opened; success if nothing is there any more. */
must_check enum err tpm2_evict_kept(struct tpm2 *t, const struct tpm2_kept *kept, struct err_ctx *e);

/* How the TPM guards authorisation values, PINs among them, against guessing: one count for all of them. */
struct tpm2_lockout {
	uint32_t failures;     /* counted now */
	uint32_t failures_max; /* when there are as many, the TPM is in lockout: right values are refused, too */
	uint32_t interval_s;   /* after each such time one is forgotten */
	uint32_t recovery_s;   /* after a wrong lockout authorisation, that one is refused as long */
	bool in_lockout;
	bool auth_set;         /* false: whoever boots this machine can reset the count, and guess without limit */
};

/* One GetCapability. Errors: ERR_TPM_*. */
must_check enum err tpm2_lockout_get(struct tpm2 *t, struct tpm2_lockout *ret, struct err_ctx *e);

/* How many wrong values are left before lockout; 0 in it. */
uint32_t tpm2_lockout_tries(const struct tpm2_lockout *l);

/* Number of commands sent on this connection, for tests and bench. */
unsigned tpm2_command_count(const struct tpm2 *t);
