/* SPDX-License-Identifier: MIT */
/*
 * Wrapping keys: load, prove, unload, change. Each is one ioctl of libzfs_core's, and so is all or nothing.
 *
 * The key goes from its secret straight to libzfs_core, which packs copies of it for the kernel and frees them as they
 * are; they are wiped because this program's free() wipes (design, section 10).
 */
#include <errno.h>
#include <libzfs_core.h>

#include "zfs/internal.h"

/* DCP_CMD_NEW_KEY of sys/dsl_crypt.h, a header that includes what 2.3 does not install. */
enum { COMMAND_NEW_KEY = 2 };

/* module/zfs/dsl_crypt.c: spa_keystore_load_wkey(), spa_keystore_change_key_check() */
static const struct zfs_reason load_reasons[] = {
	{ EACCES, ERR_ZFS_KEY_WRONG, NULL },
	{ EINVAL, ERR_ZFS_NOT_ROOT, NULL },
	{ 0 },
};

static const struct zfs_reason unload_reasons[] = {
	{ EBUSY, ERR_ZFS_BUSY, "it, or what inherits its key, is mounted or open" },
	{ 0 },
};

static const struct zfs_reason change_reasons[] = {
	{ EACCES, ERR_ZFS_DENIED, "its present key is not loaded" },
	{ EINVAL, ERR_ZFS_NOT_ROOT, "no encryption root, or a clone" },
	{ 0 },
};

static enum err check_arguments(const char *dataset, const struct secret *key, struct err_ctx *e)
{
	if (secret_size(key) != KEY_SIZE)
		return err_set(e, ERR_BUG, "a wrapping key of %zu bytes for %s", secret_size(key), dataset);
	return zfs_check_name(dataset, e);
}

/* libzfs_core's prototypes lack a const; it does not write there. */
static uint8_t *bytes_of(const struct secret *key)
{
	return (uint8_t *)secret_data(key);
}

enum err zfs_load_key(struct zfs *z, const char *dataset, const struct secret *key, bool *ret_was_loaded,
		      struct err_ctx *e)
{
	(void)z;
	enum err err = check_arguments(dataset, key, e);

	if (err)
		return err;
	int sys_errno = lzc_load_key(dataset, B_FALSE, bytes_of(key), KEY_SIZE);
	/* Only the right key gets EEXIST. */
	if (sys_errno && sys_errno != EEXIST)
		return zfs_fail(load_reasons, sys_errno, "loading the key of", dataset, e);
	*ret_was_loaded = sys_errno == EEXIST;
	return ERR_OK;
}

enum err zfs_prove_key(struct zfs *z, const char *dataset, const struct secret *key, struct err_ctx *e)
{
	(void)z;
	enum err err = check_arguments(dataset, key, e);

	if (err)
		return err;
	int sys_errno = lzc_load_key(dataset, B_TRUE, bytes_of(key), KEY_SIZE);
	return sys_errno ? zfs_fail(load_reasons, sys_errno, "proving the key of", dataset, e) : ERR_OK;
}

enum err zfs_unload_key(struct zfs *z, const char *dataset, bool *ret_was_loaded, struct err_ctx *e)
{
	(void)z;
	enum err err = zfs_check_name(dataset, e);

	if (err)
		return err;
	int sys_errno = lzc_unload_key(dataset);
	if (sys_errno && sys_errno != EACCES)
		return zfs_fail(unload_reasons, sys_errno, "unloading the key of", dataset, e);
	*ret_was_loaded = sys_errno == 0;
	return ERR_OK;
}

/* Without keylocation: with it, ZFS would make an encryption root of a child that is none. */
enum err zfs_change_key(struct zfs *z, const char *dataset, const struct secret *key, struct err_ctx *e)
{
	enum err err = check_arguments(dataset, key, e);

	if (err)
		return err;
	int sys_errno = lzc_change_key(dataset, COMMAND_NEW_KEY, z->raw, bytes_of(key), KEY_SIZE);
	return sys_errno ? zfs_fail(change_reasons, sys_errno, "changing the key of", dataset, e) : ERR_OK;
}
