/* SPDX-License-Identifier: MIT */
#include "core/history.h"
#include "core/sources.h"

void sources_clear(struct sources *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		keyring_free(s->all[i].keyring);
		header_copy_clear(&s->all[i].copy);
		free(s->all[i].where);
	}
	*s = (struct sources){ 0 };
}

enum err sources_add(struct sources *s, const struct source_place *p, struct header_copy *copy, const char *where,
		     struct err_ctx *e)
{
	struct source made = { 0 };

	if (s->n == SOURCES_MAX)
		return ERR_OK;
	enum err err = str_copy(where, &made.where, e);
	if (!err)
		err = backup_keyring(copy, &made.keyring, e);
	if (err) {
		free(made.where);
		return err;
	}
	/* it is opened as this pool's keyring: what this machine remembers of that one must hold for it too */
	made.keyring->pool = p->pool;
	made.keyring->pool_guid = p->pool_guid;
	made.copy = *copy;
	*copy = (struct header_copy){ 0 };
	s->all[s->n++] = made;
	return ERR_OK;
}

enum err sources_add_file(struct sources *s, const struct source_place *p, const char *path, struct err_ctx *e)
{
	_cleanup_(header_copy_clearp) struct header_copy *copy = &(struct header_copy){ 0 };
	enum err err = header_copy_load(path, copy, e);

	if (!err)
		err = header_copy_move(copy, p->dataset, copy->pool_guid == p->pool_guid, e);
	return err ? err : sources_add(s, p, copy, path, e);
}

enum err sources_add_kept(struct sources *s, const struct source_place *p, struct err_ctx *e)
{
	_cleanup_(kept_copies_clearp) struct kept_copies *kept = &(struct kept_copies){ 0 };
	const struct copy_wanted wanted = {
		.pool_guid = p->pool_guid, .dataset = p->dataset, .keyring = p->keyring, .any_pool = p->any_pool,
	};
	enum err err = header_copies_find(&wanted, kept, e);

	for (unsigned i = 0; !err && i < kept->n; i++)
		err = sources_add(s, p, &kept->all[i].copy, kept->all[i].path, e);
	return err;
}

enum err sources_add_history(struct sources *s, const struct source_place *p, struct err_ctx *e)
{
	_cleanup_(found_headers_clearp) struct found_headers *found = &(struct found_headers){ 0 };
	_cleanup_free_ char *where = NULL;
	enum err err = history_find(p->pool, p->dataset, found, e);

	if (!err)
		err = str_format(&where, e, "the history of pool %s", p->pool);
	for (unsigned i = 0; !err && i < found->n; i++) {
		const unsigned before = s->n;

		found->all[i].pool_guid = p->pool_guid;
		err = sources_add(s, p, &found->all[i], where, e);
		if (!err && s->n > before)
			s->all[before].is_history = true;
	}
	return err;
}
