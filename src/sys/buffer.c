/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "sys/buffer.h"

int buffer_append(struct buffer *b, const void *bytes, size_t n)
{
	size_t needed = b->size + n + 1;

	if (needed > b->room) {
		size_t room = needed > 2 * b->room ? needed : 2 * b->room;
		char *text = realloc(b->text, room);

		if (!text)
			return -1;
		b->text = text;
		b->room = room;
	}
	memcpy(b->text + b->size, bytes, n);
	b->size += n;
	b->text[b->size] = '\0';
	return 0;
}

void buffer_clear(struct buffer *b)
{
	free(b->text);
	*b = (struct buffer){ 0 };
}
