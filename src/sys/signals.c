/* SPDX-License-Identifier: MIT */
/*
 * Signals as a flag. The one place where zseal sleeps is process_poll(), which looks at the flag with the signals
 * blocked and lets ppoll() unblock them: a signal between looking and sleeping is not missed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "sys/process.h"

/* SIGQUIT too: a ^\ at a prompt would leave the terminal without echo. */
static const int signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };

static volatile sig_atomic_t caught; /* the first that came, or 0 */
static unsigned held;                /* how many holds are in scope */

static void remember_signal(int signal)
{
	if (!caught)
		caught = signal;
}

static sigset_t caught_set(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	return set;
}

/* What our parent ignores stays ignored: nohup, and a shell's background jobs. */
static int catch_signal(int signal)
{
	struct sigaction action = { .sa_handler = remember_signal }, before;

	if (sigaction(signal, NULL, &before) < 0)
		return -1;
	return before.sa_handler == SIG_IGN ? 0 : sigaction(signal, &action, NULL);
}

enum err process_catch_signals(struct err_ctx *e)
{
	sigset_t set = caught_set();

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (catch_signal(signals[i]) < 0)
			return err_set_errno(e, ERR_IO, errno, "catching SIG%s", sigabbrev_np(signals[i]));
	if (sigprocmask(SIG_UNBLOCK, &set, NULL) < 0)
		return err_set_errno(e, ERR_IO, errno, "unblocking signals");
	return ERR_OK;
}

enum err process_interrupted(struct err_ctx *e)
{
	if (!caught || held)
		return ERR_OK;
	return err_set(e, ERR_INTERRUPTED, "SIG%s", sigabbrev_np(caught));
}

void process_signals_hold(void)
{
	sigset_t set = caught_set();

	if (held++ == 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
}

void process_signals_release(void)
{
	sigset_t set = caught_set();

	if (--held == 0)
		sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int poll_once(struct pollfd *fds, nfds_t n, struct deadline deadline, const sigset_t *mask)
{
	int left_ms = deadline_left_ms(deadline);
	struct timespec left = { .tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000L };

	return ppoll(fds, n, &left, mask);
}

enum err process_poll(struct pollfd *fds, nfds_t n, struct deadline deadline, bool *ret_ready, struct err_ctx *e)
{
	sigset_t set = caught_set(), mask;
	int ready = -1;
	enum err r;

	sigprocmask(SIG_BLOCK, &set, &mask);
	do {
		r = process_interrupted(e);
		if (!r)
			ready = poll_once(fds, n, deadline, &mask);
		if (!r && ready < 0 && errno != EINTR)
			r = err_set_errno(e, ERR_IO, errno, "waiting");
	} while (!r && (ready < 0 || (ready == 0 && deadline_left_ms(deadline) > 0)));
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (!r)
		*ret_ready = ready > 0;
	return r;
}
