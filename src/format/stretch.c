/* SPDX-License-Identifier: MIT */
#include "format/stretch.h"

static enum err decode_number(const struct member *m, json_t *from, void *into, uint32_t least, uint32_t most)
{
	json_int_t v = json_is_integer(from) ? json_integer_value(from) : -1;

	if (v < least || v > most)
		return ERR_FORMAT;
	*(uint32_t *)codec_at(into, m->offset) = (uint32_t)v;
	return ERR_OK;
}

static enum err encode_number(const struct member *m, const void *from, json_t **ret, struct err_ctx *e)
{
	return codec_give(json_integer(*(const uint32_t *)codec_at(from, m->offset)), ret, e);
}

static enum err decode_log_n(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	return decode_number(m, from, into, STRETCH_LOG_N_MIN, STRETCH_LOG_N_MAX) ?
		       codec_expected(m, e, "a number from 10 to 20") : ERR_OK;
}

static enum err decode_r(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	return decode_number(m, from, into, STRETCH_R, STRETCH_R) ? codec_expected(m, e, "8") : ERR_OK;
}

static enum err decode_p(const struct member *m, json_t *from, void *into, struct err_ctx *e)
{
	return decode_number(m, from, into, 1, STRETCH_P_MAX) ? codec_expected(m, e, "a number from 1 to 16") : ERR_OK;
}

static const struct kind kind_log_n = { decode_log_n, encode_number };
static const struct kind kind_r = { decode_r, encode_number };
static const struct kind kind_p = { decode_p, encode_number };

static const struct member stretch_members[] = {
	{ "salt", &kind_bytes, FIELD(struct stretch, salt) },
	{ "log_n", &kind_log_n, FIELD(struct stretch, log_n) },
	{ "r", &kind_r, FIELD(struct stretch, r) },
	{ "p", &kind_p, FIELD(struct stretch, p) },
};
const struct object stretch_object = { MEMBERS(stretch_members), .size = sizeof(struct stretch) };
