/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "cli/adopt-source.h"
#include "cli/output.h"
#include "sys/file.h"
#include "sys/key-input.h"
#include "sys/process.h"
#include "sys/terminal.h"

enum { TPM_TIMEOUT_MS = 60000, CLEVIS_TIMEOUT_MS = 120000, JWE_MAX = 4095 /* bytes: what a secret holds */ };

/* ---- choosing ---- */

static const struct {
	const char *option;
	enum source_kind kind;
} kinds[] = {
	{ "key-file", SOURCE_FILE },  { "key-fd", SOURCE_DESCRIPTOR }, { "prompt", SOURCE_PROMPT },
	{ "tpm-handle", SOURCE_TPM }, { "clevis", SOURCE_CLEVIS },     { "vault-kv", SOURCE_VAULT },
};

static enum err parse_bank(const char *text, size_t n, enum tpm2_bank *ret)
{
	for (enum tpm2_bank bank = TPM2_BANK_NONE + 1; bank < TPM2_BANK_MAX; bank++) {
		const char *name = tpm2_bank_name(bank);

		if (strlen(name) == n && strncmp(name, text, n) == 0) {
			*ret = bank;
			return ERR_OK;
		}
	}
	return ERR_USAGE;
}

/* As tpm2_createpolicy takes them. */
static enum err parse_pcrs(const char *text, struct tpm2_kept *ret, struct err_ctx *e)
{
	const char *colon = strchr(text, ':'), *p = colon;
	enum err err = colon ? parse_bank(text, (size_t)(colon - text), &ret->bank) : ERR_USAGE;

	while (!err && p && *p) {
		char *end = NULL;
		unsigned long n = isdigit((unsigned char)p[1]) ? strtoul(p + 1, &end, 10) : TPM2_PCRS;

		if (n >= TPM2_PCRS || !strchr("+,", *end))
			err = ERR_USAGE;
		else
			ret->pcrs |= 1u << n;
		p = end;
	}
	return err ? err_set(e, err, "--tpm-pcrs takes a bank and PCRs such as sha256:0,7, not '%.64s'", text) : ERR_OK;
}

static enum err take_option(const struct invocation *inv, struct source *s, struct err_ctx *e)
{
	const char *pcrs = invocation_value(inv, "tpm-pcrs");
	long number = 0;
	enum err err = ERR_OK;

	if (pcrs && s->kind != SOURCE_TPM)
		return err_set(e, ERR_USAGE, "--tpm-pcrs belongs to --tpm-handle");
	err = vault_source_check(inv, e);
	if (err)
		return err;
	switch (s->kind) {
	case SOURCE_FILE:
	case SOURCE_CLEVIS:
		s->path = invocation_value(inv, s->kind == SOURCE_FILE ? "key-file" : "clevis");
		break;
	case SOURCE_DESCRIPTOR:
		err = invocation_number(inv, "key-fd", INT_MAX, -1, &number, e);
		s->fd = (int)number;
		break;
	case SOURCE_TPM:
		err = invocation_number(inv, "tpm-handle", UINT32_MAX, 0, &number, e);
		s->kept.handle = (uint32_t)number;
		if (!err && s->kept.handle >> 24 != 0x81)
			err = err_set(e, ERR_USAGE, "--tpm-handle 0x%x: persistent handles begin with 0x81",
				      s->kept.handle);
		if (!err && pcrs)
			err = parse_pcrs(pcrs, &s->kept, e);
		break;
	default:
		break;
	}
	return err;
}

/* What the person means who says nothing. */
static enum err take_default(const struct adopt_check *check, struct source *s, struct err_ctx *e)
{
	if (check->key_file) {
		s->kind = SOURCE_FILE;
		s->path = check->key_file;
		return ERR_OK;
	}
	s->kind = SOURCE_PROMPT;
	if (check->format != KEY_FORMAT_RAW && terminal_available())
		return ERR_OK;
	return err_set(e, ERR_NO_INPUT, "where is the key? One of --key-file, --key-fd, --prompt, --tpm-handle, "
					"--clevis and --vault-kv says so");
}

