/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/mount.h"
#include "event/event.h"
#include "event/progress.h"
#include "sys/path.h"
#include "sys/process.h"

/* Reading, and what keeps a mount from being started; one that was started is waited for. */
enum { TIMEOUT_MS = 60000 };

#define MOUNT_PROPERTIES "encryptionroot,encryption,mountpoint,canmount,mounted"

/* ---- where nothing may be mounted ---- */

/*
 * Folders that root runs programs from or takes orders from, as Debian and Proxmox VE have them. What people do mount
 * (/home, /srv, /opt, /var/lib/vz, /var/lib/mysql, /POOL …) is not among them.
 */
static const char *const system_folders[] = {
	"/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libo32", "/libx32", "/proc", "/root", "/run",
	"/sbin", "/sys", "/usr", "/var/lib/cloud", "/var/lib/dkms", "/var/lib/dpkg", "/var/lib/polkit-1",
	"/var/lib/pve-cluster", "/var/lib/systemd", "/var/lib/zseal", "/var/lock", "/var/run", "/var/spool/cron",
};

static bool is_allowed(const char *path, const struct config *config)
{
	for (unsigned i = 0; i < config->n_mount_allowed; i++)
		if (path_is_below(path, config->mount_allowed[i]))
			return true;
	return false;
}

static enum err check_folders(const char *path, struct err_ctx *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_folders); i++) {
		const char *folder = system_folders[i];

		if (str_equal(path, folder))
			return err_set(e, ERR_MOUNT_POINT, "%s is a system folder", folder);
		if (path_is_below(path, folder))
			return err_set(e, ERR_MOUNT_POINT, "%.128s lies in the system folder %s", path, folder);
		if (path_is_below(folder, path))
			return err_set(e, ERR_MOUNT_POINT, "%.128s would hide the system folder %s", path, folder);
	}
	return ERR_OK;
}

static enum err check_mountpoint(const char *mountpoint, const struct config *config, struct err_ctx *e)
{
	char path[PATH_MAX];

	if (!path_normalise(mountpoint, path))
		return err_set(e, ERR_MOUNT_POINT, "%.128s is no absolute path without ..", mountpoint);
	return is_allowed(path, config) ? ERR_OK : check_folders(path, e);
}

static bool is_meant_to_be_mounted(const struct file_system *fs)
{
	return str_equal(fs->canmount, "on") && !str_equal(fs->mountpoint, "none") &&
	       !str_equal(fs->mountpoint, "legacy") && !str_equal(fs->mountpoint, "-");
}

enum mount_verdict mount_judge(const struct file_system *fs, const struct config *config, struct err_ctx *e)
{
	if (!is_meant_to_be_mounted(fs))
		return MOUNT_SKIP;
	if (str_equal(fs->encryption, "off")) {
		err_set(e, ERR_MOUNT_UNENCRYPTED, "it lies below an encryption root%s; whoever has the disks can make "
			"such a one", fs->mounted ? " and was mounted by others" : "");
		return MOUNT_REFUSE;
	}
	if (fs->mounted)
		return MOUNT_ALREADY;
	return check_mountpoint(fs->mountpoint, config, e) ? MOUNT_REFUSE : MOUNT_GO;
}

/*
 * What is on the way, as the machine is now. A link is refused even where zseal.conf allows its path: it is allowed by
 * what is there, and that is elsewhere.
 */
static enum err check_way(const char *mountpoint, struct err_ctx *e)
{
	char path[PATH_MAX];
	size_t length;

	if (!path_normalise(mountpoint, path))
		return err_set(e, ERR_BUG, "%.128s was judged otherwise", mountpoint);
	if (path_is_plain(path, &length))
		return ERR_OK;
	return err_set(e, ERR_MOUNT_POINT, "%.*s is a symbolic link, or no folder: name where it leads",
		       (int)(length < 128 ? length : 128), path);
}

/* ---- what there is ---- */

/* A dataset's lines. */
struct candidate {
	struct file_system fs;
	const char *root; /* "-" if it is not encrypted */
};

static void take_property(struct candidate *c, const struct zfs_property *p)
{
	const struct {
		const char *name;
		const char **place;
	} places[] = {
		{ "encryptionroot", &c->root }, { "encryption", &c->fs.encryption },
		{ "mountpoint", &c->fs.mountpoint }, { "canmount", &c->fs.canmount },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (str_equal(p->name, places[i].name))
			*places[i].place = p->value;
	if (str_equal(p->name, "mounted"))
		c->fs.mounted = str_equal(p->value, "yes");
}

/* The dataset that begins at *at; moves *at behind it. */
static struct candidate next_candidate(const struct zfs_properties *all, size_t *at)
{
	const char *name = all->all[*at].dataset;
	struct candidate c = {
		.root = "-",
		.fs = { .dataset = name, .encryption = "-", .mountpoint = "-", .canmount = "-" },
	};

	for (; *at < all->n && str_equal(all->all[*at].dataset, name); (*at)++)
		take_property(&c, &all->all[*at]);
	return c;
}

/* By mount point, since that is what hides; of one mount point by name, as ZFS lists them. */
static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = strcmp(x->fs.mountpoint, y->fs.mountpoint);

	return order ? order : strcmp(x->fs.dataset, y->fs.dataset);
}

