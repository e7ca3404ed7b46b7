/* SPDX-License-Identifier: MIT */
#include "cli/output.h"
#include "cli/session.h"
#include "event/event.h"
#include "event/progress.h"

enum err session_begin(struct session *s, const struct invocation *inv, struct err_ctx *e)
{
	const char *trust = invocation_value(inv, "trust");
	enum err err = config_load(inv->config, &s->config, e);

	progress_listen(style_progress);
	output_set_about(inv->verb->min_arguments > 0 ? inv->arguments[0] : NULL);
	if (!err && trust && !fingerprint_text_is_valid(trust))
		err = err_set(e, ERR_USAGE, "--trust takes a fingerprint as zseal status prints it");
	if (!err)
		err = pins_load(&s->pins, e);
	s->context.tcti = s->config.tcti;
	s->context.stretch = s->config.stretch;
	s->context.vault_settings = &s->config.vault;
	s->context.dry_run = inv->dry_run;
	return err;
}

void session_clear(struct session *s)
{
	protector_context_clear(&s->context);
	pins_clear(&s->pins);
	for (int i = 0; i < ANSWER_MAX; i++)
		secret_free(TAKE(s->answers[i]));
	secret_free(TAKE(s->vault_token));
}

struct open_request session_open_request(struct session *s, const struct invocation *inv)
{
	return (struct open_request){
		.config = &s->config, .pins = &s->pins, .context = &s->context,
		.trust = invocation_value(inv, "trust"),
	};
}

enum err session_ask_answers(struct session *s, const struct invocation *inv, struct err_ctx *e)
{
	enum err err = answers_ask(inv, s->answers, e);

	for (int i = 0; i < ANSWER_MAX; i++)
		s->context.answers[i] = s->answers[i];
	s->context.typed = invocation_has(inv, "pin") || invocation_has(inv, "new-pin");
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
	say(stderr, "zseal: this machine remembers the keyring on %s now: %s\n", k->dataset, fingerprint);
	event_emit(&(struct event){ .id = EVENT_PIN_CHANGED, .dataset = k->dataset, .keyring = &pin.keyring,
				    .generation = pin.generation });
	return ERR_OK;
}
