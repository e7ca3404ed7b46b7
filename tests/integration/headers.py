# SPDX-License-Identifier: MIT
"""Headers as the format's second implementation reads and makes them: what zseal itself would never write.

Guarantees: a key that is opened here is secret from then on, see conftest.keep_secret(). Refuses: nothing, that is its
use.
"""
import dataclasses
import json
import os
import subprocess
import time
import uuid

import zseal_second as second
from conftest import keep_secret, run

PREFIX = "zseal:slot."


@dataclasses.dataclass
class Header:
    """What a pool holds of one keyring, as text."""
    dataset: str
    keyring: str
    slots: dict
    records: dict


def get(node, dataset, name):
    """A local property's value, None without one."""
    value = run(node, "zfs", "get", "-H", "-p", "-s", "local,received", "-o", "value", name, dataset)
    return value[:-1] if value else None


def put(node, dataset, name, value):
    """Sets a property, or removes it."""
    if value is None:
        run(node, "zfs", "inherit", name, dataset)
    else:
        run(node, "zfs", "set", f"{name}={value}", dataset)


def read(node, dataset="tank"):
    """The header of a keyring in a pool, with the records of all roots below it."""
    lines = run(node, "zfs", "get", "-H", "-s", "local,received", "-o", "property,value", "all", dataset).splitlines()
    own = dict(line.split("\t", 1) for line in lines)
    records = run(node, "zfs", "get", "-rH", "-s", "local,received", "-o", "name,value", "zseal:key", dataset)
    return Header(dataset, own["zseal:keyring"],
                  {name[len(PREFIX):]: value for name, value in own.items() if name.startswith(PREFIX)},
                  dict(line.split("\t", 1) for line in records.splitlines()))


def write(node, header):
    """The opposite, slots that it does not know included."""
    for name in read(node, header.dataset).slots.keys() - header.slots.keys():
        put(node, header.dataset, PREFIX + name, None)
    put(node, header.dataset, "zseal:keyring", header.keyring)
    for name, value in header.slots.items():
        put(node, header.dataset, PREFIX + name, value)
    for dataset, value in header.records.items():
        put(node, dataset, "zseal:key", value)


def changed(value, change):
    """A JSON text after change() had its object: as compact as before."""
    found = json.loads(value)
    change(found)
    return second.dump(found)


# ---- with keys ----

def open_with(node, header, recovery_key):
    """All keys of a header."""
    opened = second.open_all(header.keyring, header.slots, header.records, recovery_key)
    for key in (*opened.keyring_keys.values(), *(key for keys in opened.wrapping_keys.values() for key in keys)):
        keep_secret(node.world, key)
    return opened


def keyring_key(node, header, recovery_key):
    """The newest keyring key, and its epoch."""
    epoch, key = next(iter(open_with(node, header, recovery_key).keyring_keys.items()))
    return key, epoch


def sealed_again(node, header, recovery_key, change=lambda ring: None):
    """With its ring changed, and a MAC that is right for it and the slots as they are: only who holds the keyring's key
    can make that."""
    key, _ = keyring_key(node, header, recovery_key)
    rings = json.loads(header.keyring)
    ring = rings["rings"][0]["ring"]
    change(ring)
    mac = second.table_mac(key, second.dump(ring), ring["uuid"], header.slots)
    rings["rings"][0]["mac"] = second.b64(mac)
    return dataclasses.replace(header, keyring=second.dump(rings))


def record(header, key, epoch, wrapping_key, generation=1):
    """A zseal:key for a wrapping key, under a keyring's key."""
    keyring = second.parse_keyring(header.keyring)["rings"][0]["ring"]["uuid"]
    ring = second.Ring(keyring, epoch, 1, [], 0, key)
    made = second.Record(str(uuid.uuid4()), generation, int(time.time()), wrapping_key, ring)
    return second.dump({"v": 1, "records": [made.json()]})


