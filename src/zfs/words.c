/* SPDX-License-Identifier: MIT */
#include "zfs/internal.h"

void words_add(struct words *w, const char *fmt, ...)
{
	char **more = w->failed ? NULL : reallocarray(w->all, w->n + 2, sizeof(*more));
	va_list ap;

	w->failed = !more;
	if (w->failed)
		return;
	w->all = more;
	va_start(ap, fmt);
	if (vasprintf(&more[w->n], fmt, ap) < 0)
		w->failed = true;
	else
		more[++w->n] = NULL;
	va_end(ap);
}

void words_add_list(struct words *w, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		words_add(w, "%s", list[i]);
}

enum err words_run(const struct words *w, const struct child *how, struct child_result *ret, struct err_ctx *e)
{
	struct child child = *how;

	if (w->failed)
		return err_set(e, ERR_NO_MEMORY, "room for a command line");
	child.argv = (const char *const *)w->all;
	return process_run(&child, ret, e);
}

void words_clear(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->all[i]);
	free(w->all);
	*w = (struct words){ 0 };
}
