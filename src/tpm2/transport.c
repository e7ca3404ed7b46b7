/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "sys/process.h"
#include "tpm2/transport.h"

/* A response begins with tag, size and code. Spec: TPM 2.0 Part 1, "Command/Response Structure" */
enum { RESPONSE_SIZE_OFFSET = 2, RESPONSE_CODE_OFFSET = 6, RESPONSE_HEADER_SIZE = 10 };

struct transport_kind {
	const char *prefix;
	enum err (*open)(struct transport *t, struct err_ctx *e);
	bool one_command; /* a connection is for one command, so that others can use the TPM between two */
};

/* A mistyped path must not be written to: that of a file, that is; the lab's devices are sockets. */
static enum err open_device(struct transport *t, struct err_ctx *e)
{
	_cleanup_fd_ int fd = open(t->path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return err_set_errno(e, ERR_TPM_MISSING, errno, "opening %s", t->path);
	if (fstat(fd, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "looking at %s", t->path);
	if (!S_ISCHR(st.st_mode) && !S_ISSOCK(st.st_mode))
		return err_set(e, ERR_CONFIG, "tcti: %s is not a device", t->path);
	t->fd = TAKE_FD(fd);
	return ERR_OK;
}

/* SO_SNDTIMEO bounds connect(2), too; all zero would be no bound. */
static enum err open_socket(struct transport *t, struct err_ctx *e)
{
	int left_ms = deadline_left_ms(t->deadline);
	struct timeval patience = { .tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000 + 1 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "making a socket");
	memcpy(address.sun_path, t->path, sizeof(t->path));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return err_set_errno(e, ERR_IO, errno, "bounding a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set_errno(e, ERR_TPM_MISSING, errno, "connecting to %s", t->path);
	t->fd = TAKE_FD(fd);
	return ERR_OK;
}

static const struct transport_kind kinds[] = {
	{ "device:", open_device, false },
	{ "swtpm:path=", open_socket, true },
};

void transport_close(struct transport *t)
{
	fd_close(TAKE_FD(t->fd));
}

enum err transport_open(struct transport *t, struct err_ctx *e)
{
	transport_close(t);
	err_clear(&t->failure);
	enum err err = t->kind->open(t, e);
	if (t->kind->one_command)
		transport_close(t);
	return err;
}

/* t->failure says why; the TPM may still be busy with what was sent, so its answer is not waited for any more. */
static TSS2_RC give_up(struct transport *t)
{
	transport_close(t);
	return TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
	struct transport *t = (struct transport *)tcti;

	if (t->failure.code || (t->fd < 0 && t->kind->open(t, &t->failure)))
		return TSS2_TCTI_RC_IO_ERROR;
	ssize_t n = write(t->fd, command, size);
	if (n != (ssize_t)size) {
		err_set_errno(&t->failure, ERR_TPM_MISSING, n < 0 ? errno : 0, "sending to %s", t->path);
		return give_up(t);
	}
	t->commands++;
	return TSS2_RC_SUCCESS;
}

static enum err wait_readable(struct transport *t)
{
	struct pollfd fd = { .fd = t->fd, .events = POLLIN };
	bool ready;
	enum err err = process_poll(&fd, 1, t->deadline, &ready, &t->failure);

	if (!err && !ready)
		err = err_set(&t->failure, ERR_TIMEOUT, "waiting for %s", t->path);
	return err;
}

/* A device gives a response in one piece and drops what does not fit, so there is always room for the largest. */
static enum err read_some(struct transport *t)
{
	enum err err = wait_readable(t);

	if (err)
		return err;
	ssize_t n = read(t->fd, t->response + t->response_size, sizeof(t->response) - t->response_size);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return err_set_errno(&t->failure, ERR_TPM_MISSING, errno, "reading from %s", t->path);
	if (n == 0)
		return err_set(&t->failure, ERR_TPM_MISSING, "%s was closed", t->path);
	t->response_size += n > 0 ? (size_t)n : 0;
	return ERR_OK;
}

static uint32_t response_word(const struct transport *t, size_t offset)
{
	uint32_t word;

	memcpy(&word, t->response + offset, sizeof(word));
	return be32toh(word);
}

static size_t announced_size(const struct transport *t)
{
	return t->response_size < RESPONSE_HEADER_SIZE ? RESPONSE_HEADER_SIZE :
							 response_word(t, RESPONSE_SIZE_OFFSET);
}

static enum err read_response(struct transport *t)
{
	enum err err = ERR_OK;

	t->response_size = 0;
	while (!err && t->response_size < announced_size(t) && t->response_size < sizeof(t->response))
		err = read_some(t);
	if (!err && t->response_size != announced_size(t))
		err = err_set(&t->failure, ERR_TPM_FAILED, "%s: a response is not as long as it says", t->path);
	return err;
}

/*
 * ESYS's timeout, which is "for ever", is replaced by the deadline: this one place bounds all of its calls.
 * ESYS first asks for the size, with no buffer. It is told the largest, as by tpm2-tss's own TCTI for devices, so that
 * the whole buffer is ours: a secret that ESYS decrypted there, after an earlier command, is wiped. After an error the
 * rest of the command has to stay: ESYS may send it again.
 */
static TSS2_RC receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response, int32_t timeout_ms)
{
	struct transport *t = (struct transport *)tcti;

	(void)timeout_ms;
	if (!response) {
		*size = sizeof(t->response);
		return TSS2_RC_SUCCESS;
	}
	if (*size < sizeof(t->response))
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	if (read_response(t))
		return give_up(t);
	if (t->kind->one_command)
		transport_close(t);
	if (response_word(t, RESPONSE_CODE_OFFSET) == TPM2_RC_SUCCESS)
		explicit_bzero(response, *size);
	memcpy(response, t->response, t->response_size);
	*size = t->response_size;
	return TSS2_RC_SUCCESS;
}

static enum err set_address(struct transport *t, const char *tcti, struct err_ctx *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t prefix = strlen(kinds[i].prefix);

		if (strncmp(tcti, kinds[i].prefix, prefix) != 0 || tcti[prefix] != '/')
			continue;
		if (strlen(tcti + prefix) >= sizeof(t->path))
			return err_set(e, ERR_CONFIG, "tcti: the path is longer than %zu bytes", sizeof(t->path) - 1);
		memcpy(t->path, tcti + prefix, strlen(tcti + prefix) + 1);
		t->kind = &kinds[i];
		return ERR_OK;
	}
	return err_set(e, ERR_CONFIG, "tcti: \"%s\" is neither device:/PATH nor swtpm:path=/PATH", tcti);
}

enum err transport_init(struct transport *t, const char *tcti, struct err_ctx *e)
{
	*t = (struct transport){
		.tcti.v1 = { .version = 2, .transmit = transmit, .receive = receive },
		.fd = -1,
	};
	return set_address(t, tcti ? tcti : "", e);
}
