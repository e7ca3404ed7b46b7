/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/secret.h"

enum {
	SECRET_SIZE_MAX = 64 << 10,
	KEPT_MAX = 2,
	STACK_WIPED = 48 << 10, /* bytes; libzfs_core's deepest call takes 20 KiB */
};

/*
 * In memory: guard page, pages with this struct at their start and the bytes at their very end, guard page. So that a
 * read or write past the last byte faults at once.
 */
struct secret {
	size_t size;
	size_t mapped; /* length of the whole mapping, guards included */
	uint8_t *bytes;
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * Mappings of freed secrets, wiped, with no access to their pages: opening a root takes two secrets for a moment, and
 * six system calls to make and end each. All have one page between their guards.
 */
static _Atomic(uint8_t *) kept[KEPT_MAX];

static uint8_t *take_kept(void)
{
	uint8_t *base = NULL;

	for (size_t i = 0; !base && i < KEPT_MAX; i++)
		base = atomic_exchange(&kept[i], NULL);
	return base;
}

/* Locked and left out of dumps as ever; what is read or written from now on faults. */
static bool keep(uint8_t *base, size_t inner)
{
	bool done = inner == page_size() && mprotect(base + page_size(), inner, PROT_NONE) == 0;

	for (size_t i = 0; done && i < KEPT_MAX; i++) {
		uint8_t *none = NULL;

		if (atomic_compare_exchange_strong(&kept[i], &none, base))
			return true;
	}
	return false;
}

/* Locking can fail in a container with a small RLIMIT_MEMLOCK; then the secret may be swapped, but nothing else breaks. */
static void protect_pages(uint8_t *pages, size_t inner)
{
	(void)mlock(pages, inner);
	(void)madvise(pages, inner, MADV_DONTDUMP);
	(void)madvise(pages, inner, MADV_WIPEONFORK);
}

/* Pages of zeros between two guards, or NULL with errno. */
static uint8_t *map_pages(size_t inner)
{
	size_t page = page_size(), mapped = inner + 2 * page;
	uint8_t *base = inner == page ? take_kept() : NULL;
	bool is_new = !base;

	if (is_new)
		base = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	if (mprotect(base + page, inner, PROT_READ | PROT_WRITE) < 0) {
		int saved = errno;

		munmap(base, mapped);
		errno = saved;
		return NULL;
	}
	if (is_new)
		protect_pages(base + page, inner);
	return base;
}

enum err secret_new(size_t size, struct secret **ret, struct err_ctx *e)
{
	size_t page = page_size();
	size_t inner = (sizeof(struct secret) + size + page - 1) / page * page;

	if (size == 0 || size > SECRET_SIZE_MAX)
		return err_set(e, ERR_BUG, "a secret of %zu bytes", size);
	uint8_t *base = map_pages(inner);
	if (!base)
		return err_set_errno(e, ERR_NO_MEMORY, errno, "room for a secret of %zu bytes", size);
	struct secret *s = (struct secret *)(base + page);
	*s = (struct secret){ .size = size, .mapped = inner + 2 * page, .bytes = base + page + inner - size };
	*ret = s;
	return ERR_OK;
}

static int fill_random(uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno != EINTR)
			return -1;
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
	return 0;
}

enum err secret_new_random(size_t size, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *s = NULL;
	enum err r = secret_new(size, &s, e);

	if (r)
		return r;
	if (fill_random(s->bytes, size) < 0)
		return err_set_errno(e, ERR_IO, errno, "reading the kernel's random numbers");
	*ret = TAKE(s);
	return ERR_OK;
}

enum err secret_new_copy(const void *bytes, size_t size, struct secret **ret, struct err_ctx *e)
{
	struct secret *s = NULL;
	enum err r = secret_new(size, &s, e);

	if (r)
		return r;
	memcpy(s->bytes, bytes, size);
	*ret = s;
	return ERR_OK;
}

enum err secret_new_joined(const struct secret *a, const struct secret *b, struct secret **ret, struct err_ctx *e)
{
	enum err r = secret_new(a->size + b->size, ret, e);

	if (r)
		return r;
	memcpy((*ret)->bytes, a->bytes, a->size);
	memcpy((*ret)->bytes + a->size, b->bytes, b->size);
	return ERR_OK;
}

/*
 * What was called with a secret left parts of it in frames below ours: its own, and vector registers that the loader
 * saved there when a library's function was called for the first time.
 */
__attribute__((noinline)) static void wipe_stack_below(void)
{
	uint8_t below[STACK_WIPED];

	explicit_bzero(below, sizeof(below));
}

void secret_free(struct secret *s)
{
	/* in a forked child all of it reads as zero: there is nothing to wipe, and the mapping goes with the process */
	if (!s || s->mapped == 0)
		return;
	wipe_stack_below();
	size_t page = page_size(), mapped = s->mapped;
	uint8_t *base = (uint8_t *)s - page;

	explicit_bzero(base + page, mapped - 2 * page);
	if (!keep(base, mapped - 2 * page))
		munmap(base, mapped);
}

uint8_t *secret_bytes(struct secret *s)
{
	return s->bytes;
}

const uint8_t *secret_data(const struct secret *s)
{
	return s->bytes;
}

size_t secret_size(const struct secret *s)
{
	return s->size;
}

/* Keeps the last byte before the guard page: the bytes move up. */
void secret_shrink(struct secret *s, size_t size)
{
	if (size >= s->size)
		return;
	size_t cut = s->size - size;

	memmove(s->bytes + cut, s->bytes, size);
	explicit_bzero(s->bytes, cut);
	s->bytes += cut;
	s->size = size;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	uint8_t diff = 0;

	if (a->size != b->size)
		return false;
	for (size_t i = 0; i < a->size; i++)
		diff |= a->bytes[i] ^ b->bytes[i];
	return diff == 0;
}
