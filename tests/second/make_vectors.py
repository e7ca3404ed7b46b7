#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes tests/vectors and the fuzzers' first corpus by the second implementation: none of zseal's code runs here.

Every byte follows from a name in this file, so that a run changes nothing unless this file or the format did.

usage: make_vectors.py [FOLDER]      the repository, or where to put the same tree
"""
import hashlib
import json
import sys
import uuid
from pathlib import Path

import zseal_second as z

ROOT = Path(__file__).resolve().parents[2]
MADE = 1767225600  # 2026-01-01 00:00:00 UTC


def fixed(name, size=32):
    """Bytes that look random and follow from a name."""
    blocks = (hashlib.sha256(f"zseal vectors: {name} {i}".encode()).digest() for i in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def fixed_uuid(name):
    return str(uuid.UUID(bytes=fixed(name, 16), version=4))


# ---- a header with all there is ----

RECOVERY_KEY = fixed("recovery key", 20)
KEYRING = fixed_uuid("keyring")
OLD_RING = z.Ring(KEYRING, fixed("epoch 1", 16), 3, ["tpm2", "recovery"], MADE, fixed("keyring key 1"), RECOVERY_KEY)
RING = z.Ring(KEYRING, fixed("epoch 2", 16), 4, ["tpm2", "recovery"], MADE + 86400, fixed("keyring key 2"),
              RECOVERY_KEY)
FOREIGN_RING = z.Ring(fixed_uuid("foreign keyring"), fixed("foreign epoch", 16), 1, ["recovery"], MADE,
                      fixed("foreign keyring key"), RECOVERY_KEY)


def sealed_public(policy, attributes="00000412"):
    """TPM2B_PUBLIC: size, KEYEDHASH, SHA-256, fixedTPM fixedParent noDA, authPolicy, no scheme, unique."""
    return bytes.fromhex(f"004e 0008 000b {attributes} 0020") + policy + bytes.fromhex("0010 0020") + fixed("unique")


# TPM2B_PRIVATE: size, integrity HMAC, encrypted sensitive area
PRIVATE = bytes.fromhex("009e 0020") + fixed("integrity") + fixed("sensitive", 124)
TPM2 = {"srk": z.b64(b"\0\x0b" + fixed("srk")), "public": z.b64(sealed_public(fixed("policy"))),
        "private": z.b64(PRIVATE), "bank": "sha256", "pcrs": [7], "policy": z.b64(fixed("policy")),
        "handle": "0x81010001"}
PLAIN_TPM2 = {"srk": TPM2["srk"], "public": z.b64(sealed_public(bytes(32))), "private": TPM2["private"]}

TPM2_SLOT = z.Slot("tpm2", fixed_uuid("tpm2 slot"), "tpm2", MADE, TPM2, fixed("tpm2 slot secret"),
                   fixed("tpm2 ephemeral"))
RECOVERY_SLOT = z.Slot("recovery", fixed_uuid("recovery slot"), "recovery", MADE, {},
                       ephemeral=fixed("recovery ephemeral"))
SLOTS = [TPM2_SLOT, RECOVERY_SLOT]


# ---- slots that need something of a person ----

def stretch(name, log_n, p):
    return {"salt": z.b64(fixed(f"{name} salt")), "log_n": log_n, "r": 8, "p": p}


PASSPHRASE = {"stretch": stretch("passphrase", 12, 2)}
# PolicyAuthValue alone has a well-known digest.
PIN_POLICY = hashlib.sha256(bytes(32) + bytes.fromhex("0000016b")).digest()
PIN_TPM2 = {"srk": TPM2["srk"], "public": z.b64(sealed_public(PIN_POLICY, "00000012")), "private": TPM2["private"],
            "policy": z.b64(PIN_POLICY), "pin": stretch("PIN", 10, 1)}
VAULT = {"cluster": "default", "key": "zfs-wrapper-tank", "ciphertext": "vault:v1:" + z.b64(fixed("ciphertext", 72))}
ANSWERS = {"passphrase": {"typed": "correct horse battery staple"},
           "pin": {"typed": "1234", "unsealed": fixed("unsealed").hex()}}


def attended(name, kind, protect):
    """A slot whose secret follows from ANSWERS."""
    slot = {"type": kind, "protect": protect, "keyring": KEYRING, "uuid": fixed_uuid(f"{name} slot")}
    secret = z.slot_secret(slot, ANSWERS[name]["typed"].encode(), bytes.fromhex(ANSWERS[name].get("unsealed", "")))
    return z.Slot(name, slot["uuid"], kind, MADE, protect, secret, fixed(f"{name} ephemeral"))


ATTENDED_SLOTS = [attended("passphrase", "passphrase", PASSPHRASE), attended("pin", "tpm2", PIN_TPM2), RECOVERY_SLOT]


def record(name, ring=RING, generation=1):
    return z.Record(fixed_uuid(f"record {name} {generation}"), generation, MADE,
                    fixed(f"wrapping key {name} {generation}"), ring)


RECORDS = {"tank": [record("tank")], "tank/vm": [record("vm")]}
HEADER = z.make_header([RING], SLOTS, RECORDS)
# A new keyring key is on its way: both are there, and tank/vm has just been given a new wrapping key.
CHANGING = z.make_header([RING, OLD_RING], SLOTS, {
    "tank": [record("tank"), record("tank", OLD_RING)],
    "tank/vm": [record("vm", RING, 2), record("vm", OLD_RING)],
})


ATTENDED = z.make_header([RING], ATTENDED_SLOTS, RECORDS)


def derived(rings, slots, records):
    """Every value between the secrets and what is written, in hexadecimal."""
    newest = rings[0]
    private = z.recovery_private(newest.recovery_key, newest.uuid)
    found = {"recovery_key": newest.recovery_key, "recovery_private": private,
             "recovery_public": z.public_of(private), "rings": [], "slots": {}, "records": {}}
    for r in rings:
        found["rings"].append({"keyring_key": r.key, "fingerprint": z.fingerprint(r.key, r.uuid),
                               "mac_key": z.derive(r.key, r.uuid, b"table-mac", r.uuid)})
    for s in slots:
        secret = s.secret_in(newest)
        kek = z.renew_kek(s.ephemeral, z.public_of(private), newest.key, newest.uuid, s.uuid)
        found["slots"][s.name] = {"secret": secret, "wrap_kek": z.slot_kek(secret, newest.uuid, s.uuid),
                                  "ephemeral_private": s.ephemeral, "renew_kek": kek}
    for dataset, of in records.items():
        found["records"][dataset] = [{"kek": z.record_kek(r.ring.key, r.ring.uuid, r.uuid),
                                      "wrapping_key": r.wrapping_key} for r in of]
    return in_hex(found)


def in_hex(value):
    """As JSON: bytes in hexadecimal, and what may be beyond 2^53 as a string."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: str(v) if k == "pool_guid" else in_hex(v) for k, v in value.items()}
    return [in_hex(v) for v in value] if isinstance(value, list) else value