def add_root(node, pool, dataset, wrapping_key=None):
    """An encryption root of its own below a pool, on the same keyring: what `zseal adopt` will do. Gives its record."""
    header = read(node, pool.name)
    wrapping_key = wrapping_key or os.urandom(32)
    keep_secret(node.world, wrapping_key)
    key, epoch = keyring_key(node, header, pool.recovery_key)
    value = record(header, key, epoch, wrapping_key)
    create_root(node, dataset, wrapping_key)
    put(node, dataset, "zseal:key", value)
    return value


def create_root(node, dataset, wrapping_key, *options):
    """An encryption root of which zseal knows nothing."""
    reader, writer = os.pipe()
    os.write(writer, wrapping_key)
    os.close(writer)
    try:
        with node.popen(["zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=prompt",
                         *options, dataset], stdin=reader) as process:
            assert process.wait(60) == 0
    finally:
        os.close(reader)


_PROCESSES = 16
_CREATE_MANY = """
import ctypes, sys
core, nv = ctypes.CDLL("libzfs_core.so.3", use_errno=True), ctypes.CDLL("libnvpair.so.3")
nv.fnvlist_alloc.restype = ctypes.c_void_p
assert core.libzfs_core_init() == 0
location, key = sys.argv[1].encode(), sys.stdin.buffer.read(32)
for line in sys.stdin.read().splitlines():
    dataset, record = line.split("\\t")
    properties = ctypes.c_void_p(nv.fnvlist_alloc())
    nv.fnvlist_add_uint64(properties, b"encryption", ctypes.c_uint64(1))
    nv.fnvlist_add_uint64(properties, b"keyformat", ctypes.c_uint64(1))
    nv.fnvlist_add_string(properties, b"keylocation", location)
    nv.fnvlist_add_string(properties, b"zseal:key", record.encode())
    error = core.lzc_create(dataset.encode(), 2, properties, key, len(key))
    assert error == 0, f"{dataset}: {error}"
    nv.fnvlist_free(properties)
"""


def add_roots(node, header, recovery_key, datasets, wrapping_key=None, keylocation="prompt"):
    """Many with one wrapping key, in a few processes: each waits for a transaction, and those share one."""
    wrapping_key = wrapping_key or os.urandom(32)
    keep_secret(node.world, wrapping_key)
    key, epoch = keyring_key(node, header, recovery_key)
    lines = [f"{dataset}\t{record(header, key, epoch, wrapping_key)}\n" for dataset in datasets]
    processes = [node.popen(["/usr/bin/python3", "-c", _CREATE_MANY, keylocation], stdin=subprocess.PIPE)
                 for _ in range(_PROCESSES)]
    for i, process in enumerate(processes):
        process.stdin.write(wrapping_key + "".join(lines[i::_PROCESSES]).encode())
        process.stdin.close()
    assert [process.wait(300) for process in processes] == [0] * _PROCESSES


def exchanged(node, header, wrapping_keys, recovery_key=None):
    """The header that a thief would make: the same UUID, another keyring key, which his own recovery key opens."""
    ring = json.loads(header.keyring)["rings"][0]["ring"]
    recovery_key = recovery_key or os.urandom(20)
    own = second.Ring(ring["uuid"], os.urandom(16), ring["generation"], ["recovery"], ring["created"], os.urandom(32),
                      recovery_key)
    slot = second.Slot("recovery", str(uuid.uuid4()), "recovery", ring["created"], {})
    records = {dataset: [second.Record(str(uuid.uuid4()), 1, ring["created"], key, own)]
               for dataset, key in wrapping_keys.items()}
    keyring, slots, values = second.make_header([own], [slot], records)
    return Header(header.dataset, keyring, slots, values), second.recovery_print(recovery_key)


def fingerprint_of(header):
    """As zseal prints it."""
    raw = second.parse_keyring(header.keyring)["rings"][0]["ring"]["fingerprint"].hex()
    return "-".join(raw[i:i + 4] for i in range(0, 32, 4))
