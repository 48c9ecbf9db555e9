"""TLS contexts from settings and files."""

from __future__ import annotations

import logging
import os  # noqa: TID251 - of files with certificates
import ssl
from typing import Final

from ottla import certificates
from ottla.certificates import CertificateError
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
    location = settings.keystore_location
    if location is None:
        key, origin = "ssl.keystore.key", "ssl.keystore.key=[hidden]"
    else:
        key = "ssl.keystore.location"
        origin = f"{key}={location}"
    try:
        if location is None:
            pem = f"{settings.keystore_key}\n{settings.keystore_certificate_chain}\n".encode()
            certificates.show(context, pem, settings.key_password)
        else:
            certificates.show_store(context, location, settings.keystore_password, settings.key_password)
    except CertificateError as error:
        raise ConfigError(f"{origin}: {error}", key) from None


def _trust(context: ssl.SSLContext, settings: TlsSettings) -> None:
    location = settings.truststore_location
    if settings.truststore_certificates is None and location is None:
        context.load_default_certs(
            ssl.Purpose.SERVER_AUTH
            if context.protocol == ssl.PROTOCOL_TLS_CLIENT
            else ssl.Purpose.CLIENT_AUTH
        )
        return
    key = origin = "ssl.truststore.certificates"
    try:
        if settings.truststore_certificates is not None:
            certificates.trust(context, settings.truststore_certificates.encode())
        else:
            assert location is not None
            key = "ssl.truststore.location"
            origin = f"{key}={location}"
            certificates.trust_store(context, location, settings.truststore_password)
    except CertificateError as error:
        raise ConfigError(f"{origin}: {error}", key) from None


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
