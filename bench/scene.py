# SPDX-License-Identifier: MIT
"""What `make bench` measures on: a machine of the lab, a pool with one keyring, and the same keys as others keep them.

Guarantees: every way to unlock opens the same roots with the same wrapping key, sealed by the same TPM under the same
storage root key; keys are in the machine's memory only. Refuses: to be a model of anybody's hardware.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tests/integration"), str(ROOT / "tests/second")]

# pylint: disable=wrong-import-position
import headers
from conftest import create_pool, new_world, run

PROGRAMS = ROOT / "build/bench"
MEMORY = "/run/lab/tmp"
KEY = f"{MEMORY}/wrapping.key"
TCTI = {"TPM2TOOLS_TCTI": "device:/dev/tpmrm0"}
HANDLES = {"without": "0x81010001", "with": "0x81010002"}

# One root's key by the tools that people use for it, each as its documentation has it. A resource manager may have
# ended the session already, so its flushing may fail.
_IN_A_SESSION = """cd {memory} && tpm2_startauthsession --policy-session -S session.ctx &&
tpm2_policypcr -Q -S session.ctx -l sha256:7 && tpm2_unseal -p session:session.ctx -c {handle} | zfs load-key {root} &&
{{ tpm2_flushcontext session.ctx || true; }}"""
_SHELL = {
    "tpm2_unseal": "tpm2_unseal -c {handle_without} | zfs load-key {root}",
    "tpm2_unseal, PCR policy": "tpm2_unseal -c {handle} -p pcr:sha256:7 | zfs load-key {root}",
    "tpm2_unseal, PCR policy in a session": _IN_A_SESSION,
    "clevis, PCR policy": "clevis decrypt < {memory}/key.jwe | zfs load-key {root}",
}


class Scene:
    """roots(n) are n encryption roots below and with tank/gN, locked or not."""

    def __init__(self, world, sizes):
        self.node = world.node()
        self.key = os.urandom(32)
        self._pool = create_pool(self.node)
        self.node.path(KEY).write_bytes(self.key)
        for size in sizes:
            self._add_roots(size)
        self._seal()
        self._stopwatch = None

    def _add_roots(self, size):
        header = headers.read(self.node, "tank")
        roots = [f"tank/g{size}", *(f"tank/g{size}/r{number:05}" for number in range(1, size))]
        for some in (roots[:1], roots[1:]):
            headers.add_roots(self.node, header, self._pool.recovery_key, some, self.key, f"file://{KEY}")
        self.node.path(self.roots(size)).write_text("".join(root + "\n" for root in roots))

    @staticmethod
    def roots(size):
        """The file with the names of that many roots."""
        return f"{MEMORY}/roots.{size}"

    def _seal(self):
        """The key once more: under a PCR policy in a file for the floor, behind two handles, and as clevis does it."""
        def shell(text):
            run(self.node, "sh", "-ec", f"cd {MEMORY}\n{text}", env=TCTI)
        create = "tpm2_create -Q -C 0x81000001 -i wrapping.key -u public -r private -a"
        keep = "tpm2_load -Q -C 0x81000001 -u public -r private -c object.ctx; tpm2_evictcontrol -Q -c object.ctx"
        shell(f"{create} 'fixedtpm|fixedparent|userwithauth|noda'; {keep} {HANDLES['without']}")
        shell("tpm2_createpolicy -Q --policy-pcr -l sha256:7 -L policy")
        shell(f"{create} 'fixedtpm|fixedparent|noda' -L policy; {keep} {HANDLES['with']}; cat public private > object")
        shell("""clevis encrypt tpm2 '{"pcr_bank":"sha256","pcr_ids":"7"}' < wrapping.key > key.jwe""")

    # ---- ways to unlock ----

    def one_root(self):
        """{name: argv}, each of which loads the key of tank/g1."""
        words = {"root": "tank/g1", "memory": MEMORY, "handle": HANDLES["with"], "handle_without": HANDLES["without"]}
        return {"zseal": ["zseal", "unlock", "tank/g1"],
                "floor": [PROGRAMS / "floor", f"{MEMORY}/object", "tank/g1"],
                **{name: ["sh", "-c", text.format(**words)] for name, text in _SHELL.items()}}

    def many_roots(self, size):
        """The same for all roots of a size."""
        return {"zseal": ["zseal", "unlock", f"tank/g{size}"],
                "loop": [PROGRAMS / "loop", "load", KEY, self.roots(size)],
                "zfs load-key -r": ["zfs", "load-key", "-r", f"tank/g{size}"]}

    def lock(self, size):
        """argv that unloads the keys of all roots of a size."""
        return [PROGRAMS / "loop", "unload", KEY, self.roots(size)]

    # ---- timing ----

    def time(self, argv, size, environment=None):
        """Seconds that argv takes with all roots of a size locked before; it must succeed."""
        request = {"prepare": [list(map(str, self.lock(size)))], "argv": list(map(str, argv)),
                   "environment": {**TCTI, **(environment or {})}}
        self._stopwatch.stdin.write(json.dumps(request) + "\n")
        self._stopwatch.stdin.flush()
        answer = json.loads(self._stopwatch.stdout.readline())
        if answer.get("status") != 0:
            raise RuntimeError(f"{argv}: {answer}")
        return answer["seconds"]

    def __enter__(self):
        self._stopwatch = self.node.popen(["/usr/bin/python3", "-I", ROOT / "bench/stopwatch.py"],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self._stopwatch.stdin.close()
        self._stopwatch.stdout.close()
        self._stopwatch.wait(60)
