/* SPDX-License-Identifier: MIT */
/*
 * Makes the corpus of fuzz_tpm2 anew, out of conversations with a software TPM: record_tpm2 FOLDER. Needed when zseal
 * sends other commands than before; fuzz_tpm2 replays what is written here to the end, and says so if it cannot.
 */
#include "../tests/unit/swtpm.h"

#include <ctype.h>

#include "tpm2.h"

static FILE *recording;

static void record(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	fputc((int)(response->size >> 8), recording);
	fputc((int)(response->size & 0xff), recording);
	must(fwrite(response->bytes, 1, response->size, recording) == response->size);
}

/* A new connection each, since the target has one too. */
static void record_operation(struct swtpm *s, const char *folder, char letter, struct slot_tpm2 *sealed)
{
	_cleanup_(tpm2_closep) struct tpm2 *t = NULL;
	_cleanup_free_ char *path = NULL, *protect = NULL;
	struct err_ctx e = { 0 };

	must(tpm2_open(swtpm_address(s), &t, NULL) == ERR_OK);
	must(str_format(&path, NULL, "%s/recorded-%c", folder, letter) == ERR_OK);
	must(sealed->public_size == 0 || slot_tpm2_print(sealed, &protect, NULL) == ERR_OK);
	recording = fopen(path, "we");
	must(recording);
	fprintf(recording, "%c%s\n", toupper(letter), protect ? protect : "");
	wire_fault(s, 0, UINT32_MAX, NULL, record);
	fix_random_numbers();
	enum err err = run_operation(letter, t, sealed, &e);
	wire_forget(s);
	must(fclose(recording) == 0);
	if (err)
		fail_msg("%c: %s: %s", letter, err_info(err)->name, e.chain[0]);
}

int main(int argc, char **argv)
{
	struct slot_tpm2 sealed = { 0 };
	struct swtpm s;

	must(argc == 2);
	swtpm_start(&s, false);
	for (const char *letter = "mnbsucpelwv"; *letter; letter++)
		record_operation(&s, argv[1], *letter, &sealed);
	swtpm_stop(&s);
	return 0;
}
