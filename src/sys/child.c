/* SPDX-License-Identifier: MIT */
/*
 * Runs a program to its end and collects what it says.
 *
 * One poll waits for its output, its complaints, its end (a pidfd), the deadline and our own signals, so that nothing
 * can block anything else. Its input needs no poll: a secret fits into an empty pipe and is there before the program
 * is. What the program left running (a daemon that holds the pipes) is not waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "sys/buffer.h"
#include "sys/process.h"
#include "sys/spawn.h"

enum {
	OUTPUT_MAX = 64 << 20, /* bytes, unless the caller says otherwise; always for standard error */
	COMPLAINT_MAX = 4096,  /* bytes kept of standard error */
	CHUNK_SIZE = 16 << 10,
	KILL_TIMEOUT_MS = 2000, /* from SIGKILL to the end */
};

/* One pipe from the child. */
struct stream {
	int fd;          /* -1: none, or at its end */
	size_t keep_max; /* bytes kept */
	size_t seen_max; /* more bytes are an error */
	size_t seen;
	struct buffer kept;
	struct secret *secret; /* where it goes instead of into kept, with a byte of room to see that there is more */
	enum err problem; /* the rest is read and thrown away: a child that is to finish must not find its pipe full */
};

struct run {
	const struct child *child;
	int pidfd;
	struct stream output, complaint;
};

static void run_close(struct run *run)
{
	fd_close(run->pidfd);
	fd_close(run->output.fd);
	fd_close(run->complaint.fd);
	buffer_clear(&run->output.kept);
	secret_free(run->output.secret);
	buffer_clear(&run->complaint.kept);
}

static enum err open_nothing(int *ret_fd, struct err_ctx *e)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "opening /dev/null");
	*ret_fd = fd;
	return ERR_OK;
}

/* A pipe with the secret in it and nobody at the other end. */
static enum err open_input(const struct secret *input, int *ret_fd, struct err_ctx *e)
{
	int ends[2];

	if (secret_size(input) > PIPE_BUF)
		return err_set(e, ERR_BUG, "an input of %zu bytes", secret_size(input));
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_NO_MEMORY, errno, "making a pipe");
	_cleanup_fd_ int for_child = ends[0], for_us = ends[1];
	if (write(for_us, secret_data(input), secret_size(input)) < 0)
		return err_set_errno(e, ERR_IO, errno, "writing to a pipe");
	*ret_fd = TAKE_FD(for_child);
	return ERR_OK;
}

static enum err open_stream(struct stream *stream, int *ret_fd, struct err_ctx *e)
{
	int ends[2];

	/* So that there is a text even if the child says nothing. */
	if (buffer_append(&stream->kept, "", 0) < 0)
		return err_set(e, ERR_NO_MEMORY, "room for its output");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_NO_MEMORY, errno, "making a pipe");
	stream->fd = ends[0];
	*ret_fd = ends[1];
	return ERR_OK;
}

static enum err start(struct run *run, struct err_ctx *e)
{
	_cleanup_fd_ int input = -1, output = -1, complaint = -1;
	enum err r = ERR_OK;

	if (run->child->input)
		r = open_input(run->child->input, &input, e);
	else
		r = open_nothing(&input, e);
	if (!r)
		r = open_stream(&run->output, &output, e);
	if (!r)
		r = open_stream(&run->complaint, &complaint, e);
	if (r)
		return r;
	struct spawn s = { run->child->argv, { input, output, complaint }, run->child->finish };
	return spawn(&s, &run->pidfd, e);
}

/* The end, or an error. True if there is more to come. */
static bool stream_goes_on(struct stream *stream, ssize_t n)
{
	if (n > 0 || (n < 0 && errno == EINTR))
		return true;
	close(TAKE_FD(stream->fd));
	stream->problem = n < 0 ? ERR_IO : stream->problem;
	return false;
}

/* No byte of a key passes through any other memory; one that is too long ends the reading. */
static void stream_read_secret(struct stream *stream)
{
	size_t room = secret_size(stream->secret) - stream->seen;
	ssize_t n = read(stream->fd, secret_bytes(stream->secret) + stream->seen, room);

	if (!stream_goes_on(stream, n) || n < 0)
		return;
	stream->seen += (size_t)n;
	if (stream->seen <= stream->seen_max)
		return;
	stream->problem = ERR_CHILD;
	close(TAKE_FD(stream->fd));
}

/* Takes what is there to read. */
static void stream_read(struct stream *stream)
{
	char chunk[CHUNK_SIZE];

	if (stream->secret) {
		stream_read_secret(stream);
		return;
	}
	ssize_t n = read(stream->fd, chunk, sizeof(chunk));
	if (!stream_goes_on(stream, n) || n < 0)
		return;
	size_t room = stream->keep_max - stream->kept.size;
	stream->seen += (size_t)n;
	if (stream->seen > stream->seen_max)
		stream->problem = ERR_CHILD;
	if (!stream->problem && buffer_append(&stream->kept, chunk, (size_t)n < room ? (size_t)n : room) < 0)
		stream->problem = ERR_NO_MEMORY;
}

static enum err stream_check(const struct stream *stream, const char *name, struct err_ctx *e)
{
	if (stream->problem == ERR_CHILD)
		return err_set(e, ERR_CHILD, "more than %zu bytes on its %s", stream->seen_max, name);
	return stream->problem ? err_set(e, stream->problem, "reading its %s", name) : ERR_OK;
}

