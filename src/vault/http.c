/* SPDX-License-Identifier: MIT */
/*
 * libcurl's multi_socket interface: it says which descriptors it waits for and until when, and process_poll() waits, so
 * that a signal is never missed. Signals are held while libcurl runs: a thread that it starts to resolve a name inherits
 * that, and takes none away from us.
 */
#include <openssl/x509_vfy.h>
#include <string.h>
#include <sys/timex.h>

#include "vault/http.h"

/* ---- what libcurl waits for ---- */

static int on_socket(CURL *easy __attribute__((unused)), curl_socket_t fd, int what, void *arg,
		     void *own __attribute__((unused)))
{
	struct http *h = arg;
	unsigned i = 0;

	while (i < h->n_fds && h->fds[i].fd != fd)
		i++;
	if (what == CURL_POLL_REMOVE) {
		if (i < h->n_fds)
			h->fds[i] = h->fds[--h->n_fds];
		return 0;
	}
	if (i == HTTP_FDS_MAX)
		return -1;
	h->n_fds += i == h->n_fds;
	h->fds[i] = (struct pollfd){
		.fd = fd,
		.events = (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0)),
	};
	return 0;
}

static int on_timer(CURLM *multi __attribute__((unused)), long timeout_ms, void *arg)
{
	struct http *h = arg;

	h->timer = timeout_ms < 0 ? DEADLINE_NEVER : deadline_in((uint64_t)timeout_ms);
	return 0;
}

enum err http_open(struct http *h, const struct vault_settings *settings, struct err_ctx *e)
{
	enum err err = curl_load(&h->curl, e);

	if (err)
		return err;
	h->settings = settings;
	h->timer = DEADLINE_NEVER;
	h->multi = h->curl->multi_init();
	if (!h->multi || h->curl->multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket) ||
	    h->curl->multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) ||
	    h->curl->multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer) ||
	    h->curl->multi_setopt(h->multi, CURLMOPT_TIMERDATA, h))
		return err_set(e, ERR_NO_MEMORY, "starting libcurl");
	return ERR_OK;
}

void http_close(struct http *h)
{
	if (h->multi)
		h->curl->multi_cleanup(TAKE(h->multi));
}

static void collect(struct http *h)
{
	CURLMsg *message;
	int left;

	while ((message = h->curl->multi_info_read(h->multi, &left))) {
		struct exchange *x = NULL;

		if (message->msg != CURLMSG_DONE || h->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x) ||
		    !x)
			continue;
		x->result = message->data.result;
		x->done = true;
		(void)h->curl->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->status);
		(void)h->curl->easy_getinfo(x->easy, CURLINFO_SSL_VERIFYRESULT, &x->verify_result);
	}
}

