/* SPDX-License-Identifier: MIT
 *
 * What ZFS's own zfs_ioctl.c expects from a kernel's headers, for user space. Force-included before it, and included
 * by everything else in the engine.
 *
 * Guarantees: the types here have the members that zfs_ioctl.c touches; nothing else looks into them.
 * Refuses: to change ZFS: each definition stands for one that its headers hide unless _KERNEL is defined.
 */
#pragma once

#include <stdio.h>
#include <sys/dataset_kstats.h>
#include <sys/dmu.h>
#include <sys/dmu_objset.h>
#include <sys/nvpair.h>
#include <sys/rrwlock.h>
#include <sys/zfs_context.h>
#include <sys/zfs_ioctl.h>
#include <sys/zvol.h>

/* sys/uio_impl.h makes sense in a kernel only. */
#define _SYS_UIO_IMPL_H

/* From sys/zfs_ioctl.h */
typedef struct zfs_creat {
	nvlist_t *zct_zplprops;
	nvlist_t *zct_props;
} zfs_creat_t;

enum zfsdev_state_type { ZST_ONEXIT, ZST_ZEVENT, ZST_ALL };

typedef struct zfsdev_state {
	struct zfsdev_state *zs_next;
	minor_t zs_minor;
	void *zs_onexit;
	void *zs_zevent;
} zfsdev_state_t;

extern void *zfsdev_get_state(minor_t minor, enum zfsdev_state_type which);
extern uint_t zfs_fsyncer_key;
extern uint_t zfs_allow_log_key;

/* From sys/zfs_vfsops_os.h: a mounted file system, of which there is none here. */
typedef struct zfsvfs {
	objset_t *z_os;
	uint64_t z_version;
	rrmlock_t z_teardown_lock;
	boolean_t z_unmounted;
} zfsvfs_t;

typedef struct zfs_onexit zfs_onexit_t;
typedef struct zfs_zevent zfs_zevent_t;
struct zvol_state;
typedef struct zvol_state zvol_state_handle_t;

/* Linux's flag for an ioctl that a kernel makes itself. */
#define FKIOCTL 0x80000000

/* Whom the calling thread works for; threads of ZFS's own work for root, as in the kernel. The channel hangs up when
 * the caller dies; it is -1 where there is none. */
struct caller {
	uid_t uid;
	gid_t gid;
	int channel;
};

extern __thread struct caller caller_current;

/* Declared by a kernel's headers, defined in kernel.c. */
extern int copyinstr(const void *from, void *to, size_t size, size_t *ret_done);
extern int ddi_copyin(const void *from, void *to, size_t size, int flags);
extern int ddi_copyout(const void *from, void *to, size_t size, int flags);
extern int xcopyout(const void *from, void *to, size_t size);
extern int groupmember(gid_t gid, const cred_t *cr);
extern int is_system_labeled(void);
extern int secpolicy_sys_config(const cred_t *cr, boolean_t check_only);
extern int secpolicy_zinject(const cred_t *cr);
extern int zfs_proc_is_caller(proc_t *proc);
extern int zfs_end_fs(zfsvfs_t *zfsvfs, void *ds);
extern int zfs_resume_fs(zfsvfs_t *zfsvfs, void *ds);
extern int zfs_set_version(zfsvfs_t *zfsvfs, uint64_t version);
extern int zfs_suspend_fs(zfsvfs_t *zfsvfs);
extern int zfsctl_snapshot_unmount(const char *name, int flags);
extern int zfsvfs_create(const char *name, boolean_t readonly, zfsvfs_t **ret_zfsvfs);
extern void zfsvfs_free(zfsvfs_t *zfsvfs);
extern void ZFS_TEARDOWN_ENTER_READ(zfsvfs_t *zfsvfs, const void *tag);
extern void ZFS_TEARDOWN_ENTER_WRITE(zfsvfs_t *zfsvfs, const void *tag);
extern void ZFS_TEARDOWN_EXIT(zfsvfs_t *zfsvfs, const void *tag);
extern void zfs_fini(void);
extern void zfs_init(void);
extern void zfs_zevent_destroy(zfs_zevent_t *ze);
extern void zfs_zevent_drain_all(int *ret_count);
extern zfs_file_t *zfs_zevent_fd_hold(int fd, minor_t *ret_minor, zfs_zevent_t **ret_ze);
extern void zfs_zevent_fd_rele(zfs_file_t *file);
extern void zfs_zevent_init(zfs_zevent_t **ret_ze);
extern int zfs_zevent_next(zfs_zevent_t *ze, nvlist_t **ret_event, uint64_t *size, uint64_t *ret_dropped);
extern int zfs_zevent_seek(zfs_zevent_t *ze, uint64_t eid);
extern int zfs_zevent_wait(zfs_zevent_t *ze);

/* Defined in filesystem.c. */
extern void zfs_create_fs(objset_t *os, cred_t *cr, nvlist_t *zplprops, dmu_tx_t *tx);
extern int zfs_get_zplprop(objset_t *os, zfs_prop_t property, uint64_t *ret_value);

/* Defined in onexit.c. */
extern void zfs_onexit_destroy(zfs_onexit_t *zo);
extern void zfs_onexit_init(zfs_onexit_t **ret_zo);

/* Defined in volume.c. */
extern int zvol_check_volblocksize(const char *name, uint64_t volblocksize);
extern int zvol_check_volsize(uint64_t volsize, uint64_t blocksize);
extern void zvol_create_cb(objset_t *os, void *arg, cred_t *cr, dmu_tx_t *tx);
extern void zvol_fini(void);
extern int zvol_get_stats(objset_t *os, nvlist_t *nv);
extern int zvol_init(void);
extern int zvol_resume(zvol_state_handle_t *zv);
extern int zvol_set_common(const char *name, zfs_prop_t property, zprop_source_t source, uint64_t value);
extern int zvol_set_ro(const char *name, boolean_t readonly);
extern int zvol_set_snapdev(const char *name, zprop_source_t source, uint64_t value);
extern int zvol_set_volmode(const char *name, zprop_source_t source, uint64_t value);
extern int zvol_set_volsize(const char *name, uint64_t volsize);
extern int zvol_set_volthreading(const char *name, boolean_t threading);
extern zvol_state_handle_t *zvol_suspend(const char *name);
extern void *zvol_tag(zvol_state_handle_t *zv);
