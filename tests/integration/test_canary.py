# SPDX-License-Identifier: MIT
"""Nothing secret is anywhere: not in what zseal prints, logs or keeps, not on the disks, not in arguments, environment
or system calls, not in a core dump, and not in its memory when it ends. Each search has a control that it finds.
"""
import base64
import json
import os
import re
import subprocess
from types import SimpleNamespace

import pytest
import vaulting
from canaries import Search, memory_of, secrets_of, spellings
from conftest import (Dialogue, Pool, World, assert_done, is_locked, one_zfs, pipe_with, run, zfs_versions,
                      zseal)
from figures import count
from steps import EXIT, SANITIZED, environment, needs_strace, programs, run_with_pause, steps_of
from verbs import PASSPHRASE, VERBS, make_tank, prepared, run_verb

pytestmark = needs_strace

NOBODY = 65534


# ---- a day in the life of a pool, and what it left ----

def run_noted(node, said, *argv, **kw):
    """Each program under strace: its arguments and environment, and those of its children."""
    trace = node.folder / f"exec.{len(said)}"
    done = node.run(["strace", "-f", "-qq", "-v", "-s", "200000", "-e", "trace=execve", "-o", trace, *argv],
                    env=environment(), **kw)
    said.append((argv, done.stdout + done.stderr))
    return done


def create_noted(node, said, *options):
    reader, writer = os.pipe()
    try:
        done = run_noted(node, said, "zseal", "create", "--recovery-to-fd", str(writer), "-m", "none", "--json",
                         *options, pass_fds=(writer,))
        assert done.returncode == 0, done
        made = json.loads(done.stdout)
        return Pool(made["pool"], os.read(reader, 4096).decode().strip(), made["fingerprint"], made["keyring"])
    finally:
        os.close(reader)
        os.close(writer)


def live_a_day(node, said):
    """Everything that zseal does, and some things that it refuses."""
    tank = create_noted(node, said, "tank", node.world.disk(1))
    for arguments in ("status", "status --json", "slot list", "header backup tank", "header backup -o - tank",
                      "header verify tank", "lock tank", "unlock tank", "unlock tank --json", "lock --all",
                      "unlock --all", "lock tank", "create --no-tpm --recovery-to-fd 1 tank2 /nowhere",
                      "unlock --recovery tank", "unlock --recovery-fd 77 tank"):
        run_noted(node, said, "zseal", *arguments.split())
    with pipe_with(tank.recovery_key + "\n") as fd:
        run_noted(node, said, "zseal", "unlock", "--recovery-fd", str(fd), "tank", pass_fds=(fd,))
    assert not is_locked(node, "tank")
    wrong = tank.recovery_key[:-1] + ("b" if tank.recovery_key[-1] != "b" else "c")
    for key in (wrong, tank.recovery_key + "x", tank.recovery_key[:20], "hello"):
        run_noted(node, said, "zseal", "lock", "tank")
        with pipe_with(key + "\n") as fd:
            done = run_noted(node, said, "zseal", "unlock", "--recovery-fd", str(fd), "tank", pass_fds=(fd,))
        assert done.returncode
    run(node, "zfs", "inherit", "zseal:keyring", "tank")
    with pipe_with(tank.recovery_key + "\n") as fd:
        run_noted(node, said, "zseal", "header", "restore", "--recovery-fd", str(fd), "tank", pass_fds=(fd,))
    node.tpm.change_boot_chain()
    run_noted(node, said, "zseal", "unlock", "tank")
    node.tpm.off()
    run_noted(node, said, "zseal", "unlock", "tank")
    with Dialogue(node, ["zseal", "unlock", "--recovery", "tank"]) as person:
        person.expect("Recovery key")
        person.type(tank.recovery_key)
        assert_done(person.end())
    said.append((("zseal", "at a terminal"), person.screen))
    node.tpm.on()
    return tank


@pytest.fixture(scope="module")
def day():
    """A machine after such a day, still on, and every secret of its pool."""
    with World(zfs=zfs_versions()[0], disks=2, disk_size="128M") as world:
        world.secrets = set()
        node, said = world.node(), []
        tank = live_a_day(node, said)
        secrets = secrets_of(node, tank)
        yield SimpleNamespace(node=node, tank=tank, said=said, secrets=secrets, search=Search(secrets))