def opening(what, header=HEADER, recovery=RECOVERY_KEY, **outcome):
    keyring, slots, records = header
    return {"what": what, "kind": "header", "recovery": z.recovery_print(recovery), "keyring": keyring,
            "slots": slots, "records": records, **outcome}


def case(kind, what, value, **more):
    if not isinstance(value, str):
        value = z.dump(value)
    return {"what": what, "kind": kind, "value": value, **more}


# ---- good ----

COPY = {"zseal_header": 1, "pool": "tank", "pool_guid": "18446744073709551615", "dataset": "tank", "saved": MADE + 1,
        "keyring": HEADER[0], "slots": dict(sorted(HEADER[1].items())), "records": dict(sorted(HEADER[2].items()))}
PIN = {"v": 1, "pool": "tank", "pool_guid": "9876543210987654321", "keyring": KEYRING,
       "fingerprint": z.b64(z.fingerprint(RING.key, KEYRING)), "generation": 4, "epoch": z.b64(RING.epoch),
       "srk": TPM2["srk"]}
OTHER_PIN = {k: v for k, v in {**PIN, "pool": " ~", "pool_guid": "0"}.items() if k != "srk"}
FUTURE_SLOTS = {**HEADER[1], "later": z.dump({"v": 2, "keyring": KEYRING, "shares": [{"of": {"k": [1, None, True]}}]})}


def edit(value, *path, to):
    """A copy of a JSON value with one place set; to=None removes it."""
    value = json.loads(value) if isinstance(value, str) else json.loads(json.dumps(value))
    place = value
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return value


def with_future_slots():
    """A newer zseal added a slot: its bytes count for the MAC like all others."""
    mac = z.table_mac(RING.key, z.dump(RING.json()), KEYRING, FUTURE_SLOTS)
    return z.dump(edit(HEADER[0], "rings", 0, "mac", to=z.b64(mac))), FUTURE_SLOTS, HEADER[2]


def keys_of(records):
    return {dataset: [r.wrapping_key.hex() for r in of] for dataset, of in records.items()}


