/* SPDX-License-Identifier: MIT */
/* The protector's part of a passphrase slot. Pure, like header.h. */
#pragma once

#include "format/header.h"

struct slot_passphrase {
	struct stretch stretch;
};

/* protect object <-> struct; errors as in header.h. */
must_check enum err slot_passphrase_parse(const char *protect, struct slot_passphrase *ret, struct err_ctx *e);
must_check enum err slot_passphrase_print(const struct slot_passphrase *s, char **ret, struct err_ctx *e);
