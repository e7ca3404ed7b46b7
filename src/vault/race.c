/* SPDX-License-Identifier: MIT */
/*
 * Which of several servers to use: GET sys/health of each, the next one a moment after the last, all of them at once in
 * the end. One that is active wins; a standby is good enough if none turns up soon after it, for it forwards what it is
 * asked, or knows who the leader is. One that cannot serve starts the next at once.
 */
#include <string.h>

#include "vault/internal.h"

/* When a standby answers, all others are asked at once: an active one that is well is not much later. */
enum { STAGGER_MS = 250, STANDBY_WAIT_MS = 100, HEALTH_MAX = 4096 };

struct race {
	struct vault *vault;
	unsigned n_started, n_judged;
	struct exchange exchanges[VAULT_ADDRESSES_MAX];
	bool judged[VAULT_ADDRESSES_MAX];
	struct deadline next; /* when the next one starts */
	bool has_candidate;
	unsigned candidate;
	struct deadline candidate_wins;
	struct err_ctx error; /* the most telling one so far */
};

static void race_end(struct race *r)
{
	for (unsigned i = 0; i < r->n_started; i++)
		exchange_end(&r->exchanges[i]);
}

/* Servers have no health within a namespace. */
static enum err start_next(struct race *r, struct err_ctx *e)
{
	struct vault *v = r->vault;
	unsigned i = r->n_started;
	const struct http_request request = {
		.method = "GET",
		.address = v->settings->addresses[i],
		.path = "sys/health",
		.correlation = v->correlation,
		.timeout_ms = vault_request_timeout(v),
		.body_max = HEALTH_MAX,
	};

	r->next = deadline_in(STAGGER_MS);
	enum err err = exchange_start(&r->exchanges[i], &v->http, &request, e);
	if (!err)
		r->n_started++;
	return err;
}

/* A sealed server, or one without a leader, says more than one that does not answer; a wrong certificate most. */
static int telling(enum err code)
{
	switch (code) {
	case ERR_OK:
		return -1;
	case ERR_VAULT_DOWN:
		return 0;
	case ERR_VAULT_TLS:
		return 2;
	default:
		return 1;
	}
}

/* What passes decides: one server that may come back is worth the wait, whatever is wrong with the others. */
static void lose(struct race *r, const struct err_ctx *e)
{
	bool passes = err_info(e->code)->class == CLASS_UNAVAILABLE;
	bool passed = err_info(r->error.code)->class == CLASS_UNAVAILABLE;

	if (!r->error.code || (passes && !passed) || (passes == passed && telling(e->code) > telling(r->error.code)))
		r->error = *e;
	r->next = deadline_in(0);
}

static bool is_health(const struct exchange *x)
{
	_cleanup_(json_decrefp) json_t *json =
		json_loadb((const char *)secret_data(x->body), x->size, JSON_REJECT_DUPLICATES, NULL);

	return json_is_boolean(json_object_get(json, "initialized")) &&
	       json_is_boolean(json_object_get(json, "sealed"));
}

/* True if this one has won. */
static bool judge(struct race *r, unsigned i)
{
	const struct exchange *x = &r->exchanges[i];
	struct err_ctx e = { 0 };
	enum err err = exchange_error(x, &e);

	r->judged[i] = true;
	r->n_judged++;
	if (!err && x->status == 429 && is_health(x)) {
		if (!r->has_candidate)
			r->candidate_wins = deadline_in(STANDBY_WAIT_MS);
		r->candidate = r->has_candidate ? r->candidate : i;
		r->has_candidate = true;
		r->next = deadline_in(0);
		return false;
	}
	if (!err)
		err = vault_status_error(x->status, x->address, &e);
	if (!err && (x->status != 200 || !is_health(x)))
		err = err_set(&e, ERR_VAULT_ANSWER, "%s: status %ld of sys/health", x->address, x->status);
	if (err)
		lose(r, &e);
	return !err;
}

