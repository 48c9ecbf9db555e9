"""The TLS context that the settings ask for."""

from __future__ import annotations

import ssl

from ottla.client.errors import ConfigurationError
from ottla.client.settings import ClientSettings


def context_of(settings: ClientSettings) -> ssl.SSLContext | None:
    """None where connections are not encrypted; ConfigurationError for files that cannot be used.

    Without `ssl.ca.location` the system's authorities are trusted.
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_location)
    except OSError as error:  # SSLError among them
        raise ConfigurationError(f"ssl.ca.location={settings.ssl_ca_location!r}: {error}") from error
    if settings.ssl_endpoint_identification_algorithm != "https":
        context.check_hostname = False
    if settings.ssl_certificate_location is not None:
        try:
            context.load_cert_chain(
                settings.ssl_certificate_location, settings.ssl_key_location, settings.ssl_key_password or ""
            )
        except OSError as error:
            location = settings.ssl_certificate_location
            raise ConfigurationError(f"ssl.certificate.location={location!r}: {error}") from error
    return context
