/* SPDX-License-Identifier: MIT
 *
 * See process.h.
 */
#include "process.h"

#include <pthread.h>
#include <stdlib.h>

#include "compat.h"

struct process {
	struct process *next;
	char *pool;
	pid_t pid;
	unsigned users;
};

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct process *list;

struct process *process_hold(pid_t pid)
{
	struct process *process;

	pthread_mutex_lock(&list_mutex);
	for (process = list; process && process->pid != pid; process = process->next)
		;
	if (!process) {
		process = calloc(1, sizeof(*process));
		if (process) {
			process->pid = pid;
			process->next = list;
			list = process;
		}
	}
	if (process)
		process->users++;
	pthread_mutex_unlock(&list_mutex);
	return process;
}

void process_release(struct process *process)
{
	struct process **where = &list;

	pthread_mutex_lock(&list_mutex);
	if (--process->users > 0) {
		pthread_mutex_unlock(&list_mutex);
		return;
	}
	while (*where != process)
		where = &(*where)->next;
	*where = process->next;
	pthread_mutex_unlock(&list_mutex);
	if (process->pool)
		kmem_strfree(process->pool);
	free(process);
}

char *process_exchange_pool(struct process *process, char *pool)
{
	char *before;

	pthread_mutex_lock(&list_mutex);
	before = process->pool;
	process->pool = pool;
	pthread_mutex_unlock(&list_mutex);
	return before;
}
