/* SPDX-License-Identifier: MIT */
#include "cli/output.h"
#include "cli/status-remembered.h"
#include "core/opened.h"
#include "core/unfinished.h"

/* ---- the last unlock ---- */

void status_print_opened(const struct keyring *k)
{
	struct opened o;
	char date[16];

	if (!opened_recall(&keyring_ring(k)->uuid, &o))
		return;
	output_date(o.when, date);
	say(stdout, "    unlocked on %s by slot %s", date, o.slot);
	if (!*o.missed)
		say(stdout, "\n");
	else
		say(stdout, ", " CAUTION "opened by fallback" PLAIN ": slot %s should have opened it\n        %s\n", o.missed,
		    err_info(o.why)->sentence);
	if (*o.missed)
		output_next(stdout, 8, k->dataset, o.why);
}

json_t *status_opened_json(const struct keyring *k)
{
	struct opened o;

	if (!opened_recall(&keyring_ring(k)->uuid, &o))
		return NULL;
	json_t *j = json_pack("{s:s, s:I, s:b}", "slot", o.slot, "when", (json_int_t)o.when, "by_fallback",
			      *o.missed != '\0');
	if (*o.missed)
		json_object_set_new(j, "missed",
				    json_pack("{s:s, s:s}", "slot", o.missed, "error", err_info(o.why)->name));
	return j;
}

/* ---- changes that were cut off ---- */

void status_print_unfinished(const struct keyring *k, const struct pins *pins)
{
	_cleanup_(unfinished_clearp) struct unfinished *u = &(struct unfinished){ 0 };
	char date[16];

	unfinished_find(k, pins, u);
	if (!u->found)
		return;
	output_date(u->copy.saved, date);
	say(stdout, "    a change to generation %u begun on %s was cut off: the next change takes it back, or zseal repair "
		    "%s\n", keyring_ring(k)->generation + 1, date, k->dataset);
}

json_t *status_unfinished_json(const struct keyring *k, const struct pins *pins)
{
	_cleanup_(unfinished_clearp) struct unfinished *u = &(struct unfinished){ 0 };

	unfinished_find(k, pins, u);
	return u->found ? json_pack("{s:I, s:I, s:s}", "generation", (json_int_t)keyring_ring(k)->generation + 1, "begun",
				    (json_int_t)u->copy.saved, "copy", u->path) : NULL;
}

/* ---- pools of which nothing can be read ---- */

bool status_print_suspended(const struct inventory *inv)
{
	bool any = false;

	for (size_t i = 0; i < inv->pools.n; i++) {
		const struct printable name = output_printable(inv->pools.all[i].name);

		if (!inv->pools.all[i].suspended)
			continue;
		say(stdout, HEADING "pool %s" PLAIN ": " BAD "SUSPENDED" PLAIN ", nothing of it can be read\n"
			    "  next: zpool status %s tells which disk fails; zpool clear %s when it is back\n",
		    name.text, name.text, name.text);
		any = true;
	}
	return any;
}

json_t *status_suspended_json(const struct inventory *inv)
{
	json_t *all = json_array();

	for (size_t i = 0; i < inv->pools.n; i++)
		if (inv->pools.all[i].suspended)
			json_array_append_new(all, output_text_json(inv->pools.all[i].name));
	return all;
}

/* ---- pools that are not imported ---- */

/* One without a GUID is of a pool that was about to be made. */
static bool is_absent(const struct inventory *inv, const struct pin *pin)
{
	return pin->pool_guid != 0 && !zfs_pools_find_guid(&inv->pools, pin->pool_guid);
}

void status_print_absent(const struct inventory *inv, const struct pins *pins)
{
	char uuid[UUID_TEXT_SIZE];

	for (size_t i = 0; i < pins->n; i++) {
		const struct pin *pin = &pins->pins[i];

		if (!is_absent(inv, pin))
			continue;
		uuid_print(&pin->keyring, uuid);
		say(stdout, "pool %s (guid %llu) is not imported: this machine remembers its keyring %s\n",
		       output_printable(pin->pool).text, (unsigned long long)pin->pool_guid, uuid);
	}
}

json_t *status_absent_json(const struct inventory *inv, const struct pins *pins)
{
	json_t *all = json_array();
	char uuid[UUID_TEXT_SIZE], guid[24];

	for (size_t i = 0; i < pins->n; i++) {
		const struct pin *pin = &pins->pins[i];

		if (!is_absent(inv, pin))
			continue;
		uuid_print(&pin->keyring, uuid);
		snprintf(guid, sizeof(guid), "%llu", (unsigned long long)pin->pool_guid);
		json_array_append_new(all, json_pack("{s:o, s:s, s:s}", "pool", output_text_json(pin->pool), "pool_guid",
						     guid, "keyring", uuid));
	}
	return all;
}