def test_the_search_finds_each_secret_in_each_spelling(day, tmp_path):
    assert len(day.secrets) >= 12 and all(len(secret) >= 20 for secret in day.secrets.values())
    for name, secret in day.secrets.items():
        for spelling in spellings(secret):
            assert len(spelling) >= 20
            assert day.search.in_bytes(b"x" + spelling + b"y") == {name}
    with open(tmp_path / "planted", "wb") as file:
        file.seek(100 << 20)
        file.write(b"x" * ((1 << 20) - 10) + day.secrets["keyring key"] + b"y")
    assert day.search.in_folder(tmp_path) == {str(tmp_path / "planted"): {"keyring key"}}
    for before in range(4):
        inside = base64.b64encode(b"x" * before + day.secrets["keyring key"] + b"yz")
        assert day.search.in_bytes(inside) == {"keyring key"}
    assert not day.search.in_bytes(os.urandom(100_000))


def test_nothing_secret_was_printed(day):
    assert len(day.said) > 20
    for argv, text in day.said:
        assert not day.search.in_text(text), argv


def test_nothing_secret_is_in_the_journal(day):
    entries = day.node.journal()
    assert len(entries) > 10
    for entry in entries:
        assert not day.search.in_text(json.dumps(entry)), entry
        for value in entry.values():
            assert not day.search.in_text(value if isinstance(value, str) else json.dumps(value)), entry


def test_nothing_secret_is_in_arguments_or_environment(day):
    traces = sorted(day.node.folder.glob("exec.*"))
    assert len(traces) > 20 and "zpool" in traces[0].read_text()
    for trace in traces:
        text = trace.read_text()
        assert '"...' not in text, "strace cut something"
        assert not day.search.in_text(text), trace


def test_nothing_secret_is_on_any_disk_or_in_any_file(day):
    """All that a thief of the powered-off machine gets, the pool's disks and the TPM's own memory included; and what is
    in memory only."""
    node = day.node
    pool = b"".join(run(node, *argv).encode() for argv in (["zpool", "history", "-il", "tank"],
                                                           ["zfs", "get", "-rHp", "all", "tank"]))
    assert b"zseal:keyring" in pool and not day.search.in_bytes(pool)
    run(node, "zpool", "sync", "tank")
    assert (node.folder / "etc/zseal/pins").exists() and list((node.folder / "var/lib/zseal").rglob("1"))
    assert not day.search.in_folder(node.world.path)
    for folder in ("/run", "/etc", "/var/lib/zseal", "/dev/shm"):
        assert not day.search.in_folder(node.path(folder))


def test_the_pool_is_as_it_was(day):
    """The day was a real one."""
    assert not is_locked(day.node, "tank")
    assert assert_done(zseal(day.node, "header", "verify", "tank", "--recovery-fd", "0",
                             input=day.tank.recovery_key + "\n"))


# ---- what goes in and out of the process ----

def data_of_calls(node, argv, **kw):
    """(system call, all its bytes) of a program and its children."""
    log = node.folder / "calls"
    calls = "trace=read,write,sendto,recvfrom,sendmsg,recvmsg,pread64,pwrite64,writev,readv,execve,connect"
    done = node.run(["strace", "-f", "-qq", "-xx", "-s", "200000", "-e", calls, "-o", log, *argv],
                    env=environment(), **kw)
    assert done.returncode == 0, done
    found = []
    for line in log.read_text().splitlines():
        call = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
        data = b"\0".join(bytes.fromhex(text.replace("\\x", "")) for text in re.findall(r'"((?:\\x..)*)"', line))
        found.append((call[1] if call else "", data))
    log.unlink()
    return found


def calls_with_secrets(search, calls):
    found = {}
    for call, data in calls:
        for name in search.in_bytes(data):
            found.setdefault(name, set()).add(call)
    return found


@one_zfs
def test_what_passes_between_processes(world):
    """The wrapping key goes to ZFS, the recovery key to its owner, and nothing else goes anywhere: not over the TPM's
    bus either. That these two are seen shows that the search sees."""
    node = world.node()
    node.start()
    reader, writer = os.pipe()
    argv = ["zseal", "create", "--recovery-to-fd", str(writer), "-m", "none", "--json", "tank", world.disk(1)]
    made = data_of_calls(node, argv, pass_fds=(writer,))
    key = os.read(reader, 4096).decode().strip()
    os.close(reader)
    os.close(writer)
    keyring = json.loads(assert_done(zseal(node, "status", "--json")).stdout)["keyrings"][0]["uuid"]
    tank = Pool("tank", key, "", keyring)
    search = Search(secrets_of(node, tank))
    found = calls_with_secrets(search, made)
    assert found.keys() == {"wrapping key", "recovery key as text"}, found
    assert "write" in found["wrapping key"] and found["recovery key as text"] == {"write"}
    run(node, "zfs", "unload-key", "tank")
    found = calls_with_secrets(search, data_of_calls(node, ["zseal", "unlock", "tank"]))
    assert found.keys() == {"wrapping key"}, found
    assert not found["wrapping key"] & {"write", "read", "execve"}, "but by /dev/zfs"
    assert not is_locked(node, "tank")


