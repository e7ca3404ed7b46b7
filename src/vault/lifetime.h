/* SPDX-License-Identifier: MIT */
/*
 * Until when this machine can log in to Vault: its certificate says so itself; of a secret_id Vault told it when it was
 * made, and this machine remembers it (local state, not secret, no part of any header).
 *
 * Not asked of Vault: an unlock would cost a request more, the node's policy would have to allow it, and what matters
 * most, a warning while nobody answers, would be missing. What was replaced by other hands is noticed by the time of the
 * credential's last change: then nothing is known, which is no error.
 */
#pragma once

#include "vault/settings.h"

#define VAULT_STATE_PATH "/var/lib/zseal/vault"

enum { VAULT_LIFETIME_SIZE = 24 };
#define VAULT_TTL_UNKNOWN UINT64_MAX

struct vault_lifetime {
	bool known;
	uint64_t made, ends; /* seconds since 1970; ends 0: never */
};

/* Of what zseal.conf logs in with. Whatever is wrong: not known. */
void vault_lifetime_get(const struct vault_settings *s, struct vault_lifetime *ret);

/*
 * Remembers of the secret_id which is kept now that it was made at that time, and lasts ttl_s (0: for ever). Errors:
 * ERR_CREDENTIAL if none is kept; those of file_write().
 */
must_check enum err vault_lifetime_remember(const struct vault_settings *s, uint64_t made, uint64_t ttl_s,
					    struct err_ctx *e);

/* Seconds that are left; 0 behind the end; UINT64_MAX if there is none or none is known. */
uint64_t vault_lifetime_left_s(const struct vault_lifetime *l);

/*
 * Whether somebody should know. Errors: ERR_VAULT_LOGIN_ENDS or ERR_VAULT_CERT_ENDS when less than a quarter of its life
 * is left, of a long one less than 14 days; ERR_VAULT_LOGIN or ERR_VAULT_LOGIN_CERT when it is over. By this machine's
 * clock: while that stands before the beginning, nothing.
 */
must_check enum err vault_lifetime_check(const struct vault_settings *s, struct err_ctx *e);

/* "2026-11-23 14:05 UTC". */
void vault_lifetime_print(uint64_t seconds, char ret[static VAULT_LIFETIME_SIZE]);
