/* SPDX-License-Identifier: MIT
 *
 * See call.h. The order in struct buffers is that of the wire.
 */
#include "call.h"

#include <sys/socket.h>
#include <sys/spa.h>
#include <sys/zfs_ioctl_impl.h>

#include "transfer.h"

/* What a zfs_cmd_t points to, in this address space. */
struct buffers {
	char *src;
	char *conf;
	char *dst;
	char *history;
	size_t src_size;
	size_t conf_size;
};

/* A little more than asked for: ZFS reads string ends and 8-byte words. */
static char *buffer_new(size_t size)
{
	return calloc(1, size + sizeof(uint64_t));
}

static void buffer_free(char *buffer, size_t size)
{
	if (buffer)
		explicit_bzero(buffer, size);
	free(buffer);
}

static void buffers_done(struct buffers *b, const struct wire_call *wire)
{
	buffer_free(b->src, b->src_size);
	buffer_free(b->conf, b->conf_size);
	buffer_free(b->dst, wire->dst_max);
	buffer_free(b->history, wire->history_max);
}

static boolean_t wire_is_sane(const struct wire_call *wire)
{
	return wire->cmd_size == sizeof(zfs_cmd_t) && wire->src_size <= WIRE_BUFFER_MAX &&
	       wire->conf_size <= WIRE_BUFFER_MAX && wire->dst_max <= WIRE_BUFFER_MAX &&
	       wire->history_max <= WIRE_BUFFER_MAX;
}

static boolean_t buffers_receive(struct buffers *b, zfs_cmd_t *zc, const struct call *call)
{
	const struct wire_call *wire = &call->wire;

	b->src_size = wire->src_size;
	b->conf_size = wire->conf_size;
	b->src = buffer_new(b->src_size);
	b->conf = buffer_new(b->conf_size);
	b->dst = buffer_new(wire->dst_max);
	b->history = buffer_new(wire->history_max);
	return b->src && b->conf && b->dst && b->history && transfer_receive(call->channel, zc, sizeof(*zc)) &&
	       transfer_receive(call->channel, b->src, b->src_size) &&
	       transfer_receive(call->channel, b->conf, b->conf_size);
}

/* The newer ioctls have the stream's number in their arguments; there it becomes the engine's own. */
static boolean_t stream_into_arguments(struct buffers *b, const char *name, int stream)
{
	nvlist_t *arguments;
	char *packed = NULL;
	size_t size = 0;

	if (nvlist_unpack(b->src, b->src_size, &arguments, 0) != 0)
		return B_FALSE;
	if (nvlist_exists(arguments, name))
		fnvlist_add_int32(arguments, name, stream);
	if (nvlist_pack(arguments, &packed, &size, NV_ENCODE_NATIVE, 0) == 0) {
		buffer_free(b->src, b->src_size);
		b->src = packed;
		b->src_size = size;
	}
	nvlist_free(arguments);
	return packed != NULL;
}

static boolean_t stream_put(struct buffers *b, zfs_cmd_t *zc, const struct call *call)
{
	if (call->stream < 0)
		return B_TRUE;
	switch (call->wire.request) {
	case ZFS_IOC_SEND_NEW:
		return stream_into_arguments(b, "fd", call->stream);
	case ZFS_IOC_RECV_NEW:
		return stream_into_arguments(b, "input_fd", call->stream);
	default:
		zc->zc_cookie = (uint64_t)call->stream;
		return B_TRUE;
	}
}

/* Lends a zfs_cmd_t our buffers. What the caller has no room for stays NULL, which is EFAULT as in a kernel. */
static void lend(zfs_cmd_t *zc, const struct buffers *b)
{
	zc->zc_nvlist_src = (uintptr_t)b->src;
	zc->zc_nvlist_src_size = b->src_size;
	zc->zc_nvlist_conf = (uintptr_t)b->conf;
	zc->zc_nvlist_conf_size = b->conf_size;
	if (zc->zc_nvlist_dst)
		zc->zc_nvlist_dst = (uintptr_t)b->dst;
	if (zc->zc_history)
		zc->zc_history = (uintptr_t)b->history;
}

