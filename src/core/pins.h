/* SPDX-License-Identifier: MIT */
/*
 * /etc/zseal/pins: which keyrings this machine knows (design, section 3). Written by commands, never while unlocking
 * at boot.
 */
#pragma once

#include "core/config.h"
#include "format/pin.h"

#define PINS_PATH "/etc/zseal/pins"

/* Reads the pins; a missing file is no pins. Owns: the caller clears them. Errors: ERR_FORMAT, ERR_CONFIG_UNSAFE, ERR_IO. */
must_check enum err pins_load(struct pins *ret, struct err_ctx *e);
DEFINE_CLEANUP(struct pins *, pins_clear)

/*
 * Whether a keyring in a pool is the one that is remembered. ring is what its header claims; its fingerprint is believed
 * only after the key was opened and gave the same.
 * Errors: ERR_PIN_MISSING, ERR_PIN_FINGERPRINT, ERR_PIN_ROLLBACK (opened all the same, loudly).
 */
must_check enum err pins_check(const struct pins *pins, const struct config *config, uint64_t pool_guid,
			       const struct ring *ring, struct err_ctx *e);

/* The pin of a keyring whose SRK this machine had when it sealed for it, or NULL. */
const struct pin *pins_find(const struct pins *pins, const struct uuid *keyring, uint64_t pool_guid);

/* Adds or replaces the pin of a pool and keyring, under a lock, atomically. An SRK's name once known is kept. */
must_check enum err pins_remember(const struct pin *pin, struct err_ctx *e);

/* Forgets a pin that was written before its pool was made (pool_guid 0). */
must_check enum err pins_forget(const struct uuid *keyring, uint64_t pool_guid, struct err_ctx *e);
