# SPDX-License-Identifier: MIT
"""The command line: golden transcripts, every option, every exit status, and what breaks a command line.

After a change that is meant, write the transcripts anew and read them in the diff:

    ZSEAL_WRITE_TRANSCRIPTS=1 /usr/bin/python3 -m pytest tests/integration/test_cli.py -k transcript
"""
import base64
import difflib
import json
import os
import re
from pathlib import Path

import pytest
import transcript
from conftest import (EXIT_STATUS, ROOT, Dialogue, World, assert_done, assert_opens, assert_opens_with_key,
                      assert_refused, assert_refused_json, assert_said, create_pool, is_locked,
                      keep_recovery_key_secret, lock, one_zfs, run, try_create, unlock_with_key, zfs_versions, zseal)

pytestmark = one_zfs

NOBODY = 65534

VERBS = ["create", "adopt", "repair", "recover", "unlock", "lock", "status", "slot list", "slot add", "slot test",
         "slot reseal", "slot remove", "vault setup", "vault enroll", "vault renew", "vault status", "vault login-test",
         "header backup", "header verify", "header restore",
         "repair", "recover", "adopt", "version"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="this machine can't: only root can become another user")


@pytest.fixture(scope="module")
def machines():
    """Gives a machine with a pool; a new one when the one before is thrown away."""
    found = []

    def give():
        if not found:
            found.append(World(zfs=zfs_versions()[0]))
            found[0].secrets = set()
            node = found[0].node()
            node.tank = create_pool(node)
        return found[0].node()

    def throw_away():
        found.pop().close()
    give.throw_away = throw_away
    yield give
    if found:
        throw_away()


@pytest.fixture
def machine(request, machines):
    """One that many tests share, with a pool. Each leaves the pool healthy, locked or not; one that fails need not."""
    failed = request.session.testsfailed
    yield machines()
    if request.session.testsfailed > failed:
        machines.throw_away()


def make_locked(node):
    """By ZFS's own means, locked before or not."""
    node.run(["zfs", "unload-key", "tank"])
    assert is_locked(node, "tank")


@pytest.mark.parametrize("name", transcript.files())
def test_transcript(node, name):
    golden, now = transcript.replay(node, name)
    if os.environ.get("ZSEAL_WRITE_TRANSCRIPTS"):
        transcript.write(name, now)
        return
    diff = difflib.unified_diff(golden.splitlines(), now.splitlines(), name, "now", lineterm="")
    assert golden == now, "\n".join(diff)


# ---- options ----

def help_of(node, verb):
    return assert_done(zseal(node, *verb.split(), "--help")).stdout


def options_in(text):
    """(option, takes an argument) as a help shows them."""
    shown = re.findall(r"^  (?:(-\w)(?:, |(?= ))|    )(?:--([a-z-]+))?( [A-Z=:]+)?(?:\n {29}|)  +\S", text, re.MULTILINE)
    return [("--" + name if name else letter, bool(argument)) for letter, name, argument in shown]


def test_help_shows_every_option_of_the_tables(machine):
    sources = "".join(path.read_text() for path in (ROOT / "src/cli").glob("*.[ch]"))
    tables = set(re.findall(r'\{ "([a-z-]+)", (?:0|\'\w\'), (?:NULL|")', sources))
    tables |= set(re.findall(r"\{ NULL, '(\w)', ", sources))
    shown = {option.lstrip("-") for verb in VERBS for option, _ in options_in(help_of(machine, verb))}
    assert len(shown) > 15
    assert tables == shown


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_help_shows_is_one(machine, verb):
    text = help_of(machine, verb)
    for option, takes_argument in options_in(text):
        assert zseal(machine, *verb.split(), option, *(["1"] if takes_argument else []), "--help").stdout == text
        if takes_argument:
            assert_refused(zseal(machine, *verb.split(), option), "usage", f"{option} needs an argument")


def test_usage_names_every_verb_and_every_exit_status(machine):
    usage = assert_done(zseal(machine, "--help")).stdout
    for verb in VERBS:
        assert f"\n  {verb} " in usage
    statuses = usage[usage.index("Exit status"):]
    for status in EXIT_STATUS.values():
        assert re.search(rf"\b{status} [a-z]", statuses), status
    for spelling in ("-h", "help"):
        assert zseal(machine, spelling).stdout == usage


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_option_is_refused_by_every_verb(machine, verb):
    assert_refused(zseal(machine, *verb.split(), "--frobnicate"), "usage", f"zseal {verb}", "no option --frobnicate")


