/* SPDX-License-Identifier: MIT */
/*
 * A TPM that answers whatever it likes, and a slot that says whatever it likes: see tpm2.h. The real ESYS is between;
 * zseal's own transport reads from a socket in which all responses lie ready, and then is at its end.
 *
 * A capital letter says that the conversation was recorded, and must succeed when it is replayed as it is: else the
 * corpus would not reach what lies behind an HMAC.
 */
#include <ctype.h>
#include <sys/socket.h>

#include "tpm2.h"

enum { RESPONSES_MAX = 64 };

/*
 * tpm2-tss (3.2.1) does not free the public area that Esys_TR_FromTPMPublic() read when it then finds it unusable: some
 * 750 bytes, nothing secret, once in a process that ends. zseal calls Esys_ReadPublic() nowhere itself.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:Esys_ReadPublic_Finish\n";
}

/* Puts responses into a socket that keeps them apart, and gives the other end. */
static int queue_responses(const uint8_t *data, size_t size, int *ret_far)
{
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	for (unsigned n = 0; size >= 2 && n < RESPONSES_MAX; n++) {
		size_t length = (size_t)data[0] << 8 | data[1];

		length = length < size - 2 ? length : size - 2;
		if (length > 0)
			must(send(ends[1], data + 2, length, 0) == (ssize_t)length);
		data += 2 + length;
		size -= 2 + length;
	}
	must(shutdown(ends[1], SHUT_WR) == 0);
	*ret_far = ends[1];
	return ends[0];
}

/* The path is what is opened again after a failure: there, nobody answers. */
static void play(char letter, struct slot_tpm2 *sealed, int fd)
{
	struct tpm2 t = { .srk = ESYS_TR_NONE };
	struct err_ctx e = { 0 };

	must(transport_init(&t.transport, "device:/dev/null", NULL) == ERR_OK);
	t.transport.fd = fd;
	t.transport.deadline = deadline_in(OPERATION_TIMEOUT_MS);
	must(Esys_Initialize(&t.esys, (TSS2_TCTI_CONTEXT *)&t.transport, NULL) == TSS2_RC_SUCCESS);
	enum err err = run_operation((char)tolower(letter), &t, sealed, &e);
	must(!REPLAYING || !isupper(letter) || err == ERR_OK);
	must(err == e.code || err == ERR_USAGE);
	must(err == ERR_OK || err == ERR_USAGE || err_info(err)->class != CLASS_BUG);
	Esys_Finalize(&t.esys);
	transport_close(&t.transport);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	struct slot_tpm2 sealed = { 0 };
	_cleanup_fd_ int far = -1;

	if (!end || end == data)
		return 0;
	_cleanup_free_ char *protect = strndup((const char *)data + 1, (size_t)(end - data - 1));
	must(protect);
	if (*protect && slot_tpm2_parse(protect, &sealed, NULL))
		return 0;
	setenv("TSS2_LOG", "all+none", 1);
	fix_random_numbers();
	play((char)data[0], &sealed, queue_responses(end + 1, size - (size_t)(end + 1 - data), &far));
	return 0;
}
