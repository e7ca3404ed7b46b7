/* SPDX-License-Identifier: MIT */
/*
 * The lines that matter, of `zpool history -i`, in ZFS 2.1 to 2.4 (spa_history_log_internal_ds()):
 *
 *	2026-11-23.10:48:07 [txg:7] set tank/vm (54) zseal:slot.tpm2={"v":1,…}
 *	2026-11-23.10:48:07 [txg:6] inherit tank/vm (54) zseal:slot.tpm2=
 *
 * A history that is full overwrites its oldest records, but for those of the pool's making, which stay for ever: the first
 * header of a pool that `zseal create` made can always be found.
 */
#include <ctype.h>
#include <string.h>

#include "core/history.h"
#include "core/inventory.h"

enum { READ_TIMEOUT_MS = 120000 };

/* One property of one dataset that was set, or removed (value NULL). */
struct change {
	uint64_t txg;
	uint64_t object;
	const char *name;
	const char *value;
};

struct history {
	char *text;
	size_t n;
	struct change *changes; /* oldest first */
	struct zfs_properties numbers; /* objsetid of each dataset that there is now */
};

static void history_clear(struct history *h)
{
	free(h->changes);
	free(h->text);
	zfs_properties_clear(&h->numbers);
}
DEFINE_CLEANUP(struct history *, history_clear)

void found_headers_clear(struct found_headers *f)
{
	for (unsigned i = 0; i < f->n; i++)
		header_copy_clear(&f->all[i]);
	f->n = 0;
}

/* ---- lines ---- */

/* The number behind *at, which is moved behind it. */
static bool take_number(char **at, uint64_t *ret)
{
	if (!isdigit((unsigned char)**at))
		return false;
	*ret = strtoull(*at, at, 10);
	return true;
}

static bool take_word(char **at, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*at, word, n) != 0)
		return false;
	*at += n;
	return true;
}

/* A dataset's name may hold blanks and brackets of no kind: the last " (" before the property's name is the number's. */
static bool take_object(char **at, uint64_t *ret)
{
	char *property = strstr(*at, ") zseal:");

	if (!property)
		return false;
	for (*at = property; isdigit((unsigned char)(*at)[-1]);)
		--*at;
	if ((*at)[-1] != '(' || !take_number(at, ret))
		return false;
	*at = property + strlen(") ");
	return true;
}

/* Cuts the line into its parts, in place. False for a line about anything else. */
static bool parse_line(char *line, struct change *ret)
{
	char *at = strstr(line, " [txg:");
	struct change c = { 0 };

	if (!at || !take_word(&at, " [txg:") || !take_number(&at, &c.txg) || !take_word(&at, "] "))
		return false;
	const bool set = take_word(&at, "set ");
	if ((!set && !take_word(&at, "inherit ")) || !take_object(&at, &c.object))
		return false;
	c.name = strsep(&at, "=");
	if (!at)
		return false;
	c.value = set ? at : NULL;
	*ret = c;
	return true;
}

static enum err add_change(struct history *h, const struct change *c, struct err_ctx *e)
{
	/* doubling: whenever it is full, its size is a power of two */
	if ((h->n & (h->n - 1)) == 0) {
		struct change *more = reallocarray(h->changes, h->n ? 2 * h->n : 1, sizeof(*more));

		if (!more)
			return err_set(e, ERR_NO_MEMORY, "room for the pool's history");
		h->changes = more;
	}
	h->changes[h->n++] = *c;
	return ERR_OK;
}

static enum err parse_text(struct history *h, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (char *rest = h->text, *line; !err && (line = strsep(&rest, "\n"));) {
		struct change c;

		if (parse_line(line, &c))
			err = add_change(h, &c, e);
	}
	return err;
}

static enum err load(const char *pool, struct history *h, struct err_ctx *e)
{
	const struct zfs_query q = {
		.datasets = &pool, .n_datasets = 1, .properties = "objsetid", .recursive = true,
		.deadline = deadline_in(READ_TIMEOUT_MS),
	};
	enum err err = zfs_history_read(pool, q.deadline, &h->text, e);

	if (!err)
		err = zfs_get(&q, &h->numbers, e);
	return err ? err : parse_text(h, e);
}

/* ---- what a dataset had ---- */

/* The name that a dataset has now, or NULL. */
static const char *name_of(const struct history *h, uint64_t object)
{
	for (size_t i = 0; i < h->numbers.n; i++)
		if (strtoull(h->numbers.all[i].value, NULL, 10) == object)
			return h->numbers.all[i].dataset;
	return NULL;
}

/* True if nothing after change number i, up to the end of transaction txg, concerns the same property. */
static bool is_last_until(const struct history *h, size_t i, uint64_t txg)
{
	for (size_t j = i + 1; j < h->n && h->changes[j].txg <= txg; j++)
		if (h->changes[j].object == h->changes[i].object && str_equal(h->changes[j].name, h->changes[i].name))
			return false;
	return true;
}

static enum err append(struct header_copy_value **all, size_t *n, const char *name, const char *value,
		       struct err_ctx *e)
{
	struct header_copy_value *more = reallocarray(*all, *n + 1, sizeof(*more));

