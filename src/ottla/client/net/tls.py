"""The TLS contexts that settings ask for."""

from __future__ import annotations

import ssl

from ottla.client.errors import ConfigurationError
from ottla.client.settings import ClientSettings


def context_of(settings: ClientSettings) -> ssl.SSLContext | None:
    """None where connections are not encrypted; ConfigurationError for files that cannot be used."""
    if not settings.security_protocol.endswith("SSL"):
        return None
    if not settings.ssl_truststore_location:
        context = _trusting(settings.ssl_ca_location, "ssl.")
    else:
        context = _trusting_store(settings.ssl_truststore_location, settings.ssl_truststore_password)
    _show(
        context,
        settings.ssl_certificate_location,
        settings.ssl_key_location,
        settings.ssl_key_password,
        "ssl.",
    )
    if settings.ssl_keystore_location:
        _show_store(context, settings.ssl_keystore_location, settings)
    if settings.ssl_endpoint_identification_algorithm != "https":
        context.check_hostname = False
    return context


def context_from(
    ca: str | None, certificate: str | None, key: str | None, password: str | None, *, prefix: str = "ssl."
) -> ssl.SSLContext:
    """A client's, which trusts `ca`, or without it the system's authorities, and shows `certificate`.

    ConfigurationError for files that cannot be used, with the setting's name behind `prefix`.
    """
    context = _trusting(ca, prefix)
    _show(context, certificate, key, password, prefix)
    return context


def _trusting(ca: str | None, prefix: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # SSLError among them
        raise ConfigurationError(f"{prefix}ca.location={ca!r}: {error}") from error


def _show(
    context: ssl.SSLContext, certificate: str | None, key: str | None, password: str | None, prefix: str
) -> None:
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password or "")
        except OSError as error:
            raise ConfigurationError(f"{prefix}certificate.location={certificate!r}: {error}") from error


def _trusting_store(path: str, password: str | None) -> ssl.SSLContext:
    """One of Java's, and nobody else."""
    from ottla import certificates

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        certificates.trust_store(context, path, password)
    except certificates.CertificateError as error:
        raise ConfigurationError(f"ssl.truststore.location={path!r}: {error}") from None
    return context


def _show_store(context: ssl.SSLContext, path: str, settings: ClientSettings) -> None:
    from ottla import certificates

    try:
        certificates.show_store(context, path, settings.ssl_keystore_password, settings.ssl_key_password)
    except certificates.CertificateError as error:
        raise ConfigurationError(f"ssl.keystore.location={path!r}: {error}") from None
