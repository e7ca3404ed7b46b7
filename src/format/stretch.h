/* SPDX-License-Identifier: MIT */
/*
 * {"salt", "log_n", "r", "p"}: how a passphrase or PIN is stretched, as an object within a slot's `protect`. Only
 * src/format/ includes this file; what the numbers mean is in crypto/crypto.h.
 */
#pragma once

#include "format/codec.h"

extern const struct object stretch_object; /* of a struct stretch */
