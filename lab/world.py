# SPDX-License-Identifier: MIT
"""A world to try zseal in: disks, and machines with their own ZFS, TPM, /etc and journal. For tests and for people.

    with World() as world:
        node = world.node()
        node.run(["zpool", "create", "-O", "mountpoint=none", "tank", world.disk(1)], check=True)
        node.tpm.off()
        node.engine.kill()

Guarantees: a world touches nothing of the host but its own folder; nothing that runs in it outlives the process that
made it, not even by SIGKILL; every wait has a bound; works unprivileged where user namespaces do.
Refuses: to keep what it made itself, unless it was given a folder; to end processes that are not its own.
"""
import contextlib
import hashlib
import json
import os
import select
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from pathlib import Path

_LAB = Path(__file__).resolve().parent
_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30
_REQUEST_TIMEOUT_S = 60

# What a program finds in its environment: nothing of the caller's but what makes its output readable or checks it.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run/lab/home", "TMPDIR": "/run/lab/tmp",
                "USER": "root", "LOGNAME": "root", "LANG": "C.UTF-8", "ZPOOL_IMPORT_PATH": "/mnt"}
_ENVIRONMENT_KEPT = ("TERM", "COLORTERM", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LLVM_PROFILE_FILE")

# Where a machine's changes over the host's folders are kept, and what of it is its own altogether.
_OVERLAYS = ("etc", "var/lib")
_PATHS_OWN = ("/etc/zseal", "/var/lib/zseal")

_builds = {}


class LabError(Exception):
    """Something about the world itself went wrong; what programs in it do is not such an error."""


class ProgramError(subprocess.CalledProcessError):
    """A program failed that was run with check; says what it printed."""

    def __str__(self):
        return f"{super().__str__()}\n{self.stdout}{self.stderr}"


def _build(label):
    """The folder with the engine and the shim for one version of ZFS. Asked for once in a process: it takes a while."""
    if label not in _builds:
        arguments = [] if label == "system" else [label]
        done = subprocess.run([_LAB / "build", *arguments], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise LabError("lab/build failed, see above")
        _builds[label] = Path(done.stdout.strip())
    return _builds[label]


def zfs_versions():
    """Labels of the versions of ZFS that can be had here, the system's first."""
    done = subprocess.run([_LAB / "build", "--list"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def _remove_tree(folder):
    """An overlay leaves a folder behind that not even its owner may look into, but which is empty."""
    for name in _OVERLAYS:
        for left_behind in folder.glob(f"nodes/*/{name}.work/work"):
            left_behind.rmdir()
    shutil.rmtree(folder)


class World:
    """Disks and the machines that share them. Reopened by the path of its folder."""

    def __init__(self, path=None, zfs="system", disks=4, disk_size="256M"):
        self.path = Path(path or tempfile.mkdtemp(prefix="zseal-lab.")).resolve()
        self.temporary = path is None
        self._nodes = {}
        self._site = self._bao = self._bao_cluster = None
        (self.path / "disks").mkdir(parents=True, exist_ok=True)
        (self.path / "nodes").mkdir(exist_ok=True)
        self.build = _build(self._remember_zfs(zfs))
        self.zfs = (self.build / "version").read_text().strip()
        for number in range(1, disks + 1):
            self._make_disk(number, disk_size)

    def _remember_zfs(self, wanted):
        """A world that is reopened stays with its version unless another one is asked for."""
        file = self.path / "zfs"
        if wanted == "system" and file.exists():
            return file.read_text().strip()
        file.write_text(wanted + "\n")
        return wanted

    def _make_disk(self, number, size):
        path = self.disk_file(number)
        if not path.exists():
            subprocess.run(["truncate", "-s", size, path], check=True)

    def disk(self, number):
        """A disk's path as the machines see it."""
        return f"/mnt/disk{number}"

    def disk_file(self, number):
        """A disk's path on the host: a thief's view."""
        return self.path / "disks" / f"disk{number}"

    def node(self, name="a", tpm=True, zfs_module=True):
        """A machine, the same one for the same name. It starts with its first program, or by start()."""
        if name not in self._nodes:
            self._nodes[name] = Node(self, name, tpm, zfs_module)
        return self._nodes[name]

    def bao(self):
        """The development key server, the same one each time. It starts with the first call: see bao/servers.py."""
        if not self._bao:
            self._bao = self._servers().Bao(self._site)
        return self._bao

    def bao_cluster(self, direct=False):
        """The cluster of three key servers, the same one each time. A direct one is asked from its own network, by
        site.enter_command(): thousands at once are too many for its doors."""
        if not self._bao_cluster:
            self._bao_cluster = self._servers().Cluster(self._site, direct)
        return self._bao_cluster

    def _servers(self):
        """The module, with a site for its servers made if there was none."""
        from bao import servers  # pylint: disable=import-outside-toplevel  # few need it
        if not self._site:
            folder = self.path / "bao"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self._site = servers.Site(folder, self.path if self.temporary else None)
            for node in self._nodes.values():
                if node.running():
                    self._site.doors.join(node)
        return servers

    def node_started(self, node):
        """Key servers are reached from it too."""
        if self._site:
            self._site.doors.join(node)

    def node_stops(self, node):
        if self._site:
            self._site.doors.leave(node)

    def close(self):
        """Switches off what this object has switched on; removes the folder if it made it."""
        with contextlib.ExitStack() as stack:
            if self.temporary:
                stack.callback(_remove_tree, self.path)
            if self._site:
                stack.callback(self._site.close)
            for node in self._nodes.values():
                stack.callback(node.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Node:
    """One machine. Its folder keeps what a machine keeps without power: /etc, /var/lib, the TPM's state."""

    def __init__(self, world, name, tpm, zfs_module):
        self.world, self.name = world, name
        self.folder = world.path / "nodes" / name
        self.engine = Engine(self)
        self.tpm = Tpm(self)
        self._has_tpm, self._has_zfs = tpm, zfs_module
        self._supervisor = None
        self._pid = None
        self._was_stopped = False
        for own in _OVERLAYS:
            (self.folder / own).mkdir(parents=True, exist_ok=True)
            (self.folder / f"{own}.work").mkdir(exist_ok=True)
        for own in _PATHS_OWN:
            (self.folder / own.strip("/")).mkdir(mode=0o700, exist_ok=True)
        (self.folder / "etc/zseal").chmod(0o755)

    # Power

    def start(self):
        """Switches the machine on, or finds that it runs already. Blocks: about a tenth of a second."""
        self._was_stopped = False
        if self.running():
            return
        self._pid = self._start_supervisor(lifeline=True)
        self.world.node_started(self)

    def start_detached(self):
        """Switches it on so that it stays on when this process ends."""
        if not self.running():
            self._pid = self._start_supervisor(lifeline=False)
            self._supervisor = None
            self.world.node_started(self)

    def stop(self):
        """Switches it off: everything in it ends at once, only the TPM is told before."""
        self._was_stopped = True
        self.world.node_stops(self)
        if self.running():
            self._stop_supervisor(os.pidfd_open(self._pid))
        if self._supervisor:
            self._release_supervisor()
        self._pid = None

    def reboot(self):
        """Off and on again: pools are imported, keys are gone, /run is empty, PCRs are as after every boot."""
        detached = self.running() and not self._supervisor
        self.stop()
        if detached:
            self.start_detached()
        else:
            self.start()

    def close(self):
        """Off, if this object switched it on."""
        if self._supervisor:
            self.stop()

    def running(self):
        """Is it on? Also when another process has switched it on."""
        if self._supervisor:
            if self._supervisor.poll() is None:
                return True
            self._release_supervisor()
        try:
            self._pid = self._request("status")["pid"]
        except (OSError, LabError):
            self._pid = None
        return self._pid is not None

    def _stop_supervisor(self, handle):
        """It may be another process's child: its end is waited for, whoever reaps it."""
        with os.fdopen(handle):
            with contextlib.suppress(OSError, LabError):
                self._request("stop")
            select.select([handle], [], [], _STOP_TIMEOUT_S)

    def _release_supervisor(self):
        """Its lifeline is closed by that, if it had not ended before."""
        self._supervisor.stdin.close()
        try:
            self._supervisor.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        self._supervisor.stdout.close()
        self._supervisor = None

    def _expect_on(self):
        """The first use starts a machine; one that was switched off stays off until it is started."""
        if not self.running():
            if self._was_stopped:
                raise LabError(f"machine {self.name} is switched off")
            self.start()

    def _config(self, lifeline):
        build = self.world.build
        checkout_zseal = _LAB.parent / "build/src/zseal"
        multiarch = sysconfig.get_config_var("MULTIARCH")
        return {
            "name": self.name, "machine_id": hashlib.md5(f"zseal lab {self.name}".encode()).hexdigest(),
            "build": str(build), "disks": str(self.world.path / "disks"), "lifeline": lifeline,
            "temporary": str(self.world.path) if self.world.temporary else None,
            "tpm": self._has_tpm, "zfs": self.world.zfs, "zfs_module": self._has_zfs, "multiarch": multiarch,
            "own_libraries": (build / "root/lib" / multiarch).exists(),
            "zseal": os.path.abspath(os.environ.get("ZSEAL") or checkout_zseal), "user_namespace": os.geteuid() != 0,
        }

    def _start_supervisor(self, lifeline):
        namespaces = ["unshare", "--mount", "--uts", "--net"]
        if os.geteuid() != 0:
            namespaces += ["--user", "--map-root-user"]
        bytecode = self.world.build.parent.parent / "bytecode"
        with open(self.folder / "supervisor.err", "wb") as errors:
            process = subprocess.Popen(
                [*namespaces, "/usr/bin/python3", "-I", "-X", f"pycache_prefix={bytecode}", _LAB / "supervisor.py",
                 json.dumps(self._config(lifeline))],
                cwd=self.folder, stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, env=_ENVIRONMENT, start_new_session=True, text=True)
        ready, _, _ = select.select([process.stdout], [], [], _START_TIMEOUT_S)
        answer = process.stdout.readline().strip() if ready else "no answer"
        if answer != "ready":
            process.kill()
            process.wait()
            details = (self.folder / "supervisor.err").read_text().strip()
            raise LabError(f"machine {self.name} did not start: {answer or details}")
        self._supervisor = process
        return process.pid

    def ask(self, *request):
        """Asks the running machine's supervisor for something, and waits until it is done."""
        self._expect_on()
        return self._request(*request)

    def _request(self, *request):
        with self._connect_supervisor(request) as connection, connection.makefile("r") as lines:
            answer = json.loads(lines.readline() or '{"error": "the machine has gone"}')
        if "error" in answer:
            raise LabError(answer["error"])
        return answer

    def _connect_supervisor(self, request):
        # A socket's path may be at most 107 bytes long, a world's folder may be deeper.
        folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_REQUEST_TIMEOUT_S)
            connection.connect(f"/proc/self/fd/{folder}/control")
            connection.sendall(json.dumps(request).encode() + b"\n")
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(folder)
        return connection

    def sockets(self, count=1):
        """TCP sockets, not yet bound or connected, that belong to the network of the machine, which must be on."""
        with self._connect_supervisor(("sockets", count)) as connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, count)
        if len(descriptors) != count:
            raise LabError(f"machine {self.name} gave no sockets")
        return [socket.socket(fileno=descriptor) for descriptor in descriptors]

    # Programs

    def _environment(self, changes):
        environment = {**_ENVIRONMENT, **{k: os.environ[k] for k in _ENVIRONMENT_KEPT if k in os.environ}}
        # The shim is preloaded, so a sanitizer's library can't be the first one.
        environment["ASAN_OPTIONS"] = "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")
        environment.update(changes or {})
        return {name: str(value) for name, value in environment.items() if value is not None}

    def enter_command(self, argv, uid=None, cwd=None):
        """The command line that runs argv in the machine, in the same process. The machine must be on."""
        folder = str(cwd or os.getcwd())
        if not Path(f"/proc/{self._pid}/root{folder}").is_dir():
            folder = "/"
        command = ["nsenter", f"--target={self._pid}", "--mount", "--root", "--uts", "--net",
                   f"--wdns={folder}"]
        if os.geteuid() != 0:
            if uid is not None:
                raise LabError("only root can run programs as others: a user namespace knows one user")
            command += ["--user", "--preserve-credentials"]
        elif uid is not None:
            command += [f"--setuid={uid}", f"--setgid={uid}"]
        return [*command, "--", *map(str, argv)]

    def popen(self, argv, env=None, uid=None, cwd=None, **kw):
        """subprocess.Popen in the machine. Its pid is the program's own. env adds to the machine's environment, None
        in it removes."""
        self._expect_on()
        return subprocess.Popen(self.enter_command(argv, uid, cwd), env=self._environment(env), **kw)

    def run(self, argv, input=None, env=None, check=False, timeout=120, uid=None, pty=False, pass_fds=(), cwd=None):
        """Runs a program to its end. Text in, text out; with pty, on a terminal of its own, whose whole output is
        stdout."""
        if pty:
            import terminal  # pylint: disable=import-outside-toplevel  # few need it
            done = terminal.run(self, argv, input, timeout, env=env, uid=uid, cwd=cwd, pass_fds=pass_fds)
        else:
            done = self._run_with_pipes(argv, input, timeout, env=env, uid=uid, cwd=cwd, pass_fds=pass_fds)
        if check and done.returncode != 0:
            raise ProgramError(done.returncode, argv, done.stdout, done.stderr)
        return done

    def _run_with_pipes(self, argv, data, timeout, **kw):
        with self.popen(argv, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
                        **kw) as process:
            try:
                out, err = process.communicate(data, timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    # What it left

    def path(self, inside):
        """A file of the machine, as the host finds it. Those of /etc/zseal and /var/lib/zseal are there also when it
        is off."""
        if inside.startswith(_PATHS_OWN):
            return self.folder / inside.strip("/")
        self._expect_on()
        return Path(f"/proc/{self._pid}/root{inside}")

    def journal(self):
        """What was sent to the journal so far: one dict for each entry."""
        if self.running():
            self._request("journal")
        file = self.folder / "journal"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class Engine:
    """A machine's ZFS."""

    def __init__(self, node):
        self._node = node

    @property
    def pid(self):
        return self._node.ask("status")["engine"]

    def kill(self):
        """SIGKILL: for the pools as if the power had gone, for the programs as if ZFS had."""
        self._node.ask("engine-kill")

    def start(self):
        """Loads ZFS again, which imports its pools; their keys are not there."""
        self._node.ask("engine-start")

    def restart(self):
        self.kill()
        self.start()


class Tpm:
    """A machine's TPM, and what can happen to one."""

    def __init__(self, node):
        self._node = node

    def _ask(self, *verb):
        self._node.ask("tpm", *verb)

    def off(self):
        """As switched off in the firmware: there is no device."""
        self._ask("off")

    def on(self):
        self._ask("on")

    def reboot(self):
        """Resets and measures the boot again; what programs had in it is gone."""
        self._ask("reboot")

    def power_cut(self):
        """As reboot(), but nobody told the chip: it may count that as a wrong guess."""
        self._ask("power-cut")

    def clear(self):
        """The firmware's "clear TPM": another owner seed; whatever was sealed is lost."""
        self._ask("clear")

    def lockout(self):
        """Guesses until the protection against dictionary attacks refuses everything that has a PIN."""
        self._ask("lockout")

    def extend(self, pcr, text):
        """Extends a PCR in all banks until the next boot."""
        self._ask("extend", pcr, text)

    def change_boot_chain(self, text="another boot loader"):
        """PCR 7 is another, now and after every boot."""
        self._ask("change-boot-chain", text)

    def update_firmware(self):
        """PCR 0 is another from the next boot on."""
        self._ask("update-firmware")

    def no_sha256_bank(self):
        """Only SHA-1 has PCRs, as on old machines."""
        self._ask("no-sha256-bank")

    def fault(self, kind, number):
        """From now on, the response of this number goes wrong: see tpm/faults.py for the kinds."""
        self._ask("fault", kind, number)

    def no_fault(self):
        """The line is as good as ever."""
        self._ask("no-fault")

    def log(self):
        """Commands since log_clear(), as (name, response code): [("TPM2_Unseal", 0x99d)]."""
        file = self._node.folder / "tpm.log"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        return [(name, int(rc, 16)) for name, _, rc in map(str.split, lines)]

    def log_clear(self):
        (self._node.folder / "tpm.log").write_text("")
