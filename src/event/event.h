/* SPDX-License-Identifier: MIT */
/*
 * One place for what the world should remember: each seal, unseal, load, refusal and change is one event. Today it goes
 * to systemd's journal as one structured entry, or to standard error as one line where there is no journal; audit and
 * metrics will subscribe here.
 *
 * Guarantees: emitting never fails and never blocks the work; every event has a MESSAGE_ID with an entry in the catalog
 * (made from the same table). Refuses: secrets, and values that would break a line.
 */
#pragma once

#include "base/text.h"

/* identity, MESSAGE_ID, syslog priority, subject for the catalog, explanation and advice for the catalog */
#define EVENT_TABLE(X)                                                                                                 \
	X(KEYRING_CREATED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e01", 5, "A keyring was made",                                \
	  "A new encrypted pool was made with a keyring. Keep its recovery key and a copy of its header.")             \
	X(SLOT_SEALED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e02", 5, "A slot was sealed",                                     \
	  "A new slot protects the keyring and was opened once as proof.")                                             \
	X(KEYRING_OPENED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e03", 6, "A keyring was opened",                               \
	  "The slot named here gave the keyring's key.")                                                               \
	X(SLOT_FAILED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e04", 4, "A slot did not open",                                   \
	  "The next slot is tried. The reason is in ZSEAL_ERROR.")                                                     \
	X(KEY_LOADED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e05", 6, "An encryption root was unlocked", "")                     \
	X(KEY_REFUSED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e06", 3, "An encryption root stayed locked",                      \
	  "What the reason means and what to do next is in ZSEAL_ADVICE.")                                             \
	X(KEY_UNLOADED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e07", 5, "An encryption root was locked", "")                      \
	X(HEADER_SUSPECT, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e08", 2, "A header is not as it should be",                    \
	  "The pool was changed by somebody else, rolled back, or a write was cut off. Compare with the last copy.")   \
	X(HEADER_RESTORED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e09", 4, "A header was restored from a copy", "")               \
	X(PIN_CHANGED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e0a", 5, "This machine remembers a keyring",                      \
	  "From now on another fingerprint under the same UUID is refused.")                                           \
	X(CONTROL_REFUSED, "5a2f0d6c1b6c4d1f9b0e3f1a7c2d8e0b", 3, "A command was refused", "")

enum event_id {
#define X(id, message_id, priority, subject, explanation) EVENT_##id,
	EVENT_TABLE(X)
#undef X
	EVENT_MAX,
};

struct event_info {
	const char *name;       /* "keyring-created" … derived from the identity */
	const char *message_id; /* 32 hexadecimal digits */
	int priority;           /* syslog(3) */
	const char *subject;
	const char *explanation;
};

/* What an event is about; members may be NULL. */
struct event {
	enum event_id id;
	const char *dataset;          /* ZSEAL_DATASET */
	const char *slot;             /* ZSEAL_SLOT, and ZSEAL_SLOT_TYPE */
	const char *slot_type;
	const struct uuid *keyring;   /* ZSEAL_KEYRING */
	uint32_t generation;          /* ZSEAL_GENERATION, 0 for none */
	const struct err_ctx *error;  /* ZSEAL_ERROR, ZSEAL_CLASS, ZSEAL_ADVICE, ZSEAL_DETAIL, ERRNO, ZSEAL_TSS_RC */
};

/* Sends one event. MESSAGE is a sentence made of subject, dataset, slot and error. */
void event_emit(const struct event *ev);

/* The table's line for id; never NULL. */
const struct event_info *event_info(enum event_id id);
