# SPDX-License-Identifier: MIT
"""Certificates for one run: two authorities, servers' certificates good and bad, clients'.

Guarantees: new keys each time, in one folder, files of mode 0600. The bad ones are bad in one way each.
"""
import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)

# What a server may show: the authority that signed it, days from now of its beginning and end, its names.
_GOOD_NAMES = ("bao.test", "localhost", "127.0.0.1", "10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.9")
_SERVERS = {
    "good": ("ca", -1, 30, _GOOD_NAMES),
    "expired": ("ca", -30, -1, _GOOD_NAMES),
    "not-yet-valid": ("ca", 1, 30, _GOOD_NAMES),
    "wrong-name": ("ca", -1, 30, ("elsewhere.test", "192.0.2.1")),
    "other-ca": ("other-ca", -1, 30, _GOOD_NAMES),
}

# What a client may show: the same, but for names. "soon" has a sixteenth of its life left.
_CLIENTS = {
    "good": ("ca", -1, 30),
    "other-ca": ("other-ca", -1, 30),
    "expired": ("ca", -30, -1),
    "soon": ("ca", -30, 2),
}


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _begin(subject, issuer, key, begins, ends):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    return (x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY))


class Certificates:
    """Made in a folder. `ca` is the file to trust; server() and client() name the files of one certificate."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._authorities = {name: self._make_authority(name) for name in ("ca", "other-ca")}
        self.ca = self.folder / "ca.pem"
        self.other_ca = self.folder / "other-ca.pem"
        for kind, (authority, begins, ends, names) in _SERVERS.items():
            self._issue(f"server-{kind}", authority, begins, ends, ExtendedKeyUsageOID.SERVER_AUTH, names)
        for kind, (authority, begins, ends) in _CLIENTS.items():
            self._issue(f"client-{kind}", authority, begins, ends, ExtendedKeyUsageOID.CLIENT_AUTH, ("node.test",))

    def server(self, kind="good"):
        """Paths of certificate and key; kinds are good, expired, not-yet-valid, wrong-name, other-ca."""
        return self.folder / f"server-{kind}.pem", self.folder / f"server-{kind}.key"

    def client(self, kind="good"):
        """The same; kinds are good, expired, soon, other-ca."""
        return self.folder / f"client-{kind}.pem", self.folder / f"client-{kind}.key"

    def _write(self, name, data):
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    def _write_pair(self, name, certificate, key):
        self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))
        self._write(f"{name}.key", key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    def _make_authority(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(digital_signature=False, content_commitment=False, key_encipherment=False,
                              data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                              encipher_only=False, decipher_only=False)
        certificate = (_begin(f"zseal lab {name}", f"zseal lab {name}", key, -60, 60)
                       .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                       .add_extension(usage, critical=True)
                       .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                       .sign(key, hashes.SHA256()))
        self._write_pair(name, certificate, key)
        return key

    def _issue(self, name, authority, begins, ends, usage, names):
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self._authorities[authority]
        certificate = (_begin(names[0], f"zseal lab {authority}", key, begins, ends)
                       .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                       .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                       .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
                       .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),
                                      critical=False)
                       .sign(issuer, hashes.SHA256()))
        self._write_pair(name, certificate, key)
