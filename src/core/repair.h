/* SPDX-License-Identifier: MIT */
/*
 * Making a keyring's header whole again, out of what the pool still has and of every copy that can be had.
 *
 *	repair_load, sources_add…, repair_judge, repair_drop, repair_write, repair_end
 *
 * Guarantees: nothing is judged before the keyring's key was opened. A slot stays if it is as in a copy whose MAC is right
 * under that key, if it gave the key here and now, or if the recovery key gets its secret out of `renew` and that unwraps
 * its wrap; what such a copy has and the pool lost or has otherwise comes back; for the rest nothing vouches, and it is
 * left out only by name. A record is written only if ZFS says that its key is the root's. What is written has a
 * generation above all that were seen, by core/commit.h. Refuses: to leave out the last slot that was tested.
 */
#pragma once

#include "core/commit.h"
#include "core/sources.h"
#include "core/unlock.h"

/* What a repair is about. The caller owns it, all zero before, and clears it. */
struct repair_place {
	struct inventory inventory; /* of the whole keyring */
	char *dataset;              /* where the keyring is, or shall be */
	const struct zfs_pool *pool;
	struct keyring *keyring;    /* that the pool has there, or NULL */
	struct keyring *left;       /* without a keyring: the slots that are there still, as one whose value is NULL */
	struct zfs_properties left_properties;
};
void repair_place_clear(struct repair_place *p);
DEFINE_CLEANUP(struct repair_place *, repair_place_clear)

/*
 * Reads what is there, all copies on this machine (from: that file before them), and the pool's history. If the pool
 * has no keyring for dataset, the best copy tells where it was. any_pool: as in struct copy_wanted.
 * Errors: as inventory_load(), header_copy_load().
 */
struct repair_search {
	const char *dataset;
	const char *from; /* or NULL */
	bool any_pool;
};
must_check enum err repair_load(const struct repair_search *s, struct repair_place *p, struct sources *sources,
				struct err_ctx *e);

enum judgement {
	JUDGED_WHOLE,    /* the header's MAC is right and covers it */
	JUDGED_AS_COPY,  /* as in a copy whose MAC is right */
	JUDGED_OPENED,   /* gave the keyring's key here and now */
	JUDGED_RENEWED,  /* the recovery key gets its secret out of `renew`, and that unwraps its wrap */
	JUDGED_BACK,     /* lost or changed in the pool: comes back from the copy */
	JUDGED_UNKNOWN,  /* nothing vouches for it */
	JUDGED_REMOVED,  /* a newer header that was seen does not have it: somebody put it back */
	JUDGED_STRAY,    /* no slot of this keyring: goes */
	JUDGED_ABSENT,   /* in an older copy only, and the pool's order does not name it: stays away */
};

struct judged_slot {
	char name[NAME_SIZE];
	enum judgement judgement;
	const char *value;    /* that it shall have; NULL: none */
	const char *where;    /* the copy, for those that one decides; else NULL */
	struct err_ctx error; /* JUDGED_UNKNOWN: why it does not open here */
	bool dropped;
};

enum root_judgement {
	ROOT_OPENS,   /* its record does */
	ROOT_BACK,    /* another record does, from where */
	ROOT_NEW,     /* there is no record of it anywhere: it was never zseal's */
	ROOT_FAILED,  /* no record does: error tells */
};

struct judged_root {
	const struct root *root;
	enum root_judgement judgement;
	const char *value;    /* of the record that opens it, or what is there */
	const char *where;
	struct err_ctx error;
	bool written;
};

struct repair_request {
	const struct repair_place *place;
	const struct sources *sources;
	struct open_request open;
	bool accept_older; /* the pool was put back on purpose: what was written since is not missed */
};

/* The caller owns it, all zero before, and clears it. */
struct repair {
	struct repair_request request;
	struct zfs *zfs;
	struct opening opening;
	struct opening first;         /* the attempts at the pool's own header, or the first copy's, if they failed */
	const struct keyring *opened; /* the pool's, or a source's */
	const char *opened_where;     /* NULL: the pool's */
	struct ring ring;             /* as it shall be; its generation is the highest that was seen */
	const char *ring_where;       /* the copy that it comes back from, or NULL: the pool's */
	bool ring_unvouched;          /* its recovery key may be anybody's */
	bool is_whole;                /* the header in the pool needs nothing */
	bool is_older;                /* it is whole, and older than what this machine has seen */
	struct unfinished *unfinished;
	unsigned n_slots;
	struct judged_slot slots[2 * SLOTS_MAX];
	size_t n_roots;
	struct judged_root *roots;
	struct draft draft;           /* filled by repair_draft() */
	struct commit_result result;
};

/*
 * Opens the keyring, from the pool or the first copy that opens, and judges every slot and record. Writes nothing but
 * the lines that proofs leave in the pool's history.
 * Errors: what keyring_open() says of the pool's header, or of the first copy; ERR_NO_COPY if there is no header at all;
 * ERR_PIN_ROLLBACK for one that is older than what was seen, with no newer copy and without accept_older.
 */
must_check enum err repair_judge(struct repair *r, const struct repair_request *request, struct err_ctx *e);

/* Leaves an unknown or removed slot out. Errors: ERR_NO_SLOT if there is none such of that name. */
must_check enum err repair_drop(struct repair *r, const char *name, struct err_ctx *e);
void repair_drop_all(struct repair *r);
/* Goes on without the recovery key that the header names, which nothing vouches for. */
void repair_drop_recovery(struct repair *r);

/* What still has to be dropped, or NULL. */
const struct judged_slot *repair_undecided(const struct repair *r);

/* True if there is anything to write; how many roots no record opens, whether or not there is. */
bool repair_is_needed(const struct repair *r);
size_t repair_count_failed(const struct repair *r);

/*
 * Takes back what an earlier change has left, and begins the draft: more slots may be added then. Only in a dry run is
 * nothing taken back. Errors: ERR_SLOT_UNKNOWN if something is undecided, ERR_SLOT_LAST, ERR_ZFS_READONLY.
 */
must_check enum err repair_draft(struct repair *r, bool dry_run, struct err_ctx *e);

/* Writes records, then the header if it needs to be. Errors: as commit_header(). */
must_check enum err repair_write(struct repair *r, struct err_ctx *e);

/* The record's key of a root that is not ROOT_FAILED, loaded. Errors: as root_with_key(). */
must_check enum err repair_load_key(struct repair *r, const struct judged_root *root, bool *ret_was_loaded,
				    struct err_ctx *e);

void repair_end(struct repair *r);
DEFINE_CLEANUP(struct repair *, repair_end)
