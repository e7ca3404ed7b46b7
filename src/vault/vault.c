/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/random.h>

#include "event/event.h"
#include "vault/internal.h"

enum {
	RETRY_FIRST_MS = 500,
	RETRY_MAX_MS = 15000,    /* full jitter below a bound that doubles */
	ELECTION_RETRY_MS = 700, /* an election takes seconds: who waits for its end is served within one more */
	ELECTION_TRIES = 30,
	GIVE_BACK_MS = 2000,
};

/* ---- opening and closing ---- */

static enum err check_addresses(const struct vault_settings *s, struct err_ctx *e)
{
	if (s->n_addresses == 0)
		return err_set(e, ERR_VAULT_UNSET, "[vault] has no address");
	for (unsigned i = 0; i < s->n_addresses; i++) {
		if (!vault_address_is_plain(s->addresses[i]))
			continue;
		if (!s->allow_http)
			return err_set(e, ERR_CONFIG, "%s is not encrypted, and [vault] allow-http is not yes",
				       s->addresses[i]);
		event_emit(&(struct event){ .id = EVENT_VAULT_PLAIN, .vault = { .address = s->addresses[i] } });
	}
	return ERR_OK;
}

enum err vault_open(const struct vault_settings *settings, struct vault **ret, struct err_ctx *e)
{
	_cleanup_(vault_closep) struct vault *v = calloc(1, sizeof(*v));
	struct uuid correlation;
	enum err err;

	if (!v)
		return err_set(e, ERR_NO_MEMORY, "room for a connection");
	v->settings = settings;
	err = check_addresses(settings, e);
	if (!err)
		err = uuid_new(&correlation, e);
	if (!err)
		err = http_open(&v->http, settings, e);
	if (err)
		return err;
	uuid_print(&correlation, v->correlation);
	*ret = TAKE(v);
	return ERR_OK;
}

void vault_set_deadline(struct vault *v, struct deadline deadline)
{
	v->deadline = deadline;
}

enum err vault_set_token(struct vault *v, const struct secret *token, struct err_ctx *e)
{
	for (size_t i = 0; i < secret_size(token); i++)
		if (secret_data(token)[i] <= ' ' || secret_data(token)[i] > '~')
			return err_set(e, ERR_USAGE, "what was given is no token");
	secret_free(TAKE(v->token));
	v->gives_back = false;
	return secret_new_copy(secret_data(token), secret_size(token), &v->token, e);
}

void vault_close(struct vault *v)
{
	if (!v)
		return;
	if (v->gives_back)
		vault_give_back(v, deadline_in(GIVE_BACK_MS));
	http_close(&v->http);
	secret_free(v->token);
	free(v);
}

/* ---- one request ---- */

uint64_t vault_request_timeout(const struct vault *v)
{
	uint64_t left_ms = (uint64_t)deadline_left_ms(v->deadline);

	return left_ms < v->settings->request_timeout_ms ? left_ms : v->settings->request_timeout_ms;
}

static enum err parse(const struct exchange *x, struct vault_answer *ret, struct err_ctx *e)
{
	bool success = x->status == 200 || x->status == 204;

	ret->status = x->status;
	if (x->size == 0 && x->status != 200)
		return ERR_OK;
	ret->json = json_loadb((const char *)secret_data(x->body), x->size, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(ret->json) || !success)
		return ERR_OK;
	return err_set(e, ERR_VAULT_ANSWER, "%s: an answer that is no JSON object", x->address);
}

/* A UUID is what it should be, and what it is told as. */
static const char *request_id(const struct vault_answer *a)
{
	const char *id = json_string_value(json_object_get(a->json, "request_id"));
	struct uuid uuid;

	return id && uuid_parse(id, &uuid) ? id : NULL;
}

static void tell(const struct vault *v, const struct vault_question *q, const struct exchange *x,
		 const struct vault_answer *a)
{
	event_emit(&(struct event){
		.id = EVENT_VAULT_ASKED,
		.vault = { .address = x->address,
			   .method = q->method,
			   .path = q->path,
			   .status = x->status,
			   .request_id = request_id(a),
			   .correlation = v->correlation },
	});
}

static enum err wait_for(struct vault *v, struct exchange *x, struct err_ctx *e)
{
	enum err err = ERR_OK;

	/* libcurl's own timeout ends it at the latest; a little more, so that it tells how far it came */
	while (!err && !x->done && deadline_left_ms(v->deadline) > 0)
		err = http_step(&v->http, v->deadline, e);
	if (!err && !x->done)
		err = err_set(e, ERR_VAULT_DOWN, "%s: no answer in time", x->address);
	return err ? err : exchange_error(x, e);
}

/* The address that a 307 names, if it is one of ours: its number, or n_addresses. */
static unsigned find_address(const struct vault_settings *s, const char *location)
{
	char address[VAULT_ADDRESS_SIZE];
	unsigned i = 0;

	if (!vault_address_normalise(location, address))
		return s->n_addresses;
	while (i < s->n_addresses && !str_equal(s->addresses[i], address))
		i++;
	return i;
}

/* What a server asks for, as far as we are patient. */
static uint64_t retry_after_ms(const struct exchange *x)
{
	if (x->retry_after_s <= 0)
		return 0;
	return x->retry_after_s < RETRY_MAX_MS / 1000 ? (uint64_t)x->retry_after_s * 1000 : RETRY_MAX_MS;
}

