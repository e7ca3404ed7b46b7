/* SPDX-License-Identifier: MIT */
/*
 * Vault and OpenBao by their HTTP API: which server answers, and what is asked of it.
 *
 * Guarantees: of several addresses the first that is able to serve is used, and its connection kept; what passes by
 * itself (no answer, sealed, an election, too busy) is tried again within the deadline, nothing else is; the token goes
 * to configured addresses alone; whatever a server says in words is compared, never repeated. Refuses: redirects to
 * strangers, answers that are not what the API promises.
 * Spec: OpenBao's and Vault's HTTP API, which are the same here.
 */
#pragma once

#include <jansson.h>

#include "format/slot-vault.h"
#include "sys/deadline.h"
#include "vault/lifetime.h"
#include "vault/settings.h"

struct vault;

/*
 * Loads libcurl and prepares; asks nobody yet. settings is the caller's and outlives it.
 * Errors: ERR_VAULT_LIBRARY, ERR_VAULT_UNSET if no address is configured, ERR_CONFIG for a plain one that is not allowed.
 */
must_check enum err vault_open(const struct vault_settings *settings, struct vault **ret, struct err_ctx *e);
/* Gives a service token of its own login back (bounded), closes and wipes. Takes NULL. */
void vault_close(struct vault *v);
DEFINE_CLEANUP(struct vault *, vault_close)

/* The point by which everything that follows is over. */
void vault_set_deadline(struct vault *v, struct deadline deadline);

/* Who asks: a token that somebody else made, and that stays valid. Copies it. Errors: ERR_USAGE, ERR_NO_MEMORY. */
must_check enum err vault_set_token(struct vault *v, const struct secret *token, struct err_ctx *e);

/* The token of another's login, who gives it back. Errors: ERR_NO_MEMORY. */
must_check enum err vault_borrow_token(struct vault *v, const struct vault *from, struct err_ctx *e);

/*
 * Logs in by AppRole; from then on its token asks. Errors: ERR_VAULT_LOGIN, those of vault_ask().
 */
must_check enum err vault_login(struct vault *v, const struct secret *role_id, const struct secret *secret_id,
				struct err_ctx *e);

/*
 * The same by the certificate that the connection shows, as the certificate role of that name allows it. Errors:
 * ERR_VAULT_LOGIN_CERT, those of vault_ask().
 */
must_check enum err vault_login_cert(struct vault *v, const char *role, struct err_ctx *e);

/* What a slot's ciphertext is bound to. */
struct transit_key {
	const char *name;
	uint8_t context[VAULT_CONTEXT_SIZE];
};

/* Errors: ERR_VAULT_KEY, ERR_VAULT_CIPHERTEXT, those of vault_ask(). */
must_check enum err vault_transit_encrypt(struct vault *v, const struct transit_key *key, const struct secret *plain,
					  char ret[static VAULT_CIPHERTEXT_MAX], struct err_ctx *e);
must_check enum err vault_transit_decrypt(struct vault *v, const struct transit_key *key, const char *ciphertext,
					  struct secret **ret, struct err_ctx *e);

/*
 * A copy of a ciphertext in KV v2, at a path of words (format/slot-vault.h) without "{node}". Errors: ERR_CONFIG without
 * a mount, ERR_VAULT_NOT_FOUND, ERR_VAULT_CIPHERTEXT for what is there but none, those of vault_ask().
 */
must_check enum err vault_kv_read(struct vault *v, const char *path, char ret[static VAULT_CIPHERTEXT_MAX],
				  struct err_ctx *e);
must_check enum err vault_kv_write(struct vault *v, const char *path, const char *ciphertext, struct err_ctx *e);

/* ---- what a site keeps there that is not zseal's ---- */

enum { VAULT_TIME_SIZE = 48 };