	if (!more)
		return err_set(e, ERR_NO_MEMORY, "room for a header");
	*all = more;
	struct header_copy_value *v = &more[(*n)++];
	*v = (struct header_copy_value){ 0 };
	enum err err = str_copy(name, &v->name, e);
	return err ? err : str_copy(value, &v->value, e);
}

/* The slots of the keyring's dataset as they were at the end of the transaction that wrote the keyring. */
static enum err collect_slots(const struct history *h, const struct change *keyring, struct header_copy *copy,
			      struct err_ctx *e)
{
	const size_t prefix = strlen(PROPERTY_SLOT_PREFIX);
	enum err err = ERR_OK;

	for (size_t i = 0; !err && i < h->n && h->changes[i].txg <= keyring->txg; i++) {
		const struct change *c = &h->changes[i];

		if (c->object == keyring->object && c->value && strncmp(c->name, PROPERTY_SLOT_PREFIX, prefix) == 0 &&
		    copy->n_slots < SLOTS_MAX && is_last_until(h, i, keyring->txg))
			err = append(&copy->slots, &copy->n_slots, c->name + prefix, c->value, e);
	}
	return err;
}

static struct header_copy_value *record_of(const struct header_copy *copy, const char *dataset)
{
	for (size_t i = 0; i < copy->n_records; i++)
		if (str_equal(copy->records[i].name, dataset))
			return &copy->records[i];
	return NULL;
}

static enum err take_older(struct header_copy_value *record, const char *value, struct err_ctx *e)
{
	_cleanup_free_ char *made = NULL;
	enum err err = str_copy(value, &made, e);

	if (err)
		return err;
	free(record->value);
	record->value = TAKE(made);
	return ERR_OK;
}

static bool is_record_below(const struct history *h, const struct change *c, const char *folder, const char **ret)
{
	struct records records;

	if (!c->value || !str_equal(c->name, PROPERTY_KEY) || records_parse(c->value, &records, NULL))
		return false;
	*ret = name_of(h, c->object);
	return *ret && dataset_is_below(*ret, folder);
}

/*
 * Of each dataset below, the newest that is a record; skip 1: the one before that, and so on, as far back as there is
 * one. A vandal may have written another root's later, which only ZFS can tell.
 */
static enum err collect_records(const struct history *h, unsigned skip, struct header_copy *copy, struct err_ctx *e)
{
	_cleanup_free_ unsigned *skipped = calloc(h->numbers.n + 1, sizeof(*skipped));
	enum err err = skipped ? ERR_OK : err_set(e, ERR_NO_MEMORY, "room for records");

	for (size_t i = h->n; !err && i > 0; i--) {
		const struct change *c = &h->changes[i - 1];
		const char *dataset;

		if (!is_record_below(h, c, copy->dataset, &dataset))
			continue;
		struct header_copy_value *record = record_of(copy, dataset);
		if (!record)
			err = append(&copy->records, &copy->n_records, dataset, c->value, e);
		else if (!str_equal(record->value, c->value) && skipped[record - copy->records]++ < skip)
			err = take_older(record, c->value, e);
	}
	return err;
}

static enum err collect(const struct history *h, const struct change *keyring, unsigned skip, struct header_copy *copy,
			struct err_ctx *e)
{
	const char *dataset = name_of(h, keyring->object);
	_cleanup_free_ char *pool = NULL;
	enum err err = str_format(&pool, e, "%.*s", (int)zfs_pool_name_length(dataset), dataset);

	if (!err)
		err = str_copy(dataset, &copy->dataset, e);
	if (!err)
		err = str_copy(keyring->value, &copy->keyring, e);
	if (!err)
		err = collect_slots(h, keyring, copy, e);
	if (!err)
		err = collect_records(h, skip, copy, e);
	copy->pool = TAKE(pool);
	return err;
}

static bool is_keyring_above(const struct history *h, const struct change *c, const char *dataset)
{
	struct keyring_property p;

	if (!c->value || !str_equal(c->name, PROPERTY_KEYRING) || keyring_property_parse(c->value, &p, NULL))
		return false;
	const char *name = name_of(h, c->object);
	return name && dataset_is_below(dataset, name);
}

enum err history_find(const char *pool, const char *dataset, struct found_headers *ret, struct err_ctx *e)
{
	enum { RECORDS_TRIED = 4 }; /* this far back at least, however few headers there were */
	_cleanup_(history_clearp) struct history *h = &(struct history){ 0 };
	_cleanup_(found_headers_clearp) struct found_headers *found = &(struct found_headers){ 0 };
	const struct change *oldest = NULL;
	enum err err = load(pool, h, e);

	for (size_t i = h->n; !err && i > 0 && found->n < FOUND_HEADERS_MAX; i--) {
		if (!is_keyring_above(h, &h->changes[i - 1], dataset))
			continue;
		oldest = &h->changes[i - 1];
		err = collect(h, oldest, found->n, &found->all[found->n], e);
		found->n++;
	}
	while (!err && oldest && found->n < RECORDS_TRIED) {
		err = collect(h, oldest, found->n, &found->all[found->n], e);
		found->n++;
	}
	if (err)
		return err;
	*ret = *found;
	found->n = 0;
	return ERR_OK;
}
