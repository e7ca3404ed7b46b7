/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>

#include "vault/settings.h"

const struct vault_settings vault_settings_default = {
	.approle_mount = "approle",
	.cert_mount = "cert",
	.transit_mount = "transit",
	.cluster = "default",
	.role_id = "zseal-vault-role-id",
	.secret_id = "zseal-vault-secret-id",
	.connect_timeout_ms = 3000,
	.request_timeout_ms = 10000,
	.timeout_ms = 20000,
};

static bool is_host_letter(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-';
}

/* The length of a host at p, an IPv6 address in brackets included; 0 if there is none. */
static size_t host_length(const char *p)
{
	size_t n = 0;

	if (*p == '[') {
		n = 1 + strspn(p + 1, "0123456789abcdefABCDEF:.");
		return p[n] == ']' && n > 2 ? n + 1 : 0;
	}
	while (is_host_letter(p[n]))
		n++;
	return n <= 253 && *p != '-' && *p != '.' ? n : 0;
}

/* ":8200" or nothing, which is the scheme's own; 0 for anything else. */
static unsigned long port_of(const char *p, unsigned long standard)
{
	char *end;

	if (!*p || str_equal(p, "/"))
		return standard;
	if (*p != ':' || !isdigit((unsigned char)p[1]))
		return 0;
	unsigned long port = strtoul(p + 1, &end, 10);
	return (!*end || str_equal(end, "/")) && port <= 65535 ? port : 0;
}

bool vault_address_normalise(const char *text, char ret[static VAULT_ADDRESS_SIZE])
{
	bool tls = strncasecmp(text, "https://", 8) == 0, plain = strncasecmp(text, "http://", 7) == 0;
	const char *host = text + (tls ? 8 : 7);
	size_t length = tls || plain ? host_length(host) : 0;
	unsigned long port = length ? port_of(host + length, tls ? 443 : 80) : 0;

	if (!port)
		return false;
	int n = snprintf(ret, VAULT_ADDRESS_SIZE, "%s://%.*s:%lu", tls ? "https" : "http", (int)length, host, port);
	for (char *p = ret; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return n > 0 && n < VAULT_ADDRESS_SIZE;
}

bool vault_address_is_plain(const char *address)
{
	return strncmp(address, "http://", 7) == 0;
}

bool vault_host_is_valid(const char *text, size_t size)
{
	size_t n = *text == '[' ? 0 : host_length(text);

	return n > 0 && n < size && !text[n];
}

/* Segments of at least one character, with single slashes between them. */
static bool is_path(const char *text, size_t size, size_t (*length)(const char *))
{
	const char *p = text;

	for (;;) {
		size_t n = length(p);

		if (!n || (p[n] && p[n] != '/'))
			return false;
		p += n;
		if (!*p)
			return (size_t)(p - text) < size;
		p++;
	}
}

bool vault_path_is_valid(const char *text, size_t size)
{
	return is_path(text, size, vault_word_length);
}

/* What a URL has as it is (RFC 3986, unreserved); 0 for "." and "..". */
static size_t site_name_length(const char *text)
{
	size_t n = 0, dots = strspn(text, ".");

	while (isalnum((unsigned char)text[n]) || (text[n] && strchr("-._~", text[n])))
		n++;
	return n == dots && n < 3 ? 0 : n;
}

bool vault_site_path_is_valid(const char *text, size_t size)
{
	return is_path(text, size, site_name_length);
}
