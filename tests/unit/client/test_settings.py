"""Names and values of a client's settings, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from ottla.client.errors import ConfigurationError
from ottla.client.settings import ClientSettings, address_of, names_of, parse
from ottla.identity.jaas import PLAIN_LOGIN, SCRAM_LOGIN


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
        ({"sasl.mechanism": "GSSAPI"}, "'GSSAPI': is not there; there are PLAIN, SCRAM-SHA-256"),
        ({"sasl.mechanisms": "AWS_MSK_IAM"}, "sasl.mechanism='AWS_MSK_IAM': is not there"),
        ({"sasl.mechanism": "MAGIC"}, "must be one of PLAIN, SCRAM-SHA-256"),
        ({"sasl.mechanism": "PLAIN", "sasl.mechanisms": "PLAIN"}, "given twice: sasl.mechanism"),
        ({"sasl.password": 5}, "sasl.password=[hidden]"),
        ({"sasl.jaas.config": 5}, "sasl.jaas.config=[hidden]"),
        ({"sasl.oauthbearer.token": 5}, "sasl.oauthbearer.token=[hidden]"),
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


SASL = {"security.protocol": "SASL_PLAINTEXT"}
PLAIN_JAAS = f'{PLAIN_LOGIN} required username="ann" password="hush";'


def test_user_and_password_come_from_settings_of_java_or_librdkafka() -> None:
    java = parse(ClientSettings, SASL | {"sasl.mechanism": "PLAIN", "sasl.jaas.config": PLAIN_JAAS})
    scram = PLAIN_JAAS.replace(PLAIN_LOGIN, SCRAM_LOGIN)
    also = parse(ClientSettings, SASL | {"sasl.mechanism": "scram-sha-256", "sasl.jaas.config": scram})
    named = {"sasl.mechanisms": "PLAIN", "sasl.username": "ann", "sasl.password": "hush"}
    librdkafka = parse(ClientSettings, SASL | named)
    for settings in (java, also, librdkafka):
        assert settings.sasl_credentials == ("ann", "hush")
        assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sasl.mechanism": "PLAIN", "sasl.jaas.config": "hush"}, "sasl.jaas.config=[hidden]: must be"),
        ({"sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": PLAIN_JAAS}, f"takes {SCRAM_LOGIN} alone"),
        (
            {"sasl.mechanism": "PLAIN", "sasl.jaas.config": PLAIN_JAAS.replace("pass", "x")},
            "sasl.jaas.config: xword is an option that is not there",
        ),
        (
            {"sasl.mechanism": "PLAIN", "sasl.jaas.config": f"{PLAIN_LOGIN} required username=ann;"},
            "sasl.mechanism=PLAIN needs sasl.password",
        ),
        (
            {"sasl.mechanism": "PLAIN", "sasl.jaas.config": PLAIN_JAAS, "sasl.password": "hush"},
            "given twice: sasl.jaas.config, and",
        ),
        (
            {"sasl.mechanism": "PLAIN", "sasl.username": "a", "sasl.password": "hu\0sh"},
            "sasl.mechanism=PLAIN: the password has a NUL",
        ),
        (
            {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "a", "sasl.password": "hush\udcff"},
            "the password is no valid text",
        ),
        ({"sasl.mechanism": "OAUTHBEARER"}, "needs one of sasl.oauthbearer.token and"),
        (
            {
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.token": "hush",
                "sasl.oauthbearer.token.provider": str,
            },
            "needs one of sasl.oauthbearer.token and",
        ),
        ({"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token": "hu sh"}, "[hidden]: is no token"),
        (
            {
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.token": "hush",
                "sasl.oauthbearer.extensions": "a",
            },
            "sasl.oauthbearer.extensions: 'a' is not name=value",
        ),
    ],
)
def test_what_is_wrong_with_sasl_is_said_without_secrets(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(ClientSettings, SASL | given)
    assert said in str(raised.value)
    assert "hush" not in str(raised.value)


def test_secrets_are_not_shown() -> None:
    settings = ClientSettings(
        sasl_username="ann",
        sasl_password="hush",
        ssl_key_password="hush",
        sasl_jaas_config="hush",
        sasl_oauthbearer_token="hush",
    )
    assert "ann" in repr(settings)
    assert "hush" not in repr(settings)


def test_addresses() -> None:
    assert address_of("[::1]:9092") == ("::1", 9092)
    assert address_of("broker.example:1") == ("broker.example", 1)


def test_names_are_kafkas() -> None:
    assert {"bootstrap.servers", "connections.max.idle.ms", "ssl.ca.location"} <= set(
        names_of(ClientSettings)
    )
