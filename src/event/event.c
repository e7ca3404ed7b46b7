/* SPDX-License-Identifier: MIT */
/*
 * Speaks the journal's native protocol itself: a datagram of lines NAME=value. sd_journal_sendv() would not do: when
 * the journal's queue is full it waits without a bound (tried with systemd 252 and a socket that nobody reads), and
 * unlocking must not hang on a journal that hangs. Nor would one sendto() pay for loading libsystemd and the libraries
 * behind it (0.6 ms). Spec: systemd, Journal Native Protocol, among what systemd promises to keep stable.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>

#include "event/event-internal.h"
#include "sys/deadline.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { PATIENCE_MS = 1000 }; /* how long a process waits for the journal in all */

static const struct event_info table[EVENT_MAX] = {
#define X(id, name, message_id, priority, subject, explanation)                                                        \
	[EVENT_##id] = { name, message_id, priority, subject, explanation },
	EVENT_TABLE(X)
#undef X
};

const struct event_info *event_info(enum event_id id)
{
	return &table[(unsigned)id < EVENT_MAX ? id : EVENT_CONTROL_REFUSED];
}

/* A text that grows in a buffer of a fixed size; what has no room is cut. */
struct value {
	size_t size;
	char text[EVENT_VALUE_MAX];
};

printf_like(2, 3) static void value_add(struct value *v, const char *fmt, ...)
{
	size_t room = sizeof(v->text) - v->size;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(v->text + v->size, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		v->size += (size_t)n < room ? (size_t)n : room - 1;
}

/* Names and details come from pools, servers and file systems: nothing of them may start a line or move a cursor. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static bool is_text(const char *text)
{
	return text && *text;
}

static bool is_error(const struct err_ctx *e)
{
	return e && e->code != ERR_OK;
}

/* From the outside to the inside: "unlocking tank: opening /dev/tpmrm0: No such file or directory". */
static void describe_detail(const struct err_ctx *e, struct value *v)
{
	for (unsigned i = e->depth; i-- > 0;)
		value_add(v, "%s%s", v->size ? ": " : "", e->chain[i]);
	if (e->sys_errno)
		value_add(v, "%s%s", v->size ? ": " : "", strerrordesc_np(e->sys_errno) ?: "unknown error");
}

/* "A slot did not open: tank/vm, slot tpm2: no TPM answers (unlocking tank: …)" */
static void describe_event(const struct event *ev, struct value *v)
{
	value_add(v, "%s", event_info(ev->id)->subject);
	if (is_text(ev->dataset))
		value_add(v, ": %s", ev->dataset);
	if (is_text(ev->slot))
		value_add(v, "%s slot %s", is_text(ev->dataset) ? "," : ":", ev->slot);
	if (is_text(ev->credential))
		value_add(v, ": %s", ev->credential);
	if (is_text(ev->vault.key))
		value_add(v, ": %s", ev->vault.key);
	if (is_text(ev->vault.address))
		value_add(v, ": %s", ev->vault.address);
	if (is_text(ev->vault.path))
		value_add(v, " %s %s: %ld", ev->vault.method, ev->vault.path, ev->vault.status);
	if (is_error(ev->error)) {
		struct value detail = { 0 };

		describe_detail(ev->error, &detail);
		value_add(v, ": %s", err_info(ev->error->code)->sentence);
		if (detail.size)
			value_add(v, " (%s)", detail.text);
	}
	make_printable(v->text);
}

/* Adds a line NAME=value. */
printf_like(3, 4) static void add_field(struct event_entry *entry, const char *name, const char *fmt, ...)
{
	char value[EVENT_VALUE_MAX];
	size_t room = sizeof(entry->text) - entry->size;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	make_printable(value);
	int n = snprintf(entry->text + entry->size, room, "%s=%s\n", name, value);
	if (n > 0 && (size_t)n < room)
		entry->size += (size_t)n;
}

static void add_text(struct event_entry *entry, const char *name, const char *text)
{
	if (is_text(text))
		add_field(entry, name, "%s", text);
}

static void add_error(struct event_entry *entry, const struct err_ctx *e)
{
	const struct err_info *info = err_info(e->code);
	struct value detail = { 0 };

	describe_detail(e, &detail);
	add_text(entry, "ZSEAL_ERROR", info->name);
	add_text(entry, "ZSEAL_CLASS", err_class_name(info->class));
	add_text(entry, "ZSEAL_ADVICE", info->advice);
	add_text(entry, "ZSEAL_DETAIL", detail.text);
	if (e->sys_errno)
		add_field(entry, "ERRNO", "%d", e->sys_errno);
	if (e->tss)
		add_field(entry, "ZSEAL_TSS_RC", "0x%08x", e->tss);
	if (e->http)
		add_field(entry, "ZSEAL_HTTP_STATUS", "%d", e->http);
}

static void add_vault(struct event_entry *entry, const struct event_vault *v)
{
	add_text(entry, "ZSEAL_VAULT_ADDRESS", v->address);
	add_text(entry, "ZSEAL_VAULT_METHOD", v->method);
	add_text(entry, "ZSEAL_VAULT_PATH", v->path);
	add_text(entry, "ZSEAL_VAULT_KEY", v->key);
	if (v->status)
		add_field(entry, "ZSEAL_HTTP_STATUS", "%ld", v->status);
	add_text(entry, "ZSEAL_VAULT_REQUEST_ID", v->request_id);
	add_text(entry, "ZSEAL_VAULT_CORRELATION_ID", v->correlation);
}

static void add_keyring(struct event_entry *entry, const struct uuid *keyring)
{
	char text[UUID_TEXT_SIZE];

	uuid_print(keyring, text);
	add_text(entry, "ZSEAL_KEYRING", text);
}

void event_format(const struct event *ev, struct event_entry *ret)
{
	const struct event_info *info = event_info(ev->id);
	struct value message = { 0 };

	describe_event(ev, &message);
	ret->size = 0;
	add_text(ret, "MESSAGE", message.text);
	add_text(ret, "MESSAGE_ID", info->message_id);
	add_field(ret, "PRIORITY", "%d", info->priority);
	add_text(ret, "SYSLOG_IDENTIFIER", "zseal");
	add_text(ret, "ZSEAL_EVENT", info->name);
	add_text(ret, "ZSEAL_DATASET", ev->dataset);
	add_text(ret, "ZSEAL_SLOT", ev->slot);
	add_text(ret, "ZSEAL_SLOT_TYPE", ev->slot_type);
	if (ev->keyring)
		add_keyring(ret, ev->keyring);
	if (ev->generation)
		add_field(ret, "ZSEAL_GENERATION", "%u", ev->generation);
	add_vault(ret, &ev->vault);
	add_text(ret, "ZSEAL_CREDENTIAL", ev->credential);
	if (is_error(ev->error))
		add_error(ret, ev->error);
}

static bool send_entry(int fd, const struct event_entry *entry, const char *socket_path, int flags)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	return sendto(fd, entry->text, entry->size, flags, (struct sockaddr *)&to, sizeof(to)) >= 0;
}

/* The journal's queue is full: waits for it with what this process has left of its patience. */
static bool send_patiently(int fd, const struct event_entry *entry, const char *socket_path)
{
	static _Atomic int patience_ms = PATIENCE_MS;
	int left_ms = patience_ms;
	struct timeval limit = { .tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000 };
	struct deadline deadline = deadline_in((uint64_t)left_ms);

	/* To the kernel, a limit of 0 is none. */
	if (left_ms == 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return false;
	bool sent = send_entry(fd, entry, socket_path, 0);
	patience_ms = deadline_left_ms(deadline);
	return sent;
}

/* One socket for all entries of the process. Not connected: a journal that is started anew gets the next ones. */
static bool send_to_journal(const struct event_entry *entry, const char *socket_path)
{
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (send_entry(fd, entry, socket_path, MSG_DONTWAIT))
		return true;
	return errno == EAGAIN && send_patiently(fd, entry, socket_path);
}

void event_emit_to(const struct event *ev, const char *socket_path)
{
	struct event_entry entry;
	struct value message = { 0 };

	event_format(ev, &entry);
	if (send_to_journal(&entry, socket_path) || event_info(ev->id)->priority > LOG_WARNING)
		return;
	describe_event(ev, &message);
	dprintf(STDERR_FILENO, "zseal: %s\n", message.text);
}

void event_emit(const struct event *ev)
{
	event_emit_to(ev, JOURNAL_SOCKET);
}
