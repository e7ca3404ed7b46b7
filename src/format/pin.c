/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/codec.h"
#include "format/pin.h"

enum { PIN_LINE_MAX = 1024 }; /* bytes; a pool's name of 255 backslashes makes some 820 */

static const struct member pin_members[] = {
	VERSION("v"),
	{ "pool", &kind_label, FIELD(struct pin, pool) },
	{ "pool_guid", &kind_decimal, FIELD(struct pin, pool_guid) },
	{ "keyring", &kind_uuid, FIELD(struct pin, keyring) },
	{ "fingerprint", &kind_bytes, FIELD(struct pin, fingerprint) },
	{ "generation", &kind_generation, FIELD(struct pin, generation) },
	{ "epoch", &kind_bytes, FIELD(struct pin, epoch) },
	{ "srk", &kind_bytes, FIELD(struct pin, srk_name), .optional = true, .flag = offsetof(struct pin, has_srk) },
};
static const struct object pin_object = { MEMBERS(pin_members), .size = sizeof(struct pin) };
static const struct document pin_document = { .object = &pin_object, .max = PIN_LINE_MAX };

/* Makes room for one pin more: doubled whenever the number of pins is a power of two. */
static enum err reserve(struct pins *pins, struct err_ctx *e)
{
	struct pin *grown = pins->pins;

	if ((pins->n & (pins->n - 1)) == 0)
		grown = reallocarray(pins->pins, pins->n ? 2 * pins->n : 1, sizeof(*grown));
	if (!grown)
		return err_set(e, ERR_NO_MEMORY, "room for a pin");
	pins->pins = grown;
	return ERR_OK;
}

/* Which of two should be believed, nobody could tell. */
static bool is_second(const struct pins *pins, const struct pin *pin)
{
	for (size_t i = 0; i < pins->n; i++)
		if (pins->pins[i].pool_guid == pin->pool_guid && uuid_equal(&pins->pins[i].keyring, &pin->keyring))
			return true;
	return false;
}

static enum err add_line(struct pins *pins, const char *line, size_t size, struct err_ctx *e)
{
	_cleanup_free_ char *text = strndup(line, size);
	enum err r = reserve(pins, e);

	if (r)
		return r;
	if (!text)
		return err_set(e, ERR_NO_MEMORY, "room for a line");
	r = codec_parse(&pin_document, text, &pins->pins[pins->n], e);
	if (!r && is_second(pins, &pins->pins[pins->n]))
		r = err_set(e, ERR_FORMAT, "a second pin of this keyring in this pool");
	if (!r)
		pins->n++;
	return r;
}

/* People edit this file: an empty line, or a last line without its end, is no damage. */
enum err pins_parse(const char *text, struct pins *ret, struct err_ctx *e)
{
	_cleanup_(pins_clear) struct pins pins = { 0 };

	if (strnlen(text, PIN_FILE_MAX + 1) > PIN_FILE_MAX)
		return err_set(e, ERR_FORMAT, "longer than %d bytes", PIN_FILE_MAX);
	for (size_t line = 1; *text; line++) {
		size_t size = strcspn(text, "\n");
		enum err r = size ? add_line(&pins, text, size, e) : ERR_OK;

		if (r)
			return err_wrap(e, r, "in line %zu", line);
		text += size + (text[size] == '\n');
	}
	*ret = (struct pins){ pins.n, TAKE(pins.pins) };
	return ERR_OK;
}

enum err pins_print(const struct pins *pins, char **ret, struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	/* the last to be declared, so that it is closed before text is freed */
	_cleanup_file_ FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; f && i < pins->n; i++) {
		_cleanup_free_ char *line = NULL;
		enum err r = codec_print(&pin_document, &pins->pins[i], &line, e);

		if (r)
			return r;
		fprintf(f, "%s\n", line);
	}
	if (!f || !memstream_close(TAKE(f), &text))
		return err_set(e, ERR_NO_MEMORY, "room for pins");
	if (size > PIN_FILE_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu bytes of pins", size);
	*ret = TAKE(text);
	return ERR_OK;
}

void pins_clear(struct pins *pins)
{
	free(pins->pins);
	*pins = (struct pins){ 0 };
}
