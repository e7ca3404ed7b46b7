# SPDX-License-Identifier: MIT
"""The few TPM 2.0 commands that a firmware, a kernel's resource manager and an attacker at the keyboard need.

Guarantees: bytes as in the TPM 2.0 Library Specification, part 3; independent of the libraries that zseal uses.
Refuses: sessions and parameter encryption. Every authorisation is a plain password, since this side of the wire is
inside the machine.
"""
import struct

NO_SESSIONS, SESSIONS = 0x8001, 0x8002
RH_NULL, RH_PLATFORM = 0x40000007, 0x4000000C
RS_PASSWORD = 0x40000009
SHA1, SHA256, SHA384, SHA512 = 0x0004, 0x000B, 0x000C, 0x000D
BANKS = (SHA1, SHA256, SHA384, SHA512)
RC_LOCKOUT = 0x921

# First handles of what a program may have in the chip.
TRANSIENT_FIRST, LOADED_SESSION_FIRST = 0x80000000, 0x02000000

_CAP_HANDLES, _CAP_HANDLES_MAX = 1, 254
_ALG_KEYEDHASH, _ALG_NULL = 0x0008, 0x0010
_OBJECT_USER_WITH_AUTH = 0x00000040

# Part 2, table "TPM_CC constants", from 0x11F on; an empty name is a number that is not in use.
_FIRST = 0x11F
_NAMES = """NV_UndefineSpaceSpecial EvictControl HierarchyControl NV_UndefineSpace - ChangeEPS ChangePPS Clear
ClearControl ClockSet HierarchyChangeAuth NV_DefineSpace PCR_Allocate PCR_SetAuthPolicy PP_Commands SetPrimaryPolicy
FieldUpgradeStart ClockRateAdjust CreatePrimary NV_GlobalWriteLock GetCommandAuditDigest NV_Increment NV_SetBits
NV_Extend NV_Write NV_WriteLock DictionaryAttackLockReset DictionaryAttackParameters NV_ChangeAuth PCR_Event PCR_Reset
SequenceComplete SetAlgorithmSet SetCommandCodeAuditStatus FieldUpgradeData IncrementalSelfTest SelfTest Startup
Shutdown StirRandom ActivateCredential Certify PolicyNV CertifyCreation Duplicate GetTime GetSessionAuditDigest
NV_Read NV_ReadLock ObjectChangeAuth PolicySecret Rewrap Create ECDH_ZGen HMAC Import Load Quote RSA_Decrypt -
HMAC_Start SequenceUpdate Sign Unseal - PolicySigned ContextLoad ContextSave ECDH_KeyGen EncryptDecrypt FlushContext -
LoadExternal MakeCredential NV_ReadPublic PolicyAuthorize PolicyAuthValue PolicyCommandCode PolicyCounterTimer
PolicyCpHash PolicyLocality PolicyNameHash PolicyOR PolicyTicket ReadPublic RSA_Encrypt - StartAuthSession
VerifySignature ECC_Parameters FirmwareRead GetCapability GetRandom GetTestResult Hash PCR_Read PolicyPCR
PolicyRestart ReadClock PCR_Extend PCR_SetAuthValue NV_Certify EventSequenceComplete HashSequenceStart
PolicyPhysicalPresence PolicyDuplicationSelect PolicyGetDigest TestParms Commit PolicyPassword ZGen_2Phase
EC_Ephemeral PolicyNvWritten PolicyTemplate CreateLoaded PolicyAuthorizeNV EncryptDecrypt2 AC_GetCapability AC_Send
Policy_AC_SendSelect CertifyX509 ACT_SetTimeout""".split()

NAMES = {_FIRST + i: f"TPM2_{name}" for i, name in enumerate(_NAMES) if name != "-"}
CODES = {name: code for code, name in NAMES.items()}

HEADER = struct.Struct(">HII")


def code_of(command):
    """The command code of a command, the response code of a response."""
    return HEADER.unpack_from(command)[2]


