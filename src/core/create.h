/* SPDX-License-Identifier: MIT */
/*
 * A new encrypted pool with a keyring, in two steps with a person's confirmation between them (design, section 6).
 *
 * Guarantees: before the first byte goes to a disk every slot was opened from the very text that will be stored, a copy
 * of the header is kept and the keyring pinned; then one `zpool create` makes the pool with everything in it. Killed at
 * any instant, there is either no pool or one that opens. Refuses: a pool name that is taken.
 *
 * After a power cut too, but ZFS sets a new pool's properties only after it has made it: between the two the header is
 * in the copy alone, and `zseal header restore` brings it back.
 */
#pragma once

#include "core/draft.h"

struct create_request {
	struct zfs_create pool; /* key, properties and n_properties are filled by create_prepare() */
	struct open_request open;
	struct deadline deadline;
	unsigned n_slots;
	const struct draft_slot_request *slots;
};

/* The caller owns it, all zero before, and clears it. */
struct creation {
	struct create_request request;
	struct draft draft;
	struct secret *key;
	char *record;
	char property_names[SLOTS_MAX][sizeof(PROPERTY_SLOT_PREFIX) + NAME_SIZE];
	struct zfs_change properties[SLOTS_MAX + 2];
	bool recovery_confirmed; /* set by the caller: the recovery key was typed back, which counts as a test */
	bool made;      /* the pool is there, or may be: nothing is taken back any more */
	char *said;     /* by zpool, for the person */
	uint64_t guid;  /* of the new pool */
};

/* Seals, finishes and proves in memory. Nothing is written but TPM handles that were asked for. */
must_check enum err create_prepare(struct creation *c, const struct create_request *r, struct err_ctx *e);

/*
 * Copy, pin, `zpool create`, proof. Errors: ERR_ZFS_EXISTS, ERR_CHILD (zpool's reason in c->said), and after the pool
 * was made (c->made) whatever kept it from being proven or pinned.
 */
must_check enum err create_commit(struct creation *c, struct err_ctx *e);

/* Frees; if the pool was not made, takes back handle, copy and pin. */
void create_end(struct creation *c);
DEFINE_CLEANUP(struct creation *, create_end)
