# SPDX-License-Identifier: MIT
"""Passphrases and PINs, given to zseal by file descriptors. What is given is looked for in all output from then on."""
import contextlib

from conftest import assert_done, keep_secret, pipe_with, run, zseal

# As cheap as zseal makes them: what stretching is worth is not tested here.
CHEAP = "[scrypt]\ntime = 1\nmemory = 16\n"


def configure_cheap(node):
    folder = node.path("/etc/zseal")
    folder.mkdir(exist_ok=True)
    (folder / "zseal.conf").write_text(CHEAP)


def zseal_given(node, *argv, **given):
    """Runs zseal; given is pin, passphrase, new_pin or new_passphrase, and what a person would type."""
    with contextlib.ExitStack() as stack:
        fds = []
        for name, text in given.items():
            keep_secret(node.world, text)
            fds.append(stack.enter_context(pipe_with(text + "\n")))
            argv += (f"--{name.replace('_', '-')}-fd", str(fds[-1]))
        return zseal(node, *argv, pass_fds=tuple(fds))


def slots(node, pool="tank"):
    """By name, as `slot list` has them."""
    (keyring,) = assert_done(zseal(node, "slot", "list", "--json", pool)).json["keyrings"]
    return {slot["name"]: slot for slot in keyring["slots"]}


def worth(node):
    """For a thief of the disks, and of the machine."""
    (keyring,) = assert_done(zseal(node, "status", "--json")).json["keyrings"]
    return keyring["opens_for_thief_of_disks"], keyring["opens_for_thief_of_machine"]


def failures(node):
    """Wrong values that the TPM remembers."""
    for line in run(node, "tpm2_getcap", "properties-variable").splitlines():
        if line.startswith("TPM2_PT_LOCKOUT_COUNTER"):
            return int(line.split()[-1], 16)
    raise AssertionError("the TPM does not tell")
