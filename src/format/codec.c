/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "format/codec.h"

/* Forgets a scratch struct with whatever was decoded into it. */
struct scratch {
	const struct document *d;
	void *s;
};

static void scratch_done(struct scratch *t)
{
	if (t->s && t->d->clear)
		t->d->clear(t->s);
	free(t->s);
}

/* A canonical text has its members in a fixed order; from 2.8 on, jansson writes them as they were put in. */
_Static_assert(JANSSON_VERSION_HEX >= 0x020800, "jansson must keep the order of an object's members");

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * What an implementation could print in another way, or parse to another number, is refused as text: escapes other than
 * of quote and backslash, and fractions and exponents. from is a character outside a string, after another one.
 */
static bool starts_real(const char *from, char before)
{
	return *from == '.' || ((*from == 'e' || *from == 'E') && is_digit(before));
}

/* Skips the string that starts at the quote p. Returns its closing quote, the text's end, or NULL for a bad escape. */
static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && *++p != '"' && *p != '\\')
			return NULL;
	return p;
}

static enum err check_structure(const char *text, struct err_ctx *e)
{
	int depth = 0;

	for (const char *p = text; *p; p++) {
		if (*p == '"' && !(p = skip_string(p)))
			return err_set(e, ERR_FORMAT, "an escape that printable ASCII does not need");
		if (!*p)
			break;
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		if (depth > CODEC_DEPTH_MAX)
			return err_set(e, ERR_FORMAT, "more than %d objects in each other", CODEC_DEPTH_MAX);
		if (p > text && starts_real(p, p[-1]))
			return err_set(e, ERR_FORMAT, "not a whole number at byte %td", p - text);
	}
	return ERR_OK;
}

/* The line end of an indented text passes here; within a property it is not canonical. */
static enum err check_bytes(const char *text, size_t max, struct err_ctx *e)
{
	size_t size = strnlen(text, max + 1);

	if (size > max)
		return err_set(e, ERR_FORMAT, "longer than %zu bytes", max);
	for (size_t i = 0; i < size; i++)
		if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n')
			return err_set(e, ERR_FORMAT, "byte %zu is not printable ASCII", i);
	return ERR_OK;
}

/*
 * Where jansson runs out of memory, it may call a text no JSON, or read or print it without a part and say nothing: an
 * administrator would be told that a header is damaged which is not. So what it allocates with remembers it.
 */
static bool memory_ran_out;

static void *allocate(size_t size)
{
	void *block = malloc(size);

	memory_ran_out |= !block;
	return block;
}

static void watch_memory(void)
{
	json_set_alloc_funcs(allocate, free);
	memory_ran_out = false;
}

static json_t *load_json(const char *text, json_error_t *ret_error)
{
	watch_memory();
	return json_loadb(text, strlen(text), JSON_REJECT_DUPLICATES, ret_error);
}

static enum err load_failed(const json_error_t *je, struct err_ctx *e)
{
	if (memory_ran_out)
		return err_set(e, ERR_NO_MEMORY, "room for a JSON value");
	switch (json_error_code(je)) {
	case json_error_premature_end_of_input:
		return err_set(e, ERR_FORMAT, "cut off at byte %d", je->position);
	case json_error_duplicate_key:
		return err_set(e, ERR_FORMAT, "a member is there twice, at byte %d", je->position);
	case json_error_numeric_overflow:
		return err_set(e, ERR_FORMAT, "a number is too large, at byte %d", je->position);
	default:
		return err_set(e, ERR_FORMAT, "not JSON at byte %d", je->position);
	}
}

enum err codec_load(const char *text, size_t max, json_t **ret, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	json_error_t je;
	enum err r = check_bytes(text, max, e);

	if (!r)
		r = check_structure(text, e);
	if (r)
		return r;
	root = load_json(text, &je);
	if (!root || memory_ran_out)
		return load_failed(&je, e);
	if (!json_is_object(root))
		return err_set(e, ERR_FORMAT, "expected an object");
	*ret = TAKE(root);
	return ERR_OK;
}

static const struct member *find_member(const struct object *o, const char *name)
{
	for (size_t i = 0; i < o->n_members; i++)
		if (str_equal(o->members[i].name, name))
			return &o->members[i];
	return NULL;
}

static enum err refuse_unknown(const struct object *o, json_t *from, struct err_ctx *e)
{
	const char *name;
	json_t *value;

	json_object_foreach(from, name, value)
		if (!find_member(o, name))
			return err_set(e, ERR_FORMAT, "unknown member \"%.64s\"", name);
	return ERR_OK;
}

static enum err decode_member(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	json_t *value = json_object_get(from, m->name);

	if (!value)
		return m->optional ? ERR_OK : err_set(e, ERR_FORMAT, "member \"%s\" is missing", m->name);
	enum err r = m->kind->decode(m, value, into, e);
	if (!r && m->flag)
		*(bool *)codec_at(into, m->flag) = true;
	return r;
}

