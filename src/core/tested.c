/* SPDX-License-Identifier: MIT */
/* An empty file for each slot; its time of change is the answer. */
#include <sys/stat.h>

#include "core/tested.h"
#include "sys/file.h"

static void path_of(const struct uuid *slot, char *path, size_t size)
{
	char text[UUID_TEXT_SIZE];

	uuid_print(slot, text);
	snprintf(path, size, TESTED_PATH "/%s", text);
}

uint64_t tested_when(const struct uuid *slot)
{
	char path[sizeof(TESTED_PATH) + UUID_TEXT_SIZE];
	struct stat st;

	path_of(slot, path, sizeof(path));
	return stat(path, &st) == 0 ? (uint64_t)st.st_mtime : 0;
}

enum err tested_now(const struct uuid *slot, struct err_ctx *e)
{
	char path[sizeof(TESTED_PATH) + UUID_TEXT_SIZE];
	enum err err = file_make_folder(TESTED_PATH, 0700, e);

	path_of(slot, path, sizeof(path));
	return err ? err : file_write(path, "", 0600, e);
}
