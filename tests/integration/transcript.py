# SPDX-License-Identifier: MIT
"""Golden transcripts: command lines and what they print, as files in tests/cli/.

    $ zseal unlock --nonsense
    2> zseal: the command line is wrong
    -> 2

A line that begins with "$ " is run by a shell in a lab machine; then follow its standard output, its standard error
behind "2> ", and its exit status unless it is 0. "#" begins a remark. What differs each time has a word in its place,
see MASKS. One file is one machine, its command lines run in order.

Guarantees: what a file says is what zseal prints, to the byte.
"""
import re

from conftest import ROOT

FOLDER = ROOT / "tests/cli"

MASKS = [
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\b([0-9a-f]{4}-){7}[0-9a-f]{4}\b", "<fingerprint>"),
    (r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]\b", "<date>"),
    (r"\(guid [0-9]+\)", "(guid <guid>)"),
    (r"^zseal [0-9.]+ \(.*\)$", "<version>"),
]


def files():
    return sorted(path.name for path in FOLDER.glob("*.txt"))


def masked(text):
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


def run_line(node, line):
    done = node.run(["bash", "-c", line])
    status = f"-> {done.returncode}\n" if done.returncode else ""
    errors = "".join(f"2> {said}\n" for said in done.stderr.splitlines())
    return masked(done.stdout + errors + status)


def replay(node, name):
    """The transcript as it is, and as it would be now."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    blocks, remarks = [], ""
    for line in text.splitlines():
        if line.startswith("#"):
            remarks += line + "\n"
        elif line.startswith("$ "):
            blocks.append(remarks + line + "\n" + run_line(node, line[2:]))
            remarks = ""
    return text, "\n".join(blocks)


def write(name, text):
    (FOLDER / name).write_text(text, encoding="utf-8")
