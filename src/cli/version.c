/* SPDX-License-Identifier: MIT */
/* zseal version: what runs here, for a report. */
#include <openssl/crypto.h>

#include "cli/output.h"
#include "cli/verb.h"
#include "format/header.h"

static enum err run(const struct invocation *inv, struct err_ctx *e)
{
	if (inv->json)
		return output_json(json_pack("{s:s, s:i, s:s, s:s}", "zseal", ZSEAL_VERSION, "format", HEADER_VERSION,
					     "openssl", OpenSSL_version(OPENSSL_VERSION_STRING), "jansson",
					     jansson_version_str()), e);
	printf("zseal %s (header format %d, OpenSSL %s, jansson %s)\n", ZSEAL_VERSION, HEADER_VERSION,
	       OpenSSL_version(OPENSSL_VERSION_STRING), jansson_version_str());
	return ERR_OK;
}

const struct verb verb_version = {
	.name = "version",
	.arguments = "",
	.summary = "Print zseal's version and that of its header format",
	.lists = true,
	.run = run,
};
