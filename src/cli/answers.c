/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "cli/answers.h"
#include "cli/output.h"
#include "format/recovery-key.h"
#include "sys/credential.h"
#include "sys/descriptor.h"
#include "sys/terminal.h"

enum {
	TRIES = 3,
	PIN_DIGITS_FEW = 6, /* fewer than these, and all of them digits, are said to be few */
};

static const struct kind {
	const char *option; /* its options begin with this */
	const char *name;
	const char *prompt, *prompt_new, *prompt_again;
	size_t min, max; /* bytes; 0 where another rule holds */
} kinds[ANSWER_MAX] = {
	[ANSWER_RECOVERY_KEY] = { "recovery", "recovery key", "Recovery key (eight groups of six letters): ", NULL, NULL,
				  0, 0 },
	[ANSWER_PASSPHRASE] = { "passphrase", "passphrase", "Passphrase: ", "New passphrase: ", "New passphrase again: ",
				PASSPHRASE_MIN, PASSPHRASE_MAX },
	[ANSWER_PIN] = { "pin", "PIN", "PIN: ", "New PIN: ", "New PIN again: ", PIN_MIN, PIN_MAX },
};

const char *answer_option(enum answer kind)
{
	return kinds[kind].option;
}

/* ---- what can be an answer ---- */

