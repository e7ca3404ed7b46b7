/* SPDX-License-Identifier: MIT */
/*
 * libcurl, loaded when a vault slot is opened and not before: private to vault/.
 *
 * A process that opens TPM slots alone neither loads libcurl nor needs it to be installed. It is loaded by its own name
 * with dlopen(), into a table of typed pointers, as systemd does with the libraries that it can do without; a module of
 * our own around it would need our symbols exported, and would save nothing.
 */
#pragma once

#include <curl/curl.h>

#include "base/error.h"

#define CURL_FUNCTIONS(X)                                                                                              \
	X(global_init)                                                                                                 \
	X(easy_init)                                                                                                   \
	X(easy_setopt)                                                                                                 \
	X(easy_getinfo)                                                                                                \
	X(easy_strerror)                                                                                               \
	X(easy_cleanup)                                                                                                \
	X(multi_init)                                                                                                  \
	X(multi_setopt)                                                                                                \
	X(multi_add_handle)                                                                                            \
	X(multi_remove_handle)                                                                                         \
	X(multi_socket_action)                                                                                         \
	X(multi_info_read)                                                                                             \
	X(multi_cleanup)

struct curl_api {
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
};

/* Errors: ERR_VAULT_LIBRARY. The library stays loaded. */
must_check enum err curl_load(const struct curl_api **ret, struct err_ctx *e);
