"""TLS contexts from settings and files."""

from __future__ import annotations

import contextlib
import logging
import os  # noqa: TID251 - of files with certificates
import ssl
import tempfile  # noqa: TID251 - for keys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ottla.config.definition import ConfigError
from ottla.config.tls import TlsSettings
from ottla.security.names import PrincipalRules

log = logging.getLogger("ottla.authentication")

_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {
    "required": ssl.CERT_REQUIRED,
    "requested": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
_MAX_FILE_BYTES: Final = 16 << 20
_JKS: Final = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_PEM: Final = b"-----BEGIN "


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """For those who connect to us. Raises ConfigError for what cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_up(context, settings)
    context.verify_mode = _CLIENT_AUTH[settings.client_auth]
    if context.verify_mode is not ssl.CERT_NONE:
        _trust(context, settings)
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """For our own connections to other brokers. Raises ConfigError for what cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = settings.endpoint_identification_algorithm.lower() == "https"
    _set_up(context, settings)
    _trust(context, settings)
    return context


def _set_up(context: ssl.SSLContext, settings: TlsSettings) -> None:
    spoken = [version for name, version in _VERSIONS.items() if name in settings.enabled_protocols]
    context.minimum_version, context.maximum_version = spoken[0], spoken[-1]
    if settings.cipher_suites:
        _set_ciphers(context, settings.cipher_suites)
    _show(context, settings)


def _set_ciphers(context: ssl.SSLContext, suites: tuple[str, ...]) -> None:
    key = "ssl.cipher.suites"
    named = [_openssl_name(suite) for suite in suites if not _is_of_tls_1_3(suite)]
    if len(named) == len(suites):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        if named:
            context.set_ciphers(":".join(named))
        else:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{key}={','.join(suites)}: there is none of these", key) from error
    if context.minimum_version > context.maximum_version:
        raise ConfigError(f"{key}={','.join(suites)}: none is for a version of ssl.enabled.protocols", key)


def _is_of_tls_1_3(suite: str) -> bool:
    return suite.startswith("TLS_") and "_WITH_" not in suite


def _openssl_name(suite: str) -> str:
    """OpenSSL's name of one of Java's: AES128-GCM-SHA256 of TLS_RSA_WITH_AES_128_GCM_SHA256."""
    if "_WITH_" not in suite:
        return suite
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    for bits in ("128", "256"):
        cipher = cipher.replace(f"AES_{bits}", f"AES{bits}").replace(f"AES{bits}_CBC", f"AES{bits}")
    cipher = cipher.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
    parts = [cipher] if exchange == "RSA" else [exchange, cipher]
    return "-".join(parts).replace("_", "-")


def _show(context: ssl.SSLContext, settings: TlsSettings) -> None:
    """Its certificate and key."""
    password = settings.key_password
    if settings.keystore_location is None:
        key, origin = "ssl.keystore.key", "ssl.keystore.key=[hidden]"
        pem = f"{settings.keystore_key}\n{settings.keystore_certificate_chain}\n".encode()
    else:
        key = "ssl.keystore.location"
        origin = f"{key}={settings.keystore_location}"
        data = _read(key, settings.keystore_location)
        if _PEM in data:
            pem, password = data, password or settings.keystore_password
        else:
            pem, password = _of_pkcs12(key, origin, data, settings.keystore_password, with_key=True), None
    try:
        with _as_file(pem) as path:
            context.load_cert_chain(path, password=password or "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = "no key with its certificate can be read in it, or the password is wrong"
        raise ConfigError(f"{origin}: {reason} ({_reason(error)})", key) from None


def _trust(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.truststore_certificates is not None:
        key = origin = "ssl.truststore.certificates"
        pem = settings.truststore_certificates.encode()
    elif settings.truststore_location is not None:
        key = "ssl.truststore.location"
        origin = f"{key}={settings.truststore_location}"
        pem = _read(key, settings.truststore_location)
        if _PEM not in pem:
            pem = _of_pkcs12(key, origin, pem, settings.truststore_password, with_key=False)
    else:
        context.load_default_certs(
            ssl.Purpose.SERVER_AUTH
            if context.protocol == ssl.PROTOCOL_TLS_CLIENT
            else ssl.Purpose.CLIENT_AUTH
        )
        return
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{origin}: no certificates can be read in it ({_reason(error)})", key) from None


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or type(error).__name__


def _read(key: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{key}={path}: {(error.strerror or 'cannot be read').lower()}", key) from None
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(f"{key}={path}: more than {_MAX_FILE_BYTES} bytes are no store of keys", key)
    if data.startswith(_JKS):
        raise ConfigError(
            f"{key}={path}: it is in Java's own form (JKS), which is not read here; convert it with: keytool "
            f"-importkeystore -srckeystore {path} -destkeystore {Path(path).stem}.p12 -deststoretype PKCS12",
            key,
        )
    return data


def _of_pkcs12(key: str, origin: str, data: bytes, password: str | None, *, with_key: bool) -> bytes:
    """What it has, in PEM."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.serialization import pkcs12
    except ImportError as error:
        raise ConfigError(
            f"{origin}: not PEM, and PKCS12 needs what `pip install 'ottla[security]'` brings ({error})",
            key,
        ) from None
    try:
        store = pkcs12.load_pkcs12(data, None if password is None else password.encode())
        found = [store.cert] if store.cert is not None else []
        certificates = [each.certificate for each in [*found, *store.additional_certs]]
        pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
    except Exception:  # noqa: BLE001 - of others' files, which can be wrong in many ways
        raise ConfigError(f"{origin}: it is neither PEM nor PKCS12, or the password is wrong", key) from None
    if not with_key:
        return pem
    if store.key is None or store.cert is None:
        raise ConfigError(f"{origin}: there is no private key with its certificate in it", key)
    own = store.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return own + pem


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


class ServerTls:
    """The context of a listener, made anew when its settings or files have changed."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises ConfigError for what cannot be used."""
        self._settings = settings
        self._stamps = _stamps(settings)
        self.context = server_context(settings)
        try:
            self.rules = PrincipalRules(settings.principal_mapping_rules)
        except ValueError as error:
            key = "ssl.principal.mapping.rules"
            raise ConfigError(f"{key}: {error}", key) from None

    def renew(self, settings: TlsSettings) -> None:
        """Take what is new for connections that come from now on; what cannot be used leaves all as it was,
        with a line in the log.
        """
        stamps = _stamps(settings)
        if settings == self._settings and stamps == self._stamps:
            return
        self._settings, self._stamps = settings, stamps
        try:
            self.context = server_context(settings)
        except ConfigError as error:
            log.error("the certificates stay as they were: %s", error.message)
        else:
            log.info("certificates were read anew")


class PeerTls:
    """The context of our own connections to other brokers, made anew when files have changed."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises ConfigError for what cannot be used."""
        self._settings = settings
        self._stamps = _stamps(settings)
        self._context = client_context(settings)

    def context(self) -> ssl.SSLContext:
        """For a connection that begins now; as it was while what is there now cannot be used."""
        stamps = _stamps(self._settings)
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._context = client_context(self._settings)
            except ConfigError as error:
                log.error("the certificates stay as they were: %s", error.message)
        return self._context


def _stamps(settings: TlsSettings) -> tuple[tuple[int, int, int] | None, ...]:
    """Others when the files have changed."""
    stamps: list[tuple[int, int, int] | None] = []
    for path in (settings.keystore_location, settings.truststore_location):
        try:
            found = None if path is None else os.stat(path)
        except OSError:
            found = None
        stamps.append(None if found is None else (found.st_mtime_ns, found.st_ino, found.st_size))
    return tuple(stamps)