static enum err streams_check(const struct run *run, struct err_ctx *e)
{
	enum err r = stream_check(&run->output, "standard output", e);

	return r ? r : stream_check(&run->complaint, "standard error", e);
}

/* Until the child has ended and its pipes are empty. */
static enum err collect(struct run *run, struct err_ctx *e)
{
	struct deadline deadline = run->child->finish ? DEADLINE_NEVER : run->child->deadline;
	bool ended = false, ready = true;
	enum err r = ERR_OK;

	while (!r && (!ended || ready)) {
		struct pollfd fds[] = { { ended ? -1 : run->pidfd, POLLIN, 0 },
					{ run->output.fd, POLLIN, 0 },
					{ run->complaint.fd, POLLIN, 0 } };

		r = process_poll(fds, ARRAY_SIZE(fds), ended ? deadline_in(0) : deadline, &ready, e);
		if (r)
			return r;
		if (!ready && !ended)
			return err_set(e, ERR_TIMEOUT, "killed at its deadline");
		if (fds[1].revents)
			stream_read(&run->output);
		if (fds[2].revents)
			stream_read(&run->complaint);
		ended |= fds[0].revents != 0;
		if (ended || !run->child->finish)
			r = streams_check(run, e);
	}
	return r;
}

static enum err reap(int pidfd, int *ret_status, struct err_ctx *e)
{
	siginfo_t end;

	while (waitid(P_PIDFD, (id_t)pidfd, &end, WEXITED) < 0)
		if (errno != EINTR)
			return err_set_errno(e, ERR_IO, errno, "waiting for its end");
	*ret_status = end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
	return ERR_OK;
}

/* Not even SIGKILL ends who sleeps on a suspended pool. The wait is bounded; who is left is left to init. */
static void kill_and_reap(int pidfd)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	bool ended = false;
	int status;

	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	process_signals_hold();
	if (process_poll(&end, 1, deadline_in(KILL_TIMEOUT_MS), &ended, NULL) == ERR_OK && ended)
		(void)!reap(pidfd, &status, NULL);
	process_signals_release();
}

/* With nobody to read them, its words are lost, and do not hold it up. */
static void let_finish(struct run *run)
{
	int status;

	fd_close(TAKE_FD(run->output.fd));
	fd_close(TAKE_FD(run->complaint.fd));
	(void)!reap(run->pidfd, &status, NULL);
}

static enum err run_to_end(struct run *run, int *ret_status, struct err_ctx *e)
{
	enum err r = start(run, e);

	if (r)
		return r;
	r = collect(run, e);
	if (!r)
		return reap(run->pidfd, ret_status, e);
	if (run->child->finish)
		let_finish(run);
	else
		kill_and_reap(run->pidfd);
	return r;
}

/* A signal or a deadline before the start prevents it; after it, a child that is to finish is left in peace. */
static enum err run_child(struct run *run, int *ret_status, struct err_ctx *e)
{
	const struct child *child = run->child;
	enum err r = process_interrupted(e);

	if (!r && deadline_left_ms(child->deadline) == 0)
		r = err_set(e, ERR_TIMEOUT, "no time left to start it");
	if (child->finish)
		process_signals_hold();
	if (!r)
		r = run_to_end(run, ret_status, e);
	if (child->finish)
		process_signals_release();
	return err_wrap(e, r, "running %s%s%s", child->argv[0], child->argv[1] ? " " : "",
			child->argv[1] ? child->argv[1] : "");
}

/* A program's complaint is shown to a person: no escape sequences, no line ends at its end. */
static void make_printable(struct buffer *b)
{
	for (size_t i = 0; i < b->size; i++)
		if (b->text[i] == '\t')
			b->text[i] = ' ';
		else if (b->text[i] != '\n' && (b->text[i] < ' ' || b->text[i] > '~'))
			b->text[i] = '?';
	while (b->size > 0 && b->text[b->size - 1] == '\n')
		b->text[--b->size] = '\0';
}

enum err process_run(const struct child *child, struct child_result *ret, struct err_ctx *e)
{
	size_t output_max = child->output_max ? child->output_max : OUTPUT_MAX;
	_cleanup_(run_close) struct run run = {
		.child = child,
		.pidfd = -1,
		.output = { .fd = -1, .keep_max = output_max, .seen_max = output_max },
		.complaint = { .fd = -1, .keep_max = COMPLAINT_MAX, .seen_max = OUTPUT_MAX },
	};
	int status;
	enum err r = child->secret ? secret_new(child->output_max + 1, &run.output.secret, e) : ERR_OK;

	if (!r)
		r = run_child(&run, &status, e);
	if (r)
		return r;
	make_printable(&run.complaint.kept);
	*ret = (struct child_result){
		.output = TAKE(run.output.kept.text), .complaint = TAKE(run.complaint.kept.text), .status = status,
	};
	if (run.output.secret && run.output.seen > 0) {
		secret_shrink(run.output.secret, run.output.seen);
		ret->secret = TAKE(run.output.secret);
	}
	return ERR_OK;
}

void child_result_clear(struct child_result *r)
{
	free(r->output);
	free(r->complaint);
	secret_free(r->secret);
	*r = (struct child_result){ 0 };
}
