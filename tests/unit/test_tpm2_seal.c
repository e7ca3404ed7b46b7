/* SPDX-License-Identifier: MIT */
/* What src/tpm2 seals comes back from this TPM, and nothing else is sent to it. Each test has a software TPM of its own. */
#include "tpm2.h"

/* Sealing and unsealing */

static void test_seal_unseal(void **state)
{
	static const uint32_t cases[] = { 0, PCR(7), PCR(0) | PCR(7) };
	struct swtpm *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_secret_ struct secret *secret = new_secret(), *back = NULL;
		struct slot_tpm2 slot;
		struct err_ctx e = { 0 };

		seal_to(s, secret, cases[i], &slot);
		assert_int_equal(slot.pcrs, cases[i]);
		assert_int_equal(slot.bank, cases[i] ? TPM2_BANK_SHA256 : TPM2_BANK_NONE);
		assert_int_equal(slot.handle, 0);

		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
		assert_int_equal(tpm2_command_count(t), 0);
		wire_forget(s);
		expect(tpm2_unseal(t, &slot, soon(), &back, &e), ERR_OK, &e);
		assert_true(secret_equal(secret, back));
		assert_in_range(tpm2_command_count(t), 1, 9);
		assert_int_equal(tpm2_command_count(t), wire_count(s, 0));
		assert_int_equal(tpm2_command_count(t), cases[i] ? 7 : 5);
	}
}

/* Many slots on one connection: the storage root key is looked at once. */
static void test_unseal_again(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);

	for (int i = 0; i < 20; i++) {
		_cleanup_secret_ struct secret *secret = NULL;
		struct err_ctx e = { 0 };

		expect(tpm2_unseal(t, &slot, soon(), &secret, &e), ERR_OK, &e);
	}
	assert_int_equal(wire_count(s, TPM2_CC_ReadPublic), 1);
	assert_int_equal(wire_count(s, 0), 1 + 20 * 6);
}

/* A different object each time, though the secret and the PCRs are the same. */
static void test_seal_is_fresh(void **state)
{
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 a, b;

	seal_to(s, secret, PCR(7), &a);
	seal_to(s, secret, PCR(7), &b);
	assert_memory_equal(a.policy, b.policy, sizeof(a.policy));
	assert_memory_not_equal(a.public, b.public, a.public_size);
	assert_memory_not_equal(a.private, b.private, a.private_size);
}

static void test_nothing_readable_on_the_wire(void **state)
{
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot;

	seal_to(s, secret, PCR(7), &slot);
	assert_int_equal(unseal(s, &slot), ERR_OK);
	assert_false(log_has(s, secret));
	assert_int_equal(wire_count(s, TPM2_CC_Create), 1);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 2);
}

/* Encryption is worth nothing to who sees the nonces, unless a secret went to the TPM's key first. */
static bool look_for_salt(struct swtpm *s, const struct message *command, struct message *response)
{
	enum { TPM_KEY = HEADER_BYTES, NONCE_SIZE = TPM_KEY + 8 + 1 };
	size_t salt_size = NONCE_SIZE + 1 + command->bytes[NONCE_SIZE] + 1;

	(void)response;
	if (message_word(command, TPM_KEY) != 0x81000001 || command->bytes[salt_size] < 64)
		s->fault_code = TPM2_RC_NONCE;
	return false;
}

static void test_sessions_are_salted(void **state)
{
	struct swtpm *s = *state;

	a_slot(s);
	wire_fault(s, TPM2_CC_StartAuthSession, 1000, look_for_salt, NULL);
	_cleanup_secret_ struct secret *secret = new_secret();
	struct slot_tpm2 slot;
	seal_to(s, secret, PCR(7), &slot);
	assert_int_equal(wire_count(s, TPM2_CC_StartAuthSession), 3);
	assert_int_equal(s->fault_code, 0);
}

