/* SPDX-License-Identifier: MIT */
/*
 * What the terminal can show: colours, its width, characters beyond ASCII. One place decides, and say() obeys.
 *
 * Guarantees: what is no terminal, and a program behind it, gets plain text in whole lines, whatever the environment
 * says. Colours only where NO_COLOR (no-color.org) and TERM allow them, and only on words that say the same without.
 * Numbers and dates are the same in every locale. Refuses: to break a command that a person may want to copy.
 */
#pragma once

#include <stdio.h>

#include "base/error.h"

/* To be put around words of say()'s text. */
#define HEADING "\001"
#define GOOD    "\002"
#define BAD     "\003"
#define CAUTION "\004"
#define PLAIN   "\005"

/*
 * Prints text to standard output or standard error. On a terminal, lines that are too long are continued below,
 * indented; "…" is "..." where the terminal shows no UTF-8. May be called for parts of a line. At most 8 KiB at once.
 */
printf_like(2, 3) void say(FILE *f, const char *fmt, ...);

/*
 * The width of a column for names, of which the longest has so many characters: usual, or more if need be and if the
 * terminal leaves so much beside the rest of the line. say_name() prints one in it.
 */
int style_column(FILE *f, size_t longest, int usual, int rest);
void say_name(FILE *f, int indent, const char *name, int column);

/*
 * What is being done, and done of so many (0: not counted), in a line of its own on standard error, where a terminal can
 * write over it; nothing elsewhere. Numbers change ten times a second at most. say() clears it.
 */
void style_progress(const char *what, size_t done, size_t of);
void style_progress_clear(void);

/* True if the terminal shows pictures of block characters: by its type, and the locale is a UTF-8 one. */
bool style_can_draw(void);
