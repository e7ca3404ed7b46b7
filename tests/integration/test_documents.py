# SPDX-License-Identifier: MIT
"""What the documents say is done here, as it stands: the shell blocks of docs/without-zseal.md open pools, README's
sessions are what zseal prints, and the tests that docs/threat-model.md names for its claims exist.

Guarantees: blocks are run in the document's order, by a shell that finds only the programs that the document names.
"""
import base64
import hashlib
import json
import os
import re
import subprocess
import time
import uuid

import pytest

import canaries
import headers
import vaulting
from conftest import (ROOT, Dialogue, assert_done, assert_nothing_secret, assert_opens, assert_refused, create_pool,
                      is_locked, keep_recovery_key_secret, keep_secret, lock, one_zfs, pipe_with, run, zseal)
from steps import needs_strace
from transcript import masked

DOCUMENT = ROOT / "docs/without-zseal.md"
FOLDER = "/run/lab/tmp"

# The document's first sentence. Of coreutils, those that it uses.
TOOLS = """bash cat cut grep head jq mktemp openssl base64 rm sed sort tail tr xxd zfs zpool tpm2_flushcontext tpm2_load
           tpm2_policyauthvalue tpm2_policypcr tpm2_readpublic tpm2_startauthsession tpm2_unseal curl
           systemd-creds""".split()

BEGIN = ["1", "2"]
FROM_POOL, FROM_COPY, FROM_HISTORY = ["3.1", "3.4"], ["3.2", "3.4"], ["3.3", "3.4"]
TPM, HANDLE, PIN = ["4", "4.1", "4.1a", "4.1c"], ["4", "4.1", "4.1b", "4.1c"], ["4", "4.1", "4.1a", "4.1d"]
RECOVERY, PASSPHRASE = ["4.2"], ["4", "4.3"]
VAULT_LOGIN, VAULT_TOKEN = ["4", "4.4", "4.4a", "4.4c"], ["4", "4.4", "4.4b", "4.4c"]
OPEN, MAC, END = ["5"], ["5.1"], ["6", "7"]


def blocks(*sections):
    return subprocess.run([ROOT / "tools/document-blocks", DOCUMENT, *sections], check=True, capture_output=True,
                          text=True).stdout


def prepare(node, script):
    """Puts a script into the machine, beside the programs that it may use."""
    run(node, "bash", "-c", f'mkdir -p {FOLDER}/bin && for tool in {" ".join(TOOLS)}; do'
                            f' ln -sf "$(command -v "$tool")" {FOLDER}/bin/; done')
    run(node, "tee", f"{FOLDER}/steps", input=script)
    return ["env", f"PATH={FOLDER}/bin", "bash", "--norc", f"{FOLDER}/steps"]


def follow(node, *sections, typed="", root="tank", before=(), change=str):
    """Does what these sections say in a fresh shell; gives what it showed."""
    script = blocks(*sections).replace("\nroot=tank\n", f"\nroot={root}\n")
    argv = prepare(node, change(script))
    done = node.run([*before, *argv], input=typed)
    said = done.stdout + done.stderr
    assert_nothing_secret(node.world, "what the document's steps show", said)
    return said


def assert_opened(node, said, tank, root="tank"):
    assert not is_locked(node, root), said
    assert tank.fingerprint in said.splitlines(), said
    assert not re.search("WRONG|MISTYPED|not found|rror:", said), said


@pytest.fixture
def tank(node):
    """A pool with a slot of each type, exported."""
    made = create_pool(node, args=["--handle", "0x81010001"])
    run(node, "zpool", "export", "tank")
    return made


def lose_header(node):
    run(node, "zpool", "import", "-N", "tank")
    names = run(node, "zfs", "get", "-H", "-s", "local", "-o", "property", "all", "tank").split()
    for name in filter(lambda name: name.startswith("zseal:"), names):
        run(node, "zfs", "inherit", name, "tank")
    run(node, "zpool", "export", "tank")


# ---- without-zseal.md ----