/* Descriptors come and go while libcurl is told of them. */
static void tell(struct http *h)
{
	struct pollfd fds[HTTP_FDS_MAX];
	unsigned n = h->n_fds;
	int running;

	memcpy(fds, h->fds, n * sizeof(*fds));
	for (unsigned i = 0; i < n; i++) {
		short r = fds[i].revents;
		int mask = (r & (POLLIN | POLLHUP) ? CURL_CSELECT_IN : 0) | (r & POLLOUT ? CURL_CSELECT_OUT : 0) |
			   (r & (POLLERR | POLLNVAL) ? CURL_CSELECT_ERR : 0);

		if (mask)
			(void)h->curl->multi_socket_action(h->multi, fds[i].fd, mask, &running);
	}
	if (deadline_left_ms(h->timer) == 0) {
		h->timer = DEADLINE_NEVER;
		(void)h->curl->multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

enum err http_step(struct http *h, struct deadline deadline, struct err_ctx *e)
{
	bool ready;
	enum err err = process_poll(h->fds, h->n_fds, deadline_min(deadline, h->timer), &ready, e);

	if (err)
		return err;
	process_signals_hold();
	tell(h);
	collect(h);
	process_signals_release();
	return ERR_OK;
}

/* ---- one exchange ---- */

static size_t on_body(char *bytes, size_t one __attribute__((unused)), size_t n, void *arg)
{
	struct exchange *x = arg;

	if (n > secret_size(x->body) - x->size)
		return 0;
	memcpy(secret_bytes(x->body) + x->size, bytes, n);
	x->size += n;
	return n;
}

/* The value of a header, if it is the one of that name, without blanks around it. */
static bool header_value(const char *line, size_t n, const char *name, char *ret, size_t size)
{
	size_t length = strlen(name);

	if (n <= length || strncasecmp(line, name, length) != 0 || line[length] != ':')
		return false;
	line += length + 1;
	n -= length + 1;
	while (n > 0 && *line == ' ') {
		line++;
		n--;
	}
	while (n > 0 && strchr(" \r\n", line[n - 1]))
		n--;
	if (n >= size)
		return false;
	memcpy(ret, line, n);
	ret[n] = '\0';
	return true;
}

/* Of a redirect only where to is of interest: the path stays ours. */
static void take_location(struct exchange *x, char *value)
{
	char *host = strstr(value, "://");

	if (host)
		host[3 + strcspn(host + 3, "/?#")] = '\0';
	if (host && strlen(value) < sizeof(x->location))
		strcpy(x->location, value);
}

static size_t on_header(char *line, size_t one __attribute__((unused)), size_t n, void *arg)
{
	struct exchange *x = arg;
	char value[2048];

	if (header_value(line, n, "Location", value, sizeof(value)))
		take_location(x, value);
	else if (header_value(line, n, "Retry-After", value, sizeof(value)))
		x->retry_after_s = strtol(value, NULL, 10);
	return n;
}

static void add_header(struct exchange *x, char *text)
{
	struct curl_slist *node = &x->headers[x->n_headers];

	node->data = text;
	if (x->n_headers++ > 0)
		node[-1].next = node;
}

printf_like(2, 3) static void add_text(struct exchange *x, const char *fmt, ...)
{
	char *text = x->texts[x->n_headers];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, HTTP_HEADER_SIZE, fmt, ap);
	va_end(ap);
	add_header(x, text);
}

static enum err add_token(struct exchange *x, const struct secret *token, struct err_ctx *e)
{
	static const char name[] = "X-Vault-Token: ";
	size_t n = sizeof(name) - 1, size = secret_size(token);
	enum err err = secret_new(n + size + 1, &x->token_header, e);

	if (err)
		return err;
	memcpy(secret_bytes(x->token_header), name, n);
	memcpy(secret_bytes(x->token_header) + n, secret_data(token), size);
	add_header(x, (char *)secret_bytes(x->token_header));
	return ERR_OK;
}

static enum err add_headers(struct exchange *x, const struct http_request *r, struct err_ctx *e)
{
	add_text(x, "X-Vault-Request: true");
	add_text(x, "X-Correlation-Id: %s", r->correlation);
	add_text(x, "Expect:");
	if (r->body)
		add_text(x, "Content-Type: application/json");
	if (r->namespace && *r->namespace)
		add_text(x, "X-Vault-Namespace: %s/", r->namespace);
	if (r->wrap_ttl)
		add_text(x, "X-Vault-Wrap-TTL: %s", r->wrap_ttl);
	return r->token ? add_token(x, r->token, e) : ERR_OK;
}

/*
 * The server's name belongs into SNI and is what the certificate is checked for: libcurl takes it from the URL, which
 * then names it, and connects to the address all the same.
 */
static enum err set_url(struct exchange *x, const struct http_request *r, struct err_ctx *e)
{
	const struct vault_settings *s = x->http->settings;
	const char *host = strstr(r->address, "://") + 3, *port = strrchr(r->address, ':');
	_cleanup_free_ char *url = NULL;
	enum err err;

	if (!*s->server_name)
		err = str_format(&url, e, "%s/v1/%s", r->address, r->path);
	else
		err = str_format(&url, e, "%.*s%s%s/v1/%s", (int)(host - r->address), r->address, s->server_name, port,
				 r->path);
	if (err)
		return err;
	if (*s->server_name)
		snprintf(x->connect_text, sizeof(x->connect_text), "::%s", host);
	if (x->http->curl->easy_setopt(x->easy, CURLOPT_URL, url))
		return err_set(e, ERR_NO_MEMORY, "room for a URL");
	return ERR_OK;
}

/* A mistake in an option would be a hole: each has to be taken. */
struct setting {
	CURLoption option;
	long number;
	const void *pointer;
};

static enum err apply(struct exchange *x, const struct setting *settings, size_t n, struct err_ctx *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct setting *s = &settings[i];
		CURLcode code = s->option < CURLOPTTYPE_OBJECTPOINT
					? x->http->curl->easy_setopt(x->easy, s->option, s->number)
					: x->http->curl->easy_setopt(x->easy, s->option, s->pointer);

		if (code)
			return err_set(e, code == CURLE_OUT_OF_MEMORY ? ERR_NO_MEMORY : ERR_BUG,
				       "libcurl's option %d: %s", (int)s->option, x->http->curl->easy_strerror(code));
	}
	return ERR_OK;
}

