#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A second implementation of zseal's format, written from docs/format.md alone.

It shows that the document is enough, makes the test vectors without zseal's own code, and opens a pool where zseal is
not at hand: it needs Python 3.9 and python3-cryptography. It handles keys in ordinary memory, which nothing wipes: run
it on a machine that you trust, and switch that off afterwards.

  zseal_second.py COPY                                   says what is in a header's copy
  zseal_second.py COPY DATASET < recovery-key > raw-key  gives the 32 bytes for zfs load-key
  zseal_second.py COPY DATASET --slot NAME < passphrase  the same by a slot of type passphrase, or by what a TPM
                                [--unsealed FILE]        unsealed and, on standard input, the PIN if the slot has one
"""
import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
import uuid
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

VALUE_MAX = 8191
COPY_MAX = 64 << 20
DEPTH_MAX = 16
SECONDS_MAX = 2**53
NAME = re.compile(r"[a-z0-9_-]{1,63}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class HeaderError(Exception):
    """What is wrong, and its name as zseal has it."""

    def __init__(self, name, text):
        super().__init__(f"{text} ({name})")
        self.name = name


def bad(text):
    return HeaderError("format", text)


# ---- JSON: format.md, section 3 ----

# A string, a bracket, or the start of what version 1 does not have: other escapes, unfinished strings, real numbers.
TOKEN = re.compile(r'"(?:[^"\\]|\\["\\])*"|[{}\[\]]|(?P<string>")|(?P<real>\.|[0-9][eE])')


def check_text(text, largest):
    """The bounds that hold before anything is parsed."""
    if len(text) > largest:
        raise bad(f"longer than {largest} bytes")
    if not all(" " <= c <= "~" or c == "\n" for c in text):
        raise bad("not printable ASCII")
    depth = 0
    for token in TOKEN.finditer(text):
        if token["string"]:
            raise bad("an unfinished string, or an escape that printable ASCII does not need")
        if token["real"]:
            raise bad("not a whole number")
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth > DEPTH_MAX:
            raise bad(f"more than {DEPTH_MAX} objects in each other")


def without_duplicates(members):
    seen = dict(members)
    if len(seen) != len(members):
        raise bad("a member is there twice")
    return seen


def no_number(word):
    raise bad(f"{word} is no number")


def in_64_bits(digits):
    number = int(digits)
    if not -2**63 <= number < 2**63:
        raise bad("a number is too large")
    return number


def load(text, largest=VALUE_MAX):
    check_text(text, largest)
    try:
        value = json.loads(text, object_pairs_hook=without_duplicates, parse_int=in_64_bits,
                           parse_constant=no_number)
    except ValueError as error:
        raise bad(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise bad("expected an object")
    return value


def dump(value):
    return json.dumps(value, separators=(",", ":"))


def dump_indented(value):
    return json.dumps(value, indent=2) + "\n"


# ---- members: each function turns a JSON value into what it means, or says what it expected ----

def expect(condition, what):
    if not condition:
        raise bad(f"expected {what}")


def whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def version(value):
    expect(whole(value) and value >= 1, "a version")
    if value > 1:
        raise HeaderError("format-newer", f"version {value}")
    return value


def generation(value):
    expect(whole(value) and 1 <= value < 2**32, "a number from 1 to 4294967295")
    return value


def seconds(value):
    expect(whole(value) and 0 <= value <= SECONDS_MAX, "a number of seconds since 1970")
    return value


def decimal(value):
    expect(isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,19}", value) and int(value) < 2**64,
           "a string of decimal digits")
    return int(value)


def identity(value):
    expect(isinstance(value, str) and UUID.fullmatch(value), "a UUID in lower case")
    return value


def name(value):
    expect(isinstance(value, str) and NAME.fullmatch(value), "a name")
    return value


def names(value):
    expect(isinstance(value, list) and len(value) <= 32, "at most 32 names")
    expect(len({name(n) for n in value}) == len(value), "names, each of them once")
    return value


def blob(smallest, largest):
    def decode(value):
        try:
            raw = base64.b64decode(value, validate=True) if isinstance(value, str) else None
        except ValueError:
            raw = None
        expect(raw is not None and smallest <= len(raw) <= largest and base64.b64encode(raw).decode() == value,
               f"base64 of {smallest} to {largest} bytes")
        return raw
    return decode


def octets(n):
    return blob(n, n)


def text(largest):
    def decode(value):
        expect(isinstance(value, str) and 1 <= len(value) <= largest and value.isprintable() and value.isascii(),
               f"a text of at most {largest} characters")
        return value
    return decode


def any_object(value):
    expect(isinstance(value, dict), "an object")
    return value


def array(element, largest):
    def decode(value):
        expect(isinstance(value, list) and 1 <= len(value) <= largest, f"an array of 1 to {largest}")
        return [element(v) for v in value]
    return decode


def values(key):
    def decode(value):
        expect(isinstance(value, dict) and list(value) == sorted(value), "an object, its members in ascending order")
        return {key(k): text(VALUE_MAX)(v) for k, v in value.items()}
    return decode


def members(table, optional=(), check=None):
    """An object with these members: {name: function}. The first is looked at first, for its version."""
    def decode(value):
        expect(isinstance(value, dict), "an object")
        result = {}
        for member, function in table.items():
            if member not in value:
                expect(member in optional, f'member "{member}"')
                continue
            try:
                result[member] = function(value[member])
            except HeaderError as error:
                raise HeaderError(error.name, f'"{member}": {error}') from None
        unknown = [member for member in value if member not in table]
        expect(not unknown, f"no members {unknown}")
        if check:
            check(result)
        return result
    return decode


# ---- the objects: format.md, sections 4 to 6 and 12 ----

def check_rings(keyring):
    rings = [r["ring"] for r in keyring["rings"]]
    for new, old in zip(rings, rings[1:]):
        expect(new["uuid"] == old["uuid"], "rings of one keyring")
        expect(new["generation"] > old["generation"], "generations that descend")
        expect(new["epoch"] != old["epoch"], "an epoch for each ring")


def check_wraps(slot):
    epochs = [w["epoch"] for w in slot["wraps"]]
    expect(len(set(epochs)) == len(epochs), "an epoch for each wrap")


def check_records(value):
    generations = [r["generation"] for r in value["records"]]
    expect(generations == sorted(generations, reverse=True), "generations that do not ascend")


def check_tpm2(protect):
    expect(("bank" in protect) == ("pcrs" in protect), "bank and pcrs together or not at all")
    expect(("policy" in protect) == ("pcrs" in protect or "pin" in protect), "policy if there are pcrs or pin")
    expect(any(protect.get("policy", b"\1")), "a policy")


def bank(value):
    expect(value in ("sha1", "sha256", "sha384"), "sha1, sha256 or sha384")
    return value


def pcrs(value):
    expect(isinstance(value, list) and value and all(whole(n) and 0 <= n <= 23 for n in value), "PCR numbers")
    expect(value == sorted(set(value)), "ascending PCR numbers")
    return value


def handle(value):
    expect(isinstance(value, str) and re.fullmatch("0x81[0-9a-f]{6}", value), "a persistent handle")
    return int(value, 16)


def word(value):
    expect(isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-]{1,63}", value), "1 to 63 of A-Z a-z 0-9 _ -")
    return value


def ciphertext(value):
    found = isinstance(value, str) and len(value) < 1024 and re.fullmatch("vault:v[1-9][0-9]{0,8}:(.+)", value)
    expect(found, "a ciphertext of Transit")
    blob(1, 1024)(found[1])
    return value


def kv_path(value):
    step = r"([A-Za-z0-9_-]+|\{node\})"
    expect(isinstance(value, str) and len(value) < 256 and re.fullmatch(f"{step}(/{step})*", value), "a path in KV")
    return value


def transit_context(keyring, slot):
    """What a vault slot's Transit key is derived with, as Vault takes it."""
    return b64(uuid.UUID(keyring).bytes + uuid.UUID(slot).bytes)


