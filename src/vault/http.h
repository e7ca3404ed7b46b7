/* SPDX-License-Identifier: MIT */
/*
 * HTTP exchanges side by side: private to vault/.
 *
 * Guarantees: bodies and the token are in memory of ours, locked and wiped; what a server sends has a bound;
 * every wait ends at its deadline or by a signal (sys/process.h waits, libcurl never does). Refuses: to follow a
 * redirect, to use a proxy, a cookie or ~/.netrc, TLS below 1.2, a path that was changed on the way.
 */
#pragma once

#include "base/secret.h"
#include "sys/deadline.h"
#include "sys/process.h"
#include "vault/curl.h"
#include "vault/settings.h"

enum { BODY_MAX = 32 << 10, HTTP_FDS_MAX = 32, HTTP_HEADERS_MAX = 8, HTTP_HEADER_SIZE = 192 };

/* What shares connections. The caller owns it, all zero before. */
struct http {
	const struct vault_settings *settings;
	const struct curl_api *curl;
	CURLM *multi;
	unsigned n_fds;
	struct pollfd fds[HTTP_FDS_MAX];
	struct deadline timer; /* when libcurl wants to be asked again */
};

struct http_request {
	const char *method;  /* GET, POST, PUT, LIST or DELETE */
	const char *address; /* one of the settings' */
	const char *path;    /* behind /v1/; of names that were checked */
	const char *namespace;      /* that path is in; NULL or "": in none */
	const struct secret *body;  /* JSON, or NULL */
	const struct secret *token; /* or NULL */
	const char *correlation;    /* X-Correlation-Id */
	const char *wrap_ttl;       /* "300s": the answer is wrapped; or NULL */
	uint64_t timeout_ms;
	size_t body_max;            /* bytes of the answer; 0: BODY_MAX */
};

/* One exchange. Must stay where it is while it runs. */
struct exchange {
	struct http *http;
	CURL *easy; /* NULL: none runs */
	const char *address;
	bool done;
	CURLcode result;
	long status;
	struct secret *body; /* size bytes of it were received */
	size_t size;
	char location[VAULT_ADDRESS_SIZE]; /* of a 307: scheme, host and port as they were sent; "" if it does not fit */
	long retry_after_s;
	long verify_result; /* X509_V_ERR_… where result is CURLE_PEER_FAILED_VERIFICATION */
	char reason[CURL_ERROR_SIZE];
	struct secret *token_header;
	char texts[HTTP_HEADERS_MAX][HTTP_HEADER_SIZE];
	struct curl_slist headers[HTTP_HEADERS_MAX];
	unsigned n_headers;
	char connect_text[VAULT_ADDRESS_SIZE + 8];
	struct curl_slist connect_to;
};

/* Errors: ERR_VAULT_LIBRARY, ERR_NO_MEMORY. */
must_check enum err http_open(struct http *h, const struct vault_settings *settings, struct err_ctx *e);
void http_close(struct http *h);

/* Starts an exchange; ends with exchange_end(), whether it is done or not. Errors: ERR_NO_MEMORY, ERR_BUG. */
must_check enum err exchange_start(struct exchange *x, struct http *h, const struct http_request *r, struct err_ctx *e);
void exchange_end(struct exchange *x);
DEFINE_CLEANUP(struct exchange *, exchange_end)

/* Waits until something happens to any exchange, or the deadline. Errors: ERR_INTERRUPTED, ERR_IO. */
must_check enum err http_step(struct http *h, struct deadline deadline, struct err_ctx *e);

/*
 * What came of an exchange that is done, as far as HTTP goes: ERR_OK if there is a status. Errors: ERR_VAULT_DOWN,
 * ERR_VAULT_TLS, ERR_VAULT_CLOCK, ERR_VAULT_ANSWER, ERR_NO_MEMORY; each names the address.
 */
must_check enum err exchange_error(const struct exchange *x, struct err_ctx *e);
