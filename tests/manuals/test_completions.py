# SPDX-License-Identifier: MIT
"""The completions of bash, zsh and fish: each shell is run, and offers what --help says, what ZFS has, nothing else.

ZFS is a script here that says what a pool has; it is the only program that completions run.
"""
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from manuals import FIXTURES, MADE, ROOT, TIMEOUT_S, ZSEAL, options, run, verbs

installed, share = FIXTURES

SHELLS = ["bash", "zsh", "fish"]
DATASETS = ["tank", "tank/data", "tank/vm", "tank/vm/disk", "tank/x:y"]
SLOTS = ["recovery", "tpm2-a", "tpm2-b"]

ZFS = rf"""#!/bin/sh
case $1 in
list) printf '%s\n' {' '.join(f'"{name}"' for name in DATASETS)} ;;
get) printf 'type\nmounted\nzseal:keyring\n'; printf 'zseal:slot.%s\n' {' '.join(SLOTS)}; echo zseal:key ;;
*) exit 1 ;;
esac
echo "$*" >>"$ZFS_ASKED"
"""

# The words as readline cuts them; an error goes to standard error, where run() finds it.
BASH = r"""
source "$1"
shift
compopt() { :; } # there is no line that it could be about
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_zseal
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"""


class Shells:
    """offered() gives what a shell offers for the last word of a line."""

    def __init__(self, folder, shared):
        self.folder = folder
        self.asked = folder / "asked"
        (folder / "bin").mkdir()
        self.zfs = folder / "bin/zfs"
        self.zfs.write_text(ZFS)
        self.zfs.chmod(0o755)
        (folder / "bin/zseal").symlink_to(ZSEAL)
        (folder / "here/below").mkdir(parents=True)
        (folder / "here/file").touch()
        self.environment = dict(os.environ, PATH=f"{folder}/bin:/usr/bin:/bin", ZFS_ASKED=str(self.asked), TERM="xterm",
                                HOME=str(folder), XDG_CONFIG_HOME=str(folder), LC_ALL="C.UTF-8",
                                ZSH_DUMP=str(shared / "zsh-dump"))

    def run(self, *argv):
        return run(*argv, env=self.environment, cwd=self.folder / "here")

    def offered(self, shell, line):
        return {word.removesuffix("/") for word in getattr(self, shell)(line).splitlines()}

    def offered_arguments(self, shell, line):
        """zsh offers options where no argument is left."""
        return {word for word in self.offered(shell, line) if not word.startswith("-")}

    def bash(self, line):
        return self.run("bash", "--norc", "-c", BASH, "bash", MADE / "zseal", *line.split(" "))

    def zsh(self, line):
        return self.run("zsh", "-f", ROOT / "tests/manuals/capture.zsh", MADE, line).replace("\\", "")

    def fish(self, line):
        said = self.run("fish", "--no-config", "-c", f"source {MADE / 'zseal.fish'}; complete -C '{line}'")
        return "\n".join(row.split("\t")[0] for row in said.splitlines())


@pytest.fixture
def shells(tmp_path, tmp_path_factory):
    return Shells(tmp_path, tmp_path_factory.getbasetemp())


each_shell = pytest.mark.parametrize("shell", SHELLS)


@each_shell
def test_first_words(shells, shell):
    first = {verb.split()[0] for verb in verbs()}
    assert shells.offered(shell, "zseal ") - {"--help", "--version"} == first
    assert shells.offered(shell, "zseal unl") == {"unlock"}
    assert shells.offered(shell, "zseal x") == set()


@each_shell
@pytest.mark.parametrize("group", sorted({verb.split()[0] for verb in verbs() if " " in verb}))
def test_second_words(shells, shell, group):
    second = {verb.split()[1] for verb in verbs() if verb.startswith(f"{group} ")}
    assert shells.offered(shell, f"zseal {group} ") == second
    assert not shells.asked.exists()


@each_shell
@pytest.mark.parametrize("verb", verbs())
def test_options_are_those_of_help(shells, shell, verb):
    assert shells.offered(shell, f"zseal {verb} --") == {option.name for option in options(verb) if option.name}


@each_shell
def test_letters(shells, shell):
    """fish offers long ones beside, zsh what the letter stands for."""
    offered = shells.offered(shell, "zseal create -")
    assert {"-f", "-d", "-o", "-O", "-m", "-R"} <= offered


@each_shell
def test_datasets(shells, shell):
    assert shells.offered(shell, "zseal unlock ") == set(DATASETS)
    assert shells.offered(shell, "zseal status tank tank/vm/") == {"tank/vm/disk"}
    assert shells.offered(shell, "zseal unlock --recovery --config x t") == set(DATASETS)
    assert shells.offered(shell, "zseal header backup t") == set(DATASETS)
    assert shells.offered_arguments(shell, "zseal header backup tank t") == set(), "it takes one"
    assert set(shells.asked.read_text().splitlines()) == {"list -H -o name -t filesystem,volume"}


@each_shell
def test_slots(shells, shell):
    assert shells.offered(shell, "zseal slot remove tank ") == set(SLOTS)
    assert shells.offered(shell, "zseal slot test tank recovery tp") == {"tpm2-a", "tpm2-b"}
    assert shells.offered(shell, "zseal slot reseal --pin tank ") == set(SLOTS)
    assert shells.offered_arguments(shell, "zseal slot reseal tank tpm2-a ") == set()
    assert shells.offered(shell, "zseal repair tank --drop ") == set(SLOTS)
    assert "get -H -o property all tank" in shells.asked.read_text().splitlines()