def size_of(header):
    """The whole length that a header announces, itself included."""
    return HEADER.unpack_from(header)[1]


def name_of(command):
    """The specification's name of a command, for the log."""
    code = code_of(command)
    return NAMES.get(code, f"TPM2_0x{code:x}")


def _build(name, handles=b"", parameters=b"", password=None):
    tag, body = NO_SESSIONS, handles + parameters
    if password is not None:
        authorisation = struct.pack(">IHBH", RS_PASSWORD, 0, 0, len(password)) + password
        tag, body = SESSIONS, handles + struct.pack(">I", len(authorisation)) + authorisation + parameters
    return HEADER.pack(tag, HEADER.size + len(body), CODES[f"TPM2_{name}"]) + body


def _handle(handle):
    return struct.pack(">I", handle)


def _sized(data):
    return struct.pack(">H", len(data)) + data


def startup():
    """As after a power-on: TPM_SU_CLEAR."""
    return _build("Startup", parameters=struct.pack(">H", 0))


def shutdown():
    """What a kernel sends before the power goes: TPM_SU_CLEAR."""
    return _build("Shutdown", parameters=struct.pack(">H", 0))


def clear():
    """Forgets the owner: storage and endorsement objects, their authorisations, a lockout."""
    return _build("Clear", _handle(RH_PLATFORM), password=b"")


def platform_disable():
    """Until the next start, nobody but the firmware has the platform's rights."""
    return _build("HierarchyControl", _handle(RH_PLATFORM), struct.pack(">IB", RH_PLATFORM, 0), password=b"")


def pcr_allocate(banks):
    """These banks have all 24 PCRs from the next start on, the others none."""
    selections = [struct.pack(">HB3s", bank, 3, b"\xff" * 3 if bank in banks else bytes(3)) for bank in BANKS]
    parameters = struct.pack(">I", len(selections)) + b"".join(selections)
    return _build("PCR_Allocate", _handle(RH_PLATFORM), parameters, password=b"")


def pcr_event(pcr, event):
    """Extends a PCR in every bank by that bank's digest of the event."""
    return _build("PCR_Event", _handle(pcr), _sized(event), password=b"")


def get_handles(first):
    """Lists the handles of one type."""
    return _build("GetCapability", parameters=struct.pack(">III", _CAP_HANDLES, first, _CAP_HANDLES_MAX))


def parse_handles(response):
    """The handles in the answer to get_handles()."""
    count, = struct.unpack_from(">I", response, HEADER.size + 5)
    return struct.unpack_from(f">{count}I", response, HEADER.size + 9)


def flush_context(handle):
    """Removes a transient object or a session."""
    return _build("FlushContext", parameters=_handle(handle))


def context_save(handle):
    """Takes an object's or a session's context out of the chip; a session leaves it by that."""
    return _build("ContextSave", _handle(handle))


def context_of(response):
    """The context in the answer to context_save()."""
    return response[HEADER.size:]


def context_load(context):
    """Brings it back: a session under its old handle, an object under the first free one."""
    return _build("ContextLoad", parameters=context)


def create_guessable(password):
    """Makes an object whose password counts for the dictionary attack protection; it lives until it is flushed."""
    sensitive = _sized(_sized(password) + _sized(b"secret"))
    public = struct.pack(">HHI", _ALG_KEYEDHASH, SHA256, _OBJECT_USER_WITH_AUTH) + _sized(b"")
    public = _sized(public + struct.pack(">H", _ALG_NULL) + _sized(b""))
    return _build("CreatePrimary", _handle(RH_NULL), sensitive + public + _sized(b"") + bytes(4), password=b"")


def parse_handle(response):
    """The handle that a command made."""
    return struct.unpack_from(">I", response, HEADER.size)[0]


def unseal(handle, password):
    """One guess."""
    return _build("Unseal", _handle(handle), password=password)
