/* SPDX-License-Identifier: MIT */
/*
 * What zseal and a person say to each other about a recovery key. It is shown once, on the terminal or to a descriptor,
 * never on standard output; and typed without echo.
 */
#pragma once

#include "base/secret.h"

/*
 * Shows a new key on the terminal and has two of its groups typed back, three tries each; with fd >= 0 it is written
 * there instead, and counts as not confirmed.
 * Errors: ERR_RECOVERY_TYPO, ERR_NO_INPUT, ERR_INTERRUPTED, ERR_OUTPUT, ERR_NO_MEMORY.
 */
must_check enum err recovery_hand_over(const struct secret *key, int fd, bool *ret_confirmed, struct err_ctx *e);

/*
 * Asks for a key on the terminal, with another try after a mistyped group; with fd >= 0 it is read there instead.
 * Errors: ERR_RECOVERY_TYPO, which group; ERR_NO_INPUT, ERR_INTERRUPTED, ERR_NO_MEMORY.
 */
must_check enum err recovery_ask(int fd, struct secret **ret, struct err_ctx *e);
