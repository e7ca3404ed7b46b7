# SPDX-License-Identifier: MIT
"""The lab is what the other tests stand on: that it refuses what it must, and that what is real in it is real."""
import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(LAB))

# pylint: disable=wrong-import-position
from tpm import commands
from world import LabError, ProgramError, World, zfs_versions

KEY = "0123456789abcdef0123456789abcdef"
WRONG_KEY = KEY[::-1]
CREATE = ["zpool", "create", "-O", "encryption=on", "-O", "keyformat=raw", "-O", "keylocation=prompt", "-O",
          "mountpoint=none"]
EACCES_EXIT_STATUS = 255
ENGINE_TIMEOUT_S = 20

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="this machine can't: only root can become another user")

# Compares what was read before with what is there now, and only then writes.
COMPARE_AND_SET = """
args = ...
argv = args["argv"]
if zfs.get_prop(argv[1], argv[2]) ~= argv[3] then return {refused = 1} end
assert(zfs.sync.set_prop(argv[1], argv[2], argv[4]) == 0)
return {done = 1}
"""


def check_quiet(world):
    """Neither the engine nor the supervisor had anything to complain about."""
    for name in ("engine.err", "supervisor.err"):
        for file in world.path.glob(f"nodes/*/{name}"):
            assert file.read_text() == ""


@pytest.fixture(name="world", params=zfs_versions())
def fixture_world(request):
    with World(zfs=request.param) as world:
        yield world
        check_quiet(world)


@pytest.fixture(name="node")
def fixture_node(world):
    return world.node()


@pytest.fixture(name="any_node")
def fixture_any_node():
    """For what has nothing to do with a version of ZFS."""
    with World() as world:
        yield world.node()
        check_quiet(world)


@pytest.fixture(name="pool")
def fixture_pool(world, node):
    node.run([*CREATE, "tank", world.disk(1)], input=KEY, check=True)
    return "tank"


def get(node, prop, dataset="tank"):
    return node.run(["zfs", "get", "-Ho", "value", prop, dataset], check=True).stdout.strip()