@pytest.mark.parametrize("verb", VERBS)
def test_options_are_not_abbreviated(machine, verb):
    """What is short for one option today may be short for two tomorrow."""
    names = {option for option, _ in options_in(help_of(machine, verb))}
    for option, takes_argument in options_in(help_of(machine, verb)):
        short = option[:-1]
        if not option.startswith("--") or short in names:
            continue
        for words in ([short + "=1"], [short, "1"]) if takes_argument else ([short],):
            assert_refused(zseal(machine, *verb.split(), *words), "usage", f"there is no option {words[0]}")
    assert_refused(zseal(machine, *verb.split(), "--jso", "--help"), "usage", "no option --jso")


# ---- exit statuses ----

def test_exit_statuses(world, node):
    """One of each class that a user can meet. 70 is a mistake in zseal and cannot be had."""
    tank = create_pool(node)
    lock(node, "tank")
    assert zseal(node, "version").status == EXIT_STATUS["ok"]
    assert zseal(node, "frobnicate").status == EXIT_STATUS["usage"]
    assert_refused(zseal(node, "unlock", "tank9"), "zfs-not-found", "tank9")
    node.tpm.off()
    assert_refused(zseal(node, "unlock", "tank"), "tpm-missing", "tank", "slot tpm2-a")
    node.tpm.on()
    node.tpm.change_boot_chain()
    assert_refused(zseal(node, "unlock", "tank"), "tpm-policy", "tank", "slot tpm2-a")
    create_pool(node, "other", 2, ["--no-tpm"])
    assert_refused(zseal(node, "unlock", "--all"), "tpm-policy", "tank", status=EXIT_STATUS["partial"])
    run(node, "zfs", "set", "zseal:keyring=hello", "other")
    run(node, "zfs", "unload-key", "other")
    assert_refused(zseal(node, "unlock", "other"), "format", "other")
    with Dialogue(node, ["zseal", "unlock", "--recovery", "tank"]) as person:
        person.expect("Recovery key")
        person.press(b"\x03")
        assert person.end().status == EXIT_STATUS["interrupted"]
    assert_opens_with_key(node, "tank", tank.recovery_key)
    run(node, "zpool", "export", "tank")
    second = world.node("b")
    run(second, "zpool", "import", "tank")
    assert_refused(zseal(second, "unlock", "--trust", tank.fingerprint, "tank"), "tpm-not-mine", "tank", "slot tpm2-a")
    assert is_locked(second, "tank")


# ---- standard descriptors ----

def shell(node, line, **kw):
    done = node.run(["bash", "-c", line], **kw)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", ["version", "version --json", "--help", "unlock --help", "status",
                                       "status --json", "lock --all --json"])
def test_full_standard_output_is_told(machine, arguments):
    status, _, stderr = shell(machine, f"zseal {arguments} >/dev/full")
    assert status == EXIT_STATUS["interrupted"]
    assert_said(stderr, "output", "standard output", "No space left on device")


def test_full_standard_output_keeps_nothing_from_being_unlocked(machine):
    tank = machine.tank
    make_locked(machine)
    status, _, stderr = shell(machine, "zseal unlock tank >/dev/full")
    assert status == EXIT_STATUS["interrupted"] and not is_locked(machine, "tank")
    assert_said(stderr, "output")
    make_locked(machine)
    assert_opens_with_key(machine, "tank", tank.recovery_key)


def test_create_on_full_standard_output_makes_a_pool_that_opens(node):
    status, _, stderr = shell(node, "zseal create --recovery-to-fd 3 -m none tank /mnt/disk1 3>/run/key >/dev/full")
    assert status == EXIT_STATUS["interrupted"]
    assert_said(stderr, "output", "standard output")
    key = node.path("/run/key").read_text().strip()
    keep_recovery_key_secret(node.world, key)
    lock(node, "tank")
    assert_opens(node, "tank")
    lock(node, "tank")
    assert_opens_with_key(node, "tank", key)


