/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/error.h"

static const struct err_info table[ERR_MAX] = {
#define X(id, name, class, sentence, advice) [ERR_##id] = { name, CLASS_##class, sentence, advice },
	ERR_TABLE(X)
#undef X
};

static const struct err_class_info classes[CLASS_MAX] = {
#define X(id, exit_status, name, words, meaning) [CLASS_##id] = { exit_status, name, words, meaning },
	ERR_CLASS_TABLE(X)
#undef X
};

const struct err_info *err_info(enum err code)
{
	return &table[(unsigned)code < ERR_MAX ? code : ERR_BUG];
}

const struct err_class_info *err_class_info(enum err_class class)
{
	return &classes[(unsigned)class < CLASS_MAX ? class : CLASS_BUG];
}

const char *err_class_name(enum err_class class)
{
	return err_class_info(class)->name;
}

int err_exit_status(enum err_class class)
{
	return err_class_info(class)->exit_status;
}

/* When the chain is full the outermost place is replaced: what failed is always kept. */
printf_like(2, 0) static void add_place(struct err_ctx *e, const char *fmt, va_list ap)
{
	unsigned i = e->depth < ERR_CHAIN_MAX ? e->depth++ : ERR_CHAIN_MAX - 1;

	vsnprintf(e->chain[i], sizeof(e->chain[i]), fmt, ap);
}

printf_like(5, 0) static enum err start(struct err_ctx *e, enum err code, int sys_errno, uint32_t tss, const char *fmt,
					va_list ap)
{
	if (!e)
		return code;
	err_clear(e);
	e->code = code;
	e->sys_errno = sys_errno;
	e->tss = tss;
	add_place(e, fmt, ap);
	return code;
}

enum err err_set(struct err_ctx *e, enum err code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	start(e, code, 0, 0, fmt, ap);
	va_end(ap);
	return code;
}

enum err err_set_errno(struct err_ctx *e, enum err code, int sys_errno, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	start(e, code, sys_errno, 0, fmt, ap);
	va_end(ap);
	return code;
}

enum err err_set_tss(struct err_ctx *e, enum err code, uint32_t tss, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	start(e, code, 0, tss, fmt, ap);
	va_end(ap);
	return code;
}

enum err err_set_http(struct err_ctx *e, enum err code, long status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	start(e, code, 0, 0, fmt, ap);
	va_end(ap);
	if (e)
		e->http = (int)status;
	return code;
}

enum err err_wrap(struct err_ctx *e, enum err code, const char *fmt, ...)
{
	va_list ap;

	if (!e || code == ERR_OK)
		return code;
	va_start(ap, fmt);
	add_place(e, fmt, ap);
	va_end(ap);
	return code;
}

void err_clear(struct err_ctx *e)
{
	if (e)
		memset(e, 0, sizeof(*e));
}
