/* SPDX-License-Identifier: MIT */
/*
 * Old copies of a key that zseal keeps now: each is one more way to open the root, for whoever finds it.
 *
 * Guarantees: named for what was found there, not for what might be; a file is called proven only if the key was read out
 * of it; nothing is destroyed that another encryption root still names, and no entry of Vault's that holds more than the
 * key. Refuses to promise more than it can: the blocks of a file that was removed stay readable on the disk until they
 * are written anew, and so do Vault's backups.
 */
#pragma once

#include "core/adopt-key.h"
#include "protector/protector.h"

/* Where copies are looked for; each may be NULL. */
struct leftover_hints {
	const char *dataset;
	const char *key_file;         /* that the key was read from */
	const char *location_file;    /* that keylocation named */
	const char *jwe;
	bool jwe_opened;              /* in this run: it gave the key */
	const struct adopt_check *check;
	const struct secret *key;     /* that copies are compared with */
	const struct tpm2_kept *kept; /* that the key was unsealed from */
	const struct kv_entry *entry; /* that was read in this run */
	bool entry_opened;            /* it gave the key */
};

struct leftover {
	char *path;            /* of a file, or NULL */
	struct tpm2_kept kept; /* of an object in the TPM */
	const struct kv_entry *entry; /* in Vault, or NULL; whoever gave the hints owns it */
	char *needed_by;       /* an encryption root that names it, or NULL */
	bool proven;           /* it holds the key; anything else might be somebody else's */
	bool destroyed;
};

enum { LEFTOVERS_MAX = 24 };

/* The caller owns it, all zero before, and clears it. */
struct leftovers {
	size_t n;
	struct leftover all[LEFTOVERS_MAX];
};
void leftovers_clear(struct leftovers *l);
DEFINE_CLEANUP(struct leftovers *, leftovers_clear)

/* Finds what is there. Errors: as zfs_get(); ERR_NO_MEMORY. */
must_check enum err leftovers_find(const struct leftover_hints *h, struct leftovers *ret, struct err_ctx *e);

/* True if it would be refused: something else needs what it is a part of. */
bool leftover_is_needed(const struct leftover *l);

/* Only when the new way was proven. Errors: ERR_LEFTOVER_SHARED, ERR_LEFTOVER_MORE, ERR_IO, ERR_TPM_*, ERR_VAULT_*. */
must_check enum err leftover_destroy(struct leftover *l, struct protector_context *context, struct err_ctx *e);
