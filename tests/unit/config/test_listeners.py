"""Listeners are taken and refused as Kafka 4.4 does."""

from __future__ import annotations

import pytest

from ottla.config.broker import BrokerConfig, broker_config
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.config.listeners import Listener, SecurityProtocol

PLAINTEXT = SecurityProtocol.PLAINTEXT
INSIDE_AND_OUTSIDE = {
    "listeners": "INSIDE://10.0.0.1:9092,OUTSIDE://:9093",
    "listener.security.protocol.map": "inside:plaintext,OUTSIDE:PLAINTEXT",
    "inter.broker.listener.name": "Inside",
}


def config(**texts: str) -> BrokerConfig:
    return settings({name.replace("_", "."): text for name, text in texts.items()})


def settings(texts: dict[str, str]) -> BrokerConfig:
    return broker_config(BrokerLayers(static=texts))


def test_several_listeners_are_told_apart_by_their_names() -> None:
    both = settings(
        {**INSIDE_AND_OUTSIDE, "advertised.listeners": "OUTSIDE://broker.example.org:80,INSIDE://:0"}
    )
    assert both.listeners == (
        Listener("INSIDE", PLAINTEXT, "10.0.0.1", 9092),
        Listener("OUTSIDE", PLAINTEXT, "", 9093),
    )
    assert both.advertised_listeners == (
        Listener("OUTSIDE", PLAINTEXT, "broker.example.org", 80),
        Listener("INSIDE", PLAINTEXT, "", 0),
    )


def test_listeners_are_advertised_as_they_are_unless_told_otherwise() -> None:
    both = settings(INSIDE_AND_OUTSIDE)
    assert both.advertised_listeners == both.listeners
    one = settings({**INSIDE_AND_OUTSIDE, "advertised.listeners": "INSIDE://a:9092"})
    assert one.advertised_listeners == (Listener("INSIDE", PLAINTEXT, "a", 9092),)


def test_advertised_listeners_may_share_a_port() -> None:
    both = settings({**INSIDE_AND_OUTSIDE, "advertised.listeners": "INSIDE://a:80,OUTSIDE://b:80"})
    assert [listener.port for listener in both.advertised_listeners] == [80, 80]


def test_listeners_of_a_kraft_controller_are_not_opened() -> None:
    combined = config(
        listeners="PLAINTEXT://:9092,CONTROLLER://[::1]:9093,INSIDE://10.0.0.1:0",
        advertised_listeners="PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
        controller_listener_names="CONTROLLER",
        listener_security_protocol_map="CONTROLLER:SSL,PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT",
    )
    assert [listener.name for listener in combined.listeners] == ["PLAINTEXT", "INSIDE"]
    assert combined.advertised_listeners == (Listener("PLAINTEXT", PLAINTEXT, "localhost", 9092),)


def test_a_controller_needs_no_entry_in_a_map_that_is_not_set() -> None:
    combined = config(listeners="PLAINTEXT://:9092,C://0.0.0.0:9093", controller_listener_names="C")
    assert [str(listener) for listener in combined.listeners] == ["PLAINTEXT://:9092"]


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_a_controller_needs_one_where_a_listener_is_secured(protocol: str) -> None:
    with pytest.raises(ConfigError, match="no protocol for C"):
        config(listeners=f"{protocol}://:9092,C://:9093", controller_listener_names="C")


def test_a_port_has_sixteen_bits() -> None:
    assert config(listeners="PLAINTEXT://a:65535").listeners[0].port == 65535
    with pytest.raises(ConfigError, match="expected name://host:port"):
        config(listeners="PLAINTEXT://a:65536")


def test_listeners_and_controllers_may_start_early() -> None:
    config(
        listeners="PLAINTEXT://:9092,C://:9093",
        controller_listener_names="C",
        early_start_listeners="plaintext,C",
    )


@pytest.mark.parametrize(
    "listeners", ["PLAINTEXT://[::1]:9092", "plaintext://::1:9092", "PLAINTEXT://[fe80::1%eth0]:9092"]
)
def test_ipv6_addresses_are_bracketed(listeners: str) -> None:
    (listener,) = config(listeners=listeners).listeners
    assert str(listener) == listeners.replace("plaintext://::1", "PLAINTEXT://[::1]")


@pytest.mark.parametrize("other", ["[::1]", "[2001:db8::1]"])
def test_ipv4_and_ipv6_may_share_a_port(other: str) -> None:
    both = settings({**INSIDE_AND_OUTSIDE, "listeners": f"INSIDE://10.0.0.1:9092,OUTSIDE://{other}:9092"})
    assert [listener.port for listener in both.listeners] == [9092, 9092]