static enum err set_security(struct exchange *x, const struct http_request *r, struct err_ctx *e)
{
	const struct vault_settings *s = x->http->settings;
	const struct setting settings[] = {
		{ CURLOPT_PROTOCOLS_STR, 0, vault_address_is_plain(r->address) ? "http" : "https" },
		{ CURLOPT_PATH_AS_IS, 1, NULL },
		{ CURLOPT_FOLLOWLOCATION, 0, NULL },
		{ CURLOPT_PROXY, 0, "" },
		{ CURLOPT_NETRC, CURL_NETRC_IGNORED, NULL },
		{ CURLOPT_DISALLOW_USERNAME_IN_URL, 1, NULL },
		{ CURLOPT_NOSIGNAL, 1, NULL },
		{ CURLOPT_QUICK_EXIT, 1, NULL },
		{ CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2, NULL },
		{ CURLOPT_SSL_VERIFYPEER, 1, NULL },
		{ CURLOPT_SSL_VERIFYHOST, 2, NULL },
		{ CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_timeout_ms, NULL },
		{ CURLOPT_TIMEOUT_MS, (long)r->timeout_ms, NULL },
	};
	const struct setting files[] = {
		{ CURLOPT_CAINFO, 0, s->ca },
		{ CURLOPT_SSLCERT, 0, s->client_cert },
		{ CURLOPT_SSLKEY, 0, s->client_key },
	};
	enum err err = apply(x, settings, ARRAY_SIZE(settings), e);

	for (size_t i = 0; !err && i < ARRAY_SIZE(files); i++)
		if (*(const char *)files[i].pointer)
			err = apply(x, &files[i], 1, e);
	/* else libcurl adds the system's folder of authorities to that file; later ones do so for NULL, too */
	if (!err && *s->ca)
		err = apply(x, &(struct setting){ CURLOPT_CAPATH, 0, "/dev/null" }, 1, e);
	return err;
}

/* A GET with a body, or a POST without one, does not occur: an empty POST has "{}". */
static enum err set_exchange(struct exchange *x, const struct http_request *r, struct err_ctx *e)
{
	const struct setting settings[] = {
		{ CURLOPT_PRIVATE, 0, x },
		{ CURLOPT_WRITEDATA, 0, x },
		{ CURLOPT_HEADERDATA, 0, x },
		{ CURLOPT_ERRORBUFFER, 0, x->reason },
		{ CURLOPT_HTTPHEADER, 0, x->headers },
	};
	const struct setting body[] = {
		{ CURLOPT_POSTFIELDSIZE, r->body ? (long)secret_size(r->body) : 0, NULL },
		{ CURLOPT_POSTFIELDS, 0, r->body ? secret_data(r->body) : NULL },
	};
	const struct setting method = { CURLOPT_CUSTOMREQUEST, 0, r->method };
	enum err err = apply(x, settings, ARRAY_SIZE(settings), e);

