# SPDX-License-Identifier: MIT
"""Encryption roots that zseal did not make, and what their owners do with them."""
import contextlib
import os
import re

from conftest import (Result, assert_done, assert_nothing_secret, assert_opens, assert_opens_with_key, is_locked,
                      keep_recovery_key_secret, run, zseal)

# Neither text nor zeros, and with a line end inside and at its end: what a key may be.
KEY = bytes.fromhex("00ff0a0d9ab1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5a6b7c8d9ea0a")
HEX = KEY.hex()
PASSPHRASE = "a horse that nobody drew"
ITERATIONS = "100000"
_GROUPS = "([cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}"


def as_bytes(given):
    return given.encode() if isinstance(given, str) else given


def write_key(node, path, given, mode=0o600):
    node.path(path).write_bytes(as_bytes(given))
    node.path(path).chmod(mode)


@contextlib.contextmanager
def pipe_with_bytes(given):
    """A descriptor from which a program can read this."""
    reader, writer = os.pipe()
    try:
        os.write(writer, given)
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def make_root(node, dataset, keyformat, location="prompt", vdev=1, options=()):
    """An unlocked encryption root, as a recipe from the web would make it; keeps its key where it says."""
    given = {"raw": KEY, "hex": HEX, "passphrase": PASSPHRASE}[keyformat]
    source = location.removeprefix("file://") if location.startswith("file://") else "/run/made-with"
    write_key(node, source, given)
    words = ["encryption=on", f"keyformat={keyformat}", f"keylocation=file://{source}", "mountpoint=none"]
    if keyformat == "passphrase":
        words.append(f"pbkdf2iters={ITERATIONS}")
    if "/" in dataset:
        run(node, "zfs", "create", *[x for word in words for x in ("-o", word)], *options, dataset)
    else:
        run(node, "zpool", "create", *[x for word in words for x in ("-O", word)], *options, dataset,
            node.world.disk(vdev))
    if location == "prompt":
        run(node, "zfs", "set", "keylocation=prompt", dataset)
        node.path(source).unlink()


def adopt(node, dataset, *argv, given=None, env=None):
    """zseal adopt with the recovery key to a pipe and what is given as --key-fd: what it said, and the key or ''."""
    reader, writer = os.pipe()
    try:
        fds, words = [writer], ["zseal", "adopt", *argv]
        if "--no-recovery" not in argv:
            words += ["--recovery-to-fd", str(writer)]
        if given is None:
            done = node.run([*words, dataset], pass_fds=fds, env=env)
        else:
            with pipe_with_bytes(as_bytes(given)) as fd:
                done = node.run([*words, "--key-fd", str(fd), dataset], pass_fds=(*fds, fd), env=env)
        os.close(writer)
        writer = None
        key = os.read(reader, 4096).decode().strip()
    finally:
        os.close(reader)
        if writer is not None:
            os.close(writer)
    if key:
        keep_recovery_key_secret(node.world, key)
    assert_nothing_secret(node.world, "the output", done.stdout + done.stderr)
    for secret in (HEX, PASSPHRASE, KEY.decode("latin-1")):
        assert secret not in (done.stdout + done.stderr).lower()
    return Result(done.returncode, done.stdout, done.stderr), key


def dialogue_with_key(node, person):
    """A person writes the recovery key down and types two groups back."""
    key = person.expect(_GROUPS).group()
    for _ in range(2):
        group = int(person.expect(r"Type group (\d)").group(1))
        person.expect("back: ")
        person.type(key.split("-")[group - 1])
    keep_recovery_key_secret(node.world, key)
    return key


def get(node, dataset, name):
    return run(node, "zfs", "get", "-Hp", "-o", "value", name, dataset).strip()


def assert_adopted(node, dataset, recovery_key):
    """Opens by the TPM and by the recovery key; ZFS looks for its key nowhere; status and the header are content."""
    assert (get(node, dataset, "keyformat"), get(node, dataset, "keylocation")) == ("raw", "prompt")
    if not is_locked(node, dataset):
        run(node, "zfs", "unload-key", dataset)
    assert_opens(node, dataset)
    run(node, "zfs", "unload-key", dataset)
    assert_opens_with_key(node, dataset, recovery_key)
    source = run(node, "zfs", "get", "-H", "-o", "source", "zseal:keyring", dataset).strip()
    assert_done(zseal(node, "header", "verify", source.removeprefix("inherited from ") if " " in source else dataset))
    assert "cut off" not in assert_done(zseal(node, "status", dataset)).stdout


def assert_by_zseal_only(node, dataset):
    """What opened it before does so no more."""
    run(node, "zfs", "unload-key", dataset)
    done = node.run(["zfs", "load-key", dataset], input=PASSPHRASE + "\n")
    assert done.returncode != 0 and is_locked(node, dataset)
    assert_opens(node, dataset)


def seal_at(node, handle, content, pcrs=""):
    """As the usual recipe does it: tpm2_create -i, tpm2_load, tpm2_evictcontrol."""
    write_key(node, "/run/seal.in", content)
    policy = f"-L /run/seal.policy -a 'fixedtpm|fixedparent|noda'" if pcrs else ""
    steps = [
        "cd /run",
        "tpm2_createprimary -Q -C o -c seal.primary",
        f"tpm2_createpolicy -Q --policy-pcr -l {pcrs} -L seal.policy" if pcrs else "true",
        f"tpm2_create -Q -C seal.primary -i seal.in -u seal.u -r seal.r {policy}",
        "tpm2_load -Q -C seal.primary -u seal.u -r seal.r -c seal.c",
        f"tpm2_evictcontrol -Q -C o -c seal.c {handle}",
        "rm seal.*",
    ]
    run(node, "bash", "-ec", "\n".join(steps))


def history_lines(node, pool, word):
    return [line for line in run(node, "zpool", "history", "-i", pool).splitlines() if re.search(word, line)]
