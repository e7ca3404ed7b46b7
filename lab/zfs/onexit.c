/* SPDX-License-Identifier: MIT
 *
 * See onexit.h. The functions named zfs_onexit_… are those of module/zfs/zfs_onexit.c, whose own ones need a kernel's
 * file table; libzpool's do nothing.
 */
#include "onexit.h"

#include <pthread.h>

struct action {
	struct action *next;
	void (*run)(void *);
	void *data;
};

struct zfs_onexit {
	struct zfs_onexit *next;
	struct action *actions;
	minor_t minor;
	unsigned holds;
};

/* Above every descriptor's number, so that neither is taken for the other. */
#define MINOR_FIRST (1u << 20)

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct zfs_onexit *list;

static struct zfs_onexit **find(minor_t minor)
{
	struct zfs_onexit **where = &list;

	while (*where && (*where)->minor != minor)
		where = &(*where)->next;
	return where;
}

static void run_all(struct zfs_onexit *zo)
{
	for (struct action *action = zo->actions, *next; action; action = next) {
		next = action->next;
		action->run(action->data);
		umem_free(action, sizeof(*action));
	}
	umem_free(zo, sizeof(*zo));
}

static void drop(struct zfs_onexit **where)
{
	struct zfs_onexit *zo = *where;

	if (!zo || --zo->holds > 0)
		zo = NULL;
	else
		*where = zo->next;
	pthread_mutex_unlock(&list_mutex);
	if (zo)
		run_all(zo);
}

minor_t onexit_open(void)
{
	static minor_t last = MINOR_FIRST;
	struct zfs_onexit *zo = umem_zalloc(sizeof(*zo), UMEM_NOFAIL);

	zo->holds = 1;
	pthread_mutex_lock(&list_mutex);
	zo->minor = ++last;
	zo->next = list;
	list = zo;
	pthread_mutex_unlock(&list_mutex);
	return zo->minor;
}

void onexit_close(minor_t minor)
{
	pthread_mutex_lock(&list_mutex);
	drop(find(minor));
}

/* The shim has put the connection's minor number where a kernel would find a descriptor. */
zfs_file_t *zfs_onexit_fd_hold(int fd, minor_t *ret_minor)
{
	struct zfs_onexit *zo;

	pthread_mutex_lock(&list_mutex);
	zo = *find((minor_t)fd);
	if (zo) {
		zo->holds++;
		*ret_minor = zo->minor;
	}
	pthread_mutex_unlock(&list_mutex);
	return (zfs_file_t *)zo;
}

void zfs_onexit_fd_rele(zfs_file_t *file)
{
	pthread_mutex_lock(&list_mutex);
	drop(find(((struct zfs_onexit *)file)->minor));
}

int zfs_onexit_add_cb(minor_t minor, void (*run)(void *), void *data, uintptr_t *ret_handle)
{
	struct action *action = umem_alloc(sizeof(*action), UMEM_NOFAIL);
	struct zfs_onexit *zo;

	pthread_mutex_lock(&list_mutex);
	zo = *find(minor);
	if (zo) {
		*action = (struct action){ .next = zo->actions, .run = run, .data = data };
		zo->actions = action;
	}
	pthread_mutex_unlock(&list_mutex);
	if (!zo) {
		umem_free(action, sizeof(*action));
		return EBADF;
	}
	if (ret_handle)
		*ret_handle = (uintptr_t)action;
	return 0;
}

/* zfs_ioctl.c keeps such states itself, for device files that nobody opens here. */

void zfs_onexit_init(zfs_onexit_t **ret_zo)
{
	*ret_zo = NULL;
}

void zfs_onexit_destroy(zfs_onexit_t *zo)
{
	(void)zo;
}

void zfsdev_private_set_state(void *private, zfsdev_state_t *state)
{
	(void)private, (void)state;
}

zfsdev_state_t *zfsdev_private_get_state(void *private)
{
	(void)private;
	return NULL;
}
