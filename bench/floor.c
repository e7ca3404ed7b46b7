/* SPDX-License-Identifier: MIT */
/*
 * The floor that zseal is measured against: what one root's key costs when nothing is asked but the TPM and the kernel.
 *
 * Nine TPM commands: ReadPublic, Load, StartAuthSession twice, PolicyPCR, Unseal, FlushContext three times. One session
 * is salted to the storage root key and encrypts the answer, the other carries the policy, as systemd does it. Then
 * lzc_load_key. Refuses: to be of use. It looks at no header, trusts whatever key is at the handle, and says nothing.
 *
 *   floor OBJECT DATASET      OBJECT: a sealed wrapping key, as tpm2_create wrote its two parts, one behind the other
 */
#include <err.h>
#include <fcntl.h>
#include <libzfs_core.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <unistd.h>

enum { SRK_HANDLE = 0x81000001, KEY_SIZE = 32, FILE_MAX = 4096 };

#define NO_SESSIONS ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE

static const TPML_PCR_SELECTION pcr7 = {
	.count = 1,
	.pcrSelections[0] = { .hash = TPM2_ALG_SHA256, .sizeofSelect = 3, .pcrSelect = { 1 << 7 } },
};

static void check(TSS2_RC rc, const char *what)
{
	if (rc != TSS2_RC_SUCCESS)
		errx(1, "%s: 0x%x", what, rc);
}

static void read_object(const char *path, TPM2B_PUBLIC *ret_public, TPM2B_PRIVATE *ret_private)
{
	uint8_t bytes[FILE_MAX];
	FILE *file = fopen(path, "re");
	size_t at = 0, size = file ? fread(bytes, 1, sizeof(bytes), file) : 0;

	if (size == 0 || fclose(file) != 0)
		err(1, "%s", path);
	check(Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, size, &at, ret_public), path);
	check(Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes, size, &at, ret_private), path);
}

static int device = -1;

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
	(void)tcti;
	return write(device, command, size) == (ssize_t)size ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

/* A device gives its answer in one piece. */
static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response, int32_t timeout_ms)
{
	(void)tcti;
	(void)timeout_ms;
	if (!response) {
		*size = TPM2_MAX_RESPONSE_SIZE;
		return TSS2_RC_SUCCESS;
	}
	ssize_t n = read(device, response, *size);
	*size = n > 0 ? (size_t)n : 0;
	return n > 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

/* libtss2-tcti-device would send a command more, to try the device out. */
static ESYS_CONTEXT *connect_tpm(void)
{
	static TSS2_TCTI_CONTEXT_COMMON_V2 tcti = { .v1 = { .version = 2, .transmit = transmit, .receive = receive } };
	ESYS_CONTEXT *esys;

	device = open("/dev/tpmrm0", O_RDWR | O_CLOEXEC);
	if (device < 0)
		err(1, "/dev/tpmrm0");
	check(Esys_Initialize(&esys, (TSS2_TCTI_CONTEXT *)&tcti, NULL), "Esys_Initialize");
	return esys;
}

static ESYS_TR start_session(ESYS_CONTEXT *esys, ESYS_TR salted_to, TPM2_SE type)
{
	static const TPMT_SYM_DEF aes = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB };
	ESYS_TR session;

	check(Esys_StartAuthSession(esys, salted_to, ESYS_TR_NONE, NO_SESSIONS, NULL, type, &aes, TPM2_ALG_SHA256,
				    &session), "TPM2_StartAuthSession");
	return session;
}

static TPM2B_SENSITIVE_DATA *unseal(ESYS_CONTEXT *esys, const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private)
{
	TPM2B_SENSITIVE_DATA *key;
	ESYS_TR srk, object;

	check(Esys_TR_FromTPMPublic(esys, SRK_HANDLE, NO_SESSIONS, &srk), "TPM2_ReadPublic");
	check(Esys_Load(esys, srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, private, public, &object), "TPM2_Load");
	ESYS_TR encrypts = start_session(esys, srk, TPM2_SE_HMAC);
	ESYS_TR policy = start_session(esys, ESYS_TR_NONE, TPM2_SE_POLICY);
	TPMA_SESSION attributes = TPMA_SESSION_ENCRYPT | TPMA_SESSION_CONTINUESESSION;
	check(Esys_TRSess_SetAttributes(esys, encrypts, attributes, 0xff), "session");
	check(Esys_PolicyPCR(esys, policy, NO_SESSIONS, NULL, &pcr7), "TPM2_PolicyPCR");
	check(Esys_Unseal(esys, object, policy, encrypts, ESYS_TR_NONE, &key), "TPM2_Unseal");
	check(Esys_FlushContext(esys, policy), "TPM2_FlushContext");
	check(Esys_FlushContext(esys, encrypts), "TPM2_FlushContext");
	check(Esys_FlushContext(esys, object), "TPM2_FlushContext");
	return key;
}

int main(int argc, char **argv)
{
	TPM2B_PUBLIC public;
	TPM2B_PRIVATE private;

	if (argc != 3)
		errx(2, "usage: floor OBJECT DATASET");
	read_object(argv[1], &public, &private);
	ESYS_CONTEXT *esys = connect_tpm();
	TPM2B_SENSITIVE_DATA *key = unseal(esys, &public, &private);
	if (key->size != KEY_SIZE || libzfs_core_init() != 0)
		errx(1, "no wrapping key, or no ZFS");
	int error = lzc_load_key(argv[2], B_FALSE, key->buffer, key->size);
	explicit_bzero(key, sizeof(*key));
	Esys_Free(key);
	Esys_Finalize(&esys);
	libzfs_core_fini();
	if (error)
		errx(1, "%s: %s", argv[2], strerror(error));
	return 0;
}
