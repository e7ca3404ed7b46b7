/* SPDX-License-Identifier: MIT */
#include "event/progress.h"

static void (*listening)(const char *what, size_t done, size_t of);

void progress_listen(void (*listener)(const char *what, size_t done, size_t of))
{
	listening = listener;
}

void progress_tell(const char *what, size_t done, size_t of)
{
	if (listening)
		listening(what, done, of);
}
