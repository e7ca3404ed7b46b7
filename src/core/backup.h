/* SPDX-License-Identifier: MIT */
/*
 * A keyring's header out of the pool, as a copy, and compared with another (design, section 3). Reads only; getting one
 * back into a pool is core/restore.h's.
 */
#pragma once

#include "core/copies.h"
#include "core/inventory.h"

/* What a pool holds of one keyring, as a copy. Owns: the caller clears *ret. Errors: ERR_NO_MEMORY. */
must_check enum err backup_collect(const struct inventory *inv, const struct keyring *k, struct header_copy *ret,
				   struct err_ctx *e);

/* Leaves out the slots and records that no file of a copy can hold, and returns how many those were. */
size_t backup_leave_out_damaged(struct header_copy *copy);

/* A keyring as a copy holds it; borrows from the copy. Errors: ERR_NO_MEMORY. */
must_check enum err backup_keyring(const struct header_copy *copy, struct keyring **ret, struct err_ctx *e);

enum difference { DIFFERENCE_NONE, DIFFERENCE_CHANGED, DIFFERENCE_MISSING, DIFFERENCE_EXTRA };

/* Compares a property of a copy and a pool by name ("zseal:slot.tpm2 on tank"), calling tell() for each that differs. */
typedef void (*difference_fn)(void *arg, const char *dataset, const char *property, enum difference d);
/* Returns the number of differences. `here` is what the pool has. */
unsigned backup_compare(const struct header_copy *here, const struct header_copy *copy, difference_fn tell, void *arg);

/* The value of a copy's slot, or NULL. */
const char *backup_slot_value(const struct header_copy *copy, const char *name);
