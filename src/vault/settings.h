/* SPDX-License-Identifier: MIT */
/*
 * How this machine reaches its Vault or OpenBao: all of it from zseal.conf, nothing of it from a pool. Pure.
 */
#pragma once

#include "format/slot-vault.h"

enum {
	VAULT_ADDRESSES_MAX = 8,
	VAULT_ADDRESS_SIZE = 280, /* "https://", a host of 253 characters, ":65535", NUL */
	VAULT_FILE_SIZE = 256,
	VAULT_PATH_SIZE = 128, /* of a mount or a namespace, which may have several segments */
};

/* What this machine shows to be let in. */
enum vault_login_by { VAULT_LOGIN_APPROLE, VAULT_LOGIN_CERT };

struct vault_settings {
	unsigned n_addresses; /* 0: this machine has no Vault */
	char addresses[VAULT_ADDRESSES_MAX][VAULT_ADDRESS_SIZE]; /* as vault_address_normalise() writes them */
	bool allow_http;      /* an address may begin with http://; it is warned of each time */
	char ca[VAULT_FILE_SIZE], client_cert[VAULT_FILE_SIZE], client_key[VAULT_FILE_SIZE]; /* PEM files; "": none */
	char ca_folder[VAULT_FILE_SIZE]; /* as openssl rehash makes one, in ca's place; "": none */
	char server_name[256]; /* that the server's certificate has to have; "": the address's host */
	char namespace[VAULT_PATH_SIZE];
	enum vault_login_by login; /* by certificate: client_cert and client_key are set */
	char approle_mount[VAULT_PATH_SIZE], cert_mount[VAULT_PATH_SIZE];
	char transit_mount[VAULT_PATH_SIZE], kv_mount[VAULT_PATH_SIZE]; /* kv: "" is none */
	char cluster[VAULT_WORD_SIZE]; /* what slots call this group of servers */
	char node[VAULT_WORD_SIZE];    /* what role and policy of this machine are named after; "": its host name */
	char role_id[VAULT_WORD_SIZE], secret_id[VAULT_WORD_SIZE]; /* names of credentials (sys/credential.h) */
	uint64_t connect_timeout_ms, request_timeout_ms; /* of one request */
	uint64_t timeout_ms;                             /* of a slot, with all that is tried again */
	unsigned tries;      /* how often what passes is asked for; 0: until the deadline */
};

extern const struct vault_settings vault_settings_default;

/*
 * Writes an address in one way: "HTTPS://Vault.Example" becomes "https://vault.example:443". False for what is no
 * scheme, host and port alone: a path, a user or a query has no place in it.
 */
must_check bool vault_address_normalise(const char *text, char ret[static VAULT_ADDRESS_SIZE]);

bool vault_address_is_plain(const char *address); /* http: readable on the way */

/* True if text may be a server's name. */
must_check bool vault_host_is_valid(const char *text, size_t size);

/* True if text consists of words (format/slot-vault.h) with single slashes between them. */
must_check bool vault_path_is_valid(const char *text, size_t size);

/*
 * The same for names that a site chose and a person typed: they may have dots and tildes, too, but no segment is "." or
 * "..": a path stays where it points.
 */
must_check bool vault_site_path_is_valid(const char *text, size_t size);
