# SPDX-License-Identifier: MIT
"""How zseal's verbs look at a terminal: colours, width, progress; and that none of it gets into a pipe. What say() makes
of a text is tested in tests/unit/test_style.c."""
import re

import pytest

import headers
import steps
from conftest import COLOURS, Dialogue, assert_done, create_pool, keep_secret, lock, one_zfs, run, zseal
from typed import configure_cheap, zseal_given

pytestmark = one_zfs

XTERM = {"TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": None, "COLUMNS": None}
RED_LOCKED = "\033[1;31mLOCKED"
REWRITE = "\r\033[K"


def at_terminal(node, line, columns=100, typed=None, **environment):
    """A command line of a shell's at a terminal: what came, with all that moves or colours."""
    with Dialogue(node, ["bash", "-c", f"stty cols {columns}; {line}"], env={**XTERM, **environment}) as person:
        person.attend(typed or {})
        return person.raw.replace("\r\n", "\n")


def words(text):
    return COLOURS.sub("", text).split()


def without_progress(raw):
    return re.sub(re.escape(REWRITE) + r"[^\n\r]* …(?=\r)|" + re.escape(REWRITE), "", raw)


@pytest.fixture
def tank(node):
    made = create_pool(node)
    lock(node, "tank")
    return made


# ---- colours ----

@pytest.mark.usefixtures("tank")
def test_colours_repeat_what_words_say(node):
    coloured = without_progress(at_terminal(node, "zseal status"))
    assert RED_LOCKED in coloured
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}):
        plain = at_terminal(node, "zseal status", **environment)
        assert "\033[3" not in plain and "\033[1" not in plain
        assert without_progress(plain) == COLOURS.sub("", coloured)
    assert RED_LOCKED in at_terminal(node, "zseal status", NO_COLOR="")


@pytest.mark.usefixtures("tank")
def test_a_program_gets_no_colours(node):
    """Standard output and standard error each for itself; JSON never."""
    assert "\033[1" not in at_terminal(node, "zseal status | cat")
    node.tpm.change_boot_chain()
    said = at_terminal(node, "zseal unlock tank | cat")
    assert "\033[1;31mthe PCRs differ" in said and "tank: NOT unlocked" in said
    said = at_terminal(node, "zseal unlock tank 2>&1 >/dev/tty | cat")
    assert "zseal: tank: the PCRs differ" in said and "\033[1;31mNOT unlocked" in said and REWRITE not in said
    for line in ("zseal status --json", "zseal slot list --json", "zseal unlock --json tank"):
        assert "\033[1" not in at_terminal(node, line) and "\033[3" not in at_terminal(node, line)


# ---- width ----

def test_lines_fit_and_say_the_same(node, tank):
    name = "tank/" + "a-dataset-with-a-name-that-people-really-give/" * 2 + "vm-100-disk-0"
    for parent in ("tank/a-dataset-with-a-name-that-people-really-give",
                   "tank/" + "/".join(["a-dataset-with-a-name-that-people-really-give"] * 2)):
        assert_done(zseal(node, "unlock", "tank"))
        run(node, "zfs", "create", parent)
    headers.add_root(node, tank, name)
    node.tpm.change_boot_chain()
    in_pipe = assert_done(zseal(node, "status")).stdout
    assert f"      {name} unlocked aes-256-gcm" in in_pipe, "for a program a root is a line"
    for columns in (60, 80, 132):
        shown = COLOURS.sub("", without_progress(at_terminal(node, "zseal status", columns)))
        assert words(shown) == words(in_pipe)
        assert all(len(line) <= columns or line.strip() == name for line in shown.split("\n")), shown
        assert re.search(r"zseal unlock --recovery tank$", shown, re.MULTILINE)


# ---- locales ----

@pytest.mark.usefixtures("tank")
def test_locales_change_nothing_but_what_cannot_be_shown(node):
    wanted = {locale: at_terminal(node, "zseal create tank", LC_ALL=locale) for locale in ("C.UTF-8", "C", "POSIX")}
    assert "POOL VDEV…" in wanted["C.UTF-8"]
    assert wanted["C"] == wanted["POSIX"] == wanted["C.UTF-8"].replace("…", "...")
    statuses = {without_progress(at_terminal(node, "zseal status", LC_ALL=locale)).replace(" ...", " …")
                for locale in ("C.UTF-8", "de_DE.UTF-8", "ar_EG.UTF-8")}
    assert len({COLOURS.sub("", text).split("pool tank")[1] for text in statuses}) == 1


# ---- progress ----

def slowly(line):
    """Each call of the lab's ZFS, which begins with a message, takes some milliseconds more."""
    return f"strace -f -qq -o /dev/null -e trace=sendmsg -e inject=sendmsg:delay_enter=30000 {line}"


@steps.needs_strace
@pytest.mark.parametrize("verb, doing", [("unlock", "unlocking"), ("lock", "locking"), ("header verify", "proving key")])
def test_progress_counts_roots_and_goes(node, verb, doing):
    tank = create_pool(node)
    for number in range(12):
        headers.add_root(node, tank, f"tank/{number}")
    assert_done(zseal(node, "header", "backup", "tank"))
    if verb != "lock":
        assert_done(zseal(node, "lock", "tank"))
    raw = at_terminal(node, slowly(f"zseal {verb} tank"), **steps.environment())
    assert re.search(re.escape(REWRITE) + doing + r"\D* (\d+) of 13 …\r", raw), raw
    assert "…" not in COLOURS.sub("", without_progress(raw)), "nothing of it stays"
    if verb != "header verify":
        assert len(re.findall(rf"^tank(?:/\d+)?: {verb}ed", COLOURS.sub("", without_progress(raw)), re.MULTILINE)) == 13


def test_progress_tells_which_slot_is_tried(node):
    """A TPM and scrypt take their time; the question for the passphrase is in a line of its own."""
    configure_cheap(node)
    create_pool(node)
    assert_done(zseal_given(node, "slot", "add", "tank", "passphrase", new_passphrase="a long passphrase"))
    keep_secret(node.world, "a long passphrase")
    for line, slot in (("zseal unlock tank", "tpm2-a"), ("zseal unlock --passphrase tank", "passphrase")):
        lock(node, "tank")
        raw = at_terminal(node, line, typed={"Passphrase: ": "a long passphrase"})
        assert f"{REWRITE}trying slot {slot} of the keyring on tank …{REWRITE}" in raw
        assert "Passphrase" not in raw or f"{REWRITE}Passphrase: \n" in raw


@pytest.mark.usefixtures("tank")
def test_a_pipe_is_quiet(node):
    """And so is a terminal that cannot write over a line."""
    for line in ("zseal unlock tank 2>&1 | cat", "TERM=dumb zseal unlock tank", "TERM= zseal unlock tank"):
        assert at_terminal(node, f"zseal lock tank >/dev/null 2>&1; {line}") == "tank: unlocked (slot tpm2-a)\n"
    assert zseal(node, "lock", "tank") == (0, "tank: locked\n", "")
