#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fills the program's tables into a manual page. Runs while zseal is built.

usage: assemble.py TABLES VERSION DOCS PAGE.in >PAGE      DOCS: the folder of the installed documents

A page is mdoc(7) with lines of its own:

    @VERB NAME@         a section's head of a verb: its synopsis, summary, details and options
    @SYNOPSIS@          the synopses of the page's verbs
    @OPENING@           the options that open a keyring, which many verbs share; @NEW_SLOTS@: those for new slots
    @COMMON@            --json, --dry-run, --config, --help
    @VERBS@ @EXITS@ @ERRORS CLASS@ @EVENTS@ @TYPES@
    @SETTING SECTION KEY@
    @VERSION@ @DOCS@    also within a line

Guarantees: an option of a verb is on its page, beside the verb or in one of the shared lists; a page that leaves one
out, or names what is not in the tables, is an error.
"""
import json
import re
import sys
import textwrap
from pathlib import Path

COMMON = ["json", "dry-run", "config", "help"]
NEW_SLOTS = ["pcrs", "handle", "new-pin", "new-pin-fd", "new-pin-credential", "new-passphrase-fd",
             "new-passphrase-credential", "recovery-to-fd", "recovery-sheet-fd", "no-qr"]
ANSWERS = ["recovery", "passphrase", "pin"]
OPENING = [answer + how for answer in ANSWERS for how in ("", "-fd", "-credential")] + ["trust"]
SHARED = {"OPENING": OPENING, "NEW_SLOTS": NEW_SLOTS, "COMMON": COMMON}
ALSO = {"OPENING": "OPENING THE KEYRING", "NEW_SLOTS": "NEW SLOTS"}


def escaped(text):
    """As troff shows it: as it is. A hyphen is one that can be copied to a shell."""
    for plain, code in (("\\", r"\e"), ("-", r"\-"), ("'", r"\(aq"), ("`", r"\(ga"), ("^", r"\(ha"), ("~", r"\(ti"),
                        ("…", "...")):
        text = text.replace(plain, code)
    return r"\&" + text if text.startswith(".") else text


def line(*words):
    """A macro and its words; one that is a macro's name, or has blanks, is quoted or kept from being one."""
    def word(text):
        text = escaped(text)
        if re.fullmatch("[A-Z][a-z]|[,.;:()|]", text) and text != "|":
            text = r"\&" + text
        return f'"{text}"' if " " in text else text
    return " ".join([words[0], *map(word, words[1:])])


def sentences(text):
    """Each on a line of its own, as mdoc wants it. A program's name stays as it is."""
    if not re.match("zseal |zfs |zpool ", text):
        text = text[0].upper() + text[1:]
    text += ("" if text.endswith((".", ":")) else ".")
    return "\n".join(map(escaped, re.split(r"(?<=[.!?]) +(?=[A-Z])", text)))


def option_head(option):
    """As .It of a list."""
    names = ([f"Fl {escaped(option['letter'])}"] if option["letter"] else [])
    names += [f"Fl \\-{escaped(option['name'])}"] if option["name"] else []
    argument = f" Ar {escaped(option['argument'])}" if option["argument"] else ""
    return ".It " + " , ".join(names) + argument


def option_list(options):
    yield ".Bl -tag -width Ds"
    for option in options:
        yield option_head(option)
        yield sentences(option["help"])
    yield ".El"


def synopsis(verb):
    yield ".Nm zseal"
    yield line(".Cm", *verb["name"].split())
    yield ".Op Ar OPTION ..."
    arguments = verb["arguments"]
    while arguments:
        optional, flag, name, more, alternative, arguments = re.fullmatch(
            r"(\[)?(--)?([A-Za-z-]+)(…)?(?(1)\]) ?(\| )?(.*)", arguments).groups()
        yield (f".{'Op ' if optional else ''}{'Fl ' if flag else 'Ar '}" + escaped((flag or "")[1:] + name)
               + (" ..." if more else "") + (" |" if alternative else ""))


def details(text):
    """Paragraphs; lines that stand in are shown as they are."""
    for block in re.findall(r"(?:^  .*\n?)+|(?:^\S.*\n?)+", text, re.M):
        if block.startswith(" "):
            yield ".Bd -literal -offset indent"
            yield from map(escaped, textwrap.dedent(block).rstrip("\n").split("\n"))
            yield ".Ed"
        else:
            yield ".Pp"
            yield sentences(" ".join(block.split()))


