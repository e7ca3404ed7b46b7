/* SPDX-License-Identifier: MIT */
/*
 * Nodes that ask Vault at the same time, each a process of its own with its own AppRole, context and connections. What
 * they run is src/vault as zseal has it: health of the addresses, login, transit/decrypt, and what is tried again.
 *
 * Left out is what stands around that in zseal: libcurl is loaded once, before; no pool is read, no credential is
 * decrypted by systemd, no key loaded. Refuses: to print or keep what it decrypts.
 *
 *   vault-client CA KEY TIMEOUT_MS ADDRESS…
 *
 * Reads a line for each node: ROLE_ID SECRET_ID CONTEXT CIPHERTEXT, the context in hexadecimal; then an empty one.
 * Says "ready" when all processes are there, starts them at the next line that it reads, and prints for each, as it
 * ends, its number, when it began and ended (seconds of CLOCK_MONOTONIC), and the error's name or "ok".
 */
#include <err.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sys/process.h"
#include "vault/curl.h"
#include "vault/vault.h"

enum { ID_SIZE = 128, LINE_SIZE = VAULT_CIPHERTEXT_MAX + 3 * ID_SIZE };

struct node {
	char role_id[ID_SIZE], secret_id[ID_SIZE];
	char context[2 * VAULT_CONTEXT_SIZE + 1], ciphertext[VAULT_CIPHERTEXT_MAX];
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool read_node(const char *line, struct node *n)
{
	return sscanf(line, "%127s %127s %64s %1023s", n->role_id, n->secret_id, n->context, n->ciphertext) == 4;
}

static enum err log_in(struct vault *v, const struct node *n)
{
	_cleanup_secret_ struct secret *role_id = NULL, *secret_id = NULL;
	enum err err = secret_new_copy(n->role_id, strlen(n->role_id), &role_id, NULL);

	if (!err)
		err = secret_new_copy(n->secret_id, strlen(n->secret_id), &secret_id, NULL);
	return err ? err : vault_login(v, role_id, secret_id, NULL);
}

static enum err unlock(const struct vault_settings *settings, const char *key_name, const struct node *n)
{
	_cleanup_(vault_closep) struct vault *v = NULL;
	_cleanup_secret_ struct secret *plain = NULL;
	struct transit_key key = { .name = key_name };
	enum err err = vault_open(settings, &v, NULL);

	if (!hex_decode(n->context, key.context, sizeof(key.context)))
		errx(2, "no context: %s", n->context);
	if (err)
		return err;
	vault_set_deadline(v, deadline_in(settings->timeout_ms));
	err = log_in(v, n);
	return err ? err : vault_transit_decrypt(v, &key, n->ciphertext, &plain, NULL);
}

/* A line shorter than PIPE_BUF is never mixed with another's. */
static _Noreturn void be_node(const struct vault_settings *settings, const char *key, const struct node *n,
			      unsigned number, int start)
{
	char nothing;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(start, &nothing, 1) != 0)
		err(1, "waiting for the start");
	double begin_s = now_s();
	enum err error = unlock(settings, key, n);
	dprintf(1, "%u %.6f %.6f %s\n", number, begin_s, now_s(), err_info(error)->name);
	_exit(0);
}

static void read_arguments(int argc, char **argv, struct vault_settings *ret)
{
	if (argc < 5 || argc - 4 > VAULT_ADDRESSES_MAX)
		errx(2, "usage: vault-client CA KEY TIMEOUT_MS ADDRESS… < nodes");
	*ret = vault_settings_default;
	snprintf(ret->ca, sizeof(ret->ca), "%s", argv[1]);
	ret->timeout_ms = strtoul(argv[3], NULL, 10);
	for (int i = 4; i < argc; i++)
		if (!vault_address_normalise(argv[i], ret->addresses[ret->n_addresses++]))
			errx(2, "%s: no address", argv[i]);
}

int main(int argc, char **argv)
{
	const struct curl_api *api;
	struct vault_settings settings;
	struct node node;
	char line[LINE_SIZE];
	unsigned n = 0;
	int start[2];

	read_arguments(argc, argv, &settings);
	if (process_harden(NULL) || process_catch_signals(NULL) || curl_load(&api, NULL) || pipe(start) < 0)
		errx(1, "cannot start");
	for (; fgets(line, sizeof(line), stdin) && read_node(line, &node); n++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			close(start[1]);
			be_node(&settings, argv[2], &node, n, start[0]);
		}
	}
	dprintf(1, "ready\n");
	if (!fgets(line, sizeof(line), stdin))
		errx(1, "nobody started it");
	close(start[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
