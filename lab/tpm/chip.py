# SPDX-License-Identifier: MIT
"""A machine's TPM chip and what its firmware does with it: power, the measured boot, settings.

Guarantees: a real TPM answers (swtpm); two boots of an unchanged machine measure the same, in every bank that is
allocated; the platform's rights end with the firmware, as on a real machine. The chip ends with its process.
Refuses: to answer while it has no power.
"""
import json
import socket
import subprocess

from tpm import commands

# What a firmware of today allocates.
_BANKS = (commands.SHA1, commands.SHA256)

_RESPONSE_SIZE_MAX = 4096
_POWER_OFF_TIMEOUT_S = 10

# One event for each PCR of the firmware's, as an event log tells them; {…} are the machine's settings.
_MEASUREMENTS = {
    0: "EV_S_CRTM_VERSION firmware {firmware}",
    1: "EV_PLATFORM_CONFIG_FLAGS machine {machine}",
    2: "EV_EFI_BOOT_SERVICES_DRIVER none",
    3: "EV_PLATFORM_CONFIG_FLAGS drivers",
    4: "EV_EFI_BOOT_SERVICES_APPLICATION shim and kernel",
    5: "EV_EFI_GPT_EVENT partitions",
    6: "EV_COMPACT_HASH wake",
    7: "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot 1",
}
_SEPARATOR = bytes(4)
_BOOT_CHAIN_PCR = 7


class ChipError(Exception):
    """The chip refused what a firmware needs."""


class Chip:
    """One TPM. `folder` keeps its state while it has no power."""

    def __init__(self, folder, machine):
        self._folder = folder
        self._settings_file = folder / "settings.json"
        self._settings = {"machine": machine, "firmware": 1, "boot_chain": [], "banks": None}
        if self._settings_file.exists():
            self._settings.update(json.loads(self._settings_file.read_text()))
        self._process = None
        self._line = None

    @property
    def powered(self):
        return self._process is not None

    def execute(self, command):
        """Carries out one command and returns its response."""
        self._line.sendall(command)
        response = self._line.recv(_RESPONSE_SIZE_MAX)
        while len(response) < commands.HEADER.size or len(response) < commands.size_of(response):
            more = self._line.recv(_RESPONSE_SIZE_MAX)
            if not more:
                raise ChipError("the software TPM has ended: see tpm.err")
            response += more
        return response

    def _require(self, command):
        response = self.execute(command)
        if commands.code_of(response) != 0:
            raise ChipError(f"{commands.name_of(command)}: 0x{commands.code_of(response):x}")
        return response

    def _power_on(self):
        self._line, other = socket.socketpair()
        with other, open(self._folder / "tpm.err", "ab") as errors:
            self._process = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._folder}", "--fd", str(other.fileno()),
                 "--flags", "not-need-init"],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, pass_fds=[other.fileno()])
        self._require(commands.startup())

    def power_off(self, orderly=True):
        """Not orderly is a power cut: the chip was not told."""
        if not self.powered:
            return
        if orderly:
            self._require(commands.shutdown())
        else:
            self._process.kill()
        self._line.close()
        self._process.wait(_POWER_OFF_TIMEOUT_S)
        self._process = None

    def boot(self):
        """Power on, measure, give up the platform's rights."""
        if self._settings["banks"] is None:
            self.allocate(_BANKS)
        self._power_on()
        for pcr, event in _MEASUREMENTS.items():
            self._require(commands.pcr_event(pcr, event.format(**self._settings).encode()))
        for text in self._settings["boot_chain"]:
            self.extend(_BOOT_CHAIN_PCR, text)
        for pcr in _MEASUREMENTS:
            self._require(commands.pcr_event(pcr, _SEPARATOR))
        self._require(commands.platform_disable())

    def in_firmware(self, command):
        """Starts the chip, lets the firmware do one thing with the platform's rights, and switches off again."""
        self.power_off()
        self._power_on()
        self._require(command)
        self.power_off()

    def _set(self, name, value):
        self._settings[name] = value
        self._settings_file.write_text(json.dumps(self._settings))

    def allocate(self, banks):
        """From the next boot on only these banks have PCRs."""
        self.in_firmware(commands.pcr_allocate(banks))
        self._set("banks", list(banks))

    def update_firmware(self):
        """From the next boot on PCR 0 is another."""
        self._set("firmware", self._settings["firmware"] + 1)

    def change_boot_chain(self, text):
        """PCR 7 is another: now, and after every later boot."""
        self._set("boot_chain", self._settings["boot_chain"] + [text])
        self.extend(_BOOT_CHAIN_PCR, text)

    def extend(self, pcr, text):
        """Extends a PCR until the next boot."""
        self._require(commands.pcr_event(pcr, text.encode()))

    def lock_out(self):
        """Guesses until the protection against dictionary attacks refuses even the right password."""
        handle = commands.parse_handle(self._require(commands.create_guessable(b"right")))
        while commands.code_of(self.execute(commands.unseal(handle, b"wrong"))) != commands.RC_LOCKOUT:
            pass
        self._require(commands.flush_context(handle))

    # Memory

    def _handles(self, first):
        return commands.parse_handles(self._require(commands.get_handles(first)))

    def _flush(self, handle):
        self._require(commands.flush_context(handle))

    def save(self):
        """Empties the memory: what was loaded is returned, as (handle, context)."""
        objects, sessions = self._handles(commands.TRANSIENT_FIRST), self._handles(commands.LOADED_SESSION_FIRST)
        saved = [(handle, commands.context_of(self._require(commands.context_save(handle))))
                 for handle in (*objects, *sessions)]
        for handle in objects:
            self._flush(handle)
        return saved

    def restore(self, saved):
        """The opposite. An object gets its old handle, since those before it are taken: by its own copies if need
        be."""
        copies = set()
        for handle, context in saved:
            while (given := commands.parse_handle(self._require(commands.context_load(context)))) != handle:
                copies.add(given)
        for handle in copies:
            self._flush(handle)

    def forget(self, saved):
        """What was saved will not come back: of sessions the chip keeps a trace, of objects it does not."""
        for handle, _ in saved:
            if handle < commands.TRANSIENT_FIRST:
                self._flush(handle)
