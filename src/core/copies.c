/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "core/copies.h"
#include "sys/file.h"

static void dir_close(DIR *d)
{
	if (d)
		closedir(d);
}
DEFINE_CLEANUP(DIR *, dir_close)

/* Where a copy goes: by the keyring's UUID and newest generation, as its own text says. */
static enum err path_of(const struct header_copy *copy, char **ret_folder, char **ret_path, struct err_ctx *e)
{
	_cleanup_free_ char *folder = NULL;
	struct keyring_property property;
	char uuid[UUID_TEXT_SIZE];
	enum err err = keyring_property_parse(copy->keyring, &property, e);

	if (err)
		return err;
	uuid_print(&property.rings[0].ring.uuid, uuid);
	err = str_format(&folder, e, "%s/%s", HEADER_PATH, uuid);
	if (!err)
		err = str_format(ret_path, e, "%s/%u", folder, property.rings[0].ring.generation);
	if (!err)
		*ret_folder = TAKE(folder);
	return err;
}

/* True if the file at path holds the header that copy is printed as, whenever it was saved. */
static bool holds_same(const char *path, const struct header_copy *copy, const char *text)
{
	_cleanup_(header_copy_clearp) struct header_copy *old = &(struct header_copy){ 0 };
	_cleanup_free_ char *printed = NULL;

	if (header_copy_load(path, old, NULL))
		return false;
	old->saved = copy->saved;
	old->pool_guid = copy->pool_guid;
	return header_copy_print(old, &printed, NULL) == ERR_OK && str_equal(printed, text);
}

/* Moves the file at path out of the way, to the first number that is free. */
static enum err keep_older(const char *path, char **ret_kept, struct err_ctx *e)
{
	enum { NUMBER_MAX = 10000 };
	_cleanup_free_ char *kept = NULL;
	enum err err = ERR_OK;

	for (int i = 1; !err && i < NUMBER_MAX; i++) {
		free(TAKE(kept));
		err = str_format(&kept, e, "%s.%d", path, i);
		if (err || access(kept, F_OK) == 0)
			continue;
		if (rename(path, kept) < 0)
			return err_set_errno(e, ERR_IO, errno, "moving %s to %s", path, kept);
		*ret_kept = TAKE(kept);
		return ERR_OK;
	}
	return err ? err : err_set(e, ERR_IO, "%s: too many older copies", path);
}

enum err header_copy_save(const struct header_copy *copy, struct header_copy_saved *ret, struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL, *folder = NULL, *path = NULL, *kept = NULL;
	enum err err = path_of(copy, &folder, &path, e);

	if (!err)
		err = header_copy_print(copy, &text, e);
	if (!err)
		err = file_make_folder(folder, 0700, e);
	if (!err && access(path, F_OK) == 0 && !holds_same(path, copy, text))
		err = keep_older(path, &kept, e);
	if (!err)
		err = file_write(path, text, 0600, e);
	if (!err && ret)
		*ret = (struct header_copy_saved){ .path = TAKE(path), .kept = TAKE(kept) };
	return err_wrap(e, err, "keeping a copy of the header");
}

enum err header_copy_discard(const struct header_copy *copy, struct err_ctx *e)
{
	_cleanup_free_ char *folder = NULL, *path = NULL;
	enum err err = path_of(copy, &folder, &path, e);

	if (!err)
		err = file_remove(path, e);
	if (!err)
		(void)rmdir(folder);
	return err;
}

enum err header_copy_lock(const struct uuid *keyring, struct deadline deadline, int *ret_fd, struct err_ctx *e)
{
	char path[sizeof(HEADER_PATH "/.lock-") + UUID_TEXT_SIZE] = HEADER_PATH "/.lock-";
	enum err err = file_make_folder(HEADER_PATH, 0700, e);

	uuid_print(keyring, path + strlen(path));
	if (!err)
		err = file_lock(path, deadline, ret_fd, e);
	return err_wrap(e, err, "another zseal changes this keyring");
}

enum err header_copy_load(const char *path, struct header_copy *ret, struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL;
	struct err_ctx own = { 0 };
	enum err err = file_read(path, HEADER_COPY_MAX, &text, &own);

	if (err && own.sys_errno == ENOENT)
		return err_set_errno(e, ERR_NO_COPY, ENOENT, "%s", path);
	if (!err)
		err = header_copy_parse(text, ret, &own);
	if (err && e)
		*e = own;
	return err_wrap(e, err, "%s", path);
}

