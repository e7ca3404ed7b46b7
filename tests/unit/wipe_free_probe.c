/* SPDX-License-Identifier: MIT */
/*
 * Lets libraries handle a canary, frees all they made, and looks for it in this process's memory. Run as `wiped` or as
 * `left`: which of the two is expected. Linked with wipe-free.c it is wiped; without, it must be left, or the search
 * would prove nothing.
 *
 * The canary is made here at run time, in a secret; the stack is not searched, nobody frees it.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/secret.h"
#include "base/text.h"

enum { CANARY_SIZE = 64, COPIES = 64 };

#define REQUIRE(truth)                                                              \
	do {                                                                        \
		if (!(truth)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #truth); \
			exit(2);                                                    \
		}                                                                   \
	} while (0)

/* Random letters, NUL-terminated. */
static struct secret *make_canary(void)
{
	struct secret *s = NULL;

	REQUIRE(secret_new_random(CANARY_SIZE, &s, NULL) == ERR_OK);
	uint8_t *bytes = secret_bytes(s);
	for (size_t i = 0; i < CANARY_SIZE; i++)
		bytes[i] = 'a' + bytes[i] % 26;
	bytes[CANARY_SIZE - 1] = '\0';
	return s;
}

/* Grows, so that realloc() moves it. */
static void pass_through_jansson(const char *canary)
{
	json_t *array = json_array();

	for (int i = 0; i < COPIES; i++)
		REQUIRE(json_array_append_new(array, json_pack("{s:s}", canary, canary)) == 0);
	char *text = json_dumps(array, JSON_INDENT(1));
	json_t *parsed = json_loads(text, 0, NULL);
	REQUIRE(json_equal(array, parsed));
	free(text);
	json_decref(parsed);
	json_decref(array);
}

static void pass_through_openssl(const char *canary)
{
	BIO *memory = BIO_new(BIO_s_mem()), *base64 = BIO_new(BIO_f_base64()), *chain = BIO_push(base64, memory);

	for (int i = 0; i < COPIES; i++)
		REQUIRE(BIO_write(memory, canary, CANARY_SIZE) == CANARY_SIZE);
	REQUIRE(BIO_write(chain, canary, CANARY_SIZE) == CANARY_SIZE && BIO_flush(chain) == 1);
	BIO_free_all(chain);
}

static void pass_through_stdio(const char *canary)
{
	char *text = NULL, *line = NULL;
	size_t size = 0, room = 0;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < COPIES; i++)
		REQUIRE(fprintf(f, "%s%s\n", canary, canary) > 0);
	fclose(f);
	f = fmemopen(text, size, "r");
	while (getline(&line, &room, f) > 0)
		;
	fclose(f);
	free(line);
	free(text);
}

/* Where a block was that moves, because it grows or becomes much smaller; and what realloc() promises besides. */
static void pass_through_realloc(const char *canary)
{
	volatile size_t too_many = SIZE_MAX / 4 + 2; /* four times that is 4; behind the compiler's back */
	char *block = malloc(4 * CANARY_SIZE);

	strcpy(block, canary);
	strcpy(block + 3 * CANARY_SIZE, canary);
	block = realloc(block, CANARY_SIZE / 2);
	REQUIRE(block && memcmp(block, canary, CANARY_SIZE / 2) == 0);
	block = reallocarray(block, 1000, CANARY_SIZE);
	REQUIRE(block && memcmp(block, canary, CANARY_SIZE / 2) == 0);
	REQUIRE(!reallocarray(block, too_many, 4) && errno == ENOMEM);
	errno = EXDEV;
	free(realloc(NULL, 10));
	free(NULL);
	free(block);
	REQUIRE(errno == EXDEV);
}

/* A block that lives on, a little smaller, without the canary at its end. */
static char *shrink(const char *canary)
{
	char *block = calloc(4, CANARY_SIZE);

	strcpy(block + 3 * CANARY_SIZE, canary);
	block = realloc(block, 3 * CANARY_SIZE);
	REQUIRE(block);
	return block;
}

struct area {
	char *from, *to;
	bool searched;
};

/* One line of proc_pid_maps(5). Anonymous, and neither a stack nor the kernel's. */
static struct area parse_area(const char *line, const struct secret *canary)
{
	struct area a = { 0 };
	char access[5] = "", name[PATH_MAX] = "";
	unsigned long inode = 0;

	REQUIRE(sscanf(line, "%p-%p %4s %*s %*s %lu %4095s", (void **)&a.from, (void **)&a.to, access, &inode, name) >=
		4);
	const char *own = (const char *)secret_data(canary);
	a.searched = strncmp(access, "rw", 2) == 0 && inode == 0 && (name[0] == '\0' || str_equal(name, "[heap]")) &&
		     !(a.from <= own && own < a.to);
	return a;
}

static size_t count_in(const struct area *a, const struct secret *canary)
{
	size_t n = 0;

	for (char *p = a->from; (p = memmem(p, (size_t)(a->to - p), secret_data(canary), CANARY_SIZE - 1)); p++)
		n++;
	return n;
}

static size_t count_copies(const struct secret *canary)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 200];
	size_t n = 0, searched = 0;

	REQUIRE(maps);
	while (fgets(line, sizeof(line), maps)) {
		struct area a = parse_area(line, canary);

		n += a.searched ? count_in(&a, canary) : 0;
		searched += a.searched;
	}
	fclose(maps);
	REQUIRE(searched > 0);
	return n;
}

int main(int argc, char **argv)
{
	struct secret *canary = make_canary();
	const char *text = (const char *)secret_data(canary);

	REQUIRE(argc == 2);
	pass_through_jansson(text);
	pass_through_openssl(text);
	pass_through_stdio(text);
	pass_through_realloc(text);
	char *alive = shrink(text);
	size_t found = count_copies(canary);
	printf("%zu copies found\n", found);
	free(alive);
	secret_free(canary);
	return str_equal(argv[1], "wiped") ? found != 0 : found == 0;
}