struct candidates {
	size_t n;
	struct candidate *all;
};

static enum err read_candidates(const struct mount_request *r, struct mount_results *res, struct candidates *ret,
				struct err_ctx *e)
{
	const struct zfs_query q = {
		.datasets = r->datasets, .n_datasets = r->n_datasets, .properties = MOUNT_PROPERTIES, .recursive = true,
		.deadline = deadline_in(TIMEOUT_MS),
	};
	enum err err = zfs_get(&q, &res->properties, e);

	if (err)
		return err;
	ret->all = calloc(res->properties.n + 1, sizeof(*ret->all));
	if (!ret->all)
		return err_set(e, ERR_NO_MEMORY, "room for the file systems");
	for (size_t at = 0; at < res->properties.n;)
		ret->all[ret->n++] = next_candidate(&res->properties, &at);
	qsort(ret->all, ret->n, sizeof(*ret->all), compare);
	return ERR_OK;
}

/* ---- doing it ---- */

/* What is done to each: says false if it is no business of ours, else fills rr but for its names. */
struct job {
	bool (*decide)(const struct mount_request *r, const struct candidate *c, struct mount_result *mr);
	enum event_id done, failed;
	bool backwards;
};

static void report(const struct mount_request *r, const struct job *job, const struct mount_result *mr)
{
	if (r->dry_run || (mr->outcome != OUTCOME_DONE && mr->outcome != OUTCOME_FAILED))
		return;
	event_emit(&(struct event){
		.id = mr->outcome == OUTCOME_DONE ? job->done : job->failed,
		.dataset = mr->dataset,
		.error = mr->outcome == OUTCOME_FAILED ? &mr->error : NULL,
	});
}

/* Makes room for one result more. Only what concerns the roots has one: pools may hold much else. */
static enum err grow(struct mount_results *res, struct err_ctx *e)
{
	struct mount_result *more = reallocarray(res->all, res->n + 1, sizeof(*more));

	if (!more)
		return err_set(e, ERR_NO_MEMORY, "room for the result");
	res->all = more;
	res->all[res->n] = (struct mount_result){ 0 };
	return ERR_OK;
}

static enum err do_one(const struct mount_request *r, const struct job *job, const struct candidate *c,
		       struct mount_results *res, struct err_ctx *e)
{
	enum err err = process_interrupted(e);

	if (!err)
		err = grow(res, e);
	if (err)
		return err;
	struct mount_result *mr = &res->all[res->n];
	mr->dataset = c->fs.dataset;
	mr->mountpoint = c->fs.mountpoint;
	if (job->decide(r, c, mr)) {
		res->n++;
		report(r, job, mr);
	}
	return ERR_OK;
}

static enum err do_all(const struct mount_request *r, const struct job *job, struct mount_results *ret,
		       struct err_ctx *e)
{
	struct candidates found = { 0 };
	enum err err = read_candidates(r, ret, &found, e);

	for (size_t i = 0; !err && i < found.n; i++) {
		progress_tell(job->backwards ? "unmounting" : "mounting", i, found.n);
		err = do_one(r, job, &found.all[job->backwards ? found.n - 1 - i : i], ret, e);
	}
	free(found.all);
	return err;
}

/*
 * Asked when zfs failed: a `zfs mount -a` beside us mounts some and fails us for it, and `zfs unmount` takes along what
 * is below, wherever that is mounted. What is as it should be is no failure.
 */
static bool is_settled(const char *dataset, const char *mounted)
{
	const struct zfs_query q = {
		.datasets = &dataset, .n_datasets = 1, .properties = "mounted", .deadline = deadline_in(TIMEOUT_MS),
	};
	_cleanup_(zfs_properties_clearp) struct zfs_properties *p = &(struct zfs_properties){ 0 };

	return zfs_get(&q, p, NULL) == ERR_OK && p->n == 1 && str_equal(p->all[0].value, mounted);
}

static enum err mount_now(const char *dataset, struct err_ctx *e)
{
	enum err err = zfs_mount(dataset, deadline_in(TIMEOUT_MS), e);

	if (!err || !is_settled(dataset, "yes"))
		return err;
	err_clear(e);
	return ERR_OK;
}

