/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include <cmocka.h>

#include "event/event-internal.h"
#include "sys/deadline.h"

static const struct uuid keyring = { { 0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255 } };

/* What sets the lines of an event apart from those of any other. */
#define HEAD(message_id, priority, name)                                                                               \
	"MESSAGE_ID=" message_id "\nPRIORITY=" priority "\nSYSLOG_IDENTIFIER=zseal\nZSEAL_EVENT=" name "\n"
#define HEAD_FAILED HEAD("5cd80d8108ac42e28486ce34445268af", "4", "slot-failed")
#define HEAD_LOADED HEAD("5770cffc4ca14a239bf522031a396a34", "6", "key-loaded")

static void assert_entry(const struct event *ev, const char *expected)
{
	struct event_entry entry;

	event_format(ev, &entry);
	assert_true(entry.size < sizeof(entry.text));
	entry.text[entry.size] = '\0';
	assert_string_equal(entry.text, expected);
}

/* KEY_LOADED is "key-loaded" to programs, and so on. */
static void names_follow_identities(void **state)
{
	static const char *const identities[] = {
#define X(id, name, message_id, priority, subject, explanation) #id,
		EVENT_TABLE(X)
#undef X
	};

	(void)state;
	for (enum event_id id = 0; id < EVENT_MAX; id++) {
		const char *name = event_info(id)->name;

		assert_int_equal(strlen(name), strlen(identities[id]));
		for (size_t i = 0; name[i]; i++)
			assert_int_equal(name[i], identities[id][i] == '_' ? '-' : identities[id][i] | 0x20);
	}
}

static void message_ids_are_random_and_unique(void **state)
{
	(void)state;
	for (enum event_id id = 0; id < EVENT_MAX; id++) {
		const char *message_id = event_info(id)->message_id;
		uint8_t bytes[16];

		assert_true(hex_decode(message_id, bytes, sizeof(bytes)));
		assert_int_equal(bytes[6] >> 4, 4); /* RFC 9562, version 4 */
		assert_int_equal(bytes[8] >> 6, 2);
		for (enum event_id other = 0; other < id; other++)
			assert_string_not_equal(message_id, event_info(other)->message_id);
	}
}

static void every_event_explains_itself(void **state)
{
	(void)state;
	for (enum event_id id = 0; id < EVENT_MAX; id++) {
		const struct event_info *info = event_info(id);

		assert_in_range(info->priority, LOG_CRIT, LOG_INFO);
		assert_in_range(strlen(info->subject), 10, 60);
		for (const char *line = info->explanation; line; line = strchr(line, '\n')) {
			line += *line == '\n';
			assert_in_range(strcspn(line, "\n"), 5, 80);
		}
	}
}

static void an_unknown_event_has_a_line_too(void **state)
{
	(void)state;
	assert_non_null(event_info(EVENT_MAX)->name);
	assert_non_null(event_info((enum event_id)-1)->name);
}

static void a_bare_event_has_its_head_only(void **state)
{
	(void)state;
	assert_entry(&(struct event){ .id = EVENT_KEY_LOADED },
		     "MESSAGE=An encryption root was unlocked\n" HEAD_LOADED);
	assert_entry(&(struct event){ .id = EVENT_KEY_LOADED, .dataset = "", .slot = "", .slot_type = "" },
		     "MESSAGE=An encryption root was unlocked\n" HEAD_LOADED);
}

static void an_event_tells_all_that_it_was_given(void **state)
{
	struct err_ctx e = { 0 };
	struct event ev = {
		.id = EVENT_SLOT_FAILED,
		.dataset = "tank/vm",
		.slot = "board",
		.slot_type = "tpm2",
		.keyring = &keyring,
		.generation = 4294967295,
		.error = &e,
	};

	(void)state;
	err_set_errno(&e, ERR_TPM_MISSING, ENOENT, "opening %s", "/dev/tpmrm0");
	err_wrap(&e, ERR_TPM_MISSING, "opening the keyring of %s", "tank");
	assert_entry(&ev, "MESSAGE=A slot did not open: tank/vm, slot board: no TPM answers "
			  "(opening the keyring of tank: opening /dev/tpmrm0: No such file or directory)\n" HEAD_FAILED
			  "ZSEAL_DATASET=tank/vm\n"
			  "ZSEAL_SLOT=board\n"
			  "ZSEAL_SLOT_TYPE=tpm2\n"
			  "ZSEAL_KEYRING=00112233-4455-6677-8899-aabbccddeeff\n"
			  "ZSEAL_GENERATION=4294967295\n"
			  "ZSEAL_ERROR=tpm-missing\n"
			  "ZSEAL_CLASS=unavailable\n"
			  "ZSEAL_ADVICE=look for /dev/tpmrm0, switch the TPM on in the firmware set-up, "
			  "or set tcti in zseal.conf\n"
			  "ZSEAL_DETAIL=opening the keyring of tank: opening /dev/tpmrm0: No such file or directory\n"
			  "ERRNO=2\n");
}