def good_headers():
    keys = keys_of(RECORDS)
    other = z.make_header([FOREIGN_RING], [RECOVERY_SLOT], {})
    yield opening("a keyring with two slots and two encryption roots", keys=keys, derived=derived([RING], SLOTS,
                                                                                              RECORDS))
    yield opening("a new keyring key and a new wrapping key are on their way", CHANGING,
                  keys={"tank": keys["tank"] * 2, "tank/vm": [fixed("wrapping key vm 2").hex(), keys["tank/vm"][0]]},
                  derived=derived([RING, OLD_RING], SLOTS, {"tank/vm": [record("vm", RING, 2)]}))
    yield opening("a slot of a version that nobody knows yet: the MAC holds", with_future_slots(), keys=keys)
    yield opening("a slot of another keyring beside them: it is none of this keyring's, and the MAC holds",
                  (HEADER[0], {**HEADER[1], "stray": other[1]["recovery"]}, HEADER[2]), keys=keys)
    for what, value in {"no JSON": "junk", "not in one line": HEADER[1]["tpm2"] + "\n",
                        "not whole numbers": f'{{"keyring":"{KEYRING}","x":NaN}}'}.items():
        yield opening(f"a value that is no slot: {what}", (HEADER[0], {**HEADER[1], "junk": value}, HEADER[2]),
                      keys=keys)
    yield opening("a slot with a passphrase, and one of a TPM with a PIN", ATTENDED, keys=keys, answers=ANSWERS,
                  derived=derived([RING], ATTENDED_SLOTS, RECORDS))
    yield opening("records moved to the other root: they open, and ZFS refuses the keys",
                  (HEADER[0], HEADER[1], {"tank": HEADER[2]["tank/vm"], "tank/vm": HEADER[2]["tank"]}),
                  keys={"tank": keys["tank/vm"], "tank/vm": keys["tank"]})


def nested(n):
    """A slot with n objects in each other in its protect."""
    value = {}
    for _ in range(n):
        value = {"x": value}
    return edit(HEADER[1]["recovery"], "protect", to=value)


def good_values():
    yield case("keyring", "one ring", HEADER[0])
    yield case("keyring", "two rings, while a keyring key is changed", CHANGING[0])
    largest = z.Ring(KEYRING, fixed("epoch", 16), 2**32 - 1, [], 2**53, fixed("keyring key"))
    yield case("keyring", "no recovery key, no slots, the largest numbers",
               {"v": 1, "rings": [{"ring": largest.json(), "mac": z.b64(fixed("mac"))}]})
    order = [f"{i:02}".ljust(63, "x") for i in range(32)]
    rings = [{"ring": r._replace(order=order).json(), "mac": z.b64(fixed("m"))} for r in (RING, OLD_RING)]
    yield case("keyring", "32 slots with the longest names, twice", {"v": 1, "rings": rings})
    yield case("slot", "a tpm2 slot with a policy, a handle and renew", HEADER[1]["tpm2"], name="tpm2")
    yield case("slot", "a recovery slot", HEADER[1]["recovery"], name="recovery")
    yield case("slot", "two wraps, no renew", edit(CHANGING[1]["recovery"], "renew", to=None), name="a")
    yield case("slot", "a type that this version does not know", edit(
        edit(HEADER[1]["recovery"], "type", to="later"), "protect",
        to={"b": [-1, 9223372036854775807, True, False, None, " !\"\\/~"], "a": {}, "": []}), name="x" * 63)
    yield case("slot", "16 objects in each other", nested(14), name="deep")
    yield case("records", "one record", HEADER[2]["tank"])
    yield case("records", "one wrapping key under the old and the new keyring key", CHANGING[2]["tank"])
    yield case("records", "four records", {"v": 1, "records": [record("vm", RING, g).json() for g in (4, 3, 2, 1)]})
    yield case("tpm2", "all members", TPM2)
    yield case("tpm2", "neither policy nor handle", PLAIN_TPM2)
    yield case("tpm2", "the first handle", {**PLAIN_TPM2, "handle": "0x81000000"})
    yield case("tpm2", "the largest blobs, all PCRs", {**TPM2, "public": z.b64(fixed("p", 1024)), "private": z.b64(
        fixed("q", 1024)), "bank": "sha384", "pcrs": list(range(24)), "handle": "0x81ffffff"})
    yield case("tpm2", "a PIN and no PCRs", PIN_TPM2)
    yield case("tpm2", "a PIN, PCRs and a handle", {**TPM2, "pin": stretch("PIN", 18, 1)})
    yield case("passphrase", "as it is made", {"stretch": stretch("passphrase", 18, 1)})
    yield case("passphrase", "the lowest cost", {"stretch": stretch("passphrase", 10, 1)})
    yield case("passphrase", "the highest numbers", {"stretch": stretch("passphrase", 20, 16)})
    yield case("vault", "as it is made", VAULT)
    yield case("vault", "with a copy in KV", {**VAULT, "kv": "site/env-1/zfs_keys/{node}"})
    yield case("vault", "all at its longest", {"cluster": "C" * 63, "key": "9" * 63, "ciphertext": (
        "vault:v999999999:" + z.b64(bytes(753))), "kv": "/".join(["{node}"] * 36 + ["xyz"])})
    yield case("slot", "a passphrase slot with renew", ATTENDED[1]["passphrase"], name="passphrase")
    yield case("copy", "a whole header", z.dump_indented(COPY))
    yield case("copy", "no slots, no records, no pool GUID yet", z.dump_indented(
        {**COPY, "pool_guid": "0", "slots": {}, "records": {}}))
    yield case("pins", "two pins", "".join(z.dump(p) + "\n" for p in (PIN, OTHER_PIN)))
    yield case("pins", "no pins", "")
    yield case("recovery-key", "as it is printed", z.recovery_print(RECOVERY_KEY), expect=RECOVERY_KEY.hex())
    yield case("recovery-key", "zero", z.recovery_print(bytes(20)), expect=bytes(20).hex())


