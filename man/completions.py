#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints the completions of a shell, made of the program's tables. Runs while zseal is built.

usage: completions.py bash|zsh|fish TABLES

What is offered for an argument follows from the table's word for it (KINDS); nothing is offered for any other word.
Datasets are what `zfs list` says, slots what `zfs get` says: completing asks no TPM, opens nothing, needs no root. A
fingerprint is never offered: it is to be compared with the sheet.
"""
import json
import re
import sys
from pathlib import Path

KINDS = {"FILE": "file", "DATASET": "dataset", "SLOT": "slot", "TYPE": "type", "VDEV": "device",
         "MOUNTPOINT": "folder", "ROOT": "folder"}
# An option's NAME is one that is new, or a credential's; a verb's is a slot that is there.
ARGUMENT_KINDS = KINDS | {"NAME": "slot"}
VDEV_WORDS = "mirror raidz raidz2 raidz3 spare log cache special"
REPEATED = {"SLOT", "PROPERTY=VALUE"}


def arguments(verb):
    """(word, kind, repeated) of each of a verb's arguments."""
    for word, more in re.findall(r"(?<!-)\b([A-Z]+)(…?)", verb["arguments"]):
        yield word, ARGUMENT_KINDS.get(word, "none"), bool(more)


def spellings(option):
    """-l, --long, as far as there are."""
    return [dash + option[key] for dash, key in (("-", "letter"), ("--", "name")) if option.get(key)]


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def groups(verbs):
    """First words, with what they do; a group's are its second words."""
    found = {}
    for verb in verbs:
        first, _, second = verb["name"].partition(" ")
        found.setdefault(first, []).append(second or verb["summary"])
    return {first: ", ".join(said) for first, said in found.items()}


def with_argument(verbs):
    """The options that take an argument; the same for every verb, or words could not be counted."""
    takes = {}
    for verb in verbs:
        for option in verb["options"]:
            for spelling in spellings(option):
                if takes.setdefault(spelling, bool(option.get("argument"))) != bool(option.get("argument")):
                    sys.exit(f"completions.py: {spelling} takes an argument here, and there none")
    return sorted(spelling for spelling, argument in takes.items() if argument)


# ---- bash ----

BASH = r"""# SPDX-License-Identifier: MIT
# bash completions of zseal, made of its own tables.

_zseal_zfs() { PATH=$PATH:/usr/sbin:/sbin command zfs "$@" 2>/dev/null; }

# Adds those words that begin as what is typed. Not compgen -W, which would expand them.
_zseal_add() {
	local word
	for word; do
		[[ $word != "$cur"* ]] || COMPREPLY+=("$(printf %q "$word")")
	done
}

# Adds what there is of a kind. $2: the dataset on the line, if there is one.
_zseal_offer() {
	local -a found=()
	case $1 in
	dataset) mapfile -t found < <(_zseal_zfs list -H -o name -t filesystem,volume) ;;
	slot)
		[[ $2 ]] || return
		mapfile -t found < <(_zseal_zfs get -H -o property all "$2" | sed -n 's/^zseal:slot\.//p')
		;;
	type) found=(@TYPES@) ;;
	file | device) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
	esac
	[[ $1 != device ]] || found=(@VDEV_WORDS@)
	_zseal_add "${found[@]}"
}

_zseal_options() {
	case $1 in
@OPTIONS@
	esac
}

# The kind of what stands behind an option of a verb.
_zseal_option_kind() {
	case $1 in
@OPTION_KINDS@
	*) echo none ;;
	esac
}

# The kind of a verb's argument, of which there are $2 before it.
_zseal_argument_kind() {
	case $1:$2 in
@ARGUMENT_KINDS@
	*) echo none ;;
	esac
}

_zseal_takes_argument() {
	case $1 in
	@WITH_ARGUMENT@) return 0 ;;
	esac
	return 1
}

_zseal() {
	local cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
	COMPREPLY=()
	# readline cuts at colons, which datasets may have; bash-completion mends that
	! declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref -n : cur words cword
	_zseal_complete
	! declare -F __ltrim_colon_completions >/dev/null || __ltrim_colon_completions "$cur"
}

# Of cur, words, cword, as _zseal has them.
_zseal_complete() {
	local verb=${words[1]} i=2 word option= dataset= n=0 ended=
	if ((cword == 1)); then
		_zseal_add @FIRST@ --help --version
		return
	fi
	case $verb in
@SECOND@
	esac
	for (( ; i < cword; i++)); do
		word=${words[i]}
		if [[ $word == = && $option ]]; then
			continue
		elif [[ $option ]]; then
			option=
		elif [[ $word == -- ]]; then
			ended=1
		elif [[ $word == -* && ! $ended ]]; then
			if _zseal_takes_argument "$word"; then option=$word; fi
		else
			dataset=${dataset:-$word}
			n=$((n + 1))
			case $verb in @OPTIONS_FIRST@) ended=1 ;; esac
		fi
	done
	if [[ $option ]]; then
		[[ $cur != = ]] || cur=
		_zseal_offer "$(_zseal_option_kind "$option")" "$dataset"
	elif [[ $cur == -* && ! $ended ]]; then
		_zseal_add $(_zseal_options "$verb")
	else
		_zseal_offer "$(_zseal_argument_kind "$verb" "$n")" "$dataset"
	fi
}

complete -F _zseal zseal
"""


