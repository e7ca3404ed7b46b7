/* SPDX-License-Identifier: MIT
 *
 * Volumes (zvols) as objects in a pool, without block devices.
 *
 * Guarantees: a volume can be made, listed, encrypted, sent and received; its size and block size are checked.
 * Refuses: to give it a device or another size. Devices are proven in virtual machines.
 */
#include "compat.h"

#include <sys/dsl_prop.h>
#include <sys/zap.h>

enum { VOLUME_DATA_OBJECT = 1, VOLUME_PROPERTIES_OBJECT = 2 };

#define VOLUME_BLOCKSIZE_MAX (16u << 20)

int zvol_init(void)
{
	return 0;
}

void zvol_fini(void)
{
}

int zvol_check_volsize(uint64_t volsize, uint64_t blocksize)
{
	return volsize == 0 || volsize % blocksize != 0 ? EINVAL : 0;
}

int zvol_check_volblocksize(const char *name, uint64_t volblocksize)
{
	boolean_t power_of_two = (volblocksize & (volblocksize - 1)) == 0;

	(void)name;
	return volblocksize < SPA_MINBLOCKSIZE || volblocksize > VOLUME_BLOCKSIZE_MAX || !power_of_two ? EDOM : 0;
}

/* As in module/zfs/zvol.c; the two properties are taken out, since they live in the volume's own object. */
void zvol_create_cb(objset_t *os, void *arg, cred_t *cr, dmu_tx_t *tx)
{
	nvlist_t *properties = ((zfs_creat_t *)arg)->zct_props;
	uint64_t blocksize = ZVOL_DEFAULT_BLOCKSIZE;
	uint64_t size = fnvlist_lookup_uint64(properties, "volsize");

	(void)cr;
	(void)nvlist_lookup_uint64(properties, "volblocksize", &blocksize);
	(void)nvlist_remove_all(properties, "volsize");
	(void)nvlist_remove_all(properties, "volblocksize");
	VERIFY0(dmu_object_claim(os, VOLUME_DATA_OBJECT, DMU_OT_ZVOL, (int)blocksize, DMU_OT_NONE, 0, tx));
	VERIFY0(zap_create_claim(os, VOLUME_PROPERTIES_OBJECT, DMU_OT_ZVOL_PROP, DMU_OT_NONE, 0, tx));
	VERIFY0(zap_update(os, VOLUME_PROPERTIES_OBJECT, "size", 8, 1, &size, tx));
}

int zvol_get_stats(objset_t *os, nvlist_t *nv)
{
	dmu_object_info_t info;
	uint64_t size;
	int error = zap_lookup(os, VOLUME_PROPERTIES_OBJECT, "size", 8, 1, &size);

	if (error != 0)
		return error;
	dsl_prop_nvlist_add_uint64(nv, ZFS_PROP_VOLSIZE, size);
	error = dmu_object_info(os, VOLUME_DATA_OBJECT, &info);
	if (error == 0)
		dsl_prop_nvlist_add_uint64(nv, ZFS_PROP_VOLBLOCKSIZE, info.doi_data_block_size);
	return error;
}

int zvol_set_volsize(const char *name, uint64_t volsize)
{
	(void)name, (void)volsize;
	return ENOTSUP;
}

zvol_state_handle_t *zvol_suspend(const char *name)
{
	(void)name;
	return NULL;
}

int zvol_resume(zvol_state_handle_t *zv)
{
	(void)zv;
	return 0;
}

void *zvol_tag(zvol_state_handle_t *zv)
{
	(void)zv;
	return NULL;
}

/* Properties of the device alone: accepted, and of no effect. 2.1 has the first two, 2.3 the others. */

int zvol_set_snapdev(const char *name, zprop_source_t source, uint64_t value)
{
	(void)name, (void)source, (void)value;
	return 0;
}

int zvol_set_volmode(const char *name, zprop_source_t source, uint64_t value)
{
	(void)name, (void)source, (void)value;
	return 0;
}

int zvol_set_common(const char *name, zfs_prop_t property, zprop_source_t source, uint64_t value)
{
	(void)name, (void)property, (void)source, (void)value;
	return 0;
}

int zvol_set_ro(const char *name, boolean_t readonly)
{
	(void)name, (void)readonly;
	return 0;
}

int zvol_set_volthreading(const char *name, boolean_t threading)
{
	(void)name, (void)threading;
	return 0;
}
