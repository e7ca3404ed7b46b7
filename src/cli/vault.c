/* SPDX-License-Identifier: MIT */
/* zseal vault setup, status, login-test, enroll: what has to be so in Vault, and what is. */
#include <string.h>

#include "cli/output.h"
#include "cli/vault-admin.h"
#include "cli/vault-grants.h"
#include "crypto/certificate.h"
#include "event/event.h"
#include "protector/vault.h"
#include "sys/credstore.h"
#include "sys/descriptor.h"
#include "sys/file.h"
#include "sys/process.h"
#include "vault/setup.h"

/* Set-up makes a dozen requests, which may take three times what a slot may with its two. */
enum { SETUP_SLOTS = 3, CREDENTIAL_TIMEOUT_MS = 60000, TTL_MAX_S = 10 * 366 * 86400, CERTIFICATE_MAX = 64 << 10 };

struct work {
	const struct invocation *inv;
	struct session session;
	struct vault *vault; /* an administrator's */
	char node[VAULT_WORD_SIZE], key[VAULT_WORD_SIZE];
	bool other_node;
	struct grants grants; /* the pool's slots */
	size_t n_grants;      /* how many of them the node may open: all, or none */
	json_t *steps; /* for programs */
	struct certificate certificate; /* that the node shows, or its authority's */
};

static void work_clear(struct work *w)
{
	json_decref(w->steps);
	certificate_clear(&w->certificate);
	vault_close(w->vault);
	grants_clear(&w->grants);
	session_clear(&w->session);
}
DEFINE_CLEANUP(struct work *, work_clear)

static enum err begin(struct work *w, const struct invocation *inv, const char *what, struct err_ctx *e)
{
	enum err err = process_require_root(e, what);

	w->inv = inv;
	if (!err)
		err = session_begin(&w->session, inv, e);
	vault_node_name(&w->session.config.vault, w->node);
	return err;
}

/* A request that an administrator is ready to wait longer for gets that. */
static struct deadline patience(const struct vault_settings *s)
{
	uint64_t whole_ms = SETUP_SLOTS * s->timeout_ms;

	return deadline_in(s->request_timeout_ms > whole_ms ? s->request_timeout_ms : whole_ms);
}

static enum err begin_admin(struct work *w, struct err_ctx *e)
{
	enum err err = vault_admin_get(w->inv, &w->session, e);

	if (!err && !w->session.vault_token)
		err = err_set(e, ERR_VAULT_TOKEN, "asking as an administrator");
	if (!err)
		err = vault_open(&w->session.vault_admin, &w->vault, e);
	if (!err)
		err = vault_set_token(w->vault, w->session.vault_token, e);
	if (!err)
		vault_set_deadline(w->vault, patience(&w->session.vault_admin));
	return err;
}

/* ---- set-up ---- */

static enum err choose_names(struct work *w, struct err_ctx *e)
{
	const char *node = invocation_value(w->inv, "node"), *key = invocation_value(w->inv, "transit-key");

	if (node && !vault_word_is_valid(node))
		return err_set(e, ERR_USAGE, "--node takes 1 to 63 of A-Z a-z 0-9 _ -, not '%.64s'", node);
	w->other_node = node && !str_equal(node, w->node);
	if (node)
		snprintf(w->node, sizeof(w->node), "%s", node);
	int n = key ? snprintf(w->key, sizeof(w->key), "%s", key)
		    : snprintf(w->key, sizeof(w->key), "zfs-wrapper-%s", w->inv->arguments[0]);
	if (n >= (int)sizeof(w->key) || !vault_word_is_valid(w->key))
		return err_set(e, ERR_USAGE,
			       "a Transit key has 1 to 63 of A-Z a-z 0-9 _ -: choose one with --transit-key");
	return ERR_OK;
}

/*
 * A node's policy names what the node hosts: the slots of the pool, where it is imported; another node's only if that
 * is asked for, since it opens them from then on. A pool that is not here has none yet.
 */