static void a_tpm_error_has_its_code(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	err_set_tss(&e, ERR_TPM_BUSY, 0x922, "unsealing");
	assert_entry(&(struct event){ .id = EVENT_SLOT_FAILED, .slot = "board", .error = &e },
		     "MESSAGE=A slot did not open: slot board: the TPM is busy or out of memory "
		     "(unsealing)\n" HEAD_FAILED
		     "ZSEAL_SLOT=board\n"
		     "ZSEAL_ERROR=tpm-busy\n"
		     "ZSEAL_CLASS=unavailable\n"
		     "ZSEAL_ADVICE=try again in a moment\n"
		     "ZSEAL_DETAIL=unsealing\n"
		     "ZSEAL_TSS_RC=0x00000922\n");
}

static void success_is_no_error(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	assert_entry(&(struct event){ .id = EVENT_KEY_LOADED, .dataset = "tank", .error = &e },
		     "MESSAGE=An encryption root was unlocked: tank\n" HEAD_LOADED "ZSEAL_DATASET=tank\n");
}

/* A field of one's own, an escape sequence, UTF-8's C1 controls: question marks, all of them. */
static void values_cannot_break_a_line(void **state)
{
	struct err_ctx e = { 0 };

	(void)state;
	err_set(&e, ERR_TPM_BUSY, "a\rb\tc\x7f");
	assert_entry(&(struct event){ .id = EVENT_SLOT_FAILED, .dataset = "t\nPRIORITY=0", .slot = "\x1b[2J\xc2\x9b",
				      .error = &e },
		     "MESSAGE=A slot did not open: t?PRIORITY=0, slot ?[2J??: the TPM is busy or out of memory "
		     "(a?b?c?)\n" HEAD_FAILED
		     "ZSEAL_DATASET=t?PRIORITY=0\n"
		     "ZSEAL_SLOT=?[2J??\n"
		     "ZSEAL_ERROR=tpm-busy\n"
		     "ZSEAL_CLASS=unavailable\n"
		     "ZSEAL_ADVICE=try again in a moment\n"
		     "ZSEAL_DETAIL=a?b?c?\n");
}

/* Everything as long as can be: values are cut, no field is lost, the last one is whole. */
static void values_are_bounded(void **state)
{
	static const char end[] = "\nERRNO=2\nZSEAL_TSS_RC=0x00000922\n";
	static char endless[100000];
	struct err_ctx e = { .code = ERR_TPM_BUSY, .sys_errno = ENOENT, .tss = 0x922, .depth = ERR_CHAIN_MAX };
	struct event ev = {
		.id = EVENT_SLOT_FAILED,
		.dataset = endless,
		.slot = endless,
		.slot_type = endless,
		.keyring = &keyring,
		.generation = 1,
		.error = &e,
	};
	struct event_entry entry;

	(void)state;
	memset(endless, 'x', sizeof(endless) - 1);
	for (unsigned i = 0; i < ERR_CHAIN_MAX; i++)
		memset(e.chain[i], 'y', ERR_PLACE_MAX - 1);
	event_format(&ev, &entry);
	assert_in_range(entry.size, 3 * EVENT_VALUE_MAX, sizeof(entry.text) - 1);
	assert_memory_equal(entry.text + entry.size - strlen(end), end, strlen(end));
	for (char *line = entry.text; line < entry.text + entry.size; line = strchr(line, '\n') + 1)
		assert_in_range(strchr(line, '\n') - line, 1, EVENT_NAME_MAX + EVENT_VALUE_MAX);
}

