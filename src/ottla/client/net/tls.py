"""The TLS contexts that settings ask for."""

from __future__ import annotations

import ssl

from ottla.client.errors import ConfigurationError
from ottla.client.settings import ClientSettings


def context_of(settings: ClientSettings) -> ssl.SSLContext | None:
    """None where connections are not encrypted; ConfigurationError for files that cannot be used."""
    if not settings.security_protocol.endswith("SSL"):
        return None
    context = context_from(
        settings.ssl_ca_location,
        settings.ssl_certificate_location,
        settings.ssl_key_location,
        settings.ssl_key_password,
    )
    if settings.ssl_endpoint_identification_algorithm != "https":
        context.check_hostname = False
    return context


def context_from(
    ca: str | None, certificate: str | None, key: str | None, password: str | None, *, prefix: str = "ssl."
) -> ssl.SSLContext:
    """A client's, which trusts `ca`, or without it the system's authorities, and shows `certificate`.

    ConfigurationError for files that cannot be used, with the setting's name behind `prefix`.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # SSLError among them
        raise ConfigurationError(f"{prefix}ca.location={ca!r}: {error}") from error
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password or "")
        except OSError as error:
            raise ConfigurationError(f"{prefix}certificate.location={certificate!r}: {error}") from error
    return context
