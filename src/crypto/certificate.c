/* SPDX-License-Identifier: MIT */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"

DEFINE_CLEANUP(BIO *, BIO_free_all)
DEFINE_CLEANUP(X509 *, X509_free)

static bool seconds_of(const ASN1_TIME *when, uint64_t *ret)
{
	struct tm tm = { 0 };

	if (!ASN1_TIME_to_tm(when, &tm))
		return false;
	time_t seconds = timegm(&tm);
	*ret = (uint64_t)seconds;
	return seconds >= 0;
}

static char *print(X509 *x)
{
	_cleanup_(BIO_free_allp) BIO *out = BIO_new(BIO_s_mem());
	char *text;

	if (!out || !PEM_write_bio_X509(out, x))
		return NULL;
	long size = BIO_get_mem_data(out, &text);
	return size > 0 ? strndup(text, (size_t)size) : NULL;
}

/* The empty password is there so that OpenSSL never asks a person for one. */
bool certificate_parse(const char *text, struct certificate *ret)
{
	crypto_ignore_configuration();
	_cleanup_(BIO_free_allp) BIO *in = BIO_new_mem_buf(text, -1);
	_cleanup_(X509_freep) X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, (void *)"") : NULL;
	struct certificate c = { 0 };

	if (!x || !seconds_of(X509_get0_notBefore(x), &c.begins) || !seconds_of(X509_get0_notAfter(x), &c.ends))
		return false;
	c.signs = X509_check_ca(x) != 0;
	c.pem = print(x);
	if (!c.pem)
		return false;
	*ret = c;
	return true;
}

void certificate_clear(struct certificate *c)
{
	free(c->pem);
	*c = (struct certificate){ 0 };
}
