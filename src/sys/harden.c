/* SPDX-License-Identifier: MIT */
/*
 * What a process that will hold keys does first. Each step closes one way by which a key, or somebody else's will,
 * could pass: core dumps, debuggers, swap, missing standard descriptors, file modes, the environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/sanitizer.h"
#include "sys/process.h"
#include "sys/spawn.h"

/*
 * The whole environment, beside PATH and TSS2_LOG. What is dropped counts: LD_*, GCONV_PATH and MALLOC_* change the
 * programs that we run, ZFS_* and TSS2_* print keys or choose another TPM, http_proxy and SSL_CERT_FILE choose another
 * Vault, OPENSSL_* loads code. Without OPENSSL_CONF libcrypto reads the system's openssl.cnf. That stays: only root
 * writes it, and a site that asks for the FIPS provider does it there.
 */
static const char *const kept[] = {
	"LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "COLUMNS", "NO_COLOR",
	"NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM", "INVOCATION_ID", /* systemd.exec(5) */
#if WITH_SANITIZER
	"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS",
#endif
};

/* What may be asked for deliberately: process_vault_variable(). */
static struct {
	const char *name;
	char *value;
} vault_variables[] = {
	{ "BAO_ADDR", NULL }, { "VAULT_ADDR", NULL },
	{ "BAO_TOKEN", NULL }, { "VAULT_TOKEN", NULL },
	{ "BAO_CACERT", NULL }, { "VAULT_CACERT", NULL },
	{ "BAO_CAPATH", NULL }, { "VAULT_CAPATH", NULL },
	{ "BAO_CLIENT_TIMEOUT", NULL }, { "VAULT_CLIENT_TIMEOUT", NULL },
	{ "BAO_MAX_RETRIES", NULL }, { "VAULT_MAX_RETRIES", NULL },
	{ "BAO_CLIENT_CERT", NULL }, { "VAULT_CLIENT_CERT", NULL },
	{ "BAO_CLIENT_KEY", NULL }, { "VAULT_CLIENT_KEY", NULL },
	{ "BAO_NAMESPACE", NULL }, { "VAULT_NAMESPACE", NULL },
	{ "BAO_TLS_SERVER_NAME", NULL }, { "VAULT_TLS_SERVER_NAME", NULL },
	{ "BAO_SKIP_VERIFY", NULL }, { "VAULT_SKIP_VERIFY", NULL },
};

static const char *const vault_prefixes[] = { "BAO_", "VAULT_" };

static char *find_variable(const char *prefix, const char *name)
{
	size_t length = strlen(prefix);

	for (size_t i = 0; i < ARRAY_SIZE(vault_variables); i++)
		if (strncmp(vault_variables[i].name, prefix, length) == 0 &&
		    strcmp(vault_variables[i].name + length, name) == 0)
			return vault_variables[i].value;
	return NULL;
}

const char *process_vault_variable(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(vault_prefixes); i++) {
		const char *value = find_variable(vault_prefixes[i], name);

		if (value && *value)
			return value;
	}
	return NULL;
}

void process_vault_variable_wipe(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(vault_prefixes); i++) {
		char *value = find_variable(vault_prefixes[i], name);

		if (value)
			explicit_bzero(value, strlen(value));
	}
}

/* A file that we opened as descriptor 2 would get our error messages. */
static enum err open_standard_descriptors(struct err_ctx *e)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return err_set_errno(e, ERR_IO, errno, "opening /dev/null");
	} while (fd <= STDERR_FILENO);
	close(fd);
	return ERR_OK;
}

/* LeakSanitizer attaches to its own process, which must be dumpable for that. */
static enum err forbid_dumps(struct err_ctx *e)
{
	if (setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) < 0)
		return err_set_errno(e, ERR_IO, errno, "forbidding core dumps");
	if (!WITH_SANITIZER && prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set_errno(e, ERR_IO, errno, "forbidding dumps and debuggers");
	return ERR_OK;
}

/*
 * The kernel is asked rather than our capabilities, which in a user namespace say yes where it says no. Nothing is
 * written to the pages, so that asking costs none.
 */
static bool may_lock_without_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return false;
	if (limit.rlim_cur == RLIM_INFINITY)
		return true;
	size_t beyond = limit.rlim_cur + 1;
	void *pages = mmap(NULL, beyond, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	return pages != MAP_FAILED && munmap(pages, beyond) == 0;
}

/*
 * All or nothing: under a limit, later allocations would fail once it is reached. Where there is one (an unprivileged
 * container), secrets still lock themselves. ONFAULT, so that what is never touched is never read in.
 */
static void lock_memory(void)
{
	if (!WITH_SANITIZER && may_lock_without_limit())
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* A closed pipe and a file size limit are errors to tell, not a sudden end; and we want to see our children's ends. */
static void set_signal_defaults(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

/* The values stay valid beyond clearenv(): they are in the memory that the kernel gave us, or leaked by setenv(). */
static enum err rebuild_environment(struct err_ctx *e)
{
	const char *values[ARRAY_SIZE(kept)];
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		values[i] = getenv(kept[i]);
	for (size_t i = 0; i < ARRAY_SIZE(vault_variables); i++)
		vault_variables[i].value = getenv(vault_variables[i].name);
	clearenv();
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		failed |= values[i] && setenv(kept[i], values[i], 1) < 0;
	failed |= setenv("PATH", SPAWN_PATH, 1) < 0;
	/* tss2 would print its own lines, parameters included, to standard error. */
	failed |= setenv("TSS2_LOG", "all+none", 1) < 0;
	return failed ? err_set(e, ERR_NO_MEMORY, "room for the environment") : ERR_OK;
}

enum err process_harden(struct err_ctx *e)
{
	enum err r = open_standard_descriptors(e);

	if (!r)
		r = forbid_dumps(e);
	if (!r)
		r = rebuild_environment(e);
	if (r)
		return err_wrap(e, r, "starting");
	lock_memory();
	set_signal_defaults();
	umask(077);
	return ERR_OK;
}

enum err process_require_root(struct err_ctx *e, const char *what)
{
	return geteuid() == 0 ? ERR_OK : err_set(e, ERR_NOT_ROOT, "%s", what);
}
