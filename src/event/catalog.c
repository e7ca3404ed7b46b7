/* SPDX-License-Identifier: MIT */
/*
 * Prints the entries that `journalctl -x` shows below an event. Runs while zseal is built.
 * Spec: systemd, Journal Message Catalogs.
 */
#include <stdio.h>

#include "event/event.h"

int main(void)
{
	puts("# SPDX-License-Identifier: MIT");
	for (enum event_id id = 0; id < EVENT_MAX; id++) {
		const struct event_info *info = event_info(id);

		printf("\n-- %s\nSubject: %s\nDefined-By: zseal\nDocumentation: man:zseal(8)\n\n%s\n", info->message_id,
		       info->subject, info->explanation);
	}
	return fflush(stdout) || ferror(stdout);
}
