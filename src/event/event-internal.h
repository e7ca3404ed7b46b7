/* SPDX-License-Identifier: MIT */
/* What event_emit() is made of, for its test alone. */
#pragma once

#include "event/event.h"

enum {
	EVENT_VALUE_MAX = 1024, /* bytes of one value, NUL included; longer ones are cut */
	EVENT_FIELDS_MAX = 24,
	EVENT_NAME_MAX = 32,    /* of a field, with = and the line end */
	EVENT_ENTRY_MAX = EVENT_FIELDS_MAX * (EVENT_NAME_MAX + EVENT_VALUE_MAX),
};

/* One entry as the journal takes it: a line NAME=value for each field. */
struct event_entry {
	size_t size;
	char text[EVENT_ENTRY_MAX];
};

/* Never fails: what has no room is left out. */
void event_format(const struct event *ev, struct event_entry *ret);

/* event_emit() to another socket than the journal's. */
void event_emit_to(const struct event *ev, const char *socket_path);
