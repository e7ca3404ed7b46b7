/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "sys/path.h"

bool path_normalise(const char *path, char ret[static PATH_MAX])
{
	char out[PATH_MAX] = "/";
	size_t at = 0;

	if (path[0] != '/')
		return false;
	for (size_t n; *path; path += n) {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0 || (n == 1 && path[0] == '.'))
			continue;
		if ((n == 2 && memcmp(path, "..", 2) == 0) || at + 1 + n >= sizeof(out))
			return false;
		out[at++] = '/';
		memcpy(out + at, path, n);
		at += n;
		out[at] = '\0';
	}
	memcpy(ret, out, sizeof(out));
	return true;
}

bool path_is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	if (n == 1)
		return true; /* the root */
	return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* How far a walk down a path came. */
struct walk {
	size_t length; /* of the part that was looked at last */
	bool missing;  /* it is not there */
	bool plain;    /* it is a folder */
	bool mount;    /* it lies on another device than what is above it */
};

/* One step: opens name in *fd, which it replaces. False at the end of the way. */
static bool step(int *fd, const char *name, struct walk *w)
{
	struct stat above, st;
	int next = openat(*fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	w->missing = next < 0 && errno == ENOENT;
	w->plain = next >= 0 && fstat(*fd, &above) == 0 && fstat(next, &st) == 0 && S_ISDIR(st.st_mode);
	w->mount = w->plain && st.st_dev != above.st_dev;
	if (next >= 0) {
		close(*fd);
		*fd = next;
	}
	return w->plain;
}

/* Each folder is held by a descriptor while the next name is looked up in it: nothing is looked at by two paths. */
static struct walk walk_down(const char *path)
{
	_cleanup_fd_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *names = strdup(path);
	struct walk w = { .plain = fd >= 0 && names };

	if (!w.plain)
		return w;
	for (char *name, *rest = names + 1; (name = strsep(&rest, "/"));) {
		if (*name == '\0')
			continue;
		w.length = (size_t)(name - names) + strlen(name);
		if (!step(&fd, name, &w))
			break;
	}
	return w;
}

bool path_is_plain(const char *path, size_t *ret_length)
{
	struct walk w = walk_down(path);

	*ret_length = w.length;
	return w.plain || w.missing;
}

bool path_is_mount(const char *path)
{
	return walk_down(path).mount;
}