static enum err choose_grants(struct work *w, struct err_ctx *e)
{
	bool asked = invocation_has(w->inv, "allow-slots");
	struct err_ctx own = { 0 };
	enum err err;

	w->grants = (struct grants){ .session = &w->session, .key = w->key, .node = w->node };
	err = grants_collect(&w->grants, w->inv->arguments[0], &own);
	if (err && asked) {
		*e = own;
		return err;
	}
	w->n_grants = asked || !w->other_node ? w->grants.n : 0;
	return ERR_OK;
}

static const char *const step_words[] = { "is there", "made", "would be made", "DIFFERS, and is left as it is" };
static const char *const step_names[] = { "there", "made", "would", "differs" };

static void tell_step(void *arg, const struct vault_step *step)
{
	struct work *w = arg;

	if (w->inv->json) {
		json_array_append_new(w->steps, json_pack("{s:s, s:s, s:s?, s:s?, s:s?}", "what", step->what, "state",
							  step_names[step->state], "method", step->method, "path",
							  step->path, "body", step->body));
		return;
	}
	printf("%s: %s\n", step->what, step_words[step->state]);
	if (step->state == STEP_WOULD)
		printf("  %s /v1/%s\n  %s\n", step->method, step->path, step->body);
}

static enum err read_ttl(const struct work *w, const char *option, unsigned fallback, unsigned *ret, struct err_ctx *e)
{
	long seconds = 0;
	enum err err = invocation_number(w->inv, option, TTL_MAX_S, (long)fallback, &seconds, e);

	*ret = (unsigned)seconds;
	return err;
}

static bool cidrs_are_valid(const char *text)
{
	return *text && text[strspn(text, "0123456789abcdefABCDEF:./,")] == '\0' && strlen(text) < 1024;
}

static enum err print_policies(struct work *w, struct err_ctx *e)
{
	const struct vault_settings *s = &w->session.config.vault;
	_cleanup_(json_decrefp) json_t *admin = NULL, *node = vault_policy_new();
	_cleanup_free_ char *admin_text = NULL, *node_text = NULL;
	const struct vault_grants grants = { w->key, w->n_grants, w->grants.list };
	char role[VAULT_ROLE_SIZE];
	bool changed;
	enum err err = node ? vault_policy_admin(s, &admin, e) : err_set(e, ERR_NO_MEMORY, "room for a policy");

	vault_role_name(w->node, role);
	if (!err)
		err = vault_policy_grant(node, s, &grants, &changed, e);
	if (!err && invocation_has(w->inv, "renewable"))
		err = vault_policy_allow_renewal(node, s, role, &changed, e);
	if (!err)
		err = vault_policy_hcl(node, &node_text, e);
	if (!err)
		err = vault_policy_hcl(admin, &admin_text, e);
	if (!err)
		printf("# policy zseal-%s\n%s\n# policy zseal-admin\n%s", w->node, node_text, admin_text);
	return err;
}

/* ---- how the node logs in ---- */

static bool names_are_valid(const char *text)
{
	return *text && *text != ',' && strlen(text) < 1024 &&
	       text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.*_@-,")] == '\0';
}

/* Without a name, every machine that has a certificate of this authority could say that it is this node. */
static enum err read_certificate(struct work *w, struct vault_setup *s, struct err_ctx *e)
{
	const char *path = invocation_value(w->inv, "certificate"), *names = invocation_value(w->inv, "cert-name");
	_cleanup_free_ char *text = NULL;

	if (!path)
		return err_set(e, ERR_USAGE, "--login cert needs the node's certificate: --certificate FILE");
	if (names && !names_are_valid(names))
		return err_set(e, ERR_USAGE, "--cert-name takes names such as a.example, with commas between them");
	enum err err = file_read(path, CERTIFICATE_MAX, &text, e);
	if (err)
		return err_wrap(e, err, "--certificate");
	if (!certificate_parse(text, &w->certificate))
		return err_set(e, ERR_USAGE, "--certificate: there is no certificate in PEM in %s", path);
	if (w->certificate.signs && !names)
		return err_set(e, ERR_USAGE, "%s is an authority's, which signs many: --cert-name says which one "
			       "is node %s's", path, w->node);
	s->certificate = w->certificate.pem;
	s->certificate_names = names;
	return ERR_OK;
}

