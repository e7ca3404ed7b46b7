/* SPDX-License-Identifier: MIT
 *
 * ZFS in a process: libzpool and ZFS's own zfs_ioctl.c behind a socket, in the place of the kernel's module.
 *
 *	engine SOCKET CACHEFILE
 *
 * Guarantees: says "ready" on standard output once it can be called, and nothing after that; imports the pools that
 * CACHEFILE names, as a machine does when it starts; every pool on disk is as consistent after SIGKILL as after a
 * power loss.
 * Refuses: to end in order. libzpool's kernel_fini() aborts if anything is still held; whoever wants the engine gone
 * kills it. It never forks: a forked libzpool hangs.
 */
#include "compat.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/spa.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/zfs_ioctl_impl.h>

#include "call.h"
#include "onexit.h"
#include "wire.h"

#define THREAD_STACK_SIZE (8u << 20)
#define ARC_MIN           (64ul << 20)
#define ARC_MAX           (512ul << 20)

/* A connection's socket travels to its thread beside what its calls share. */
struct listener_arg {
	struct connection *connection;
	int socket;
};

static boolean_t thread_start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK_SIZE);
	error = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return error == 0;
}

static void connection_release(struct connection *connection)
{
	if (atomic_fetch_sub(&connection->users, 1) > 1)
		return;
	onexit_close(connection->minor);
	process_release(connection->process);
	free(connection);
}

static void call_free(struct call *call)
{
	if (call->channel >= 0)
		(void)close(call->channel);
	if (call->stream >= 0)
		(void)close(call->stream);
	connection_release(call->connection);
	free(call);
}

static void *call_thread(void *arg)
{
	call_serve(arg);
	call_free(arg);
	return NULL;
}

static void call_take_descriptors(struct call *call, struct msghdr *message)
{
	struct cmsghdr *control = message ? CMSG_FIRSTHDR(message) : NULL;
	int fds[WIRE_FD_MAX] = { -1, -1 };

	if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(control), MIN(control->cmsg_len - CMSG_LEN(0), sizeof(fds)));
	call->channel = fds[WIRE_FD_CHANNEL];
	call->stream = fds[WIRE_FD_STREAM];
}

/* The next call on this connection, or NULL at its end. */
static struct call *call_receive(int socket, struct connection *connection)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(WIRE_FD_MAX * sizeof(int))];
	struct call *call = calloc(1, sizeof(*call));
	struct iovec iov = { .iov_base = &call->wire, .iov_len = sizeof(call->wire) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	if (!call)
		return NULL;
	call->connection = connection;
	atomic_fetch_add(&connection->users, 1);
	do {
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	call_take_descriptors(call, n > 0 ? &message : NULL);
	if (n != (ssize_t)sizeof(call->wire) || call->channel < 0) {
		call_free(call);
		return NULL;
	}
	return call;
}

static void *connection_thread(void *arg)
{
	struct listener_arg connected = *(struct listener_arg *)arg;
	struct call *call;

	free(arg);
	while ((call = call_receive(connected.socket, connected.connection)))
		if (!thread_start(call_thread, call))
			call_free(call);
	(void)close(connected.socket);
	connection_release(connected.connection);
	return NULL;
}

static struct connection *connection_new(int socket)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	if (!connection)
		return NULL;
	(void)getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	connection->process = process_hold(peer.pid);
	if (!connection->process) {
		free(connection);
		return NULL;
	}
	connection->minor = onexit_open();
	connection->users = 1;
	return connection;
}

static void connection_start(int socket)
{
	struct connection *connection = connection_new(socket);
	struct listener_arg *arg = calloc(1, sizeof(*arg));

	if (connection && arg) {
		*arg = (struct listener_arg){ .connection = connection, .socket = socket };
		if (thread_start(connection_thread, arg))
			return;
	}
	if (connection)
		connection_release(connection);
	free(arg);
	(void)close(socket);
}

/* Anybody may open /dev/zfs, as with the kernel's: what they may do there is decided for each call. */
static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	(void)strcpy(address.sun_path, path);
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		return -1;
	return fd;
}

/* Before kernel_init(), which reads them. A killed process loses nothing that the page cache has: no need to flush. */
static void tune(char *cachefile)
{
	extern char *spa_config_path;
	extern unsigned long zfs_arc_min, zfs_arc_max;
	extern int zfs_nocacheflush;

	spa_config_path = cachefile;
	zfs_arc_min = ARC_MIN;
	zfs_arc_max = ARC_MAX;
	zfs_nocacheflush = 1;
}

int main(int argc, char **argv)
{
	int listener, error;

	if (argc != 3) {
		fprintf(stderr, "usage: engine SOCKET CACHEFILE\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	tune(argv[2]);
	kernel_init(SPA_MODE_READ | SPA_MODE_WRITE);
	error = zfs_kmod_init();
	listener = error == 0 ? listen_on(argv[1]) : -1;
	if (listener < 0) {
		fprintf(stderr, "engine: %s: %s\n", argv[1], strerror(error ? error : errno));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (socket >= 0)
			connection_start(socket);
	}
}