PARSERS = {"keyring": z.parse_keyring, "slot": lambda v: z.parse_slot("any", v), "records": z.parse_records,
           "tpm2": z.parse_tpm2, "passphrase": z.parse_passphrase, "vault": z.parse_vault, "copy": z.parse_copy, "pins": z.parse_pins}


def good_with_meaning():
    for c in good_values():
        if c["kind"] in PARSERS:
            c["expect"] = in_hex(PARSERS[c["kind"]](c["value"]))
        yield c


# ---- bad: one thing is wrong in each ----

def bad_json(kind, good, **more):
    """What is wrong with any value, whatever it is of."""
    line = good.rstrip("\n")
    wrong = {
        "empty": "", "a blank": " ", "not JSON": "zseal", "an array": "[]", "a string without an end": '"x',
        "a number": "1", "null": "null", "an empty object": "{}", "comments": "/**/" + line,
        "cut off after a brace": "{", "cut off in a name": line[:3], "cut off in the middle": line[:len(line) // 2],
        "cut off before the end": line[:-1], "more behind it": line + "{}", "a blank behind it": line + " ",
        "a blank before it": " " + line, "a blank inside": line.replace(":", " :", 1),
        "a tabulator": line.replace(",", ",\t", 1), "a member twice": line.replace("{", line[:line.index(",") + 1], 1),
        "an escape for a letter": line.replace("e", "\\u0065", 1), "an escaped NUL": '{"v\\u0000":1}',
        "a control character": '{"v":"\x07"}', "deep nesting": '{"v":' * 17 + "1" + "}" * 17,
        "very deep nesting": "[" * 4000, "unbalanced brackets": "]" * 40, "a real number": '{"v":1.0}',
        "an exponent": '{"v":1e0}', "not a number": '{"v":NaN}', "infinity": '{"v":Infinity}',
        "a number beyond 64 bits": '{"v":18446744073709551616}',
    }
    for what, value in wrong.items():
        yield case(kind, what, value, error="format", **more)
    raw = {"not ASCII": line.replace("e", "\u00e9", 1).encode(), "not UTF-8": bytes(range(128, 256)),
           "an overlong UTF-8 quote": b'{"v\xc0\xa2:1}', "random bytes": fixed("garbage", 300).replace(b"\0", b"\1")}
    for what, value in raw.items():
        yield {"what": what, "kind": kind, "value_hex": value.hex(), "error": "format", **more}


def at(path):
    return "/".join(map(str, path)) or "the object"


def bad_members(kind, good, *place, optional=(), **more):
    """An object with each of its members missing or of a wrong type, with one too many, and in another order."""
    found = good
    for step in place:
        found = found[step]
    for member in found:
        path = [*place, member]
        if member not in optional:
            yield case(kind, f"{at(path)} is missing", edit(good, *path, to=None), error="format", **more)
        yield case(kind, f"{at(path)} is true", edit(good, *path, to=True), error="format", **more)
        yield case(kind, f"{at(path)} is an array", edit(good, *path, to=[[]]), error="format", **more)
    yield case(kind, f"{at(place)} has an unknown member", edit(good, *place, "zz", to=1), error="format", **more)
    turned = dict(list(found.items())[::-1])
    if len(turned) > 1:
        yield case(kind, f"{at(place)} is in another order", edit(good, *place, to=turned) if place else turned,
                   error="format", **more)


def bad_at(kind, good, path, wrong, **more):
    """One place with each of several values."""
    for what, value in wrong.items():
        yield case(kind, f"{at(path)}: {what}", edit(good, *path, to=value), **{"error": "format", **more})


LATER = {"2": 2, "4000000000": 4000000000}
NO_VERSION = {"0": 0, "-1": -1, "a string": "1"}
NUMBERS = {"negative": -1, "zero": 0, "too large": 2**32, "far too large": 2**63 - 1, "a string": "1"}
TIMES = {"negative": -1, "too large": 2**53 + 1, "a string": "1"}
UUIDS = {"empty": "", "upper case": KEYRING.upper(), "no hyphens": KEYRING.replace("-", ""), "short": KEYRING[:-1],
         "long": KEYRING + "0", "not hexadecimal": "g" + KEYRING[1:], "braces": "{" + KEYRING + "}"}
NAMES = {"empty": "", "upper case": "TPM", "64 letters": "x" * 64, "a dot": "a.b", "a slash": "../a", "a blank": "a b"}
DECIMALS = {"a number": 1, "empty": "", "beyond 64 bits": "18446744073709551616", "a leading zero": "01",
            "a sign": "+1", "negative": "-1", "a blank": " 1", "hexadecimal": "0x1", "100 digits": "9" * 100}
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def octets_like(size):
    """What is no base64 of size bytes; size is no multiple of three."""
    raw = fixed("octets", size)
    whole = z.b64(raw)
    bare = whole.rstrip("=")
    stray = bare[:-1] + BASE64[BASE64.index(bare[-1]) + 1] + whole[len(bare):]
    return {"a byte less": z.b64(raw[:-1]), "a byte more": z.b64(raw + b"\0"), "empty": "", "no padding": bare,
            "stray bits": stray, "a line end": whole + "\n", "another alphabet": "-" + whole[1:],
            "hexadecimal": raw.hex()}


def bad_keyrings():
    good, two = json.loads(HEADER[0]), json.loads(CHANGING[0])
    ring = ["rings", 0, "ring"]
    older = ["rings", 1, "ring"]
    yield from bad_json("keyring", HEADER[0])
    yield from bad_members("keyring", good)
    yield from bad_members("keyring", good, "rings", 0)
    yield from bad_members("keyring", good, *ring, optional=["recovery_public"])
    yield from bad_at("keyring", good, ["v"], LATER, error="format-newer")
    yield from bad_at("keyring", good, ["v"], NO_VERSION)
    yield from bad_at("keyring", good, [*ring, "uuid"], UUIDS)
    yield from bad_at("keyring", good, [*ring, "epoch"], octets_like(16))
    yield from bad_at("keyring", good, [*ring, "generation"], NUMBERS)
    yield from bad_at("keyring", good, [*ring, "created"], TIMES)
    yield from bad_at("keyring", good, [*ring, "fingerprint"], octets_like(32))
    yield from bad_at("keyring", good, [*ring, "recovery_public"], octets_like(32))
    yield from bad_at("keyring", good, [*ring, "order", 0], NAMES)
    yield from bad_at("keyring", good, [*ring, "order"], {
        "a name twice": ["tpm2", "tpm2"], "33 names": [f"s{i}" for i in range(33)], "an object": {}})
    yield from bad_at("keyring", good, ["rings", 0, "mac"], octets_like(32))
    yield from bad_at("keyring", two, ["rings"], {
        "none": [], "three": [two["rings"][0], *two["rings"]], "the older first": two["rings"][::-1],
        "an object": {"0": two["rings"][0]}, "not objects": [1]})
    yield from bad_at("keyring", two, [*older, "generation"], {"the same": RING.generation})
    yield from bad_at("keyring", two, [*older, "epoch"], {"the same": z.b64(RING.epoch)})
    yield from bad_at("keyring", two, [*older, "uuid"], {"another keyring": FOREIGN_RING.uuid})
    for number in ("04", "+4", "4 ", "0x4"):
        yield case("keyring", f"a generation of {number}", HEADER[0].replace(':4,"order', f':{number},"order'),
                   error="format")
    yield case("keyring", "8,192 bytes", HEADER[0].ljust(8192), error="format")


def bad_slots():
    value = HEADER[1]["recovery"]
    good, two = json.loads(value), json.loads(CHANGING[1]["recovery"])
    named = {"name": "recovery"}
    yield from bad_json("slot", value, **named)
    yield from bad_members("slot", good, optional=["renew"], **named)
    yield from bad_members("slot", good, "wraps", 0, **named)
    yield from bad_members("slot", good, "renew", **named)
    yield from bad_at("slot", good, ["v"], LATER, **{**named, "error": "format-newer"})
    yield from bad_at("slot", good, ["v"], NO_VERSION, **named)
    yield from bad_at("slot", good, ["keyring"], UUIDS, **named)
    yield from bad_at("slot", good, ["uuid"], UUIDS, **named)
    yield from bad_at("slot", good, ["type"], NAMES, **named)
    yield from bad_at("slot", good, ["created"], TIMES, **named)
    yield from bad_at("slot", good, ["protect"], {"an array": [], "a string": "{}", "9,000 bytes": {"x": "y" * 9000},
                                                  "a real number inside": {"x": 0.5}, "an umlaut": {"x": "\u00fc"}},
                      **named)
    yield case("slot", "17 objects in each other", nested(15), error="format", **named)
    yield from bad_at("slot", good, ["wraps", 0, "epoch"], octets_like(16), **named)
    yield from bad_at("slot", good, ["wraps", 0, "key"], octets_like(40), **named)
    yield from bad_at("slot", good, ["renew", "ephemeral"], octets_like(32), **named)
    yield from bad_at("slot", good, ["renew", "secret"], octets_like(40), **named)
    yield from bad_at("slot", two, ["wraps"], {"none": [], "three": [two["wraps"][0], *two["wraps"]],
                                               "not objects": [[]]}, **named)
    yield from bad_at("slot", two, ["wraps", 1, "epoch"], {"the same": two["wraps"][0]["epoch"]}, **named)
    for what, name in NAMES.items():
        yield case("slot", f"its name: {what}", value, name=name, error="format")


def bad_records():
    value = CHANGING[2]["tank/vm"]
    good = json.loads(value)
    first = ["records", 0]
    yield from bad_json("records", value)
    yield from bad_members("records", good)
    yield from bad_members("records", good, *first)
    yield from bad_at("records", good, ["v"], LATER, error="format-newer")
    yield from bad_at("records", good, ["v"], NO_VERSION)
    yield from bad_at("records", good, [*first, "uuid"], UUIDS)
    yield from bad_at("records", good, [*first, "keyring"], UUIDS)
    yield from bad_at("records", good, [*first, "epoch"], octets_like(16))
    yield from bad_at("records", good, [*first, "generation"], NUMBERS)
    yield from bad_at("records", good, [*first, "created"], TIMES)
    yield from bad_at("records", good, [*first, "key"], octets_like(40))
    yield from bad_at("records", good, ["records"], {"none": [], "five": [good["records"][0]] * 5,
                                                     "the older first": good["records"][::-1]})


def bad_tpm2():
    yield from bad_json("tpm2", z.dump(TPM2))
    yield from bad_members("tpm2", TPM2, optional=["handle"])
    yield from bad_at("tpm2", TPM2, ["srk"], octets_like(34))
    yield from bad_at("tpm2", TPM2, ["policy"], {**octets_like(32), "all zero": z.b64(bytes(32))})
    for member in ("public", "private"):
        yield from bad_at("tpm2", TPM2, [member], {"empty": "", "1,025 bytes": z.b64(bytes(1025)), "odd": "abc"})
    yield from bad_at("tpm2", TPM2, ["bank"], {"none": "none", "unknown": "sm3", "upper case": "SHA256", "empty": ""})
    yield from bad_at("tpm2", TPM2, ["pcrs"], {
        "none": [], "24": [24], "negative": [-1], "twice": [7, 7], "descending": [7, 4], "a string": ["7"],
        "far too large": [2**40]})
    yield from bad_at("tpm2", TPM2, ["handle"], {
        "a number": 2164326401, "short": "0x8101001", "upper case": "0x81FFFFFF", "decimal": "2164326401",
        "transient": "0x80000000", "after the last": "0x82000000", "zero": "0x00000000"})
    for member in ("bank", "pcrs", "policy"):
        yield case("tpm2", f"no policy but {member}", {**PLAIN_TPM2, member: TPM2[member]}, error="format")
    yield from bad_pins_of_tpm2()


def bad_stretch(kind, good, *place):
    yield from bad_members(kind, good, *place)
    yield from bad_at(kind, good, [*place, "salt"], octets_like(32))
    yield from bad_at(kind, good, [*place, "log_n"], {"9": 9, "21": 21, "zero": 0, "negative": -1, "a string": "14",
                                                      "far too large": 2**40 + 14, "a truth": True})
    yield from bad_at(kind, good, [*place, "r"], {"zero": 0, "7": 7, "9": 9, "a string": "8"})
    yield from bad_at(kind, good, [*place, "p"], {"zero": 0, "17": 17, "negative": -1, "far too large": 2**32 + 1})


def bad_passphrases():
    yield from bad_json("passphrase", z.dump(PASSPHRASE))
    yield from bad_members("passphrase", PASSPHRASE)
    yield from bad_stretch("passphrase", PASSPHRASE, "stretch")


def bad_vaults():
    good = {**VAULT, "kv": "a/{node}"}
    words = {"empty": "", "64 letters": "x" * 64, "a slash": "a/b", "dots": "..", "a blank": "a b", "an umlaut": "\u00fc"}
    ours = VAULT["ciphertext"].removeprefix("vault:v1:")
    yield from bad_json("vault", z.dump(VAULT))
    yield from bad_members("vault", good, optional=["kv"])
    yield from bad_at("vault", good, ["cluster"], words)
    yield from bad_at("vault", good, ["key"], words)
    yield from bad_at("vault", good, ["ciphertext"], {
        "empty": "", "no version": f"vault:{ours}", "version 0": f"vault:v0:{ours}", "version 01": f"vault:v01:{ours}",
        "a version of ten digits": f"vault:v1000000000:{ours}", "nothing in it": "vault:v1:", "no base64": "vault:v1:a.b=",
        "cut off": VAULT["ciphertext"][:-1], "upper case": f"VAULT:v1:{ours}", "a line end": f"vault:v1:{ours}\n",
        "1,024 characters": "vault:v1:" + z.b64(bytes(761)) + "="})
    yield from bad_at("vault", good, ["kv"], {
        "empty": "", "a slash before": "/a", "a slash behind": "a/", "two slashes": "a//b", "dots": "a/../b", "a dot": "a/./b",
        "another name in braces": "{pool}/a", "half of a name in braces": "a{node}", "256 characters": "x" * 256,
        "a question": "a?b=c", "a percent sign": "a%2e"})


def bad_pins_of_tpm2():
    yield from bad_at("tpm2", PIN_TPM2, ["pin"], {"true": True, "an array": [], "a string": "1234", "empty": {}})
    yield from bad_stretch("tpm2", PIN_TPM2, "pin")
    yield case("tpm2", "a PIN and no policy", edit(PIN_TPM2, "policy", to=None), error="format")
    yield case("tpm2", "a policy, and neither PCRs nor PIN", edit(PIN_TPM2, "pin", to=None), error="format")
    yield case("tpm2", "a PIN, PCRs and no bank", edit({**TPM2, "pin": PIN_TPM2["pin"]}, "bank", to=None),
               error="format")
    yield case("tpm2", "a PIN before the handle", {**PIN_TPM2, "handle": TPM2["handle"]}, error="format")
    yield case("tpm2", "a PIN that is null", z.dump({**PIN_TPM2, "pin": None}), error="format")


def indented(cases):
    """The same, as copies are written, but for what is wrong with the text itself."""
    for c in cases:
        yield {**c, "value": z.dump_indented(json.loads(c["value"]))}


def bad_copies():
    copy = {**COPY, "keyring": "-", "slots": {"a": "-", "b": "-"}, "records": {"tank": "-", "tank/vm": "-"}}
    good = z.dump_indented(copy)
    yield from bad_json("copy", good)
    yield case("copy", "in one line", copy, error="format")
    yield case("copy", "without the last line end", good[:-1], error="format")
    yield case("copy", "with carriage returns", good.replace("\n", "\r\n"), error="format")
    yield from indented(bad_members("copy", copy))
    yield from indented(bad_at("copy", copy, ["zseal_header"], LATER, error="format-newer"))
    yield from indented(bad_at("copy", copy, ["zseal_header"], NO_VERSION))
    yield from indented(bad_at("copy", copy, ["pool_guid"], DECIMALS))
    yield from indented(bad_at("copy", copy, ["saved"], TIMES))
    yield from indented(bad_at("copy", copy, ["slots"], {
        "in another order": {"b": "-", "a": "-"}, "a bad name": {"A": "-"}, "a number": {"a": 1}, "no value": {"a": ""},
        "a value of 8,192 bytes": {"a": "x" * 8192}, "a value that is not printable": {"a": "\n"}}))
    yield from indented(bad_at("copy", copy, ["records"], {
        "in another order": {"b": "-", "a": "-"}, "no name": {"": "-"}, "a name of 256 bytes": {"x" * 256: "-"}}))


def bad_pins():
    line = z.dump(PIN)
    yield from (c for c in bad_json("pins", line) if c["what"] != "empty")
    yield from bad_members("pins", PIN, optional=["srk"])
    yield from bad_at("pins", PIN, ["v"], LATER, error="format-newer")
    yield from bad_at("pins", PIN, ["pool"], {"empty": "", "256 bytes": "x" * 256})
    yield from bad_at("pins", PIN, ["pool_guid"], DECIMALS)
    yield from bad_at("pins", PIN, ["keyring"], UUIDS)
    yield from bad_at("pins", PIN, ["fingerprint"], octets_like(32))
    yield from bad_at("pins", PIN, ["generation"], NUMBERS)
    yield from bad_at("pins", PIN, ["epoch"], octets_like(16))
    yield from bad_at("pins", PIN, ["srk"], octets_like(34))
    yield case("pins", "one pin twice", f"{line}\n{line}\n", error="format")
    yield case("pins", "another fingerprint of the same keyring",
               f"{line}\n{z.dump({**PIN, 'fingerprint': z.b64(fixed('f'))})}\n", error="format")
    yield case("pins", "the second line is damaged", f"{line}\n{line[:-9]}\n", error="format")
    yield case("pins", "a comment", f"# mine\n{line}\n", error="format")


def bad_recovery_keys():
    good = z.recovery_print(RECOVERY_KEY)
    swapped = good[1] + good[0] + good[2:]
    groups = good.split("-")
    wrong = {"empty": "", "a letter short": good[:-1], "a letter more": good + "c", "a wrong letter": ("c" if good[0]
             != "c" else "b") + good[1:], "two letters swapped": swapped, "two groups swapped": "-".join(
             [groups[1], groups[0], *groups[2:]]), "no modhex": "a" + good[1:], "digits": "0" * 48}
    for what, value in wrong.items():
        yield case("recovery-key", what, value, error="recovery-typo")


def bad_headers():
    keyring, slots, records = HEADER
    foreign = z.make_header([FOREIGN_RING], [RECOVERY_SLOT], {"tank": [record("tank", FOREIGN_RING)]})
    ring = ["rings", 0, "ring"]
    def with_keyring(*path, to):
        return z.dump(edit(keyring, *path, to=to)), slots, records
    def with_slot(name, *path, to):
        return keyring, {**slots, name: z.dump(edit(slots[name], *path, to=to))}, records
    def with_record(*path, to):
        return keyring, slots, {**records, "tank": z.dump(edit(records["tank"], "records", 0, *path, to=to))}
    yield opening("another MAC", with_keyring("rings", 0, "mac", to=z.b64(fixed("mac"))), error="mac")
    yield opening("another generation", with_keyring(*ring, "generation", to=5), error="mac")
    yield opening("another order", with_keyring(*ring, "order", to=["recovery", "tpm2"]), error="mac")
    yield opening("another recovery public key", with_keyring(*ring, "recovery_public", to=z.b64(fixed("public"))),
                  error="mac")
    yield opening("a slot changed", with_slot("tpm2", "created", to=MADE + 1), error="mac")
    yield opening("a slot renamed", (keyring, {"recovery": slots["recovery"], "tpm": slots["tpm2"]}, records),
                  error="mac")
    yield opening("a slot lost", (keyring, {"recovery": slots["recovery"]}, records), error="mac")
    yield opening("a slot added", (keyring, {**slots, "more": slots["tpm2"]}, records), error="mac")
    yield opening("a slot of a later version added", (keyring, FUTURE_SLOTS, records), error="mac")
    yield opening("another fingerprint", with_keyring(*ring, "fingerprint", to=z.b64(fixed("fingerprint"))),
                  error="fingerprint")
    yield opening("the keyring's UUID exchanged", with_keyring(*ring, "uuid", to=FOREIGN_RING.uuid), error="no-slot")
    yield opening("the recovery slot is of another keyring",
                  (keyring, {**slots, "recovery": foreign[1]["recovery"]}, records), error="no-slot")
    yield opening("a recovery slot of another keyring, made to look like ours", with_slot(
        "recovery", "wraps", 0, "key", to=json.loads(foreign[1]["recovery"])["wraps"][0]["key"]), error="unwrap")
    yield opening("the slot's UUID exchanged", with_slot("recovery", "uuid", to=TPM2_SLOT.uuid), error="unwrap")
    yield opening("the slot's wrap is another epoch's", with_slot("recovery", "wraps", 0, "epoch", to=z.b64(
        OLD_RING.epoch)), error="unwrap")
    yield opening("another recovery key", recovery=fixed("another recovery key", 20), error="unwrap")
    yield opening("a record's wrapped key changed", with_record("key", to=z.b64(fixed("key", 40))), error="unwrap")
    yield opening("a record with the wrapped key of another record", with_record("key", to=json.loads(
        records["tank/vm"])["records"][0]["key"]), error="unwrap")
    yield opening("a record with another record's UUID", with_record("uuid", to=fixed_uuid("record vm 1")),
                  error="unwrap")
    yield opening("a record of another keyring", (keyring, slots, {**records, **foreign[2]}), error="no-record")
    yield opening("a record of an epoch that is gone", with_record("epoch", to=z.b64(OLD_RING.epoch)),
                  error="no-record")


# ---- files ----

VECTORS = {
    "good/header.json": ("Whole headers that the recovery key opens.", good_headers),
    "good/values.json": ("Values, and what they mean: binary in hexadecimal.", good_with_meaning),
    "bad/header.json": ("Whole headers that are refused, each well-formed in itself.", bad_headers),
    "bad/keyring.json": ("Values of zseal:keyring that are refused.", bad_keyrings),
    "bad/slot.json": ("Values of zseal:slot.NAME that are refused.", bad_slots),
    "bad/records.json": ("Values of zseal:key that are refused.", bad_records),
    "bad/tpm2.json": ("The protector's part of tpm2 slots that are refused.", bad_tpm2),
    "bad/passphrase.json": ("The protector's part of passphrase slots that are refused.", bad_passphrases),
    "bad/vault.json": ("The protector's part of vault slots that are refused.", bad_vaults),
    "bad/copy.json": ("Copies of headers that are refused.", bad_copies),
    "bad/pins.json": ("Files of pins that are refused.", bad_pins),
    "bad/recovery-key.json": ("Recovery keys that are refused.", bad_recovery_keys),
}

# What fuzz_header tells its codecs apart by.
LETTERS = {"keyring": "k", "slot": "s", "records": "r", "copy": "c", "tpm2": "t", "passphrase": "p", "vault": "v"}


def corpus(c):
    """The file in fuzz/corpus for a good value, and its text."""
    name = "-".join(c["what"].replace(",", "").split())
    if c["kind"] in LETTERS:
        return f"header/{c['kind']}-{name}", LETTERS[c["kind"]] + c["value"]
    return f"{ {'pins': 'pin', 'recovery-key': 'recovery_key'}[c['kind']]}/{name}", c["value"]


def files():
    """{path in the repository: text}"""
    made = {}
    for path, (about, cases) in VECTORS.items():
        made[f"tests/vectors/{path}"] = json.dumps({"about": about, "cases": list(cases())}, indent=1) + "\n"
    for c in good_values():
        path, text = corpus(c)
        made[f"fuzz/corpus/{path}"] = text
    return made


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    for path, text in files().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