@pytest.mark.parametrize(
    "listeners",
    [
        "INSIDE://10.0.0.1:9092,OUTSIDE://10.0.0.2:9092",
        "INSIDE://[::1]:9092,OUTSIDE://[::2]:9092",
        "INSIDE://10.0.0.1:9092,OUTSIDE://host:9092",
        "INSIDE://:9092,OUTSIDE://host:9092",
        "INSIDE://[::1]:9092,OUTSIDE://:9092",
        "INSIDE://[::1]:9092,OUTSIDE://999.0.0.1:9092",
        "INSIDE://[::1]:9092,OUTSIDE://10.0.0.1:9092,PLAINTEXT://host:9092",
    ],
)
def test_other_listeners_may_not(listeners: str) -> None:
    mapped = f"{INSIDE_AND_OUTSIDE['listener.security.protocol.map']},PLAINTEXT:PLAINTEXT"
    with pytest.raises(ConfigError, match="each listener must have its own port"):
        settings({**INSIDE_AND_OUTSIDE, "listeners": listeners, "listener.security.protocol.map": mapped})


def test_free_ports_are_no_shared_port() -> None:
    settings({**INSIDE_AND_OUTSIDE, "listeners": "INSIDE://10.0.0.1:0,OUTSIDE://10.0.0.1:0"})


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_every_interface_is_no_address_to_advertise(host: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(listeners=f"PLAINTEXT://{host}:9095")
    assert refused.value.name == "listeners"
    assert "advertised.listeners=PLAINTEXT://broker.example.org:9095" in refused.value.message
    opened = config(listeners=f"PLAINTEXT://{host}:9095", advertised_listeners="PLAINTEXT://a:1")
    assert opened.advertised_listeners == (Listener("PLAINTEXT", PLAINTEXT, "a", 1),)
    with pytest.raises(ConfigError, match="clients cannot connect"):
        config(advertised_listeners=f"PLAINTEXT://{host}:9092")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"listeners": "localhost:9092"}, "expected name://host:port"),
        ({"listeners": "PLAINTEXT://localhost:70000"}, "expected name://host:port"),
        ({"listeners": "PLAINTEXT://localhost:-1"}, "expected name://host:port"),
        ({"listeners": "PLAINTEXT://a:b:9092"}, "expected name://host:port"),
        ({"listeners": "PLAINTEXT://a:1,plaintext://b:2"}, "each listener must have its own name"),
        ({"listeners": "INSIDE://localhost:9093"}, "no protocol for INSIDE"),
        ({"listeners": ""}, "must not be empty"),
        ({"listeners": "C://:1", "controller_listener_names": "C"}, "every listener is in controller"),
        ({"advertised_listeners": "SSL://host:9092"}, "not in listeners, which are PLAINTEXT"),
        ({"advertised_listeners": "PLAINTEXT://a:1,PLAINTEXT://b:1"}, "each listener must have its own name"),
        (
            {
                "listeners": "PLAINTEXT://:1,C://:2",
                "advertised_listeners": "C://a:2",
                "controller_listener_names": "C",
            },
            "no listener is advertised",
        ),
        (
            {"listener_security_protocol_map": "PLAINTEXT:TLS"},
            "expected NAME:PROTOCOL with one of PLAINTEXT, SSL",
        ),
        (
            {"listener_security_protocol_map": ":SSL"},
            "Invalid value :SSL for configuration listener.security.protocol.map: expected NAME:PROTOCOL",
        ),
        ({"listener_security_protocol_map": "A:SSL,a:PLAINTEXT"}, "A is named twice"),
        (
            {"inter_broker_listener_name": "NONE"},
            "NONE for configuration inter.broker.listener.name: listener.security.protocol.map has no",
        ),
        (
            {"inter_broker_listener_name": "SSL"},
            "must be one of the advertised listeners, which are PLAINTEXT",
        ),
        ({"security_inter_broker_protocol": "SSL"}, "must be one of the advertised listeners"),
        (
            {"inter_broker_listener_name": "PLAINTEXT", "security_inter_broker_protocol": "PLAINTEXT"},
            "Only one of inter.broker.listener.name and security.inter.broker.protocol",
        ),
        (
            {"early_start_listeners": "NONE"},
            "Invalid value NONE for configuration early.start.listeners: not in listeners or",
        ),
    ],
)
def test_refuses_wrong_listeners(texts: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(**texts)
    assert message in refused.value.message


def test_names_that_are_no_protocols_need_a_name_for_brokers() -> None:
    texts = {key: text for key, text in INSIDE_AND_OUTSIDE.items() if key != "inter.broker.listener.name"}
    with pytest.raises(ConfigError, match="inter.broker.listener.name: it must be one of the advertised"):
        settings(texts)
