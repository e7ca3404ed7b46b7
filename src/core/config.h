/* SPDX-License-Identifier: MIT */
/*
 * /etc/zseal/zseal.conf: what this machine allows. Everything that names an address, a device or a trust comes from
 * here and never from a pool or the environment (design, section 3).
 *
 * Refuses: a file that others than root could have written, unknown sections and keys, values out of bounds.
 */
#pragma once

#include "base/text.h"
#include "format/header.h"
#include "vault/settings.h"

#define CONFIG_PATH "/etc/zseal/zseal.conf"

enum { TRUSTED_MAX = 64, TCTI_SIZE = 256, MOUNT_ALLOWED_MAX = 32, MOUNT_ALLOWED_SIZE = 256 };

/* A slot's name or a type, and what such a slot may take; 0: what its kind may. */
struct order_entry {
	char name[NAME_SIZE];
	uint64_t timeout_ms;
};

struct config {
	char tcti[TCTI_SIZE];        /* [tpm2] tcti; default device:/dev/tpmrm0 */
	unsigned n_order;            /* [unlock] order; none: the keyring's own order */
	struct order_entry order[SLOTS_MAX];
	uint64_t slot_timeout_ms;    /* [unlock] slot-timeout, seconds, of slots that are here; default 20 s */
	uint64_t hedge_ms;           /* [unlock] hedge, seconds: what a slot far away gets before others; 0: all it needs */
	struct stretch_budget stretch; /* [scrypt] time, milliseconds, default 1000; memory, MiB, default 256 */
	bool first_use;              /* [trust] first-use = yes: a keyring that was never seen is trusted */
	unsigned n_trusted;          /* [trust] fingerprint, may be repeated */
	char trusted[TRUSTED_MAX][FINGERPRINT_TEXT_SIZE];
	unsigned n_mount_allowed;    /* [mount] allow, may be repeated: may be mounted over, and what is below it */
	char mount_allowed[MOUNT_ALLOWED_MAX][MOUNT_ALLOWED_SIZE]; /* as path_normalise() writes them */
	struct vault_settings vault; /* [vault] */
};

/*
 * Reads path; NULL is CONFIG_PATH, which may be missing (then all is default).
 * Errors: ERR_CONFIG (file and line), ERR_CONFIG_UNSAFE, ERR_IO.
 */
must_check enum err config_load(const char *path, struct config *ret, struct err_ctx *e);

/* The same of a text; path is for messages. Pure. Errors: ERR_CONFIG, ERR_NO_MEMORY. */
must_check enum err config_parse(const char *text, const char *path, struct config *ret, struct err_ctx *e);

/* A setting, for messages and the manual. */
struct config_key {
	const char *section, *key;
	const char *expected; /* what a value looks like */
};

/* The i-th of the settings that there are; false behind the last. */
bool config_key(size_t i, struct config_key *ret);
