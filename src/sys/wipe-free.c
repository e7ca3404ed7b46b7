/* SPDX-License-Identifier: MIT */
/*
 * Wipes every block of memory as it is freed, in the whole program: jansson, tss2, OpenSSL, libcurl and the C library
 * keep copies of what passes through them, and free them as they are. Linked into an executable, these definitions come
 * before those of libc for all of its libraries; malloc() and calloc() stay libc's.
 *
 * Guarantees: no byte of a block survives its free() or realloc(), whether the block moves, shrinks or goes. Costs: a
 * block is written once more, and realloc() copies where libc would have stretched.
 * Spec: "Replacing malloc" in the C library's manual; __libc_free() is part of its ABI since 2.2.5.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

extern void __libc_free(void *block);

/* errno stays as it was: neither of the calls here changes it. */
void free(void *block)
{
	if (!block)
		return;
	explicit_bzero(block, malloc_usable_size(block));
	__libc_free(block);
}

static void *move_block(void *block, size_t room, size_t size)
{
	void *moved = malloc(size);

	if (!moved)
		return NULL;
	memcpy(moved, block, room < size ? room : size);
	free(block);
	return moved;
}

void *realloc(void *block, size_t size)
{
	if (!block)
		return malloc(size);
	if (size == 0) {
		free(block);
		return NULL;
	}
	size_t room = malloc_usable_size(block);
	if (size > room || size < room / 2)
		return move_block(block, room, size);
	explicit_bzero((char *)block + size, room - size);
	return block;
}

void *reallocarray(void *block, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(block, bytes);
}
