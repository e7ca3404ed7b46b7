#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints the completions of a shell, made of the program's tables. Runs while zseal is built.

usage: completions.py bash|zsh|fish TABLES

What an argument is follows from the word that the table has for it (KINDS); one with another word is not completed.
Datasets are what `zfs list` says, slots what `zfs get` says: no key, no TPM, no root.
"""
print