def bash_second(first, seconds):
    return "\n".join([
        f"\t{first})",
        "\t\tif ((cword == 2)); then",
        f"\t\t\t_zseal_add {' '.join(seconds)}",
        "\t\t\treturn",
        "\t\tfi",
        "\t\tverb+=\" ${words[2]}\"",
        "\t\ti=3",
        "\t\t;;"])


def bash(tables):
    verbs = tables["verbs"]
    two = [verb["name"].split() for verb in verbs if " " in verb["name"]]
    kinds = {}
    for verb in verbs:
        for option in verb["options"]:
            kind = KINDS.get(option.get("argument"), "none")
            for spelling in spellings(option) if kind != "none" else []:
                kinds[spelling] = kind
    argument_kinds = [f"\t{quoted(verb['name'])}:{'*' if more else n}) echo {kind} ;;"
                      for verb in verbs for n, (_, kind, more) in enumerate(arguments(verb))]
    # a repeated one comes last, and would hide the ones before it
    argument_kinds.sort(key=lambda line: ":*)" in line)
    fill = {
        "TYPES": " ".join(tables["slot_types"]), "VDEV_WORDS": VDEV_WORDS,
        "OPTIONS": "\n".join(f"\t{quoted(verb['name'])}) echo "
                             + quoted(" ".join(s for option in verb["options"] for s in spellings(option))) + " ;;"
                             for verb in verbs),
        "OPTION_KINDS": "\n".join(f"\t{spelling}) echo {kind} ;;" for spelling, kind in sorted(kinds.items())),
        "ARGUMENT_KINDS": "\n".join(argument_kinds),
        "WITH_ARGUMENT": " | ".join(with_argument(verbs)),
        "FIRST": " ".join(groups(verbs)),
        "SECOND": "\n".join(bash_second(first, [b for a, b in two if a == first]) for first in dict.fromkeys(
            a for a, _ in two)),
        "OPTIONS_FIRST": " | ".join(quoted(verb["name"]) for verb in verbs if verb["options_first"]),
    }
    return re.sub("@([A-Z_]+)@", lambda match: fill[match[1]], BASH)


# ---- zsh ----

ZSH = r"""#compdef zseal
# SPDX-License-Identifier: MIT
# zsh completions of zseal, made of its own tables.

_zseal_zfs() { PATH=$PATH:/usr/sbin:/sbin command zfs "$@" 2>/dev/null }

_zseal_datasets() {
	local -a found=(${(f)"$(_zseal_zfs list -H -o name -t filesystem,volume)"})
	compadd -a found
}

# Of the dataset that is on the line, if there is one.
_zseal_slots() {
	[[ -n $line[1] ]] || return 1
	local -a found=(${${(M)${(f)"$(_zseal_zfs get -H -o property all $line[1])"}:#zseal:slot.*}#zseal:slot.})
	compadd -a found
}

_zseal_devices() {
	local -a words=(@VDEV_WORDS@)
	compadd -a words
	_files
}

_zseal() {
	local curcontext=$curcontext state verb=$words[2]
	local -a line found
	if (( CURRENT == 2 )); then
		found=(@FIRST@)
		_describe verb found
		return
	fi
	case $verb in
@SECOND@
	esac
	shift words
	(( CURRENT-- ))
	case $verb in
@VERBS@
	esac
}

_zseal "$@"
"""
ZSH_ACTIONS = {"file": "_files", "dataset": "_zseal_datasets", "slot": "_zseal_slots", "device": "_zseal_devices",
               "folder": "_files -/", "none": " "}


