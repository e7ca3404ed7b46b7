/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over files: what a fuzzer once found stays found, with any compiler. */
#include "base/cleanup.h"
#include "fuzz.h"

static void run_file(const char *path)
{
	_cleanup_file_ FILE *f = fopen(path, "re");
	must(f && fseek(f, 0, SEEK_END) == 0);
	long size = ftell(f);
	must(size >= 0);
	rewind(f);
	_cleanup_free_ uint8_t *data = malloc((size_t)size + 1);
	must(data && fread(data, 1, (size_t)size, f) == (size_t)size);
	LLVMFuzzerTestOneInput(data, (size_t)size);
}

int main(int argc, char **argv)
{
	must(argc > 1);
	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	return 0;
}