static enum err choose_login(struct work *w, struct vault_setup *s, struct err_ctx *e)
{
	const char *login = invocation_value(w->inv, "login");
	bool has_certificate = invocation_has(w->inv, "certificate") || invocation_has(w->inv, "cert-name");

	s->login = !login ? w->session.config.vault.login : str_equal(login, "cert") ? VAULT_LOGIN_CERT
										      : VAULT_LOGIN_APPROLE;
	s->renewable = invocation_has(w->inv, "renewable");
	if (login && !str_equal(login, "cert") && !str_equal(login, "approle"))
		return err_set(e, ERR_USAGE, "--login takes approle or cert, not '%.64s'", login);
	if (s->login == VAULT_LOGIN_CERT && s->renewable)
		return err_set(e, ERR_USAGE, "--renewable is for the secret_ids of --login approle");
	if (s->login == VAULT_LOGIN_CERT)
		return read_certificate(w, s, e);
	return has_certificate ? err_set(e, ERR_USAGE, "--certificate and --cert-name are for --login cert")
			       : ERR_OK;
}

static void print_next_certificate(const struct work *w)
{
	printf("\nnext, on node %s, in zseal.conf, with the files that are its own:\n"
	       "  [vault]\n  login = cert\n  client-cert = /etc/zseal/vault-client.pem\n"
	       "  client-key = /etc/zseal/vault-client.key\n"
	       "then there: zseal vault login-test\n", w->node);
}

static void print_next(const struct work *w, const struct vault_setup *s)
{
	const char *namespace = s->settings->namespace, *flag = *namespace ? " -namespace=" : "";

	if (w->grants.n > w->n_grants)
		printf("\nthe vault slots of %s (%zu) were not added to what node %s may open; --allow-slots adds them\n",
		       w->inv->arguments[0], w->grants.n, w->node);
	if (s->knows_audit && !s->has_audit)
		printf("\nVault keeps no audit. OpenBao takes an audit device from its configuration alone; in each "
		       "server's:\n"
		       "  audit \"file\" \"zseal\" {\n    options { file_path = \"/var/log/openbao/audit.log\" }\n  "
		       "}\n");
	if (s->login == VAULT_LOGIN_CERT)
		return print_next_certificate(w);
	printf("\nnext, here: a secret_id, wrapped so that only one can take it out\n"
	       "  bao write%s%s -wrap-ttl=300s -field=wrapping_token -f auth/%s/role/zseal-%s/secret-id\n"
	       "  bao read%s%s -field=role_id auth/%s/role/zseal-%s/role-id\n"
	       "and on node %s: zseal vault enroll --role-id ROLE_ID --wrapped-token-fd 3 3<FILE\n",
	       flag, namespace, s->settings->approle_mount, w->node, flag, namespace, s->settings->approle_mount, w->node,
	       w->node);
}

static enum err do_setup(struct work *w, struct err_ctx *e)
{
	struct vault_setup s = {
		.settings = &w->session.vault_admin,
		.node = w->node,
		.key = w->key,
		.cidrs = invocation_value(w->inv, "cidr"),
		.mounts = invocation_has(w->inv, "mounts"),
		.dry_run = w->inv->dry_run,
		.n_grants = w->n_grants,
		.grants = w->grants.list,
		.tell = tell_step,
		.arg = w,
	};
	enum err err = read_ttl(w, "token-ttl", 300, &s.token_ttl_s, e);

