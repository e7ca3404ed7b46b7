# SPDX-License-Identifier: MIT
"""A listener for systemd's native journal protocol, which writes one JSON object per entry.

Guarantees: an entry that was sent before drain() is asked for is in the file when it returns; fields as `journalctl -o
json` shows them: text as a string, other bytes as a list of numbers, a field that occurs twice as a list of values;
`_PID` and `_UID` are the kernel's word about the sender.
Refuses: other ways into a journal: /dev/log, standard output of services.

Spec: systemd's "Native Journal Protocol".
"""
import array
import contextlib
import json
import os
import socket
import struct
from pathlib import Path

_DATAGRAM_SIZE_MAX = 1 << 18
_CREDENTIALS = struct.Struct("3i")
_FDS_MAX = 4


def _parse_fields(data):
    """Yields (name, value). A line is either NAME=value, or NAME and then a length and that many bytes."""
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size, = struct.unpack_from("<Q", rest)
            value, rest = rest[8:8 + size], rest[8 + size + 1:]
        yield name.decode(), value
        data = rest


def _as_json(value):
    try:
        return value.decode()
    except UnicodeDecodeError:
        return list(value)


def parse_entry(data):
    """One entry as journalctl would show it."""
    values = {}
    for name, value in _parse_fields(data):
        values.setdefault(name, []).append(_as_json(value))
    return {name: several if len(several) > 1 else several[0] for name, several in values.items()}


def _read_memfd(fd):
    """What did not fit into a datagram comes as a file."""
    with open(fd, "rb") as file:
        file.seek(0)
        return file.read()


class Journal:
    """The socket at `path`, which appends to the open file `log`."""

    def __init__(self, path, log):
        # As systemd when it boots: the kernel's own 10 would hold up who sends. A user namespace may not.
        with contextlib.suppress(OSError):
            Path("/proc/sys/net/unix/max_dgram_qlen").write_text("512", encoding="ascii")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.setblocking(False)
        os.chmod(path, 0o666)
        self._log = log

    def _receive(self):
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_FDS_MAX * 4)
        data, control, _, _ = self.socket.recvmsg(_DATAGRAM_SIZE_MAX, space)
        trusted = {}
        for _, kind, value in control:
            if kind == socket.SCM_RIGHTS:
                data = b"".join(map(_read_memfd, array.array("i", value)))
            elif kind == socket.SCM_CREDENTIALS:
                pid, uid, _ = _CREDENTIALS.unpack(value)
                trusted = {"_PID": str(pid), "_UID": str(uid)}
        json.dump({**parse_entry(data), **trusted}, self._log)
        self._log.write("\n")

    def drain(self):
        """Writes down all that was sent."""
        try:
            while True:
                self._receive()
        except BlockingIOError:
            self._log.flush()