def processes_with(text):
    """Pids of all processes whose command line has the text."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


# ZFS


def test_the_version_asked_for_is_the_one_that_runs(world, node):
    user_space, module = node.run(["zfs", "version"], check=True).stdout.split()
    assert user_space.startswith(f"zfs-{world.zfs}-")
    assert module == f"zfs-kmod-{world.zfs}"


def test_lock_and_unlock(node, pool):
    assert get(node, "keystatus") == "available"
    node.run(["zfs", "unload-key", pool], check=True)
    assert get(node, "keystatus") == "unavailable"
    node.run(["zfs", "load-key", pool], input=KEY, check=True)
    assert get(node, "keystatus") == "available"


def test_wrong_key_is_refused(node, pool):
    node.run(["zfs", "unload-key", pool], check=True)
    done = node.run(["zfs", "load-key", pool], input=WRONG_KEY)
    assert done.returncode == EACCES_EXIT_STATUS
    assert "Incorrect key" in done.stderr
    assert get(node, "keystatus") == "unavailable"


def test_killed_engine_loses_nothing_but_keys(node, pool):
    node.run(["zfs", "create", "tank/data"], check=True)
    node.run(["zfs", "set", "org.example:note=kept", "tank/data"], check=True)
    node.engine.kill()
    assert node.run(["zpool", "list"]).returncode != 0
    node.engine.start()
    assert get(node, "org.example:note", "tank/data") == "kept"
    assert get(node, "keystatus") == "unavailable"
    node.run(["zfs", "load-key", pool], input=KEY, check=True)


def test_engine_killed_during_change_key_leaves_one_of_two_keys(node, pool):
    for round_number in range(8):
        with node.popen(["zfs", "change-key", pool], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
                        text=True) as change:
            change.stdin.write(WRONG_KEY if round_number % 2 == 0 else KEY)
            change.stdin.close()
            node.engine.restart()
        loads = [node.run(["zfs", "load-key", "-n", pool], input=key).returncode == 0 for key in (KEY, WRONG_KEY)]
        assert loads.count(True) == 1
        node.run(["zfs", "load-key", pool], input=KEY if loads[0] else WRONG_KEY, check=True)


def engine_has(node, pipe):
    """Has the engine got a descriptor of it by now?"""
    for link in Path(f"/proc/{node.engine.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(link.stat(), os.fstat(pipe)):
                return True
    return False


def wait_until_engine(node, has, pipe, program):
    deadline = time.monotonic() + ENGINE_TIMEOUT_S
    while engine_has(node, pipe) != has:
        assert time.monotonic() < deadline and (not has or program.poll() is None)


def kill_in_a_stream(node, argv, pipe, **kw):
    """Runs a program until the engine works on its stream, kills it, and waits until the engine has let go."""
    with node.popen(argv, stderr=subprocess.DEVNULL, **kw) as program:
        try:
            wait_until_engine(node, True, pipe, program)
        finally:
            program.kill()
    wait_until_engine(node, False, pipe, program)


@pytest.fixture(name="stream")
def fixture_stream(node, pool):
    """A raw stream of a volume."""
    node.run(["zfs", "create", "-V", "8M", f"{pool}/volume"], check=True)
    node.run(["zfs", "snapshot", f"{pool}/volume@1"], check=True)
    return subprocess.run(node.enter_command(["zfs", "send", "-w", f"{pool}/volume@1"]), stdout=subprocess.PIPE,
                          check=True).stdout


def test_killed_receive_ends_while_nobody_closes_the_pipe(node, stream):
    reading, writing = os.pipe()
    with open(reading), open(writing, "wb", buffering=0) as pipe:
        pipe.write(stream[:-400])
        kill_in_a_stream(node, ["zfs", "receive", "tank/copy"], reading, stdin=reading)
        node.run(["zpool", "export", "tank"], check=True)


@pytest.mark.usefixtures("stream")
def test_killed_send_ends_while_nobody_reads_the_pipe(node):
    reading, writing = os.pipe()
    with open(reading), open(writing, "wb", buffering=0) as pipe:
        pipe.write(bytes(fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)))
        kill_in_a_stream(node, ["zfs", "send", "-w", "tank/volume@1"], writing, stdout=writing)
        node.run(["zpool", "export", "tank"], check=True)


def test_two_engines_on_one_pool_are_refused(world, node, pool):
    other = world.node("b")
    imported = other.run(["zpool", "import", "-f", "-d", "/mnt", pool])
    assert imported.returncode != 0
    assert other.run(["zpool", "create", "-f", "-O", "mountpoint=none", "mine", world.disk(1)]).returncode != 0
    assert get(node, "keystatus") == "available"
    node.run(["zpool", "export", pool], check=True)
    other.run(["zpool", "import", pool], check=True)


def test_lock_on_disks_goes_with_the_engine(world, node, pool):
    node.engine.kill()
    world.node("b").run(["zpool", "import", "-f", pool], check=True)


def test_disks_move_to_another_machine(world, node, pool):
    node.stop()
    other = world.node("b")
    assert "Last accessed by a" in other.run(["zpool", "import", pool]).stderr
    other.run(["zpool", "import", "-f", pool], check=True)
    other.run(["zfs", "load-key", pool], input=KEY, check=True)
    assert get(other, "keystatus") == "available"


def test_machine_switched_off_stays_off(node):
    node.start()
    node.stop()
    with pytest.raises(LabError, match="switched off"):
        node.run(["true"])
    node.start()
    node.run(["true"], check=True)


@pytest.mark.parametrize("way", ["pipe", "file"])
def test_raw_send_and_receive(node, pool, way):
    node.run(["zfs", "create", "-o", "org.example:note=sent", "tank/data"], check=True)
    node.run(["zfs", "snapshot", "-r", "tank@1"], check=True)
    script = {"pipe": "zfs send -wR tank/data@1 | zfs receive tank/copy",
              "file": "zfs send -wR tank/data@1 > $TMPDIR/s && zfs receive tank/copy < $TMPDIR/s"}[way]
    node.run(["sh", "-c", script], check=True)
    assert get(node, "org.example:note", "tank/copy") == "sent"
    assert get(node, "keystatus", "tank/copy") == "unavailable"
    node.run(["zfs", "load-key", "-L", "prompt", "tank/copy"], input=KEY, check=True)
    # The holds of `send -R` end with the program.
    node.run(["zfs", "destroy", "tank/data@1"], check=True)
    assert pool == "tank"


def test_channel_program_compares_and_sets(node, pool):
    node.run(["zfs", "set", "org.example:x=1", pool], check=True)

    def compare_and_set(expected, value):
        return node.run(["zfs", "program", "-j", pool, "-", pool, "org.example:x", expected, value],
                        input=COMPARE_AND_SET, check=True).stdout
    assert "done" in compare_and_set("1", "2")
    assert "refused" in compare_and_set("1", "3")
    assert get(node, "org.example:x") == "2"


def test_history_is_written(node, pool):
    node.run(["zfs", "create", "tank/data"], check=True)
    assert "zfs create tank/data" in node.run(["zpool", "history", pool], check=True).stdout


def test_volume(node, pool):
    node.run(["zfs", "create", "-V", "8M", "-b", "16K", f"{pool}/volume"], check=True)
    assert get(node, "volsize", "tank/volume") == "8M"
    assert get(node, "volblocksize", "tank/volume") == "16K"


@only_root
def test_others_may_look_but_not_touch(node, pool):
    nobody = 65534
    assert node.run(["zfs", "get", "-H", "keystatus", pool], uid=nobody).returncode == 0
    for forbidden in (["zfs", "unload-key", pool], ["zfs", "set", "org.example:x=1", pool], ["zpool", "export", pool]):
        done = node.run(forbidden, uid=nobody)
        assert done.returncode != 0 and "ermission denied" in done.stderr, forbidden
    node.run(["zfs", "allow", "-u", str(nobody), "userprop", pool], check=True)
    node.run(["zfs", "set", "org.example:x=1", pool], uid=nobody, check=True)


def test_machine_without_zfs(world):
    node = world.node("bare", zfs_module=False)
    assert not node.path("/dev/zfs").exists()
    assert not node.path("/sys/module/zfs").exists()
    assert "modprobe zfs" in node.run(["zpool", "list"]).stderr


# TPM


SEAL = """
set -e
cd $TMPDIR
tpm2_createprimary -Q -C o -g sha256 -G ecc -c primary.ctx
tpm2_evictcontrol -Q -C o -c primary.ctx 0x81000001
tpm2_startauthsession -S s.ctx && tpm2_policypcr -Q -S s.ctx -l sha256:7 -L policy && tpm2_flushcontext s.ctx
printf secret | tpm2_create -Q -C 0x81000001 -L policy -i - -u sealed.pub -r sealed.priv
cp sealed.pub sealed.priv /var/lib/zseal
"""
UNSEAL = """
set -e
tpm2_load -Q -C 0x81000001 -u /var/lib/zseal/sealed.pub -r /var/lib/zseal/sealed.priv -c $TMPDIR/sealed.ctx
tpm2_unseal -c $TMPDIR/sealed.ctx -p pcr:sha256:7
"""
POLICY_FAIL = "(0x0000099d)"


def pcrs(node, bank="sha256"):
    """The values of PCRs 0 to 7."""
    lines = node.run(["tpm2_pcrread", f"{bank}:0,1,2,3,4,5,6,7"], check=True).stdout.splitlines()[1:]
    return [line.split()[-1] for line in lines]


def primary(node):
    """The public key that the owner's seed gives."""
    script = "cd $TMPDIR; tpm2_createprimary -Q -C o -c p && tpm2_readpublic -Q -c p -f pem -o p.pem && cat p.pem"
    return node.run(["sh", "-c", script], check=True).stdout


