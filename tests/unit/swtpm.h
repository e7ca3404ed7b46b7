/* SPDX-License-Identifier: MIT */
/*
 * The fixture of tpm2.h: a real software TPM in a folder of its own, and a wire to it that the test listens to,
 * and on which it can do what an attacker, a resource manager or a broken chip does.
 *
 * zseal talks to "wire" (or to a terminal that stands for a device), tpm2-tools talk to the TPM itself, at "tpm".
 */
#pragma once

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGE_SIZE = 4096, COMMANDS_MAX = 4096, LOG_SIZE = 4 << 20, HEADER_BYTES = 10 };

struct message {
	size_t size;
	uint8_t bytes[MESSAGE_SIZE];
};

struct swtpm;

/* Asked before a command goes to the TPM: true if *response is the answer instead; of size 0, there never is one. */
typedef bool before_fn(struct swtpm *s, const struct message *command, struct message *response);
/* May change the TPM's response. */
typedef void after_fn(struct swtpm *s, const struct message *command, struct message *response);

struct swtpm {
	char folder[64];
	pid_t pid;
	int listener;
	int terminal; /* master side, or -1 */
	pthread_t thread;
	before_fn *before;
	after_fn *after;
	TPM2_CC fault_at;     /* the command that before and after are for; 0 for all */
	unsigned faults_left; /* so many times */
	bool hang_up;         /* after the next response */
	TPM2_RC fault_code;
	unsigned n_commands;
	TPM2_CC commands[COMMANDS_MAX];
	size_t log_size;
	uint8_t *log; /* every byte that went either way */
};

static inline uint32_t message_word(const struct message *m, size_t offset)
{
	uint32_t word;

	memcpy(&word, m->bytes + offset, sizeof(word));
	return be32toh(word);
}

/* Command code of a command, response code of a response. */
static inline uint32_t message_code(const struct message *m)
{
	return message_word(m, 6);
}

static inline void message_set_code(struct message *m, TPM2_RC code)
{
	static const uint8_t header[] = { 0x80, 0x01, 0, 0, 0, HEADER_BYTES };
	uint32_t word = htobe32(code);

	memcpy(m->bytes, header, sizeof(header));
	memcpy(m->bytes + 6, &word, sizeof(word));
	m->size = HEADER_BYTES;
}

static inline bool read_message(int fd, struct message *m)
{
	size_t want = HEADER_BYTES;

	for (m->size = 0; m->size < want;) {
		ssize_t n = read(fd, m->bytes + m->size, want - m->size);

		if (n <= 0)
			return false;
		m->size += (size_t)n;
		if (m->size >= HEADER_BYTES)
			want = message_word(m, 2);
		if (want > sizeof(m->bytes))
			return false;
	}
	return true;
}

static inline int unix_connect(const char *folder, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline int unix_listen(const char *folder, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* One command to the TPM itself. */
static inline void swtpm_execute(struct swtpm *s, const struct message *command, struct message *response)
{
	int fd = unix_connect(s->folder, "tpm");

	if (fd < 0 || write(fd, command->bytes, command->size) < 0 || !read_message(fd, response))
		message_set_code(response, TPM2_RC_FAILURE);
	close(fd);
}

/* Empties the TPM's memory, as a resource manager does after a program has ended. */
static inline void swtpm_flush(struct swtpm *s)
{
	static const uint32_t first[] = { TPM2_TRANSIENT_FIRST, TPM2_HMAC_SESSION_FIRST, TPM2_POLICY_SESSION_FIRST };
	struct message command, response;

	for (uint32_t i = 0; i < 9; i++) {
		uint32_t handle = htobe32(first[i % 3] + i / 3);

		message_set_code(&command, TPM2_CC_FlushContext);
		memcpy(command.bytes + HEADER_BYTES, &handle, sizeof(handle));
		command.size += sizeof(handle);
		command.bytes[5] = (uint8_t)command.size;
		swtpm_execute(s, &command, &response);
	}
}

static inline void wire_record(struct swtpm *s, const struct message *m)
{
	if (s->log_size + m->size <= LOG_SIZE)
		memcpy(s->log + s->log_size, m->bytes, m->size);
	s->log_size += m->size;
}

static inline bool wire_is_faulty(struct swtpm *s, const struct message *command)
{
	if (s->faults_left == 0 || (s->fault_at && s->fault_at != message_code(command)))
		return false;
	s->faults_left--;
	return true;
}

static inline void wire_serve(struct swtpm *s, int fd)
{
	static struct message command, response;

	while (read_message(fd, &command)) {
		bool faulty = wire_is_faulty(s, &command);

		wire_record(s, &command);
		if (s->n_commands < COMMANDS_MAX)
			s->commands[s->n_commands++] = message_code(&command);
		response.size = 0;
		if (!faulty || !s->before || !s->before(s, &command, &response))
			swtpm_execute(s, &command, &response);
		if (faulty && s->after)
			s->after(s, &command, &response);
		wire_record(s, &response);
		if (response.size && write(fd, response.bytes, response.size) < 0)
			return;
		if (s->hang_up) {
			s->hang_up = false;
			return;
		}
	}
}

static inline void *wire_run(void *arg)
{
	struct swtpm *s = arg;
	int fd;

	if (s->terminal >= 0)
		wire_serve(s, s->terminal);
	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		wire_serve(s, fd);
		close(fd);
	}
	return NULL;
}

/* So many commands with this code went over the wire; 0 counts all of them. */
static inline unsigned wire_count(const struct swtpm *s, TPM2_CC code)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_commands; i++)
		n += code == 0 || s->commands[i] == code;
	return n;
}

