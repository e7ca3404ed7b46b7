/* SPDX-License-Identifier: MIT
 *
 * See zfs_client.h.
 */
#include "zfs_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libnvpair.h>
#include <sys/fs/zfs.h>
#include <sys/zfs_ioctl.h>

#include "../zfs/transfer.h"
#include "../zfs/wire.h"

bool zfs_client_serves(int fd, unsigned long request)
{
	socklen_t size = sizeof(int);
	int type = 0;

	return request >= ZFS_IOC_FIRST && request < ZFS_IOC_LAST &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

static void *pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static int argument_int32(const zfs_cmd_t *zc, const char *name)
{
	nvlist_t *arguments;
	int32_t value = -1;

	if (nvlist_unpack(pointer(zc->zc_nvlist_src), zc->zc_nvlist_src_size, &arguments, 0) != 0)
		return -1;
	(void)nvlist_lookup_int32(arguments, name, &value);
	nvlist_free(arguments);
	return value;
}

/* The descriptor that the ioctl reads or writes a stream on, or -1. */
static int stream_of(unsigned long request, const zfs_cmd_t *zc)
{
	switch (request) {
	case ZFS_IOC_SEND:
	case ZFS_IOC_RECV:
	case ZFS_IOC_DIFF:
		return (int)zc->zc_cookie;
	case ZFS_IOC_SEND_NEW:
		return argument_int32(zc, "fd");
	case ZFS_IOC_RECV_NEW:
		return argument_int32(zc, "input_fd");
	default:
		return -1;
	}
}

/* An error log is counted in bookmarks, everything else in bytes. */
static uint64_t dst_max(unsigned long request, const zfs_cmd_t *zc)
{
	if (!zc->zc_nvlist_dst)
		return 0;
	return request == ZFS_IOC_ERROR_LOG ? zc->zc_nvlist_dst_size * sizeof(zbookmark_phys_t)
					    : zc->zc_nvlist_dst_size;
}

/* Sends the packet that begins a call, with the channel's other end and the stream beside it. */
static bool call_send(int fd, const struct wire_call *wire, int channel, int stream)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(WIRE_FD_MAX * sizeof(int))] = { 0 };
	int fds[WIRE_FD_MAX] = { [WIRE_FD_CHANNEL] = channel, [WIRE_FD_STREAM] = stream };
	size_t fds_size = (stream >= 0 ? 2 : 1) * sizeof(int);
	struct iovec iov = { .iov_base = (void *)wire, .iov_len = sizeof(*wire) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(fds_size),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t n;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(fds_size);
	memcpy(CMSG_DATA(header), fds, fds_size);
	do {
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*wire);
}

/* Begins a call. Returns our end of its channel, or -1 with errno EIO, or EBADF for a stream that is not open. */
static int call_begin(int fd, const struct wire_call *wire, int stream)
{
	int pair[2];
	bool sent;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	sent = call_send(fd, wire, pair[1], stream);
	if (!sent && errno != EBADF)
		errno = EIO;
	(void)close(pair[1]);
	if (sent)
		return pair[0];
	(void)close(pair[0]);
	return -1;
}

/* The minor number of another open /dev/zfs, which stands for it in a request, or -1. */
static int minor_of(int fd)
{
	const struct wire_call wire = { .request = WIRE_GET_MINOR };
	struct wire_answer answer;
	int channel = call_begin(fd, &wire, -1);
	bool answered;

	if (channel < 0)
		return -1;
	answered = transfer_receive(channel, &answer, sizeof(answer));
	(void)close(channel);
	return answered ? (int)answer.minor : -1;
}

/* A hold that ends when a descriptor is closed names that descriptor: our number means nothing to the engine. */
static char *hold_with_minor(const zfs_cmd_t *zc, size_t *ret_size)
{
	nvlist_t *arguments;
	char *packed = NULL;
	int32_t cleanup_fd;

	if (nvlist_unpack(pointer(zc->zc_nvlist_src), zc->zc_nvlist_src_size, &arguments, 0) != 0)
		return NULL;
	if (nvlist_lookup_int32(arguments, "cleanup_fd", &cleanup_fd) == 0 &&
	    nvlist_add_int32(arguments, "cleanup_fd", minor_of(cleanup_fd)) == 0)
		(void)nvlist_pack(arguments, &packed, ret_size, NV_ENCODE_NATIVE, 0);
	nvlist_free(arguments);
	return packed;
}

static bool request_send(int channel, const zfs_cmd_t *zc, const struct wire_call *wire, const void *src)
{
	return transfer_send(channel, zc, sizeof(*zc)) && transfer_send(channel, src, wire->src_size) &&
	       transfer_send(channel, pointer(zc->zc_nvlist_conf), wire->conf_size);
}

static bool answer_receive(int channel, zfs_cmd_t *zc, struct wire_answer *ret_answer)
{
	void *dst = pointer(zc->zc_nvlist_dst), *history = pointer(zc->zc_history);

	return transfer_receive(channel, ret_answer, sizeof(*ret_answer)) &&
	       transfer_receive(channel, zc, sizeof(*zc)) && transfer_receive(channel, dst, ret_answer->dst_size) &&
	       transfer_receive(channel, history, ret_answer->history_size);
}

/* src is what zc_nvlist_src points to, or what takes its place. */
static int exchange(int fd, unsigned long request, zfs_cmd_t *zc, const void *src, size_t src_size)
{
	struct wire_call wire = {
		.request = (uint32_t)request,
		.cmd_size = sizeof(*zc),
		.src_size = zc->zc_nvlist_src ? src_size : 0,
		.conf_size = zc->zc_nvlist_conf ? zc->zc_nvlist_conf_size : 0,
		.dst_max = dst_max(request, zc),
		.history_max = zc->zc_history ? zc->zc_history_len : 0,
	};
	struct wire_answer answer;
	int channel = call_begin(fd, &wire, stream_of(request, zc));
	bool answered;

	if (channel < 0)
		return -1;
	answered = request_send(channel, zc, &wire, src) && answer_receive(channel, zc, &answer);
	(void)close(channel);
	errno = answered ? answer.error : EIO;
	return errno == 0 ? 0 : -1;
}

int zfs_client_ioctl(int fd, unsigned long request, void *arg)
{
	zfs_cmd_t *zc = arg;
	size_t own_size = zc->zc_nvlist_src_size, src_size = own_size;
	char *src = NULL;
	int rc;

	if (request == ZFS_IOC_HOLD)
		src = hold_with_minor(zc, &src_size);
	rc = exchange(fd, request, zc, src ? src : pointer(zc->zc_nvlist_src), src_size);
	zc->zc_nvlist_src_size = own_size;
	free(src);
	return rc;
}