def test_seal_and_unseal(any_node):
    any_node.run(["sh", "-c", SEAL], check=True)
    assert any_node.run(["sh", "-c", UNSEAL], check=True).stdout == "secret"
    any_node.reboot()
    assert any_node.run(["sh", "-c", UNSEAL], check=True).stdout == "secret"
    any_node.tpm.extend(7, "something else was started")
    assert POLICY_FAIL in any_node.run(["sh", "-c", UNSEAL]).stderr
    any_node.tpm.reboot()
    assert any_node.run(["sh", "-c", UNSEAL], check=True).stdout == "secret"
    any_node.tpm.change_boot_chain()
    any_node.reboot()
    assert POLICY_FAIL in any_node.run(["sh", "-c", UNSEAL]).stderr


@pytest.mark.parametrize("bank", ["sha1", "sha256"])
def test_a_boot_is_measured_and_always_the_same(any_node, bank):
    before = pcrs(any_node, bank)
    assert len(set(before)) == 8
    assert not any(set(value[2:]) <= {"0"} or set(value[2:]) <= {"F"} for value in before)
    any_node.reboot()
    assert pcrs(any_node, bank) == before


def test_firmware_update_changes_pcr_0_only(any_node):
    before = pcrs(any_node)
    any_node.tpm.update_firmware()
    assert pcrs(any_node) == before
    any_node.tpm.reboot()
    after = pcrs(any_node)
    assert after[0] != before[0] and after[1:] == before[1:]