@pytest.mark.parametrize("slot", [TPM, HANDLE, RECOVERY], ids=["tpm2", "handle", "recovery"])
def test_pool_opens_without_zseal(node, tank, slot):
    said = follow(node, *BEGIN, *FROM_POOL, *slot, *OPEN, *MAC, *END, typed=tank.recovery_key + "\n")
    assert_opened(node, said, tank)
    assert "the MAC is right" in said
    assert ("the right TPM" in said) == (slot != RECOVERY)
    assert not run(node, "sh", "-c", "ls -d /run/without-zseal.* 2>&1 || true").startswith("/run")


def test_pool_whose_header_is_lost_opens_from_its_copy_without_zseal(node, tank):
    lose_header(node)
    said = follow(node, *BEGIN, *FROM_COPY, *RECOVERY, *OPEN, *MAC, *END, typed=tank.recovery_key + "\n")
    assert_opened(node, said, tank)
    assert "the MAC is right" in said


def test_pool_whose_header_is_lost_opens_from_its_history_without_zseal(node, tank):
    """From the newest of those that it had: this one had two keyring keys."""
    run(node, "zpool", "import", "-N", "tank")
    header = headers.read(node)
    keys = {d: k[0] for d, k in headers.open_with(node, header, tank.recovery_key).wrapping_keys.items()}
    newer, recovery_key = headers.exchanged(node, header, keys)
    keep_recovery_key_secret(node.world, recovery_key)
    headers.write(node, newer)
    run(node, "zpool", "export", "tank")
    lose_header(node)
    said = follow(node, *BEGIN, *FROM_HISTORY, *RECOVERY, *OPEN, *END, typed=recovery_key + "\n")
    assert_opened(node, said, tank._replace(fingerprint=headers.fingerprint_of(newer)))


@one_zfs
def test_root_below_the_keyrings_dataset_opens_without_zseal(node):
    made = create_pool(node)
    headers.add_root(node, made, "tank/vm")
    run(node, "zpool", "export", "tank")
    said = follow(node, *BEGIN, *FROM_POOL, *RECOVERY, *OPEN, *END, typed=made.recovery_key + "\n", root="tank/vm")
    assert_opened(node, said, made, "tank/vm")
    assert is_locked(node, "tank")


@one_zfs
def test_slot_without_pcrs_opens_without_zseal(node):
    made = create_pool(node, args=["--pcrs", "none"])
    run(node, "zpool", "export", "tank")
    assert_opened(node, follow(node, *BEGIN, *FROM_POOL, *TPM, *OPEN, *END), made)


@one_zfs
def test_recovery_key_may_be_typed_as_people_type_without_zseal(node, tank):
    typed = " ".join(group.upper() for group in tank.recovery_key.split("-")) + "\n"
    assert_opened(node, follow(node, *BEGIN, *FROM_POOL, *RECOVERY, *OPEN, *END, typed=typed), tank)


# ---- slots that a person opens ----

LOG_N = 10


def stretch_of(salt):
    return {"salt": headers.second.b64(salt), "log_n": LOG_N, "r": 8, "p": 1}


def scrypt(typed, salt):
    return hashlib.scrypt(typed.encode(), salt=salt, n=1 << LOG_N, r=8, p=1, maxmem=1 << 26, dklen=32)


def add_slot(node, tank, name, kind, make):
    """Gives a pool a slot; make(derive) gives its `protect`, its secret, and what that was
    made of. Gives these secrets and the key of its wrap."""
    run(node, "zpool", "import", "-N", "tank")
    header = headers.read(node)
    key, epoch = headers.keyring_key(node, header, tank.recovery_key)
    own = str(uuid.uuid4())
    protect, secret, *others = make(lambda of, label: headers.second.derive(of, tank.keyring, label, own))
    ring = headers.second.Ring(tank.keyring, epoch, 1, [], 0, key)
    header.slots[name] = headers.second.dump(
        headers.second.Slot(name, own, kind, int(time.time()), protect, secret).json([ring]))
    headers.write(node, headers.sealed_again(node, header, tank.recovery_key))
    run(node, "zpool", "export", "tank")
    for one in (secret, *others):
        keep_secret(node.world, one)
    return secret, *others, headers.second.slot_kek(secret, tank.keyring, own)