/* True if dataset is folder or lies below it. */
static bool is_below(const char *dataset, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(dataset, folder, n) == 0 && (dataset[n] == '\0' || dataset[n] == '/');
}

/* A copy written just before its pool was made has no GUID yet: then the names decide. */
static bool fits(const struct header_copy *copy, uint64_t pool_guid, const char *dataset)
{
	return (copy->pool_guid == pool_guid || copy->pool_guid == 0) && is_below(dataset, copy->dataset);
}

struct search {
	const struct copy_wanted *wanted;
	char folder[sizeof(HEADER_PATH) + 1 + UUID_TEXT_SIZE]; /* of the wanted keyring, with a slash behind it */
	struct header_copy best;
	char *best_path;
};

static bool is_of_wanted(const struct search *s, const char *path)
{
	return s->wanted->keyring && strncmp(path, s->folder, strlen(s->folder)) == 0;
}

/* GENERATION, of GENERATION or GENERATION.N. */
static unsigned long generation_of(const char *path)
{
	return strtoul(strrchr(path, '/') + 1, NULL, 10);
}

/*
 * One of the keyring itself is better than another's, which a pool of the same name may have had; one that knows its
 * pool is better than one by a name alone, which a create that was killed may have left; then the newer one. Of one
 * second, the later generation; and GENERATION comes before GENERATION.1, which it replaced.
 */
static bool is_better(const struct header_copy *copy, const char *path, const struct search *s)
{
	if (is_of_wanted(s, path) != is_of_wanted(s, s->best_path))
		return is_of_wanted(s, path);
	if ((copy->pool_guid != 0) != (s->best.pool_guid != 0))
		return copy->pool_guid != 0;
	if (copy->saved != s->best.saved)
		return copy->saved > s->best.saved;
	if (generation_of(path) != generation_of(s->best_path))
		return generation_of(path) > generation_of(s->best_path);
	return strcmp(path, s->best_path) < 0;
}

/* Files that are no copies are passed over: they are an administrator's business. */
static enum err consider(struct search *s, const char *folder, const char *name, struct err_ctx *e)
{
	_cleanup_(header_copy_clearp) struct header_copy *copy = &(struct header_copy){ 0 };
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "%s/%s", folder, name);

	if (err)
		return err;
	if (header_copy_load(path, copy, NULL) != ERR_OK || !fits(copy, s->wanted->pool_guid, s->wanted->dataset))
		return ERR_OK;
	if (s->best_path && !is_better(copy, path, s))
		return ERR_OK;
	header_copy_clear(&s->best);
	free(s->best_path);
	s->best = *copy;
	s->best_path = TAKE(path);
	*copy = (struct header_copy){ 0 };
	return ERR_OK;
}

/* Calls visit() for each entry of a folder that is not hidden; a missing folder has none. */
static enum err for_each(const char *folder, struct search *s,
			 enum err (*visit)(struct search *, const char *, const char *, struct err_ctx *),
			 struct err_ctx *e)
{
	_cleanup_(dir_closep) DIR *d = opendir(folder);
	enum err err = ERR_OK;

	if (!d)
		return errno == ENOENT || errno == ENOTDIR ? ERR_OK : err_set_errno(e, ERR_IO, errno, "%s", folder);
	for (struct dirent *entry; !err && (entry = readdir(d));)
		if (entry->d_name[0] != '.')
			err = visit(s, folder, entry->d_name, e);
	return err;
}

static enum err consider_keyring(struct search *s, const char *folder, const char *name, struct err_ctx *e)
{
	_cleanup_free_ char *path = NULL;
	enum err err = str_format(&path, e, "%s/%s", folder, name);

	return err ? err : for_each(path, s, consider, e);
}

enum err header_copy_find(const struct copy_wanted *w, struct header_copy *ret, char **ret_path, struct err_ctx *e)
{
	struct search s = { .wanted = w };
	char uuid[UUID_TEXT_SIZE];

	if (w->keyring) {
		uuid_print(w->keyring, uuid);
		snprintf(s.folder, sizeof(s.folder), HEADER_PATH "/%s/", uuid);
	}
	enum err err = for_each(HEADER_PATH, &s, consider_keyring, e);

	if (!err && !s.best_path)
		err = err_set(e, ERR_NO_COPY, "no copy for %s in %s", w->dataset, HEADER_PATH);
	if (err) {
		header_copy_clear(&s.best);
		free(s.best_path);
		return err;
	}
	*ret = s.best;
	*ret_path = s.best_path;
	return ERR_OK;
}
