"""Stores of keys and certificates as people have them, for OpenSSL: PEM, PKCS12, and what to do with JKS."""

from __future__ import annotations

import contextlib
import os  # noqa: TID251 - of files with keys
import ssl
import tempfile  # noqa: TID251 - for keys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MAX_FILE_BYTES: Final = 16 << 20
_JKS: Final = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_PEM: Final = b"-----BEGIN "


class CertificateError(ValueError):
    """What is wrong with a store, in words that go behind its name. No secret is in it."""


def read_store(path: str) -> bytes:
    """Raises CertificateError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CertificateError((error.strerror or "cannot be read").lower()) from None
    if len(data) > _MAX_FILE_BYTES:
        raise CertificateError(f"more than {_MAX_FILE_BYTES} bytes are no store of keys")
    if data.startswith(_JKS):
        raise CertificateError(
            "it is in Java's own form (JKS), which is not read here; convert it with: keytool "
            f"-importkeystore -srckeystore {path} -destkeystore {Path(path).stem}.p12 -deststoretype PKCS12"
        )
    return data


def is_pem(data: bytes) -> bool:
    return _PEM in data


def pem_of(data: bytes, password: str | None, *, with_key: bool) -> bytes:
    """Of PEM, or of PKCS12. Raises CertificateError."""
    if is_pem(data):
        return data
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.serialization import pkcs12
    except ImportError as error:
        raise CertificateError(
            f"not PEM, and PKCS12 needs what `pip install 'ottla[security]'` brings ({error})"
        ) from None
    try:
        store = pkcs12.load_pkcs12(data, None if password is None else password.encode())
        found = [store.cert] if store.cert is not None else []
        certificates = [each.certificate for each in [*found, *store.additional_certs]]
        pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
    except Exception:  # noqa: BLE001 - of others' files, which can be wrong in many ways
        raise CertificateError("it is neither PEM nor PKCS12, or the password is wrong") from None
    if not with_key:
        return pem
    if store.key is None or store.cert is None:
        raise CertificateError("there is no private key with its certificate in it")
    own = store.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return own + pem


def show_store(context: ssl.SSLContext, path: str, password: str | None, key_password: str | None) -> None:
    """As `show`, of a file, whose key may have a password of its own."""
    data = read_store(path)
    pem = pem_of(data, password, with_key=True)
    # What comes of PKCS12 is not encrypted any more.
    show(context, pem, (key_password or password) if is_pem(data) else None)


def trust_store(context: ssl.SSLContext, path: str, password: str | None) -> None:
    """As `trust`, of a file."""
    trust(context, pem_of(read_store(path), password, with_key=False))


def show(context: ssl.SSLContext, pem: bytes, password: str | None) -> None:
    """Have the context show the certificate, with its key. Raises CertificateError."""
    try:
        with _as_file(pem) as path:
            context.load_cert_chain(path, password=password or "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = "no key with its certificate can be read in it, or the password is wrong"
        raise CertificateError(f"{reason} ({_reason(error)})") from None


def trust(context: ssl.SSLContext, pem: bytes) -> None:
    """Have the context trust these authorities. Raises CertificateError."""
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(f"no certificates can be read in it ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or type(error).__name__


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path under which OpenSSL finds them, which takes keys from files alone; in memory where it can be."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ottla-key", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile() as named:  # for its owner alone
        named.write(data)
        named.flush()
        yield named.name