static void test_seal_refuses(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	_cleanup_secret_ struct secret *secret = new_secret(), *shorter = NULL;
	struct slot_tpm2 slot;

	assert_int_equal(secret_new_random(31, &shorter, NULL), ERR_OK);
	const struct {
		struct tpm2_seal seal;
		enum err err;
	} cases[] = {
		{ { shorter, TPM2_BANK_SHA256, PCR(7), NULL }, ERR_BUG },
		{ { secret, TPM2_BANK_SHA256, 0, NULL }, ERR_BUG },
		{ { secret, TPM2_BANK_NONE, PCR(7), NULL }, ERR_BUG },
		{ { secret, TPM2_BANK_SHA256, PCR(24), NULL }, ERR_BUG },
		{ { secret, TPM2_BANK_SHA256, PCR(7) | PCR(8), NULL }, ERR_TPM_BANK }, /* nothing in PCR 8 */
		{ { secret, TPM2_BANK_SHA256, PCR(17), NULL }, ERR_TPM_BANK },         /* all ones */
		{ { secret, TPM2_BANK_SHA1, PCR(7), NULL }, ERR_TPM_BANK },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err_ctx e = { 0 };

		expect(tpm2_seal(t, &cases[i].seal, soon(), &slot, &e), cases[i].err, &e);
	}
	assert_int_equal(wire_count(s, TPM2_CC_Create), 0);
}

/* Whose TPM is it? */

static void test_not_mine_costs_one_command(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	slot.srk_name[20] ^= 1;
	assert_int_equal(unseal(s, &slot), ERR_TPM_NOT_MINE);
	assert_int_equal(wire_count(s, 0), 1);
	assert_int_equal(wire_count(s, TPM2_CC_ReadPublic), 1);
}

static void test_other_tpm(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	struct swtpm other;

	swtpm_start(&other, false);
	a_slot(&other);
	assert_int_equal(unseal(&other, &slot), ERR_TPM_NOT_MINE);
	/* even if the slot lies about whose it is */
	slot = (struct slot_tpm2){ 0 };
	struct slot_tpm2 mine = a_slot(&other), theirs = a_slot(s);
	memcpy(theirs.srk_name, mine.srk_name, sizeof(mine.srk_name));
	assert_int_equal(unseal(&other, &theirs), ERR_TPM_OBJECT);
	swtpm_stop(&other);
}

static void test_cleared(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	_cleanup_(tpm2_closep) struct tpm2 *t = NULL;
	uint8_t name[TPM2_NAME_SIZE];

	swtpm_tool(s, "tpm2_clear -c p");
	assert_int_equal(unseal(s, &slot), ERR_TPM_CLEARED);
	assert_int_equal(wire_count(s, 0), 1);
	assert_int_equal(find_srk(s), ERR_TPM_CLEARED);

	t = open_tpm(s);
	assert_int_equal(tpm2_srk_make(t, name, NULL), ERR_OK);
	assert_memory_not_equal(name, slot.srk_name, sizeof(name));
	assert_int_equal(unseal(s, &slot), ERR_TPM_NOT_MINE);
}

/* The storage root key */

static void test_srk_made_once(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t made[TPM2_NAME_SIZE], found[TPM2_NAME_SIZE];

	assert_int_equal(find_srk(s), ERR_TPM_CLEARED);
	assert_int_equal(tpm2_srk_make(t, made, NULL), ERR_OK);
	unsigned commands = tpm2_command_count(t);
	assert_int_equal(tpm2_srk_name(t, found, NULL), ERR_OK);
	assert_int_equal(tpm2_srk_make(t, found, NULL), ERR_OK);
	assert_int_equal(tpm2_command_count(t), commands);
	assert_memory_equal(made, found, sizeof(made));

	swtpm_tool(s, "tpm2_readpublic -c 0x81000001 -n name");
	assert_string_equal(swtpm_tool(s, "tpm2_readpublic -c 0x81000001 | grep -A1 ^attributes | tail -1"),
			    "  value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt\n");
	char hex[HEX_TEXT_SIZE(TPM2_NAME_SIZE) + 1];
	hex_encode(SPAN(made, sizeof(made)), hex);
	assert_string_equal(swtpm_tool(s, "xxd -p -c34 name"), strcat(hex, "\n"));
}

/* Somebody else makes the key between our look and our own attempt. */
static bool already_there(struct swtpm *s, const struct message *command, struct message *response)
{
	swtpm_execute(s, command, response);
	message_set_code(response, TPM2_RC_NV_DEFINED);
	return true;
}

static void test_srk_made_twice_at_once(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t name[TPM2_NAME_SIZE];

	wire_fault(s, TPM2_CC_EvictControl, 1, already_there, NULL);
	assert_int_equal(tpm2_srk_make(t, name, NULL), ERR_OK);
	assert_int_equal(s->faults_left, 0);
}

