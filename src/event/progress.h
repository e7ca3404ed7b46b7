/* SPDX-License-Identifier: MIT */
/* How far a long piece of work has got, for a person who waits. Whoever works tells it; only cli/ shows it. */
#pragma once

#include <stddef.h>

/*
 * what is being done, as "unlocking"; done of so many, or of 0 where nothing is counted. To be told before the work that
 * may take long. Costs nothing where nobody listens.
 */
void progress_tell(const char *what, size_t done, size_t of);

/* The one who shows it; nobody at first. */
void progress_listen(void (*listener)(const char *what, size_t done, size_t of));
