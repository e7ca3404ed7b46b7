# SPDX-License-Identifier: MIT
"""The second implementation against the vectors: the good open, each of the bad is refused for the right reason."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

import make_vectors
import zseal_second as z

ROOT = Path(__file__).resolve().parents[2]
PARSERS = {**make_vectors.PARSERS, "recovery-key": z.recovery_parse}


def cases(path):
    return json.loads((ROOT / "tests/vectors" / path).read_text(encoding="ascii"))["cases"]


def named(found):
    return [pytest.param(c, id=f"{c['kind']}: {c['what']}") for c in found]


def value_of(c):
    return c["value"] if "value" in c else bytes.fromhex(c["value_hex"]).decode("latin-1")


def parse(c):
    if c["kind"] == "slot":
        return z.parse_slot(c["name"], value_of(c))
    return PARSERS[c["kind"]](value_of(c))


@pytest.mark.parametrize("path", sorted(make_vectors.files()))
def test_vectors_are_those_that_the_script_makes(path):
    assert (ROOT / path).read_text(encoding="ascii") == make_vectors.files()[path]


@pytest.mark.parametrize("c", named(cases("good/values.json")))
def test_good_value(c):
    assert make_vectors.in_hex(parse(c)) == c["expect"]


@pytest.mark.parametrize("c", named(c for c in cases("good/values.json") if c["kind"] != "pins"))
def test_cut_off_anywhere(c):
    for size in range(len(c["value"])):
        with pytest.raises(z.HeaderError):
            parse({**c, "value": c["value"][:size]})


@pytest.mark.parametrize("c", named(c for path in sorted((ROOT / "tests/vectors/bad").glob("*.json"))
                                    if path.name != "header.json" for c in cases(path)))
def test_bad_value(c):
    with pytest.raises(z.HeaderError) as error:
        parse(c)
    assert error.value.name == c["error"]


@pytest.mark.parametrize("c", named(cases("good/header.json")))
def test_good_header(c):
    opened = z.open_all(c["keyring"], c["slots"], c["records"], c["recovery"])
    assert opened.mac_is_right
    assert make_vectors.in_hex(opened.wrapping_keys) == c["keys"]
    assert make_vectors.in_hex(z.open_header(c["keyring"], c["slots"], c["records"], c["recovery"])) == {
        dataset: keys[0] for dataset, keys in c["keys"].items()}


@pytest.mark.parametrize("c", named(c for c in cases("good/header.json") if "derived" in c))
def test_renew_gives_each_slot_secret(c):
    recovery_key = z.recovery_parse(c["recovery"])
    keys = z.open_all(c["keyring"], c["slots"], c["records"], c["recovery"]).keyring_keys
    for name, slot in c["derived"]["slots"].items():
        secret = z.renew_open(z.parse_slot(name, c["slots"][name]), next(iter(keys.values())), recovery_key)
        assert secret.hex() == slot["secret"]
        assert z.open_keyring(c["keyring"], c["slots"], name, secret) == (keys, True)


@pytest.mark.parametrize("c", named(c for c in cases("good/header.json") if "answers" in c))
def test_answers_open_their_slots(c):
    for name, answer in c["answers"].items():
        slot = z.parse_slot(name, c["slots"][name])
        unsealed = bytes.fromhex(answer.get("unsealed", ""))
        secret = z.slot_secret(slot, answer["typed"].encode(), unsealed)
        assert secret.hex() == c["derived"]["slots"][name]["secret"]
        opened = z.open_with(c["keyring"], c["slots"], c["records"], name, secret)
        assert opened.mac_is_right and make_vectors.in_hex(opened.wrapping_keys) == c["keys"]
        with pytest.raises(z.HeaderError):
            wrong = z.slot_secret(slot, answer["typed"].encode() + b"x", unsealed)
            z.open_with(c["keyring"], c["slots"], c["records"], name, wrong)


def test_work_is_bounded():
    for log_n, p in ((20, 2), (17, 16), (20, 16)):
        with pytest.raises(z.HeaderError) as error:
            z.stretch(b"x", {"salt": bytes(32), "log_n": log_n, "r": 8, "p": p})
        assert error.value.name == "stretch-cost"


@pytest.mark.parametrize("c", named(cases("bad/header.json")))
def test_bad_header(c):
    with pytest.raises(z.HeaderError) as error:
        z.open_header(c["keyring"], c["slots"], c["records"], c["recovery"])
    assert error.value.name == c["error"]


def values_in(found):
    if isinstance(found, dict):
        found = list(found.values())
    return [v for f in found for v in values_in(f)] if isinstance(found, list) else [found]


def test_worked_example_in_the_document():
    text = (ROOT / "docs/format.md").read_text(encoding="utf-8")
    example = cases("good/header.json")[0]
    derived = example["derived"]
    shown = [example["recovery"], example["keyring"], *example["slots"].values(), example["records"]["tank"],
             *values_in({k: v for k, v in derived.items() if isinstance(v, str)}), *values_in(derived["rings"]),
             *values_in(derived["records"]["tank"]), *(derived["slots"]["recovery"][k] for k in ("secret", "wrap_kek")),
             *(derived["slots"]["tpm2"][k] for k in ("secret", "renew_kek"))]
    assert [v for v in shown if v not in text] == []


def run(*arguments, typed=""):
    return subprocess.run([sys.executable, ROOT / "tests/second/zseal_second.py", *arguments], input=typed.encode(),
                          capture_output=True, check=False)


@pytest.fixture(name="copy")
def copy_file(tmp_path):
    path = tmp_path / "copy"
    path.write_text(make_vectors.z.dump_indented(make_vectors.COPY), encoding="ascii")
    return path


def test_command_line(copy):
    recovery = z.recovery_print(make_vectors.RECOVERY_KEY).upper().replace("-", " ") + "\n"
    assert b"key record: tank/vm" in run(copy).stdout
    assert run(copy, "tank/vm", typed=recovery).stdout == make_vectors.fixed("wrapping key vm 1")


@pytest.mark.parametrize("arguments, typed, said", [
    (["tank"], "cbdefg", b"6 letters, not 48"),
    (["tank/none"], z.recovery_print(make_vectors.RECOVERY_KEY), b"0 records of tank/none open"),
    (["tank", "--older", "1"], z.recovery_print(make_vectors.RECOVERY_KEY), b"1 records of tank open"),
    (["tank"], z.recovery_print(bytes(20)), b"does not open"),
])
def test_command_line_refuses(copy, arguments, typed, said):
    done = run(copy, *arguments, typed=typed)
    assert done.returncode == 1 and said in done.stderr and done.stdout == b""


def test_command_line_and_a_wrong_mac(copy):
    text = copy.read_text(encoding="ascii")
    copy.write_text(text.replace('\\"generation\\":4', '\\"generation\\":5'), encoding="ascii")
    recovery = z.recovery_print(make_vectors.RECOVERY_KEY)
    assert b"(mac)" in run(copy, "tank", typed=recovery).stderr
    assert run(copy, "tank", "--mac-is-wrong", typed=recovery).stdout == make_vectors.fixed("wrapping key tank 1")


@pytest.fixture(name="attended")
def attended_copy_file(tmp_path):
    keyring, slots, records = make_vectors.ATTENDED
    path = tmp_path / "attended"
    path.write_text(z.dump_indented({**make_vectors.COPY, "keyring": keyring, "slots": dict(sorted(slots.items())),
                                     "records": dict(sorted(records.items()))}), encoding="ascii")
    return path


def test_command_line_with_slots_of_other_types(attended, tmp_path):
    (tmp_path / "unsealed").write_bytes(make_vectors.fixed("unsealed"))
    key = make_vectors.fixed("wrapping key tank 1")
    assert run(attended, "tank", "--slot", "passphrase", typed="correct horse battery staple\n").stdout == key
    of_pin = [attended, "tank", "--slot", "pin", "--unsealed", tmp_path / "unsealed"]
    assert run(*of_pin, typed="1234\n").stdout == key
    for done, said in ((run(*of_pin, typed="12345\n"), b"(unwrap)"),
                       (run(attended, "tank", "--slot", "passphrase", typed="correct horse"), b"(unwrap)"),
                       (run(attended, "tank", "--slot", "none", typed="x"), b"(no-slot)"),
                       (run(*of_pin[:-1], attended, typed="1234"), b"were unsealed, not 32")):
        assert done.returncode == 1 and said in done.stderr and done.stdout == b""
