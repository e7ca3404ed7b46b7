/* SPDX-License-Identifier: MIT */
/*
 * Writing properties, by a channel program: the one way to compare, set and remove in one transaction.
 *
 * The program is short, since ZFS writes its text and arguments into the pool's history, and values are its arguments,
 * never part of its text. It compares, asks ZFS whether each change would be allowed, and only then makes them: ZFS
 * does not undo what a program did before it failed. Three things could end it half-way:
 *  - a signal: ZFS looks for one after every 100 instructions. Ours are held back; the empty loop makes sure that one
 *    that cannot be held, and came while the transaction waited for its turn, is seen before the first change.
 *  - no room: ZFS counts 96 KiB for each check and for each change, out of a reserve that data cannot fill. Should it
 *    end between the last check and the last change, the error says "in part".
 *  - a crash: then nothing of the transaction is on disk.
 */
#include <errno.h>
#include <libzfs_core.h>
#include <string.h>

#include "zfs/internal.h"

enum {
	INSTRUCTIONS_MAX = 100000, /* 32 slots need some 2,000 */
	MEMORY_MAX = 4 << 20,      /* bytes; 32 slots of 8 KiB need less than one MiB. libzfs_core makes a buffer so large */
};

/* The result is 0, an errno, or a negative errno if it failed when some changes were made already. */
static const char program[] =
	"local a = ...\n"
	"local d = a.dataset\n"
	"if not zfs.exists(d) then return ENOENT end\n"
	"local v, from = zfs.get_prop(d, a.expect)\n"
	"if not a.value and from ~= d and from ~= '$recvd' then v = nil end\n"
	"if v ~= a.value then return ECANCELED end\n"
	"local done\n"
	"local function change(how)\n"
	"	done = 0\n"
	"	for i, name in ipairs(a.set) do\n"
	"		local err = how.set_prop(d, name, a.to[i])\n"
	"		if err ~= 0 then return err end\n"
	"		done = done + 1\n"
	"	end\n"
	"	for _, name in ipairs(a.remove) do\n"
	"		local err = how.inherit(d, name)\n"
	"		if err ~= 0 then return err end\n"
	"		done = done + 1\n"
	"	end\n"
	"	return 0\n"
	"end\n"
	"local err = change(zfs.check)\n"
	"if err ~= 0 then return err end\n"
	"for _ = 1, 200 do end\n"
	"err = change(zfs.sync)\n"
	"return done > 0 and -err or err\n";

/* What the kernel answers itself, instead of the program: out of memory is ENOSPC there. */
static const struct zfs_reason call_reasons[] = {
	{ EPERM, ERR_NOT_ROOT, NULL },
	{ ENOSPC, ERR_NO_MEMORY, "the channel program needs more" },
	{ 0 },
};

static void free_list(nvlist_t *list)
{
	nvlist_free(list);
}
DEFINE_CLEANUP(nvlist_t *, free_list)
#define _cleanup_list_ _cleanup_(free_listp)

/* The changes as arrays, because a table's order is lost: names to set and their values, names to remove. */
struct change_arrays {
	uint_t n_set, n_removed;
	const char **set, **to, **removed;
};

static void sort_changes(const struct zfs_write *w, struct change_arrays *a)
{
	for (size_t i = 0; i < w->n_changes; i++) {
		const struct zfs_change *change = &w->changes[i];

		if (change->value) {
			a->set[a->n_set] = change->name;
			a->to[a->n_set++] = change->value;
		} else {
			a->removed[a->n_removed++] = change->name;
		}
	}
}

/* Casts to void *: the type of the parameter got its consts in 2.2. */
static bool add_changes(nvlist_t *args, const struct zfs_write *w)
{
	size_t n = w->n_changes;
	const char **room = calloc(3 * n + 1, sizeof(*room));

	if (!room)
		return false;
	struct change_arrays a = { .set = room, .to = room + n, .removed = room + 2 * n };
	sort_changes(w, &a);
	bool added = nvlist_add_string_array(args, "set", (void *)a.set, a.n_set) == 0 &&
		     nvlist_add_string_array(args, "to", (void *)a.to, a.n_set) == 0 &&
		     nvlist_add_string_array(args, "remove", (void *)a.removed, a.n_removed) == 0;
	free(room);
	return added;
}

