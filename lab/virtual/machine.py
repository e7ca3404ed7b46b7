# SPDX-License-Identifier: MIT
"""A virtual machine: a kernel with ZFS, a firmware that measures the boot into the TPM behind /dev/tpmrm0, systemd.

    with Machine() as vm:
        vm.run(["zpool", "create", "tank", vm.disk(1)], check=True)
        vm.run(["zseal", "create", "vault", vm.disk(2)], pty=True, input=[("Type group", answer)])
        vm.reboot()                     # orderly; vm.power_cut() is not
        vm.append = "quiet"             # another kernel command line, from the next boot on
        vm.tpm.replace()                # another mainboard's, from the next boot on

Guarantees: what it writes is in its own folder, the image stays as it is; QEMU and swtpm end with the process that made
it, however that ends; every wait has a bound.
Refuses: to keep what it made, unless it was given a folder.
"""
import contextlib
import ctypes
import fcntl
import functools
import hashlib
import json
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

LAB = Path(__file__).resolve().parents[1]
ROOT = LAB.parent
sys.path.insert(0, str(LAB))

from world import LabError, ProgramError  # pylint: disable=wrong-import-position

_FIRMWARE = Path("/usr/share/OVMF")
_BOOT_TIMEOUT_S = 600
_STOP_TIMEOUT_S = 300
_BUILD_TIMEOUT_S = 900
_HEAD = struct.Struct("<cI")
_CHUNK = 65536
_PR_SET_PDEATHSIG = 1