SEAL = """cd {folder}; export TPM2TOOLS_TCTI=device:/dev/tpmrm0
tpm2_startauthsession -Q -S trial
tpm2_policypcr -Q -S trial -l sha256:7
tpm2_policyauthvalue -Q -S trial -L policy
tpm2_flushcontext trial
tpm2_create -Q -C 0x81000001 -a 'fixedtpm|fixedparent' -L policy -p hex:{auth} -i - -u pub -r priv
cat pub priv | base64 -w 0"""


def add_pin(node, tank, typed, auth_ends_in_zero=False):
    """To PCR 7 and a PIN; if wanted, with a salt for which the TPM's authorisation ends in a zero byte."""
    def make(derive):
        while True:
            salt = os.urandom(32)
            stretched = scrypt(typed, salt)
            auth = derive(stretched, b"pin-auth")
            if (auth[-1] == 0) == auth_ends_in_zero:
                break
        sealed = bytes(range(32))
        made = base64.b64decode(run(node, "bash", "-ec", SEAL.format(folder=FOLDER, auth=auth.rstrip(b"\0").hex()),
                                    input=sealed.decode("latin-1")))
        public = made[:2 + int.from_bytes(made[:2], "big")]
        srk = json.loads(headers.read(node).slots["tpm2-a"])["protect"]["srk"]
        protect = {"srk": srk, "public": headers.second.b64(public), "private": headers.second.b64(made[len(public):]),
                   "bank": "sha256", "pcrs": [7], "policy": headers.second.b64(public[12:44]), "pin": stretch_of(salt)}
        return protect, derive(sealed + stretched, b"pin-secret"), sealed, stretched, auth.rstrip(b"\0")
    return add_slot(node, tank, "pin", "tpm2", make)


def with_pin(text):
    return text.replace("slot_named tpm2-a", "slot_named pin")


def add_by_zseal(node, typed, *argv):
    """A slot of zseal's own making."""
    run(node, "zpool", "import", "-N", "tank")
    keep_secret(node.world, typed)
    with pipe_with(typed + "\n") as fd:
        assert_done(zseal(node, "slot", "add", "tank", *argv, str(fd), pass_fds=(fd,)))
    run(node, "zpool", "export", "tank")


@one_zfs
def test_passphrase_opens_without_zseal(node, tank):
    typed = " Größe und \"$HOME\" `x` \\n  "
    add_by_zseal(node, typed, "passphrase", "--new-passphrase-fd")
    assert_opened(node, follow(node, *BEGIN, *FROM_POOL, *PASSPHRASE, *OPEN, *MAC, *END, typed=typed + "\n"), tank)
    run(node, "zpool", "export", "tank")
    said = follow(node, *BEGIN, *FROM_POOL, *PASSPHRASE, *OPEN, *END, typed=typed[:-1] + "\n")
    assert_stays_locked(node, said, "WRONG KEY")


@one_zfs
def test_pin_opens_without_zseal(node, tank):
    add_by_zseal(node, "1234 is a PIN", "tpm2", "--name", "pin", "--new-pin-fd")
    said = follow(node, *BEGIN, *FROM_POOL, *PIN, *OPEN, *MAC, *END, typed="1234 is a PIN\n", change=with_pin)
    assert_opened(node, said, tank)


@one_zfs
def test_pin_whose_authorisation_ends_in_zero_opens_without_zseal(node, tank):
    add_pin(node, tank, "1234", auth_ends_in_zero=True)
    said = follow(node, *BEGIN, *FROM_POOL, *PIN, *OPEN, *END, typed="1234\n", change=with_pin)
    assert_opened(node, said, tank)


@one_zfs
def test_wrong_pin_is_told_without_zseal(node, tank):
    run(node, "tpm2_dictionarylockout", "-T", "device:/dev/tpmrm0", "-s", "-n", "4", "-t", "100", "-l", "100")
    add_by_zseal(node, "1234 is a PIN", "tpm2", "--name", "pin", "--new-pin-fd")
    said = follow(node, *BEGIN, *FROM_POOL, *PIN, *OPEN, *END, typed="4321\n", change=with_pin)
    assert_stays_locked(node, said, "HMAC check failed", "0x98E")


def assert_stays_locked(node, said, *words):
    """The steps say so in these words, show nothing that opens, and zseal still opens the pool."""
    for word in words:
        assert word in said, said
    assert is_locked(node, "tank")
    run(node, "zpool", "export", "tank")
    node.tpm.reboot()
    run(node, "zpool", "import", "-N", "tank")
    assert_opens(node, "tank")