#define FIXED   "fixedtpm|fixedparent"
#define STORAGE FIXED "|sensitivedataorigin|userwithauth|restricted|decrypt"

/* Keys that stand at the storage root key's handle, as options of tpm2_createprimary. */
static void test_srk_of_others(void **state)
{
	static const struct {
		const char *options;
		enum err err;
	} cases[] = {
		{ "-G ecc -a '" STORAGE "|noda'", ERR_OK },
		{ "-G ecc -a '" STORAGE "'", ERR_OK }, /* subject to dictionary attack lockout */
		{ "-G ecc", ERR_OK },
		{ "-G rsa2048", ERR_OK },
		{ "-G rsa2048 -a '" STORAGE "|noda'", ERR_OK },
		/* can be duplicated */
		{ "-G ecc -a 'sensitivedataorigin|userwithauth|restricted|decrypt'", ERR_TPM_SRK },
		{ "-G ecc -a '" STORAGE "|adminwithpolicy'", ERR_TPM_SRK },
		{ "-G ecc:null -a '" FIXED "|sensitivedataorigin|userwithauth|decrypt'", ERR_TPM_SRK },
		{ "-G ecc:ecdsa:null -a '" FIXED "|sensitivedataorigin|userwithauth|restricted|sign'", ERR_TPM_SRK },
		{ "-G ecc384", ERR_TPM_SRK },
		{ "-G ecc:aes256cfb", ERR_TPM_SRK },
		{ "-G rsa3072", ERR_TPM_SRK },
		{ "-G ecc -g sha384", ERR_TPM_SRK },
		{ "-G ecc -L policy", ERR_TPM_SRK },
	};
	struct swtpm *s = *state;
	_cleanup_secret_ struct secret *secret = new_secret();

	swtpm_tool(s, "printf %%032d 0 > policy");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tpm2_seal seal = { .secret = secret, .bank = TPM2_BANK_SHA256, .pcrs = PCR(7) };
		struct slot_tpm2 slot;
		struct err_ctx e = { 0 };

		swtpm_tool(s, "tpm2_createprimary -C o %s -c srk && tpm2_evictcontrol -C o -c srk 0x81000001 && "
			      "tpm2_flushcontext -t", cases[i].options);
		assert_int_equal(find_srk(s), cases[i].err);
		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
		wire_forget(s);
		expect(tpm2_seal(t, &seal, soon(), &slot, &e), cases[i].err, &e);
		/* the first use of a key without noDA gets RETRY from a TPM that has to write something down */
		assert_int_equal(wire_count(s, TPM2_CC_Create) > 0, cases[i].err == ERR_OK);
		if (!cases[i].err)
			assert_int_equal(unseal(s, &slot), ERR_OK);
		swtpm_tool(s, "tpm2_evictcontrol -C o -c 0x81000001");
	}
}

static void test_srk_exchanged(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	swtpm_tool(s, "tpm2_evictcontrol -C o -c 0x81000001 && printf x > unique && "
		      "tpm2_createprimary -C o -G rsa -u unique -c srk && tpm2_evictcontrol -C o -c srk 0x81000001 && "
		      "tpm2_flushcontext -t");
	assert_int_equal(unseal(s, &slot), ERR_TPM_NOT_MINE);
	assert_int_equal(wire_count(s, 0), 1);
}

static void test_owner_password(void **state)
{
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	uint8_t name[TPM2_NAME_SIZE];
	struct err_ctx e = { 0 };

	swtpm_tool(s, "tpm2_changeauth -c o secret");
	expect(tpm2_srk_make(t, name, &e), ERR_TPM_AUTH, &e);
	swtpm_tool(s, "tpm2_changeauth -c o -p secret");
	struct slot_tpm2 slot = a_slot(s);
	swtpm_tool(s, "tpm2_changeauth -c o secret");
	expect(tpm2_persist(t, &slot, 0x81010001, &e), ERR_TPM_AUTH, &e);
	assert_int_equal(unseal(s, &slot), ERR_OK);
}

/* Objects that are not what they should be */