# A boot sector that writes 16 to a port, at which QEMU ends with (16 << 1) | 1.
_PROBE = (b"\xb0\x10\xe6\xf4\xf4".ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0")
_PROBE_STATUS = 33
_PROBE_TIMEOUT_S = 5

_libc = ctypes.CDLL(None)


def image():
    """The folder that lab/virtual/image prints. Blocks: some minutes, where it has to be made."""
    done = subprocess.run([LAB / "virtual/image"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise LabError("there is no image for a virtual machine, see above")
    return Path(done.stdout.strip())


def built(tree):
    """zseal, built by `make install` in the image's tree, as an archive of what that installs. The build stays in
    build/vm, so that only what has changed is compiled."""
    folder = ROOT / "build/vm"
    (folder / "source").mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(folder, tree)
        return subprocess.run(["tar", "-C", folder / "installed", "-c", "."], check=True, capture_output=True).stdout


def _install(folder, tree):
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           check=True, capture_output=True).stdout
    present = b"\0".join(name for name in files.split(b"\0") if name and os.path.isfile(ROOT / os.fsdecode(name)))
    script = f"""
        mount --bind {folder} {tree}/mnt/zseal && mount -t proc proc {tree}/proc && mount --rbind /dev {tree}/dev &&
        exec chroot {tree} /usr/bin/env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 \
            make -C /mnt/zseal/source install DESTDIR=/mnt/zseal/installed"""
    with open(folder / "log", "wb") as log:
        with subprocess.Popen(["tar", "-C", folder / "source", "-x"], stdin=subprocess.PIPE) as unpack:
            subprocess.run(["tar", "-C", ROOT, "-c", "--null", "-T", "-"], input=present, stdout=unpack.stdin,
                           check=True)
            unpack.stdin.close()
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stdout=log,
                              stderr=log, stdin=subprocess.DEVNULL, timeout=_BUILD_TIMEOUT_S, check=False)
    if done.returncode:
        raise LabError("zseal could not be built for the virtual machine:\n" + (folder / "log").read_text()[-4000:])


@functools.cache
def _accelerator():
    """/dev/kvm may be there, make a processor, and still not run anything; so it is tried."""
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(_PROBE)
        disk.flush()
        kvm = ["-accel", "kvm", "-cpu", "host"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                ["qemu-system-x86_64", "-machine", "q35", *kvm, "-nodefaults", "-display", "none", "-device",
                 "isa-debug-exit,iobase=0xf4,iosize=4", "-drive", f"file={disk.name},format=raw,if=virtio,readonly=on"],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False)
            if done.returncode == _PROBE_STATUS:
                return kvm
    return ["-accel", "tcg", "-cpu", "max"]


def _end_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Line:
    """Messages to and from the agent in the machine (agent.py tells which)."""

    def __init__(self, connection):
        self._socket = connection
        self._read = b""

    def fileno(self):
        return self._socket.fileno()

    def send(self, kind, data=b""):
        self._socket.sendall(_HEAD.pack(kind, len(data)) + data)

    def send_agent(self):
        program = (LAB / "virtual/agent.py").read_bytes()
        self._socket.sendall(b"%08d" % len(program) + program)

    def has_message(self):
        """Is a whole one there already?"""
        return len(self._read) >= _HEAD.size and len(self._read) >= _HEAD.size + _HEAD.unpack_from(self._read)[1]

    def receive(self, deadline):
        """The next message. None: the machine has gone."""
        while not self.has_message():
            ready, _, _ = select.select([self._socket], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            try:
                data = self._socket.recv(_CHUNK)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._read += data
        kind, length = _HEAD.unpack_from(self._read)
        message, self._read = self._read[_HEAD.size:_HEAD.size + length], self._read[_HEAD.size + length:]
        return kind, message

    def close(self):
        self._socket.close()


class Tpm:
    """The machine's TPM."""

    def __init__(self, machine):
        self._machine = machine

    def replace(self):
        """Another one: its owner seed is new, whatever was sealed by the old one is lost. The machine must be off."""
        if self._machine.running():
            raise LabError("a TPM is not replaced while the machine is on")
        shutil.rmtree(self._machine.folder / "tpm")

    def extend(self, pcr, text):
        """Extends a PCR in all banks until the next boot."""
        digests = ",".join(f"{bank}={self._digest(bank, text)}" for bank in ("sha1", "sha256"))
        self._machine.run(["tpm2_pcrextend", f"{pcr}:{digests}"], check=True)

    @staticmethod
    def _digest(bank, text):
        return hashlib.new(bank, text.encode()).hexdigest()

    def pcrs(self, *numbers):
        """Their values in the SHA-256 bank, as hexadecimal digits."""
        wanted = ",".join(map(str, numbers))
        said = self._machine.run(["tpm2_pcrread", f"sha256:{wanted}"], check=True).stdout
        values = [line.split(":")[1].strip() for line in said.splitlines() if ": 0x" in line]
        return dict(zip(numbers, values))


class Machine:
    """One machine. It boots with its first program, or by start()."""

    def __init__(self, folder=None, disks=4, disk_size=1 << 30, install=True):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="zseal-vm.", dir="/var/tmp")).resolve()
        self.temporary = folder is None
        self.append = ""
        self.tpm = Tpm(self)
        self.image = image()
        self._install = built(self.image / "root") if install else None
        self._disks = disks
        self._qemu = self._swtpm = self._line = None
        self._off = False
        self._make_disks(disk_size)

    # Power

    def _make_disks(self, size):
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "root.qcow2").exists():
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.image / "disk",
                            self.folder / "root.qcow2"], check=True)
            shutil.copy(_FIRMWARE / "OVMF_VARS_4M.fd", self.folder / "firmware.fd")
        for number in range(1, self._disks + 1):
            if not self.disk_file(number).exists():
                with open(self.disk_file(number), "wb") as disk:
                    disk.truncate(size)

    def disk(self, number):
        """A disk's path in the machine."""
        return f"/dev/disk/by-id/virtio-disk{number}"

    def disk_file(self, number):
        """A disk's path on the host: a thief's view."""
        return self.folder / f"disk{number}"

    def running(self):
        return self._qemu is not None and self._qemu.poll() is None

    def _start_swtpm(self):
        ours, theirs = socket.socketpair()
        (self.folder / "tpm").mkdir(exist_ok=True)
        with theirs, open(self.folder / "swtpm.log", "ab") as log:
            self._swtpm = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}/tpm", "--ctrl",
                 f"type=unixio,clientfd={theirs.fileno()}", "--terminate"], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent)
        return ours

    def _qemu_arguments(self, tpm, line):
        def drive(file, kind, *more):
            return ["-drive", ",".join([f"file={file},format={kind}", *more])]
        return [
            "qemu-system-x86_64", "-name", "zseal-lab", "-machine", "q35", *_accelerator(), "-smp", "1", "-m", "2048",
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.folder}/console",
            *drive(_FIRMWARE / "OVMF_CODE_4M.fd", "raw", "if=pflash", "unit=0", "readonly=on"),
            *drive(self.folder / "firmware.fd", "raw", "if=pflash", "unit=1"),
            *drive(self.folder / "root.qcow2", "qcow2", "if=virtio"),
            *[word for number in range(1, self._disks + 1) for word in
              [*drive(self.disk_file(number), "raw", "if=none", f"id=disk{number}"),
               "-device", f"virtio-blk-pci,drive=disk{number},serial=disk{number}"]],
            "-chardev", f"socket,id=tpm,fd={tpm}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
            "-device", "tpm-crb,tpmdev=tpm0",
            "-chardev", f"socket,id=lab,fd={line}", "-device", "virtio-serial-pci", "-device",
            "virtserialport,chardev=lab,name=lab",
            "-device", "virtio-rng-pci",
            "-kernel", str(self.image / "kernel"), "-initrd", str(self.image / "initrd"), "-append",
            f"root=LABEL=root rw console=ttyS0 panic=-1 {self.append}".strip(),
        ]

    def start(self):
        """Switches it on, and waits until it has booted. Blocks: a minute, where the processor is emulated."""
        if self.running():
            return
        self._off = False
        ours, theirs = socket.socketpair()
        with self._start_swtpm() as tpm, theirs, open(self.folder / "qemu.log", "ab") as log:
            fds = [tpm.fileno(), theirs.fileno()]
            self._qemu = subprocess.Popen(self._qemu_arguments(*fds), pass_fds=fds, stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, preexec_fn=_end_with_parent)
        self._line = _Line(ours)
        self._line.send_agent()
        if self._receive_or_fail(time.monotonic() + _BOOT_TIMEOUT_S)[0] != b"H":
            raise LabError("the machine's agent does not greet")
        if self._install:
            self.run(["tar", "-C", "/", "-x", "--no-same-owner"], input=self._install, check=True)
            self._install = None

    def _receive_or_fail(self, deadline):
        try:
            message = self._line.receive(deadline)
        except TimeoutError:
            message = None
        if message is None:
            logs = "".join(f"\n{name}:\n" + (self.folder / name).read_text(errors="replace")[-3000:]
                           for name in ("swtpm.log", "qemu.log", "console"))
            self.power_cut()
            raise LabError("the virtual machine does not answer, or has gone" + logs)
        return message

    def stop(self):
        """An orderly shutdown."""
        if self.running():
            self.run(["systemctl", "--no-block", "poweroff"], check=True)
            self._qemu.wait(_STOP_TIMEOUT_S)
        self._release()

    def power_cut(self):
        """What is on disk stays as it is at this moment."""
        if self._qemu:
            self._qemu.kill()
        self._release()

    def _release(self):
        self._off = True
        for process in (self._qemu, self._swtpm):
            if process:
                process.wait(_STOP_TIMEOUT_S)
        if self._line:
            self._line.close()
        self._qemu = self._swtpm = self._line = None

    def reboot(self):
        """Off, by a shutdown, and on again."""
        self.stop()
        self.start()

    def close(self):
        self.power_cut()
        if self.temporary:
            shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Programs

    def begin(self, argv, env=None, cwd="/root", terminal=None):
        """Starts a program, whose messages the caller takes care of; see run()."""
        if not self.running():
            if self._off:
                raise LabError("the machine is off")
            self.start()
        what = {"argv": [str(word) for word in argv], "env": env or {}, "cwd": cwd, "terminal": terminal}
        self._line.send(b"E", json.dumps(what).encode())
        return self._line

    def run(self, argv, input=None, env=None, check=False, timeout=300, pty=False, cwd="/root"):
        """Runs a program to its end; as Node.run() of world.py. Input may be bytes; output is text."""
        line = self.begin(argv, env, cwd, [24, 120] if pty else None)
        deadline = time.monotonic() + timeout
        talk = _Conversation(line, input) if pty else None
        if not pty:
            self._send_input(line, input)
        said = {b"O": b"", b"R": b""}
        while True:
            if talk:
                talk.answer(said[b"O"])
            kind, data = self._receive_in_time(argv, said, deadline)
            if kind == b"X":
                break
            said[kind] += data
        out, err = (said[kind].decode(errors="replace").replace("\r\n", "\n") for kind in (b"O", b"R"))
        done = subprocess.CompletedProcess(argv, int(data), out, err)
        if check and done.returncode:
            raise ProgramError(done.returncode, argv, out, err)
        return done

    @staticmethod
    def _send_input(line, data):
        if data:
            line.send(b"I", data.encode() if isinstance(data, str) else data)
        line.send(b"C")

    def _receive_in_time(self, argv, said, deadline):
        """A program that takes too long is killed, and the machine stays usable."""
        try:
            message = self._line.receive(deadline)
        except TimeoutError:
            self._line.send(b"K")
            while self._receive_or_fail(time.monotonic() + _STOP_TIMEOUT_S)[0] != b"X":
                pass
            shown = (said[b"O"] + said[b"R"]).decode(errors="replace")
            raise LabError(f"{argv} took too long; it showed so far:\n{shown}") from None
        return message or self._receive_or_fail(0)

    # What it left

    def put(self, path, data, mode=0o600):
        """Writes a file in the machine."""
        self.run(["sh", "-c", f'umask 077; mkdir -p "$(dirname "$1")"; cat >"$1"; chmod {mode:o} "$1"', "sh", path],
                 input=data, check=True)

    def get(self, path):
        return self.run(["cat", path], check=True).stdout

    def journal(self, *options):
        """What systemd's journal has: one dict for each entry."""
        said = self.run(["journalctl", "--no-pager", "-o", "json", *options], check=True).stdout
        return [json.loads(entry) for entry in said.splitlines()]


class _Conversation:
    """A person at the terminal: text is typed at once, a list of (what to wait for, what to type) one after the other.
    What to type may be a function of what was on the screen so far."""

    def __init__(self, line, data):
        self._line, self._read_to = line, 0
        self._questions = [("", data)] if isinstance(data, str) else list(data or [])

    def answer(self, screen):
        text = screen.decode(errors="replace").replace("\r\n", "\n")
        while self._questions and (at := text.find(self._questions[0][0], self._read_to)) >= 0:
            question, answer = self._questions.pop(0)
            self._read_to = at + len(question)
            self._line.send(b"I", (answer(text) if callable(answer) else answer).encode())
