/* SPDX-License-Identifier: MIT */
/*
 * Credentials of this machine that wait on its disk until they are needed: encrypted by systemd-creds in
 * /etc/credstore.encrypted, or, less well, plain in /etc/credstore. Not by way of a unit (sys/credential.h): one whose
 * TPM does not answer would not start at all, and keep every other slot from being tried.
 * Spec: systemd-creds(1).
 */
#pragma once

#include "base/secret.h"
#include "sys/deadline.h"

/* systemd's own folders, with a slash at their end. */
#define CREDSTORE_ENCRYPTED "/etc/credstore.encrypted/"
#define CREDSTORE_PLAIN     "/etc/credstore/"

/*
 * Gets the credential name, without one line end behind it; *ret_plain tells that it was not encrypted.
 * Owns: the caller frees *ret. Errors: ERR_CREDENTIAL_OPEN for a plain file that others than root can read or write;
 * ERR_CREDENTIAL for everything else that is wrong with it or with systemd-creds; ERR_USAGE if name is no name;
 * ERR_INTERRUPTED, ERR_NO_MEMORY. Blocks: until the deadline.
 */
must_check enum err credstore_read(const char *name, struct deadline deadline, struct secret **ret, bool *ret_plain,
				   struct err_ctx *e);

/* What a credential can be encrypted to. */
enum credstore_key { CREDSTORE_HOST_AND_TPM, CREDSTORE_HOST };

/*
 * Encrypts a credential, opens it again as proof, and only then replaces the one of that name. A plain one of that name
 * is removed. Errors: ERR_CREDENTIAL, ERR_IO, ERR_INTERRUPTED, ERR_NO_MEMORY. Blocks: until the deadline.
 */
must_check enum err credstore_write(const char *name, const struct secret *s, enum credstore_key key,
				    struct deadline deadline, struct err_ctx *e);

/*
 * The same to host and TPM, or, where that cannot be had, to the host's key alone, which lies on the same disk:
 * *ret_host_only, untouched otherwise.
 */
must_check enum err credstore_keep(const char *name, const struct secret *s, struct deadline deadline,
				   bool *ret_host_only, struct err_ctx *e);

/* Whether there is such a file and it may be used, without opening it. Errors: as above. */
must_check enum err credstore_check(const char *name, struct err_ctx *e);

/*
 * When the credential's file was last changed, in nanoseconds since 1970: another one has another time.
 * Errors: ERR_CREDENTIAL, ERR_USAGE.
 */
must_check enum err credstore_changed(const char *name, uint64_t *ret_ns, struct err_ctx *e);

/*
 * Whether a file elsewhere that is as good as a plain credential, such as a private key, is root's, no link, and can be
 * read by nobody else. Errors: ERR_CREDENTIAL, ERR_CREDENTIAL_OPEN.
 */
must_check enum err credstore_check_file(const char *path, struct err_ctx *e);
