/* SPDX-License-Identifier: MIT */
/* A zseal.conf. What is accepted is within its bounds, and nothing is left from a file that is refused. */
#include <string.h>

#include "core/config.h"
#include "fuzz.h"

static void check(const struct config *c)
{
	must(c->n_order <= SLOTS_MAX && c->n_trusted <= TRUSTED_MAX);
	must(c->slot_timeout_ms >= 1000 && c->slot_timeout_ms <= 3600 * 1000);
	must(memchr(c->tcti, '\0', sizeof(c->tcti)) && c->tcti[0]);
	for (unsigned i = 0; i < c->n_order; i++)
		must(name_is_valid(c->order[i].name) && c->order[i].timeout_ms <= 3600000);
	for (unsigned i = 0; i < c->n_trusted; i++)
		must(fingerprint_text_is_valid(c->trusted[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config untouched = { .n_order = 77 };
	struct config c = untouched;
	struct err_ctx e = { 0 };
	_cleanup_free_ char *text = strndup((const char *)data, size);
	must(text);
	enum err err = config_parse(text, "zseal.conf", &c, &e);

	must(err == ERR_OK || err == ERR_CONFIG);
	must(err == e.code);
	if (err)
		must(memcmp(&c, &untouched, sizeof(c)) == 0);
	else
		check(&c);
	return 0;
}
