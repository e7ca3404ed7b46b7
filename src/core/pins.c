/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "core/pins.h"
#include "sys/file.h"

#define PINS_FOLDER "/etc/zseal"
#define LOCK_PATH   "/etc/zseal/.pins.lock"

enum { LOCK_TIMEOUT_MS = 10000 };

enum err pins_load(struct pins *ret, struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL;
	struct err_ctx own = { 0 };
	enum err err = file_read_trusted(PINS_PATH, PIN_FILE_MAX, &text, &own);

	if (err && own.sys_errno == ENOENT) {
		*ret = (struct pins){ 0 };
		return ERR_OK;
	}
	if (!err)
		err = pins_parse(text, ret, &own);
	/* a file of this machine, of which there is no other copy */
	if (err == ERR_FORMAT)
		err = own.code = ERR_CONFIG;
	if (err && e)
		*e = own;
	return err_wrap(e, err, "%s", PINS_PATH);
}

static bool belongs(const struct pin *pin, const struct uuid *keyring, uint64_t pool_guid)
{
	return uuid_equal(&pin->keyring, keyring) && (pin->pool_guid == pool_guid || pin->pool_guid == 0);
}

/* One that knows the pool goes before one that was written just before its pool was made. */
const struct pin *pins_find(const struct pins *pins, const struct uuid *keyring, uint64_t pool_guid)
{
	const struct pin *found = NULL;

	for (size_t i = 0; i < pins->n; i++)
		if (belongs(&pins->pins[i], keyring, pool_guid) && (!found || found->pool_guid == 0))
			found = &pins->pins[i];
	return found;
}

/* A replica has its own pool GUID and the same keyring: its key is as good as the one that is remembered. */
static const struct pin *find_elsewhere(const struct pins *pins, const struct uuid *keyring)
{
	for (size_t i = 0; i < pins->n; i++)
		if (uuid_equal(&pins->pins[i].keyring, keyring))
			return &pins->pins[i];
	return NULL;
}

static bool is_trusted(const struct config *config, const char *fingerprint)
{
	for (unsigned i = 0; i < config->n_trusted; i++)
		if (str_equal(config->trusted[i], fingerprint))
			return true;
	return config->first_use;
}

static bool pool_is_known(const struct pins *pins, uint64_t pool_guid)
{
	for (size_t i = 0; i < pins->n; i++)
		if (pins->pins[i].pool_guid == pool_guid)
			return true;
	return false;
}

static enum err check_unpinned(const struct pins *pins, const struct config *config, uint64_t pool_guid,
			       const struct ring *ring, struct err_ctx *e)
{
	const struct pin *elsewhere = find_elsewhere(pins, &ring->uuid);
	char text[FINGERPRINT_TEXT_SIZE];

	fingerprint_print(ring->fingerprint, text);
	if (elsewhere && memcmp(elsewhere->fingerprint, ring->fingerprint, FINGERPRINT_SIZE) == 0)
		return ERR_OK;
	if (elsewhere)
		return err_set(e, ERR_PIN_FINGERPRINT, "the keyring claims the fingerprint %s", text);
	if (is_trusted(config, text))
		return ERR_OK;
	if (pool_is_known(pins, pool_guid))
		return err_set(e, ERR_PIN_MISSING, "this pool had another keyring; the fingerprint of this one is %s",
			       text);
	return err_set(e, ERR_PIN_MISSING, "its fingerprint is %s", text);
}

enum err pins_check(const struct pins *pins, const struct config *config, uint64_t pool_guid, const struct ring *ring,
		    struct err_ctx *e)
{
	const struct pin *pin = pins_find(pins, &ring->uuid, pool_guid);
	char text[FINGERPRINT_TEXT_SIZE], pinned[FINGERPRINT_TEXT_SIZE];

	if (!pin)
		return check_unpinned(pins, config, pool_guid, ring, e);
	fingerprint_print(ring->fingerprint, text);
	fingerprint_print(pin->fingerprint, pinned);
	if (memcmp(pin->fingerprint, ring->fingerprint, FINGERPRINT_SIZE) != 0)
		return err_set(e, ERR_PIN_FINGERPRINT, "its fingerprint is %s, " PINS_PATH " has %s", text, pinned);
	if (ring->generation < pin->generation)
		return err_set(e, ERR_PIN_ROLLBACK, "generation %u, this machine has seen %u", ring->generation,
			       pin->generation);
	return ERR_OK;
}

/*
 * What a create that was killed has left: a pool of that name was made since. Its header's copy stays, in case it was
 * made after all.
 */
static void drop_unmade(struct pins *pins, const struct pin *made)
{
	size_t kept = 0;

	for (size_t i = 0; i < pins->n; i++) {
		const struct pin *old = &pins->pins[i];

		if (made->pool_guid == 0 || old->pool_guid != 0 || !str_equal(old->pool, made->pool) ||
		    uuid_equal(&old->keyring, &made->keyring))
			pins->pins[kept++] = *old;
	}
	pins->n = kept;
}

/* Puts pin into pins in the place of the one that it succeeds, or behind the last. */
static enum err put(struct pins *pins, const struct pin *pin, struct err_ctx *e)
{
	drop_unmade(pins, pin);
	for (size_t i = 0; i < pins->n; i++) {
		struct pin *old = &pins->pins[i];

		if (!belongs(old, &pin->keyring, pin->pool_guid))
			continue;
		struct pin merged = *pin;
		if (!merged.has_srk && old->has_srk) {
			merged.has_srk = true;
			memcpy(merged.srk_name, old->srk_name, sizeof(merged.srk_name));
		}
		*old = merged;
		return ERR_OK;
	}
	struct pin *more = reallocarray(pins->pins, pins->n + 1, sizeof(*more));
	if (!more)
		return err_set(e, ERR_NO_MEMORY, "room for a pin");
	pins->pins = more;
	pins->pins[pins->n++] = *pin;
	return ERR_OK;
}

static enum err drop(struct pins *pins, const struct pin *pin, struct err_ctx *e __attribute__((unused)))
{
	size_t kept = 0;

	for (size_t i = 0; i < pins->n; i++)
		if (!uuid_equal(&pins->pins[i].keyring, &pin->keyring) || pins->pins[i].pool_guid != pin->pool_guid)
			pins->pins[kept++] = pins->pins[i];
	pins->n = kept;
	return ERR_OK;
}

/* Reads, changes and replaces the file under its lock. */
static enum err change_file(enum err (*change)(struct pins *, const struct pin *, struct err_ctx *),
			    const struct pin *pin, struct err_ctx *e)
{
	_cleanup_(pins_clearp) struct pins *pins = &(struct pins){ 0 };
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int lock = -1;
	enum err err = file_make_folder(PINS_FOLDER, 0755, e);

	if (!err)
		err = file_lock(LOCK_PATH, deadline_in(LOCK_TIMEOUT_MS), &lock, e);
	if (!err)
		err = pins_load(pins, e);
	if (!err)
		err = change(pins, pin, e);
	if (!err)
		err = pins_print(pins, &text, e);
	if (!err)
		err = file_write(PINS_PATH, text, 0644, e);
	return err;
}

enum err pins_remember(const struct pin *pin, struct err_ctx *e)
{
	return change_file(put, pin, e);
}

enum err pins_forget(const struct uuid *keyring, uint64_t pool_guid, struct err_ctx *e)
{
	return change_file(drop, &(struct pin){ .keyring = *keyring, .pool_guid = pool_guid }, e);
}
