/* SPDX-License-Identifier: MIT */
/*
 * What a certificate says of itself, before it is shown to anybody. Pure. Refuses: to judge it; whoever it is shown to
 * does that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct certificate {
	uint64_t begins, ends; /* seconds since 1970 */
	bool signs;            /* it is an authority's: it signs others */
	char *pem;             /* as OpenSSL writes it */
};

/*
 * The first certificate of a text in PEM. False if there is none that could be one. Owns: the caller clears *ret.
 */
must_check bool certificate_parse(const char *text, struct certificate *ret);
void certificate_clear(struct certificate *c);
DEFINE_CLEANUP(struct certificate *, certificate_clear)