/* Everything but the ReadPublic and, for what only the TPM can tell, the Load. */
static void refuse_object(struct swtpm *s, const struct slot_tpm2 *slot, const char *what, size_t at)
{
	enum err err = unseal(s, slot);

	if (err != ERR_TPM_OBJECT)
		fail_msg("%s, byte %zu: %s", what, at, err_info(err)->name);
	assert_int_equal(wire_count(s, TPM2_CC_StartAuthSession), 0);
}

static void test_truncated(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s);

	for (size_t i = 0; i < good.public_size; i++) {
		struct slot_tpm2 bad = good;

		bad.public_size = i;
		refuse_object(s, &bad, "shorter public area", i);
	}
	for (size_t i = 0; i < good.private_size; i++) {
		struct slot_tpm2 bad = good;

		bad.private_size = i;
		refuse_object(s, &bad, "shorter private area", i);
	}
	assert_int_equal(wire_count(s, TPM2_CC_Load), 0);
}

static void test_too_long(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s), bad = good;

	bad.public_size++;
	refuse_object(s, &bad, "longer public area", 0);
	bad = good;
	bad.private_size++;
	refuse_object(s, &bad, "longer private area", 0);
	bad = good;
	bad.public_size = TPM2_BLOB_MAX + 1;
	refuse_object(s, &bad, "public area beyond its bound", 0);
	bad = good;
	bad.private_size = TPM2_BLOB_MAX + 1;
	refuse_object(s, &bad, "private area beyond its bound", 0);
	assert_int_equal(wire_count(s, TPM2_CC_Load), 0);
}

static void test_flipped(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s);

	for (size_t i = 0; i < good.public_size; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct slot_tpm2 bad = good;

			bad.public[i] ^= 1 << bit;
			refuse_object(s, &bad, "public area", i);
		}
	for (size_t i = 0; i < good.private_size; i++) {
		struct slot_tpm2 bad = good;

		bad.private[i] ^= 1 << i % 8;
		refuse_object(s, &bad, "private area", i);
	}
	for (size_t i = 0; i < sizeof(good.policy); i++) {
		struct slot_tpm2 bad = good;

		bad.policy[i] ^= 1;
		refuse_object(s, &bad, "policy", i);
	}
}

/* What an attacker with tpm2-tools on this TPM would put into a slot. */
static void test_objects_of_others(void **state)
{
	static const struct {
		const char *options; /* of tpm2_create; the file policy has the slot's */
		unsigned loads;
	} cases[] = {
		{ "-a '" FIXED "|noda|userwithauth' -L policy -i key", 0 },
		{ "-a '" FIXED "' -L policy -i key", 0 },
		{ "-a 'noda' -L policy -i key", 0 }, /* can be duplicated */
		{ "-a '" FIXED "|noda|adminwithpolicy' -L policy -i key", 0 },
		{ "-a '" FIXED "|noda' -L zero -i key", 0 },
		{ "-a '" FIXED "|noda|userwithauth' -i key", 0 },
		{ "-a '" FIXED "|noda' -L policy -i shorter", 1 },
		{ "-G hmac -a '" FIXED "|noda|sign|sensitivedataorigin' -L policy", 0 },
		{ "-G ecc -a '" FIXED "|noda|sign|sensitivedataorigin' -L policy", 0 },
	};
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);
	char policy[HEX_TEXT_SIZE(TPM2_DIGEST_SIZE)];

	hex_encode(SPAN(slot.policy, sizeof(slot.policy)), policy);
	swtpm_tool(s, "echo %s | xxd -r -p > policy && head -c32 /dev/zero > zero && "
		      "printf %%032d 1 > key && printf %%031d 1 > shorter", policy);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		swtpm_tool(s, "tpm2_create -C 0x81000001 %s -u pub -r priv && tpm2_flushcontext -t", cases[i].options);
		slot.public_size = tool_file(s, "pub", slot.public, sizeof(slot.public));
		slot.private_size = tool_file(s, "priv", slot.private, sizeof(slot.private));
		wire_forget(s);
		enum err err = unseal(s, &slot);
		if (err != ERR_TPM_OBJECT)
			fail_msg("%s: %s", cases[i].options, err_info(err)->name);
		assert_int_equal(wire_count(s, TPM2_CC_Load), cases[i].loads);
	}
}