/* An entry of KV version 2. The caller fills the first part, with texts that vault_site_path_is_valid(). */
struct kv_entry {
	char mount[VAULT_PATH_SIZE]; /* "": Vault is asked which part of path it is; it is taken off there then */
	char path[VAULT_KV_SIZE];
	const char *field;           /* NULL: the only one that can be meant */
	bool wrapped;                /* what is looked for is a ciphertext of Transit */
	char made[VAULT_TIME_SIZE];  /* filled: when the version that was read was written */
	bool has_more;               /* filled: it has other fields, and who needs them nobody here knows */
};

/*
 * Takes the text of one field, up to max bytes of it. Owns: the caller frees *ret. Errors: ERR_VAULT_NO_ENTRY,
 * ERR_VAULT_DELETED, ERR_VAULT_FIELD, ERR_KEY_SHAPE for what is no text, or too long, or wrapped and should not be, or
 * the other way round; those of vault_ask().
 */
must_check enum err vault_entry_take(struct vault *v, struct kv_entry *entry, size_t max, struct secret **ret,
				     struct err_ctx *e);

/*
 * Destroys the entry that was read, with all its versions; that it is gone already is success.
 * Errors: ERR_VAULT_CHANGED, ERR_VAULT_DELETED, those of vault_ask(), of which ERR_VAULT_DENIED is a likely one.
 */
must_check enum err vault_entry_destroy(struct vault *v, const struct kv_entry *entry, struct err_ctx *e);

/* A Transit key that a site wraps with by itself. */
struct site_key {
	char mount[VAULT_PATH_SIZE], name[VAULT_WORD_SIZE];
	const char *context; /* base64, for a key that derives, or NULL */
};

/*
 * What a ciphertext holds, up to max bytes. One that opens without a context is told: EVENT_VAULT_KEY_SHARED.
 * Owns: the caller frees *ret. Errors: ERR_VAULT_UNWRAP, ERR_KEY_SHAPE, those of vault_ask().
 */
must_check enum err vault_transit_unwrap(struct vault *v, const struct site_key *key, const struct secret *ciphertext,
					 size_t max, struct secret **ret, struct err_ctx *e);

/*
 * Whether Transit has the key, and derives: *ret_derived. Errors: ERR_VAULT_KEY; ERR_VAULT_DENIED, if this token may
 * not look; those of vault_ask().
 */
must_check enum err vault_transit_look(struct vault *v, const char *key, bool *ret_derived, struct err_ctx *e);

/* What the last login got: how long its token lives, and whether it is of a kind that is given back. */
struct vault_login_info {
	const char *address;
	uint64_t ttl_s;
	bool batch;
};
struct vault_login_info vault_login_info(const struct vault *v);

/* What a server says of itself. e.code is ERR_OK if it is active. */
struct vault_health {
	const char *address;
	bool standby;
	char version[32];
	struct err_ctx error;
};
/* Asks each address; there are as many as settings has. Errors: ERR_INTERRUPTED, ERR_NO_MEMORY. Blocks: as vault_ask(). */
must_check enum err vault_survey(struct vault *v, struct vault_health ret[static VAULT_ADDRESSES_MAX],
				 struct err_ctx *e);

/* A secret_id, and how long it is good from when it was made. */
struct vault_secret_id {
	struct secret *text;
	uint64_t made;  /* seconds since 1970, when it was asked for: it may have lain in a wrapping token before */
	uint64_t ttl_s; /* 0: for ever; VAULT_TTL_UNKNOWN */
};
void vault_secret_id_clear(struct vault_secret_id *s);
DEFINE_CLEANUP(struct vault_secret_id *, vault_secret_id_clear)

/*
 * Takes the secret_id out of a wrapping token, once and only if it came from the role of that name. The caller clears it.
 * Errors: ERR_VAULT_WRAPPED, those of vault_ask().
 */
must_check enum err vault_secret_id_unwrap(struct vault *v, const struct secret *wrapped, const char *role,
					   struct vault_secret_id *ret, struct err_ctx *e);

