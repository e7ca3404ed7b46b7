/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"
#include "cli/style.h"
#include "format/slot-vault.h"

/* The length of the printable character at p: one of ASCII, or "…"; 0 for anything else. */
static size_t printable_length(const char *p)
{
	static const char ellipsis[] = "…";

	if (*p >= ' ' && *p <= '~')
		return 1;
	return strncmp(p, ellipsis, sizeof(ellipsis) - 1) == 0 ? sizeof(ellipsis) - 1 : 0;
}

struct printable output_printable(const char *text)
{
	struct printable p = { 0 };

	for (size_t at = 0, n; *text; text += n ? n : 1, at += n ? n : 1) {
		n = printable_length(text);
		if (at + (n ? n : 1) >= sizeof(p.text))
			break;
		memcpy(p.text + at, n ? text : "?", n ? n : 1);
	}
	return p;
}

json_t *output_text_json(const char *text)
{
	return json_string(output_printable(text).text);
}

/* The chain from the outermost place to what failed, and the codes that came with it. */
static void print_where(const struct err_ctx *e)
{
	for (unsigned i = e->depth; i > 0; i--)
		say(stderr, "%s%s", output_printable(e->chain[i - 1]).text, i > 1 ? ": " : "");
	if (e->sys_errno)
		say(stderr, " (%s)", strerror(e->sys_errno));
	if (e->tss)
		say(stderr, " (TPM code 0x%x)", e->tss);
	if (e->http)
		say(stderr, " (HTTP %d)", e->http);
}

static void print_subject(const char *subject)
{
	if (subject)
		say(stderr, "%s: ", subject);
}

void output_error_head(const char *subject, const struct err_ctx *e)
{
	say(stderr, "zseal: ");
	print_subject(subject);
	say(stderr, BAD "%s" PLAIN "\n", err_info(e->code)->sentence);
	if (e->depth) {
		say(stderr, "  ");
		print_where(e);
		say(stderr, "\n");
	}
}

/* What the command line is about, for advice that nobody gave a subject. */
static const char *about;

void output_set_about(const char *dataset)
{
	about = dataset;
}

void output_next(FILE *f, int indent, const char *subject, enum err code)
{
	static const char word[] = "DATASET";
	struct printable name = output_printable(subject ? subject : about ? about : word);
	const char *advice = err_info(code)->advice;
	char text[2048] = "";

	if (!*advice)
		return;
	for (const char *p; (p = strstr(advice, word)); advice = p + strlen(word))
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s%s", (int)(p - advice), advice,
			 name.text);
	say(f, "%*s" OUTPUT_NEXT "%s%s\n", indent, "", text, advice);
}

void output_error_advice(const char *subject, const struct err_ctx *e)
{
	output_next(stderr, 2, subject, e->code);
}

void output_error(const char *subject, const struct err_ctx *e)
{
	output_error_head(subject, e);
	output_error_advice(subject, e);
}

void output_reason(const char *subject, const struct err_ctx *e)
{
	say(stderr, "  ");
	print_subject(subject);
	say(stderr, "%s", err_info(e->code)->sentence);
	if (e->depth)
		say(stderr, ": ");
	print_where(e);
	say(stderr, "\n");
}

void output_warning(const char *subject, const struct err_ctx *e)
{
	say(stderr, "%s", OUTPUT_WARNING);
	print_subject(subject);
	say(stderr, "%s (", err_info(e->code)->sentence);
	print_where(e);
	say(stderr, ")\n");
	output_error_advice(subject, e);
}

void output_progress(const char *what)
{
	if (what)
		style_progress(what, 0, 0);
	else
		style_progress_clear();
}

json_t *output_error_json(const struct err_ctx *e)
{
	const struct err_info *info = err_info(e->code);
	json_t *where = json_array();
	json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:s}", "name", info->name, "class", err_class_name(info->class),
			      "what", info->sentence, "where", where, "advice", info->advice);

	for (unsigned i = e->depth; j && i > 0; i--)
		json_array_append_new(where, output_text_json(e->chain[i - 1]));
	if (j && e->sys_errno)
		json_object_set_new(j, "errno", json_integer(e->sys_errno));
	if (j && e->tss)
		json_object_set_new(j, "tss_rc", json_integer(e->tss));
	if (j && e->http)
		json_object_set_new(j, "http_status", json_integer(e->http));
	return j;
}

static bool json_printed;

void output_failure(const struct err_ctx *e, bool json)
{
	struct err_ctx ignored = { 0 };

	if (!e->depth)
		return;
	if (json && !json_printed)
		(void)!output_json(json_pack("{s:o}", "error", output_error_json(e)), &ignored);
	else
		output_error(NULL, e);
}

enum err output_json(json_t *j, struct err_ctx *e)
{
	if (!j)
		return err_set(e, ERR_NO_MEMORY, "room for the output");
	json_printed = true;
	style_progress_clear();
	(void)json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	(void)putchar('\n');
	json_decref(j);
	return ERR_OK;
}

enum err output_finish(struct err_ctx *e)
{
	output_progress(NULL);
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_set_errno(e, ERR_OUTPUT, errno, "standard output");
	return ERR_OK;
}

static void print_left_in_vault(const struct slot *slot)
{
	char context[BASE64_TEXT_SIZE(VAULT_CONTEXT_SIZE)];
	uint8_t raw[VAULT_CONTEXT_SIZE];

	slot_vault_context(&slot->keyring, &slot->uuid, raw);
	base64_encode(SPAN(raw, sizeof(raw)), context);
	say(stderr, OUTPUT_WARNING "slot %s: in Vault the node's policy still allows its context, which opens nothing any "
				   "more\n  %s\n  " OUTPUT_NEXT "take it out of policy zseal-NODE by hand; BAO_TOKEN or "
				   "--vault-token-fd with an administrator's token does so at once\n", slot->name, context);
}

void output_left(const struct slot *const *left, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (str_equal(left[i]->type, "vault"))
			print_left_in_vault(left[i]);
		else
			say(stderr, OUTPUT_WARNING "slot %s: its object may still be in its TPM\n  " OUTPUT_NEXT
					   "on that machine: tpm2_evictcontrol -C o -c HANDLE\n", left[i]->name);
}

void output_date(uint64_t seconds, char ret[static 16])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!seconds || !gmtime_r(&t, &tm) || strftime(ret, 16, "%Y-%m-%d", &tm) == 0)
		snprintf(ret, 16, "never");
}

void output_pcrs(uint32_t pcrs, char ret[static 128])
{
	bool several = pcrs & (pcrs - 1);
	int n = snprintf(ret, 128, pcrs ? several ? "PCRs " : "PCR " : "no PCRs");

	for (unsigned i = 0; i < TPM2_PCRS; i++)
		if (pcrs >> i & 1)
			n += snprintf(ret + n, 128 - (size_t)n, "%s%u", ret[n - 1] == ' ' ? "" : ", ", i);
}