@one_zfs
def test_mistyped_groups_are_named_without_zseal(node, tank):
    groups = tank.recovery_key.split("-")

    def mistyped(number):
        group = groups[number - 1]
        return "-".join([*groups[:number - 1], ("c" if group[0] != "c" else "b") + group[1:], *groups[number:]])
    swapped = "-".join([groups[1], groups[0], *groups[2:]])
    for typed, found in ((mistyped(1), ["group 1"]), (mistyped(8), ["group 8"]), (swapped, ["group 1", "group 2"])):
        assert re.findall("MISTYPED: (.*)", follow_to_secret(node, typed)) == found
    assert "MISTYPED: not 48 letters" in follow_to_secret(node, tank.recovery_key[:-1])
    said = follow(node, *BEGIN, *FROM_POOL, *RECOVERY, *OPEN, *END, typed=mistyped(1) + "\n")
    assert_stays_locked(node, said, "MISTYPED", "WRONG KEY")


def follow_to_secret(node, typed):
    """Without a header: a slip of the pen is found before it is needed."""
    return follow(node, "1", *RECOVERY, typed=typed + "\n")


@one_zfs
def test_recovery_key_of_another_pool_opens_nothing_without_zseal(node, tank):
    other = create_pool(node, "other", 2)
    said = follow(node, *BEGIN, *FROM_POOL, *RECOVERY, *OPEN, *END, typed=other.recovery_key + "\n")
    assert "MISTYPED" not in said and tank.fingerprint not in said
    assert_stays_locked(node, said, "WRONG KEY")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_changed_pcrs_are_told_without_zseal(node):
    node.tpm.extend(7, "another boot loader")
    said = follow(node, *BEGIN, *FROM_POOL, *TPM, *OPEN, *END)
    assert_stays_locked(node, said, "the right TPM", "a policy check failed", "0x99D")


@one_zfs
def test_another_tpm_is_told_without_zseal(node, tank):
    node.stop()
    other = node.world.node("b")
    create_pool(other, "own", 2)
    said = follow(other, *BEGIN, *FROM_POOL, *TPM, *OPEN)
    assert "WRONG TPM" in said and tank.fingerprint not in said
    assert is_locked(other, "tank")
    said = follow(other, "1", *FROM_POOL, *RECOVERY, *OPEN, *END, typed=tank.recovery_key + "\n")
    assert_opened(other, said, tank)


@one_zfs
def test_changed_header_is_told_and_opens_without_zseal(node, tank):
    run(node, "zpool", "import", "-N", "tank")
    value = headers.get(node, "tank", "zseal:slot.recovery")
    headers.put(node, "tank", "zseal:slot.recovery", headers.changed(value, lambda slot: slot.update(created=1)))
    said = follow(node, "1", *FROM_POOL, *TPM, *OPEN, *MAC, *END)
    assert "WRONG MAC" in said and "WRONG FINGERPRINT" not in said
    assert not is_locked(node, "tank")


@one_zfs
def test_keyring_that_claims_another_fingerprint_is_told_without_zseal(node, tank):
    run(node, "zpool", "import", "-N", "tank")
    value = headers.get(node, "tank", "zseal:keyring")
    other = headers.second.b64(bytes(32))
    headers.put(node, "tank", "zseal:keyring",
                headers.changed(value, lambda k: k["rings"][0]["ring"].update(fingerprint=other)))
    said = follow(node, "1", *FROM_POOL, *TPM, *OPEN, *MAC)
    assert "WRONG FINGERPRINT" in said and "WRONG MAC" in said and tank.fingerprint in said


# ---- a slot that Vault opens ----

@pytest.fixture
def vault(node):
    """An open pool with a vault slot, and the machine's login encrypted to its TPM."""
    made = vaulting.Vault(node)
    made.tank = create_pool(node)
    vaulting.configure(made)
    assert_done(vaulting.admin(made, "vault", "setup", "tank", "--mounts"))
    vaulting.enroll_node(made)
    vaulting.add_slot(made)
    return made


