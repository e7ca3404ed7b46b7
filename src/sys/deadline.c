/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "sys/deadline.h"

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct deadline deadline_in(uint64_t timeout_ms)
{
	struct deadline d;

	if (__builtin_add_overflow(now_ms(), timeout_ms, &d.at_ms))
		return DEADLINE_NEVER;
	return d;
}

struct deadline deadline_min(struct deadline a, struct deadline b)
{
	return a.at_ms < b.at_ms ? a : b;
}

int deadline_left_ms(struct deadline d)
{
	uint64_t now = now_ms();

	if (d.at_ms <= now)
		return 0;
	return d.at_ms - now < INT32_MAX ? (int)(d.at_ms - now) : INT32_MAX;
}
