"""Names and values of a client's settings, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from ottla.client.errors import ConfigurationError
from ottla.client.settings import ClientSettings, address_of, names_of, parse


def test_names_have_dots_or_underscores_and_values_are_typed() -> None:
    settings = parse(
        ClientSettings,
        {
            "bootstrap.servers": " a:1 , b:2,",
            "request_timeout_ms": "5000",
            "retry.backoff.ms": 20,
            "security.protocol": "plaintext",
        },
    )
    assert settings.bootstrap_servers == ("a:1", "b:2")
    assert (settings.request_timeout_ms, settings.retry_backoff_ms) == (5000, 20)
    assert settings.security_protocol == "PLAINTEXT"
    assert settings.metadata_max_age_ms == 300_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"request.timout.ms": 1}, "did you mean request.timeout.ms?"),
        ({"xyzzy": 1}, "there is no setting xyzzy"),
        ({"acks": "all"}, "acks is a setting of producers"),
        ({"linger.msec": 1}, "did you mean linger.ms, which is a setting of producers?"),
        ({"request.timeout.ms": "soon"}, "request.timeout.ms='soon': must be a whole number"),
        ({"request.timeout.ms": True}, "must be a whole number"),
        ({"request.timeout.ms": -1}, "must be between 0 and 2147483647"),
        ({"security.protocol": "TLS"}, "must be one of 'PLAINTEXT', 'SSL'"),
        ({"client.id": 5}, "must be a string"),
        ({"security.protocol": "SASL_SSL"}, "needs sasl.mechanism: PLAIN, SCRAM-SHA-256"),
        (
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "plain"},
            "sasl.mechanism=PLAIN needs sasl.user",
        ),
        ({"sasl.mechanism": "GSSAPI"}, "must be one of '', 'PLAIN'"),
        ({"sasl.password": 5}, "sasl.password=[hidden]"),
        ({"ssl.key.password": 5}, "ssl.key.password=[hidden]"),
        ({"bootstrap.servers": "a"}, "'a' is not host:port"),
        ({"bootstrap.servers": ["::1:9092"]}, "is not host:port"),
        ({"bootstrap.servers": "a:0"}, "is not host:port"),
        ({"bootstrap.servers": "a:65536"}, "is not host:port"),
        ({"ssl.key.location": "k"}, "without ssl.certificate.location"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, object], said: str) -> None:
    elsewhere = {"acks": "producers", "linger.ms": "producers"}
    with pytest.raises(ConfigurationError) as raised:
        parse(ClientSettings, given, elsewhere=elsewhere)
    assert said in str(raised.value)


def test_secrets_are_not_shown() -> None:
    settings = ClientSettings(sasl_username="ann", sasl_password="hush", ssl_key_password="hush")
    assert "ann" in repr(settings)
    assert "hush" not in repr(settings)


def test_addresses() -> None:
    assert address_of("[::1]:9092") == ("::1", 9092)
    assert address_of("broker.example:1") == ("broker.example", 1)


def test_names_are_kafkas() -> None:
    assert {"bootstrap.servers", "connections.max.idle.ms", "ssl.ca.location"} <= set(
        names_of(ClientSettings)
    )
