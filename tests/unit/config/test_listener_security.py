"""Each listener has its own settings of TLS and SASL, and where it has none those of all."""

from __future__ import annotations

import pytest

from ottla.config.broker import broker_config
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.config.listener_security import ListenerSecurity

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
TWO = {
    "listeners": "IN://127.0.0.1:1,OUT://127.0.0.1:2,PLAINTEXT://127.0.0.1:3",
    "listener.security.protocol.map": "IN:SASL_PLAINTEXT,OUT:SASL_SSL,PLAINTEXT:PLAINTEXT",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "ssl.keystore.location": "all.pem",
}


def security(settings: dict[str, str], **dynamic: str) -> dict[str, ListenerSecurity]:
    layers = BrokerLayers(static=settings, dynamic={key.replace("_", "."): dynamic[key] for key in dynamic})
    return dict(broker_config(layers).listener_security)


def test_a_listener_has_what_its_protocol_has() -> None:
    found = security(TWO)
    assert {name: (each.tls is not None, each.sasl is not None) for name, each in found.items()} == {
        "IN": (False, True),
        "OUT": (True, True),
        "PLAINTEXT": (False, False),
    }


def test_what_is_said_of_a_listener_or_a_mechanism_counts_more() -> None:
    found = security(
        TWO
        | {
            "connections.max.reauth.ms": "5",
            "listener.name.in.connections.max.reauth.ms": "6",
            "listener.name.in.plain.connections.max.reauth.ms": "7",
            "listener.name.in.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.in.plain.sasl.jaas.config": f'{_PLAIN} user_ann="a" user_bob="b";',
            "listener.name.out.ssl.keystore.location": "out.pem",
        },
        listener_name_out_ssl_keystore_location="newest.pem",
    )
    inside, outside = found["IN"].sasl, found["OUT"].sasl
    assert inside is not None
    assert outside is not None
    assert inside.users == {"ann": "a", "bob": "b"}
    assert inside.max_reauth_ms == {"PLAIN": 7, "SCRAM-SHA-256": 6}
    assert (outside.mechanisms, outside.users) == (("SCRAM-SHA-512",), {})
    assert outside.max_reauth_ms == {"SCRAM-SHA-512": 5}
    assert found["OUT"].tls is not None
    assert found["OUT"].tls.keystore_location == "newest.pem"


def test_brokers_come_to_others_as_the_line_of_the_mechanism_says() -> None:
    line = f'{_SCRAM} username="admin" password="hush";'
    found = security(
        TWO
        | {
            "listener.name.out.scram-sha-512.sasl.jaas.config": line,
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        }
    )
    assert found["OUT"].sasl is not None
    assert found["OUT"].sasl.inter_broker_login == ("admin", "hush")
    assert found["IN"].sasl is not None
    assert found["IN"].sasl.inter_broker_login is None
    assert "hush" not in f"{found} {found['OUT'].sasl!r} {vars(found['OUT'])!r}"


def test_client_certificates_are_asked_for_on_ssl_and_where_a_listener_says_so() -> None:
    both = {
        "listeners": "SSL://127.0.0.1:1,SASL_SSL://127.0.0.1:2",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "ssl.keystore.location": "all.pem",
        "ssl.client.auth": "required",
        "security.inter.broker.protocol": "SSL",
    }
    asked = {name: each.tls and each.tls.client_auth for name, each in security(both).items()}
    assert asked == {"SSL": "required", "SASL_SSL": "none"}
    found = security(both | {"listener.name.sasl_ssl.ssl.client.auth": "requested"})
    assert found["SASL_SSL"].tls is not None
    assert found["SASL_SSL"].tls.client_auth == "requested"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ssl.keystore.location": "x", "ssl.keystore.key": "k"}, "only used together"),
        (
            {"ssl.keystore.location": "x", "ssl.keystore.key": "k", "ssl.keystore.certificate.chain": "c"},
            "only one of ssl.keystore.location",
        ),
        ({"ssl.truststore.location": "x", "ssl.truststore.certificates": "c"}, "only one of ssl.truststore"),
        ({"ssl.enabled.protocols": "TLSv1.1"}, "any of TLSv1.2, TLSv1.3"),
        ({"ssl.enabled.protocols": "TLSv1.3,x"}, "any of TLSv1.2, TLSv1.3"),
        ({"sasl.enabled.mechanisms": "GSSAPI"}, "what there is: PLAIN, SCRAM"),
        ({"sasl.enabled.mechanisms": ""}, "needs sasl.enabled.mechanisms"),
        ({"sasl.enabled.mechanisms": "PLAIN"}, "plain.sasl.jaas.config is needed"),
        ({"listener.name.in.scram-sha-512.sasl.jaas.config": 'hush "hush'}, r"=\[hidden\]: must"),
        ({"listener.name.in.scram-sha-512.sasl.jaas.config": f"{_PLAIN};"}, "ScramLoginModule alone"),
        ({"principal.builder.class": "org.example.Mine"}, "Mine cannot be loaded"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        security(TWO | settings)
    assert "hush" not in refused.value.message


def test_tls_needs_a_key() -> None:
    with pytest.raises(ConfigError, match=r"OUT speaks TLS and needs ssl\.keystore\.location"):
        security({key: text for key, text in TWO.items() if key != "ssl.keystore.location"})
