# SPDX-License-Identifier: MIT
"""The manual pages: free of mistakes in their markup, readable at 80 columns, and true: they name what --help,
zseal.conf, the table of errors and docs/format.md have, all of it and nothing else.
"""
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from manuals import FIXTURES, MADE, ROOT, TIMEOUT_S, ZSEAL, help_of, options, run, verbs

installed, share = FIXTURES

PAGES = sorted(path.name.removesuffix(".in") for path in (ROOT / "man").glob("*.in"))
# What says nothing of a page: its footer names zseal's version on purpose; which pages are installed here is chance.
EXPECTED = re.compile(r"operating system explicitly specified: Os zseal|referenced manual not found|"
                      r"outdated mandoc\.db")


def rendered(page, width=80):
    text = run("mandoc", "-T", "ascii", "-O", f"width={width}", MADE / page)
    return re.sub(".\b", "", text)


def plain(text):
    """Without what lines, blanks and quotes do to it. Pages begin a sentence with a capital."""
    return " ".join(text.split()).lower()


def one_line(page):
    return plain(rendered(page, 1000))


def man_environment(width):
    return dict(os.environ, MANWIDTH=str(width), GROFF_NO_SGR="1", LC_ALL="C.UTF-8", MANPAGER="cat")


def section(page, title):
    """Of a rendered page, until the next one of its level or above."""
    text = rendered(page)
    found = re.search(rf"^( *){re.escape(title)}\n(.*?)(?=^ {{0,3}}\S|\Z)", text, re.M | re.S)
    assert found, f"no section {title} in {page}"
    return found[2]


def headings(page):
    return re.findall(r"^(?:   )?(\S.*)$", rendered(page), re.M)


def page_of(verb):
    """The page whose section describes the verb: there is one."""
    found = [page for page in PAGES if f"zseal {verb}" in headings(page)]
    assert len(found) == 1, f"zseal {verb} is described in {found}"
    return found[0]


def items(page):
    """Options that the page describes: their spellings, with what stands beside them."""
    source = (MADE / page).read_text().replace("\\-", "-")
    return [tuple(re.findall(r"Fl (\S+)", item)) for item in re.findall(r"^\.It (Fl .*)", source, re.M)]


# ---- markup ----

def test_there_are_pages():
    assert {"zseal.8", "zseal.7", "zseal.conf.5", "zseal-format.5", "zseal-errors.7"} < set(PAGES)
    assert len(PAGES) > 8


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_finds_nothing(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "all", MADE / page], capture_output=True, text=True,
                          timeout=TIMEOUT_S)
    assert [line for line in (done.stdout + done.stderr).splitlines() if not EXPECTED.search(line)] == []


def test_mandoc_would_find_a_mistake(tmp_path):
    bad = tmp_path / "bad.8"
    bad.write_text((MADE / "zseal.8").read_text().replace(".Sh VERBS", ".Sh VERBS\n.Xx"))
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "all", bad], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert "unknown macro" in done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_fits_into_80_columns(page):
    too_long = [line for line in rendered(page).splitlines() if len(line) > 80]
    assert too_long == []


@pytest.mark.parametrize("page", PAGES)
def test_man_shows_it_without_a_warning(page):
    """With groff, as Debian's man has it; what it shows is what mandoc shows, spaces and line ends aside."""
    shown = run("man", "--warnings", "-E", "ascii", "-l", MADE / page, env=man_environment(80))
    text = re.sub(".\b", "", shown)
    assert max(map(len, text.splitlines())) <= 80
    for heading in headings(page)[1:-1]:
        assert heading in text


@pytest.mark.parametrize("page", PAGES)
def test_refers_to_pages_that_are_there(page):
    for name, number in re.findall(r"^\.Xr (zseal\S*) (\d)", (MADE / page).read_text(), re.M):
        assert f"{name}.{number}" in PAGES


def test_every_page_is_reached_from_the_first():
    text = (MADE / "zseal.8").read_text() + (MADE / "zseal.7").read_text()
    for page in PAGES:
        name, number = page.rsplit(".", 1)
        assert f".Xr {name} {number}" in text, page


# ---- installed ----

@pytest.mark.parametrize("page", PAGES)
def test_is_installed(page, share):
    assert (share / "man" / f"man{page[-1]}" / page).read_text() == (MADE / page).read_text()


def test_man_finds_each_verb(share):
    folder = share / "man/man8"
    for first in {verb.split()[0] for verb in verbs()} - {"version"}:
        assert f"zseal {first}" in rendered(folder / f"zseal-{first}.8"), first


