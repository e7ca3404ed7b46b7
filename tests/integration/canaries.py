# SPDX-License-Identifier: MIT
"""Every secret of a pool, derived by the format's second implementation, and the search for it.

Guarantees: finds a secret as bytes, in hexadecimal, and in base64 wherever in a longer text it begins.
Refuses: to look at what a file system does not hold: holes of sparse files are passed over.
"""
import base64
import json
import os
import re
from typing import NamedTuple

import headers
import zseal_second as second

_PIECE = 1 << 20


def secrets_of(node, tank):
    """{what it is: bytes} for a pool with a TPM slot and a recovery slot."""
    header = headers.read(node, "tank")
    recovery_key = second.recovery_parse(tank.recovery_key)
    opened = second.open_all(header.keyring, header.slots, header.records, tank.recovery_key)
    keyring_key, = opened.keyring_keys.values()
    (wrapping_key,), = opened.wrapping_keys.values()
    slots = {name: second.parse_slot(name, value) for name, value in header.slots.items()}
    found = {"recovery key": recovery_key, "recovery key as text": tank.recovery_key.encode(),
             "recovery key in upper case": tank.recovery_key.upper().encode(),
             "recovery key without hyphens": tank.recovery_key.replace("-", "").encode(),
             "keyring key": keyring_key, "wrapping key": wrapping_key,
             "recovery's X25519 key": second.recovery_private(recovery_key, tank.keyring),
             "key of the MAC": second.derive(keyring_key, tank.keyring, b"table-mac", tank.keyring)}
    for name, slot in slots.items():
        secret = (second.derive(recovery_key, tank.keyring, b"recovery-secret", slot["uuid"])
                  if slot["type"] == "recovery" else second.renew_open(slot, keyring_key, recovery_key))
        assert second.open_keyring(header.keyring, header.slots, name, secret)[0], "the test derived another secret"
        found[f"secret of slot {name}"] = secret
        found[f"key of slot {name}'s wrap"] = second.slot_kek(secret, tank.keyring, slot["uuid"])
    for record in json.loads(header.records["tank"])["records"]:
        found["key of the record's wrap"] = second.record_kek(keyring_key, tank.keyring, record["uuid"])
    return found


def spellings(secret):
    """As it may be written down."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret)
        # The first and the last characters depend on what stands beside the secret.
        yield text[-(-before * 8 // 6):-4] if before else text[:len(secret) * 8 // 6]


class Search:
    """For many secrets at once."""

    def __init__(self, secrets):
        self._names = {spelling: name for name, secret in secrets.items() for spelling in spellings(secret)}
        self._longest = max(map(len, self._names))
        self._pattern = re.compile(b"|".join(re.escape(s) for s in sorted(self._names, key=len, reverse=True)))

    def in_bytes(self, data):
        """Names of the secrets that are in there."""
        return {self._names[found] for found in self._pattern.findall(data)}

    def in_text(self, text):
        return self.in_bytes(text.encode("utf-8", "surrogateescape"))

    def in_file(self, path):
        """Without its holes, piece by piece."""
        found = set()
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return self.in_bytes(file.read())
            for start, end in _extents(file.fileno(), size):
                for at in range(start, end, _PIECE):
                    file.seek(at)
                    found |= self.in_bytes(file.read(min(_PIECE, end - at) + self._longest))
        return found

    def in_folder(self, folder):
        """{path: names of secrets} of the files below it that have some."""
        found = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                names = self.in_file(path)
                if names:
                    found[str(path)] = names
        return found

    def in_memory(self, pid):
        """Of a process that waits: {region: names}."""
        found = {}
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in maps:
                start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
                if "r" not in line.split()[1] or "[v" in line:
                    continue
                memory.seek(start)
                try:
                    names = self.in_bytes(memory.read(end - start))
                except OSError:
                    continue
                if names:
                    found[line.split(maxsplit=5)[-1].strip()] = names
        return found


class Region(NamedTuple):
    """A part of a process's memory. A secret's own is locked, left out of core dumps, and empty in a child."""
    line: str
    flags: frozenset
    data: bytes

    @property
    def is_of_a_secret(self):
        return {"lo", "dd", "wf"} <= self.flags


def memory_of(pid):
    """All that a process may write to, while it waits: to be searched for what is known only later."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps:
        parts = re.findall(r"^(([0-9a-f]+)-([0-9a-f]+) rw.*)\n(?:\w+: .*\n)*?VmFlags: (.*)", smaps.read(), re.MULTILINE)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        regions = []
        for line, start, end, flags in parts:
            memory.seek(int(start, 16))
            regions.append(Region(line, frozenset(flags.split()), memory.read(int(end, 16) - int(start, 16))))
    return regions


def _extents(fd, size):
    """Parts of a file that are not holes."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at

