/* SPDX-License-Identifier: MIT */
/*
 * A new secret_id in the place of the one that this machine logs in to Vault with.
 *
 * Guarantees: the new one has logged in before it is kept, is kept before the old one is destroyed, and can be read again
 * as unlocking reads it; killed anywhere, what is kept logs in. What was made and not kept is destroyed, or, if it comes
 * to the worst, ends by itself. Refuses: to renew what does not end, or not yet; two at once.
 */
#pragma once

#include "protector/protector.h"

enum renewal_outcome { RENEWAL_NOT_DUE, RENEWAL_WOULD, RENEWAL_DONE };

struct renewal {
	const struct vault_settings *settings;
	bool now;          /* whatever is left of the old one */
	uint64_t within_s; /* if no more than this is left; 0: half of its life, 30 days at most */
	bool dry_run;      /* logs in, and makes nothing */

	enum renewal_outcome outcome;
	struct vault_lifetime lifetime; /* of what is kept now */
	bool host_only;     /* no TPM took part in encrypting it */
	bool old_destroyed; /* else it ends by itself */
};

/*
 * Errors: ERR_USAGE where zseal.conf logs in by certificate; ERR_VAULT_DENIED if the node's policy does not allow it;
 * ERR_LOCKED; those of protector_vault_credentials(), vault_login(), credstore_keep(). Blocks: for requests and systemd's
 * program, all bounded.
 */
must_check enum err renewal_run(struct renewal *r, struct err_ctx *e);