	if (!err)
		err = read_ttl(w, "secret-id-ttl", 0, &s.secret_id_ttl_s, e);
	if (!err)
		err = choose_login(w, &s, e);
	if (!err && s.cidrs && !cidrs_are_valid(s.cidrs))
		err = err_set(e, ERR_USAGE, "--cidr takes networks such as 192.0.2.0/24, with commas between them");
	if (!err)
		err = begin_admin(w, e);
	s.vault = w->vault;
	if (!err)
		err = vault_setup(&s, e);
	if (err)
		return err;
	if (w->inv->json)
		return output_json(json_pack("{s:s, s:s, s:I, s:I, s:O, s:o, s:b}", "node", w->node, "key", w->key,
					     "slots", (json_int_t)w->n_grants, "slots_left_out",
					     (json_int_t)(w->grants.n - w->n_grants), "steps", w->steps, "audited",
					     s.knows_audit ? json_boolean(s.has_audit) : json_null(), "dry_run", w->inv->dry_run),
				   e);
	print_next(w, &s);
	return ERR_OK;
}

static enum err run_setup(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ .steps = json_array() };
	enum err err = begin(w, inv, "setting Vault up", e);

	if (!err)
		err = choose_names(w, e);
	if (!err)
		err = choose_grants(w, e);
	if (!err && invocation_has(inv, "print-policy"))
		return print_policies(w, e);
	return err ? err : err_wrap(e, do_setup(w, e), "vault setup");
}

/* ---- status ---- */

static json_t *health_json(const struct vault_health *h)
{
	json_t *j = json_pack("{s:s, s:s, s:s}", "address", h->address, "state",
			      h->error.code ? err_info(h->error.code)->name
			      : h->standby  ? "standby"
					    : "active",
			      "version", h->version);

	if (h->error.code)
		json_object_set_new(j, "error", output_error_json(&h->error));
	return j;
}

static void print_health(const struct vault_health *h)
{
	printf("%s: %s%s%s\n", h->address,
	       h->error.code ? err_info(h->error.code)->sentence
	       : h->standby  ? "standby"
			     : "active",
	       *h->version ? ", version " : "", output_printable(h->version).text);
	if (h->error.code)
		output_reason(NULL, &h->error);
}

static const char *const login_names[] = { [VAULT_LOGIN_APPROLE] = "approle", [VAULT_LOGIN_CERT] = "cert" };

static json_t *login_json(const struct vault_settings *s)
{
	json_t *j = json_pack("{s:s}", "by", login_names[s->login]);
	struct vault_lifetime l;
	struct err_ctx e = { 0 };

	vault_lifetime_get(s, &l);
	if (l.known)
		json_object_set_new(j, "ends", l.ends ? json_integer((json_int_t)l.ends) : json_null());
	if (vault_lifetime_check(s, &e))
		json_object_set_new(j, "warning", output_error_json(&e));
	return j;
}

static void print_login(const struct vault_settings *s)
{
	const char *what = s->login == VAULT_LOGIN_CERT ? "certificate" : "secret_id";
	char date[VAULT_LIFETIME_SIZE];
	struct vault_lifetime l;
	struct err_ctx e = { 0 };

	vault_lifetime_get(s, &l);
	vault_lifetime_print(l.ends, date);
	printf("this machine logs in by %s, which %s%s\n", what,
	       !l.known  ? "ends when nobody here knows"
	       : !l.ends ? "does not end"
			 : "ends on ",
	       l.known && l.ends ? date : "");
	if (vault_lifetime_check(s, &e))
		output_warning(NULL, &e);
}

/* One that serves is enough; a standby serves as long as there is a leader. */
static enum err judge_health(const struct vault_health *all, unsigned n, struct err_ctx *e)
{
	for (unsigned i = 0; i < n; i++)
		if (!all[i].error.code)
			return ERR_OK;
	*e = all[0].error;
	e->depth = 0; /* its line has told why */
	return e->code;
}

static enum err do_status(struct work *w, struct err_ctx *e)
{
	const struct vault_settings *s = &w->session.config.vault;
	struct vault_health all[VAULT_ADDRESSES_MAX] = { 0 };
	json_t *list = NULL;
	enum err err = vault_open(s, &w->vault, e), printed = ERR_OK;

