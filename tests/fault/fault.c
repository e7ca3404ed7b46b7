/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into zseal: makes one call of the C library fail, or all from one on. tests/integration/faults.py runs it.
 *
 *   ZSEAL_FAULT=CALL:NUMBER[+]:ERRNO   the call of that name and number (with +, and each after it) fails with errno
 *                                      ERRNO, a number; 0 stands for a short read or write
 *   ZSEAL_FAULT=list                   nothing fails
 *   ZSEAL_FAULT_LOG=FILE               gets a line for each call ("list") or for each that failed: name, number, a hash
 *                                      of the places that it was called from, the library that it was called by
 *
 * Guarantees: programs other than zseal, and its children, are left alone; what is not the one call goes on untouched.
 * Refuses: what the C library calls inside itself (stdio's writes). Not for sanitized builds, whose malloc() comes
 * first.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { FRAMES_MAX = 16, LINE_MAX_BYTES = 200 };

struct call {
	const char *name;
	unsigned count;
};

static struct {
	bool active, list, busy, from_then_on;
	char name[32];
	unsigned number;
	int error; /* errno, or 0: short */
	int log;
} plan = { .log = -1 };

/* ---- who called ---- */

static const char *file_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* OpenSSL asks for memory thirty thousand times; where exactly is its own affair, and too slow to find out. */
static bool is_of_crypto(const void *caller)
{
	Dl_info place;

	return dladdr(caller, &place) && strncmp(file_of(place.dli_fname), "libcrypto", strlen("libcrypto")) == 0;
}

/* Frame 0 to 2 are ours. The C library's own do not say who wanted something of it. */
static uint64_t hash_places(const char **ret_library)
{
	void *frames[FRAMES_MAX];
	int n = backtrace(frames, FRAMES_MAX);
	uint64_t hash = 14695981039346656037u;

	*ret_library = NULL;
	for (int i = 3; i < n; i++) {
		Dl_info place;

		if (!dladdr(frames[i], &place))
			continue;
		const char *file = file_of(place.dli_fname);
		hash = (hash ^ (uint64_t)((char *)frames[i] - (char *)place.dli_fbase)) * 1099511628211u;
		if (!*ret_library && strncmp(file, "libc.so", strlen("libc.so")) != 0)
			*ret_library = file;
	}
	if (!*ret_library)
		*ret_library = "?";
	return hash;
}

static void tell(const struct call *c, const void *caller)
{
	char line[LINE_MAX_BYTES];
	const char *library = "libcrypto";
	uint64_t hash = is_of_crypto(caller) ? 0 : hash_places(&library);
	int n = snprintf(line, sizeof(line), "%s %u %016llx %s\n", c->name, c->count, (unsigned long long)hash, library);

	(void)!syscall(SYS_write, plan.log, line, n);
}

/* ---- whether it fails ---- */

static __attribute__((noinline)) bool strikes(struct call *c, const void *caller)
{
	int before = errno;

	if (!plan.active || plan.busy)
		return false;
	plan.busy = true;
	c->count++;
	bool hit = !plan.list && strcmp(c->name, plan.name) == 0 &&
		   (c->count == plan.number || (plan.from_then_on && c->count > plan.number));
	if (plan.list || hit)
		tell(c, caller);
	plan.busy = false;
	errno = hit ? plan.error : before;
	return hit;
}

static void leave_children_alone(void)
{
	plan.active = false;
}

static bool read_plan(const char *text)
{
	char after;

	plan.list = strcmp(text, "list") == 0;
	if (plan.list)
		return true;
	int n = sscanf(text, "%31[^:]:%u%c:%d", plan.name, &plan.number, &after, &plan.error);
	plan.from_then_on = n == 4 && after == '+';
	return plan.from_then_on || sscanf(text, "%31[^:]:%u:%d", plan.name, &plan.number, &plan.error) == 3;
}

/* backtrace() loads a library when it is first called. */
__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("ZSEAL_FAULT"), *log = getenv("ZSEAL_FAULT_LOG");
	void *frame;

	if (!text || !log || strcmp(program_invocation_short_name, "zseal") != 0)
		return;
	backtrace(&frame, 1);
	plan.log = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (plan.log < 0 || !read_plan(text) || pthread_atfork(NULL, NULL, leave_children_alone) != 0)
		_exit(127);
	plan.active = true;
}

/* ---- the calls ---- */

#define STRIKES(name) ({ static struct call call_ = { #name, 0 }; strikes(&call_, __builtin_return_address(0)); })

