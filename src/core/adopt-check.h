/* SPDX-License-Identifier: MIT */
/*
 * What is looked for before an encryption root is adopted: all that could make it go wrong, or that its owner should
 * know beforehand. Reads only.
 *
 * Refuses to guess: a raw replica that was received without any property does not show in ZFS, nor does a child whose
 * key was changed apart from its root's (openzfs 17425): the first goes unnoticed, the second is warned of.
 */
#pragma once

#include "crypto/crypto.h"
#include "core/inventory.h"

enum key_format { KEY_FORMAT_RAW, KEY_FORMAT_HEX, KEY_FORMAT_PASSPHRASE };

/* error.code says what it is; one that refuses ends the adoption before it begins. */
struct finding {
	struct err_ctx error;
	bool refuses;
};

enum { FINDINGS_MAX = 16 };

/* The caller owns it, all zero before, and clears it. */
struct adopt_check {
	enum key_format format;
	struct zfs_stretch stretch; /* of a passphrase */
	char *key_file;             /* that keylocation names, or NULL */
	bool located;               /* keylocation=prompt already */
	size_t n;
	struct finding findings[FINDINGS_MAX];
};
void adopt_check_clear(struct adopt_check *c);
DEFINE_CLEANUP(struct adopt_check *, adopt_check_clear)

/*
 * Looks at dataset, what is below it and who else in its pool uses its key. replica: the person insists that a replica
 * is one no more. What was found is in *ret. Errors: ERR_ZFS_NOT_ENCRYPTED, ERR_ZFS_NOT_ROOT, as zfs_get().
 */
must_check enum err adopt_check_load(const char *dataset, bool replica, struct adopt_check *ret, struct err_ctx *e);

/* The first finding that refuses, as an error; ERR_OK if there is none. */
must_check enum err adopt_check_refusal(const struct adopt_check *c, struct err_ctx *e);