	if (!err) {
		vault_set_deadline(w->vault, deadline_in(s->request_timeout_ms));
		err = vault_survey(w->vault, all, e);
	}
	if (err)
		return err;
	list = w->inv->json ? json_array() : NULL;
	for (unsigned i = 0; i < s->n_addresses; i++) {
		if (w->inv->json)
			json_array_append_new(list, health_json(&all[i]));
		else
			print_health(&all[i]);
	}
	if (w->inv->json)
		printed = output_json(json_pack("{s:s, s:s, s:o, s:o}", "cluster", s->cluster, "node", w->node, "login",
						login_json(s), "servers", list), e);
	else
		print_login(s);
	return printed ? printed : judge_health(all, s->n_addresses, e);
}

static enum err run_status(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = begin(w, inv, "asking Vault", e);

	return err ? err : do_status(w, e);
}

/* ---- login-test ---- */

static enum err test_login(struct work *w, struct err_ctx *e)
{
	struct vault_login_info info;
	struct vault *v;
	enum err err =
		protector_vault_node(&w->session.context, deadline_in(w->session.config.vault.timeout_ms), &v, e);

	if (err)
		return err;
	info = vault_login_info(v);
	if (w->inv->json)
		return output_json(json_pack("{s:s, s:s, s:s, s:I}", "node", w->node, "address", info.address, "token",
					     info.batch ? "batch" : "service", "ttl_s", (json_int_t)info.ttl_s),
				   e);
	printf("logged in at %s as zseal-%s: a %s token for %llu s\n", info.address, w->node,
	       info.batch ? "batch" : "service", (unsigned long long)info.ttl_s);
	return ERR_OK;
}

static enum err run_login_test(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	enum err err = begin(w, inv, "logging in", e);

	return err ? err : err_wrap(e, test_login(w, e), "vault login-test");
}

/* ---- enroll ---- */

static enum err store(const char *name, const struct secret *s, bool *ret_host_only, struct err_ctx *e)
{
	return credstore_keep(name, s, deadline_in(CREDENTIAL_TIMEOUT_MS), ret_host_only, e);
}

static enum err unwrap(struct work *w, struct vault_secret_id *ret, struct err_ctx *e)
{
	_cleanup_secret_ struct secret *wrapped = NULL;
	char role[VAULT_ROLE_SIZE];
	long fd = -1;
	enum err err = invocation_number(w->inv, "wrapped-token-fd", INT32_MAX, -1, &fd, e);

	if (!err && fd < 0)
		err = err_set(e, ERR_USAGE, "--wrapped-token-fd says where the wrapping token comes from");
	if (!err)
		err = descriptor_check_source((int)fd, e);
	if (!err)
		err = descriptor_read((int)fd, &wrapped, e);
	if (!err)
		err = vault_open(&w->session.config.vault, &w->vault, e);
	if (err)
		return err;
	vault_role_name(w->node, role);
	vault_set_deadline(w->vault, patience(&w->session.config.vault));
	return vault_secret_id_unwrap(w->vault, wrapped, role, ret, e);
}

static enum err store_role_id(const struct work *w, bool *ret_host_only, struct err_ctx *e)
{
	const char *role_id = invocation_value(w->inv, "role-id");
	_cleanup_secret_ struct secret *s = NULL;

	if (!role_id)
		return credstore_check(w->session.config.vault.role_id, e);
	if (!*role_id || strlen(role_id) > 256)
		return err_set(e, ERR_USAGE, "--role-id takes what bao read -field=role_id prints");
	enum err err = secret_new_copy(role_id, strlen(role_id), &s, e);
	return err ? err : store(w->session.config.vault.role_id, s, ret_host_only, e);
}

/* The role_id first: the wrapping token can be used once, and what goes wrong before costs none. */
static enum err enroll(struct work *w, bool *ret_host_only, struct err_ctx *e)
{
	const struct vault_settings *s = &w->session.config.vault;
	_cleanup_(vault_secret_id_clearp) struct vault_secret_id *secret_id = &(struct vault_secret_id){ 0 };
	enum err err = store_role_id(w, ret_host_only, e);

	if (!err)
		err = unwrap(w, secret_id, e);
	if (!err)
		err = store(s->secret_id, secret_id->text, ret_host_only, e);
	return err ? err : vault_lifetime_remember(s, secret_id->made, secret_id->ttl_s, e);
}

