/* SPDX-License-Identifier: MIT */
/*
 * How zseal speaks: results to standard output, for people or as JSON; what went wrong to standard error, as what
 * happened, where and why, and what to do next.
 */
#pragma once

#include <jansson.h>

#include "base/text.h"
#include "cli/style.h"
#include "format/slot-tpm2.h"

/*
 * A text that came from a pool, a file or the command line, as it may be shown: whatever is not printable ASCII (or our
 * own "…") is a question mark. Nothing of it can move a cursor or pretend to be another line. Long ones are cut.
 */
struct printable {
	char text[ERR_PLACE_MAX];
};
struct printable output_printable(const char *text);

/* The same as a JSON string: bytes that are no UTF-8 would make jansson leave out the whole object. */
json_t *output_text_json(const char *text);

/*
 * "zseal: SUBJECT: sentence / where / next". subject is the dataset that it is about, which the advice then names where
 * the table says DATASET; or NULL.
 */
void output_error(const char *subject, const struct err_ctx *e);

/* Its two halves, for what belongs between them. */
void output_error_head(const char *subject, const struct err_ctx *e);
void output_error_advice(const char *subject, const struct err_ctx *e);

/* Its last line, wherever it belongs: "next: advice", indented by so many blanks. */
void output_next(FILE *f, int indent, const char *subject, enum err code);

/* Names the dataset that the command line is about: for advice that has no subject of its own. */
void output_set_about(const char *dataset);

/* The same in one line, without advice: for a list of several. Indented by two. */
void output_reason(const char *subject, const struct err_ctx *e);

/*
 * The end of a verb that failed: output_error(), or, for --json where nothing was printed yet, {"error": …} on standard
 * output. An error without a chain was told already.
 */
void output_failure(const struct err_ctx *e, bool json);

/* A warning in one line and its advice. */
void output_warning(const char *subject, const struct err_ctx *e);

/* What is being done, as style_progress() shows it; NULL clears it. */
void output_progress(const char *what);

/* An error as a JSON object: name, class, what, where, advice, and the codes that it has. NULL without memory. */
json_t *output_error_json(const struct err_ctx *e);

/* Prints JSON and frees it. NULL counts as out of memory. Errors: ERR_NO_MEMORY. */
must_check enum err output_json(json_t *j, struct err_ctx *e);

/* At the end: whether everything could be written. Errors: ERR_OUTPUT. */
must_check enum err output_finish(struct err_ctx *e);

/* How a warning that is no error begins, and the line that says what to do. */
#define OUTPUT_WARNING CAUTION "zseal: WARNING:" PLAIN " "
#define OUTPUT_NEXT    HEADING "next:" PLAIN " "

/* To be said wherever a slot has a PIN and tpm2_lockout.auth_set is false (protector_tpm2_lockout()). */
#define OUTPUT_LOCKOUT_EMPTY                                                                                           \
	"this TPM's lockout authorisation is empty: whoever boots this machine can guess the PIN without limit"
#define OUTPUT_LOCKOUT_ADVICE "set it: tpm2_changeauth -c lockout"

/* Warns of slots that are gone from a header, and left something outside of it. */
struct slot;
void output_left(const struct slot *const *left, unsigned n);

/* "2026-11-23", or "never" for 0. */
void output_date(uint64_t seconds, char ret[static 16]);

/* "PCR 7" or "PCRs 0, 7"; "no PCRs". */
void output_pcrs(uint32_t pcrs, char ret[static 128]);