def test_documents_that_pages_send_to_are_installed(installed):
    shown = re.findall(r"(/\S+/share/doc/zseal/\S+\.md)", one_line("zseal-format.5"))
    assert len(shown) == 2
    for path in shown:
        assert (installed / path.lstrip("/")).is_file()


# ---- verbs and options ----

@pytest.mark.parametrize("verb", verbs())
def test_verb_is_described_as_by_help(verb):
    page = page_of(verb)
    usage, summary, *_ = help_of(*verb.split()).split("\n\n")
    for text in (usage.removeprefix("usage: ").replace("…", " ..."), summary):
        assert plain(text) in plain(section(page, f"zseal {verb}")), text
    if page != "zseal.8":
        assert plain(usage.removeprefix("usage: ").replace("…", " ...")) in plain(section(page, "SYNOPSIS"))
    assert plain(f"{verb} {summary}") in one_line("zseal.8")


@pytest.mark.parametrize("verb", verbs())
def test_options_of_a_verb_are_on_its_page(verb):
    page = page_of(verb)
    described = section(page, f"zseal {verb}")
    shared = {title: section(page, title) for title in ("COMMON OPTIONS", "NEW SLOTS", "OPENING THE KEYRING")
              if title in headings(page)}
    for option in options(verb):
        head = ", ".join(option.spellings) + (f" {option.argument}" if option.argument else "")
        item = re.compile(rf"^     {re.escape(head)}(  |$)", re.M)
        beside = [text for text in (described, *shared.values()) if item.search(text)]
        assert len(beside) == 1, f"{head} is described {len(beside)} times"
        assert plain(option.help) in plain(beside[0]), head
        # where it stands elsewhere, the verb's own text names it, or that place
        assert beside[0] == described or option.name in described or any(
            plain(title) in plain(described) for title, text in shared.items() if text == beside[0]), head


@pytest.mark.parametrize("page", PAGES)
def test_described_options_are_some_verbs(page):
    own = [verb for verb in verbs() if page_of(verb) == page]
    known = {tuple(spelling.removeprefix("-") for spelling in option.spellings)
             for verb in own or verbs() for option in options(verb)} | {("-dry-run",)}
    assert set(items(page)) <= known


@pytest.mark.parametrize("page", PAGES)
def test_text_names_only_options_that_there_are(page):
    known = {spelling for verb in verbs() for option in options(verb) for spelling in option.spellings}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rendered(page))) <= known | {"--version", "--help"}


@pytest.mark.parametrize("page", PAGES)
def test_examples_are_commands(page):
    """zseal takes their words: verbs, options, arguments of options."""
    for example in re.findall(r"^ +# (zseal .*)", rendered(page), re.M):
        words = shlex.split(re.split(r" \d?[<>|]", example)[0])
        name = " ".join(words[1:3]) if " ".join(words[1:3]) in verbs() else words[1]
        count = len(name.split())
        assert run(ZSEAL, *words[1:1 + count], "--help", *words[1 + count:]) == help_of(*name.split()), example


@pytest.mark.parametrize("page", PAGES)
def test_text_names_only_verbs_that_there_are(page):
    """Where the text says what to type: "zseal slot reseal"."""
    known = set(verbs()) | {verb.split()[0] for verb in verbs()}
    source = (MADE / page).read_text()
    for words in re.findall(r"^\.Nm (?:zseal )?Cm ([a-z]+(?: [a-z]+)?)(?: |$)", source, re.M):
        assert words in known or words.split()[0] in set(verbs()), words


# ---- exit statuses, errors, events, files ----

def test_exit_statuses():
    """Those that users are promised, in the words of --help."""
    told = " ".join(help_of().split("Exit status: ")[1].split()).rstrip(".")
    found = dict(re.findall(r"^     (\d+) +(\S[^:]*):", section("zseal.8", "EXIT STATUS"), re.M | re.S))
    found = {status: " ".join(words.split()) for status, words in found.items()}
    assert "; ".join(f"{status} {words[0].lower() + words[1:]}" for status, words in found.items()) == told
    assert list(found) == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "70"]


def errors():
    table = (ROOT / "src/base/error.h").read_text().replace("\\\n", " ")
    text = r'((?:"[^"]*"\s*)+)'
    return re.findall(rf'X\(\w+, "([a-z-]+)", ([A-Z_]+), {text},\s*{text}\)', table)


def test_every_error_is_explained_under_its_status():
    rows = errors()
    assert len(rows) > 80
    for name, kind, sentence, advice in rows:
        if kind == "OK":
            continue
        kind = kind.lower().replace("_", "-")
        status = {"partial": 1, "usage": 2, "not-mine": 3, "unavailable": 4, "refused": 5, "corrupt": 6, "state": 7,
                  "interrupted": 8, "bug": 70}[kind]
        text = plain(section("zseal-errors.7", f"Exit status {status}: {kind}"))
        assert plain(f"{name} {sentence.strip()[1:-1]}. next: {advice.strip()[1:-1]}.") in text, name


