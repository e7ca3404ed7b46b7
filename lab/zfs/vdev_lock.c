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
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno == EWOULDBLOCK ? EBUSY : errno;

		(void) close(fd);
		return error;
	}
	lock = umem_alloc(sizeof(*lock), UMEM_NOFAIL);
	*lock = (struct vdev_lock) { .next = locks, .dev = st->st_dev, .ino = st->st_ino, .users = 1, .fd = fd };
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
		(void) close(lock->fd);
		umem_free(lock, sizeof(*lock));
	}
	pthread_mutex_unlock(&locks_mutex);
}

static boolean_t opened_for_writing(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/* In front of libzpool's own, which is what vdev_file.c opens its files with. */
int zfs_file_open(const char *path, int flags, int mode, zfs_file_t **ret_file)
{
	__typeof__(zfs_file_open) *next = dlsym(RTLD_NEXT, "zfs_file_open");
	struct stat64 st;
	int error;

	/* A file that is only made now (the pool cache) is nobody's vdev. */
	if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_CREAT) != 0)
		return next(path, flags, mode, ret_file);
	error = lock_take(path);
	if (error != 0)
		return error;
	error = next(path, flags, mode, ret_file);
	if (error != 0 && stat64(path, &st) == 0)
		lock_release(&st);
	return error;
}

void zfs_file_close(zfs_file_t *file)
{
	__typeof__(zfs_file_close) *next = dlsym(RTLD_NEXT, "zfs_file_close");
	struct stat64 st;
	boolean_t locked = opened_for_writing(file->f_fd) && fstat64(file->f_fd, &st) == 0;

	next(file);
	if (locked)
		lock_release(&st);
}
