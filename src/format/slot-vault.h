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
	VAULT_KV_SIZE = 256,         /* of a path, NUL included */
};

struct slot_vault {
	char cluster[VAULT_WORD_SIZE]; /* the group of servers, as zseal.conf names it */
	char key[VAULT_WORD_SIZE];     /* the Transit key */
	char ciphertext[VAULT_CIPHERTEXT_MAX]; /* "vault:v1:…", of the slot secret in base64 */
	char kv[VAULT_KV_SIZE]; /* where KV has a copy of it, or "": such words and "{node}" between slashes */
};

/* How many characters at the beginning of text are of [A-Za-z0-9_-], of which names are made that Vault is asked for. */
size_t vault_word_length(const char *text);
/* True for 1 to 63 of them and nothing else; for "vault:vN:" and base64, as Transit writes it; for a path in KV. */
must_check bool vault_word_is_valid(const char *text);
must_check bool vault_ciphertext_is_valid(const char *text);
must_check bool vault_kv_path_is_valid(const char *text);

/* protect object <-> struct; errors as in header.h. */
must_check enum err slot_vault_parse(const char *protect, struct slot_vault *ret, struct err_ctx *e);
must_check enum err slot_vault_print(const struct slot_vault *s, char **ret, struct err_ctx *e);

/* The path in KV of a node: "{node}" has its name. False if that does not fit. */
must_check bool slot_vault_kv_path(const struct slot_vault *s, const char *node, char ret[static VAULT_KV_SIZE]);

/* What Transit derives its key with, so that a ciphertext opens for this slot alone: keyring's UUID, slot's UUID. */
enum { VAULT_CONTEXT_SIZE = 2 * UUID_SIZE };
void slot_vault_context(const struct uuid *keyring, const struct uuid *slot, uint8_t ret[static VAULT_CONTEXT_SIZE]);
