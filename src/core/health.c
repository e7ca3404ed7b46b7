/* SPDX-License-Identifier: MIT */
#include "core/health.h"
#include "core/tested.h"

static void get_login(const struct open_request *r, struct slot_health *ret)
{
	if (!str_equal(ret->slot->slot.type, protector_vault.type) || err_info(ret->error.code)->class == CLASS_NOT_MINE)
		return;
	vault_lifetime_get(&r->config->vault, &ret->login);
	if (!ret->error.code)
		(void)!vault_lifetime_check(&r->config->vault, &ret->warning);
}

void slot_health_get(const struct keyring *k, const struct stored_slot *s, const struct open_request *r,
		     struct slot_health *ret)
{
	const struct protector *p = s->state ? NULL : protector_find(s->slot.type);

	*ret = (struct slot_health){ .slot = s, .error = s->error };
	if (s->state)
		return;
	ret->tested = tested_when(&s->slot.uuid);
	if (!p) {
		err_set(&ret->error, ERR_FORMAT_NEWER, "slot %s is of type %s", s->name, s->slot.type);
		return;
	}
	ret->needs = protector_needs(&s->slot);
	ret->has_sealed = str_equal(s->slot.type, protector_tpm2.type) &&
			  slot_tpm2_parse(s->slot.protect, &ret->sealed, NULL) == ERR_OK;
	if (p->check(r->context, &s->slot, &ret->error) == ERR_OK)
		err_clear(&ret->error);
	else
		(void)opening_tell_cleared(k, r->pins, &s->slot, &ret->error);
	get_login(r, ret);
	ret->has_lockout = ret->needs == ANSWER_PIN && err_info(ret->error.code)->class != CLASS_NOT_MINE &&
			   protector_tpm2_lockout(r->context, &ret->lockout, NULL) == ERR_OK;
}

static bool is_out_of_question(const struct slot_health *h)
{
	enum err_class class = err_info(h->error.code)->class;

	return h->slot->state || class == CLASS_NOT_MINE || class == CLASS_CORRUPT;
}

bool slot_guessing_is_free(const struct slot_health *h)
{
	return h->has_lockout && !h->lockout.auth_set;
}

static enum worth tpm_worth(const struct slot_health *h)
{
	if (h->sealed.has_pin)
		return slot_guessing_is_free(h) ? WORTH_PIN_FREE : WORTH_PIN;
	return h->sealed.pcrs ? WORTH_UNCHANGED : WORTH_OPEN;
}

/* Another machine's slot is that machine's worth, not this one's. */
static enum worth slot_worth(enum thief thief, const struct slot_health *h)
{
	if (is_out_of_question(h))
		return WORTH_CLOSED;
	if (h->needs == ANSWER_PASSPHRASE)
		return WORTH_PASSPHRASE;
	if (thief == THIEF_OF_MACHINE && str_equal(h->slot->slot.type, protector_vault.type))
		return WORTH_VAULT;
	return h->has_sealed && thief == THIEF_OF_MACHINE ? tpm_worth(h) : WORTH_CLOSED;
}

enum worth keyring_worth(enum thief thief, const struct slot_health *health, size_t n,
			 const struct slot_health **ret_health)
{
	enum worth worst = WORTH_CLOSED;

	*ret_health = NULL;
	for (size_t i = 0; i < n; i++) {
		enum worth w = slot_worth(thief, &health[i]);

		if (w > worst) {
			worst = w;
			*ret_health = &health[i];
		}
	}
	return worst;
}
