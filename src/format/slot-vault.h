/* SPDX-License-Identifier: MIT */
/*
 * The protector's part of a vault slot. Pure, like header.h. It names what is to be asked for, never whom: addresses,
 * mounts, namespaces and roles are zseal.conf's.
 */
#pragma once

#include "format/header.h"

enum {
	VAULT_CIPHERTEXT_MAX = 1024, /* with NUL; of a 32-byte secret, ours have some 90 characters */
	VAULT_WORD_SIZE = 64,        /* of a name, NUL included */
};

struct slot_vault {
	char cluster[VAULT_WORD_SIZE]; /* the group of servers, as zseal.conf names it */
	char key[VAULT_WORD_SIZE];     /* the Transit key */
	char ciphertext[VAULT_CIPHERTEXT_MAX]; /* "vault:v1:…", of the slot secret in base64 */
};

/* protect object <-> struct; errors as in header.h. */
must_check enum err slot_vault_parse(const char *protect, struct slot_vault *ret, struct err_ctx *e);
must_check enum err slot_vault_print(const struct slot_vault *s, char **ret, struct err_ctx *e);

/* What Transit derives its key with, so that a ciphertext opens for this slot alone: keyring's UUID, slot's UUID. */
enum { VAULT_CONTEXT_SIZE = 2 * UUID_SIZE };
void slot_vault_context(const struct uuid *keyring, const struct uuid *slot, uint8_t ret[static VAULT_CONTEXT_SIZE]);
