# SPDX-License-Identifier: MIT
"""What passes between zseal and a person: the recovery key as a picture and on paper, read back by programs that know
nothing of zseal; and answers from a terminal, a descriptor or a credential, good and bad.
"""
import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading

import pytest
from conftest import (ERRORS, Dialogue, Result, assert_done, assert_nothing_secret, assert_opens, assert_opens_with_key,
                      assert_refused, assert_said, create_pool, is_locked, keep_recovery_key_secret, lock, new_world,
                      pipe_with, run, zfs_versions, zseal, zseal_at_terminal)
from test_main_job import assert_nothing_was_made, mistype, read_key, type_back

pytestmark = pytest.mark.one_zfs

KEY = "(?:[cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}"
QUIET = 4
UTF8 = {"LC_ALL": "C.UTF-8", "TERM": "xterm"}


# ---- readers ----

def decode(picture):
    """What a reader of QR codes finds in a picture, a file of any format that it knows."""
    done = subprocess.run(["zbarimg", "-q", "--raw", "-S*.enable=0", "-Sqrcode.enable=1", picture],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def draw(rows, path, scale=6):
    """A picture of rows of booleans; True is dark."""
    lines = [b"".join((b"\0" if dark else b"\xff") * scale for dark in row) * scale for row in rows]
    path.write_bytes(b"P5 %d %d 255\n" % (len(rows[0]) * scale, len(rows) * scale) + b"".join(lines))
    return path


def picture_on(screen):
    """The QR code on a screen as rows of booleans. Each line sets white on black, both of them."""
    rows = []
    for line in re.findall("^    \033\\[0;1;37;40m([█▀▄ ]+)\033\\[0m$", screen.replace("\r", ""), re.MULTILINE):
        rows.append([c in "▄ " for c in line])
        rows.append([c in "▀ " for c in line])
    return rows


def ghostscript(page, *options):
    """Renders a page on its standard input; gives what it says."""
    done = subprocess.run(["gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", *options, "-"], input=page,
                          capture_output=True, timeout=60, check=True)
    return (done.stdout + done.stderr).decode()


def create_at_terminal(node, *options, size=(40, 100), env=None, **kw):
    """A person makes a pool; the window has so many lines and columns."""
    lines, columns = map(str, size)
    window = ["sh", "-c", 'stty rows "$0" columns "$1" && shift && exec "$@"', lines, columns]
    return Dialogue(node, [*window, "zseal", "create", *options, "-m", "none", "tank", node.world.disk(1)],
                    env=UTF8 if env is None else env, **kw)


# ---- the QR code on a terminal ----

def test_qr_code_on_the_terminal_is_the_key(node, tmp_path):
    with create_at_terminal(node) as person:
        key = read_key(person)
        person.expect("Type group")
        rows = picture_on(person.raw)
        person.press(b"\x03")
        assert person.end().status == ERRORS["interrupted"].status
    width = len(rows[0])
    assert width == 29 + 2 * QUIET and len(rows) in (width, width + 1)
    assert not any(map(any, rows[:QUIET] + rows[width - QUIET:]))
    assert not any(dark for row in rows for dark in row[:QUIET] + row[-QUIET:])
    assert decode(draw(rows, tmp_path / "qr.pgm")) == key.upper()
    assert_nothing_was_made(node)


def test_qr_code_that_was_scanned_opens_the_pool(node, tmp_path):
    with create_at_terminal(node) as person:
        key = read_key(person)
        type_back(person, key)
        type_back(person, key)
        person.expect("pool tank is made")
        assert_done(person.end())
    scanned = decode(draw(picture_on(person.raw), tmp_path / "qr.pgm"))
    keep_recovery_key_secret(node.world, key)
    lock(node, "tank")
    assert_opens_with_key(node, "tank", scanned)


@pytest.mark.parametrize("options, size, env", [
    (["--no-qr"], (40, 100), UTF8),
    ([], (40, 40), UTF8),                                      # narrower than code and margin
    ([], (26, 100), UTF8),                                     # the key would be pushed from the screen
    ([], (0, 0), UTF8),                                        # a serial line
    ([], (40, 100), {"LC_ALL": "C", "TERM": "xterm"}),
    ([], (40, 100), {"LC_ALL": "xx_XX.UTF-8", "TERM": "xterm"}),
    ([], (40, 100), {"LC_ALL": "C.UTF-8", "TERM": "dumb"}),
    ([], (40, 100), {"LC_ALL": "C.UTF-8", "TERM": None}),
])
def test_qr_code_is_left_out_where_it_cannot_be_read(node, options, size, env):
    with create_at_terminal(node, *options, size=size, env=env) as person:
        read_key(person)
        person.expect("Type group")
        assert not set("█▀▄") & set(person.screen)
        person.press(b"\x03")
        assert person.end().status == ERRORS["interrupted"].status


# ---- the sheet ----

class Printer:
    """Takes what comes by a pipe, as a spooler does: to its end."""

    def __init__(self):
        self._reader, self.fd = os.pipe()
        self.page = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        while data := os.read(self._reader, 65536):
            self.page += data

    def hand_out(self):
        """Our own end of the pipe is closed: the page ends when zseal ends it."""
        os.close(self.fd)
        self.fd = None

    def wait(self):
        self._thread.join(60)
        assert not self._thread.is_alive(), "the page has no end"
        return self.page

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
        self._thread.join(60)
        os.close(self._reader)


@pytest.fixture
def printer():
    with contextlib.closing(Printer()) as made:
        yield made


def create_with_sheet(node, printer, *argv):
    argv = ["zseal", "create", "--recovery-sheet-fd", str(printer.fd), "-m", "none", *argv, "tank", node.world.disk(1)]
    done = node.run(argv, pass_fds=(printer.fd,))
    printer.hand_out()
    page = printer.wait()
    groups = re.findall(rb"\(([cbdefghijklnrtuv]{6})\)", page)
    key = b"-".join(groups).decode()
    if key:
        keep_recovery_key_secret(node.world, key)
        assert_nothing_secret(node.world, "the output", done.stdout + done.stderr)
    return Result(done.returncode, done.stdout, done.stderr), page, key


def test_sheet_has_the_key_and_all_that_is_needed(node, printer, tmp_path):
    result, page, key = create_with_sheet(node, printer, "--json")
    made = assert_done(result).json
    assert re.fullmatch(KEY, key)
    text = " ".join(ghostscript(page, "-sDEVICE=txtwrite", "-sOutputFile=-").split())
    for number, group in enumerate(key.split("-"), 1):
        assert f"{number} {group}" in text
    for words in ("zseal recovery key", "tank", made["keyring"], made["fingerprint"],
                  "Whoever reads this page owns the data", "zseal unlock --recovery tank", "zseal recover tank",
                  f"/var/lib/zseal/header/{made['keyring']}", "docs/without-zseal.md"):
        assert words in text, words
    assert re.search(r"made +20\d\d-\d\d-\d\d", text)
    ghostscript(page, "-sDEVICE=pnggray", "-r150", f"-sOutputFile={tmp_path / 'sheet.png'}")
    assert decode(tmp_path / "sheet.png") == key.upper()
    lock(node, "tank")
    assert_opens_with_key(node, "tank", key)


def test_sheet_is_one_page_that_fits_both_papers(node, printer):
    _, page, _ = create_with_sheet(node, printer)
    # on a sheet with room on all sides, since what is outside of a page is not counted
    said = ghostscript(b"1000 1000 translate\n" + page, "-dDEVICEWIDTHPOINTS=3000", "-dDEVICEHEIGHTPOINTS=3000",
                       "-sDEVICE=bbox")
    assert said.count("%%BoundingBox") == 1
    left, bottom, right, top = (int(n) - 1000 for n in re.search(r"%%BoundingBox: (\d+) (\d+) (\d+) (\d+)", said).groups())
    a4_width, letter_height, margin = 595, 792, 50
    assert left >= margin and bottom >= margin and right <= a4_width - margin and top <= letter_height - margin


def test_sheet_without_a_terminal_hands_over_but_tests_nothing(node, printer):
    result, _, _ = create_with_sheet(node, printer)
    assert_done(result)
    slots = assert_done(zseal(node, "slot", "list")).stdout
    assert re.search(r"recovery +recovery .*tested here: never", slots), slots


def test_sheet_is_printed_before_the_key_is_typed_back(node, printer):
    """A printer that jams is noticed while the key is on the screen."""
    with create_at_terminal(node, "--recovery-sheet-fd", str(printer.fd), "--no-qr",
                            pass_fds=(printer.fd,)) as person:
        printer.hand_out()
        key = read_key(person)
        person.expect("Type group")
        assert b"%%EOF" in printer.wait()
        person.press(b"\x03")
        assert person.end().status == ERRORS["interrupted"].status
    assert key.split("-")[7].encode() in printer.page
    assert_nothing_was_made(node)


@pytest.mark.parametrize("option", ["--recovery-sheet-fd", "--recovery-to-fd"])
def test_key_is_not_written_to_a_disk(node, option, tmp_path):
    with open(tmp_path / "key", "wb") as file:
        fd = file.fileno()
        result = zseal(node, "create", option, str(fd), "-m", "none", "tank", node.world.disk(1), pass_fds=(fd,))
    assert_refused(result, "usage", f"{option} {fd}", "is on a disk", f"{fd}> >(lp)")
    assert (tmp_path / "key").read_bytes() == b""
    assert_nothing_was_made(node)


def test_key_and_sheet_need_a_descriptor_each(node):
    result = zseal(node, "create", "--recovery-sheet-fd", "1", "--recovery-to-fd", "1", "tank", node.world.disk(1))
    assert_refused(result, "usage", "a descriptor for each")
    assert_nothing_was_made(node)


@pytest.mark.parametrize("option", ["--recovery-sheet-fd", "--recovery-to-fd"])
def test_reader_that_has_gone_makes_no_pool(node, option):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = zseal(node, "create", option, str(writer), "-m", "none", "tank", node.world.disk(1),
                       pass_fds=(writer,))
    finally:
        os.close(writer)
    assert_refused(result, "output", f"descriptor {writer}")
    assert_nothing_was_made(node)


# ---- answers, good and bad ----

@pytest.fixture(scope="module")
def machine():
    """One with a pool, for all that only asks it."""
    with new_world(zfs_versions()[0]) as world:
        made = world.node()
        made.tank = create_pool(made)
        yield made


@pytest.fixture(name="shut")
def fixture_shut(machine):
    """The pool is locked, and at the end still opens, by its TPM slot."""
    if not is_locked(machine, "tank"):
        lock(machine, "tank")
    yield machine
    assert_opens(machine, "tank")


def unlock_with(shut, given, option, **kw):
    with pipe_with(given) as fd:
        return zseal(shut, "unlock", "tank", option, str(fd), pass_fds=(fd,), **kw)


SLIP = "Zwetschgenknödel!"  # so that it can be looked for


@pytest.mark.parametrize("option, given, name", [
    ("--pin-fd", "12\n", "answer-rules"),
    ("--pin-fd", SLIP * 9 + "\n", "answer-rules"),
    ("--pin-fd", SLIP + "\x1b[D\n", "answer-rules"),
    ("--pin-fd", "12\x0034\n", "answer-rules"),
    ("--pin-fd", "", "no-input"),
    ("--passphrase-fd", "\n", "no-input"),
    ("--passphrase-fd", "short\n", "answer-rules"),
    ("--passphrase-fd", SLIP * 40 + "\n", "answer-rules"),
    ("--passphrase-fd", SLIP * 80 + "\n", "io"),
    ("--recovery-fd", SLIP + "\n", "recovery-typo"),
    ("--recovery-fd", "\x00\n", "recovery-typo"),
    ("--recovery-fd", "c" * 2000, "io"),
], ids=itertools.count())
def test_what_cannot_be_an_answer_is_not_tried(shut, option, given, name):
    shut.tpm.log_clear()
    result = unlock_with(shut, given, option)
    assert_refused(result, name, option)
    assert SLIP[:4] not in result.stdout + result.stderr
    assert is_locked(shut, "tank") and not shut.tpm.log()


@pytest.fixture
def credentials(shut):
    """A machine's folder of credentials, and the environment that names it."""
    run(shut, "sh", "-c", "rm -rf /run/credentials && mkdir -m 700 -p /run/credentials/zseal.service")
    return "/run/credentials/zseal.service", {"CREDENTIALS_DIRECTORY": "/run/credentials/zseal.service"}


def test_recovery_key_as_a_credential(shut, credentials):
    folder, env = credentials
    shut.path(f"{folder}/key").write_text(shut.tank.recovery_key + "\n", encoding="ascii")
    assert_done(zseal(shut, "unlock", "tank", "--recovery-credential", "key", env=env))
    assert not is_locked(shut, "tank")


@pytest.mark.parametrize("make, words", [
    ("true", ["opening it", "No such file"]),
    ("mkdir it", ["no regular file"]),
    ("mkfifo it", ["no regular file"]),
    ("echo cccccc > other; ln -s other it", ["opening it", "symbolic links"]),
    ("head -c 1100 /dev/zero | tr '\\0' c > it", ["more than 1024 bytes"]),
    ("echo > it", ["empty"]),
    ("echo cccccc > it; chmod 666 it", ["mode 0666"]),
    ("echo cccccc > it; chown 1 it", ["user 1"]),
    ("echo cccccc > it; chmod 777 .", ["mode 0777"]),
])
def test_credential_that_cannot_be_had(shut, credentials, make, words):
    folder, env = credentials
    run(shut, "sh", "-c", make, cwd=folder)
    result = zseal(shut, "unlock", "tank", "--recovery-credential", "it", env=env)
    assert_refused(result, "credential", "--recovery-credential", "credential it", *words)
    assert "cccccc" not in result.stdout + result.stderr
    assert is_locked(shut, "tank")


def test_credential_without_systemd_and_names_that_leave_the_folder(shut, credentials):
    _, env = credentials
    result = zseal(shut, "unlock", "tank", "--pin-credential", "it")
    assert_refused(result, "credential", "CREDENTIALS_DIRECTORY is not set", "LoadCredential=", "SetCredentialEncrypted=")
    for name in ("../key", ".key", "/etc/passwd", ""):
        assert_refused(zseal(shut, "unlock", "tank", "--pin-credential", name, env=env), "usage",
                       f"'{name}' is no credential's name")


def test_one_source_for_each_kind(shut):
    result = zseal(shut, "unlock", "tank", "--pin", "--pin-fd", "0", input="1234\n")
    assert_refused(result, "usage", "--pin, --pin-fd and --pin-credential: one of them")
    assert is_locked(shut, "tank")


def test_several_kinds_at_once_the_right_one_opens(shut):
    """The pool has no slot for two of them: they harm nothing."""
    with pipe_with(f"{shut.tank.recovery_key}\ncorrect horse\n1234\n") as fd:
        result = zseal(shut, "unlock", "tank", "--pin-fd", str(fd), "--recovery-fd", str(fd), "--passphrase-fd", str(fd),
                       pass_fds=(fd,))
    assert "(slot recovery)" in assert_done(result).stdout
    assert not is_locked(shut, "tank")


# ---- a person who does not finish ----

@pytest.mark.parametrize("option, prompt", [("--recovery", "Recovery key .*: "), ("--passphrase", "Passphrase: "),
                                            ("--pin", "PIN: ")])
@pytest.mark.parametrize("keys, name", [(b"tre\x03", "interrupted"), (b"tre\x1c", "interrupted"), (b"\x04", "no-input")])
def test_unfinished_answer(shut, option, prompt, keys, name):
    with zseal_at_terminal(shut, "unlock", option, "tank") as person:
        person.expect(prompt)
        assert not person.echoes()
        person.press(keys)
        person.expect(ERRORS[name].sentence)
        assert person.echoes()
        result = person.end()
    assert result.status == ERRORS[name].status
    assert_said(result.stdout, name)
    assert "tre" not in result.stdout
    assert is_locked(shut, "tank")


def test_terminal_that_goes_away_ends_zseal(shut):
    person = zseal_at_terminal(shut, "unlock", "--recovery", "tank")
    process = person._process  # pylint: disable=protected-access
    try:
        person.expect("Recovery key .*: ")
        person.press(b"tre")
        os.close(person._slave)  # pylint: disable=protected-access
        os.close(person._master)  # pylint: disable=protected-access
        assert process.wait(60) == ERRORS["interrupted"].status
    finally:
        process.kill()
        process.wait()
    assert is_locked(shut, "tank")


def test_hangup_gives_the_terminal_back(shut):
    with zseal_at_terminal(shut, "unlock", "--pin", "tank") as person:
        person.expect("PIN: ")
        person.press(b"12")
        os.kill(person._process.pid, signal.SIGHUP)  # pylint: disable=protected-access
        person.expect(ERRORS["interrupted"].sentence)
        assert person.echoes()
        assert person.end().status == ERRORS["interrupted"].status


def test_three_tries_and_no_more(shut):
    with zseal_at_terminal(shut, "unlock", "--recovery", "tank") as person:
        for _ in range(3):
            person.expect("Recovery key .*: ")
            person.type(mistype(shut.tank.recovery_key, 2))
            person.expect("group 2 of 8")
        result = person.end()
    assert result.status == ERRORS["recovery-typo"].status
    assert_nothing_secret(shut.world, "the screen", result.stdout)
    assert is_locked(shut, "tank")
