/* SPDX-License-Identifier: MIT
 *
 * Preloaded into every program of a lab machine: opening a device that is a socket here connects to it.
 *
 * /dev/zfs, /dev/tpmrm0 and /dev/tpm0 are sockets in the machine's own /dev. So whether they exist, who may open them
 * and what a shell's glob finds needs no pretence; only open() of a socket, which a kernel refuses, and the ioctls of
 * ZFS do.
 *
 * Guarantees: every other file, and every other ioctl, goes to the C library untouched.
 * Refuses: programs that make their system calls without the C library (static ones, Go's) find sockets.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../zfs/wire.h"
#include "zfs_client.h"

#define EXPORT __attribute__((visibility("default")))

struct device {
	const char *path;
	int socket_type;
};

static const struct device devices[] = {
	{ WIRE_PATH, SOCK_SEQPACKET },
	{ "/dev/tpmrm0", SOCK_STREAM },
	{ "/dev/tpm0", SOCK_STREAM },
};

static const struct device *device_find(const char *path)
{
	for (size_t i = 0; path && i < sizeof(devices) / sizeof(devices[0]); i++)
		if (strcmp(path, devices[i].path) == 0)
			return &devices[i];
	return NULL;
}

/* A driver that is loaded, but whose device does not answer, is ENXIO to a kernel. */
static int device_open(const struct device *device, int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, device->socket_type | ((flags & O_CLOEXEC) ? SOCK_CLOEXEC : 0), 0);
	int error;

	if (fd < 0)
		return -1;
	(void)strcpy(address.sun_path, device->path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		error = errno == ECONNREFUSED ? ENXIO : errno;
		(void)close(fd);
		errno = error;
		return -1;
	}
	if (flags & O_NONBLOCK)
		(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* The C library's function behind one of ours. Looked for once: open() may be called where dlsym() may not. */
#define NEXT(name)                                       \
	({                                               \
		static __typeof__(name) *next_;          \
		if (!next_)                              \
			next_ = dlsym(RTLD_NEXT, #name); \
		next_;                                   \
	})

/* open()'s third argument is there only if a file may be made. */
#define MODE_AFTER(flags)                                                    \
	({                                                                   \
		mode_t mode_ = 0;                                            \
		if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) { \
			va_list args_;                                       \
			va_start(args_, flags);                              \
			mode_ = va_arg(args_, mode_t);                       \
			va_end(args_);                                       \
		}                                                            \
		mode_;                                                       \
	})

#define DEFINE_OPEN(name)                                                                                \
	EXPORT int name(const char *path, int flags, ...)                                                \
	{                                                                                                \
		const struct device *device = device_find(path);                                         \
		return device ? device_open(device, flags) : NEXT(name)(path, flags, MODE_AFTER(flags)); \
	}

#define DEFINE_OPENAT(name)                                                                                   \
	EXPORT int name(int dir, const char *path, int flags, ...)                                            \
	{                                                                                                     \
		const struct device *device = device_find(path);                                              \
		return device ? device_open(device, flags) : NEXT(name)(dir, path, flags, MODE_AFTER(flags)); \
	}

/* What _FORTIFY_SOURCE makes of a call without a mode. */
#define DEFINE_OPEN_2(name)                                                           \
	int name(const char *path, int flags);                                        \
	EXPORT int name(const char *path, int flags)                                  \
	{                                                                             \
		const struct device *device = device_find(path);                      \
		return device ? device_open(device, flags) : NEXT(name)(path, flags); \
	}

#define DEFINE_OPENAT_2(name)                                                              \
	int name(int dir, const char *path, int flags);                                    \
	EXPORT int name(int dir, const char *path, int flags)                              \
	{                                                                                  \
		const struct device *device = device_find(path);                           \
		return device ? device_open(device, flags) : NEXT(name)(dir, path, flags); \
	}

DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)
DEFINE_OPEN_2(__open_2)
DEFINE_OPEN_2(__open64_2)
DEFINE_OPENAT_2(__openat_2)
DEFINE_OPENAT_2(__openat64_2)

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (zfs_client_serves(fd, request))
		return zfs_client_ioctl(fd, request, arg);
	return NEXT(ioctl)(fd, request, arg);
}
