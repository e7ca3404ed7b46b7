/* SPDX-License-Identifier: MIT */
/* Text that grows by doubling; private to sys/. All zero is an empty one; never used on keys. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

struct buffer {
	char *text; /* NUL-terminated once anything, even nothing, was appended */
	size_t size;
	size_t room;
};

/* 0, or -1 without memory; then nothing has changed. */
must_check int buffer_append(struct buffer *b, const void *bytes, size_t n);
void buffer_clear(struct buffer *b);
