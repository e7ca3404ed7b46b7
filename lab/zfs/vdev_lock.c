/* SPDX-License-Identifier: MIT
 *
 * Two engines never write to one disk: whoever opens a vdev's file for writing holds an exclusive lock on it until its
 * last descriptor of that file is closed. A kernel has no such need, since there is one in a machine; in the lab a
 * test may forget to stop one machine before it moves the disks to the next, and would destroy the pool.
 *
 * Guarantees: the second engine's open gives EBUSY; the lock goes with the process, however that ends.
 * Refuses: to lock what is opened for reading only: looking at labels is allowed, as between two machines.
 */
#include "compat.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>

/* One locked file. The lock sits on a descriptor of its own: closing another one of the same file keeps it. */
struct vdev_lock {
	struct vdev_lock *next;
	dev_t dev;
	ino_t ino;
	unsigned users;
	int fd;
};

static pthread_mutex_t locks_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct vdev_lock *locks;

static struct vdev_lock **lock_find(const struct stat64 *st)
{
	struct vdev_lock **where = &locks;

	while (*where && ((*where)->dev != st->st_dev || (*where)->ino != st->st_ino))
		where = &(*where)->next;
	return where;
}

static int lock_add(const char *path, const struct stat64 *st)
{
	struct vdev_lock *lock;
	int fd = open64(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno == EWOULDBLOCK ? EBUSY : errno;

		(void)close(fd);
		return error;
	}
	lock = umem_alloc(sizeof(*lock), UMEM_NOFAIL);
	*lock = (struct vdev_lock){ .next = locks, .dev = st->st_dev, .ino = st->st_ino, .users = 1, .fd = fd };
	locks = lock;
	return 0;
}

static int lock_take(const char *path)
{
	struct vdev_lock *lock;
	struct stat64 st;
	int error = 0;

	if (stat64(path, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	pthread_mutex_lock(&locks_mutex);
	lock = *lock_find(&st);
	if (lock)
		lock->users++;
	else
		error = lock_add(path, &st);
	pthread_mutex_unlock(&locks_mutex);
	return error;
}

static void lock_release(const struct stat64 *st)
{
	struct vdev_lock **where, *lock;

	pthread_mutex_lock(&locks_mutex);
	where = lock_find(st);
	lock = *where;
	if (lock && --lock->users == 0) {
		*where = lock->next;
		(void)close(lock->fd);
		umem_free(lock, sizeof(*lock));
	}
	pthread_mutex_unlock(&locks_mutex);
}

/* A file that is only made now (the pool cache) is nobody's vdev. */
static boolean_t needs_lock(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY && (flags & O_CREAT) == 0;
}

/* The two that follow come before the C library's, also for libzpool. Its own functions above them differ from version
 * to version. */

int open64(const char *path, int flags, ...)
{
	static __typeof__(open64) *next;
	struct stat64 st;
	va_list args;
	mode_t mode;
	int error, fd;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	error = needs_lock(flags) ? lock_take(path) : 0;
	if (error != 0) {
		errno = error;
		return -1;
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "open64");
	fd = next(path, flags, mode);
	if (fd < 0 && needs_lock(flags)) {
		error = errno;
		if (stat64(path, &st) == 0)
			lock_release(&st);
		errno = error;
	}
	return fd;
}

int close(int fd)
{
	static __typeof__(close) *next;
	int flags = fcntl(fd, F_GETFL);
	struct stat64 st;
	boolean_t writable = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fstat64(fd, &st) == 0;
	int rc;

	if (!next)
		next = dlsym(RTLD_NEXT, "close");
	rc = next(fd);
	if (writable && S_ISREG(st.st_mode))
		lock_release(&st);
	return rc;
}