/*
 * Makes another secret_id for a role. Asked once: what is lost on the way ends by itself. The caller clears it.
 * Errors: ERR_VAULT_DENIED if the token may not, ERR_VAULT_NOT_FOUND, those of vault_ask().
 */
must_check enum err vault_secret_id_make(struct vault *v, const char *role, struct vault_secret_id *ret,
					 struct err_ctx *e);

/*
 * Waits until the server that v talks to knows one that was made: a standby answers logins by itself, and hears of a new
 * one a moment later. Errors: ERR_VAULT_DENIED if the token may not look, ERR_VAULT_BUSY if it does not come to know it,
 * those of vault_ask(). Blocks: until the deadline.
 */
must_check enum err vault_secret_id_await(struct vault *v, const char *role, const struct secret *text,
					  struct err_ctx *e);

/* Makes one worthless; success if it was. Errors: ERR_VAULT_DENIED if the token may not, those of vault_ask(). */
must_check enum err vault_secret_id_destroy(struct vault *v, const char *role, const struct secret *text,
					    struct err_ctx *e);

/* ---- for the modules of vault/ and the set-up ---- */

/* What may be asked. */
struct vault_question {
	const char *method, *path;
	const struct secret *body; /* or NULL */
	const char *wrap_ttl;      /* or NULL */
	bool once;                 /* an answer that was lost is not asked for again: it may have used something up */
	bool alone;                /* nor by libcurl, which sends again what a connection that was kept has lost */
};

/* The caller clears it. */
struct vault_answer {
	long status;
	json_t *json; /* an object, or NULL for an empty answer */
};
void vault_answer_clear(struct vault_answer *a);
DEFINE_CLEANUP(struct vault_answer *, vault_answer_clear)

/*
 * Asks, until there is an answer of status 200, 204, 400 or 404 (or 500, of a certificate that is out of date), which the
 * caller judges: ERR_OK.
 * Errors: ERR_VAULT_DOWN, _SEALED, _NO_LEADER, _BUSY, _ANSWER, _TLS, _CLOCK, _DENIED, _REDIRECT; ERR_INTERRUPTED,
 * ERR_NO_MEMORY. Blocks: until the deadline.
 */
must_check enum err vault_ask(struct vault *v, const struct vault_question *q, struct vault_answer *ret,
			      struct err_ctx *e);

/* The same with a body of JSON, which it frees (NULL: none). */
must_check enum err vault_ask_json(struct vault *v, const char *method, const char *path, json_t *body,
				   struct vault_answer *ret, struct err_ctx *e);

/* A text in an answer, such as "auth", "client_token"; NULL if it is not there. Borrowed. */
const char *vault_answer_text(const struct vault_answer *a, const char *outer, const char *inner);

/* True if one of the answer's "errors" has these words in it. */
bool vault_answer_says(const struct vault_answer *a, const char *words);

/* For what was not as the API promises. */
enum err vault_answer_bad(const struct vault *v, const struct vault_question *q, const char *what, struct err_ctx *e);

/* The same for a status that is no success: a 404 or 400 that means nothing special. */
enum err vault_answer_unexpected(const struct vault *v, const struct vault_question *q, const struct vault_answer *a,
				 struct err_ctx *e);

/* ---- JSON with secrets in it ---- */

enum { VAULT_BODY_MAX = 16 << 10 };

/* A body that grows in locked memory. All zero before; body_take() ends it. */
struct body {
	struct secret *bytes;
	size_t size;
	bool failed; /* something had no room, or is no text for JSON */
};
void body_add(struct body *b, const char *json);
/* A quoted string; bytes that JSON would have to escape are refused. */
void body_add_secret(struct body *b, const struct secret *text);
void body_add_base64(struct body *b, struct span bytes);
/* Owns: the caller frees *ret; b is empty afterwards, on failure too. Errors: ERR_NO_MEMORY, ERR_BUG. */
must_check enum err body_take(struct body *b, struct secret **ret, struct err_ctx *e);
