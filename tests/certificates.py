"""Authorities and the certificates that they give, in files."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


class Identity:
    """A key and its certificate."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.key = key
        self.certificate = certificate

    @property
    def chain_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self, password: str | None = None) -> str:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password.encode())
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()

    def write(self, file: Path, password: str | None = None) -> str:
        """Key and certificate, as one PEM file."""
        file.write_text(self.key_pem(password) + self.chain_pem)
        return str(file)


class Authority:
    """Gives certificates."""

    def __init__(self, name: str = "Test Authority") -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self._name, self._name, self._key.public_key(), expired=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def write(self, file: Path) -> str:
        file.write_text(self.pem)
        return str(file)

    def give(self, *names: tuple[x509.ObjectIdentifier, str], expired: bool = False) -> Identity:
        """To a subject of these names, outermost first; good for a server on this machine as well."""
        subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in names])
        key = ec.generate_private_key(ec.SECP256R1())
        here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = _builder(subject, self._name, key.public_key(), expired=expired)
        builder = builder.add_extension(x509.SubjectAlternativeName(here), critical=False)
        return Identity(key, builder.sign(self._key, hashes.SHA256()))

    def give_to(self, common_name: str, *, expired: bool = False) -> Identity:
        return self.give((NameOID.COMMON_NAME, common_name), expired=expired)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, expired: bool
) -> x509.CertificateBuilder:
    end = _NOW - _DAY if expired else _NOW + 30 * _DAY
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - 3 * _DAY)
        .not_valid_after(end)
    )