static void test_slot_that_contradicts_itself(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 good = a_slot(s), bad = good;

	bad.pcrs = 0;
	refuse_object(s, &bad, "no PCRs", 0);
	bad = good;
	bad.bank = TPM2_BANK_NONE;
	refuse_object(s, &bad, "no bank", 0);
	bad = good;
	bad.pcrs |= PCR(24);
	refuse_object(s, &bad, "PCR 24", 0);
	bad = good;
	memset(bad.policy, 0, sizeof(bad.policy));
	refuse_object(s, &bad, "no policy", 0);
	/* consistent, but another policy than the object's */
	bad = good;
	bad.pcrs = PCR(0);
	assert_int_equal(unseal(s, &bad), ERR_TPM_POLICY);
	assert_int_equal(wire_count(s, TPM2_CC_Unseal), 0);
}

static void test_lockout(void **state)
{
	struct swtpm *s = *state;

	/* objects and keys of ours have noDA; the SRK of tpm2-tools has not */
	swtpm_tool(s, "tpm2_createprimary -C o -G ecc -c srk && tpm2_evictcontrol -C o -c srk 0x81000001 && "
		      "tpm2_flushcontext -t && tpm2_dictionarylockout -s -n 1 -t 1000 -l 1000");
	struct slot_tpm2 slot = a_slot(s);
	swtpm_tool(s, "echo x > data && tpm2_create -C 0x81000001 -p right -i data -u pub -r priv -c object && "
		      "! tpm2_unseal -c object -p wrong && tpm2_flushcontext -t");
	assert_int_equal(unseal(s, &slot), ERR_TPM_LOCKOUT);
	assert_int_equal(wire_count(s, TPM2_CC_Load), 1);
	swtpm_tool(s, "tpm2_dictionarylockout -c");
	assert_int_equal(unseal(s, &slot), ERR_OK);
}

/* A TPM that is busy, broken, or not alone on the wire */

/* Another key's public area under the right Name: ESYS would encrypt the salt to whoever is on the way. */
static void exchange_public(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->bytes[60] ^= 1; /* in the point's x */
}

static void test_interposer_exchanges_the_key(void **state)
{
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	wire_fault(s, TPM2_CC_ReadPublic, 1, NULL, exchange_public);
	assert_int_equal(unseal(s, &slot), ERR_TPM_SRK);
	assert_int_equal(wire_count(s, 0), 1);
}

static void say_shorter(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->size++;
}

static void say_huge(struct swtpm *s, const struct message *command, struct message *response)
{
	(void)s;
	(void)command;
	response->size = sizeof(response->bytes);
	response->bytes[2] = 0xff;
}

static void test_interposer_changes_responses(void **state)
{
	static const struct {
		TPM2_CC at;
		after_fn *after;
		enum err err;
	} cases[] = {
		{ TPM2_CC_Unseal, flip_last, ERR_TPM_FAILED },
		{ TPM2_CC_Unseal, flip_secret, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyGetDigest, flip_last, ERR_TPM_POLICY },
		{ TPM2_CC_Load, flip_secret, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyPCR, say_shorter, ERR_TPM_FAILED },
		{ TPM2_CC_PolicyPCR, say_huge, ERR_TPM_FAILED },
	};
	struct swtpm *s = *state;
	struct slot_tpm2 slot = a_slot(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wire_fault(s, cases[i].at, 1, NULL, cases[i].after);
		assert_int_equal(unseal(s, &slot), cases[i].err);
		swtpm_flush(s);
	}
}

/* Persistent handles */

static void tools_unseal(struct swtpm *s, const char *auth, const struct secret *secret)
{
	char hex[HEX_TEXT_SIZE(KEY_SIZE) + 1];

	hex_encode(SPAN(secret_data(secret), KEY_SIZE), hex);
	strcat(hex, "\n");
	assert_string_equal(swtpm_tool(s, "tpm2_unseal -c 0x81010001 -p %s | xxd -p -c32", auth), hex);
}

static void test_stock_tools_open_a_persistent_object(void **state)
{
	static const struct {
		uint32_t pcrs;
		const char *auth;
	} cases[] = { { PCR(7), "pcr:sha256:7" }, { PCR(0) | PCR(7), "pcr:sha256:0,7" }, { 0, "session:policy" } };
	struct swtpm *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
		_cleanup_secret_ struct secret *secret = new_secret();
		struct slot_tpm2 slot;
		struct err_ctx e = { 0 };

		seal_to(s, secret, cases[i].pcrs, &slot);
		expect(tpm2_persist(t, &slot, 0x81010001, &e), ERR_OK, &e);
		swtpm_tool(s, "tpm2_startauthsession --policy-session -S policy");
		tools_unseal(s, cases[i].auth, secret);
		swtpm_tool(s, "tpm2_flushcontext policy");
		assert_int_equal(unseal(s, &slot), ERR_OK);
		expect(tpm2_evict(t, &slot, 0x81010001, &e), ERR_OK, &e);
		assert_string_equal(swtpm_tool(s, "tpm2_getcap handles-persistent"), "- 0x81000001\n");
	}
}