# ---- the process itself ----

def pool_with_secrets(node):
    said = []
    tank = create_noted(node, said, "tank", node.world.disk(1))
    return tank, Search(secrets_of(node, tank))


def pause(node, argv, step, look, **kw):
    """What look(pid) says of the process that waits there, and how it ended."""
    found = []

    def action():
        pid, = [pid for pid in programs(node, "zseal") if _state(pid) in "tT"]
        found.append(look(pid))
    ended, paused = run_with_pause(node, argv, step, action, **kw)
    assert paused and ended.status == 0, ended
    return found[0]


def _state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


if not SANITIZED:
    # A sanitizer keeps freed memory, needs a process that may be traced, and ends crashes itself.

    def test_memory_is_clean_when_zseal_ends(world):
        node = world.node()
        tank, search = pool_with_secrets(node)
        run(node, "zfs", "unload-key", "tank")
        steps, ended = steps_of(node, ["zseal", "unlock", "tank"])
        assert ended.status == 0
        run(node, "zfs", "unload-key", "tank")
        load = [step for step in steps if step.call == "sendmsg"][-1]
        seen = pause(node, ["zseal", "unlock", "tank"], load, search.in_memory)
        assert "wrapping key" in set().union(*seen.values()), "the control: it is there when ZFS gets it"
        last = last_words(steps)
        run(node, "zfs", "unload-key", "tank")
        assert not pause(node, ["zseal", "unlock", "tank"], last, search.in_memory)
        run(node, "zfs", "unload-key", "tank")
        for verb in ("unlock", "header verify"):
            key = tank.recovery_key + "\n"
            with pipe_with(key + key) as fd:
                argv = ["zseal", *verb.split(), "--recovery-fd", str(fd), "tank"]
                steps, _ = steps_of(node, argv, pass_fds=(fd,))
                node.run(["zfs", "unload-key", "tank"])
                assert not pause(node, argv, last_words(steps), search.in_memory, pass_fds=(fd,))

    def last_words(steps):
        """Standard output is written when all else is done and given back."""
        return [step for step in steps if step.call == "write"][-1]

    def test_memory_is_clean_when_create_ends(world):
        """Its secrets are known only afterwards: the memory is kept until then."""
        node = world.node()
        node.start()
        (reader, writer), (sheet_reader, sheet_writer) = os.pipe(), os.pipe()
        fds = (writer, sheet_writer)
        argv = ["zseal", "create", "--recovery-to-fd", str(writer), "--recovery-sheet-fd", str(sheet_writer), "-m",
                "none", "tank", world.disk(1)]
        for _ in range(2):  # the first makes the TPM's storage root key: its steps are others
            steps, ended = steps_of(node, argv, pass_fds=fds)
            assert ended.status == 0
            run(node, "zpool", "destroy", "tank")
            os.read(reader, 4096)
            os.read(sheet_reader, 65536)
        memory = pause(node, argv, last_words(steps), _whole_memory, pass_fds=fds)
        key, sheet = os.read(reader, 4096).decode().strip(), os.read(sheet_reader, 65536)
        for fd in (reader, sheet_reader, *fds):
            os.close(fd)
        keyring = json.loads(assert_done(zseal(node, "status", "--json")).stdout)["keyrings"][0]["uuid"]
        search = Search(secrets_of(node, Pool("tank", key, "", keyring)) | pictures_of(sheet))
        assert "QR code in bits" in search.in_bytes(sheet), "the control: the sheet has it"
        assert keyring.encode() in memory or b"tank" in memory, "the control: it is zseal's memory"
        assert not search.in_bytes(memory)

    def pictures_of(sheet):
        """The QR code of a sheet as it may lie in memory: the rows in its middle, since its corners are the same for all
        codes; as the sheet has them, and a byte for each module."""
        bits = bytes.fromhex(re.search(rb"{<([0-9a-f]+)>}", sheet)[1].decode())
        rows = [bits[y * 4:y * 4 + 4] for y in range(9, 20)]
        modules = "".join(f"{int.from_bytes(row, 'big'):032b}"[:29] for row in rows)
        return {"QR code in bits": b"".join(rows), "QR code in bytes": bytes(map(int, modules))}

    def _whole_memory(pid):
        parts = []
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in maps:
                start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
                if line.split()[1].startswith("rw"):
                    memory.seek(start)
                    parts.append(memory.read(end - start))
        return b"\0".join(parts)

    def regions_at(node, verb, step):
        """A verb's memory at a call, as memory_of() gives it."""
        found = []

        def look():
            pid, = [pid for pid in programs(node, "zseal") if _state(pid) in "tT"]
            found.extend(memory_of(pid))
        with prepared(node, verb) as (argv, fds):
            _, paused = run_with_pause(node, argv, step, look, pass_fds=fds)
        assert paused
        return found

    def search_for(node, verb):
        """All secrets of the pool that the verb left, a slot that it added included."""
        tank = node.tank if not verb.shows else node.tank._replace(recovery_key=node.shown, keyring=keyring_of(node))
        of_vault = {} if not node.vault else {"token": node.vault.token.encode(), "secret_id": vaulting.kept_secret_id(
            node).encode()}
        return Search(secrets_of(node, tank) | {"passphrase": PASSPHRASE.encode()} | of_vault)

    def keyring_of(node):
        return assert_done(zseal(node, "status", "--json")).json["keyrings"][0]["uuid"]

    @pytest.mark.parametrize("verb", VERBS, ids=str)
    @one_zfs
    def test_nothing_is_left_in_memory_at_the_end(world, verb):
        """At the last call of all, when the libraries have given back what was theirs; the stack as well."""
        node = world.node()
        make_tank(node)
        run_verb(node, verb)
        regions = regions_at(node, verb, EXIT)
        search = search_for(node, verb)
        assert any("[stack]" in region.line for region in regions) and any(b"zseal" in r.data for r in regions)
        assert not [(region.line, found) for region in regions if (found := search.in_bytes(region.data))]
        count("searches of memory for secrets", searches=1, finds=0)

    @pytest.mark.parametrize("words, call, after", [("unlock tank", "sendto", None), ("create", "clone", "renameat")])
    @one_zfs
    def test_in_the_middle_keys_are_in_secrets_alone(world, words, call, after):
        """While no library has one in its hands: unlock tells the journal that the keyring is open; create, which has
        written its header's copy, starts zpool."""
        node = world.node()
        make_tank(node)
        verb = next(verb for verb in VERBS if verb.words == words)
        with prepared(node, verb) as (argv, fds):
            steps, ended = steps_of(node, argv, pass_fds=fds)
        assert ended.status == 0
        begin = next(i for i, step in enumerate(steps) if after in (None, step.call))
        step = next(step for step in steps[begin:] if step.call == call)
        regions = regions_at(node, verb, step)
        search = search_for(node, verb)
        found = [(region, search.in_bytes(region.data)) for region in regions]
        assert set().union(*(names for region, names in found if region.is_of_a_secret)), "the control: they are there"
        assert not [(region.line, names) for region, names in found if names and not region.is_of_a_secret]

    @one_zfs
    def test_no_core_and_no_debugger(world):
        """No core size, and not dumpable: what belongs to the process belongs to root, even when nobody runs it."""
        node = world.node()
        node.start()
        argv = ["--user=nobody", "zseal", "status"]  # strace itself has to be root, to write its log
        steps, _ = steps_of(node, argv)
        middle = steps[len(steps) // 2]

        def look(pid):
            with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
                core = re.search(r"Max core file size +(\S+) +(\S+)", limits.read())
            debugger = subprocess.run(["strace", "-p", str(pid)], user=NOBODY, capture_output=True, timeout=60,
                                      check=False)
            return core.groups(), os.stat(f"/proc/{pid}/mem").st_uid, debugger.returncode
        core, owner, debugger = pause(node, argv, middle, look)
        assert core == ("0", "0") and owner == 0 and debugger != 0

    @one_zfs
    def test_a_crash_leaves_no_core(world, tmp_path):
        node = world.node()
        node.start()
        log = tmp_path / "log"
        inject = ["strace", "-qq", "-o", log, "-e", "trace=write", "-e", "inject=write:signal=SIGSEGV:when=1"]
        line = 'ulimit -c unlimited; cd "$0"; "$@"; :'
        node.run(["bash", "-c", line, tmp_path, *inject, "cat", "/etc/hostname"])
        control = "core dumped" in log.read_text()
        for left in tmp_path.glob("core*"):
            left.unlink()
        node.run(["bash", "-c", line, tmp_path, *inject, "zseal", "version"])
        assert "killed by SIGSEGV" in log.read_text() and "core dumped" not in log.read_text()
        assert not list(tmp_path.glob("core*"))
        if not control:
            pytest.skip("this machine can't: it writes no core of any program, so that the test could not have failed")
