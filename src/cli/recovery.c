/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"
#include "cli/recovery.h"
#include "cli/sheet.h"
#include "cli/style.h"
#include "format/header.h"
#include "format/recovery-key.h"
#include "sys/descriptor.h"
#include "sys/terminal.h"

enum {
	TRIES = 3,
	LINES_AROUND = 8, /* what is said around the QR code; the key stays on the screen until it is typed back */
};

/* ---- who takes it ---- */

static enum err find_descriptor(const struct invocation *inv, const char *option, int *ret, struct err_ctx *e)
{
	long fd = -1;
	enum err err = invocation_number(inv, option, INT_MAX, -1, &fd, e);

	if (!err && fd >= 0)
		err = err_wrap(e, descriptor_check_taker((int)fd, e), "--%s %ld", option, fd);
	if (!err)
		*ret = (int)fd;
	return err;
}

enum err recovery_takers_find(const struct invocation *inv, struct recovery_takers *ret, struct err_ctx *e)
{
	struct recovery_takers found = { .no_qr = invocation_has(inv, "no-qr") };
	enum err err = find_descriptor(inv, "recovery-to-fd", &found.fd, e);

	if (!err)
		err = find_descriptor(inv, "recovery-sheet-fd", &found.sheet_fd, e);
	if (err)
		return err;
	if (found.fd >= 0 && found.fd == found.sheet_fd)
		return err_set(e, ERR_USAGE, "--recovery-to-fd and --recovery-sheet-fd: a descriptor for each");
	if (found.fd < 0 && found.sheet_fd < 0 && !inv->dry_run && !terminal_available())
		return err_set(e, ERR_NO_INPUT, "the recovery key is shown once, on a terminal: there is none here; "
						"--recovery-to-fd N takes it, --no-recovery goes without");
	*ret = found;
	return ERR_OK;
}

/* ---- on paper ---- */

/* Closed, so that the printer begins before two groups are asked for; what is 0 to 2 is not ours alone. */
static enum err print_sheet(const struct handover *h, const struct secret *text, const struct qr *qr, struct err_ctx *e)
{
	char uuid[UUID_TEXT_SIZE], fingerprint[FINGERPRINT_TEXT_SIZE], date[16];
	struct sheet sheet = {
		.dataset = h->dataset, .keyring = uuid, .fingerprint = fingerprint, .date = date, .key = text, .qr = qr,
	};

	uuid_print(h->keyring, uuid);
	fingerprint_print(h->fingerprint, fingerprint);
	output_date((uint64_t)time(NULL), date);
	enum err err = sheet_write(&sheet, h->takers.sheet_fd, e);
	if (!err && h->takers.sheet_fd > STDERR_FILENO)
		close(h->takers.sheet_fd);
	return err;
}

/* ---- on the terminal ---- */

/* It is left out where it would break, or push the key from the screen: a console has nothing to scroll back to. */
static bool fits(const struct qr *qr)
{
	struct terminal_size size = terminal_size();

	return size.columns >= qr_columns(qr) && size.rows >= qr_lines(qr) + LINES_AROUND && style_can_draw();
}

static enum err show_qr(const struct qr *qr, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *picture = NULL;
	enum err err = qr_print(qr, &picture, e);

	if (!err)
		err = terminal_show(secret_data(picture), secret_size(picture), e);
	return err ? err : terminal_show("\n", 1, e);
}

static enum err show(const struct handover *h, const struct secret *text, const struct qr *qr, struct err_ctx *e)
{
	_cleanup_free_ char *before = NULL;
	enum err err = str_format(&before, e, "\nThe recovery key opens %s when nothing else does. Write it down now;\n"
				  "it is shown this once and kept nowhere.\n\n    ", h->dataset);

	if (!err)
		err = terminal_show(before, strlen(before), e);
	if (!err)
		err = terminal_show(secret_data(text), secret_size(text), e);
	if (!err)
		err = terminal_show("\n\n", 2, e);
	return err || h->takers.no_qr || !fits(qr) ? err : show_qr(qr, e);
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
		say(stderr, "That is not group %u.\n", group + 1);
	}
	return err_set(e, ERR_RECOVERY_TYPO, "group %u was not typed back; nothing was changed", group + 1);
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

/* ---- all of it ---- */

static enum err hand_over(const struct handover *h, const struct secret *text, bool person, struct err_ctx *e)
{
	_cleanup_(qr_clearp) struct qr *qr = &(struct qr){ 0 };
	bool sheet = h->takers.sheet_fd >= 0;
	enum err err = sheet || person ? qr_encode(text, qr, e) : ERR_OK;

	if (!err && sheet)
		err = print_sheet(h, text, qr, e);
	if (!err && h->takers.fd >= 0)
		err = descriptor_write(h->takers.fd, text, e);
	if (!err && person)
		err = show(h, text, qr, e);
	if (!err && person)
		err = confirm(h->key, e);
	return err;
}

enum err recovery_hand_over(const struct handover *h, bool *ret_confirmed, struct err_ctx *e)
{
	bool person = h->takers.fd < 0 && (h->takers.sheet_fd < 0 || terminal_available());
	_cleanup_secret_ struct secret *text = NULL;
	enum err err = recovery_key_print(h->key, &text, e);

	if (err)
		return err;
	secret_shrink(text, RECOVERY_TEXT_SIZE - 1); /* without its NUL */
	err = hand_over(h, text, person, e);
	if (!err)
		*ret_confirmed = person;
	return err;
}