@each_shell
def test_types(shells, shell):
    assert shells.offered(shell, "zseal slot add tank ") == {"tpm2", "vault", "recovery", "passphrase"}
    assert shells.offered_arguments(shell, "zseal slot add tank tpm2 ") == set()


@each_shell
@pytest.mark.parametrize("line", ["header verify --from ", "header backup -o ", "adopt --key-file ",
                                  "status --config "])
def test_files(shells, shell, line):
    assert shells.offered(shell, f"zseal {line}") == {"file", "below"}


@each_shell
def test_folders(shells, shell):
    assert shells.offered(shell, "zseal create -R b") == {"below"}


@each_shell
@pytest.mark.parametrize("line", ["unlock --pin-fd ", "unlock --trust ", "create --slot-name ", "adopt --handle ",
                                  "create ", "unlock --pin-credential ", "version "])
def test_nothing_is_offered_for_what_only_a_person_knows(shells, shell, line):
    """A fingerprint above all: it is to be compared with the sheet."""
    assert shells.offered_arguments(shell, f"zseal {line}") == set()
    assert not shells.asked.exists()


@each_shell
def test_disks(shells, shell):
    assert {"mirror", "raidz2", "file", "below"} <= shells.offered(shell, "zseal create -o ashift=13 tank ")
    assert "mirror" in shells.offered(shell, "zseal create tank file mi")


@each_shell
def test_behind_the_pool_options_are_zpools(shells, shell):
    assert shells.offered(shell, "zseal create tank --") == set()


@each_shell
@pytest.mark.parametrize("script", ["exit 1", "echo broken >&2; exit 1"])
def test_where_zfs_fails_nothing_is_offered_or_said(shells, shell, script):
    shells.zfs.write_text(f"#!/bin/sh\n{script}\n")
    assert shells.offered(shell, "zseal unlock ") == set()
    assert shells.offered(shell, "zseal slot remove tank ") == set()


@each_shell
def test_without_zfs_nothing_is_offered_or_said(shells, shell):
    shells.zfs.unlink()
    if shutil.which("zfs", path="/usr/bin:/bin:/usr/sbin:/sbin"):
        pytest.skip("this machine can't: it has a zfs of its own")
    assert shells.offered(shell, "zseal unlock ") == set()


def test_bash_completes_behind_an_equals_sign(shells):
    """There, readline cuts."""
    assert shells.offered("bash", "zseal header verify --from = fi") == {"file"}
    assert shells.offered("bash", "zseal header verify --from =") == {"file", "below"}
    assert shells.offered("bash", "zseal header verify --from = file t") == set(DATASETS)


def test_fish_and_zsh_show_what_help_says(shells):
    said = shells.run("fish", "--no-config", "-c", f"source {MADE / 'zseal.fish'}; complete -C 'zseal unlock --'")
    zsh = (MADE / "_zseal").read_text()
    for option in options("unlock"):
        assert f"{option.name}\t{option.help}" in said.splitlines()
        assert f"[{option.help}]".replace(":", "\\:") in zsh


# ---- as a person has it ----

@pytest.mark.parametrize("first", [":", "source /usr/share/bash-completion/bash_completion"])
def test_bash_on_a_terminal(shells, first):
    """A person types, and presses tab."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(shells.folder / "here")
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"],
                   dict(shells.environment, PS1="> ", INPUTRC="/dev/null"))
    try:
        begin = f"{first}; source {MADE}/zseal; bind 'set enable-bracketed-paste off'; echo rea''dy\n"
        os.write(terminal, begin.encode())
        wait_for(terminal, r"[\r\n]ready\r?\n.*> ")
        os.write(terminal, b"zseal unl\tta\t/v\t")
        wait_for(terminal, r"zseal unlock tank/vm")
        os.write(terminal, b"\x15zseal header verify --from=fi\t")
        wait_for(terminal, r"--from=file ")
        if first != ":":
            os.write(terminal, b"\x15zseal unlock tank/x:\t")
            wait_for(terminal, r"tank/x:y ")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def wait_for(terminal, pattern):
    seen, end = "", time.monotonic() + TIMEOUT_S
    while not re.search(pattern, seen, re.S):
        ready = select.select([terminal], [], [], max(0, end - time.monotonic()))[0]
        assert ready, f"no {pattern!r} in {seen!r}"
        seen += os.read(terminal, 4096).decode().replace("\a", "")


def test_each_shell_finds_what_is_installed(shells, installed, share):
    """Where it looks by itself."""
    shells.environment["XDG_DATA_DIRS"] = str(share)
    shells.environment["BASH_COMPLETION_USER_DIR"] = str(shells.folder)
    assert "_zseal" in shells.run("bash", "--norc", "-c", "source /usr/share/bash-completion/bash_completion;"
                                                           " _completion_loader zseal; complete -p zseal")
    folder = next((share / "zsh").glob("*/_zseal")).parent
    assert f"/{folder.relative_to(installed)}" in shells.run("zsh", "-f", "-c", "print -l $fpath").splitlines()
    assert "unlock" in shells.run("fish", "-c", "complete -C 'zseal unl'")