def test_clear_makes_another_primary(any_node):
    before = primary(any_node)
    assert primary(any_node) == before
    any_node.tpm.clear()
    assert primary(any_node) != before


def test_without_sha256_bank(any_node):
    any_node.tpm.no_sha256_bank()
    assert "sha256" not in any_node.run(["tpm2_getcap", "pcrs"], check=True).stdout.replace("sha256: [ ]", "")
    assert len(pcrs(any_node, "sha1")) == 8


def test_switched_off(any_node):
    any_node.run(["tpm2_getrandom", "4"], check=True)
    any_node.tpm.off()
    assert not any_node.path("/dev/tpmrm0").exists() and not any_node.path("/dev/tpm0").exists()
    assert any_node.run(["tpm2_getrandom", "4"]).returncode != 0
    any_node.tpm.on()
    any_node.run(["tpm2_getrandom", "4"], check=True)


def test_lockout_is_real(any_node):
    any_node.run(["sh", "-c", "cd $TMPDIR && tpm2_createprimary -Q -C o -c p && printf secret | "
                  "tpm2_create -Q -C p -p 1234 -i - -u u -r r -c sealed"], check=True)
    unseal = ["sh", "-c", "tpm2_unseal -c $TMPDIR/sealed -p 1234"]
    any_node.run(unseal, check=True)
    any_node.tpm.lockout()
    assert "0x921" in any_node.run(unseal).stderr


def start_session_and_object(connection):
    """Leaves an object and a session in the chip, as a program does that is killed."""
    connection.sendall(commands.create_guessable(b"x"))
    assert commands.code_of(connection.recv(4096)) == 0
    nonce = struct.pack(">H", 16) + bytes(16)
    body = struct.pack(">II", commands.RH_NULL, commands.RH_NULL) + nonce + struct.pack(">HBHH", 0, 1, 0x10, 0xB)
    code = commands.CODES["TPM2_StartAuthSession"]
    connection.sendall(commands.HEADER.pack(commands.NO_SESSIONS, commands.HEADER.size + len(body), code) + body)
    assert commands.code_of(connection.recv(4096)) == 0


@contextlib.contextmanager
def open_tpm(node):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(node.path("/dev/tpmrm0")))
        yield connection


def test_killed_programs_leave_nothing_in_the_chip(any_node):
    script = ("import os,sys; fd=os.open('/dev/tpmrm0', os.O_RDWR); sys.path.insert(0, sys.argv[1])\n"
              "from tpm import commands\n"
              "os.write(fd, commands.create_guessable(b'x')); os.read(fd, 4096)\n"
              "print('made', flush=True); os.read(0, 1)")
    for _ in range(10):
        with any_node.popen(["/usr/bin/python3", "-c", script, LAB], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE) as program:
            assert program.stdout.readline() == b"made\n"
            program.kill()
    for _ in range(10):
        with open_tpm(any_node) as connection:
            start_session_and_object(connection)
    with open_tpm(any_node) as connection:
        for first in (commands.TRANSIENT_FIRST, commands.LOADED_SESSION_FIRST, 0x03000000):
            connection.sendall(commands.get_handles(first))
            assert commands.parse_handles(connection.recv(4096)) == ()


