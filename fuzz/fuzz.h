/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What a target defines: libFuzzer calls it with what it made up, corpus.c with what is in a folder. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run at what must not happen, whatever the build leaves out of assert(). */
#define must(condition)                                                                                               \
	do {                                                                                                          \
		if (!(condition)) {                                                                                   \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                     \
			abort();                                                                                      \
		}                                                                                                     \
	} while (0)