	if (!err && r->body)
		err = apply(x, body, ARRAY_SIZE(body), e);
	if (!err && !str_equal(r->method, "GET"))
		err = apply(x, &method, 1, e);
	if (!err && (x->http->curl->easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_body) ||
		     x->http->curl->easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header)))
		err = err_set(e, ERR_BUG, "libcurl takes no functions");
	return err;
}

static enum err prepare(struct exchange *x, const struct http_request *r, struct err_ctx *e)
{
	enum err err = secret_new(r->body_max ? r->body_max : BODY_MAX, &x->body, e);

	if (!err)
		err = add_headers(x, r, e);
	if (!err)
		err = set_url(x, r, e);
	if (!err)
		err = set_security(x, r, e);
	x->connect_to.data = x->connect_text;
	if (!err && *x->connect_text)
		err = apply(x, &(struct setting){ CURLOPT_CONNECT_TO, 0, &x->connect_to }, 1, e);
	if (!err)
		err = set_exchange(x, r, e);
	return err;
}

static enum err start(struct exchange *x, const struct http_request *r, struct err_ctx *e)
{
	x->easy = x->http->curl->easy_init();
	if (!x->easy)
		return err_set(e, ERR_NO_MEMORY, "starting a request");
	enum err err = prepare(x, r, e);
	if (!err && x->http->curl->multi_add_handle(x->http->multi, x->easy))
		err = err_set(e, ERR_NO_MEMORY, "starting a request");
	return err;
}

enum err exchange_start(struct exchange *x, struct http *h, const struct http_request *r, struct err_ctx *e)
{
	*x = (struct exchange){ .http = h, .address = r->address };
	process_signals_hold();
	enum err err = start(x, r, e);
	process_signals_release();
	if (err)
		exchange_end(x);
	return err;
}

void exchange_end(struct exchange *x)
{
	process_signals_hold();
	if (x->easy) {
		(void)x->http->curl->multi_remove_handle(x->http->multi, x->easy);
		x->http->curl->easy_cleanup(TAKE(x->easy));
	}
	process_signals_release();
	secret_free(TAKE(x->body));
	secret_free(TAKE(x->token_header));
}

/* ---- what came of it ---- */

static bool clock_is_synchronised(void)
{
	struct timex t = { 0 };

	return adjtimex(&t) != TIME_ERROR && !(t.status & STA_UNSYNC);
}

/* A machine whose clock stopped boots in 1970, where no certificate is valid yet: that passes. */
static enum err certificate_error(const struct exchange *x, struct err_ctx *e)
{
	bool by_date =
		x->verify_result == X509_V_ERR_CERT_NOT_YET_VALID || x->verify_result == X509_V_ERR_CERT_HAS_EXPIRED;

	return err_set(e, by_date && !clock_is_synchronised() ? ERR_VAULT_CLOCK : ERR_VAULT_TLS, "%s: %s", x->address,
		       x->reason);
}

enum err exchange_error(const struct exchange *x, struct err_ctx *e)
{
	switch (x->result) {
	case CURLE_OK:
		return ERR_OK;
	case CURLE_OUT_OF_MEMORY:
		return err_set(e, ERR_NO_MEMORY, "%s", x->address);
	case CURLE_PEER_FAILED_VERIFICATION:
		return certificate_error(x, e);
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return err_set(e, ERR_VAULT_TLS, "%s: %s", x->address, x->reason);
	case CURLE_WRITE_ERROR:
		return err_set(e, ERR_VAULT_ANSWER, "%s: more than %zu bytes", x->address, secret_size(x->body));
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, and whatever else begins without a status */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_PARTIAL_FILE:
		return err_set(e, ERR_VAULT_ANSWER, "%s: %s", x->address, x->http->curl->easy_strerror(x->result));
	default:
		return err_set(e, ERR_VAULT_DOWN, "%s: %s", x->address,
			       *x->reason ? x->reason : x->http->curl->easy_strerror(x->result));
	}
}