def test_programs_share_the_chip(any_node):
    with open_tpm(any_node) as one, open_tpm(any_node) as other:
        for connection in (one, other, one, other):
            start_session_and_object(connection)
        for connection in (one, other):
            connection.sendall(commands.get_handles(commands.TRANSIENT_FIRST))
            assert commands.parse_handles(connection.recv(4096)) == (0x80000000, 0x80000001)
        # An object keeps its handle also when one before it has gone.
        one.sendall(commands.flush_context(0x80000000))
        assert commands.code_of(one.recv(4096)) == 0
        start_session_and_object(other)
        one.sendall(commands.get_handles(commands.TRANSIENT_FIRST))
        assert commands.parse_handles(one.recv(4096)) == (0x80000001,)


def test_commands_are_counted(any_node):
    any_node.run(["tpm2_getrandom", "4"], check=True)
    any_node.tpm.log_clear()
    any_node.run(["tpm2_pcrread", "sha256:7"], check=True)
    assert ("TPM2_PCR_Read", 0) in any_node.tpm.log()
    assert not any(rc for _, rc in any_node.tpm.log())


@only_root
def test_others_may_not_open_the_tpm(any_node):
    assert any_node.run(["tpm2_getrandom", "4"], uid=65534).returncode != 0


# The rest of the machine


def send_to_journal(node, *datagrams, memfd=False):
    """From a program in the machine, as sd_journal_sendv() does it."""
    script = ("import os,socket,sys\n"
              "s=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/systemd/journal/socket')\n"
              "for d in map(bytes.fromhex, sys.argv[2:]):\n"
              "    if sys.argv[1] == 'memfd':\n"
              "        f=os.memfd_create('journal'); os.write(f, d); socket.send_fds(s, [b''], [f])\n"
              "    else: s.send(d)")
    node.run(["/usr/bin/python3", "-c", script, "memfd" if memfd else "plain", *(d.hex() for d in datagrams)],
             check=True)


@pytest.mark.parametrize("memfd", [False, True])
def test_journal(any_node, memfd):
    two_lines = b"one\ntwo"
    send_to_journal(any_node, b"MESSAGE=hello\nPRIORITY=6\nTAG=a\nTAG=b\n",
                    b"MESSAGE\n" + struct.pack("<Q", len(two_lines)) + two_lines + b"\nRAW=\xff\n", memfd=memfd)
    first, second = any_node.journal()
    assert (first["MESSAGE"], first["PRIORITY"], first["TAG"], first["_UID"]) == ("hello", "6", ["a", "b"], "0")
    assert (second["MESSAGE"], second["RAW"]) == ("one\ntwo", [255])


def test_own_etc_and_var(any_node):
    conf = any_node.path("/etc/zseal/zseal.conf")
    conf.write_text("[zseal]\n")
    assert any_node.run(["cat", "/etc/zseal/zseal.conf"], check=True).stdout == "[zseal]\n"
    assert any_node.run(["stat", "-c", "%a %u", "/var/lib/zseal"], check=True).stdout == "700 0\n"
    any_node.run(["sh", "-c", "echo x > /var/lib/zseal/x; echo y > /etc/y; echo z > /run/z"], check=True)
    assert any_node.path("/var/lib/zseal/x").read_text() == "x\n"
    any_node.reboot()
    assert any_node.path("/etc/y").read_text() == "y\n"
    assert not any_node.path("/run/z").exists()
    assert not Path("/etc/y").exists() and not Path("/var/lib/zseal/x").exists()


def test_machine_is_not_in_its_own_folder(any_node):
    """Else `rm -r` of a world's folder, inside, would reach the host's folders."""
    mounts = any_node.run(["cat", "/proc/self/mountinfo"], check=True).stdout.splitlines()
    assert not [line for line in mounts if str(any_node.folder) in line.split()[4] or "/node/" in line.split()[4]]


def test_terminal(any_node):
    done = any_node.run(["bash", "-c", "tty; read -p 'name? ' name; read -s -p 'PIN: ' pin </dev/tty; echo; "
                         "echo $name $pin; exit 3"], pty=True, input=[("name? ", "anna\n"), ("PIN: ", "1234\n")])
    assert done.returncode == 3
    assert done.stdout.startswith("/dev/pts/") and done.stdout.endswith("PIN: \nanna 1234\n")