class Page:
    def __init__(self, tables, words):
        self.tables = tables
        self.words = words
        self.verbs = []
        self.shared = set()

    def option_names(self):
        return {option["name"] or option["letter"] for verb in self.verbs for option in verb["options"]}

    def find_verb(self, name):
        return next(verb for verb in self.tables["verbs"] if verb["name"] == name)

    def verb(self, name):
        verb = self.find_verb(name)
        yield line(".Ss", f"zseal {name}")
        yield from synopsis(verb)
        yield ".Pp"
        yield sentences(verb["summary"])
        if verb["details"]:
            yield from details(verb["details"])

    def options(self, name):
        """Its own, and where the others are."""
        options = self.find_verb(name)["options"]
        shared = set().union(*SHARED.values())
        own = [option for option in options if option["name"] not in shared]
        if own:
            yield from option_list(own)
        yield ".Pp"
        yield "It also takes"
        for group in ("OPENING", "NEW_SLOTS"):
            if any(option["name"] in SHARED[group] for option in options):
                yield f"the options under\n.Sx {ALSO[group]} ,"
        *flags, last = [f"Fl \\-{escaped(option['name'])}" for option in options if option["name"] in COMMON]
        yield f".{' , '.join(flags)}\nand\n.{last} ."

    def shared_list(self, group):
        """Of the page's verbs; the common ones are every verb's."""
        self.shared.add(group)
        found = {option["name"]: option for verb in (self.tables["verbs"] if group == "COMMON" else self.verbs)
                 for option in verb["options"] if option["name"] in SHARED[group]}
        yield from option_list([found[name] for name in SHARED[group] if name in found])

    def fill(self, name, *words):
        table = self.tables
        if name == "VERB":
            yield from self.verb(" ".join(words))
        elif name == "OPTIONS":
            yield from self.options(" ".join(words))
        elif name == "SYNOPSIS":
            for verb in self.verbs:
                yield from synopsis(verb)
        elif name in SHARED:
            yield from self.shared_list(name)
        elif name == "VERBS":
            yield ".Bl -tag -width header-restore"
            for verb in table["verbs"]:
                yield line(".It Cm", *verb["name"].split())
                yield sentences(verb["summary"])
            yield ".El"
        elif name == "EXITS":
            yield ".Bl -tag -width Ds"
            for status in table["exits"]:
                yield f".It {status['status']}"
                yield escaped(status["words"].capitalize()) + ":"
                yield escaped(status["meaning"]) + "."
            yield ".El"
        elif name == "ERRORS":
            yield ".Bl -tag -width Ds"
            for error in table["errors"]:
                if error["class"] == words[0]:
                    yield line(".It Sy", error["name"])
                    yield sentences(error["sentence"])
                    yield ".br"
                    yield "Next: " + escaped(error["advice"]) + "."
            yield ".El"
        elif name == "EVENTS":
            yield ".Bl -tag -width Ds -compact"
            for event in table["events"]:
                yield line(".It Sy", event["name"])
                yield sentences(event["subject"])
                yield line(".Li", event["message_id"])
            yield ".El"
        elif name == "TYPES":
            *types, last = [line(".Cm", kind) for kind in table["slot_types"]]
            yield " ,\n".join(types) + f"\nor\n{last} ."
        elif name == "SETTING":
            yield from self.setting(*words)
        else:
            raise KeyError(name)

    def setting(self, section, key):
        found = next(row for row in self.tables["settings"] if (row["section"], row["key"]) == (section, key))
        yield f".It Cm {escaped(key)} No = Ar value"
        yield sentences(found["expected"])

    def assemble(self, source):
        self.verbs = [self.find_verb(name) for name in re.findall("^@VERB ([a-z -]+)@$", source, re.M)]
        for row in source.rstrip("\n").split("\n"):
            marker = re.fullmatch("@([A-Z_]+)((?: [a-z0-9-]+)*)@", row)
            if marker:
                yield from self.fill(marker[1], *marker[2].split())
            else:
                yield re.sub("@(.*?)@", lambda word: self.words[word[1]], row)
        for group, names in SHARED.items():
            if self.verbs and group not in self.shared and self.option_names().intersection(names):
                sys.exit(f"assemble.py: the page has verbs that take options of @{group}@, but not that list")
        for verb in self.verbs:
            if f"@OPTIONS {verb['name']}@" not in source:
                sys.exit(f"assemble.py: there is no @OPTIONS {verb['name']}@")


def wrapped(rows):
    """Text in lines of up to 80 characters. What is shown as it is stays so."""
    literal = False
    for row in "\n".join(rows).split("\n"):
        literal = row.startswith(".Bd") or (literal and not row.startswith(".Ed"))
        if literal or row.startswith("."):
            yield row
            continue
        for number, part in enumerate(textwrap.wrap(row, 80, break_on_hyphens=False, break_long_words=False)):
            yield r"\&" + part if number and part[0] in ".'" else part


def main(tables, version, docs, source):
    page = Page(json.loads(Path(tables).read_text()), {"VERSION": version, "DOCS": docs})
    print("\n".join(wrapped(page.assemble(Path(source).read_text()))))


if __name__ == "__main__":
    main(*sys.argv[1:])
