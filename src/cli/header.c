/* SPDX-License-Identifier: MIT */
/* zseal header backup, verify, restore. */
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"
#include "core/restore.h"
#include "sys/file.h"
#include "sys/process.h"

struct work {
	const struct invocation *inv;
	const char *dataset;
	struct session session;
	struct inventory inventory;
	struct keyring *keyring;  /* of the dataset in the pool, or NULL if it lost it */
	uint64_t pool_guid;
	struct header_copy here;  /* what the pool has */
	struct kept_copy copy;    /* what a file has */
	struct restore_report report;
};

static void work_clear(struct work *w)
{
	restore_report_clear(&w->report);
	kept_copy_clear(&w->copy);
	header_copy_clear(&w->here);
	inventory_clear(&w->inventory);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

static enum err collect(struct work *w, struct err_ctx *e)
{
	const struct zfs_pool *pool = zfs_pools_find(&w->inventory.pools, w->dataset);

	if (!pool)
		return err_set(e, ERR_ZFS_NOT_FOUND, "%s", w->dataset);
	w->pool_guid = pool->guid;
	return w->keyring ? backup_collect(&w->inventory, w->keyring, &w->here, e) : ERR_OK;
}

static enum err begin(struct work *w, const struct invocation *inv, struct err_ctx *e)
{
	w->inv = inv;
	w->dataset = inv->arguments[0];
	enum err err = session_begin(&w->session, inv, e);
	if (!err)
		err = inventory_load_keyring(w->dataset, &w->inventory, &w->keyring, e);
	if (!err)
		err = collect(w, e);
	return err;
}

static enum err load_named(struct work *w, const char *from, struct err_ctx *e)
{
	struct header_copy *copy = &w->copy.copy;
	enum err err = header_copy_load(from, copy, e);

	if (err)
		return err;
	w->copy.moved = !dataset_is_below(w->dataset, copy->dataset);
	err = header_copy_move(copy, w->dataset, copy->pool_guid == w->pool_guid, e);
	return err ? err : str_copy(from, &w->copy.path, e);
}

static enum err load_copy(struct work *w, struct err_ctx *e)
{
	const char *from = invocation_value(w->inv, "from");
	const bool known = w->keyring && !w->keyring->state;
	const struct copy_wanted wanted = {
		.pool_guid = w->pool_guid, .dataset = w->dataset,
		.keyring = known ? &keyring_ring(w->keyring)->uuid : NULL,
		/* a change that was cut off has left a copy one generation ahead: that is unfinished, not another header */
		.generation = known && str_equal(w->inv->verb->name, "header verify")
			      ? keyring_ring(w->keyring)->generation : 0,
	};

	return from ? load_named(w, from, e) : header_copy_find(&wanted, &w->copy, e);
}

/* ---- backup ---- */

static enum err write_copy(struct work *w, struct header_copy_saved *saved, struct err_ctx *e)
{
	const char *output = invocation_value(w->inv, "output");
	_cleanup_free_ char *text = NULL;

	if (!output)
		return header_copy_save(&w->here, saved, e);
	enum err err = header_copy_print(&w->here, &text, e);
	if (!err && str_equal(output, "-"))
		(void)fputs(text, stdout);
	else if (!err)
		err = file_write(output, text, 0600, e);
	if (!err)
		err = str_copy(output, &saved->path, e);
	return err;
}

static enum err write_backup(struct work *w, struct err_ctx *e)
{
	struct header_copy_saved saved = { 0 };
	enum err err = write_copy(w, &saved, e);

	if (!err && !str_equal(saved.path, "-"))
		say(stdout, "copied the keyring on %s (slots: %zu, key records: %zu) to %s\n", w->keyring->dataset,
		       w->here.n_slots, w->here.n_records, saved.path);
	if (!err && saved.kept)
		say(stdout, "the copy that was there is different; it is kept as %s\n", saved.kept);
	free(saved.path);
	free(saved.kept);
	return err;
}

static enum err run_backup(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = invocation_has(inv, "output") ? ERR_OK : process_require_root(e, "writing to " HEADER_PATH);

	if (!err)
		err = begin(w, inv, e);
	if (!err && !w->keyring)
		err = err_set(e, ERR_NO_KEYRING, "%s", w->dataset);
	if (!err && w->keyring->state)
		err = (*e = w->keyring->error).code;
	size_t left_out = err ? 0 : backup_leave_out_damaged(&w->here);
	if (left_out)
		say(stderr, OUTPUT_WARNING "%s: %zu damaged values are not in the copy\n  " OUTPUT_NEXT
		    "see zseal header verify %s\n", w->keyring->dataset, left_out, w->keyring->dataset);
	if (!err && inv->dry_run)
		say(stdout, "would copy the keyring on %s (slots: %zu, key records: %zu)\n", w->keyring->dataset,
		    w->here.n_slots, w->here.n_records);
	else if (!err)
		err = write_backup(w, e);
	return err_wrap(e, err, "header backup of %s", inv->arguments[0]);
}

/* ---- verify and restore ---- */

static void print_difference(void *arg, const char *dataset, const char *property, enum difference d)
{
	static const char *const words[] = { "same", "differs from the copy", "is missing in the pool",
					     "is not in the copy" };

	(void)arg;
	say(stdout, "  %s on %s %s\n", property, dataset, words[d]);
}

static void print_report(const struct work *w)
{
	const struct restore_report *r = &w->report;
	const char *verb = w->inv->dry_run ? "would be restored" : "restored";

	if (*r->slot)
		say(stdout, "opened by slot %s; the keyring and its slots are whole\n", r->slot);
	for (size_t i = 0; i < r->n; i++) {
		const struct restore_line *line = &r->lines[i];
		bool failed = line->error.code != ERR_OK;
		const char *outcome = line->written ? verb : line->proven && failed ? BAD "NOT restored" PLAIN : NULL;

		if (failed)
			output_error(line->dataset, &line->error);
		say(stdout, "%s: its record %s%s%s\n", line->dataset,
		    line->proven ? GOOD "opens it" PLAIN : BAD "does NOT open it" PLAIN,
		       outcome ? ", " : "", outcome ? outcome : "");
	}
}

static json_t *report_json(const struct work *w, unsigned differences)
{
	json_t *lines = json_array();
	json_t *j = json_pack("{s:o, s:i, s:s?, s:s?}", "roots", lines, "differences", (int)differences, "copy",
			      w->copy.path, "slot", *w->report.slot ? w->report.slot : NULL);

	for (size_t i = 0; i < w->report.n; i++) {
		const struct restore_line *line = &w->report.lines[i];
		json_t *l = json_pack("{s:s, s:b, s:b}", "dataset", line->dataset, "opens", line->proven,
				      "written", line->written);

		if (line->error.code)
			json_object_set_new(l, "error", output_error_json(&line->error));
		json_array_append_new(lines, l);
	}
	return j;
}

static void ignore_difference(void *arg, const char *dataset, const char *property, enum difference d)
{
	(void)arg;
	(void)dataset;
	(void)property;
	(void)d;
}

/* What is tried: the copy when restoring or when one was named, else what the pool has. */
static enum err prove(struct work *w, bool write, struct err_ctx *e)
{
	bool from = invocation_has(w->inv, "from");
	enum err err = session_ask_answers(&w->session, w->inv, e);
	const struct restore_request r = {
		.copy = write || from ? &w->copy.copy : &w->here,
		.pool_guid = w->pool_guid,
		.here = w->keyring,
		.open = session_open_request(&w->session, w->inv),
		.write = write,
		.moved = w->copy.moved,
		.dry_run = w->inv->dry_run,
	};

	return err ? err : restore_prove(&r, &w->report, e);
}

static enum err finish(struct work *w, enum err err, unsigned differences, struct err_ctx *e)
{
	for (size_t i = 0; !w->inv->json && i < w->report.n_tried; i++)
		output_reason(w->report.tried[i].slot, &w->report.tried[i].error);
	if (err && err != ERR_PARTIAL)
		return err;
	if (w->inv->json) {
		enum err printed = output_json(report_json(w, differences), e);

		return printed ? printed : err;
	}
	print_report(w);
	return err;
}

/* What lies on the dataset and is no part of the header; roots that it has no record for. */
static void warn_beside(const struct work *w)
{
	for (size_t i = 0; i < w->keyring->n_slots; i++)
		if (w->keyring->slots[i].state == ERR_SLOT_STRAY)
			output_warning(w->keyring->dataset, &w->keyring->slots[i].error);
	for (size_t i = 0; i < w->inventory.n_roots; i++) {
		const struct root *root = &w->inventory.roots[i];

		if (root->keyring == w->keyring && root->state == ERR_NO_RECORD)
			output_warning(root->dataset, &root->error);
	}
}

static enum err run_verify(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	difference_fn tell = inv->json ? ignore_difference : print_difference;
	struct err_ctx no_copy = { 0 };
	unsigned differences = 0;
	enum err err = process_require_root(e, "verifying");

	if (!err)
		err = begin(w, inv, e);
	if (!err && !w->keyring)
		err = err_set(e, ERR_NO_KEYRING, "%s", w->dataset);
	if (err)
		return err;
	warn_beside(w);
	enum err copied = load_copy(w, &no_copy);
	if (copied && invocation_has(inv, "from")) {
		*e = no_copy;
		return copied;
	}
	if (copied) {
		output_warning(w->dataset, &no_copy);
	} else {
		differences = backup_compare(&w->here, &w->copy.copy, tell, NULL);
		if (!inv->json)
			say(stdout, "differences from the copy %s: %u\n", w->copy.path, differences);
	}
	err = finish(w, prove(w, false, e), differences, e);
	if (!err && differences)
		err = err_set(e, ERR_COPY_DIFFERS, "%s and %s", w->dataset, w->copy.path);
	return err_wrap(e, err, "header verify of %s", inv->arguments[0]);
}

static enum err run_restore(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = process_require_root(e, "restoring");

	if (!err)
		err = begin(w, inv, e);
	if (!err)
		err = load_copy(w, e);
	if (!err)
		err = finish(w, prove(w, true, e), 0, e);
	if (!err && !inv->json && w->copy.path)
		say(stdout, "%s the header of %s from %s\n", inv->dry_run ? "would restore" : "restored",
		    w->copy.copy.dataset, w->copy.path);
	return err_wrap(e, err, "header restore of %s", inv->arguments[0]);
}

#define OPTION_FROM { "from", 0, "FILE", "use this copy instead of the newest one in " HEADER_PATH, false }

static const struct option_spec backup_options[] = {
	{ "output", 'o', "FILE", "write the copy to FILE (- is standard output) instead of " HEADER_PATH, false },
	{ 0 },
};

static const struct option_spec verify_options[] = { OPTION_FROM, OPTIONS_ANSWERS, OPTION_TRUST,
						     { 0 } };

const struct verb verb_header_backup = {
	.name = "header backup",
	.arguments = "DATASET",
	.summary = "Copy the keyring of DATASET, its slots and key records to a file",
	.details = "The copy holds nothing secret; with it and the recovery key the pool opens after its properties\n"
		   "were lost. Keep one outside of this machine.",
	.options = backup_options,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_backup,
};

const struct verb verb_header_verify = {
	.name = "header verify",
	.arguments = "DATASET",
	.summary = "Open the keyring of DATASET, prove every key record, and compare with the copy",
	.details = "Loads nothing. Each proof leaves one line in the pool's history.",
	.options = verify_options,
	.lists = true,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_verify,
};

const struct verb verb_header_restore = {
	.name = "header restore",
	.arguments = "DATASET",
	.summary = "Bring the keyring of DATASET, its slots and key records back from a copy",
	.details = "The copy is opened first, and each of its records proven against ZFS; what does not open is not\n"
		   "written.",
	.options = verify_options,
	.lists = true,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_restore,
};