static enum err run_enroll(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(work_clearp) struct work *w = &(struct work){ 0 };
	bool host_only = false;
	enum err err = begin(w, inv, "enrolling this machine", e);

	if (!err && w->session.config.vault.login == VAULT_LOGIN_CERT)
		err = err_set(e, ERR_USAGE, "there is nothing to enroll: [vault] login is cert in zseal.conf; "
					    "zseal vault login-test tries it");
	if (!err)
		err = enroll(w, &host_only, e);
	if (err)
		return err_wrap(e, err, "vault enroll");
	if (host_only)
		output_host_only();
	if (!inv->json)
		printf("role_id and secret_id are kept in " CREDSTORE_ENCRYPTED ", encrypted to this machine\n");
	return err_wrap(e, test_login(w, e), "vault enroll");
}

/* ---- the verbs ---- */

static const struct option_spec setup_options[] = {
	{ "node", 0, "NAME", "the node that policy and AppRole are for (this machine)", false },
	{ "transit-key", 0, "KEY", "the Transit key (zfs-wrapper-POOL)", false },
	{ "allow-slots", 0, NULL, "let another node open the vault slots that POOL has here now, too", false },
	{ "mounts", 0, NULL, "enable transit and approle where they are missing", false },
	{ "cidr", 0, "NETWORKS", "from where the node may log in, such as 192.0.2.0/24,2001:db8::/64", false },
	{ "login", 0, "HOW", "approle, or cert: by a certificate (what zseal.conf says)", false },
	{ "certificate", 0, "FILE", "for cert: the node's certificate, or its authority's, in PEM", false },
	{ "cert-name", 0, "NAMES", "for cert: the node's certificate has one of these names, in which * is any", false },
	{ "renewable", 0, NULL, "let the node make its own next secret_id (zseal vault renew)", false },
	{ "token-ttl", 0, "SECONDS", "how long a login lasts (300)", false },
	{ "secret-id-ttl", 0, "SECONDS", "how long a secret_id lasts (0: until it is revoked)", false },
	{ "print-policy", 0, NULL, "print the policies as HCL, for Terraform and its like, and ask nobody", false },
	OPTIONS_VAULT_ADMIN,
	{ 0 },
};

static const struct option_spec enroll_options[] = {
	{ "wrapped-token-fd", 0, "N", "read the token that wraps the secret_id from file descriptor N", false },
	{ "role-id", 0, "ID", "the role_id, if it is not kept here yet", false },
	{ 0 },
};

const struct verb verb_vault_setup = {
	.name = "vault setup",
	.arguments = "POOL",
	.summary = "Make Vault's key, policies and a node's login for the slots of POOL",
	.details = "With an administrator's token (BAO_TOKEN, VAULT_TOKEN, or --vault-token-fd). Looks first, and "
		   "writes only\n"
		   "what is not as it should be; --dry-run prints every request that it would make.",
	.options = setup_options,
	.lists = true,
	.changes = true,
	.min_arguments = 1,
	.max_arguments = 1,
	.run = run_setup,
};

const struct verb verb_vault_status = {
	.name = "vault status",
	.arguments = "",
	.summary = "Ask each of Vault's servers how it is, without logging in",
	.lists = true,
	.run = run_status,
};

const struct verb verb_vault_login_test = {
	.name = "vault login-test",
	.arguments = "",
	.summary = "Log this machine in to Vault, as an unlock would",
	.lists = true,
	.run = run_login_test,
};

const struct verb verb_vault_enroll = {
	.name = "vault enroll",
	.arguments = "",
	.summary = "Take this machine's secret_id out of a wrapping token, encrypt it, and log in with it",
	.details =
		"The token is looked at first: one that did not come from this machine's role, or was used before, is\n"
		"refused. What it held is kept in " CREDSTORE_ENCRYPTED ", encrypted to host and TPM.",
	.options = enroll_options,
	.lists = true,
	.run = run_enroll,
};
