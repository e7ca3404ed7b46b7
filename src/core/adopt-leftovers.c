/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "core/adopt-leftovers.h"
#include "protector/vault.h"
#include "sys/file.h"
#include "sys/key-input.h"

enum { READ_TIMEOUT_MS = 60000, DESTROY_TIMEOUT_MS = 20000 };

#define FILE_SCHEME "file://"

static bool is_listed(const struct leftovers *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_equal(l->all[i].path, path))
			return true;
	return false;
}

static enum err add_file(struct leftovers *l, const char *path, struct err_ctx *e)
{
	if (l->n == LEFTOVERS_MAX || access(path, F_OK) < 0 || is_listed(l, path))
		return ERR_OK;
	enum err err = str_copy(path, &l->all[l->n].path, e);
	if (!err)
		l->n++;
	return err;
}

/* What cannot be read, or has no key's shape, is not proven; that is no error. */
static bool holds_key(const struct leftover_hints *h, const char *path)
{
	_cleanup_secret_ struct secret *content = NULL, *key = NULL;
	struct err_ctx ignored = { 0 };
	bool is_open;

	return h->key && !key_file_read(path, GIVEN_MAX, &content, &is_open, &ignored) &&
	       !adopt_key_make(content, h->check, &key, &ignored) && secret_equal(key, h->key);
}

static void prove_all(const struct leftover_hints *h, struct leftovers *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *path = l->all[i].path;
		const bool is_named = str_equal(path, h->key_file) || str_equal(path, h->location_file);

		/* To stretch a passphrase may take a minute: only for the files that somebody named. */
		if (is_named || h->check->format != KEY_FORMAT_PASSPHRASE)
			l->all[i].proven = holds_key(h, path);
	}
}

/* Length of /etc/zfs/tank in /etc/zfs/tank.key. */
static size_t stem_length(const char *path)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');

	return dot && (!slash || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);
}

/* What the usual recipes leave beside it: the seed that was sealed, the sealed object's two parts, a context. */
static enum err add_with_siblings(struct leftovers *l, const char *path, struct err_ctx *e)
{
	static const char *const endings[] = { ".key", ".key.seed", ".seed", ".pub", ".priv", ".ctx" };
	enum err err = add_file(l, path, e);

	for (size_t i = 0; !err && i < ARRAY_SIZE(endings); i++) {
		_cleanup_free_ char *beside = NULL;

		err = str_format(&beside, e, "%.*s%s", (int)stem_length(path), path, endings[i]);
		if (!err)
			err = add_file(l, beside, e);
	}
	return err;
}

static struct leftover *find_file(struct leftovers *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_equal(l->all[i].path, path))
			return &l->all[i];
	return NULL;
}

static enum err mark_needed(struct leftovers *l, const char *dataset, struct err_ctx *e)
{
	_cleanup_(zfs_properties_clearp) struct zfs_properties *all = &(struct zfs_properties){ 0 };
	const struct zfs_query q = {
		.properties = "keylocation", .recursive = true, .deadline = deadline_in(READ_TIMEOUT_MS),
	};
	enum err err = zfs_get(&q, all, e);

	for (size_t i = 0; !err && i < all->n; i++) {
		const struct zfs_property *p = &all->all[i];
		struct leftover *file = NULL;

		if (strncmp(p->value, FILE_SCHEME, strlen(FILE_SCHEME)) == 0 && !str_equal(p->dataset, dataset))
			file = find_file(l, p->value + strlen(FILE_SCHEME));
		if (file && !file->needed_by)
			err = str_copy(p->dataset, &file->needed_by, e);
	}
	return err;
}

static enum err add_jwe(const struct leftover_hints *h, struct leftovers *l, struct err_ctx *e)
{
	enum err err = add_file(l, h->jwe, e);
	struct leftover *file = err ? NULL : find_file(l, h->jwe);

	if (file)
		file->proven = h->jwe_opened;
	return err;
}

enum err leftovers_find(const struct leftover_hints *h, struct leftovers *l, struct err_ctx *e)
{
	enum err err = ERR_OK;

	if (h->key_file)
		err = add_with_siblings(l, h->key_file, e);
	if (!err && h->location_file)
		err = add_with_siblings(l, h->location_file, e);
	if (err)
		return err;
	prove_all(h, l);
	if (h->jwe)
		err = add_jwe(h, l, e);
	if (!err && h->kept)
		l->all[l->n++] = (struct leftover){ .kept = *h->kept, .proven = true };
	if (!err && h->entry)
		l->all[l->n++] = (struct leftover){ .entry = h->entry, .proven = h->entry_opened };
	return err || l->n == 0 ? err : mark_needed(l, h->dataset, e);
}

bool leftover_is_needed(const struct leftover *l)
{
	return l->needed_by || (l->entry && l->entry->has_more);
}

static enum err destroy_entry(const struct leftover *l, struct protector_context *context, struct err_ctx *e)
{
	struct vault *v;

	if (l->entry->has_more)
		return err_set(e, ERR_LEFTOVER_MORE, "the entry has other fields, too");
	enum err err = protector_vault_asking(context, deadline_in(DESTROY_TIMEOUT_MS), &v, e);
	return err ? err : vault_entry_destroy(v, l->entry, e);
}

enum err leftover_destroy(struct leftover *l, struct protector_context *context, struct err_ctx *e)
{
	struct tpm2 *tpm;
	enum err err = ERR_OK;

	if (l->needed_by)
		return err_set(e, ERR_LEFTOVER_SHARED, "%s is the keylocation of %s", l->path, l->needed_by);
	if (l->path) {
		err = file_remove(l->path, e);
	} else if (l->entry) {
		err = destroy_entry(l, context, e);
	} else {
		err = protector_tpm(context, &tpm, e);
		if (!err)
			err = tpm2_evict_kept(tpm, &l->kept, e);
	}
	l->destroyed = !err;
	return err;
}

void leftovers_clear(struct leftovers *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->all[i].path);
		free(l->all[i].needed_by);
	}
	*l = (struct leftovers){ 0 };
}
