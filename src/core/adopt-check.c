/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <string.h>

#include "core/adopt-check.h"
#include "sys/file.h"

enum {
	READ_TIMEOUT_MS = 60000,
	ITERATIONS_MAX = 50000000, /* a minute or less; zfs itself makes 350,000 */
	UNIT_MAX = 1 << 20,        /* bytes of a unit that are looked at */
};

#define UNITS_PATH "/etc/systemd/system"
#define LISTS_PATH "/etc/zfs/zfs-list.cache"

#define POOL_PROPERTIES \
	"encryptionroot,origin,receive_resume_token," PROPERTY_KEY
#define FILE_SCHEME "file://"

struct look {
	const char *dataset;
	bool replica;
	struct zfs_properties pool; /* POOL_PROPERTIES of every dataset in its pool */
	struct zfs_properties own;  /* everything of the dataset itself */
	struct adopt_check *check;
};

printf_like(4, 5) static void find(struct adopt_check *c, enum err code, bool refuses, const char *fmt, ...)
{
	struct finding *f = &c->findings[c->n];
	char text[ERR_PLACE_MAX];
	va_list ap;

	if (c->n == FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)!err_set(&f->error, code, "%s", text);
	f->refuses = refuses;
	c->n++;
}

/* "a, b, c and 4 more": names as far as they fit. */
struct names {
	char text[160];
	size_t used, n, n_left_out;
};

static void names_add(struct names *l, const char *name)
{
	size_t length = strlen(name) + 2;

	l->n++;
	if (l->n_left_out > 0 || l->used + length >= sizeof(l->text)) {
		l->n_left_out++;
		return;
	}
	l->used += (size_t)snprintf(l->text + l->used, sizeof(l->text) - l->used, "%s%s", l->used ? ", " : "", name);
}

static void find_names(struct adopt_check *c, enum err code, bool refuses, const struct names *l)
{
	if (l->n == 0)
		return;
	if (l->n_left_out > 0)
		find(c, code, refuses, "%s and %zu more", l->text, l->n_left_out);
	else
		find(c, code, refuses, "%s", l->text);
}

static const struct zfs_property *own(const struct look *l, const char *name)
{
	for (size_t i = 0; i < l->own.n; i++)
		if (str_equal(l->own.all[i].name, name))
			return &l->own.all[i];
	return NULL;
}

static const char *own_value(const struct look *l, const char *name)
{
	const struct zfs_property *p = own(l, name);

	return p ? p->value : "-";
}

/* ---- the root itself ---- */

static enum err check_is_root(const struct look *l, struct err_ctx *e)
{
	const char *root = own_value(l, "encryptionroot");

	if (str_equal(root, l->dataset))
		return ERR_OK;
	if (str_equal(root, "-"))
		return err_set(e, ERR_ZFS_NOT_ENCRYPTED, "%s", l->dataset);
	return err_set(e, ERR_ZFS_NOT_ROOT, "%s belongs to %s", l->dataset, root);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	return *end ? 0 : n;
}

static enum err take_format(const struct look *l, struct err_ctx *e)
{
	const char *format = own_value(l, "keyformat");
	struct adopt_check *c = l->check;

	if (str_equal(format, "raw"))
		c->format = KEY_FORMAT_RAW;
	else if (str_equal(format, "hex"))
		c->format = KEY_FORMAT_HEX;
	else if (str_equal(format, "passphrase"))
		c->format = KEY_FORMAT_PASSPHRASE;
	else
		return err_set(e, ERR_ZFS_PROPERTY, "%s has keyformat=%.32s", l->dataset, format);
	if (c->format != KEY_FORMAT_PASSPHRASE)
		return ERR_OK;
	c->stretch.salt = number(own_value(l, "pbkdf2salt"));
	c->stretch.iterations = number(own_value(l, "pbkdf2iters"));
	if (c->stretch.iterations < 1 || c->stretch.iterations > ITERATIONS_MAX)
		find(c, ERR_ZFS_PROPERTY, true, "%s has pbkdf2iters=%llu; zseal takes 1 to %d", l->dataset,
		     (unsigned long long)c->stretch.iterations, ITERATIONS_MAX);
	return ERR_OK;
}

static enum err take_location(const struct look *l, struct err_ctx *e)
{
	const char *location = own_value(l, "keylocation");
	struct adopt_check *c = l->check;

	c->located = str_equal(location, "prompt");
	if (strncmp(location, "https://", 8) == 0 || strncmp(location, "http://", 7) == 0)
		find(c, ERR_ADOPT_HTTPS, false, "%s has keylocation=%.128s", l->dataset, location);
	if (strncmp(location, FILE_SCHEME "/", sizeof(FILE_SCHEME)) != 0)
		return ERR_OK;
	return str_copy(location + strlen(FILE_SCHEME), &c->key_file, e);
}

/* Slots or a record without the keyring that they would belong to. */
static void check_taken(const struct look *l)
{
	struct names strangers = { 0 };

	if (own(l, PROPERTY_KEYRING))
		return;
	for (size_t i = 0; i < l->own.n; i++)
		if (strncmp(l->own.all[i].name, "zseal:", strlen("zseal:")) == 0)
			names_add(&strangers, l->own.all[i].name);
	find_names(l->check, ERR_ADOPT_TAKEN, true, &strangers);
}

static void check_received(const struct look *l)
{
	struct names received = { 0 };
	const bool changes = l->check->format != KEY_FORMAT_RAW;

	for (size_t i = 0; i < l->own.n; i++)
		if (str_equal(l->own.all[i].source, "received"))
			names_add(&received, l->own.all[i].name);
	if (received.n == 0 || l->replica)
		return;
	if (changes)
		find(l->check, ERR_ADOPT_REPLICA, true, "%s was received: %s", l->dataset, received.text);
	else
		find_names(l->check, ERR_ADOPT_RECEIVED, false, &received);
}

