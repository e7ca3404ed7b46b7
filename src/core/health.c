/* SPDX-License-Identifier: MIT */
#include "core/health.h"
#include "core/tested.h"

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
}

/* Another machine's slot is that machine's worth, not this one's. */
static enum worth slot_worth(const struct slot_health *h)
{
	enum err_class class = err_info(h->error.code)->class;

	if (h->needs != ANSWER_NONE || !h->has_sealed || class == CLASS_NOT_MINE || class == CLASS_CORRUPT)
		return WORTH_CLOSED;
	return h->sealed.pcrs ? WORTH_UNCHANGED : WORTH_OPEN;
}

enum worth keyring_worth(const struct slot_health *health, size_t n, const struct stored_slot **ret_slot)
{
	enum worth worst = WORTH_CLOSED;

	*ret_slot = NULL;
	for (size_t i = 0; i < n; i++) {
		enum worth w = slot_worth(&health[i]);

		if (w > worst) {
			worst = w;
			*ret_slot = health[i].slot;
		}
	}
	return worst;
}