def number(least, most):
    def decode(value):
        expect(whole(value) and least <= value <= most, f"a number from {least} to {most}")
        return value
    return decode


RING = members({"uuid": identity, "epoch": octets(16), "generation": generation, "order": names, "created": seconds,
                "fingerprint": octets(32), "recovery_public": octets(32)}, optional=["recovery_public"])
KEYRING = members({"v": version, "rings": array(members({"ring": RING, "mac": octets(32)}), 2)}, check=check_rings)
SLOT = members({"v": version, "keyring": identity, "uuid": identity, "type": name, "created": seconds,
                "protect": any_object, "wraps": array(members({"epoch": octets(16), "key": octets(40)}), 2),
                "renew": members({"ephemeral": octets(32), "secret": octets(40)})},
               optional=["renew"], check=check_wraps)
RECORD = members({"uuid": identity, "keyring": identity, "epoch": octets(16), "generation": generation,
                  "created": seconds, "key": octets(40)})
RECORDS = members({"v": version, "records": array(RECORD, 4)}, check=check_records)
STRETCH = members({"salt": octets(32), "log_n": number(10, 20), "r": number(8, 8), "p": number(1, 16)})
PASSPHRASE = members({"stretch": STRETCH})
TPM2 = members({"srk": octets(34), "public": blob(1, 1024), "private": blob(1, 1024), "bank": bank, "pcrs": pcrs,
                "policy": octets(32), "handle": handle, "pin": STRETCH},
               optional=["bank", "pcrs", "policy", "handle", "pin"], check=check_tpm2)
