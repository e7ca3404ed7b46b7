# SPDX-License-Identifier: MIT
"""The catalog that `journalctl -x` explains events from: every event has an entry, and systemd takes all of them."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
IDS = re.findall(r'X\([A-Z_]+, "[a-z-]+", "([0-9a-f]{32})"', (SOURCE / "event/event.h").read_text())


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """The program that prints the catalog, made as the build makes it."""
    program = tmp_path_factory.mktemp("generator") / "print-catalog"
    parts = ["event/catalog.c", "event/event.c", "sys/deadline.c", "base/error.c", "base/text.c"]
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", f"-I{SOURCE}", "-o", program, *(SOURCE / p for p in parts)],
                   check=True)
    return program


@pytest.fixture(scope="module")
def catalog(generator):
    return subprocess.run([generator], check=True, capture_output=True, text=True).stdout


def entries(catalog):
    """Message id to (header fields, text)."""
    for entry in re.split(r"^-- ", catalog, flags=re.M)[1:]:
        head, text = entry.split("\n\n", 1)
        message_id, *fields = head.split("\n")
        yield message_id, (dict(field.split(": ", 1) for field in fields), text.strip())


def test_every_event_has_an_entry(catalog):
    found = dict(entries(catalog))
    assert len(IDS) > 5
    assert list(found) == IDS
    for fields, text in found.values():
        assert fields.keys() == {"Subject", "Defined-By", "Documentation"}
        assert fields["Defined-By"] == "zseal"
        assert fields["Subject"] and text


def test_texts_name_fields_that_events_have(catalog):
    fields = set(re.findall(r'"([A-Z_]+)"', (SOURCE / "event/event.c").read_text()))
    named = set(re.findall(r"@([^@\n]*)@", catalog))
    assert named and named <= fields


def test_generator_says_when_its_output_is_lost(generator):
    with open("/dev/full", "w") as full:
        assert subprocess.run([generator], stdout=full).returncode != 0


@pytest.mark.skipif(not shutil.which("journalctl"), reason="this machine can't: there is no journalctl")
def test_systemd_takes_the_catalog(catalog, tmp_path):
    for folder in "usr/lib/systemd/catalog", "var/lib/systemd/catalog":
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/catalog/zseal.catalog").write_text(catalog)

    def journalctl(*arguments):
        return subprocess.run(["journalctl", f"--root={tmp_path}", "--no-pager", *arguments], check=True,
                              capture_output=True, text=True)

    assert journalctl("--update-catalog").stderr == ""
    listed = journalctl("--list-catalog").stdout.splitlines()
    assert sorted(line.split()[0] for line in listed) == sorted(IDS)
    for message_id, (fields, text) in entries(catalog):
        shown = journalctl("--dump-catalog", message_id).stdout
        assert f"Subject: {fields['Subject']}" in shown and text in shown