def test_terminal_puts_a_cut_character_together(any_node):
    """Each half is read by itself: the second is printed only when the first was answered."""
    done = any_node.run(["bash", "-c", r"stty -echo; printf 'name? \303'; read; printf '\244\r'; read; printf '\nend'"],
                        pty=True, input=[("name? ", "\n"), ("ä", "\n")])
    assert done.stdout == "name? ä\nend"


def test_signals_reach_the_program_itself(any_node):
    with any_node.popen(["sleep", "1000"]) as program:
        assert Path(f"/proc/{program.pid}/ns/net").exists()
        program.send_signal(signal.SIGTERM)
    assert program.returncode == -signal.SIGTERM


def test_failure_says_what_was_printed(any_node):
    with pytest.raises(ProgramError, match="no such thing"):
        any_node.run(["sh", "-c", "echo no such thing >&2; exit 1"], check=True)


# Life and death


def run_lab(*arguments, **kw):
    return subprocess.run([LAB / "run", *arguments], capture_output=True, text=True, check=False, timeout=120, **kw)


def test_run_has_the_exit_status_of_its_command():
    assert run_lab("true").returncode == 0
    assert run_lab("sh", "-c", "exit 7").returncode == 7
    assert run_lab("sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM


def test_world_that_lives_across_commands(tmp_path):
    folder = tmp_path / ("long" * 20) / "world"

    def world(*verb):
        return subprocess.run([LAB / "world", folder, *verb], capture_output=True, text=True, check=True, timeout=60)
    world("up")
    try:
        create = run_lab("--world", folder, "zpool", "create", "-O", "mountpoint=none", "tank", "/mnt/disk1")
        assert create.returncode == 0
        world("kill-engine")
        world("start-engine")
        assert run_lab("--world", folder, "zpool", "list", "-Ho", "name").stdout == "tank\n"
        world("tpm", "extend", "7", "x")
        world("--node", "b", "up")
        assert run_lab("--world", folder, "--node", "b", "hostname").stdout == "b\n"
        world("--node", "b", "down")
        world("reboot")
        assert run_lab("--world", folder, "zpool", "list", "-Ho", "name").stdout == "tank\n"
    finally:
        world("down")
    assert not processes_with(str(folder))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_whoever_made_the_world(tmp_path, how):
    script = (f"import sys; sys.path.insert(0, {str(LAB)!r})\n"
              "from world import World\n"
              "w = World(); n = w.node(); n.start(); p = n.popen(['sleep', '1000'])\n"
              "print(n.engine.pid, p.pid, flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env={**os.environ, "TMPDIR": str(tmp_path)}) as maker:
        pids = [int(pid) for pid in maker.stdout.readline().split()]
        handles = [os.pidfd_open(pid) for pid in [*pids, *processes_with(str(tmp_path))]]
        assert len(handles) >= 4
        maker.send_signal(how)
    for handle in handles:
        with os.fdopen(handle):
            assert select.select([handle], [], [], 20)[0], "still there"
    assert not list(tmp_path.iterdir())


def test_temporary_world_leaves_nothing(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    assert run_lab("touch", "/etc/x", "/run/x", "/zseal-lab-test", env=environment).returncode == 0
    assert not list(tmp_path.iterdir())
    assert not Path("/zseal-lab-test").exists()


@only_root
def test_without_privileges():
    home = tempfile.mkdtemp(prefix="zseal-lab-test.")
    try:
        os.chown(home, 65534, 65534)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={home}", f"TMPDIR={home}",
             "XDG_CACHE_HOME=", "ZSEAL_CACHE=", LAB / "run", "sh", "-c",
             f"{' '.join(CREATE)} tank /mnt/disk1 && zpool list -Ho name && tpm2_getrandom --hex 4 && id -u"],
            input=KEY, capture_output=True, text=True, check=False, timeout=300, cwd=home)
        assert done.returncode == 0, done.stderr
        pool, *_, uid = done.stdout.split("\n")[:-1]
        assert (pool, uid[-1]) == ("tank", "0")
    finally:
        shutil.rmtree(home)
