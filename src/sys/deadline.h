/* SPDX-License-Identifier: MIT */
/* A point on the monotonic clock by which something must be over. Every wait in zseal takes one. */
#pragma once

#include <stdint.h>

struct deadline {
	uint64_t at_ms; /* CLOCK_BOOTTIME, so that a suspended machine does not stretch it */
};

/* For the two waits that have no bound: a person who types, and a child that changes a pool. */
#define DEADLINE_NEVER ((struct deadline){ UINT64_MAX })

/* The point timeout_ms from now; and the earlier of two. */
struct deadline deadline_in(uint64_t timeout_ms);
struct deadline deadline_min(struct deadline a, struct deadline b);

/* Milliseconds left, 0 when it has passed; never more than INT32_MAX, for poll(). */
int deadline_left_ms(struct deadline d);
