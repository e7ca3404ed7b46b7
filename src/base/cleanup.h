/* SPDX-License-Identifier: MIT */
/*
 * Scope-bound cleanup, as systemd and tang do it: what a function owns is released on every way out.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)  __attribute__((cleanup(f)))
#define must_check    __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Hands ownership over: the value goes out, NULL stays behind. */
#define TAKE(p)                            \
	({                                 \
		__auto_type _taken = (p);  \
		(p) = NULL;                \
		_taken;                    \
	})

/* Same for file descriptors, where "nothing" is -1. */
#define TAKE_FD(fd)                        \
	({                                 \
		int _taken = (fd);         \
		(fd) = -1;                 \
		_taken;                    \
	})

/* Defines NAMEp() for _cleanup_(): calls NAME() on the variable, which must take NULL. */
#define DEFINE_CLEANUP(type, name)                \
	static inline void name##p(type *p)       \
	{                                         \
		name(*p);                         \
	}

/* For any pointer from malloc(). */
static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void file_close(FILE *f)
{
	if (f)
		fclose(f);
}
DEFINE_CLEANUP(FILE *, file_close)

static inline void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
DEFINE_CLEANUP(int, fd_close)

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_file_ _cleanup_(file_closep)
#define _cleanup_fd_   _cleanup_(fd_closep)
