/* SPDX-License-Identifier: MIT */
#include "cli/mount-report.h"
#include "cli/output.h"
#include "cli/unlock-report.h"

/* ---- what came of it, for people ---- */

static void print_attempts(const struct keyring_result *kr)
{
	for (size_t i = 0; i < kr->opening.n_attempts; i++) {
		const struct attempt *a = &kr->opening.attempts[i];
		char subject[NAME_SIZE + 8];

		/* another machine's slot is as it should be: on a cluster each has one */
		if (!a->error.code || (a->error.code == ERR_TPM_NOT_MINE && !kr->error.code))
			continue;
		snprintf(subject, sizeof(subject), "slot %s", a->slot->name);
		output_reason(subject, &a->error);
	}
}

/* What a person should know about a keyring, whether it opened or not: once, before its roots. */
static void print_keyring(const struct keyring_result *kr)
{
	if (!kr->tried)
		return;
	if (kr->error.code)
		output_error_head(kr->keyring->dataset, &kr->error);
	if (kr->opening.n_attempts > 1 || !kr->error.code)
		print_attempts(kr);
	if (kr->error.code)
		output_error_advice(kr->keyring->dataset, &kr->error);
	if (kr->opening.mac)
		output_warning(kr->keyring->dataset, &kr->opening.mac_error);
	if (kr->opening.rollback)
		output_warning(kr->keyring->dataset, &kr->opening.rollback_error);
}

static const struct keyring_result *result_of(const struct unlock_result *res, const struct root *root)
{
	for (size_t i = 0; i < res->n_keyrings; i++)
		if (root->keyring && res->keyrings[i].keyring == root->keyring)
			return &res->keyrings[i];
	return NULL;
}

static bool is_by_fallback(const struct keyring_result *kr)
{
	return kr && opening_missed(&kr->opening);
}

static void print_root(const struct unlock_result *res, const struct root_result *rr, const char *done)
{
	const struct keyring_result *kr = result_of(res, rr->root);

	switch (rr->outcome) {
	case OUTCOME_DONE:
		say(stdout, "%s: " GOOD "%s" PLAIN "%s%s%s%s\n", rr->root->dataset, done, rr->slot ? " (slot " : "",
		    rr->slot ? rr->slot : "", rr->slot && is_by_fallback(kr) ? ", opened by fallback" : "",
		    rr->slot ? ")" : "");
		break;
	case OUTCOME_ALREADY:
		say(stdout, "%s: already %s\n", rr->root->dataset, done);
		break;
	case OUTCOME_WOULD:
		say(stdout, "%s: would be %s\n", rr->root->dataset, done);
		break;
	case OUTCOME_FAILED:
		if (!kr || !kr->error.code)
			output_error(rr->root->dataset, &rr->error);
		say(stdout, "%s: " BAD "NOT %s" PLAIN " (%s)\n", rr->root->dataset, done,
		    err_info(rr->error.code)->sentence);
		break;
	case OUTCOME_FOREIGN:
		say(stdout, "%s: left alone (it has no key record: it was never given to zseal)\n", rr->root->dataset);
		break;
	}
}

/* ---- for programs ---- */

static json_t *attempts_json(const struct keyring_result *kr)
{
	json_t *list = json_array();

	for (size_t i = 0; i < kr->opening.n_attempts; i++) {
		const struct attempt *a = &kr->opening.attempts[i];
		json_t *j = json_pack("{s:s, s:b}", "slot", a->slot->name, "opened", a->error.code == ERR_OK);

		if (a->error.code)
			json_object_set_new(j, "error", output_error_json(&a->error));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *keyring_json(const struct keyring_result *kr)
{
	json_t *j = json_pack("{s:s, s:b, s:o}", "dataset", kr->keyring->dataset, "tried", kr->tried, "attempts",
			      attempts_json(kr));

	if (is_by_fallback(kr))
		json_object_set_new(j, "by_fallback", json_true());
	if (kr->error.code)
		json_object_set_new(j, "error", output_error_json(&kr->error));
	if (kr->opening.mac)
		json_object_set_new(j, "warning", output_error_json(&kr->opening.mac_error));
	else if (kr->opening.rollback)
		json_object_set_new(j, "warning", output_error_json(&kr->opening.rollback_error));
	return j;
}

static json_t *root_json(const struct root_result *rr, const char *done)
{
	json_t *j = json_pack("{s:s, s:s}", "dataset", rr->root->dataset, "outcome", outcome_name(rr->outcome, done));

	if (rr->slot)
		json_object_set_new(j, "slot", json_string(rr->slot));
	if (rr->outcome == OUTCOME_FAILED)
		json_object_set_new(j, "error", output_error_json(&rr->error));
	return j;
}

/* What did not keep anything closed this time. */
static json_t *warnings_json(const struct err_ctx *e)
{
	return e && e->code ? json_pack("[o]", output_error_json(e)) : NULL;
}

static json_t *report_json(const struct unlock_report *report)
{
	const struct unlock_result *res = report->roots;
	json_t *roots = json_array(), *keyrings = json_array();
	json_t *mounts = report->mounts ? mount_report_json(report->mounts, report->mounts_done) : NULL;

	for (size_t i = 0; i < res->n_roots; i++)
		json_array_append_new(roots, root_json(&res->roots[i], report->done));
	for (size_t i = 0; i < res->n_keyrings; i++)
		json_array_append_new(keyrings, keyring_json(&res->keyrings[i]));
	return json_pack("{s:o, s:o, s:o*, s:o*, s:o*}", "roots", roots, "keyrings", keyrings, "mounts", mounts, "absent",
			 report->absent, "warnings", warnings_json(report->warning));
}

static void print_text(const struct unlock_report *report)
{
	const struct unlock_result *res = report->roots;

	for (size_t i = 0; i < res->n_keyrings; i++)
		print_keyring(&res->keyrings[i]);
	if (report->mounts && report->mounts_first)
		mount_report_print(report->mounts, report->mounts_done);
	for (size_t i = 0; i < res->n_roots; i++)
		print_root(res, &res->roots[i], report->done);
	if (report->mounts && !report->mounts_first)
		mount_report_print(report->mounts, report->mounts_done);
	if (report->warning && report->warning->code)
		output_warning(NULL, report->warning);
}

enum err unlock_report_print(bool json, const struct unlock_report *report, struct err_ctx *e)
{
	output_progress(NULL);
	if (json)
		return output_json(report_json(report), e);
	print_text(report);
	return ERR_OK;
}
