/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "vault/curl.h"

#define CURL_LIBRARY "libcurl.so.4"

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define X(name) { "curl_" #name, offsetof(struct curl_api, name) },
	CURL_FUNCTIONS(X)
#undef X
};

/* dlerror() names paths and symbols only. */
static enum err load(struct curl_api *api, struct err_ctx *e)
{
	void *library = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return err_set(e, ERR_VAULT_LIBRARY, "%s", dlerror());
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function)
			return err_set(e, ERR_VAULT_LIBRARY, "%s", dlerror());
		memcpy((char *)api + functions[i].offset, &function, sizeof(function));
	}
	if (api->global_init(CURL_GLOBAL_DEFAULT))
		return err_set(e, ERR_VAULT_LIBRARY, "%s does not start", CURL_LIBRARY);
	return ERR_OK;
}

enum err curl_load(const struct curl_api **ret, struct err_ctx *e)
{
	static struct curl_api api;
	static bool loaded;
	enum err err = loaded ? ERR_OK : load(&api, e);

	if (err)
		return err;
	loaded = true;
	*ret = &api;
	return ERR_OK;
}
