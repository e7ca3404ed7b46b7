/* SPDX-License-Identifier: MIT */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/style.h"
#include "sys/deadline.h"

#define ELLIPSIS "…"

enum {
	TEXT_SIZE = 8192,
	SHOWN_SIZE = 4 * TEXT_SIZE, /* with line ends, indentation and colours */
	COLUMNS_USUAL = 80,
	COLUMNS_MIN = 40,           /* where it is narrower, wrapping makes nothing better */
	COLUMNS_MAX = 10000,
	HANG = 2,
	PROGRESS_MS = 100,          /* between two numbers that are shown */
	PROGRESS_SIZE = 256,
};

/* What is known of a stream, and where in its line it stands. */
struct screen {
	bool known, terminal, rewrites, coloured, utf8;
	unsigned columns;
	unsigned at, hang;
};

/* ---- what it can do ---- */

/* What the environment says of the terminal, without changing this process's own locale. */
static bool is_utf8(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool utf8 = locale && str_equal(nl_langinfo_l(CODESET, locale), "UTF-8");

	if (locale)
		freelocale(locale);
	return utf8;
}

/* It can move its cursor. */
static bool is_smart(void)
{
	const char *term = getenv("TERM");

	return term && *term && !str_equal(term, "dumb");
}

/* COLUMNS is what a person has set to have it otherwise. */
static unsigned find_columns(int fd)
{
	const char *wanted = getenv("COLUMNS");
	unsigned long n = wanted ? strtoul(wanted, NULL, 10) : 0;
	struct winsize size;

	if (n == 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
		n = size.ws_col;
	if (n == 0 || n > COLUMNS_MAX)
		n = COLUMNS_USUAL;
	return n < COLUMNS_MIN ? COLUMNS_MIN : (unsigned)n;
}

static struct screen *screen_of(FILE *f)
{
	static struct screen screens[2];
	struct screen *s = &screens[f == stderr];
	const char *no_colour = getenv("NO_COLOR");

	if (s->known)
		return s;
	s->known = true;
	s->terminal = isatty(fileno(f));
	s->rewrites = s->terminal && is_smart();
	s->coloured = s->rewrites && (!no_colour || !*no_colour);
	s->utf8 = !s->terminal || is_utf8();
	s->columns = s->terminal ? find_columns(fileno(f)) : 0;
	return s;
}

bool style_can_draw(void)
{
	return is_utf8() && is_smart();
}

/* ---- a text as it is shown ---- */

struct shown {
	size_t n;
	char text[SHOWN_SIZE];
};

static void append(struct shown *out, const char *text, size_t n)
{
	if (n > sizeof(out->text) - out->n)
		n = sizeof(out->text) - out->n;
	memcpy(out->text + out->n, text, n);
	out->n += n;
}

static void append_blanks(struct shown *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		append(out, " ", 1);
}

static bool is_mark(char c)
{
	return c >= *HEADING && c <= *PLAIN;
}

static void append_mark(struct shown *out, const struct screen *s, char mark)
{
	static const char *const codes[] = { "\033[1m", "\033[32m", "\033[1;31m", "\033[33m", "\033[0m" };
	const char *code = codes[mark - *HEADING];

	if (s->coloured)
		append(out, code, strlen(code));
}

/* How many bytes the character has. */
static size_t character_size(const char *p, const char *end)
{
	size_t n = 1;

	while (p + n < end && ((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* Returns how many columns it takes. Without out, only that. */
static unsigned append_word(struct shown *out, const struct screen *s, const char *word, size_t size)
{
	const char *end = word + size;
	unsigned columns = 0;

	for (size_t n; word < end; word += n) {
		bool dots = !s->utf8 && strncmp(word, ELLIPSIS, strlen(ELLIPSIS)) == 0;

		n = character_size(word, end);
		if (is_mark(*word)) {
			if (out)
				append_mark(out, s, *word);
			continue;
		}
		if (out)
			append(out, dots ? "..." : word, dots ? 3 : n);
		columns += dots ? 3 : 1;
	}
	return columns;
}

/* ---- lines that are too long ---- */

static bool begins_command(const char *word)
{
	static const char *const programs[] = { "zseal ", "zfs ", "zpool ", "tpm2_" };

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (strncmp(word, programs[i], strlen(programs[i])) == 0)
			return true;
	return false;
}

/* Bytes of what stays in one line: a word, or a command, which a sentence's sign ends. */
static size_t piece_size(const char *p)
{
	size_t n = strcspn(p, " \n");

	if (!begins_command(p))
		return n;
	while (p[n] == ' ' && !strchr(";,:", p[n - 1]))
		n += 1 + strcspn(p + n + 1, " \n");
	return n;
}

/* Blanks and a piece; takes them off the text. */
static void append_piece(struct shown *out, struct screen *s, const char **text)
{
	unsigned blanks = (unsigned)strspn(*text, " ");
	const char *piece = *text + blanks;
	size_t size = piece_size(piece);
	unsigned columns = append_word(NULL, s, piece, size);

	if (s->at == 0)
		s->hang = blanks + HANG;
	if (s->terminal && blanks && s->at > s->hang && s->at + blanks + columns > s->columns) {
		append(out, "\n", 1);
		append_blanks(out, s->hang);
		s->at = s->hang;
	} else {
		append_blanks(out, blanks);
		s->at += blanks;
	}
	append_word(out, s, piece, size);
	s->at += columns;
	*text = piece + size;
}

/* ---- what is being done ---- */

static bool progress_shown;

void style_progress_clear(void)
{
	if (progress_shown)
		(void)fputs("\r\033[K", stderr);
	progress_shown = false;
}

/* Cut, so that the line can be written over. */
static void show_progress(const char *text)
{
	const struct screen *s = screen_of(stderr);
	const char *dots = s->utf8 ? " " ELLIPSIS : " ...";

	(void)fflush(stdout);
	fprintf(stderr, "\r\033[K%.*s%s", (int)s->columns - 5, text, dots);
	progress_shown = true;
}

void style_progress(const char *what, size_t done, size_t of)
{
	static struct deadline next;
	char text[PROGRESS_SIZE];

	if (!screen_of(stderr)->rewrites || (of && deadline_left_ms(next) > 0))
		return;
	if (of > 1)
		snprintf(text, sizeof(text), "%s %zu of %zu", what, done, of);
	else
		snprintf(text, sizeof(text), "%s", what);
	show_progress(text);
	next = deadline_in(PROGRESS_MS);
}

/* ---- saying it ---- */

void say(FILE *f, const char *fmt, ...)
{
	struct screen *s = screen_of(f);
	struct shown out = { .n = 0 };
	char text[TEXT_SIZE];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (const char *p = text; *p;) {
		if (*p != '\n') {
			append_piece(&out, s, &p);
			continue;
		}
		append(&out, p++, 1);
		s->at = 0;
	}
	style_progress_clear();
	(void)fwrite(out.text, 1, out.n, f);
}

/* ---- columns of names ---- */

int style_column(FILE *f, size_t longest, int usual, int rest)
{
	int room = screen_of(f)->terminal ? (int)screen_of(f)->columns - rest : (int)longest;

	return (int)longest <= usual || room <= usual ? usual : (int)longest < room ? (int)longest : room;
}

/* One that does not fit has a line of its own; for a program all stays in one. */
void say_name(FILE *f, int indent, const char *name, int column)
{
	if (screen_of(f)->terminal && (int)strlen(name) > column)
		say(f, "%*s%s\n%*s", indent, "", name, indent + column, "");
	else
		say(f, "%*s%-*s", indent, "", column, name);
}