/*
 * Nothing is sent to a stranger. A standby names the leader that it last knew for as long as there is no other: where
 * that one has no address of its own in zseal.conf (one address for all of them, say), it passes with the election.
 */
static enum err refuse_redirect(const struct vault *v, const char *address, struct err_ctx *e)
{
	if (v->standby)
		return err_set(e, ERR_VAULT_NO_LEADER, "%s, a standby, names one that [vault] has no address of",
			       address);
	return err_set(e, ERR_VAULT_REDIRECT, "%s", address);
}

/* *ret_to is where a 307 sends us, or n_addresses if there was none. */
static enum err ask_address(struct vault *v, const struct vault_question *q, unsigned at, unsigned *ret_to,
			    struct vault_answer *ret, struct err_ctx *e)
{
	_cleanup_(exchange_endp) struct exchange *x = &(struct exchange){ 0 };
	const struct http_request request = {
		.method = q->method,
		.address = v->settings->addresses[at],
		.path = q->path,
		.namespace = v->settings->namespace,
		.body = q->body,
		.token = v->token,
		.correlation = v->correlation,
		.wrap_ttl = q->wrap_ttl,
		.timeout_ms = vault_request_timeout(v),
	};
	enum err err = request.timeout_ms ? exchange_start(x, &v->http, &request, e)
					  : err_set(e, ERR_VAULT_DOWN, "%s: no time left", request.address);

	*ret_to = v->settings->n_addresses;
	if (!err)
		err = wait_for(v, x, e);
	if (!err)
		err = parse(x, ret, e);
	if (x->done)
		tell(v, q, x, ret);
	v->retry_after_ms = retry_after_ms(x);
	if (err || x->status != 307)
		return err ? err : vault_status_error(x->status, x->address, e);
	*ret_to = find_address(v->settings, x->location);
	return *ret_to < v->settings->n_addresses ? ERR_OK : refuse_redirect(v, x->address, e);
}

/* A standby that does not forward names the leader. If that one does not answer either, there is none now. */
static enum err follow(struct vault *v, const struct vault_question *q, unsigned to, struct vault_answer *ret,
		       struct err_ctx *e)
{
	unsigned again;
	enum err err = ask_address(v, q, to, &again, ret, e);

	if (err == ERR_VAULT_DOWN || (!err && again < v->settings->n_addresses))
		return err_set(e, ERR_VAULT_NO_LEADER, "%s, which the others call their leader, does not serve",
			       v->settings->addresses[to]);
	if (!err)
		v->winner = to;
	return err;
}

static enum err attempt(struct vault *v, const struct vault_question *q, struct vault_answer *ret, struct err_ctx *e)
{
	unsigned to;
	enum err err = v->has_winner ? ERR_OK : vault_race(v, e);

	if (!err)
		err = ask_address(v, q, v->winner, &to, ret, e);
	if (!err && to < v->settings->n_addresses) {
		vault_answer_clear(ret);
		err = follow(v, q, to, ret, e);
	}
	if (err)
		vault_answer_clear(ret);
	v->reached = v->has_winner;
	v->has_winner = v->has_winner && !err;
	return err;
}

/* ---- again ---- */

static bool passes(enum err err)
{
	return err_info(err)->class == CLASS_UNAVAILABLE && err != ERR_NO_MEMORY && err != ERR_VAULT_LIBRARY;
}

/*
 * Anything from nothing to the bound, so that many nodes that lost one server do not come back together. Where a server
 * says that it is well and yet cannot serve, there is an election as a rule: that is asked about more often, for a while.
 */
static enum err pause_before(struct vault *v, unsigned tries, struct err_ctx *e)
{
	uint64_t most_ms = tries < 5 ? (uint64_t)RETRY_FIRST_MS << tries : RETRY_MAX_MS;
	uint32_t random = 0;
	bool ready;

	if (v->reached && !v->retry_after_ms && tries < ELECTION_TRIES && most_ms > ELECTION_RETRY_MS)
		most_ms = ELECTION_RETRY_MS;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = UINT32_MAX;
	uint64_t pause_ms = v->retry_after_ms + most_ms * random / UINT32_MAX;
	return process_poll(NULL, 0, deadline_min(v->deadline, deadline_in(pause_ms)), &ready, e);
}

enum err vault_ask(struct vault *v, const struct vault_question *q, struct vault_answer *ret, struct err_ctx *e)
{
	struct vault_answer a = { 0 };
	struct err_ctx own = { 0 }, last = { 0 };
	enum err err;

	for (unsigned tries = 0;; tries++) {
		err = attempt(v, q, &a, &own);
		/* no time left says less than why the time was spent */
		if (err && last.code && deadline_left_ms(v->deadline) == 0)
			own = last;
		if (!err || !passes(err) || q->once || deadline_left_ms(v->deadline) == 0)
			break;
		last = own;
		err = pause_before(v, tries, &own);
		if (err)
			break;
	}
	if (err) {
		if (e)
			*e = own;
		return err_wrap(e, own.code, "asking Vault for %s", q->path);
	}
	*ret = a;
	return ERR_OK;
}
