/* SPDX-License-Identifier: MIT */
/* A file for each keyring, "SLOT [MISSED ERROR]"; its time of change is when. */
#include <string.h>
#include <sys/stat.h>

#include "core/opened.h"
#include "sys/file.h"

enum { OPENED_SIZE_MAX = 512 };

static void path_of(const struct uuid *keyring, char path[static sizeof(OPENED_PATH) + UUID_TEXT_SIZE])
{
	char text[UUID_TEXT_SIZE];

	uuid_print(keyring, text);
	sprintf(path, OPENED_PATH "/%s", text);
}

void opened_remember(const struct uuid *keyring, const struct opening *o)
{
	char path[sizeof(OPENED_PATH) + UUID_TEXT_SIZE];
	const struct attempt *missed = opening_missed(o);
	_cleanup_free_ char *text = NULL;

	path_of(keyring, path);
	if (file_make_folder(OPENED_PATH, 0755, NULL) ||
	    str_format(&text, NULL, "%s%s%s%s%s\n", o->slot->name, missed ? " " : "", missed ? missed->slot->name : "",
		       missed ? " " : "", missed ? err_info(missed->error.code)->name : ""))
		return;
	(void)!file_write(path, text, 0644, NULL);
}

/* ERR_OK for none of that name. */
static enum err error_named(const char *name)
{
	for (enum err code = ERR_OK + 1; code < ERR_MAX; code++)
		if (str_equal(err_info(code)->name, name))
			return code;
	return ERR_OK;
}

static bool parse(const char *text, struct opened *ret)
{
	char slot[NAME_SIZE] = "", missed[NAME_SIZE] = "", why[64] = "";
	int n = sscanf(text, "%63s %63s %63s", slot, missed, why);

	_Static_assert(NAME_SIZE == 64, "the widths above");
	if (!name_is_valid(slot) || (n > 1 && (!name_is_valid(missed) || !error_named(why))))
		return false;
	memcpy(ret->slot, slot, sizeof(ret->slot));
	memcpy(ret->missed, missed, sizeof(ret->missed));
	ret->why = error_named(why);
	return true;
}

bool opened_recall(const struct uuid *keyring, struct opened *ret)
{
	char path[sizeof(OPENED_PATH) + UUID_TEXT_SIZE];
	_cleanup_free_ char *text = NULL;
	struct stat st;

	path_of(keyring, path);
	if (stat(path, &st) || file_read_trusted(path, OPENED_SIZE_MAX, &text, NULL) || !parse(text, ret))
		return false;
	ret->when = (uint64_t)st.st_mtime;
	return true;
}
