/* SPDX-License-Identifier: MIT */
/*
 * The bare loop that many roots are measured against: a key that is at hand, and lzc_load_key for one dataset after the
 * other. Also undoes it, so that the next run finds them locked again. Refuses: everything else.
 *
 *   loop load KEY-FILE DATASETS      DATASETS: a file of their names, one on each line
 *   loop unload KEY-FILE DATASETS
 */
#include <err.h>
#include <errno.h>
#include <libzfs_core.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { KEY_SIZE = 32, NAME_MAX_SIZE = 512 };

int main(int argc, char **argv)
{
	bool loads = argc == 4 && strcmp(argv[1], "load") == 0;
	char dataset[NAME_MAX_SIZE];
	uint8_t key[KEY_SIZE];

	if (!loads && (argc != 4 || strcmp(argv[1], "unload") != 0))
		errx(2, "usage: loop load|unload KEY-FILE DATASETS");
	FILE *keys = fopen(argv[2], "re"), *datasets = fopen(argv[3], "re");
	if (!keys || !datasets || fread(key, KEY_SIZE, 1, keys) != 1)
		err(1, "%s, %s", argv[2], argv[3]);
	if (libzfs_core_init() != 0)
		errx(1, "there is no ZFS");
	while (fgets(dataset, sizeof(dataset), datasets)) {
		dataset[strcspn(dataset, "\n")] = '\0';
		int error = loads ? lzc_load_key(dataset, B_FALSE, key, KEY_SIZE) : lzc_unload_key(dataset);

		/* EACCES: it is locked already */
		if (error && (loads || error != EACCES))
			errx(1, "%s: %s", dataset, strerror(error));
	}
	libzfs_core_fini();
	return 0;
}