/* A folder with a socket in it that plays the journal's. */
struct journal {
	char folder[32];
	char path[64];
	int fd;
};

static void journal_open(struct journal *j)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(j->folder, "/tmp/zseal-event-XXXXXX");
	assert_non_null(mkdtemp(j->folder));
	snprintf(j->path, sizeof(j->path), "%s/socket", j->folder);
	strcpy(address.sun_path, j->path);
	j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(j->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void journal_close(struct journal *j)
{
	close(j->fd);
	unlink(j->path);
	rmdir(j->folder);
}

/* What event_emit_to() writes to standard error. */
static void emit_capturing(const struct event *ev, const char *socket_path, char *ret, size_t size)
{
	int pipes[2], saved = dup(STDERR_FILENO);

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(pipes[1], STDERR_FILENO);
	event_emit_to(ev, socket_path);
	dup2(saved, STDERR_FILENO);
	ssize_t got = read(pipes[0], ret, size - 1);
	ret[got > 0 ? got : 0] = '\0';
	close(pipes[0]);
	close(pipes[1]);
	close(saved);
}

static void the_journal_gets_one_datagram(void **state)
{
	struct event ev = { .id = EVENT_SLOT_FAILED, .dataset = "tank", .slot = "board" };
	struct journal j;
	struct event_entry expected, got;
	char complaint[1024];

	(void)state;
	journal_open(&j);
	event_format(&ev, &expected);
	emit_capturing(&ev, j.path, complaint, sizeof(complaint));
	assert_string_equal(complaint, "");
	assert_int_equal(recv(j.fd, got.text, sizeof(got.text), MSG_DONTWAIT), (ssize_t)expected.size);
	assert_memory_equal(got.text, expected.text, expected.size);
	assert_int_equal(recv(j.fd, got.text, sizeof(got.text), MSG_DONTWAIT), -1);
	journal_close(&j);
}

static void without_a_journal_warnings_are_one_line(void **state)
{
	char complaint[2048];

	(void)state;
	for (enum event_id id = 0; id < EVENT_MAX; id++) {
		struct event ev = { .id = id, .dataset = "tank\n" };
		char expected[128] = "";

		if (event_info(id)->priority <= LOG_WARNING)
			snprintf(expected, sizeof(expected), "zseal: %s: tank?\n", event_info(id)->subject);
		emit_capturing(&ev, "/nonexistent/socket", complaint, sizeof(complaint));
		assert_string_equal(complaint, expected);
	}
}

static void fill(const struct journal *j)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(to.sun_path, j->path);
	while (sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) == 1)
		;
	assert_int_equal(errno, EAGAIN);
}

/* Uses up this process's patience: the last test. */
static void a_stuck_journal_costs_one_second_in_all(void **state)
{
	struct event ev = { .id = EVENT_KEY_REFUSED, .dataset = "tank" };
	struct deadline start = deadline_in(10000);
	struct journal j;
	char text[2048];

	(void)state;
	journal_open(&j);
	fill(&j);
	for (int i = 0; i < 50; i++) {
		emit_capturing(&ev, j.path, text, sizeof(text));
		assert_string_equal(text, "zseal: An encryption root stayed locked: tank\n");
	}
	assert_in_range(10000 - deadline_left_ms(start), 900, 3000);
	while (recv(j.fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	emit_capturing(&ev, j.path, text, sizeof(text)); /* once it is read again, it gets events again */
	assert_string_equal(text, "");
	assert_true(recv(j.fd, text, sizeof(text), MSG_DONTWAIT) > 100);
	journal_close(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_follow_identities),
		cmocka_unit_test(message_ids_are_random_and_unique),
		cmocka_unit_test(every_event_explains_itself),
		cmocka_unit_test(an_unknown_event_has_a_line_too),
		cmocka_unit_test(a_bare_event_has_its_head_only),
		cmocka_unit_test(an_event_tells_all_that_it_was_given),
		cmocka_unit_test(a_tpm_error_has_its_code),
		cmocka_unit_test(success_is_no_error),
		cmocka_unit_test(values_cannot_break_a_line),
		cmocka_unit_test(values_are_bounded),
		cmocka_unit_test(the_journal_gets_one_datagram),
		cmocka_unit_test(without_a_journal_warnings_are_one_line),
		cmocka_unit_test(a_stuck_journal_costs_one_second_in_all),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
