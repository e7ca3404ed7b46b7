/* SPDX-License-Identifier: MIT */
/*
 * The header's codec: the three kinds of ZFS user property that zseal writes, and their copies (design, section 3).
 * docs/format.md describes the same bytes for a second implementation.
 *
 * Guarantees: pure (bytes to struct and back, no I/O, no keys); bounds on everything; what was parsed prints to the
 * very same bytes, since a value that does not is refused. Refuses: unknown members in a known version, values over
 * 8,191 bytes, names outside [a-z0-9_-].
 */
#pragma once

#include "crypto/crypto.h"

enum {
	HEADER_VERSION = 1,
	PROPERTY_VALUE_MAX = 8191, /* bytes; ZFS's limit for a user property's value */
	NAME_SIZE = 64,            /* of a slot's name or type, NUL included */
	SLOTS_MAX = 32,            /* slots in a keyring */
	RINGS_MAX = 2,             /* old and new, while a change is under way */
	WRAPS_MAX = 2,             /* the same, in a slot */
	RECORDS_MAX = 4,           /* key records on one encryption root */
	EPOCH_SIZE = 16,
};

#define PROPERTY_KEYRING     "zseal:keyring"
#define PROPERTY_KEY         "zseal:key"
#define PROPERTY_SLOT_PREFIX "zseal:slot."

/*
 * A fingerprint as people compare it: its first 16 bytes in eight groups of four hexadecimal digits.
 * "1f3a-…-90bc"; 39 characters and a NUL.
 */
enum { FINGERPRINT_TEXT_SIZE = 40 };
void fingerprint_print(const uint8_t fingerprint[static FINGERPRINT_SIZE], char ret[static FINGERPRINT_TEXT_SIZE]);
must_check bool fingerprint_text_is_valid(const char *text);

/* One generation of a keyring. */
struct ring {
	struct uuid uuid;
	uint8_t epoch[EPOCH_SIZE]; /* random; names the keyring key: a new key has a new epoch (and a new fingerprint) */
	uint32_t generation;       /* from 1; counts every change of the header, so that pins notice an older one */
	unsigned n_order;
	char order[SLOTS_MAX][NAME_SIZE]; /* slot names in the order of trying; zseal.conf wins */
	uint64_t created;                 /* seconds since 1970, UTC */
	uint8_t fingerprint[FINGERPRINT_SIZE];
	bool has_recovery;
	uint8_t recovery_public[X25519_SIZE]; /* all zero unless has_recovery */
};

struct authenticated_ring {
	struct ring ring;
	uint8_t mac[MAC_SIZE];
};

/* The value of zseal:keyring, newest ring first. */
struct keyring_property {
	unsigned n_rings; /* 1 or 2, all of one UUID */
	struct authenticated_ring rings[RINGS_MAX];
};

/* A keyring key under the slot secret. */
struct slot_wrap {
	uint8_t epoch[EPOCH_SIZE]; /* which keyring key it is */
	struct wrapped key;
};

/* The value of zseal:slot.NAME. */
struct slot {
	char name[NAME_SIZE]; /* from the property's name, not its value */
	struct uuid keyring;
	struct uuid uuid;
	char type[NAME_SIZE]; /* "tpm2", "recovery" … */
	uint64_t created;
	char *protect;        /* the protector's part: one compact JSON object */
	unsigned n_wraps;
	struct slot_wrap wraps[WRAPS_MAX]; /* newest first */
	bool has_renew;
	struct renew renew;
};

/* One key record: a root's wrapping key, under a keyring key. */
struct record {
	struct uuid uuid;
	struct uuid keyring;
	uint8_t epoch[EPOCH_SIZE]; /* the keyring key that it is wrapped under */
	uint32_t generation;       /* from 1: counts this root's wrapping keys */
	uint64_t created;
	struct wrapped key;
};

/* The value of zseal:key, newest first. */
struct records {
	unsigned n;
	struct record records[RECORDS_MAX];
};

/*
 * value -> struct. Errors: ERR_FORMAT (says where), ERR_FORMAT_NEWER for a version that this zseal does not know,
 * ERR_NO_MEMORY. On any error *ret is untouched.
 */
must_check enum err keyring_property_parse(const char *value, struct keyring_property *ret, struct err_ctx *e);
must_check enum err slot_parse(const char *name, const char *value, struct slot *ret, struct err_ctx *e);
must_check enum err records_parse(const char *value, struct records *ret, struct err_ctx *e);

/* struct -> value, which the caller frees. Errors: ERR_TOO_LARGE, ERR_NO_MEMORY, ERR_BUG. */
must_check enum err keyring_property_print(const struct keyring_property *p, char **ret, struct err_ctx *e);
must_check enum err slot_print(const struct slot *slot, char **ret, struct err_ctx *e);
must_check enum err records_print(const struct records *records, char **ret, struct err_ctx *e);
/* The bytes of one ring that its MAC covers: its JSON object alone. */
must_check enum err ring_print(const struct ring *ring, char **ret, struct err_ctx *e);

/* Frees what a slot owns (protect); takes an all-zero slot. */
void slot_clear(struct slot *slot);

/*
 * Whose slot a value says it is, for slots of a newer version or unknown type of which only the frame is understood: the
 * rest keeps going by raw bytes. *ret_has is false unless it is a JSON object whose "keyring" is a UUID. Want of memory
 * is an error: a slot that counted as nobody's for that would be dropped by the next change. Errors: ERR_NO_MEMORY.
 */
must_check enum err slot_keyring(const char *value, struct uuid *ret, bool *ret_has, struct err_ctx *e);

/* A slot as it is stored, for the MAC. */
struct raw_slot {
	const char *name;
	const char *value;
};

/*
 * HMAC over the ring's bytes and every slot of its keyring (slot_keyring()), known or not: parts are the ring's
 * JSON, then for each slot, sorted by name (bytewise), its name and its value (crypto_table_mac()).
 * slots may be in any order; the array is sorted in place. Errors: ERR_NO_MEMORY, ERR_BUG.
 */
must_check enum err header_mac(const struct secret *keyring_key, const struct ring *ring, struct raw_slot *slots,
			       size_t n_slots, uint8_t ret[static MAC_SIZE], struct err_ctx *e);

/* A property's value in a copy, as it is, byte for byte. */
struct header_copy_value {
	char *name; /* of the slot, or of the dataset with the records */
	char *value;
};

/* A whole header as it is copied to a file. */
struct header_copy {
	char *pool;          /* name, a hint for people */
	uint64_t pool_guid;  /* 0 if not known yet */
	char *dataset;       /* where the keyring is */
	uint64_t saved;      /* seconds since 1970, UTC */
	char *keyring;       /* value of zseal:keyring */
	size_t n_slots;
	struct header_copy_value *slots; /* of zseal:slot.NAME */
	size_t n_records;
	struct header_copy_value *records; /* of zseal:key */
};

/*
 * Errors as above; a file may hold at most HEADER_COPY_MAX bytes. Slots and records are printed sorted by name,
 * whatever their order; a value that is no printable ASCII, as anybody may have written it to a pool, is ERR_FORMAT.
 */
enum { HEADER_COPY_MAX = 64 << 20 };
must_check enum err header_copy_parse(const char *text, struct header_copy *ret, struct err_ctx *e);
must_check enum err header_copy_print(const struct header_copy *copy, char **ret, struct err_ctx *e);
void header_copy_clear(struct header_copy *copy);
DEFINE_CLEANUP(struct header_copy *, header_copy_clear)