static enum err unmount_now(const char *dataset, struct err_ctx *e)
{
	enum err err = zfs_unmount(dataset, deadline_in(TIMEOUT_MS), e);

	if (!err || !is_settled(dataset, "no"))
		return err;
	err_clear(e);
	return ERR_OK;
}

/* ---- mounting ---- */

static bool is_unlocked(const struct root_result *rr)
{
	return rr->outcome == OUTCOME_DONE || rr->outcome == OUTCOME_ALREADY || rr->outcome == OUTCOME_WOULD;
}

/* The root that a file system is encrypted under, or that one lies below that is not encrypted; NULL if none of ours. */
static const struct root_result *unlocked_root_of(const struct unlock_result *res, const struct candidate *c)
{
	for (size_t i = 0; i < res->n_roots; i++) {
		const struct root_result *rr = &res->roots[i];

		if (is_unlocked(rr) && (str_equal(c->root, "-") ? dataset_is_below(c->fs.dataset, rr->root->dataset)
								: str_equal(c->root, rr->root->dataset)))
			return rr;
	}
	return NULL;
}

/* See the head of mount.h for what a root must be whose key was there before. */
static enum err check_root(const struct root_result *rr, struct err_ctx *e)
{
	const struct root *root = rr->root;

	if (rr->outcome != OUTCOME_ALREADY)
		return ERR_OK;
	if (!root->keyring)
		return err_set(e, ERR_NO_KEYRING, "its encryption root %s is not zseal's", root->dataset);
	if (!str_equal(root->location, "prompt"))
		return err_set(e, ERR_ZFS_PROPERTY, "the key of %s was loaded by others, from keylocation=%.128s, not "
			       "prompt", root->dataset, root->location);
	return ERR_OK;
}

static enum err mount_and_look(const char *dataset, const char *mountpoint, struct err_ctx *e)
{
	char path[PATH_MAX];
	enum err err = mount_now(dataset, e);

	if (err || (path_normalise(mountpoint, path) && path_is_mount(path)))
		return err;
	err = unmount_now(dataset, e);
	if (err)
		return err_wrap(e, err, "it was mounted elsewhere than on %.128s", mountpoint);
	return err_set(e, ERR_MOUNT_POINT, "it was mounted elsewhere than on %.128s, and unmounted again", mountpoint);
}

static bool decide_mount(const struct mount_request *r, const struct candidate *c, struct mount_result *mr)
{
	const struct root_result *rr = unlocked_root_of(r->unlocked, c);
	enum mount_verdict verdict = rr ? mount_judge(&c->fs, r->config, &mr->error) : MOUNT_SKIP;
	enum err err = ERR_OK;

	if (verdict == MOUNT_SKIP)
		return false;
	if (verdict == MOUNT_GO)
		err = check_root(rr, &mr->error);
	if (verdict == MOUNT_GO && !err)
		err = check_way(c->fs.mountpoint, &mr->error);
	if (verdict == MOUNT_GO && !err && !r->dry_run)
		err = mount_and_look(c->fs.dataset, c->fs.mountpoint, &mr->error);
	if (err || verdict == MOUNT_REFUSE)
		mr->outcome = OUTCOME_FAILED;
	else
		mr->outcome = verdict == MOUNT_ALREADY ? OUTCOME_ALREADY : r->dry_run ? OUTCOME_WOULD : OUTCOME_DONE;
	return true;
}

enum err mount_roots(const struct mount_request *r, struct mount_results *ret, struct err_ctx *e)
{
	return do_all(r, &(struct job){ decide_mount, EVENT_MOUNTED, EVENT_MOUNT_REFUSED, false }, ret, e);
}

/* ---- unmounting ---- */

static bool will_be_locked(const struct inventory *inv, const char *root)
{
	for (size_t i = 0; i < inv->n_roots; i++)
		if (str_equal(inv->roots[i].dataset, root))
			return root_is_lockable(&inv->roots[i]);
	return false;
}

static bool decide_unmount(const struct mount_request *r, const struct candidate *c, struct mount_result *mr)
{
	if (!c->fs.mounted || !will_be_locked(r->inventory, c->root))
		return false;
	if (r->dry_run)
		mr->outcome = OUTCOME_WOULD;
	else if (unmount_now(c->fs.dataset, &mr->error))
		mr->outcome = OUTCOME_FAILED;
	return true;
}

enum err unmount_roots(const struct mount_request *r, struct mount_results *ret, struct err_ctx *e)
{
	return do_all(r, &(struct job){ decide_unmount, EVENT_UNMOUNTED, EVENT_LOCK_REFUSED, true }, ret, e);
}

void mount_results_clear(struct mount_results *r)
{
	free(r->all);
	zfs_properties_clear(&r->properties);
	*r = (struct mount_results){ 0 };
}
