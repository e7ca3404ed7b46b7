/* SPDX-License-Identifier: MIT */
/*
 * What only a person knows: recovery key, passphrase, PIN. From the terminal without echo, from a file descriptor, or
 * from a credential of systemd, straight into a secret.
 *
 * Guarantees: whatever cannot be an answer is refused before anything is tried with it, so that a slip of the finger
 * costs no try at a TPM. Refuses: arguments and environment as sources; to repeat in an error what was given.
 */
#pragma once

#include "cli/verb.h"
#include "protector/protector.h"

/* Bytes, those of ZFS's own passphrases among them. Both are UTF-8 as typed, without control characters. */
enum { PIN_MIN = 4, PIN_MAX = 64, PASSPHRASE_MIN = 8, PASSPHRASE_MAX = 512 };

/* The options of a verb that opens keyrings. */
#define OPTIONS_ANSWERS                                                                                                \
	{ "recovery", 0, NULL, "open with the recovery key, asked for on the terminal", false },                       \
	{ "recovery-fd", 0, "N", "open with the recovery key, read from file descriptor N", false },                   \
	{ "recovery-credential", 0, "NAME", "open with the recovery key, a credential of systemd", false },            \
	{ "passphrase", 0, NULL, "open with a passphrase, asked for on the terminal", false },                         \
	{ "passphrase-fd", 0, "N", "open with a passphrase, read from file descriptor N", false },                     \
	{ "passphrase-credential", 0, "NAME", "open with a passphrase, a credential of systemd", false },              \
	{ "pin", 0, NULL, "open with a PIN, asked for on the terminal", false },                                       \
	{ "pin-fd", 0, "N", "open with a PIN, read from file descriptor N", false },                                   \
	{ "pin-credential", 0, "NAME", "open with a PIN, a credential of systemd", false }

/* Those of a verb that makes slots. A new passphrase is asked for on the terminal unless one of its options is given. */
#define OPTIONS_NEW_PIN                                                                                                \
	{ "new-pin", 0, NULL, "the TPM slot needs a PIN, typed twice on the terminal", false },                        \
	{ "new-pin-fd", 0, "N", "the TPM slot needs a PIN, read from file descriptor N", false },                      \
	{ "new-pin-credential", 0, "NAME", "the TPM slot needs a PIN, a credential of systemd", false }
#define OPTIONS_NEW_PASSPHRASE                                                                                         \
	{ "new-passphrase-fd", 0, "N", "read the new passphrase from file descriptor N", false },                      \
	{ "new-passphrase-credential", 0, "NAME", "the new passphrase is a credential of systemd", false }

/*
 * Gets every kind of answer that the command line names, in the order of the enum; several may come as lines from one
 * descriptor. On the terminal, what cannot be one may be typed again, three times in all.
 * Owns: answers is all NULL before; the caller frees what is in it, on failure too.
 * Errors: ERR_USAGE (two sources for one kind, no such descriptor), ERR_CREDENTIAL, ERR_RECOVERY_TYPO, which group;
 * ERR_ANSWER_RULES, ERR_NO_INPUT, ERR_INTERRUPTED, ERR_IO, ERR_NO_MEMORY. Blocks: as long as a person types.
 */
must_check enum err answers_ask(const struct invocation *inv, struct secret *answers[static ANSWER_MAX],
				struct err_ctx *e);

/*
 * Asks a question on the terminal to which only "yes" means yes. Errors: as terminal_ask(), with *ret false: whether
 * somebody who does not answer means no is the caller's to say.
 */
must_check enum err answer_yes(const char *question, bool *ret, struct err_ctx *e);

/* The option by which a person is asked for it on the terminal: "recovery". */
const char *answer_option(enum answer kind);

/* True if an option says where a new PIN or passphrase comes from. */
bool answer_new_is_given(const struct invocation *inv, enum answer kind);

/*
 * Gets a new PIN or passphrase from where the command line says, else from the terminal: typed twice there, with two
 * more tries if it is empty, against the rules, or not the same.
 * Owns: the caller frees *ret. Errors: ERR_ANSWER_DIFFERENT, and those of answers_ask().
 */
must_check enum err answer_ask_new(const struct invocation *inv, enum answer kind, struct secret **ret,
				   struct err_ctx *e);