#define NEXT(name)                                       \
	({                                               \
		static __typeof__(name) *next_;          \
		if (!next_)                              \
			next_ = dlsym(RTLD_NEXT, #name); \
		next_;                                   \
	})

/* alias: what the log calls it, one name for the variants that _FILE_OFFSET_BITS and _FORTIFY_SOURCE make of it. */
#define CALL(type, name, alias, parameters, arguments, failure)             \
	EXPORT type name parameters                                         \
	{                                                                   \
		return STRIKES(alias) ? (failure) : NEXT(name) arguments;   \
	}

/* Memory: dlsym() may need some itself. A strike leaves errno, which is ENOMEM. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);

EXPORT void *malloc(size_t size)
{
	return STRIKES(malloc) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	return STRIKES(calloc) ? NULL : __libc_calloc(n, size);
}

CALL(void *, mmap64, mmap, (void *at, size_t n, int p, int f, int fd, off64_t o), (at, n, p, f, fd, o), MAP_FAILED)
CALL(int, mprotect, mprotect, (void *at, size_t n, int p), (at, n, p), -1)

/* Files. */
EXPORT ssize_t write(int fd, const void *data, size_t n)
{
	if (!STRIKES(write))
		return NEXT(write)(fd, data, n);
	return plan.error ? -1 : NEXT(write)(fd, data, n > 1 ? n / 2 : n);
}

EXPORT ssize_t read(int fd, void *data, size_t n)
{
	if (!STRIKES(read))
		return NEXT(read)(fd, data, n);
	return plan.error ? -1 : NEXT(read)(fd, data, n > 1 ? n / 2 : n);
}

#define MODE_AFTER(flags)                          \
	({                                         \
		va_list args_;                     \
		va_start(args_, flags);            \
		mode_t mode_ = va_arg(args_, mode_t); \
		va_end(args_);                     \
		mode_;                             \
	})

int __openat64_2(int folder, const char *path, int flags);

EXPORT int open64(const char *path, int flags, ...)
{
	mode_t mode = flags & O_CREAT ? MODE_AFTER(flags) : 0;

	return STRIKES(open) ? -1 : NEXT(open64)(path, flags, mode);
}

EXPORT int openat64(int folder, const char *path, int flags, ...)
{
	mode_t mode = flags & O_CREAT ? MODE_AFTER(flags) : 0;

	return STRIKES(openat) ? -1 : NEXT(openat64)(folder, path, flags, mode);
}

EXPORT int fcntl64(int fd, int command, ...)
{
	va_list args;

	va_start(args, command);
	void *argument = va_arg(args, void *);
	va_end(args);
	return STRIKES(fcntl) ? -1 : NEXT(fcntl64)(fd, command, argument);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	va_start(args, request);
	void *argument = va_arg(args, void *);
	va_end(args);
	return STRIKES(ioctl) ? -1 : NEXT(ioctl)(fd, request, argument);
}

CALL(int, __openat64_2, openat, (int folder, const char *path, int flags), (folder, path, flags), -1)
CALL(int, fsync, fsync, (int fd), (fd), -1)
CALL(int, fchmod, fchmod, (int fd, mode_t mode), (fd, mode), -1)
CALL(int, chmod, chmod, (const char *path, mode_t mode), (path, mode), -1)
CALL(int, mkdir, mkdir, (const char *path, mode_t mode), (path, mode), -1)
CALL(int, rename, rename, (const char *from, const char *to), (from, to), -1)
CALL(int, renameat, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), -1)
CALL(int, unlink, unlink, (const char *path), (path), -1)
CALL(int, unlinkat, unlinkat, (int folder, const char *path, int flags), (folder, path, flags), -1)
CALL(int, stat64, stat, (const char *path, struct stat64 *st), (path, st), -1)
CALL(int, fstat64, fstat, (int fd, struct stat64 *st), (fd, st), -1)
CALL(int, access, access, (const char *path, int mode), (path, mode), -1)
CALL(ssize_t, getrandom, getrandom, (void *out, size_t n, unsigned flags), (out, n, flags), -1)

/* Processes and sockets. */
CALL(pid_t, fork, fork, (void), (), -1)
CALL(int, pipe2, pipe2, (int ends[2], int flags), (ends, flags), -1)
CALL(int, pidfd_open, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1)
CALL(int, waitid, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options), -1)
CALL(int, ppoll, ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *s), (fds, n, t, s), -1)
CALL(int, socket, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
CALL(int, connect, connect, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n), -1)
CALL(ssize_t, sendto, sendto, (int fd, const void *data, size_t n, int f, const struct sockaddr *to, socklen_t l),
     (fd, data, n, f, to, l), -1)
