/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into zseal: the machine's clock is off, as after its battery has died.
 *
 *   ZSEAL_CLOCK=SECONDS:set     by so many seconds, and the kernel says that it was set by something
 *   ZSEAL_CLOCK=SECONDS:unset   the same, and nothing has set it since the machine booted
 *
 * Refuses: what asks the kernel by other calls than time(), which is what OpenSSL looks at a certificate's dates with.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

static long off_by;
static int is_unset;

/* Before zseal clears its environment. */
__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("ZSEAL_CLOCK");
	char *rest = NULL;

	if (text)
		off_by = strtol(text, &rest, 10);
	is_unset = rest && strcmp(rest, ":unset") == 0;
}

EXPORT time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec + off_by;
	return now.tv_sec + off_by;
}

EXPORT int adjtimex(struct timex *t)
{
	memset(t, 0, sizeof(*t));
	t->status = is_unset ? STA_UNSYNC : 0;
	return is_unset ? TIME_ERROR : TIME_OK;
}