/* The caller finds its own addresses and sizes again, and what ZFS has written beside them. */
static int carry_out(uint32_t request, zfs_cmd_t *zc, const struct buffers *b)
{
	zfs_cmd_t *before = (zfs_cmd_t *)buffer_new(sizeof(*before));
	int error;

	if (!before)
		return ENOMEM;
	*before = *zc;
	lend(zc, b);
	error = (int)zfsdev_ioctl_common(request - ZFS_IOC_FIRST, zc, 0);
	zc->zc_nvlist_src = before->zc_nvlist_src;
	zc->zc_nvlist_src_size = before->zc_nvlist_src_size;
	zc->zc_nvlist_conf = before->zc_nvlist_conf;
	zc->zc_nvlist_conf_size = before->zc_nvlist_conf_size;
	zc->zc_nvlist_dst = before->zc_nvlist_dst;
	zc->zc_history = before->zc_history;
	buffer_free((char *)before, sizeof(*before));
	return error;
}

/* ZFS finds and leaves the pool's name with its thread. A caller's threads are many here: one for each call. */
static int carry_out_for_process(const struct call *call, zfs_cmd_t *zc, const struct buffers *b)
{
	struct process *process = call->connection->process;
	char *before;
	int error;

	(void)tsd_set(zfs_allow_log_key, process_exchange_pool(process, NULL));
	error = carry_out(call->wire.request, zc, b);
	before = process_exchange_pool(process, tsd_get(zfs_allow_log_key));
	(void)tsd_set(zfs_allow_log_key, NULL);
	if (before)
		kmem_strfree(before);
	return error;
}

static struct wire_answer answer_for(const struct call *call, const zfs_cmd_t *zc, int error)
{
	const struct wire_call *wire = &call->wire;
	struct wire_answer answer = { .error = error };

	if (wire->request == ZFS_IOC_ERROR_LOG)
		answer.dst_size = wire->dst_max;
	else if (zc->zc_nvlist_dst && zc->zc_nvlist_dst_filled)
		answer.dst_size = MIN(zc->zc_nvlist_dst_size, wire->dst_max);
	if (wire->request == ZFS_IOC_POOL_GET_HISTORY && error == 0)
		answer.history_size = MIN(zc->zc_history_len, wire->history_max);
	return answer;
}

static void caller_identify(int channel)
{
	struct ucred credentials = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
	socklen_t size = sizeof(credentials);

	(void)getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
	caller_current = (struct caller){ .uid = credentials.uid, .gid = credentials.gid, .channel = channel };
}

static void serve_ioctl(const struct call *call)
{
	struct wire_answer answer;
	struct buffers b = { 0 };
	zfs_cmd_t *zc = (zfs_cmd_t *)buffer_new(sizeof(*zc));

	if (zc && buffers_receive(&b, zc, call) && stream_put(&b, zc, call)) {
		answer = answer_for(call, zc, carry_out_for_process(call, zc, &b));
		/* A caller that has gone meanwhile needs no answer. */
		(void)(transfer_send(call->channel, &answer, sizeof(answer)) &&
		       transfer_send(call->channel, zc, sizeof(*zc)) &&
		       transfer_send(call->channel, b.dst, answer.dst_size) &&
		       transfer_send(call->channel, b.history, answer.history_size));
	}
	buffers_done(&b, &call->wire);
	buffer_free((char *)zc, sizeof(*zc));
}

void call_serve(const struct call *call)
{
	struct wire_answer answer = { .minor = call->connection->minor };

	caller_identify(call->channel);
	if (call->wire.request == WIRE_GET_MINOR) {
		(void)transfer_send(call->channel, &answer, sizeof(answer));
	} else if (wire_is_sane(&call->wire)) {
		serve_ioctl(call);
	} else {
		fprintf(stderr, "engine: refused a zfs_cmd_t of %u bytes, ours has %zu\n", call->wire.cmd_size,
			sizeof(zfs_cmd_t));
	}
}
