/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/recovery.h"
#include "format/recovery-key.h"
#include "sys/descriptor.h"
#include "sys/terminal.h"

enum { TRIES = 3 };

/* ---- showing a new one ---- */

static enum err show(const struct secret *text, struct err_ctx *e)
{
	static const char before[] = "\nThe recovery key opens this pool when the TPM does not. Write it down now;\n"
				     "it is shown this once and kept nowhere.\n\n    ";
	static const char after[] = "\n\n";
	enum err err = terminal_show((const uint8_t *)before, sizeof(before) - 1, e);

	if (!err)
		err = terminal_show(secret_data(text), secret_size(text), e);
	if (!err)
		err = terminal_show((const uint8_t *)after, sizeof(after) - 1, e);
	return err;
}

/* One group typed back from the paper. */
static enum err confirm_group(const struct secret *key, unsigned group, struct err_ctx *e)
{
	char prompt[64];

	snprintf(prompt, sizeof(prompt), "Type group %u of the recovery key back: ", group + 1);
	for (int i = 0; i < TRIES; i++) {
		_cleanup_secret_ struct secret *typed = NULL;
		enum err err = terminal_ask(prompt, true, &typed, e);

		if (err)
			return err;
		if (recovery_key_group_matches(key, group, secret_data(typed), secret_size(typed)))
			return ERR_OK;
		fprintf(stderr, "That is not group %u.\n", group + 1);
	}
	return err_set(e, ERR_RECOVERY_TYPO, "group %u was not typed back; no pool was made", group + 1);
}

/* Two different groups, chosen anew each time. */
static enum err confirm(const struct secret *key, struct err_ctx *e)
{
	struct uuid random;
	enum err err = uuid_new(&random, e);
	unsigned first = random.bytes[0] % RECOVERY_GROUPS;
	unsigned second = (first + 1 + random.bytes[1] % (RECOVERY_GROUPS - 1)) % RECOVERY_GROUPS;

	if (!err)
		err = confirm_group(key, first, e);
	if (!err)
		err = confirm_group(key, second, e);
	return err;
}

enum err recovery_hand_over(const struct secret *key, int fd, bool *ret_confirmed, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *text = NULL;
	enum err err = recovery_key_print(key, &text, e);

	if (err)
		return err;
	secret_shrink(text, strlen((const char *)secret_data(text)));
	if (fd >= 0) {
		err = descriptor_write(fd, text, e);
	} else {
		err = show(text, e);
		if (!err)
			err = confirm(key, e);
	}
	if (!err)
		*ret_confirmed = fd < 0;
	return err;
}

/* ---- asking for one ---- */

static enum err parse(const struct secret *typed, struct secret **ret, struct err_ctx *e)
{
	return recovery_key_parse(secret_data(typed), secret_size(typed), ret, e);
}

static enum err ask_terminal(struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *typed = NULL;
	enum err err = terminal_ask("Recovery key (eight groups of six letters): ", false, &typed, e);

	return err ? err : parse(typed, ret, e);
}

static enum err read_descriptor(int fd, struct secret **ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *typed = NULL;
	enum err err = descriptor_read(fd, &typed, e);

	return err ? err : parse(typed, ret, e);
}

/* A mistyped group is noticed before anything is tried with it: asking again risks nothing. */
enum err recovery_ask(int fd, struct secret **ret, struct err_ctx *e)
{
	if (fd >= 0)
		return read_descriptor(fd, ret, e);
	enum err err = ask_terminal(ret, e);
	for (int i = 1; i < TRIES && err == ERR_RECOVERY_TYPO; i++) {
		output_reason(NULL, e);
		err = ask_terminal(ret, e);
	}
	return err;
}