/* The next character of UTF-8 (RFC 3629), or -1 for what is none. Takes it off what is left. */
static int32_t next_character(struct span *left)
{
	static const int32_t smallest[] = { 0, 0x80, 0x800, 0x10000 };
	uint8_t first = *left->data;
	size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
	int32_t c = more ? first & (0x3f >> more) : first;

	if ((more && first < 0xc2) || first > 0xf4 || left->size <= more)
		return -1;
	for (size_t i = 1; i <= more; i++) {
		if ((left->data[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (left->data[i] & 0x3f);
	}
	*left = SPAN(left->data + more + 1, left->size - more - 1);
	return c < smallest[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? -1 : c;
}

/* An arrow key or a backspace that a terminal did not take is a slip, and another keyboard cannot type it. */
static bool is_typed_text(const struct secret *s)
{
	struct span left = SPAN(secret_data(s), secret_size(s));

	while (left.size > 0) {
		int32_t c = next_character(&left);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
	}
	return true;
}

static enum err check_rules(const struct kind *k, const struct secret *s, struct err_ctx *e)
{
	if (secret_size(s) < k->min || secret_size(s) > k->max)
		return err_set(e, ERR_ANSWER_RULES, "a %s has %zu to %zu bytes", k->name, k->min, k->max);
	if (!is_typed_text(s))
		return err_set(e, ERR_ANSWER_RULES, "a %s is UTF-8 without control characters", k->name);
	return ERR_OK;
}

/* From what was given to what a protector takes. */
static enum err accept(const struct kind *k, struct secret **given, struct secret **ret, struct err_ctx *e)
{
	if (k == &kinds[ANSWER_RECOVERY_KEY])
		return recovery_key_parse(secret_data(*given), secret_size(*given), ret, e);
	enum err err = check_rules(k, *given, e);
	if (!err)
		*ret = TAKE(*given);
	return err;
}

/* ---- where it comes from ---- */

/* All zero but the descriptor: not given. */
struct source {
	bool terminal;
	int fd; /* or -1 */
	const char *credential;
	char option[48]; /* that said so */
};

static bool find_option(const struct invocation *inv, const char *begin, const char *end, struct source *s)
{
	char option[sizeof(s->option)];

	snprintf(option, sizeof(option), "%s%s", begin, end);
	if (!invocation_has(inv, option))
		return false;
	strcpy(s->option, option);
	return true;
}

static enum err find_descriptor(const struct invocation *inv, struct source *s, struct err_ctx *e)
{
	long fd;
	enum err err = invocation_number(inv, s->option, INT_MAX, -1, &fd, e);

	if (err)
		return err;
	s->fd = (int)fd;
	return err_wrap(e, descriptor_check_source(s->fd, e), "--%s %d", s->option, s->fd);
}

/* The options that begin so. */
static enum err find_source(const struct invocation *inv, const char *begin, struct source *ret, struct err_ctx *e)
{
	struct source s = { .fd = -1 };
	enum err err = ERR_OK;
	unsigned n = 0;

	if (find_option(inv, begin, "", &s) && ++n)
		s.terminal = true;
	if (find_option(inv, begin, "-fd", &s) && ++n)
		err = find_descriptor(inv, &s, e);
	if (!err && find_option(inv, begin, "-credential", &s) && ++n)
		s.credential = invocation_value(inv, s.option);
	if (!err && n > 1)
		err = err_set(e, ERR_USAGE, "--%s, --%s-fd and --%s-credential: one of them", begin, begin, begin);
	if (!err)
		*ret = s;
	return err;
}

static enum err find_new_source(const struct invocation *inv, const struct kind *k, struct source *ret,
				struct err_ctx *e)
{
	char begin[32];

	snprintf(begin, sizeof(begin), "new-%s", k->option);
	return find_source(inv, begin, ret, e);
}

static bool is_given(const struct source *s)
{
	return *s->option;
}

/* From anything but the terminal: nobody is there who could try again. */
static enum err take(const struct kind *k, const struct source *s, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *given = NULL;
	enum err err = s->credential ? credential_read(s->credential, &given, e) : descriptor_read(s->fd, &given, e);

	if (!err)
		err = accept(k, &given, ret, e);
	return err_wrap(e, err, "--%s", s->option);
}

/* ---- answers to slots that are there ---- */

static enum err ask_once(const struct kind *k, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *given = NULL;

	style_progress_clear();
	enum err err = terminal_ask(k->prompt, false, &given, e);

	return err ? err : accept(k, &given, ret, e);
}

/* A slip is noticed before anything is tried with it: asking again risks nothing. */
static enum err ask(const struct kind *k, struct secret **ret, struct err_ctx *e)
{
	enum err err = ask_once(k, ret, e);

	for (int i = 1; i < TRIES && (err == ERR_RECOVERY_TYPO || err == ERR_ANSWER_RULES); i++) {
		output_reason(NULL, e);
		err = ask_once(k, ret, e);
	}
	return err;
}

enum err answers_ask(const struct invocation *inv, struct secret *answers[static ANSWER_MAX], struct err_ctx *e)
{
	struct source sources[ANSWER_MAX] = { 0 };
	enum err err = ERR_OK;

	for (int i = ANSWER_NONE + 1; !err && i < ANSWER_MAX; i++)
		err = find_source(inv, kinds[i].option, &sources[i], e);
	for (int i = ANSWER_NONE + 1; !err && i < ANSWER_MAX; i++)
		if (is_given(&sources[i]))
			err = sources[i].terminal ? ask(&kinds[i], &answers[i], e)
						  : take(&kinds[i], &sources[i], &answers[i], e);
	return err;
}

/* ---- answers to slots that are made ---- */

bool answer_new_is_given(const struct invocation *inv, enum answer kind)
{
	struct source s = { 0 };

	return find_new_source(inv, &kinds[kind], &s, NULL) != ERR_OK || is_given(&s);
}

static enum err ask_twice(const struct kind *k, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *once = NULL, *again = NULL;

	style_progress_clear();
	enum err err = terminal_ask(k->prompt_new, false, &once, e);

	if (!err)
		err = check_rules(k, once, e);
	if (!err)
		err = terminal_ask(k->prompt_again, false, &again, e);
	if (!err && !secret_equal(once, again))
		err = err_set(e, ERR_ANSWER_DIFFERENT, "the new %s", k->name);
	if (!err)
		*ret = TAKE(once);
	return err;
}

/* An empty line is a slip here, too; at the end of the terminal's input the tries are soon over. */
static bool may_try_again(enum err err)
{
	return err == ERR_ANSWER_RULES || err == ERR_ANSWER_DIFFERENT || err == ERR_NO_INPUT;
}

static enum err ask_new(const struct kind *k, struct secret **ret, struct err_ctx *e)
{
	if (!terminal_available())
		return err_set(e, ERR_NO_INPUT,
			       "a new %s: there is no terminal; --new-%s-fd and --new-%s-credential go without", k->name,
			       k->option, k->option);

	enum err err = ask_twice(k, ret, e);

	for (int i = 1; i < TRIES && terminal_available() && may_try_again(err); i++) {
		output_reason(NULL, e);
		err = ask_twice(k, ret, e);
	}
	return err_wrap(e, err, "a new %s", k->name);
}

/* Only to the person who has typed it: in a log it would tell something of the PIN. */
static void note_few_digits(const struct secret *pin)
{
	static const char note[] = "So few digits are safe only as long as the TPM counts wrong ones.\n";

	for (size_t i = 0; i < secret_size(pin); i++)
		if (!isdigit(secret_data(pin)[i]))
			return;
	if (secret_size(pin) < PIN_DIGITS_FEW)
		(void)!terminal_show(note, sizeof(note) - 1, NULL);
}

enum err answer_ask_new(const struct invocation *inv, enum answer kind, struct secret **ret, struct err_ctx *e)
{
	const struct kind *k = &kinds[kind];
	struct source s;
	enum err err = find_new_source(inv, k, &s, e);

	if (err)
		return err;
	if (is_given(&s) && !s.terminal)
		return take(k, &s, ret, e);
	err = ask_new(k, ret, e);
	if (!err && kind == ANSWER_PIN)
		note_few_digits(*ret);
	return err;
}

/* ---- a question ---- */

enum err answer_yes(const char *question, bool *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *answer = NULL;

	style_progress_clear();
	enum err err = terminal_ask(question, true, &answer, e);

	*ret = !err && secret_size(answer) == 3 && memcmp(secret_data(answer), "yes", 3) == 0;
	return err;
}