def test_every_event_is_listed():
    table = (ROOT / "src/event/event.h").read_text()
    rows = re.findall(r'X\([A-Z_]+, "([a-z-]+)", "([0-9a-f]{32})", \d, "([^"]*)"', table)
    assert len(rows) > 10
    for name, message_id, subject in rows:
        assert plain(f"{name} {subject}. {message_id}") in one_line("zseal.8"), name


def test_every_file_is_listed():
    sources = "".join(path.read_text() for path in (ROOT / "src/core").glob("*.h"))
    paths = re.findall(r'#define \w+_PATH "(/[^"]+)"', sources)
    assert len(paths) > 3
    for path in paths:
        assert path in section("zseal.8", "FILES")


# ---- zseal.conf ----

def test_every_setting_is_described_in_its_section():
    source = (ROOT / "src/core/config.c").read_text()
    table = re.findall(r'^\t\{ "([a-z0-9-]+)", "([a-z0-9-]+)", set_\w+, "([^"]*)"', source, re.M)
    assert len(table) == len(re.findall(r"^static bool set_\w+\(struct config \*c", source, re.M)) > 5
    described = {(name, key) for name in re.findall(r"^   \[(\w+)\]$", rendered("zseal.conf.5"), re.M)
                 for key in re.findall(r"^     ([a-z0-9-]+) = value$", section("zseal.conf.5", f"[{name}]"), re.M)}
    assert described == {(name, key) for name, key, _ in table}
    for name, key, expected in table:
        assert plain(f"{key} = value {expected}") in plain(section("zseal.conf.5", f"[{name}]"))


# ---- the format ----

def test_format_names_all_that_the_document_does():
    document = (ROOT / "docs/format.md").read_text()
    text = one_line("zseal-format.5")
    labels = set(re.findall(r"`(zseal v1 [a-z0-9-]+)`", document))
    parts = re.split(r"^## ", document, flags=re.M)
    chosen = "".join(part for part in parts if part[:2] in ("4.", "5.", "6.", "12"))
    members = {member.split(".")[-1] for member in re.findall(r"^\| `([a-z_\[\].]+)` \|", chosen, re.M)}
    assert len(labels) == 9 and len(members) > 25
    for word in labels | members:
        assert re.search(rf"(?<![\w]){re.escape(word)}(?![\w])", text), word


# ---- how they are made ----

def assemble(tmp_path, source):
    page = tmp_path / "page.in"
    page.write_text(source)
    return subprocess.run([sys.executable, ROOT / "man/assemble.py", MADE / "tables.json", "1.0", "/docs", page],
                          capture_output=True, text=True, timeout=TIMEOUT_S)


@pytest.mark.parametrize("source", ["@VERB unlock@\n", "@VERB unlock@\n@OPTIONS unlock@\n@COMMON@\n", "@VERB nosuch@\n",
                                    "@NOSUCH@\n", "@SETTING unlock nosuch@\n", "text @NOSUCH@ text\n"])
def test_page_that_leaves_something_out_is_not_made(tmp_path, source):
    assert assemble(tmp_path, source).returncode != 0


@pytest.mark.parametrize("viewer", [["mandoc", "-T", "utf8", "-O", "width=1000"], ["man", "-E", "UTF-8", "-l"]])
def test_texts_are_shown_as_they_are(tmp_path, viewer):
    """Of the table, whatever characters they have: a command can be copied from the page."""
    tables = json.loads((MADE / "tables.json").read_text())
    odd = r"It's a \n 'quote', -x, ~/^ and `this`. .Sh is no macro…"
    dots = ".Sh " * 40 + "'x"
    tables["errors"] = [{"name": "odd", "class": "bug", "sentence": odd, "advice": "'" + odd * 3},
                        {"name": "dots", "class": "bug", "sentence": dots, "advice": dots}]
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    (tmp_path / "page.in").write_text(".Dd May 1, 2026\n.Dt X 7\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Sh D\n@ERRORS bug@\n")
    made = run(sys.executable, ROOT / "man/assemble.py", tmp_path / "tables.json", "1.0", "/docs", tmp_path / "page.in")
    (tmp_path / "page").write_text(made)
    shown = plain(re.sub(".\b", "", run(*viewer, tmp_path / "page", env=man_environment(1000))))
    assert plain(f"dots {dots}. next: {dots}.") in shown
    assert plain(odd.replace("…", "...")) in shown
    assert plain("'" + (odd * 3).replace("…", "...")) in shown