static enum err make_arguments(const struct zfs_write *w, nvlist_t **ret, struct err_ctx *e)
{
	_cleanup_list_ nvlist_t *args = NULL;

	if (nvlist_alloc(&args, NV_UNIQUE_NAME, 0) != 0 || nvlist_add_string(args, "dataset", w->dataset) != 0 ||
	    nvlist_add_string(args, "expect", w->expect_name) != 0 ||
	    (w->expect_value && nvlist_add_string(args, "value", w->expect_value) != 0) || !add_changes(args, w))
		return err_set(e, ERR_NO_MEMORY, "room for the properties of %s", w->dataset);
	*ret = TAKE(args);
	return ERR_OK;
}

/*
 * The program was stopped by an error that Lua or ZFS threw. "Could not open pool" is what ZFS says of whatever kept
 * the transaction from being started (zcp_eval() in module/zfs/zcp.c); what is missing, read-only or suspended it has
 * refused before, so that a pool without room is left.
 */
static enum err fail_thrown(const struct zfs_write *w, nvlist_t *out, struct err_ctx *e)
{
	static const char no_room[] = "Could not open pool";
	const char *said = "";

	if (out)
		(void)nvlist_lookup_string(out, ZCP_RET_ERROR, (void *)&said);
	if (strncmp(said, no_room, strlen(no_room)) == 0)
		return err_set(e, ERR_ZFS_FULL, "writing the properties of %s", w->dataset);
	return err_set(e, ERR_ZFS_FAILED, "writing the properties of %s: %.*s", w->dataset, (int)strcspn(said, "\n"),
		       said);
}

static enum err read_result(const struct zfs_write *w, int sys_errno, nvlist_t *out, struct err_ctx *e)
{
	int64_t result = 0;

	if (sys_errno == ECHRNG)
		return fail_thrown(w, out, e);
	if (sys_errno)
		return zfs_fail(call_reasons, sys_errno, "writing the properties of", w->dataset, e);
	if (!out || nvlist_lookup_int64(out, ZCP_RET_RETURN, &result) != 0)
		return err_set(e, ERR_ZFS_FAILED, "writing the properties of %s: no result", w->dataset);
	if (result == ECANCELED)
		return err_set(e, ERR_ZFS_RACED, "%s of %s is not what it was", w->expect_name, w->dataset);
	if (result < 0)
		return zfs_fail(NULL, (int)-result, "writing, in part, the properties of", w->dataset, e);
	return result ? zfs_fail(NULL, (int)result, "writing the properties of", w->dataset, e) : ERR_OK;
}

static enum err check_write(const struct zfs_write *w, struct err_ctx *e)
{
	enum err err = zfs_check_name(w->dataset, e);

	for (size_t i = 0; !err && i < w->n_changes; i++)
		err = zfs_check_change(&w->changes[i], e);
	return err ? err : zfs_check_change(&(struct zfs_change){ w->expect_name, w->expect_value }, e);
}

enum err zfs_write_properties(struct zfs *z, const struct zfs_write *w, struct err_ctx *e)
{
	_cleanup_list_ nvlist_t *args = NULL, *out = NULL;
	char pool[DATASET_NAME_MAX + 1];

	(void)z;
	enum err err = check_write(w, e);
	if (!err)
		err = make_arguments(w, &args, e);
	if (err)
		return err;
	snprintf(pool, sizeof(pool), "%.*s", (int)zfs_pool_name_length(w->dataset), w->dataset);
	process_signals_hold();
	int sys_errno = lzc_channel_program(pool, program, INSTRUCTIONS_MAX, MEMORY_MAX, args, &out);
	process_signals_release();
	return read_result(w, sys_errno, out, e);
}