def someones_token(vault):
    """It may decrypt for this slot."""
    token = vaulting.log_in(vault)
    keep_secret(vault.node.world, token)
    return token + "\n"


@one_zfs
@pytest.mark.parametrize("slot", [VAULT_LOGIN, VAULT_TOKEN], ids=["login", "token"])
def test_vault_opens_without_zseal(node, vault, slot):
    run(node, "zpool", "export", "tank")
    said = follow(node, *BEGIN, *FROM_POOL, *slot, *OPEN, *MAC, *END, typed=someones_token(vault))
    assert_opened(node, said, vault.tank)
    assert "the MAC is right" in said and not re.search("^(NO|NOT) ", said, re.MULTILINE)


@one_zfs
def test_vault_that_says_no_is_told_without_zseal(node, vault):
    run(node, "zpool", "export", "tank")
    vault.must("PUT", "sys/policies/acl/zseal-a", {"policy": vaulting.policy(["another context"])})
    said = follow(node, *BEGIN, *FROM_POOL, *VAULT_LOGIN, *OPEN, *END)
    assert "NO LOGIN" not in said
    assert_stays_locked(node, said, "NOT DECRYPTED", "permission denied")
    run(node, "zpool", "export", "tank")
    vault.must("DELETE", "auth/approle/role/zseal-a")
    said = follow(node, *BEGIN, *FROM_POOL, *VAULT_LOGIN, *OPEN, *END)
    assert_stays_locked(node, said, "NO LOGIN", "invalid role or secret ID")


@one_zfs
@needs_strace
def test_arguments_show_neither_login_nor_token(node, vault):
    found = canaries.secrets_of(node, vault.tank)
    secret_id = run(node, "systemd-creds", "decrypt", "--name=zseal-vault-secret-id",
                    "/etc/credstore.encrypted/zseal-vault-secret-id", "-")
    token = someones_token(vault)
    search = canaries.Search({**found, "secret_id": secret_id.strip().encode(), "token": token.strip().encode()})
    lock(node, "tank")
    for slot in (VAULT_LOGIN, VAULT_TOKEN):
        text = traced(node, "execve", ["-v"], "1", *FROM_POOL, *slot, *OPEN, *END, typed=token)
        assert search.in_text(text) == {"key of slot vault's wrap", "key of the record's wrap"}
        assert "X-Vault-Token" not in text and "secret_id" not in text


# ---- where keys show, as without-zseal.md says ----

@pytest.fixture
def watched(node):
    """An open pool, and the search for all of its secrets."""
    made = create_pool(node)
    found = canaries.secrets_of(node, made)
    lock(node, "tank")
    return made, canaries.Search(found)


def traced(node, calls, options, *sections, **kw):
    """The trace of all programs that the steps start."""
    log = node.folder / "steps.strace"
    before = ["strace", "-f", "-qq", "-s", "100000", *options, "-e", f"trace={calls}", "-o", log]
    follow(node, *sections, before=before, **kw)
    assert not is_locked(node, "tank")
    run(node, "zfs", "unload-key", "tank")
    text = log.read_text()
    assert '"...' not in text, "strace cut something"
    return text


@one_zfs
@needs_strace
def test_arguments_show_what_the_document_says(node, watched):
    tank, search = watched
    steps = ["1", *FROM_POOL, *RECOVERY, *OPEN, *MAC, *END]
    text = traced(node, "execve", ["-v"], *steps, typed=tank.recovery_key + "\n")
    assert search.in_text(text) == {"key of slot recovery's wrap", "key of the record's wrap", "key of the MAC"}
    shown = {line.split('"')[3] for line in text.splitlines() if search.in_text(line)}
    assert shown == {"openssl"}


@one_zfs
@needs_strace
def test_arguments_show_no_pin(node, watched):
    tank, _ = watched
    found = canaries.secrets_of(node, tank)
    run(node, "zpool", "export", "tank")
    pin = "a PIN as long as what is searched for"
    names = ("secret", "sealed half", "stretched PIN", "authorisation", "key of the wrap")
    search = canaries.Search({**found, "PIN": pin.encode(), **dict(zip(names, add_pin(node, tank, pin)))})
    text = traced(node, "execve", ["-v"], *BEGIN, *FROM_POOL, *PIN, *OPEN, *END, typed=pin + "\n", change=with_pin)
    assert search.in_text(text) == {"key of the wrap", "key of the record's wrap", "authorisation"}
    assert {line.split('"')[3] for line in text.splitlines() if "authorisation" in search.in_text(line)} == {
        "tpm2_unseal"}


