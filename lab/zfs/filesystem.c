/* SPDX-License-Identifier: MIT
 *
 * A file system's master node: what `zfs create` writes into it and `zfs get` reads from it.
 *
 * Guarantees: a file system made here has the properties that it was made with, and the kernel's version map.
 * Refuses: to be mounted: there is no root directory. Mounts are proven in virtual machines.
 */
#include "compat.h"

#include <sys/fs/zfs.h>
#include <sys/spa.h>
#include <sys/zap.h>
#include <sys/zfs_znode.h>
#include <zfs_comutil.h>
#include <zfs_prop.h>

/* The part of module/os/linux/zfs/zfs_znode.c that concerns the master node. */
void zfs_create_fs(objset_t *os, cred_t *cr, nvlist_t *zplprops, dmu_tx_t *tx)
{
	uint64_t version = zfs_zpl_version_map(spa_version(dmu_objset_spa(os)));
	uint64_t unlinked;

	(void)cr;
	VERIFY0(zap_create_claim(os, MASTER_NODE_OBJ, DMU_OT_MASTER_NODE, DMU_OT_NONE, 0, tx));
	for (nvpair_t *pair = nvlist_next_nvpair(zplprops, NULL); pair; pair = nvlist_next_nvpair(zplprops, pair)) {
		uint64_t value = fnvpair_value_uint64(pair);

		if (strcmp(nvpair_name(pair), zfs_prop_to_name(ZFS_PROP_VERSION)) != 0)
			VERIFY0(zap_update(os, MASTER_NODE_OBJ, nvpair_name(pair), 8, 1, &value, tx));
	}
	VERIFY0(zap_update(os, MASTER_NODE_OBJ, ZPL_VERSION_STR, 8, 1, &version, tx));
	unlinked = zap_create(os, DMU_OT_UNLINKED_SET, DMU_OT_NONE, 0, tx);
	VERIFY0(zap_add(os, MASTER_NODE_OBJ, ZFS_UNLINKED_SET, 8, 1, &unlinked, tx));
}

static int property_default(zfs_prop_t property, uint64_t *ret_value)
{
	switch (property) {
	case ZFS_PROP_VERSION:
		*ret_value = ZPL_VERSION;
		return 0;
	case ZFS_PROP_NORMALIZE:
	case ZFS_PROP_UTF8ONLY:
		*ret_value = 0;
		return 0;
	case ZFS_PROP_CASE:
		*ret_value = ZFS_CASE_SENSITIVE;
		return 0;
	case ZFS_PROP_ACLTYPE:
		*ret_value = ZFS_ACLTYPE_OFF;
		return 0;
	default:
		return ENOENT;
	}
}

int zfs_get_zplprop(objset_t *os, zfs_prop_t property, uint64_t *ret_value)
{
	const char *name = property == ZFS_PROP_VERSION ? ZPL_VERSION_STR : zfs_prop_to_name(property);
	int error = os ? zap_lookup(os, MASTER_NODE_OBJ, name, 8, 1, ret_value) : ENOENT;

	return error == ENOENT ? property_default(property, ret_value) : error;
}