static inline void wire_forget(struct swtpm *s)
{
	s->n_commands = 0;
	s->log_size = 0;
	s->before = NULL;
	s->after = NULL;
	s->faults_left = 0;
}

static inline void wire_fault(struct swtpm *s, TPM2_CC at, unsigned times, before_fn *before, after_fn *after)
{
	s->before = before;
	s->after = after;
	s->fault_at = at;
	s->faults_left = times;
}

/* Runs a shell command in the TPM's folder, which must succeed. What it printed is valid until the next. */
static inline __attribute__((format(printf, 2, 3))) const char *swtpm_tool(struct swtpm *s, const char *fmt, ...)
{
	static char output[4096];
	char command[1024], line[1280];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "cd %s && exec 2>>tool.err && export TPM2TOOLS_TCTI=swtpm:path=%s/tpm && %s",
		 s->folder, s->folder, command);
	FILE *f = popen(line, "r");
	assert_non_null(f);
	size_t n = fread(output, 1, sizeof(output) - 1, f);
	output[n] = 0;
	if (pclose(f) != 0) {
		snprintf(line, sizeof(line), "cat %s/tool.err >&2", s->folder);
		(void)!system(line);
		fail_msg("failed: %s", command);
	}
	return output;
}

static inline void swtpm_power_on(struct swtpm *s)
{
	char state[80], server[112], control[112];

	snprintf(state, sizeof(state), "dir=%s", s->folder);
	snprintf(server, sizeof(server), "type=unixio,path=%s/tpm", s->folder);
	snprintf(control, sizeof(control), "type=unixio,path=%s/tpm.ctrl", s->folder);
	pid_t test = getpid();
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		/* ends with the test, even if that has just been killed */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != test)
			_exit(127);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl", control,
		       "--flags", "startup-clear", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 500; i++, usleep(10000)) {
		int fd = unix_connect(s->folder, "tpm.ctrl");

		if (fd >= 0) {
			close(fd);
			return;
		}
	}
	fail_msg("swtpm does not start");
}

/* What firmware does: measures into two PCRs of the better banks. */
static inline void swtpm_measure(struct swtpm *s)
{
	swtpm_tool(s, "h=$(printf %%064d 1); tpm2_pcrextend 0:sha256=$h 7:sha256=$h,sha384=$h$(printf %%032d 2)");
}

static inline void swtpm_power_off(struct swtpm *s)
{
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
}

static inline void swtpm_reboot(struct swtpm *s)
{
	swtpm_tool(s, "tpm2_shutdown --clear");
	swtpm_power_off(s);
	swtpm_power_on(s);
}

/* device: a terminal in raw mode stands for the device. */
static inline void swtpm_start(struct swtpm *s, bool device)
{
	const char *tmp = getenv("TMPDIR");
	struct termios raw;

	*s = (struct swtpm){ .terminal = -1, .log = malloc(LOG_SIZE) };
	snprintf(s->folder, sizeof(s->folder), "%s/zseal-test-tpm2.XXXXXX", tmp && strlen(tmp) < 40 ? tmp : P_tmpdir);
	assert_non_null(mkdtemp(s->folder));
	swtpm_power_on(s);
	s->listener = unix_listen(s->folder, "wire");
	if (device) {
		s->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_int_equal(grantpt(s->terminal), 0);
		assert_int_equal(unlockpt(s->terminal), 0);
		tcgetattr(s->terminal, &raw);
		cfmakeraw(&raw);
		tcsetattr(s->terminal, TCSANOW, &raw);
	}
	assert_int_equal(pthread_create(&s->thread, NULL, wire_run, s), 0);
	swtpm_measure(s);
}

/* The address of the wire, for zseal. */
static inline const char *swtpm_address(const struct swtpm *s)
{
	static char address[128];

	if (s->terminal >= 0)
		snprintf(address, sizeof(address), "device:%s", ptsname(s->terminal));
	else
		snprintf(address, sizeof(address), "swtpm:path=%s/wire", s->folder);
	return address;
}

static inline void swtpm_stop(struct swtpm *s)
{
	char command[96];

	pthread_cancel(s->thread);
	pthread_join(s->thread, NULL);
	close(s->listener);
	if (s->terminal >= 0)
		close(s->terminal);
	swtpm_power_off(s);
	snprintf(command, sizeof(command), "rm -rf %s", s->folder);
	assert_int_equal(system(command), 0);
	free(s->log);
}