/* Members first: a newer version is told by the first of them, before its members can be unknown. */
enum err codec_decode(const struct object *o, json_t *from, void *into, struct err_ctx *e)
{
	enum err r = ERR_OK;

	if (!json_is_object(from))
		return err_set(e, ERR_FORMAT, "expected an object");
	for (size_t i = 0; !r && i < o->n_members; i++)
		r = decode_member(&o->members[i], from, into, e);
	if (!r)
		r = refuse_unknown(o, from, e);
	if (!r && o->check)
		r = o->check(into, e);
	return r;
}

static bool is_present(const struct member *m, const void *from)
{
	const uint8_t *field = codec_at(from, m->offset);
	uint8_t any = 0;

	if (m->flag)
		return *(const bool *)codec_at(from, m->flag);
	for (size_t i = 0; i < m->size; i++)
		any |= field[i];
	return !m->optional || any;
}

enum err codec_encode(const struct object *o, const void *from, json_t **ret, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *object = json_object();

	if (!object)
		return err_set(e, ERR_NO_MEMORY, "room for a JSON object");
	for (size_t i = 0; i < o->n_members; i++) {
		const struct member *m = &o->members[i];
		json_t *value = NULL;

		if (!is_present(m, from))
			continue;
		enum err r = m->kind->encode(m, from, &value, e);
		if (r)
			return r;
		if (json_object_set_new(object, m->name, value) < 0)
			return err_set(e, ERR_NO_MEMORY, "room for a JSON object");
	}
	*ret = TAKE(object);
	return ERR_OK;
}

static enum err encode_text(const struct document *d, const void *from, char **ret, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	_cleanup_free_ char *text = NULL;

	watch_memory();
	enum err r = codec_encode(d->object, from, &root, e);
	if (r)
		return r;
	text = json_dumps(root, d->indented ? JSON_INDENT(2) : JSON_COMPACT);
	if (!text || memory_ran_out)
		return err_set(e, ERR_NO_MEMORY, "room for a JSON text");
	if (d->indented)
		return str_format(ret, e, "%s\n", text);
	*ret = TAKE(text);
	return ERR_OK;
}

static enum err decode_text(const struct document *d, const char *text, void *into, struct err_ctx *e)
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	enum err r = codec_load(text, d->max, &root, e);

	return r ? r : codec_decode(d->object, root, into, e);
}

static enum err check_canonical(const struct document *d, const char *text, const void *decoded, struct err_ctx *e)
{
	_cleanup_free_ char *again = NULL;
	enum err r = encode_text(d, decoded, &again, e);
	size_t same = 0;

	if (r || str_equal(text, again))
		return r;
	while (text[same] && text[same] == again[same])
		same++;
	return err_set(e, ERR_FORMAT, "not canonical from byte %zu on", same);
}

enum err codec_parse(const struct document *d, const char *text, void *ret, struct err_ctx *e)
{
	_cleanup_(scratch_done) struct scratch t = { d, calloc(1, d->object->size) };

	if (!t.s)
		return err_set(e, ERR_NO_MEMORY, "room for a value");
	enum err r = decode_text(d, text, t.s, e);
	if (!r)
		r = check_canonical(d, text, t.s, e);
	if (r)
		return r;
	memcpy(ret, t.s, d->object->size);
	memset(t.s, 0, d->object->size);
	return ERR_OK;
}

/* Reads back what was printed, so that nothing is written that could not be read. */
static enum err check_readable(const struct document *d, const char *text, struct err_ctx *e)
{
	_cleanup_(scratch_done) struct scratch t = { d, calloc(1, d->object->size) };
	struct err_ctx why = { 0 };

	if (!t.s)
		return err_set(e, ERR_NO_MEMORY, "room for a value");
	enum err r = decode_text(d, text, t.s, &why);
	if (r)
		return err_set(e, r == ERR_NO_MEMORY ? r : ERR_BUG, "printing a value: %s", why.chain[0]);
	return ERR_OK;
}

enum err codec_print(const struct document *d, const void *from, char **ret, struct err_ctx *e)
{
	_cleanup_free_ char *text = NULL;
	enum err r = encode_text(d, from, &text, e);

	if (r)
		return r;
	if (strlen(text) > d->max)
		return err_set(e, ERR_TOO_LARGE, "%zu bytes, at most %zu fit", strlen(text), d->max);
	r = check_readable(d, text, e);
	if (!r)
		*ret = TAKE(text);
	return r;
}

enum err codec_expected(const struct member *m, struct err_ctx *e, const char *what)
{
	return err_set(e, ERR_FORMAT, "member \"%s\": expected %s", m->name, what);
}

enum err codec_give(json_t *value, json_t **ret, struct err_ctx *e)
{
	if (!value)
		return err_set(e, ERR_NO_MEMORY, "room for a JSON value");
	*ret = value;
	return ERR_OK;
}

bool codec_text_is_printable(const char *text, size_t max)
{
	size_t size = strnlen(text, max + 1);

	for (size_t i = 0; i < size; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return size > 0 && size <= max;
}
