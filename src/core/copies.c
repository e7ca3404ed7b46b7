/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "core/copies.h"
#include "core/inventory.h"
#include "sys/file.h"

enum { DATASET_MAX = 255 }; /* bytes of a dataset's name in a copy (docs/format.md, section 12) */

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

/* ---- names ---- */

/* Exchanges the first from characters of a name. Errors: ERR_NO_MEMORY, ERR_NO_COPY. */
static enum err rename_one(char **name, size_t from, const char *to, size_t to_length, struct err_ctx *e)
{
	_cleanup_free_ char *made = NULL;
	enum err err = str_format(&made, e, "%.*s%s", (int)to_length, to, *name + from);

	if (!err && strlen(made) > DATASET_MAX)
		err = err_set(e, ERR_NO_COPY, "%s is too long for a dataset's name", made);
	if (err)
		return err;
	free(*name);
	*name = TAKE(made);
	return ERR_OK;
}

static enum err rename_all(struct header_copy *copy, size_t from, const char *to, size_t to_length, struct err_ctx *e)
{
	_cleanup_free_ char *old = NULL;
	enum err err = str_format(&old, e, "%.*s", (int)from, copy->dataset);

	if (!err)
		err = rename_one(&copy->dataset, from, to, to_length, e);
	for (size_t i = 0; !err && i < copy->n_records; i++)
		if (dataset_is_below(copy->records[i].name, old))
			err = rename_one(&copy->records[i].name, from, to, to_length, e);
	return err;
}

enum err header_copy_move(struct header_copy *copy, const char *dataset, bool same_pool, struct err_ctx *e)
{
	size_t pool = strcspn(dataset, "/"), old = strcspn(copy->dataset, "/");
	enum err err = ERR_OK;

	if (dataset_is_below(dataset, copy->dataset))
		return ERR_OK;
	if (same_pool && (pool != old || strncmp(dataset, copy->dataset, pool) != 0))
		err = rename_all(copy, old, dataset, pool, e);
	if (!err && !dataset_is_below(dataset, copy->dataset))
		err = rename_all(copy, strlen(copy->dataset), dataset, strlen(dataset), e);
	return err;
}

/* ---- finding ---- */

void kept_copy_clear(struct kept_copy *c)
{
	header_copy_clear(&c->copy);
	free(TAKE(c->path));
}

void kept_copies_clear(struct kept_copies *c)
{
	for (unsigned i = 0; i < c->n; i++)
		kept_copy_clear(&c->all[i]);
	c->n = 0;
}

struct search {
	const struct copy_wanted *wanted;
	char folder[sizeof(HEADER_PATH) + 1 + UUID_TEXT_SIZE]; /* of the wanted keyring, with a slash behind it */
	struct kept_copies found;
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
 * A copy written just before its pool was made has no GUID yet: then the names decide. One whose names are others now
 * may be of another keyring of the same pool; where this one's is known, that is told.
 */
static bool fits(const struct search *s, const struct kept_copy *c)
{
	const struct copy_wanted *w = s->wanted;

	if (c->copy.pool_guid == 0)
		return dataset_is_below(w->dataset, c->copy.dataset);
	if (c->copy.pool_guid == w->pool_guid && dataset_is_below(w->dataset, c->copy.dataset))
		return true;
	if (w->keyring && !is_of_wanted(s, c->path))
		return false;
	return c->copy.pool_guid == w->pool_guid || w->any_pool;
}

/* What makes one copy better than another, weightiest first. */
static unsigned worth(const struct search *s, const struct kept_copy *c)
{
	const struct copy_wanted *w = s->wanted;
	struct keyring_property p;
	const bool asked = w->generation && keyring_property_parse(c->copy.keyring, &p, NULL) == ERR_OK &&
			   p.rings[0].ring.generation == w->generation;

	/* a pool of the same name may have had another keyring; one by a name alone a create that was killed may have left */
	return (is_of_wanted(s, c->path) ? 16u : 0) | (c->copy.pool_guid == w->pool_guid ? 8u : 0) |
	       (c->copy.pool_guid != 0 ? 4u : 0) | (c->moved ? 0 : 2u) | (asked ? 1u : 0);
}

/* Of one second, the later generation; and GENERATION comes before GENERATION.1, which it replaced. */
static bool is_better(const struct search *s, const struct kept_copy *a, const struct kept_copy *b)
{
	unsigned worth_a = worth(s, a), worth_b = worth(s, b);

	if (worth_a != worth_b)
		return worth_a > worth_b;
	if (a->copy.saved != b->copy.saved)
		return a->copy.saved > b->copy.saved;
	if (generation_of(a->path) != generation_of(b->path))
		return generation_of(a->path) > generation_of(b->path);
	return strcmp(a->path, b->path) < 0;
}

/* Takes it over; of too many the worst goes. */
static void insert(struct search *s, struct kept_copy *c)
{
	struct kept_copies *found = &s->found;
	unsigned at = found->n;

	while (at > 0 && is_better(s, c, &found->all[at - 1]))
		at--;
	if (at == KEPT_COPIES_MAX)
		return;
	if (found->n == KEPT_COPIES_MAX)
		kept_copy_clear(&found->all[--found->n]);
	memmove(&found->all[at + 1], &found->all[at], (found->n - at) * sizeof(found->all[0]));
	found->all[at] = *c;
	found->n++;
	*c = (struct kept_copy){ 0 };
}

/* Files that are no copies are passed over: they are an administrator's business. */
static enum err consider(struct search *s, const char *folder, const char *name, struct err_ctx *e)
{
	_cleanup_(kept_copy_clearp) struct kept_copy *c = &(struct kept_copy){ 0 };
	enum err err = str_format(&c->path, e, "%s/%s", folder, name);

	if (!err)
		err = header_copy_load(c->path, &c->copy, NULL);
	/* the newest must not be passed over for want of memory */
	if (err == ERR_NO_MEMORY)
		return err_set(e, err, "looking for copies in %s", folder);
	if (err || !fits(s, c))
		return ERR_OK;
	c->moved = !dataset_is_below(s->wanted->dataset, c->copy.dataset);
	err = header_copy_move(&c->copy, s->wanted->dataset, c->copy.pool_guid == s->wanted->pool_guid, e);
	if (err == ERR_NO_COPY)
		return ERR_OK;
	if (!err)
		insert(s, c);
	return err;
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

enum err header_copies_find(const struct copy_wanted *w, struct kept_copies *ret, struct err_ctx *e)
{
	struct search s = { .wanted = w };
	char uuid[UUID_TEXT_SIZE];

	if (w->keyring) {
		uuid_print(w->keyring, uuid);
		snprintf(s.folder, sizeof(s.folder), HEADER_PATH "/%s/", uuid);
	}
	enum err err = for_each(HEADER_PATH, &s, consider_keyring, e);

	if (err)
		kept_copies_clear(&s.found);
	else
		*ret = s.found;
	return err;
}

enum err header_copy_find(const struct copy_wanted *w, struct kept_copy *ret, struct err_ctx *e)
{
	_cleanup_(kept_copies_clearp) struct kept_copies *all = &(struct kept_copies){ 0 };
	enum err err = header_copies_find(w, all, e);

	if (!err && all->n == 0)
		err = err_set(e, ERR_NO_COPY, "no copy for %s in %s", w->dataset, HEADER_PATH);
	if (err)
		return err;
	*ret = all->all[0];
	all->all[0] = (struct kept_copy){ 0 };
	return ERR_OK;
}
