/* SPDX-License-Identifier: MIT */
/*
 * One keyring as it is stored, in a pool or in a copy: its property and its slots, understood as far as they can be.
 * Keeps what is damaged together with why; believes nothing (core/opening.h does that).
 */
#pragma once

#include "format/header.h"

/* A slot as it is stored. */
struct stored_slot {
	char name[NAME_SIZE];
	const char *value;
	enum err state;       /* ERR_OK: slot is filled; else why it was not understood */
	struct err_ctx error;
	struct slot slot;
	bool has_keyring;     /* it says whose it is, understood or not: keyring */
	struct uuid keyring;
};

struct keyring {
	const char *dataset; /* where its properties are */
	const char *pool;
	uint64_t pool_guid;
	bool readonly;
	bool received;       /* its properties came with a stream: local ones would mask them */
	const char *value;   /* of zseal:keyring */
	enum err state;      /* ERR_OK: property is filled */
	struct err_ctx error;
	struct keyring_property property;
	size_t n_slots;
	struct stored_slot slots[SLOTS_MAX];
};

/* Owns nothing but what it parsed: every string is borrowed and must outlive it. Errors: ERR_NO_MEMORY. */
must_check enum err keyring_new(const char *dataset, const char *value, struct keyring **ret, struct err_ctx *e);
/*
 * Adds a slot by its name (without prefix) and value, in the order of trying, which the keyring's own property tells;
 * one whose name is none is left out, and of too many the last in that order. Pointers to slots that were there become
 * invalid.
 */
must_check enum err keyring_add_slot(struct keyring *k, const char *name, const char *value, struct err_ctx *e);
void keyring_free(struct keyring *k);
DEFINE_CLEANUP(struct keyring *, keyring_free)

/* Whether a slot says that it is this keyring's. */
bool stored_slot_is_of(const struct stored_slot *s, const struct uuid *keyring);

/* The newest ring; only where state is ERR_OK. */
const struct ring *keyring_ring(const struct keyring *k);

/*
 * The MAC that ring number ring of the property should have with the slots as they are: all that say they are this
 * keyring's, understood or not. Only where state is ERR_OK. Errors: ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err keyring_mac(const struct keyring *k, unsigned ring, const struct secret *key,
				uint8_t ret[static MAC_SIZE], struct err_ctx *e);
