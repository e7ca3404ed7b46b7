/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "cli/recovery.h"
#include "cli/session.h"
#include "event/event.h"

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

enum err session_ask_recovery(struct session *s, const struct invocation *inv, struct err_ctx *e)
{
	long fd = -1;

	if (!invocation_has(inv, "recovery-fd") && !invocation_has(inv, "recovery"))
		return ERR_OK;
	enum err err = invocation_number(inv, "recovery-fd", INT_MAX, -1, &fd, e);
	if (!err && fd >= 0 && fcntl((int)fd, F_GETFD) < 0)
		err = err_set(e, ERR_USAGE, "--recovery-fd %ld: that descriptor is not open", fd);
	if (!err)
		err = recovery_ask((int)fd, &s->recovery_key, e);
	s->context.answers[ANSWER_RECOVERY_KEY] = s->recovery_key;
	return err;
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