static void test_handles(void **state)
{
	static const uint32_t out_of_range[] = { 0,          0x80000000, 0x81000000, 0x81000001,
						 0x810000ff, 0x81800000, 0x40000001 };
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct slot_tpm2 slot = a_slot(s);
	struct err_ctx e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(out_of_range); i++) {
		expect(tpm2_persist(t, &slot, out_of_range[i], &e), ERR_USAGE, &e);
		expect(tpm2_evict(t, &slot, out_of_range[i], &e), ERR_USAGE, &e);
	}
	assert_int_equal(wire_count(s, 0), 0);
	expect(tpm2_evict(t, &slot, 0x81000100, &e), ERR_OK, &e); /* nothing there */
	expect(tpm2_persist(t, &slot, 0x81000100, &e), ERR_OK, &e);
	expect(tpm2_persist(t, &slot, 0x81000100, &e), ERR_OK, &e); /* the same is there already */
	expect(tpm2_check_handle(t, 0x81000100, &e), ERR_TPM_HANDLE_TAKEN, &e);
	expect(tpm2_persist(t, &slot, 0x817fffff, &e), ERR_OK, &e);
	expect(tpm2_evict(t, &slot, 0x81000100, &e), ERR_OK, &e);
	expect(tpm2_evict(t, &slot, 0x817fffff, &e), ERR_OK, &e);
}

static void test_handles_of_others(void **state)
{
	static const char *const others[] = {
		"tpm2_createprimary -C o -G ecc -c key",
		"tpm2_createprimary -C o -G ecc -L policy -c key",
		"tpm2_create -C 0x81000001 -L policy -a '" FIXED "' -i policy -u pub -r priv -c key",
	};
	struct swtpm *s = *state;
	_cleanup_(tpm2_closep) struct tpm2 *t = open_tpm(s);
	struct slot_tpm2 slot = a_slot(s);
	struct err_ctx e = { 0 };

	swtpm_tool(s, "printf %%032d 1 > policy");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		swtpm_tool(s, "%s && tpm2_evictcontrol -C o -c key 0x81010001 && tpm2_flushcontext -t", others[i]);
		expect(tpm2_persist(t, &slot, 0x81010001, &e), ERR_TPM_HANDLE_TAKEN, &e);
		expect(tpm2_evict(t, &slot, 0x81010001, &e), ERR_TPM_HANDLE_TAKEN, &e);
		swtpm_tool(s, "tpm2_evictcontrol -C o -c 0x81010001");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TPM_TEST(test_seal_unseal),
		TPM_TEST(test_unseal_again),
		TPM_TEST(test_seal_is_fresh),
		TPM_TEST(test_nothing_readable_on_the_wire),
		TPM_TEST(test_sessions_are_salted),
		TPM_TEST(test_seal_refuses),
		TPM_TEST(test_not_mine_costs_one_command),
		TPM_TEST(test_other_tpm),
		TPM_TEST(test_cleared),
		TPM_TEST(test_srk_made_once),
		TPM_TEST(test_srk_made_twice_at_once),
		TPM_TEST(test_srk_of_others),
		TPM_TEST(test_srk_exchanged),
		TPM_TEST(test_owner_password),
		TPM_TEST(test_truncated),
		TPM_TEST(test_too_long),
		TPM_TEST(test_flipped),
		TPM_TEST(test_objects_of_others),
		TPM_TEST(test_slot_that_contradicts_itself),
		TPM_TEST(test_lockout),
		TPM_TEST(test_interposer_exchanges_the_key),
		TPM_TEST(test_interposer_changes_responses),
		TPM_TEST(test_stock_tools_open_a_persistent_object),
		TPM_TEST(test_handles),
		TPM_TEST(test_handles_of_others),
	};

	tpm2_tests_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