@pytest.mark.parametrize("redirection", [">/dev/full", "2>/dev/full", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_failure_keeps_its_exit_status_wherever_it_is_told(machine, redirection):
    assert shell(machine, f"zseal unlock tank9 {redirection}")[0] == EXIT_STATUS["state"]


def test_closed_descriptors_break_nothing(node):
    """Whatever zseal opens must not become its standard descriptors: a disk or a TPM would get its messages."""
    line = "zseal create --recovery-to-fd 7 -m none tank /mnt/disk1 7>/run/key <&- >&- 2>&-"
    assert shell(node, line)[0] == 0
    key = node.path("/run/key").read_text()
    keep_recovery_key_secret(node.world, key.strip())
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        assert shell(node, f"zseal lock tank {closed}")[0] == 0 and is_locked(node, "tank")
        assert shell(node, f"zseal unlock tank {closed}")[0] == 0 and not is_locked(node, "tank")
    lock(node, "tank")
    assert shell(node, "zseal unlock --recovery-fd 7 tank 7</run/key <&- >&- 2>&-")[0] == 0
    assert not is_locked(node, "tank")
    assert key == node.path("/run/key").read_text()
    assert_done(zseal(node, "header", "verify", "tank"))


def test_recovery_key_that_nobody_takes_makes_no_pool(node):
    for target in (">/dev/full", "> >(exec true)"):
        line = f"trap '' PIPE; exec 3{target}; wait; zseal create --no-tpm --recovery-to-fd 3 -m none tank /mnt/disk1"
        status, stdout, stderr = shell(node, line)
        assert status == EXIT_STATUS["interrupted"] and not stdout, stderr
        assert_said(stderr, "output", "descriptor 3")
    assert run(node, "zpool", "list", "-H") == ""
    assert not node.path("/etc/zseal/pins").exists() or not node.path("/etc/zseal/pins").read_text()
    create_pool(node)


def test_without_a_terminal_nothing_is_asked(machine):
    tank = machine.tank
    make_locked(machine)
    assert_refused(zseal(machine, "unlock", "--recovery", "tank"), "no-input", "terminal")
    assert_refused(zseal(machine, "create", "tank2", machine.world.disk(2)), "no-input", "--recovery-to-fd")
    result = unlock_with_key(machine, "", "tank")
    assert_refused(result, "no-input")
    machine.path("/etc/zseal/pins").unlink()
    assert_refused(zseal(machine, "unlock", "tank", input="yes\n"), "pin-missing", tank.fingerprint)
    assert_opens_with_key(machine, "tank", tank.recovery_key)


# ---- who and where ----

@needs_root
@pytest.mark.parametrize("arguments", ["unlock tank", "unlock --all", "lock tank", "lock --all", "create tank2 disk",
                                       "header backup tank", "header verify tank", "header restore tank"])
def test_not_root_is_refused(machine, arguments):
    result = zseal(machine, *arguments.split(), uid=NOBODY)
    assert_refused(result, "not-root")
    assert "null" not in result.stderr
    assert_refused_json_unless_backup(machine, arguments)
    make_locked(machine)
    assert_opens(machine, "tank")


def assert_refused_json_unless_backup(node, arguments):
    if "backup" in arguments:
        return
    verb = [word for word in VERBS if arguments.startswith(word)][0]
    rest = arguments[len(verb):].split()
    assert_refused_json(zseal(node, *verb.split(), "--json", *rest, uid=NOBODY), "not-root")


@needs_root
def test_status_needs_no_root(machine):
    tank = machine.tank
    assert_done(zseal(machine, "unlock", "tank"))
    status = assert_done(zseal(machine, "status", uid=NOBODY)).stdout
    assert tank.fingerprint in status and tank.keyring in status
    assert "unlocked" in status
    found = assert_done(zseal(machine, "status", "--json", uid=NOBODY)).json
    assert found["keyrings"][0]["fingerprint"] == tank.fingerprint
    assert "tpm2-a" in assert_done(zseal(machine, "slot", "list", "tank", uid=NOBODY)).stdout


@pytest.mark.parametrize("arguments", ["status", "slot list", "unlock --all", "unlock tank", "lock --all",
                                       "header verify tank", "header restore tank"])
def test_without_the_zfs_module(world, arguments):
    without = world.node("without", zfs_module=False)
    assert_refused(zseal(without, *arguments.split()), "zfs-absent")
    assert_refused_json(zseal(without, *arguments.split(), "--json"), "zfs-absent")


def test_create_without_the_zfs_module(world):
    without = world.node("without", zfs_module=False)
    result, key = try_create(without, "--no-tpm", "tank", world.disk(1))
    assert_refused(result, "zfs-absent")
    assert not key and not os.listdir(without.path("/var/lib/zseal"))


@pytest.mark.parametrize("program", ["zfs", "zpool"])
@pytest.mark.parametrize("arguments", ["status", "unlock --all", "lock --all", "header verify tank"])
def test_without_the_zfs_programs(machine, program, arguments):
    make_locked(machine)
    line = f"mount --bind /dev/null /usr/sbin/{program} && zseal {arguments}"
    done = machine.run(["unshare", "--mount", "bash", "-c", line])
    assert done.returncode == EXIT_STATUS["state"], done
    assert_said(done.stderr, "no-program", program)
    assert_opens(machine, "tank")


# ---- JSON ----

@pytest.mark.parametrize("arguments", [
    "unlock --all tank", "unlock", "unlock --frobnicate tank", "unlock tank --recovery-fd", "unlock nosuch",
    "unlock --recovery-fd 77 tank", "unlock --recovery tank", "unlock --config /nowhere tank", "unlock tank",
    "lock --frobnicate", "lock nosuch", "lock --all", "status nosuch", "status --config x", "slot list nosuch",
    "header verify nosuch", "header verify --from /nowhere tank", "header verify tank", "header restore nosuch",
    "header restore tank tank", "create tank", "create --no-tpm tank disk", "create --no-tpm --no-recovery tank disk",
    "create --pcrs x tank disk", "create --no-recovery tank /mnt/disk1", "create --no-recovery x /nowhere", "version x",
])
def test_json_is_one_document_whatever_happens(machine, arguments):
    make_locked(machine)
    verb = [word for word in VERBS if arguments.startswith(word)][0]
    rest = arguments[len(verb):].split()
    for argv in ([*verb.split(), "--json", *rest], [*verb.split(), *rest, "--json"]):
        if verb == "create" and argv[-1] == "--json":
            continue  # its options stand before its arguments
        if argv[-2:] == ["--recovery-fd", "--json"]:
            continue  # here it is the option's argument
        result = zseal(machine, *argv)
        assert isinstance(json.loads(result.stdout), dict), result
        if "error" in result.json:
            assert result.json["error"]["advice"] and result.json["error"]["what"]
            assert result.status == EXIT_STATUS[result.json["error"]["class"].replace("-", "_")]
        else:
            assert result.status == 0 or result.json["roots"], result


# ---- the world around it ----

def test_locale_columns_and_terminal_type_do_not_matter(machine):
    shown = assert_done(zseal(machine, "status")).stdout
    for environment in ({"LC_ALL": "de_DE.UTF-8"}, {"LC_ALL": "nonsense", "LANG": None}, {"COLUMNS": "3"},
                        {"TERM": None, "HOME": None}, {"POSIXLY_CORRECT": "1"}):
        assert assert_done(zseal(machine, "status", env=environment)).stdout == shown
    assert run(machine, "env", "-i", "/usr/sbin/zseal", "status") == shown


def test_environment_chooses_no_program_and_no_tpm(machine):
    """Programs are found where the system has them; tss2 says nothing of its own; nothing names another TPM."""
    evil = machine.path("/run/evil")
    evil.mkdir()
    for program in ("zfs", "zpool"):
        (evil / program).write_text("#!/bin/sh\necho evil; exit 1\n")
        (evil / program).chmod(0o755)
    make_locked(machine)
    result = assert_done(zseal(machine, "unlock", "tank", env={
        "PATH": "/run/evil:/usr/sbin:/usr/bin", "TSS2_LOG": "all+trace", "TPM2TOOLS_TCTI": "device:/nowhere",
        "TSS2_TCTI": "device:/nowhere", "ZFS_IOC_TRACE": "1", "OPENSSL_CONF": "/nowhere"}))
    assert (result.stdout, result.stderr) == ("tank: unlocked (slot tpm2-a)\n", "")


GROUP = "[cbdefghijklnrtuv]{6}"


def test_a_terminal_of_40_columns(node):
    """The key is one piece of text, whatever width it is broken at, and no line of zseal's covers it."""
    with Dialogue(node, ["bash", "-c", "stty cols 40 rows 12; exec zseal create -m none tank /mnt/disk1"]) as person:
        key = person.expect(f"({GROUP}-){{7}}{GROUP}").group()
        keep_recovery_key_secret(node.world, key)
        for _ in range(2):
            group = int(person.expect(r"Type group (\d)").group(1))
            person.type(key.split("-")[group - 1])
        result = assert_done(person.end())
    assert "pool tank is made" in result.stdout
    lock(node, "tank")
    assert_opens_with_key(node, "tank", key)


# ---- too much ----

def test_many_arguments(machine):
    shown = assert_done(zseal(machine, "status", "tank")).stdout
    assert assert_done(zseal(machine, "status", *["tank"] * 300)).stdout == shown
    assert_opens(machine, "tank")
    assert assert_done(zseal(machine, "lock", *["tank"] * 300)).stdout == "tank: locked\n"
    assert assert_done(zseal(machine, "unlock", *["tank"] * 300)).stdout == "tank: unlocked (slot tpm2-a)\n"
    assert_refused(zseal(machine, "status", *[f"tank{n}" for n in range(300)]), "zfs-not-found", "tank0")
    assert_refused(zseal(machine, "unlock", *["tank"] * 299, "tank9"), "zfs-not-found", "tank9")
    assert_refused(zseal(machine, "create", *["-o", "comment=x"] * 129, "tank2", "disk"), "usage", "more than 128")


CREATE = ("create", "--recovery-to-fd", "1")
LONG = "x" * 100_000
LONG_ARGUMENTS = {
    "verb": [LONG], "dataset": ["unlock", LONG], "deep dataset": ["unlock", "a/" * 50_000 + "b"],
    "option": ["unlock", "--" + LONG], "fingerprint": ["unlock", "--trust", LONG, "tank"],
    "pool": [*CREATE, LONG, "disk"], "number": ["create", "--recovery-to-fd", "9" * 1000, "tank", "disk"],
    "slot": [*CREATE, "--slot-name", LONG, "tank", "disk"], "pcrs": [*CREATE, "--pcrs", "7," * 1000, "tank", "disk"],
    "property": [*CREATE, "-O", "keyformat=" + LONG, "tank", "disk"],
}


@pytest.mark.parametrize("name", LONG_ARGUMENTS)
def test_a_very_long_argument_is_refused_in_a_few_words(machine, name):
    argv = LONG_ARGUMENTS[name]
    result = zseal(machine, *argv)
    assert_refused(result, "usage")
    assert len(result.stderr) < 1000


def test_a_name_as_long_as_zfs_takes(node):
    name = "p" + "x" * 200
    pool = create_pool(node, name)
    lock(node, name)
    assert_opens(node, name)
    lock(node, name)
    assert_opens_with_key(node, name, pool.recovery_key)
    assert name in assert_done(zseal(node, "status")).stdout
    assert_done(zseal(node, "header", "verify", name))


# ---- what a stranger wrote ----

ESCAPE = "\x1b[31m\x1b]0;owned\x07\r\x08\x7f\t\x9b31m\u202e"
# What a person may see of anything: printable ASCII, line ends, and zseal's own ellipsis.
SHOWN = re.compile(r"[ -~\n…]*")


def assert_harmless(node, *argv, **kw):
    result = zseal(node, *argv, **kw)
    assert SHOWN.fullmatch(result.stdout), ascii(result.stdout)
    assert SHOWN.fullmatch(result.stderr), ascii(result.stderr)
    return result


EVIL_PROPERTIES = {
    "keylocation": f"file:///tmp/{ESCAPE}", "zseal:key": ESCAPE, "zseal:keyring": ESCAPE, "zseal:slot.evil": ESCAPE,
    "zseal:slot.recovery": f'{{"v":1,"{ESCAPE}":1}}',
    "zseal:slot.tpm2-a": '{"v":1,"\\u001b[31m":"\\u009b31m"}',
    "zseal:slot.type": '{"v":2,"type":"\\u001b[31m"}',
}


def set_raw(node, name, value):
    """Sets a property to bytes that no Python string has."""
    run(node, "bash", "-c", 'zfs set "$0=$(base64 -d)" tank', name, input=base64.b64encode(value).decode())


@pytest.mark.parametrize("name", EVIL_PROPERTIES)
def test_a_delegated_user_cannot_write_on_the_terminal(machine, name):
    """Whoever may set a property of a dataset sets it to what moves cursors. It does not get out; JSON stays JSON, and
    hides no encryption root."""
    machine.path("/run/header").write_text(zseal(machine, "header", "backup", "--output", "-", "tank").stdout)
    for value in (EVIL_PROPERTIES[name].encode(), EVIL_PROPERTIES[name].encode() + b"\xff\xfe\x80"):
        set_raw(machine, name, value)
        assert_harmless(machine, "status")
        found = json.loads(assert_harmless(machine, "status", "--json").stdout)
        assert [root["dataset"] for root in found["roots"]] == ["tank"]
    for arguments in ("slot list", "lock tank", "unlock tank", "header verify tank", "header restore --dry-run tank",
                      "header backup --dry-run tank", "header backup --output - tank"):
        assert_harmless(machine, *arguments.split())
    for arguments in ("unlock --json --all", "header verify --json tank"):
        assert json.loads(assert_harmless(machine, *arguments.split()).stdout)
    set_raw(machine, "keylocation", b"prompt")
    assert_done(zseal(machine, "header", "restore", "--from", "/run/header", "tank"))
    make_locked(machine)
    assert_opens(machine, "tank")


EVIL_ARGUMENTS = {
    "verb": [ESCAPE], "second word": ["slot", ESCAPE], "dataset": ["unlock", ESCAPE],
    "option": ["unlock", "--" + ESCAPE], "fingerprint": ["unlock", "--trust", ESCAPE, "tank"],
    "relative path": ["unlock", "--config", ESCAPE, "tank"], "path": ["unlock", "--config", "/" + ESCAPE, "tank"],
    "number": ["unlock", "--recovery-fd", ESCAPE, "tank"], "from": ["header", "verify", "--from", "/" + ESCAPE, "tank"],
    "output": ["header", "backup", "--output", "/nowhere/" + ESCAPE, "tank"], "pool": [*CREATE, ESCAPE, "disk"],
    "disk": [*CREATE, "tank2", "/mnt/" + ESCAPE], "pcrs": [*CREATE, "--pcrs", ESCAPE, "tank2", "disk"],
    "slot": [*CREATE, "--slot-name", ESCAPE, "tank2", "disk"], "word": [*CREATE, "-o", ESCAPE, "tank2", "disk"],
    "property": [*CREATE, "-O", ESCAPE + "=1", "tank2", "disk"], "too many": ["version", ESCAPE],
    "own property": [*CREATE, "-O", "zseal:" + ESCAPE, "tank2", "disk"],
}


@pytest.mark.parametrize("name", EVIL_ARGUMENTS)
def test_an_argument_cannot_write_on_the_terminal(machine, name):
    assert assert_harmless(machine, *EVIL_ARGUMENTS[name]).status != 0


EVIL_LINES = {
    "section": f"[{ESCAPE}]\n{ESCAPE} = {ESCAPE}\n", "setting": f"[tpm2]\n{ESCAPE} = 1\n", "line": ESCAPE + "\n",
    "tcti": f"[tpm2]\ntcti = {ESCAPE}\n", "fingerprint": f"[trust]\nfingerprint = {ESCAPE}\n",
}


@pytest.mark.parametrize("name", EVIL_LINES)
def test_a_configuration_cannot_write_on_the_terminal(machine, name):
    make_locked(machine)
    machine.path("/etc/zseal/zseal.conf").write_text(EVIL_LINES[name])
    for arguments in ("status", "unlock tank"):
        assert_harmless(machine, *arguments.split())
    assert_refused(zseal(machine, "unlock", "tank"), "config")
    machine.path("/etc/zseal/zseal.conf").unlink()
    assert_opens(machine, "tank")


def test_damaged_pins_are_told_and_can_be_mended(machine):
    make_locked(machine)
    pins = machine.path("/etc/zseal/pins")
    before = pins.read_text()
    pins.write_text(before + ESCAPE + "\n")
    assert_harmless(machine, "unlock", "tank")
    assert_refused(zseal(machine, "unlock", "tank"), "config", "/etc/zseal/pins", "line 2")
    pins.write_text(before)
    assert_opens(machine, "tank")


# ---- completions ----

def test_bash_completes_what_the_real_zfs_has(machine):
    """tests/manuals has the rest, with a script for zfs."""
    completions = Path(os.environ.get("ZSEAL", ROOT / "build/src/zseal")).parents[1] / "man/zseal"

    def offered(*words):
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _zseal;'
                  ' echo "${COMPREPLY[@]}"')
        return set(run(machine, "bash", "--norc", "-c", script, "bash", str(completions), "zseal", *words).split())
    assert offered("unlock", "") == set(run(machine, "zfs", "list", "-H", "-o", "name").split()) >= {"tank"}
    assert offered("slot", "remove", "tank", "") == {"tpm2-a", "recovery"}