/* ---- the others in its pool ---- */

struct neighbour {
	const char *name, *root, *origin, *token;
	bool has_record;
};

static struct neighbour next_neighbour(const struct zfs_properties *all, size_t *at)
{
	struct neighbour n = { .name = all->all[*at].dataset, .root = "-", .origin = "-", .token = "-" };

	for (; *at < all->n && str_equal(all->all[*at].dataset, n.name); (*at)++) {
		const struct zfs_property *p = &all->all[*at];

		if (str_equal(p->name, "encryptionroot"))
			n.root = p->value;
		else if (str_equal(p->name, "origin"))
			n.origin = p->value;
		else if (str_equal(p->name, "receive_resume_token"))
			n.token = p->value;
		else if (str_equal(p->name, PROPERTY_KEY))
			n.has_record = !p->inherited && !str_equal(p->value, "-");
	}
	return n;
}

static void check_neighbours(const struct look *l)
{
	struct names half = { 0 }, roots = { 0 }, shared = { 0 }, below = { 0 };

	for (size_t at = 0; at < l->pool.n;) {
		const struct neighbour n = next_neighbour(&l->pool, &at);
		const bool uses_key = str_equal(n.root, l->dataset), is_below = dataset_is_below(n.name, l->dataset);

		if ((uses_key || str_equal(n.name, l->dataset)) && !str_equal(n.token, "-"))
			names_add(&half, n.name);
		if (str_equal(n.name, l->dataset))
			continue;
		if (is_below && str_equal(n.root, n.name) && !n.has_record)
			names_add(&roots, n.name);
		if (uses_key && (!is_below || !str_equal(n.origin, "-")))
			names_add(&shared, n.name);
		else if (uses_key)
			names_add(&below, n.name);
	}
	find_names(l->check, ERR_ADOPT_HALF_RECEIVED, true, &half);
	find_names(l->check, ERR_ADOPT_CHILDREN, false, &roots);
	find_names(l->check, ERR_ADOPT_SHARED, false, &shared);
	if (l->check->format == KEY_FORMAT_PASSPHRASE)
		find_names(l->check, ERR_ADOPT_REWRAP, false, &below);
}

/* ---- what loads the key at boot ---- */

static bool unit_loads_keys(const char *name, const char *key_file)
{
	_cleanup_free_ char *path = NULL, *text = NULL;

	if (str_format(&path, NULL, UNITS_PATH "/%s", name) || file_read(path, UNIT_MAX, &text, NULL))
		return false;
	return strstr(text, "load-key") || (key_file && strstr(text, key_file));
}

static void check_units(const struct look *l)
{
	DIR *units = opendir(UNITS_PATH);
	_cleanup_free_ char *list = NULL, *text = NULL;
	struct names found = { 0 };

	for (struct dirent *d; units && (d = readdir(units));)
		if (*d->d_name != '.' && unit_loads_keys(d->d_name, l->check->key_file))
			names_add(&found, d->d_name);
	if (units)
		closedir(units);
	if (!str_format(&list, NULL, LISTS_PATH "/%.*s", (int)zfs_pool_name_length(l->dataset), l->dataset) &&
	    !file_read(list, UNIT_MAX, &text, NULL))
		names_add(&found, "zfs-mount-generator");
	find_names(l->check, ERR_ADOPT_UNITS, false, &found);
}

/* ---- all of it ---- */

static enum err read_own(struct look *l, struct err_ctx *e)
{
	const struct zfs_query q = {
		.datasets = &l->dataset, .n_datasets = 1, .deadline = deadline_in(READ_TIMEOUT_MS),
		.properties = "all,pbkdf2salt", /* the salt is one that `all` leaves out */
	};

	return zfs_get(&q, &l->own, e);
}

static enum err read_pool(struct look *l, struct err_ctx *e)
{
	char pool[DATASET_NAME_MAX + 1];
	const char *name = pool;
	const struct zfs_query q = {
		.datasets = &name, .n_datasets = 1, .properties = POOL_PROPERTIES, .recursive = true,
		.deadline = deadline_in(READ_TIMEOUT_MS),
	};

	snprintf(pool, sizeof(pool), "%.*s", (int)zfs_pool_name_length(l->dataset), l->dataset);
	return zfs_get(&q, &l->pool, e);
}

static enum err look_at(struct look *l, struct err_ctx *e)
{
	enum err err = read_own(l, e);

	if (!err)
		err = read_pool(l, e);
	if (!err && !str_equal(own_value(l, "receive_resume_token"), "-"))
		return err_set(e, ERR_ADOPT_HALF_RECEIVED, "%s", l->dataset);
	if (!err)
		err = check_is_root(l, e);
	if (!err)
		err = take_format(l, e);
	if (!err)
		err = take_location(l, e);
	if (err)
		return err;
	check_taken(l);
	check_received(l);
	check_neighbours(l);
	check_units(l);
	return ERR_OK;
}

enum err adopt_check_load(const char *dataset, bool replica, struct adopt_check *ret, struct err_ctx *e)
{
	struct look l = { .dataset = dataset, .replica = replica, .check = ret };
	enum err err = look_at(&l, e);

	zfs_properties_clear(&l.pool);
	zfs_properties_clear(&l.own);
	return err;
}

enum err adopt_check_refusal(const struct adopt_check *c, struct err_ctx *e)
{
	for (size_t i = 0; i < c->n; i++) {
		if (!c->findings[i].refuses)
			continue;
		*e = c->findings[i].error;
		return e->code;
	}
	return ERR_OK;
}

void adopt_check_clear(struct adopt_check *c)
{
	free(c->key_file);
	*c = (struct adopt_check){ 0 };
}
