/* SPDX-License-Identifier: MIT */
/*
 * The way to the TPM: a TCTI of our own below ESYS, for a device and for a software TPM's socket. Internal to this
 * folder and its test.
 *
 * Guarantees: every wait ends at the deadline, or with a signal, however the TPM behaves; a command is counted when it
 * is sent; after a failure nothing more is sent until the transport is opened again. Refuses: to try another address
 * than the one it was given.
 *
 * Why not tpm2-tss's TCTI modules (3.2.1): the one for sockets ignores timeouts and blocks while opening; the one for
 * devices sends a GetRandom while opening, and leaves its descriptor to our children; both are loaded by name at run
 * time, which an initramfs has to know.
 *
 * Spec: TCG TSS 2.0 TPM Command Transmission Interface (TCTI) API 1.0.
 */
#pragma once

#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/text.h"
#include "sys/deadline.h"

enum { TRANSPORT_PATH_SIZE = 108 }; /* of sun_path in struct sockaddr_un, NUL included; devices have shorter ones */

struct transport {
	TSS2_TCTI_CONTEXT_COMMON_V2 tcti; /* first: ESYS holds a pointer to it and gives it back */
	const struct transport_kind *kind;
	char path[TRANSPORT_PATH_SIZE];
	int fd;
	struct deadline deadline; /* of what is under way; set by the caller */
	struct err_ctx failure;   /* why nothing more is sent; all zero while it works */
	unsigned commands;
	size_t response_size;
	uint8_t response[TPM2_MAX_RESPONSE_SIZE]; /* the last one, as it came */
};

/* Sets up t for the address tcti; opens nothing. Errors: ERR_CONFIG. */
must_check enum err transport_init(struct transport *t, const char *tcti, struct err_ctx *e);

/*
 * Opens or, after a failure, opens again. Sends nothing. Owns: the caller closes it. Errors: ERR_TPM_MISSING,
 * ERR_CONFIG if there is something else than a device, ERR_IO.
 */
must_check enum err transport_open(struct transport *t, struct err_ctx *e);
void transport_close(struct transport *t);