@one_zfs
def test_files_of_the_steps_hold_no_key(node, watched):
    tank, search = watched
    for slot in (TPM, RECOVERY):
        follow(node, "1", *FROM_POOL, *slot, *OPEN, "6", typed=tank.recovery_key + "\n")
        assert not is_locked(node, "tank")
        assert len(list(node.path("/run").glob("without-zseal.*/*"))) >= 1
        for folder in ("/run", "/etc", "/var/lib/zseal", "/dev/shm"):
            assert not search.in_folder(node.path(folder))
        run(node, "zfs", "unload-key", "tank")


PASTED = re.compile(r"^```sh\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


@one_zfs
def test_steps_can_be_pasted_into_a_shell(node, tank):
    """As a person does it: a block, what it shows, the next block; the recovery key is typed when it is asked for."""
    argv = prepare(node, "")[:2]
    pieces = PASTED.findall(DOCUMENT.read_text())
    wanted = blocks(*BEGIN, *FROM_POOL, *RECOVERY, *OPEN, *END)
    with Dialogue(node, [*argv, "bash", "--norc", "--noprofile", "-i"],
                  env={"PS1": "paste> ", "HISTFILE": f"{FOLDER}/history", "TERM": "xterm"}) as person:
        person.expect("paste> ")
        for piece in filter(wanted.__contains__, pieces):
            person.press(b"\033[200~" + piece.encode() + b"\033[201~\n")  # as a terminal pastes
            if "read -rsp" in piece:
                person.expect("Recovery key: $")
                person.type(tank.recovery_key)
            person.expect(r"paste> (\033\[\?2004h)?$")
        person.type("exit")
        said = person.end().stdout
    assert not is_locked(node, "tank") and tank.fingerprint in said
    assert_nothing_secret(node.world, "the terminal", said)
    assert run(node, "sh", "-c", f"cat {FOLDER}/history 2>/dev/null || true") == ""


# ---- README.md ----

def session(text):
    """Lines without what differs each time, or by where they are printed: indentation, the prompt, keys, dates."""
    text = re.sub(r"[cbdefghijklnrtuv]{6}(-[cbdefghijklnrtuv]{6}){7}", "<key>", masked(text))
    text = re.sub(r"Type group \d of the recovery key back: \w*", "<group>", text)
    return [re.sub(r"^\w*:?~?# ", "# ", line) for line in map(str.strip, text.splitlines()) if line]


@pytest.fixture(scope="module")
def demonstration():
    done = subprocess.run([ROOT / "demo/demo"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return session(done.stdout)


@pytest.mark.parametrize("heading, end, least", [
    ("## A first session", "\nOn a real server", 25), ("## Let Vault open it", "\nOn another machine", 15)])
def test_session_is_what_the_demonstration_prints(demonstration, heading, end, least):
    readme = (ROOT / "README.md").read_text()
    shown = readme[readme.index(heading):]
    shown = shown[:shown.index(end)]
    lines = session("\n".join(line for line in shown.splitlines() if line.startswith("    ")))
    assert len(lines) > least and sum(line.startswith("# zseal") for line in lines) >= 5
    printed = iter(demonstration)
    for line in lines:
        assert line in printed, f"README shows {line!r}, which the demonstration does not print there"


DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md")))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_is_there(document):
    """Targets of make, verbs and options of zseal, files, and places in other documents."""
    text = (ROOT / document).read_text()
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = (ROOT / document).parent / path if path else ROOT / document
        assert linked.exists(), f"{document} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings]
    for path in re.findall(r"`((?:src|tests|docs|tools|demo|lab|fuzz)/[\w./-]*\w)`", text):
        assert (ROOT / path).exists(), f"{document} names {path}"


COMMAND = re.compile(r"(?:`|^    # )zseal ((?!v1)(?:[a-z-]+)(?: [a-z][a-z-]*)?)([^`\n]*)", re.MULTILINE)


@one_zfs
def test_every_command_line_of_zseal_in_a_document_is_one(node):
    """Verbs and options are asked of the program itself."""
    seen = 0
    for document in DOCUMENTS:
        for verb, rest in COMMAND.findall((ROOT / document).read_text()):
            helped = next((done.stdout for words in (verb.split(), verb.split()[:1])
                           if (done := zseal(node, *words, "--help")).status == 0), None)
            assert helped, f"{document}: zseal {verb}"
            for option in re.findall(r"(?<!\w)--?[a-z][a-z-]*", rest):
                assert option in helped, f"{document}: zseal {verb}{rest}"
            seen += 1
    assert seen > 10

def test_configuration_in_the_manual_is_one(node):
    """zseal takes it, and would not take anything."""
    page = (ROOT / "man/zseal.conf.5.in").read_text()
    example = re.search(r"^\.Sh EXAMPLES\n\.Bd.*\n(.*?)^\.Ed", page, re.M | re.S)[1].replace("\\-", "-")
    path = node.path("/etc/zseal/zseal.conf")
    path.write_text(example)
    assert_done(zseal(node, "status"))
    path.write_text(example + "nonsense = 1\n")
    assert_refused(zseal(node, "status"), "config", "nonsense")


# ---- threat-model.md ----

CLAIM = re.compile(r"^\| (?!claim \||---)(.+) \| (.+) \|$", re.MULTILINE)
PYTHON_TEST, C_TEST = r"^ *def {}\(", r"^static void {}\("


def claims():
    return CLAIM.findall((ROOT / "docs/threat-model.md").read_text().replace("|---|---|\n", ""))


def has_test(place, name):
    """A file of pytest's; or a folder of test programs in C, which may be split at any time."""
    path = ROOT / place
    if path.is_dir():
        return any(re.search(C_TEST.format(name), file.read_text(), re.MULTILINE)
                   and f"({name}" in file.read_text().replace(f"void {name}(", "") for file in path.glob("*.c"))
    return path.is_file() and bool(re.search(PYTHON_TEST.format(name), path.read_text(), re.MULTILINE))


def test_each_claim_about_threats_names_a_test_or_says_why_not():
    assert len(claims()) > 40
    for claim, shown in claims():
        named = re.findall(r"`(tests/[\w./]+)::(\w+)`", shown)
        assert named or re.match("not shown by a test: .{10}", shown), claim
        for place, name in named:
            assert has_test(place, name), f"{claim!r}: there is no {place}::{name}"


def test_missing_tests_are_noticed():
    """In no file, in another file, in no list of a test program."""
    assert has_test("tests/unit", "test_nothing_readable_on_the_wire")
    for place, name in (("tests/integration/test_pins.py", "test_cleared"), ("tests/none.py", "test_cleared"),
                        ("tests/integration/test_bad_tpm.py", "test_clear"), ("tests/unit", "test_nothing")):
        assert not has_test(place, name)


# ---- limits.md ----

LIMIT = re.compile(r"^\| .+ \| ([\d,]+) \| `(\w+)`, `(src/[\w./-]+)` \|$", re.MULTILINE)


def constant(path, name):
    """What the source says: a number, or one shifted."""
    found = re.search(rf"\b{name} = (\d+)(?: << (\d+))?\b", (ROOT / path).read_text())
    assert found, f"{name} is not in {path}"
    return int(found[1]) << int(found[2] or 0)


def test_limits_are_those_of_the_source():
    text = (ROOT / "docs/limits.md").read_text()
    found = LIMIT.findall(text)
    assert len(found) == text[text.index("## Numbers"):].count("`src/") > 10
    for number, name, path in found:
        assert int(number.replace(",", "")) == constant(path, name), name
    for least in re.findall(r"bytes of a (\w+); at least (\d+)", text):
        assert int(least[1]) == constant("src/cli/answers.h", least[0].upper() + "_MIN")


@one_zfs
def test_what_is_said_to_be_missing_is_missing(node):
    """The day that it is there, the document has to say so."""
    usage = zseal(node, "--help").stdout
    for verb in ("rotate", "revoke", "boot", "doctor"):
        assert f"\n  {verb}" not in usage, verb
    assert "tpm2, vault, recovery or passphrase" in usage
