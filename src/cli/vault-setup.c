/* SPDX-License-Identifier: MIT */
/* zseal vault setup: what has to be so in Vault. */
#include <string.h>

#include "cli/output.h"
#include "cli/vault-grants.h"
#include "cli/vault-work.h"
#include "crypto/certificate.h"
#include "sys/file.h"
#include "vault/setup.h"

enum { TTL_MAX_S = 10 * 366 * 86400, CERTIFICATE_MAX = 64 << 10 };

struct setup {
	struct vault_work v; /* with an administrator's Vault */
	char key[VAULT_WORD_SIZE];
	bool other_node;
	struct grants grants;           /* the pool's slots */
	size_t n_grants;                /* how many of them the node may open: all, or none */
	json_t *steps;                  /* for programs */
	struct certificate certificate; /* that the node shows, or its authority's */
};

static void setup_clear(struct setup *w)
{
	json_decref(w->steps);
	certificate_clear(&w->certificate);
	grants_clear(&w->grants);
	vault_work_clear(&w->v);
}
DEFINE_CLEANUP(struct setup *, setup_clear)

static enum err begin_admin(struct setup *w, struct err_ctx *e)
{
	enum err err = vault_admin_get(w->v.inv, &w->v.session, e);

	if (!err && !w->v.session.vault_token)
		err = err_set(e, ERR_VAULT_TOKEN, "asking as an administrator");
	if (!err)
		err = vault_open(&w->v.session.vault_admin, &w->v.vault, e);
	if (!err)
		err = vault_set_token(w->v.vault, w->v.session.vault_token, e);
	if (!err)
		vault_set_deadline(w->v.vault, vault_work_patience(&w->v.session.vault_admin));
	return err;
}

static enum err choose_names(struct setup *w, struct err_ctx *e)
{
	const char *node = invocation_value(w->v.inv, "node"), *key = invocation_value(w->v.inv, "transit-key");

	if (node && !vault_word_is_valid(node))
		return err_set(e, ERR_USAGE, "--node takes 1 to 63 of A-Z a-z 0-9 _ -, not '%.64s'", node);
	w->other_node = node && !str_equal(node, w->v.node);
	if (node)
		snprintf(w->v.node, sizeof(w->v.node), "%s", node);
	int n = key ? snprintf(w->key, sizeof(w->key), "%s", key)
		    : snprintf(w->key, sizeof(w->key), "zfs-wrapper-%s", w->v.inv->arguments[0]);
	if (n >= (int)sizeof(w->key) || !vault_word_is_valid(w->key))
		return err_set(e, ERR_USAGE,
			       "a Transit key has 1 to 63 of A-Z a-z 0-9 _ -: choose one with --transit-key");
	return ERR_OK;
}

/*
 * A node's policy names what the node hosts: the slots of the pool, where it is imported; another node's only if that
 * is asked for, since it opens them from then on. A pool that is not here has none yet.
 */
static enum err choose_grants(struct setup *w, struct err_ctx *e)
{
	bool asked = invocation_has(w->v.inv, "allow-slots");
	struct err_ctx own = { 0 };
	enum err err;

	w->grants = (struct grants){ .session = &w->v.session, .key = w->key, .node = w->v.node };
	err = grants_collect(&w->grants, w->v.inv->arguments[0], &own);
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
	struct setup *w = arg;

	if (w->v.inv->json) {
		json_array_append_new(w->steps, json_pack("{s:s, s:s, s:s?, s:s?, s:s?}", "what", step->what, "state",
							  step_names[step->state], "method", step->method, "path",
							  step->path, "body", step->body));
		return;
	}
	printf("%s: %s\n", step->what, step_words[step->state]);
	if (step->state == STEP_WOULD)
		printf("  %s /v1/%s\n  %s\n", step->method, step->path, step->body);
}

static enum err read_ttl(const struct setup *w, const char *option, unsigned fallback, unsigned *ret, struct err_ctx *e)
{
	long seconds = 0;
	enum err err = invocation_number(w->v.inv, option, TTL_MAX_S, (long)fallback, &seconds, e);

	*ret = (unsigned)seconds;
	return err;
}

static bool cidrs_are_valid(const char *text)
{
	return *text && text[strspn(text, "0123456789abcdefABCDEF:./,")] == '\0' && strlen(text) < 1024;
}

static enum err print_policies(struct setup *w, struct err_ctx *e)
{
	const struct vault_settings *s = &w->v.session.config.vault;
	_cleanup_(json_decrefp) json_t *admin = NULL, *node = vault_policy_new();
	_cleanup_free_ char *admin_text = NULL, *node_text = NULL;
	const struct vault_grants grants = { w->key, w->n_grants, w->grants.list };
	char role[VAULT_ROLE_SIZE];
	bool changed;
	enum err err = node ? vault_policy_admin(s, &admin, e) : err_set(e, ERR_NO_MEMORY, "room for a policy");

	vault_role_name(w->v.node, role);
	if (!err)
		err = vault_policy_grant(node, s, &grants, &changed, e);
	if (!err && invocation_has(w->v.inv, "renewable"))
		err = vault_policy_allow_renewal(node, s, role, &changed, e);
	if (!err)
		err = vault_policy_hcl(node, &node_text, e);
	if (!err)
		err = vault_policy_hcl(admin, &admin_text, e);
	if (!err)
		printf("# policy zseal-%s\n%s\n# policy zseal-admin\n%s", w->v.node, node_text, admin_text);
	return err;
}

/* ---- how the node logs in ---- */

static bool names_are_valid(const char *text)
{
	return *text && *text != ',' && strlen(text) < 1024 &&
	       text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.*_@-,")] == '\0';
}

