/* SPDX-License-Identifier: MIT */
#include "cli/mount-report.h"
#include "cli/output.h"

static void print_one(const struct mount_result *mr, const char *done)
{
	struct printable at = output_printable(mr->mountpoint);
	const char *on = str_equal(done, "mounted") ? "on" : "from";

	switch (mr->outcome) {
	case OUTCOME_ALREADY:
		say(stdout, "%s: already %s %s %s\n", mr->dataset, done, on, at.text);
		break;
	case OUTCOME_WOULD:
		say(stdout, "%s: would be %s %s %s\n", mr->dataset, done, on, at.text);
		break;
	case OUTCOME_FAILED:
		output_error(mr->dataset, &mr->error);
		say(stdout, "%s: " BAD "NOT %s" PLAIN " (%s)\n", mr->dataset, done, err_info(mr->error.code)->sentence);
		break;
	default:
		say(stdout, "%s: " GOOD "%s" PLAIN " %s %s\n", mr->dataset, done, on, at.text);
		break;
	}
}

void mount_report_print(const struct mount_results *res, const char *done)
{
	for (size_t i = 0; i < res->n; i++)
		print_one(&res->all[i], done);
}

json_t *mount_report_json(const struct mount_results *res, const char *done)
{
	json_t *list = json_array();

	for (size_t i = 0; i < res->n; i++) {
		const struct mount_result *mr = &res->all[i];
		json_t *j = json_pack("{s:s, s:o, s:s}", "dataset", mr->dataset, "mountpoint",
				      output_text_json(mr->mountpoint), "outcome", outcome_name(mr->outcome, done));

		if (mr->outcome == OUTCOME_FAILED)
			json_object_set_new(j, "error", output_error_json(&mr->error));
		json_array_append_new(list, j);
	}
	return list;
}