VAULT = members({"cluster": word, "key": word, "ciphertext": ciphertext, "kv": kv_path}, optional=["kv"])
COPY = members({"zseal_header": version, "pool": text(VALUE_MAX), "pool_guid": decimal, "dataset": text(VALUE_MAX),
                "saved": seconds, "keyring": text(VALUE_MAX), "slots": values(name), "records": values(text(255))})
PIN = members({"v": version, "pool": text(255), "pool_guid": decimal, "keyring": identity, "fingerprint": octets(32),
               "generation": generation, "epoch": octets(16), "srk": octets(34)}, optional=["srk"])


def in_order(value, decoded):
    """The same JSON with the members in the order of the tables, which is the only one that is written."""
    if isinstance(decoded, dict) and isinstance(value, dict):
        return {member: in_order(value[member], part) for member, part in decoded.items()}
    if isinstance(decoded, list) and isinstance(value, list):
        return [in_order(v, part) for v, part in zip(value, decoded)]
    return value


def parse(kind, value, largest=VALUE_MAX, printed=dump):
    raw = load(value, largest)
    decoded = kind(raw)
    if printed(in_order(raw, decoded)) != value:
        raise bad("not canonical")
    return decoded


def parse_keyring(value):
    return parse(KEYRING, value)


def parse_slot(slot_name, value):
    name(slot_name)
    return parse(SLOT, value)


def parse_records(value):
    return parse(RECORDS, value)


def parse_tpm2(value):
    return parse(TPM2, value)


def parse_passphrase(value):
    return parse(PASSPHRASE, value)


def parse_vault(value):
    return parse(VAULT, value)


def parse_copy(value):
    return parse(COPY, value, COPY_MAX, dump_indented)


def parse_pins(value):
    pins, seen = [], set()
    for number, line in enumerate(value.split("\n"), 1):
        if not line:
            continue
        try:
            pin = parse(PIN, line, 1024)
        except HeaderError as error:
            raise HeaderError(error.name, f"line {number}: {error}") from None
        if (pin["pool_guid"], pin["keyring"]) in seen:
            raise bad(f"line {number}: a second pin of this keyring in this pool")
        seen.add((pin["pool_guid"], pin["keyring"]))
        pins.append(pin)
    return pins


