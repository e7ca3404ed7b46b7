/* SPDX-License-Identifier: MIT */
/*
 * What a person can remember, made as expensive to guess as this machine allows. What a slot asks for was written by
 * whoever could write the pool's properties: it is bounded before any of the work is done.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/primitives.h"

enum {
	WORK_LOG_MAX = 20,  /* of p * N: 1 GiB and some four seconds */
	NEW_LOG_N_MIN = 14, /* 16 MiB and a twentieth of a second: less is not made, however small the machine */
	MEMORY_SHARE = 8,   /* a new slot takes an eighth of this machine's memory */
	MEMORY_LIMIT = 2,   /* a slot that was made elsewhere up to a half */
	MIB_SHIFT = 20,
};

static uint64_t memory_there_is(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

/* Spec: RFC 7914, section 5: V has 128 * r * N bytes. */
static uint64_t memory_needed(uint32_t log_n)
{
	return (UINT64_C(128) * STRETCH_R) << log_n;
}

enum err stretch_check(const struct stretch *s, uint64_t memory, struct err_ctx *e)
{
	if (s->r != STRETCH_R || s->p < 1 || s->p > STRETCH_P_MAX || s->log_n < STRETCH_LOG_N_MIN ||
	    s->log_n > STRETCH_LOG_N_MAX || (uint64_t)s->p << s->log_n > UINT64_C(1) << WORK_LOG_MAX)
		return err_set(e, ERR_STRETCH_COST, "scrypt with N = 2^%u, r = %u, p = %u", s->log_n, s->r, s->p);
	if (memory_needed(s->log_n) > memory / MEMORY_LIMIT)
		return err_set(e, ERR_STRETCH_COST, "scrypt with N = 2^%u takes %ju MiB, of %ju MiB that there are",
			       s->log_n, (uintmax_t)memory_needed(s->log_n) >> MIB_SHIFT,
			       (uintmax_t)memory >> MIB_SHIFT);
	return ERR_OK;
}

uint32_t stretch_choose(uint64_t least_us, const struct stretch_budget *budget, uint64_t memory)
{
	uint64_t memory_max = budget->memory_mib << MIB_SHIFT, time_max_us = budget->time_ms * 1000;
	uint32_t log_n = NEW_LOG_N_MIN;

	if (memory_max > memory / MEMORY_SHARE)
		memory_max = memory / MEMORY_SHARE;
	while (log_n < STRETCH_LOG_N_MAX && memory_needed(log_n + 1) <= memory_max &&
	       least_us << (log_n + 1 - NEW_LOG_N_MIN) <= time_max_us)
		log_n++;
	return log_n;
}

/* Of this thread's own time, so that a busy machine does not make weak slots. */
static uint64_t cpu_time_us(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* How long the cheapest takes that would be made: it grows with N. */
static enum err measure(const struct secret *from, struct stretch least, uint64_t *ret_us, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *nothing = NULL;
	uint64_t before_us = cpu_time_us();
	enum err err = scrypt(from, SPAN(least.salt, sizeof(least.salt)), &least, &nothing, e);

	if (!err)
		*ret_us = cpu_time_us() - before_us;
	return err;
}

enum err crypto_stretch_new(const struct stretch_budget *budget, struct stretch *ret, struct err_ctx *e)
{
	struct stretch s = { .log_n = NEW_LOG_N_MIN, .r = STRETCH_R, .p = 1 };
	_cleanup_secret_ struct secret *salt = NULL;
	uint64_t least_us;
	enum err err = secret_new_random(sizeof(s.salt), &salt, e);

	if (!err)
		err = measure(salt, s, &least_us, e);
	if (err)
		return err;
	memcpy(s.salt, secret_data(salt), sizeof(s.salt));
	s.log_n = stretch_choose(least_us, budget, memory_there_is());
	*ret = s;
	return ERR_OK;
}

enum err crypto_stretch_check(const struct stretch *s, struct err_ctx *e)
{
	return stretch_check(s, memory_there_is(), e);
}

enum err crypto_stretch(const struct secret *typed, const struct stretch *s, struct secret **ret, struct err_ctx *e)
{
	enum err err = crypto_stretch_check(s, e);

	return err ? err : scrypt(typed, SPAN(s->salt, sizeof(s->salt)), s, ret, e);
}