enum err source_choose(const struct invocation *inv, const struct adopt_check *check, struct source *ret,
		       struct err_ctx *e)
{
	struct source s = { .kind = SOURCE_NONE, .fd = -1, .inv = inv };
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!invocation_has(inv, kinds[i].option))
			continue;
		if (first)
			return err_set(e, ERR_USAGE, "--%s and --%s: one of them", first, kinds[i].option);
		first = kinds[i].option;
		s.kind = kinds[i].kind;
	}
	enum err err = take_option(inv, &s, e);
	if (!err && s.kind == SOURCE_NONE)
		err = take_default(check, &s, e);
	if (!err)
		*ret = s;
	return err;
}

/* ---- getting ---- */

static enum err read_file(const struct source *s, struct secret **ret, struct err_ctx *e)
{
	struct err_ctx warning = { 0 };
	bool is_open = false;
	enum err err = key_file_read(s->path, GIVEN_MAX, ret, &is_open, e);

	if (err || !is_open)
		return err;
	(void)!err_set(&warning, ERR_KEY_FILE_OPEN, "%s", s->path);
	output_warning(NULL, &warning);
	return ERR_OK;
}

static enum err ask(const struct adopt_check *check, struct secret **ret, struct err_ctx *e)
{
	style_progress_clear();
	return terminal_ask(check->format == KEY_FORMAT_PASSPHRASE ? "Passphrase of the encryption root: "
								   : "Key of the encryption root (64 hexadecimal digits): ",
			    false, ret, e);
}

static enum err unseal(struct source *s, struct session *session, struct secret **ret, struct err_ctx *e)
{
	struct tpm2 *tpm;
	enum err err = protector_tpm(&session->context, &tpm, e);

	return err ? err : tpm2_unseal_kept(tpm, &s->kept, deadline_in(TPM_TIMEOUT_MS), ret, e);
}

/* The JWE goes in as it is; clevis's own words tell why it failed, and are the end of its complaint. */
static enum err decrypt(const struct source *s, struct secret **ret, struct err_ctx *e)
{
	static const char *const argv[] = { "clevis", "decrypt", NULL };
	_cleanup_(child_result_clear) struct child_result result = { 0 };
	_cleanup_secret_ struct secret *jwe = NULL;
	bool is_open;
	enum err err = key_file_read(s->path, JWE_MAX, &jwe, &is_open, e);

	if (err)
		return err;
	const struct child child = {
		.argv = argv, .input = jwe, .output_max = GIVEN_MAX, .secret = true,
		.deadline = deadline_in(CLEVIS_TIMEOUT_MS),
	};
	err = process_run(&child, &result, e);
	if (!err && result.status != 0) {
		const char *last = strrchr(result.complaint, '\n');

		err = err_set(e, ERR_CHILD, "clevis decrypt of %s ended with status %d: %.128s", s->path, result.status,
			      last ? last + 1 : result.complaint);
	}
	if (!err && !result.secret)
		err = err_set(e, ERR_KEY_SHAPE, "clevis decrypt of %s gave nothing", s->path);
	if (!err)
		*ret = TAKE(result.secret);
	return err;
}

enum err source_get(struct source *s, struct session *session, const struct adopt_check *check, struct secret **ret,
		    struct err_ctx *e)
{
	switch (s->kind) {
	case SOURCE_FILE:
		return read_file(s, ret, e);
	case SOURCE_DESCRIPTOR:
		return key_descriptor_read(s->fd, GIVEN_MAX, ret, e);
	case SOURCE_PROMPT:
		return ask(check, ret, e);
	case SOURCE_TPM:
		return unseal(s, session, ret, e);
	case SOURCE_CLEVIS:
		return decrypt(s, ret, e);
	case SOURCE_VAULT:
		return vault_source_get(s->inv, session, &s->vault, ret, e);
	default:
		return err_set(e, ERR_BUG, "a source of kind %d", s->kind);
	}
}
