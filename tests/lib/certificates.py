"""Certificates for tests: an authority and what it signs, as PEM files."""

import datetime
import ipaddress
import os
import pathlib

import pytest

x509 = pytest.importorskip("cryptography.x509", reason="certificates are made by python3-cryptography")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

DAY = datetime.timedelta(days=1)


def write(path, content, mode=0o600):
    path = pathlib.Path(path)
    path.write_bytes(content)
    os.chmod(path, mode)
    return path


class Authority:
    """ca.pem in `folder`, and pairs (certificate file, key file) that it signs."""

    def __init__(self, folder, name="test authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.sign(self.name, self.key.public_key(), [x509.BasicConstraints(ca=True, path_length=None)])
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.file = write(self.folder / "ca.pem", self.pem)

    def sign(self, subject, key, extensions, days=30):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - 60 * DAY).not_valid_after(now + days * DAY))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def pair(self, name="server", hosts=("127.0.0.1",), days=30, chain=True):
        """A new certificate and its key. `hosts`: names and addresses that it is for."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
        certificate = self.sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(),
                                [x509.SubjectAlternativeName(names)], days)
        pem = certificate.public_bytes(serialization.Encoding.PEM) + (self.pem if chain else b"")
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return write(self.folder / f"{name}.pem", pem, 0o644), write(self.folder / f"{name}.key", secret)
