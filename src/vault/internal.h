/* SPDX-License-Identifier: MIT */
/* What the files of vault/ share. */
#pragma once

#include "vault/http.h"
#include "vault/vault.h"

struct vault {
	const struct vault_settings *settings;
	struct http http;
	struct deadline deadline;
	struct secret *token;
	bool gives_back;    /* the token is our own login's, and of a kind that can be revoked */
	uint64_t ttl_s;     /* of the login's token */
	uint64_t retry_after_ms; /* what the last answer asked us to wait */
	bool reached;       /* some server was well when it was last asked */
	bool has_winner;
	unsigned winner;    /* of settings->addresses */
	bool standby;       /* it says that another one leads */
	char correlation[UUID_TEXT_SIZE];
};

/* Finds a server that is able to serve: sets v->winner. Errors: as vault_ask(). Blocks: until the deadline. */
must_check enum err vault_race(struct vault *v, struct err_ctx *e);

/* Revokes the token, within the deadline; what comes of it is nobody's business. */
void vault_give_back(struct vault *v, struct deadline deadline);

/* What a request may take: its own bound, or what is left until the deadline. 0: nothing is left. */
uint64_t vault_request_timeout(const struct vault *v);

/* What OpenBao answers to a certificate that is, with status 500, which else passes. */
#define VAULT_SAYS_OUT_OF_DATE "failed to verify client's certificate"

/* What a status of sys/health, or of any request, means by itself; ERR_OK for those that the caller judges. */
enum err vault_status_error(long status, const char *address, struct err_ctx *e);

/* ---- what vault_entry_take() makes of two answers. Pure. ---- */

/* Of sys/internal/ui/mounts: takes the mount off entry->path. Errors: ERR_VAULT_NO_ENTRY. */
enum err vault_entry_split(struct kv_entry *entry, const struct vault_answer *a, struct err_ctx *e);

/* Of the entry itself: fills the rest of *entry. Owns: the caller frees *ret. Errors: as vault_entry_take(). */
enum err vault_entry_read(struct kv_entry *entry, const struct vault_answer *a, size_t max, struct secret **ret,
			  struct err_ctx *e);
