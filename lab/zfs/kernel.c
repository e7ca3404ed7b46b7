/* SPDX-License-Identifier: MIT
 *
 * The part of a kernel that zfs_ioctl.c calls and libzpool has not: copies from and to user space, privileges, events,
 * and mounts, of which there are none.
 *
 * Guarantees: a caller who is not root gets the errno that the kernel's policy.c gives, or what `zfs allow` delegated.
 * Refuses: everything about a mounted file system (ENOTSUP) and events (none ever come).
 *
 * Some functions are in libzpool too, for a world where everybody is root and nothing is opened by number. The ones
 * here come first, since a program's definitions go before its libraries'.
 */
#include "compat.h"

#include <sys/fs/zfs.h>
#include <sys/policy.h>

__thread struct caller caller_current = { .channel = -1 };

/* User space and "kernel": call.c has brought everything into this address space already, or left it NULL. */

static int copy(const void *from, void *to, size_t size)
{
	if (!from || !to)
		return EFAULT;
	memcpy(to, from, size);
	return 0;
}

int ddi_copyin(const void *from, void *to, size_t size, int flags)
{
	(void)flags;
	return copy(from, to, size);
}

int ddi_copyout(const void *from, void *to, size_t size, int flags)
{
	(void)flags;
	return copy(from, to, size);
}

int xcopyout(const void *from, void *to, size_t size)
{
	return copy(from, to, size);
}

int copyinstr(const void *from, void *to, size_t size, size_t *ret_done)
{
	size_t length = strnlen(from, size);

	if (length == size)
		return ENAMETOOLONG;
	memcpy(to, from, length + 1);
	if (ret_done)
		*ret_done = length + 1;
	return 0;
}

/* Privileges. The errnos are those of module/os/linux/zfs/policy.c. */

int secpolicy_sys_config(const cred_t *cr, boolean_t check_only)
{
	(void)cr, (void)check_only;
	return caller_current.uid == 0 ? 0 : EPERM;
}

int secpolicy_zfs(const cred_t *cr)
{
	(void)cr;
	return caller_current.uid == 0 ? 0 : EACCES;
}

int secpolicy_zinject(const cred_t *cr)
{
	return secpolicy_zfs(cr);
}

uid_t crgetuid(cred_t *cr)
{
	(void)cr;
	return caller_current.uid;
}

gid_t crgetgid(cred_t *cr)
{
	(void)cr;
	return caller_current.gid;
}

int groupmember(gid_t gid, const cred_t *cr)
{
	(void)cr;
	return gid == caller_current.gid;
}

int is_system_labeled(void)
{
	return 0;
}

int zfs_proc_is_caller(proc_t *proc)
{
	(void)proc;
	return 1;
}

/* Mounted file systems: none. */

int zfs_vfs_ref(zfsvfs_t **ret_zfsvfs)
{
	*ret_zfsvfs = NULL;
	return ESRCH;
}

boolean_t zfs_vfs_held(zfsvfs_t *zfsvfs)
{
	(void)zfsvfs;
	return B_FALSE;
}

void zfs_vfs_rele(zfsvfs_t *zfsvfs)
{
	(void)zfsvfs;
}

int zfsvfs_create(const char *name, boolean_t readonly, zfsvfs_t **ret_zfsvfs)
{
	(void)name, (void)readonly, (void)ret_zfsvfs;
	return ENOTSUP;
}

void zfsvfs_free(zfsvfs_t *zfsvfs)
{
	(void)zfsvfs;
}

int zfs_suspend_fs(zfsvfs_t *zfsvfs)
{
	(void)zfsvfs;
	return ENOTSUP;
}

int zfs_resume_fs(zfsvfs_t *zfsvfs, void *ds)
{
	(void)zfsvfs, (void)ds;
	return ENOTSUP;
}

int zfs_end_fs(zfsvfs_t *zfsvfs, void *ds)
{
	(void)zfsvfs, (void)ds;
	return ENOTSUP;
}

int zfsctl_snapshot_unmount(const char *name, int flags)
{
	(void)name, (void)flags;
	return ENOENT;
}

int zfs_set_version(zfsvfs_t *zfsvfs, uint64_t version)
{
	(void)zfsvfs, (void)version;
	return ENOTSUP;
}

int zfs_set_userquota(zfsvfs_t *zfsvfs, int type, const char *domain, uint64_t rid, uint64_t quota)
{
	(void)zfsvfs, (void)type, (void)domain, (void)rid, (void)quota;
	return ENOTSUP;
}

int zfs_userspace_one(zfsvfs_t *zfsvfs, int type, const char *domain, uint64_t rid, uint64_t *ret_value)
{
	(void)zfsvfs, (void)type, (void)domain, (void)rid, (void)ret_value;
	return ENOTSUP;
}

int zfs_userspace_many(zfsvfs_t *zfsvfs, int type, uint64_t *cookie, void *buffer, uint64_t *size)
{
	(void)zfsvfs, (void)type, (void)cookie, (void)buffer, (void)size;
	return ENOTSUP;
}

void ZFS_TEARDOWN_ENTER_READ(zfsvfs_t *zfsvfs, const void *tag)
{
	(void)zfsvfs, (void)tag;
}

void ZFS_TEARDOWN_ENTER_WRITE(zfsvfs_t *zfsvfs, const void *tag)
{
	(void)zfsvfs, (void)tag;
}

void ZFS_TEARDOWN_EXIT(zfsvfs_t *zfsvfs, const void *tag)
{
	(void)zfsvfs, (void)tag;
}

void zfs_ioctl_update_mount_cache(const char *name)
{
	(void)name;
}

/* Start and end of the module: kernel_init() of libzpool did the first, a kill does the second. */

void module_spa_init(spa_mode_t mode)
{
	(void)mode;
}

int zfsdev_attach(void)
{
	return 0;
}

void zfsdev_detach(void)
{
}

void zfs_init(void)
{
}

void zfs_fini(void)
{
}

void zfs_ioctl_init_os(void)
{
}

void zfs_ereport_taskq_fini(void)
{
}

uint64_t zfs_max_nvlist_src_size_os(void)
{
	return 128 << 20;
}

/* Events: none has ever been posted. */

void zfs_zevent_init(zfs_zevent_t **ret_ze)
{
	*ret_ze = NULL;
}

void zfs_zevent_destroy(zfs_zevent_t *ze)
{
	(void)ze;
}

void zfs_zevent_drain_all(int *ret_count)
{
	*ret_count = 0;
}

zfs_file_t *zfs_zevent_fd_hold(int fd, minor_t *ret_minor, zfs_zevent_t **ret_ze)
{
	static zfs_file_t reader;

	(void)fd;
	*ret_minor = 0;
	*ret_ze = NULL;
	return &reader;
}

void zfs_zevent_fd_rele(zfs_file_t *file)
{
	(void)file;
}

int zfs_zevent_next(zfs_zevent_t *ze, nvlist_t **ret_event, uint64_t *size, uint64_t *ret_dropped)
{
	(void)ze, (void)ret_event, (void)size, (void)ret_dropped;
	return ENOENT;
}

int zfs_zevent_wait(zfs_zevent_t *ze)
{
	(void)ze;
	return ENOTSUP;
}

int zfs_zevent_seek(zfs_zevent_t *ze, uint64_t eid)
{
	(void)ze, (void)eid;
	return ENOTSUP;
}
