/* SPDX-License-Identifier: MIT */
#include "format/slot-passphrase.h"
#include "format/stretch.h"

static const struct member passphrase_members[] = {
	{ "stretch", &kind_object, FIELD(struct slot_passphrase, stretch), .of = &stretch_object },
};
static const struct object passphrase_object = {
	MEMBERS(passphrase_members),
	.size = sizeof(struct slot_passphrase),
};
static const struct document passphrase_document = { .object = &passphrase_object, .max = PROPERTY_VALUE_MAX };

enum err slot_passphrase_parse(const char *protect, struct slot_passphrase *ret, struct err_ctx *e)
{
	return codec_parse(&passphrase_document, protect, ret, e);
}

enum err slot_passphrase_print(const struct slot_passphrase *s, char **ret, struct err_ctx *e)
{
	return codec_print(&passphrase_document, s, ret, e);
}
