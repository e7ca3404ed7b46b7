/* SPDX-License-Identifier: MIT */
/*
 * Prints the program's tables as one JSON object: verbs with their options, exit statuses, errors, events, settings,
 * types of slots. Runs while zseal is built; manual pages and completions are made of it, so that they cannot say
 * anything else.
 */
#include <jansson.h>
#include <stdio.h>

#include "cli/verb.h"
#include "core/config.h"
#include "event/event.h"
#include "protector/protector.h"

static json_t *option_json(const struct option_spec *o)
{
	const char letter[] = { o->letter, '\0' };

	return json_pack("{s:s?, s:s?, s:s?, s:s}", "name", o->name, "letter", o->letter ? letter : NULL, "argument",
			 o->argument, "help", o->help);
}

static json_t *verb_json(const struct verb *v)
{
	const struct option_spec *list[VERB_OPTIONS_MAX];
	size_t n = verb_list_options(v, list);
	json_t *options = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(options, option_json(list[i]));
	return json_pack("{s:s, s:s, s:s, s:s?, s:b, s:o}", "name", v->name, "arguments", v->arguments, "summary",
			 v->summary, "details", v->details, "options_first", v->options_first, "options", options);
}

static json_t *verbs_json(void)
{
	json_t *list = json_array();

	for (size_t i = 0; verbs[i]; i++)
		json_array_append_new(list, verb_json(verbs[i]));
	return list;
}

static json_t *exits_json(void)
{
	json_t *list = json_array();

	for (enum err_class c = 0; c < CLASS_MAX; c++) {
		const struct err_class_info *info = err_class_info(c);

		json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s}", "status", info->exit_status, "class",
						      info->name, "words", info->words, "meaning", info->meaning));
	}
	return list;
}

static json_t *errors_json(void)
{
	json_t *list = json_array();

	for (enum err code = 1; code < ERR_MAX; code++) {
		const struct err_info *info = err_info(code);

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", info->name, "class",
						      err_class_name(info->class), "sentence", info->sentence, "advice",
						      info->advice));
	}
	return list;
}

static json_t *events_json(void)
{
	json_t *list = json_array();

	for (enum event_id id = 0; id < EVENT_MAX; id++) {
		const struct event_info *info = event_info(id);

		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", info->name, "message_id",
						      info->message_id, "subject", info->subject));
	}
	return list;
}

static json_t *settings_json(void)
{
	json_t *list = json_array();
	struct config_key key;

	for (size_t i = 0; config_key(i, &key); i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "section", key.section, "key", key.key,
						      "expected", key.expected));
	return list;
}

static json_t *slot_types_json(void)
{
	json_t *list = json_array();

	for (size_t i = 0; protector_type(i); i++)
		json_array_append_new(list, json_string(protector_type(i)));
	return list;
}

int main(void)
{
	json_t *tables = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "verbs", verbs_json(), "exits", exits_json(),
				   "errors", errors_json(), "events", events_json(), "settings", settings_json(),
				   "slot_types", slot_types_json());
	int failed = !tables || json_dumpf(tables, stdout, JSON_INDENT(2));

	json_decref(tables);
	return failed || fflush(stdout) || ferror(stdout);
}
