/* SPDX-License-Identifier: MIT */
/*
 * The types of slot: each knows how to protect a slot secret and how to get it back. One const array of them, chosen at
 * run time by the slot's type.
 *
 * Guarantees: a protector sees its slot secret and nothing above it; what it answers is one of the classes of
 * base/error.h, which decides whether the next slot is tried. Refuses: to ask a person anything (cli/ does, beforehand).
 */
#pragma once

#include "format/header.h"
#include "sys/deadline.h"
#include "tpm2/tpm2.h"
#include "vault/vault.h"

/* What a person gives. A slot needs at most one of them; those that need none are tried unattended. */
enum answer { ANSWER_NONE, ANSWER_RECOVERY_KEY, ANSWER_PASSPHRASE, ANSWER_PIN, ANSWER_MAX };

/*
 * What the slots of one command share. The caller owns it, sets the first part, and clears it at the end; what is
 * expensive (the TPM's connection) is opened on first need and kept.
 */
struct protector_context {
	const char *tcti; /* of zseal.conf */
	/* What a person gave, by kind; NULL: slots that need it are skipped. If there is any, all others are skipped. */
	const struct secret *answers[ANSWER_MAX];
	bool typed; /* at a terminal, just now: a person sees what comes of them and can be trusted with a last try */
	struct stretch_budget stretch; /* of new slots with a passphrase or PIN; of zseal.conf */
	struct tpm2 *tpm;
	bool tpm_failed; /* opening it failed once: every later slot fails the same way, at no cost */
	struct err_ctx tpm_error;
	const struct vault_settings *vault_settings; /* of zseal.conf; NULL: there is no Vault */
	bool thorough;               /* what has copies opens only if each of them does: `slot test` */
	bool hedged;                 /* the slot has less time than it may need: that it was not enough is not remembered */
	struct vault *vault;         /* with this node's login */
	struct err_ctx vault_error;  /* the same as tpm_failed, if its code is not ERR_OK */
	const struct secret *vault_token; /* an administrator's, for making slots, or NULL */
	const struct vault_settings *vault_admin_settings; /* where it is good */
	struct vault *vault_admin;
	bool dry_run;                /* nothing outside of the header is changed for a new slot either */
	struct secret *vault_made;   /* of a dry run: what cannot be proven, since Vault's policy was left as it is */
	struct uuid vault_made_for;
};

void protector_context_clear(struct protector_context *c);
DEFINE_CLEANUP(struct protector_context *, protector_context_clear)

/* What a new slot shall be like. */
struct protect_request {
	struct uuid keyring;
	struct uuid slot;
	const struct secret *answer; /* what it shall need: the new recovery key or passphrase; tpm2: a PIN, or NULL */
	uint32_t pcrs;        /* tpm2: the PCRs to seal to; those whose banks are all dead are an error */
	uint32_t tpm_handle;  /* tpm2: persistent handle to keep the object at as well, or 0 */
	const char *vault_key; /* vault: name of the Transit key */
	const char *vault_kv;  /* vault: path of a copy in KV, or NULL */
	const struct slot *replaces; /* that it takes the place of, with what it left outside of the header; or NULL */
	struct deadline deadline;
};

struct protector {
	const char *type;
	bool remote; /* it asks something beyond this machine, which may be away */

	/* What a person has to give for this slot. NULL: never anything. */
	enum answer (*needs)(const struct slot *slot);
	/*
	 * Makes a slot secret and protects it, proven to open. *ret_protect is JSON for struct slot. Leaves nothing
	 * outside of the header.
	 */
	enum err (*protect)(struct protector_context *c, const struct protect_request *r, struct secret **ret_secret,
			    char **ret_protect, struct err_ctx *e);
	/* The slot secret again. */
	enum err (*open)(struct protector_context *c, const struct slot *slot, struct deadline deadline,
			 struct secret **ret_secret, struct err_ctx *e);
	/* Whether it would open here and now, without opening it. */
	enum err (*check)(struct protector_context *c, const struct slot *slot, struct err_ctx *e);
	/*
	 * Puts what the slot wants outside of the header (a persistent handle) there, when a copy of the header is safe;
	 * and takes it away again, which is success if it is not there. NULL if there is never anything.
	 */
	enum err (*settle)(struct protector_context *c, const struct slot *slot, struct err_ctx *e);
	enum err (*withdraw)(struct protector_context *c, const struct slot *slot, struct err_ctx *e);
	/* When the slot is in no header any more: tells others that may still allow it. NULL if there is never anybody. */
	enum err (*forget)(struct protector_context *c, const struct slot *slot, struct err_ctx *e);
};

/* The i-th of the types that there are; NULL behind the last. */
const char *protector_type(size_t i);

/* The protector of a type, or NULL. */
const struct protector *protector_find(const char *type);

/* What a person has to give for a slot of any type; ANSWER_NONE also for an unknown one. */
enum answer protector_needs(const struct slot *slot);

/* True if a person gave anything for this command. */
bool protector_was_answered(const struct protector_context *c);

/* The context's TPM, opened on first need; it stays the context's. Errors as tpm2_open(). */
must_check enum err protector_tpm(struct protector_context *c, struct tpm2 **ret, struct err_ctx *e);

/*
 * How this machine's TPM guards PINs. Where lockout authorisation is not set, whoever boots this machine can guess a PIN
 * without limit: to be said loudly wherever a PIN is set. Errors as tpm2_open() and tpm2_lockout_get().
 */
must_check enum err protector_tpm2_lockout(struct protector_context *c, struct tpm2_lockout *ret, struct err_ctx *e);

extern const struct protector protector_tpm2;
extern const struct protector protector_recovery;
extern const struct protector protector_passphrase;
extern const struct protector protector_vault;