/* Without a name, every machine that has a certificate of this authority could say that it is this node. */
static enum err read_certificate(struct setup *w, struct vault_setup *s, struct err_ctx *e)
{
	const char *path = invocation_value(w->v.inv, "certificate"), *names = invocation_value(w->v.inv, "cert-name");
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
		return err_set(e, ERR_USAGE,
			       "%s is an authority's, which signs many: --cert-name says which one "
			       "is node %s's",
			       path, w->v.node);
	s->certificate = w->certificate.pem;
	s->certificate_names = names;
	return ERR_OK;
}

static enum err choose_login(struct setup *w, struct vault_setup *s, struct err_ctx *e)
{
	const char *login = invocation_value(w->v.inv, "login");
	bool has_certificate = invocation_has(w->v.inv, "certificate") || invocation_has(w->v.inv, "cert-name");

	s->login = !login                     ? w->v.session.config.vault.login
		   : str_equal(login, "cert") ? VAULT_LOGIN_CERT
					      : VAULT_LOGIN_APPROLE;
	s->renewable = invocation_has(w->v.inv, "renewable");
	if (login && !str_equal(login, "cert") && !str_equal(login, "approle"))
		return err_set(e, ERR_USAGE, "--login takes approle or cert, not '%.64s'", login);
	if (s->login == VAULT_LOGIN_CERT && s->renewable)
		return err_set(e, ERR_USAGE, "--renewable is for the secret_ids of --login approle");
	if (s->login == VAULT_LOGIN_CERT)
		return read_certificate(w, s, e);
	return has_certificate ? err_set(e, ERR_USAGE, "--certificate and --cert-name are for --login cert") : ERR_OK;
}

static void print_next_certificate(const struct setup *w)
{
	printf("\nnext, on node %s, in zseal.conf, with the files that are its own:\n"
	       "  [vault]\n  login = cert\n  client-cert = /etc/zseal/vault-client.pem\n"
	       "  client-key = /etc/zseal/vault-client.key\n"
	       "then there: zseal vault login-test\n",
	       w->v.node);
}

static void print_next(const struct setup *w, const struct vault_setup *s)
{
	const char *namespace = s->settings->namespace, *flag = *namespace ? " -namespace=" : "";

	if (w->grants.n > w->n_grants)
		printf("\nthe vault slots of %s (%zu) were not added to what node %s may open; --allow-slots adds "
		       "them\n",
		       w->v.inv->arguments[0], w->grants.n, w->v.node);
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
	       flag, namespace, s->settings->approle_mount, w->v.node, flag, namespace, s->settings->approle_mount,
	       w->v.node, w->v.node);
}

static enum err do_setup(struct setup *w, struct err_ctx *e)
{
	struct vault_setup s = {
		.settings = &w->v.session.vault_admin,
		.node = w->v.node,
		.key = w->key,
		.cidrs = invocation_value(w->v.inv, "cidr"),
		.mounts = invocation_has(w->v.inv, "mounts"),
		.dry_run = w->v.inv->dry_run,
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
	s.vault = w->v.vault;
	if (!err)
		err = vault_setup(&s, e);
	if (err)
		return err;
	if (w->v.inv->json)
		return output_json(json_pack("{s:s, s:s, s:I, s:I, s:O, s:o, s:b}", "node", w->v.node, "key", w->key,
					     "slots", (json_int_t)w->n_grants, "slots_left_out",
					     (json_int_t)(w->grants.n - w->n_grants), "steps", w->steps, "audited",
					     s.knows_audit ? json_boolean(s.has_audit) : json_null(), "dry_run",
					     w->v.inv->dry_run),
				   e);
	print_next(w, &s);
	return ERR_OK;
}

static enum err run_setup(const struct invocation *inv, struct err_ctx *e)
{
	_cleanup_(setup_clearp) struct setup *w = &(struct setup){ .steps = json_array() };
	enum err err = vault_work_begin(&w->v, inv, "setting Vault up", e);

	if (!err)
		err = choose_names(w, e);
	if (!err)
		err = choose_grants(w, e);
	if (!err && invocation_has(inv, "print-policy"))
		return print_policies(w, e);
	return err ? err : err_wrap(e, do_setup(w, e), "vault setup");
}

static const struct option_spec setup_options[] = {
	{ "node", 0, "NAME", "the node that policy and AppRole are for (this machine)", false },
	{ "transit-key", 0, "KEY", "the Transit key (zfs-wrapper-POOL)", false },
	{ "allow-slots", 0, NULL, "let another node open the vault slots that POOL has here now, too", false },
	{ "mounts", 0, NULL, "enable transit and approle where they are missing", false },
	{ "cidr", 0, "NETWORKS", "from where the node may log in, such as 192.0.2.0/24,2001:db8::/64", false },
	{ "login", 0, "HOW", "approle, or cert: by a certificate (what zseal.conf says)", false },
	{ "certificate", 0, "FILE", "for cert: the node's certificate, or its authority's, in PEM", false },
	{ "cert-name", 0, "NAMES", "for cert: the node's certificate has one of these names, in which * is any",
	  false },
	{ "renewable", 0, NULL, "let the node make its own next secret_id (zseal vault renew)", false },
	{ "token-ttl", 0, "SECONDS", "how long a login lasts (300)", false },
	{ "secret-id-ttl", 0, "SECONDS", "how long a secret_id lasts (0: until it is revoked)", false },
	{ "print-policy", 0, NULL, "print the policies as HCL, for Terraform and its like, and ask nobody", false },
	OPTIONS_VAULT_ADMIN,
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
