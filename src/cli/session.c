/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "cli/output.h"
#include "cli/session.h"
#include "event/event.h"
#include "format/recovery-key.h"
#include "sys/terminal.h"

enum { RECOVERY_TRIES = 3 };

enum err session_begin(struct session *s, const struct invocation *inv, struct err_ctx *e)
{
	const char *trust = invocation_value(inv, "trust");
	enum err err = config_load(inv->config, &s->config, e);

	if (!err && trust && !fingerprint_text_is_valid(trust))
		err = err_set(e, ERR_USAGE, "--trust takes a fingerprint as zseal status prints it");
	if (!err)
		err = pins_load(&s->pins, e);
	s->context.tcti = s->config.tcti;
	return err;
}

void session_clear(struct session *s)
{
	protector_context_clear(&s->context);
	pins_clear(&s->pins);
	secret_free(TAKE(s->recovery_key));
}

struct open_request session_open_request(struct session *s, const struct invocation *inv)
{
	return (struct open_request){
		.config = &s->config, .pins = &s->pins, .context = &s->context,
		.trust = invocation_value(inv, "trust"),
	};
}

static enum err take_typed(struct session *s, const struct secret *typed, struct err_ctx *e)
{
	enum err err = recovery_key_parse(secret_data(typed), secret_size(typed), &s->recovery_key, e);

	s->context.recovery_key = s->recovery_key;
	return err;
}

/* A mistyped group is noticed before anything is tried with it: asking again risks nothing. */
static enum err ask(struct session *s, struct err_ctx *e)
{
	enum err err = ERR_OK;

	for (int i = 0; i < RECOVERY_TRIES; i++) {
		_cleanup_secret_ struct secret *typed = NULL;

		err = terminal_ask("Recovery key (eight groups of six letters): ", false, &typed, e);
		if (!err)
			err = take_typed(s, typed, e);
		if (err != ERR_RECOVERY_TYPO)
			return err;
		if (i + 1 < RECOVERY_TRIES)
			output_reason(NULL, e);
	}
	return err;
}

enum err session_ask_recovery(struct session *s, const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *typed = NULL;
	long fd = -1;

	if (!invocation_has(inv, "recovery-fd"))
		return invocation_has(inv, "recovery") ? ask(s, e) : ERR_OK;
	enum err err = invocation_number(inv, "recovery-fd", INT_MAX, -1, &fd, e);
	if (!err && fcntl((int)fd, F_GETFD) < 0)
		err = err_set(e, ERR_USAGE, "--recovery-fd %ld: that descriptor is not open", fd);
	if (!err)
		err = descriptor_read((int)fd, &typed, e);
	return err ? err : take_typed(s, typed, e);
}

enum err session_remember(const struct keyring *k, const struct opening *o, struct err_ctx *e)
{
	struct pin pin = keyring_pin(k, o);
	char fingerprint[FINGERPRINT_TEXT_SIZE];
	enum err err = pins_remember(&pin, e);

	if (err)
		return err_wrap(e, err, "remembering the keyring on %s", k->dataset);
	fingerprint_print(pin.fingerprint, fingerprint);
	fprintf(stderr, "zseal: this machine remembers the keyring on %s now: %s\n", k->dataset, fingerprint);
	event_emit(&(struct event){ .id = EVENT_PIN_CHANGED, .dataset = k->dataset, .keyring = &pin.keyring,
				    .generation = pin.generation });
	return ERR_OK;
}