# ---- keys: format.md, sections 1, 2, 7 and 8 ----

def hkdf(ikm, salt, info):
    """HKDF-SHA-256 (RFC 5869) of one block."""
    prk = hmac.digest(salt, ikm, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")


def derive(ikm, keyring, label, of):
    """The key of an object (slot, record, or the keyring itself) for a purpose."""
    info = b"zseal v1 " + label + b"\0" + uuid.UUID(of).bytes
    return hkdf(ikm, uuid.UUID(keyring).bytes, info)


def wrap(kek, key):
    return aes_key_wrap(kek, key)


def unwrap(kek, wrapped):
    try:
        return aes_key_unwrap(kek, wrapped)
    except InvalidUnwrap:
        raise HeaderError("unwrap", "the wrapped key does not open with this key") from None


def slot_kek(slot_secret, keyring, slot):
    return derive(slot_secret, keyring, b"slot-wrap", slot)


def record_kek(keyring_key, keyring, record):
    return derive(keyring_key, keyring, b"record-wrap", record)


def fingerprint(keyring_key, keyring):
    return derive(keyring_key, keyring, b"fingerprint", keyring)


def belongs(value, keyring):
    """Whether a value's frame says that it is a slot of this keyring, whatever its version and type."""
    try:
        return "\n" not in value and load(value).get("keyring") == keyring
    except HeaderError:
        return False


def table_mac(keyring_key, ring_text, keyring, slots):
    parts = [ring_text]
    for slot_name in sorted(s for s in slots if NAME.fullmatch(s) and belongs(slots[s], keyring)):
        parts += [slot_name, slots[slot_name]]
    key = derive(keyring_key, keyring, b"table-mac", keyring)
    return hmac.digest(key, b"".join(len(p).to_bytes(4, "big") + p.encode() for p in parts), "sha256")


def stretch(typed, how):
    """32 bytes of scrypt, unless that is more work than a slot may ask for."""
    if how["p"] << how["log_n"] > 1 << 20:
        raise HeaderError("stretch-cost", f"scrypt with N = 2^{how['log_n']}, p = {how['p']}")
    return hashlib.scrypt(typed, salt=how["salt"], n=1 << how["log_n"], r=how["r"], p=how["p"],
                          maxmem=(2 << 30) - 1, dklen=32)


def pin_auth(stretched, keyring, slot):
    """What the TPM asks for."""
    return derive(stretched, keyring, b"pin-auth", slot).rstrip(b"\0")


def pin_secret(unsealed, stretched, keyring, slot):
    return derive(unsealed + stretched, keyring, b"pin-secret", slot)


def slot_secret(slot, typed, unsealed=b""):
    """The secret of a parsed slot, from what a person typed (bytes) and what a TPM unsealed."""
    if slot["type"] == "recovery":
        return derive(recovery_parse(typed.decode("ascii", "replace")), slot["keyring"], b"recovery-secret",
                      slot["uuid"])
    if slot["type"] == "passphrase":
        return stretch(typed, parse_passphrase(dump(slot["protect"]))["stretch"])
    if slot["type"] == "tpm2":
        protect = parse_tpm2(dump(slot["protect"]))
        if "pin" in protect:
            return pin_secret(unsealed, stretch(typed, protect["pin"]), slot["keyring"], slot["uuid"])
        return unsealed
    raise HeaderError("format-newer", f"a slot of type {slot['type']}")


def recovery_private(recovery_key, keyring):
    return derive(recovery_key, keyring, b"recovery-x25519", keyring)


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def renew_kek(private, public, keyring_key, keyring, slot):
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise bad("the X25519 public key is of low order") from None
    return derive(shared + keyring_key, keyring, b"renew", slot)


def renew_open(slot, keyring_key, recovery_key):
    """The slot secret of a parsed slot, for the holder of the recovery key."""
    private = recovery_private(recovery_key, slot["keyring"])
    kek = renew_kek(private, slot["renew"]["ephemeral"], keyring_key, slot["keyring"], slot["uuid"])
    return unwrap(kek, slot["renew"]["secret"])


# ---- the recovery key as text: format.md, section 9 ----

MODHEX = "cbdefghijklnrtuv"


def times_a(v):
    """Times x in GF(16) with x^4 + x + 1."""
    return (v << 1 ^ 0b10011) & 15 if v & 8 else v << 1


def check_letter(group, number):
    total = number
    for i, v in enumerate(group):
        for _ in range(i + 1):
            v = times_a(v)
        total ^= v
    return total


def recovery_print(key):
    letters = [v for byte in key for v in (byte >> 4, byte & 15)]
    groups = [letters[i:i + 5] for i in range(0, 40, 5)]
    return "-".join("".join(MODHEX[v] for v in [*group, check_letter(group, number)])
                    for number, group in enumerate(groups))


def recovery_parse(typed):
    letters = re.sub(r"[\s-]", "", typed).lower()
    if len(letters) != 48:
        raise HeaderError("recovery-typo", f"{len(letters)} letters, not 48")
    data = []
    for number in range(8):
        group = [MODHEX.find(c) for c in letters[6 * number:6 * number + 6]]
        if min(group) < 0 or check_letter(group[:5], number) != group[5]:
            raise HeaderError("recovery-typo", f"group {number + 1} is mistyped")
        data += group[:5]
    return bytes(high << 4 | low for high, low in zip(data[::2], data[1::2]))


# ---- opening: format.md, section 10 ----

class Opened(NamedTuple):
    """What the recovery key opens."""
    keyring_keys: dict  # epoch -> keyring key, newest first
    wrapping_keys: dict  # dataset -> wrapping keys, newest first
    mac_is_right: bool


def open_ring(ring, slot, slot_secret):
    """The keyring key of a ring, or None if the slot has no wrap for it."""
    for w in slot["wraps"]:
        if w["epoch"] == ring["epoch"]:
            key = unwrap(slot_kek(slot_secret, ring["uuid"], slot["uuid"]), w["key"])
            if not hmac.compare_digest(fingerprint(key, ring["uuid"]), ring["fingerprint"]):
                raise HeaderError("fingerprint", "what was opened is not this keyring's key")
            return key
    return None


def open_keyring(keyring_value, slots, slot_name, slot_secret):
    """{epoch: keyring key} of the rings that a slot opens, and whether the MACs are right."""
    rings = parse_keyring(keyring_value)["rings"]
    texts = [dump(r["ring"]) for r in json.loads(keyring_value)["rings"]]
    slot = parse_slot(slot_name, slots[slot_name])
    if slot["keyring"] != rings[0]["ring"]["uuid"]:
        raise bad(f"slot {slot_name} belongs to another keyring")
    keys, right = {}, True
    for entry, ring_text in zip(rings, texts):
        ring = entry["ring"]
        key = open_ring(ring, slot, slot_secret)
        if key:
            keys[ring["epoch"]] = key
            right &= hmac.compare_digest(table_mac(key, ring_text, ring["uuid"], slots), entry["mac"])
    if not keys:
        raise HeaderError("unwrap", f"slot {slot_name} has no wrap of this keyring's key")
    return keys, right


def open_records(value, keyring, keys):
    """The wrapping keys of one zseal:key that these keyring keys open. One that is damaged does not stop the others."""
    opened, failed = [], None
    for r in parse_records(value)["records"]:
        if r["keyring"] == keyring and r["epoch"] in keys:
            try:
                opened.append(unwrap(record_kek(keys[r["epoch"]], keyring, r["uuid"]), r["key"]))
            except HeaderError as error:
                failed = error
    if failed and not opened:
        raise failed
    return opened


def find_recovery(keyring, slots):
    """The name of the recovery slot."""
    for slot_name in sorted(slots):
        try:
            slot = parse_slot(slot_name, slots[slot_name])
        except HeaderError:
            continue
        if slot["type"] == "recovery" and slot["keyring"] == keyring:
            return slot_name
    raise HeaderError("no-slot", "no recovery slot of this keyring")


def open_with(keyring_value, slots, records, slot_name, secret):
    """Opens a header by one slot's secret. The caller looks at mac_is_right."""
    keyring = parse_keyring(keyring_value)["rings"][0]["ring"]["uuid"]
    keys, right = open_keyring(keyring_value, slots, slot_name, secret)
    return Opened(keys, {d: open_records(v, keyring, keys) for d, v in records.items()}, right)


def open_all(keyring_value, slots, records, recovery_text):
    """The same with a recovery key."""
    recovery_parse(recovery_text)
    slot_name = find_recovery(parse_keyring(keyring_value)["rings"][0]["ring"]["uuid"], slots)
    secret = slot_secret(parse_slot(slot_name, slots[slot_name]), recovery_text.encode())
    return open_with(keyring_value, slots, records, slot_name, secret)


def open_header(keyring_value, slots, records, recovery_text):
    """{dataset: its newest wrapping key}, everything verified."""
    opened = open_all(keyring_value, slots, records, recovery_text)
    if not opened.mac_is_right:
        raise HeaderError("mac", "the keyring's slots were changed or half-written")
    missing = [dataset for dataset, keys in opened.wrapping_keys.items() if not keys]
    if missing:
        raise HeaderError("no-record", f"no record of this keyring's key on {', '.join(missing)}")
    return {dataset: keys[0] for dataset, keys in opened.wrapping_keys.items()}


# ---- making: what the vectors are made with; every random byte comes from the caller ----

def b64(raw):
    return base64.b64encode(raw).decode()


class Ring(NamedTuple):
    """A keyring key and what is said of it."""
    uuid: str
    epoch: bytes
    generation: int
    order: list
    created: int
    key: bytes
    recovery_key: bytes = b""

    def json(self):
        found = {"uuid": self.uuid, "epoch": b64(self.epoch), "generation": self.generation, "order": self.order,
                 "created": self.created, "fingerprint": b64(fingerprint(self.key, self.uuid))}
        if self.recovery_key:
            found["recovery_public"] = b64(public_of(recovery_private(self.recovery_key, self.uuid)))
        return found


class Slot(NamedTuple):
    """A slot. Without a secret it is a recovery slot; with an ephemeral private key it gets a renew."""
    name: str
    uuid: str
    type: str
    created: int
    protect: dict
    secret: bytes = b""
    ephemeral: bytes = b""

    def secret_in(self, ring):
        return self.secret or derive(ring.recovery_key, ring.uuid, b"recovery-secret", self.uuid)

    def json(self, rings):
        newest = rings[0]
        secret = self.secret_in(newest)
        found = {"v": 1, "keyring": newest.uuid, "uuid": self.uuid, "type": self.type, "created": self.created,
                 "protect": self.protect,
                 "wraps": [{"epoch": b64(r.epoch), "key": b64(wrap(slot_kek(secret, r.uuid, self.uuid), r.key))}
                           for r in rings]}
        if self.ephemeral:
            public = public_of(recovery_private(newest.recovery_key, newest.uuid))
            kek = renew_kek(self.ephemeral, public, newest.key, newest.uuid, self.uuid)
            found["renew"] = {"ephemeral": b64(public_of(self.ephemeral)), "secret": b64(wrap(kek, secret))}
        return found


class Record(NamedTuple):
    """An encryption root's wrapping key."""
    uuid: str
    generation: int
    created: int
    wrapping_key: bytes
    ring: Ring

    def json(self):
        kek = record_kek(self.ring.key, self.ring.uuid, self.uuid)
        return {"uuid": self.uuid, "keyring": self.ring.uuid, "epoch": b64(self.ring.epoch),
                "generation": self.generation, "created": self.created, "key": b64(wrap(kek, self.wrapping_key))}


def make_header(rings, slots, records):
    """(zseal:keyring, {slot name: value}, {dataset: zseal:key}) from rings and slots, newest ring first."""
    slot_values = {s.name: dump(s.json(rings)) for s in slots}
    entries = []
    for ring in rings:
        mac = table_mac(ring.key, dump(ring.json()), ring.uuid, slot_values)
        entries.append({"ring": ring.json(), "mac": b64(mac)})
    record_values = {d: dump({"v": 1, "records": [r.json() for r in of]}) for d, of in records.items()}
    return dump({"v": 1, "rings": entries}), slot_values, record_values


# ---- the command line ----

def describe(copy):
    ring = parse_keyring(copy["keyring"])["rings"][0]["ring"]
    print(f"keyring {ring['uuid']} of {copy['dataset']}, generation {ring['generation']}")
    print(f"fingerprint {'-'.join(re.findall('....', ring['fingerprint'][:16].hex()))}")
    print(f"slots: {' '.join(copy['slots'])}")
    for dataset in copy["records"]:
        print(f"key record: {dataset}")


def read_unsealed(path):
    with open(path, "rb") as file:
        unsealed = file.read()
    if len(unsealed) != 32:
        raise bad(f"{len(unsealed)} bytes were unsealed, not 32")
    return unsealed


def secret_of(copy, options):
    """A slot's name and its secret, by what is on standard input."""
    typed = sys.stdin.buffer.read().rstrip(b"\r\n")
    slot_name = options.slot or find_recovery(parse_keyring(copy["keyring"])["rings"][0]["ring"]["uuid"], copy["slots"])
    if slot_name not in copy["slots"]:
        raise HeaderError("no-slot", f"no slot {slot_name}")
    unsealed = read_unsealed(options.unsealed) if options.unsealed else b""
    return slot_name, slot_secret(parse_slot(slot_name, copy["slots"][slot_name]), typed, unsealed)


def unlock(copy, options):
    opened = open_with(copy["keyring"], copy["slots"], copy["records"], *secret_of(copy, options))
    if not opened.mac_is_right and not options.mac_is_wrong:
        raise HeaderError("mac", "the slots were changed or half-written; --mac-is-wrong goes on")
    keys = opened.wrapping_keys.get(options.dataset, [])
    if options.older not in range(len(keys)):
        raise HeaderError("no-record", f"{len(keys)} records of {options.dataset} open")
    sys.stdout.buffer.write(keys[options.older])


def main():
    parser = argparse.ArgumentParser(description="Opens a zseal header without zseal.")
    parser.add_argument("copy", help="a header's copy, as in /var/lib/zseal/header")
    parser.add_argument("dataset", nargs="?", help="an encryption root: gives its wrapping key, 32 bytes, on standard "
                        "output; the recovery key, passphrase or PIN is read from standard input: it is in no command line")
    parser.add_argument("--slot", metavar="NAME", help="open by this slot instead of the recovery key")
    parser.add_argument("--unsealed", metavar="FILE", help="what a TPM gave for a slot of type tpm2, 32 bytes")
    parser.add_argument("--older", type=int, default=0, metavar="N", help="not the newest key record, the Nth after it")
    parser.add_argument("--mac-is-wrong", action="store_true",
                        help="go on where somebody changed the slots; what opens is authentic all the same")
    options = parser.parse_args()
    with open(options.copy, encoding="ascii") as file:
        copy = parse_copy(file.read())
    if options.dataset:
        unlock(copy, options)
    else:
        describe(copy)


if __name__ == "__main__":
    try:
        main()
    except (HeaderError, OSError, UnicodeDecodeError) as error:
        sys.exit(f"zseal_second.py: {error}")