def zsh_text(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def zsh_action(tables, kind):
    return f"({' '.join(tables['slot_types'])})" if kind == "type" else ZSH_ACTIONS[kind]


def zsh_option(tables, option):
    """_arguments' words for an option."""
    argument = option.get("argument")
    names = spellings(option)
    after = f"[{zsh_text(option['help'])}]"
    if argument:
        after += f":{zsh_text(argument)}:{zsh_action(tables, KINDS.get(argument, 'none'))}"
    before = "*" if argument in REPEATED else f"({' '.join(names)})" if len(names) > 1 else ""
    return [quoted(before + name + ("=" if argument and name.startswith("--") else "+" if argument else "") + after)
            for name in names]


def zsh_verb(tables, verb):
    words = [word for option in verb["options"] for word in zsh_option(tables, option)]
    for n, (word, kind, more) in enumerate(arguments(verb)):
        words.append(quoted(f"{'*' if more else n + 1}:{word}:{zsh_action(tables, kind)}"))
    first = " -A '-*'" if verb["options_first"] else ""
    return "\n".join([f"\t{quoted(verb['name'])})", f"\t\t_arguments -s -S{first} \\",
                      " \\\n".join(f"\t\t\t{word}" for word in words), "\t\t;;"])


def zsh_second(first, found):
    described = " ".join(quoted(f"{name.split()[1]}:{zsh_text(summary)}") for name, summary in found)
    return "\n".join([f"\t{first})", "\t\tif (( CURRENT == 3 )); then", f"\t\t\tfound=({described})",
                      f"\t\t\t_describe '{first} verb' found", "\t\t\treturn", "\t\tfi", "\t\tverb+=\" $words[3]\"",
                      "\t\tshift words", "\t\t(( CURRENT-- ))", "\t\t;;"])


def zsh(tables):
    verbs = tables["verbs"]
    two = [(verb["name"], verb["summary"]) for verb in verbs if " " in verb["name"]]
    fill = {
        "VDEV_WORDS": VDEV_WORDS,
        "FIRST": " ".join(quoted(f"{first}:{zsh_text(said)}") for first, said in groups(verbs).items()),
        "SECOND": "\n".join(zsh_second(first, [row for row in two if row[0].split()[0] == first])
                            for first in dict.fromkeys(name.split()[0] for name, _ in two)),
        "VERBS": "\n".join(zsh_verb(tables, verb) for verb in verbs),
    }
    return re.sub("@([A-Z_]+)@", lambda match: fill[match[1]], ZSH)


# ---- fish ----

FISH = r"""# SPDX-License-Identifier: MIT
# fish completions of zseal, made of its own tables.

# Prints the words before the cursor that are neither options nor their arguments, without the first.
function __zseal_words
    set -l skip
    for word in (commandline -opc)[2..]
        if test -n "$skip"
            set skip
        else if contains -- $word @WITH_ARGUMENT@
            set skip yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# True if these words are all that there is.
function __zseal_words_are
    set -l words (__zseal_words)
    test "$words" = "$argv"
end

# True if the verb is this one, and the number of its arguments so far is as test's operator says: VERB -ge 0.
function __zseal_at
    set -l words (__zseal_words)
    set -l verb (string split ' ' -- $argv[1])
    test (count $words) -ge (count $verb); or return 1
    test "$words[1..$(count $verb)]" = "$argv[1]"; or return 1
    test (math (count $words) - (count $verb)) $argv[2] $argv[3]
end

function __zseal_zfs
    set -lx PATH $PATH /usr/sbin /sbin
    command -q zfs; and command zfs $argv 2>/dev/null
end

function __zseal_datasets
    __zseal_zfs list -H -o name -t filesystem,volume
end

# Of the dataset on the line, the first word behind the verb, which has so many.
function __zseal_slots
    set -l words (__zseal_words)
    set -l at (math $argv[1] + 1)
    test (count $words) -ge $at; or return
    __zseal_zfs get -H -o property all $words[$at] | string replace -f -r '^zseal:slot\.' ''
end

complete -c zseal -f
"""


def fish_offer(tables, kind, verb):
    """What complete shall offer."""
    return {"file": "-F", "folder": "-F", "device": f"-F -a '{VDEV_WORDS}'", "dataset": "-f -a '(__zseal_datasets)'",
            "slot": f"-f -a '(__zseal_slots {len(verb['name'].split())})'",
            "type": f"-f -a '{' '.join(tables['slot_types'])}'", "none": "-f"}[kind]


def fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_verb(tables, verb):
    name = verb["name"]
    for option in verb["options"]:
        line = "complete -c zseal -n " + fish_quoted(f'__zseal_at "{name}" ' + (
            "-eq 0" if verb["options_first"] else "-ge 0"))
        line += f" -s {option['letter']}" if option.get("letter") else ""
        line += f" -l {option['name']}" if option.get("name") else ""
        if option.get("argument"):
            line += " -r " + fish_offer(tables, KINDS.get(option["argument"], "none"), verb)
        yield f"{line} -d {fish_quoted(option['help'])}"
    for n, (_, kind, more) in enumerate(arguments(verb)):
        if kind != "none":
            condition = fish_quoted(f'__zseal_at "{name}" {"-ge" if more else "-eq"} {n}')
            yield f"complete -c zseal -n {condition} {fish_offer(tables, kind, verb)}"


def fish(tables):
    verbs = tables["verbs"]
    lines = [FISH.replace("@WITH_ARGUMENT@", " ".join(with_argument(verbs)))]
    for first, said in groups(verbs).items():
        lines.append(f"complete -c zseal -n __zseal_words_are -a {first} -d {fish_quoted(said)}")
    for verb in verbs:
        first, _, second = verb["name"].partition(" ")
        if second:
            lines.append(f"complete -c zseal -n '__zseal_words_are {first}' -a {second} "
                         f"-d {fish_quoted(verb['summary'])}")
        lines += fish_verb(tables, verb)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print({"bash": bash, "zsh": zsh, "fish": fish}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text())), end="")
