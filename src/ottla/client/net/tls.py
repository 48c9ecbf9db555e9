"""The TLS contexts that settings ask for."""

from __future__ import annotations

import ssl

from ottla.client.errors import ConfigurationError
from ottla.client.settings import ClientSettings


def context_of(settings: ClientSettings) -> ssl.SSLContext | None:
    """None where connections are not encrypted; ConfigurationError for files that cannot be used."""
    if not settings.security_protocol.endswith("SSL"):
        return None
    if settings.ssl_keystore_location or settings.ssl_truststore_location:
        context = _with_stores(settings)
    else:
        context = _with_files(settings)
    if settings.ssl_endpoint_identification_algorithm != "https":
        context.check_hostname = False
    return context


def _with_stores(settings: ClientSettings) -> ssl.SSLContext:
    """Java's, with files beside them where there is one alone."""
    from ottla import certificates

    context = _with_files(settings)
    setting, path = "ssl.truststore.location", settings.ssl_truststore_location
    try:
        if path is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which trusts nobody else
            if settings.ssl_certificate_location is not None:
                context.load_cert_chain(
                    settings.ssl_certificate_location,
                    settings.ssl_key_location,
                    settings.ssl_key_password or "",
                )
            data = certificates.read_store(path)
            pem = certificates.pem_of(data, settings.ssl_truststore_password, with_key=False)
            certificates.trust(context, pem)
        setting, path = "ssl.keystore.location", settings.ssl_keystore_location
        if path is not None:
            data = certificates.read_store(path)
            pem = certificates.pem_of(data, settings.ssl_keystore_password, with_key=True)
            password = settings.ssl_key_password or settings.ssl_keystore_password
            certificates.show(context, pem, password if certificates.is_pem(data) else None)
    except certificates.CertificateError as error:
        raise ConfigurationError(f"{setting}={path!r}: {error}") from None
    return context


def _with_files(settings: ClientSettings) -> ssl.SSLContext:
    return context_from(
        settings.ssl_ca_location,
        settings.ssl_certificate_location,
        settings.ssl_key_location,
        settings.ssl_key_password,
    )


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
