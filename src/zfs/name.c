/* SPDX-License-Identifier: MIT */
/* Names, by the rules of module/zcommon/zfs_namecheck.c (entity_namecheck, pool_namecheck) and ZFS's property names. */
#include <string.h>

#include "zfs/internal.h"

enum {
	POOL_NAME_MAX = 239,     /* bytes: leaves room for "/$ORIGIN@$ORIGIN" */
	PROPERTY_NAME_MAX = 255, /* bytes: ZAP_MAXNAMELEN - 1 */
	VALUE_MAX = 8191,        /* bytes: ZAP_MAXVALUELEN - 1 */
};

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static bool is_one_of(const char *name, size_t length, const char *const *words)
{
	for (; *words; words++)
		if (length == strlen(*words) && memcmp(name, *words, length) == 0)
			return true;
	return false;
}

/* '%' is only in names that ZFS itself makes while it receives, and hides. */
static bool component_is_valid(const char *name, size_t length)
{
	static const char *const refused[] = { ".", "..", NULL };
	size_t good = strspn(name, LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_.: ");

	return length > 0 && good >= length && !is_one_of(name, length, refused);
}

static bool pool_is_valid(const char *name, size_t length)
{
	static const char *const reserved[] = { "mirror", "raidz", "draid", NULL };
	char first = name[0] | ('a' ^ 'A');

	return first >= 'a' && first <= 'z' && length <= POOL_NAME_MAX && !is_one_of(name, length, reserved);
}

size_t zfs_pool_name_length(const char *dataset)
{
	return strcspn(dataset, "/");
}

bool zfs_name_is_valid(const char *name)
{
	if (strlen(name) > DATASET_NAME_MAX || !pool_is_valid(name, zfs_pool_name_length(name)))
		return false;
	for (;; name++) {
		size_t length = strcspn(name, "/");

		if (!component_is_valid(name, length))
			return false;
		name += length;
		if (*name == '\0')
			return true;
	}
}

enum err zfs_check_name(const char *dataset, struct err_ctx *e)
{
	if (!zfs_name_is_valid(dataset))
		return err_set(e, ERR_USAGE, "'%.128s' is no dataset's name", dataset);
	return ERR_OK;
}

/* zfs_prop_user() in module/zcommon/zfs_prop.c: what has no colon would be one of ZFS's own properties. */
static bool is_user_property(const char *name)
{
	return strchr(name, ':') && name[strspn(name, LOWER DIGITS ":-_.+")] == '\0';
}

enum err zfs_check_change(const struct zfs_change *change, struct err_ctx *e)
{
	size_t name = strlen(change->name), value = change->value ? strlen(change->value) : 0;

	if (name > PROPERTY_NAME_MAX)
		return err_set(e, ERR_TOO_LARGE, "the name %.32s… has %zu bytes", change->name, name);
	if (value > VALUE_MAX)
		return err_set(e, ERR_TOO_LARGE, "%.128s would have %zu bytes", change->name, value);
	if (!is_user_property(change->name))
		return err_set(e, ERR_BUG, "'%.128s' is no user property", change->name);
	return ERR_OK;
}