/* True if somebody has won: *ret. */
static bool judge_all(struct race *r, unsigned *ret)
{
	for (unsigned i = 0; i < r->n_started; i++) {
		if (r->judged[i] || !r->exchanges[i].done)
			continue;
		*ret = i;
		if (judge(r, i))
			return true;
	}
	*ret = r->candidate;
	return r->has_candidate &&
	       (r->n_judged == r->vault->settings->n_addresses || deadline_left_ms(r->candidate_wins) == 0);
}

static struct deadline until(const struct race *r)
{
	struct deadline d = r->vault->deadline;

	if (r->n_started < r->vault->settings->n_addresses)
		d = deadline_min(d, r->next);
	return r->has_candidate ? deadline_min(d, r->candidate_wins) : d;
}

static bool goes_on(const struct race *r)
{
	return r->n_judged < r->vault->settings->n_addresses && deadline_left_ms(r->vault->deadline) > 0;
}

static enum err run(struct race *r, bool *ret_won, unsigned *ret_winner, struct err_ctx *e)
{
	enum err err = ERR_OK;

	while (!err && !*ret_won && goes_on(r)) {
		if (r->n_started < r->vault->settings->n_addresses && deadline_left_ms(r->next) == 0)
			err = start_next(r, e);
		if (!err)
			err = http_step(&r->vault->http, until(r), e);
		if (!err)
			*ret_won = judge_all(r, ret_winner);
	}
	return err;
}

static void survey_one(const struct exchange *x, struct vault_health *ret)
{
	_cleanup_(json_decrefp) json_t *json = NULL;
	enum err err = x->done ? exchange_error(x, &ret->error)
			       : err_set(&ret->error, ERR_VAULT_DOWN, "%s: no answer in time", x->address);

	ret->address = x->address;
	if (err)
		return;
	json = json_loadb((const char *)secret_data(x->body), x->size, JSON_REJECT_DUPLICATES, NULL);
	const char *version = json_string_value(json_object_get(json, "version"));
	snprintf(ret->version, sizeof(ret->version), "%s", version ? version : "");
	ret->standby = x->status == 429 && is_health(x);
	err = ret->standby ? ERR_OK : vault_status_error(x->status, x->address, &ret->error);
	if (!err && !ret->standby && (x->status != 200 || !is_health(x)))
		(void)!err_set(&ret->error, ERR_VAULT_ANSWER, "%s: status %ld of sys/health", x->address, x->status);
}

static bool all_done(const struct race *r)
{
	for (unsigned i = 0; i < r->n_started; i++)
		if (!r->exchanges[i].done)
			return false;
	return true;
}

enum err vault_survey(struct vault *v, struct vault_health ret[static VAULT_ADDRESSES_MAX], struct err_ctx *e)
{
	_cleanup_(race_end) struct race r = { .vault = v };
	enum err err = ERR_OK;

	while (!err && r.n_started < v->settings->n_addresses)
		err = start_next(&r, e);
	while (!err && !all_done(&r) && deadline_left_ms(v->deadline) > 0)
		err = http_step(&v->http, v->deadline, e);
	for (unsigned i = 0; !err && i < r.n_started; i++)
		survey_one(&r.exchanges[i], &ret[i]);
	return err;
}

enum err vault_race(struct vault *v, struct err_ctx *e)
{
	_cleanup_(race_end) struct race r = { .vault = v, .next = deadline_in(0) };
	unsigned winner = 0;
	bool won = false;
	enum err err = run(&r, &won, &winner, e);

	if (err)
		return err;
	if (won) {
		v->winner = winner;
		v->has_winner = true;
		v->standby = r.has_candidate && winner == r.candidate;
		return ERR_OK;
	}
	if (!r.error.code)
		return err_set(e, ERR_VAULT_DOWN, "%s: no answer in time", v->settings->addresses[0]);
	if (e)
		*e = r.error;
	return r.error.code;
}
