"""The keys of listeners, connections, and what requests may take before they are handled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ottla.config.definition import (
    INT,
    INT_MAX,
    LIST,
    LONG,
    STRING,
    ConfigDef,
    ConfigError,
    UpdateMode,
    Values,
    at_least,
    list_of,
    one_of,
)
from ottla.config.listener_limits import ListenerLimits
from ottla.config.listener_security import ListenerSecurity
from ottla.config.listeners import Listener

NETWORK_KEYS = (
    ConfigDef(
        "listeners",
        LIST,
        ("PLAINTEXT://127.0.0.1:9092",),
        "Where the broker listens: `name://host:port`, separated by commas. An empty host means every "
        "interface, port 0 a free port. Listeners named in `controller.listener.names` are left out.",
        list_of(empty_allowed=False),
    ),
    ConfigDef(
        "advertised.listeners",
        LIST,
        None,
        "The addresses that clients are told to connect to, where they differ from `listeners`. An empty "
        "host means this machine's own name. Who listens at `0.0.0.0` or `[::]` must say this.",
        list_of(empty_allowed=False),
    ),
    ConfigDef(
        "listener.security.protocol.map",
        STRING,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "The security protocol of each listener name.",
    ),
    ConfigDef(
        "controller.listener.names",
        LIST,
        None,
        "Names in `listeners` that belong to a KRaft controller; Ottla has none and does not open them.",
        list_of(empty_allowed=False),
    ),
    ConfigDef(
        "early.start.listeners",
        LIST,
        None,
        "Listeners that open before the others; checked only, all open at once here.",
        list_of(),
    ),
    ConfigDef(
        "inter.broker.listener.name",
        STRING,
        None,
        "The listener that other brokers connect to; without it, the one that is called as "
        "`security.inter.broker.protocol` says. It must be advertised.",
    ),
    ConfigDef(
        "security.inter.broker.protocol",
        STRING,
        "PLAINTEXT",
        "The security protocol between brokers, and the name of their listener when "
        "`inter.broker.listener.name` is not set.",
        one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    ),
    ConfigDef(
        "socket.request.max.bytes",
        INT,
        100 << 20,
        "The largest Produce request; larger ones close the connection before anything is allocated.",
        at_least(1),
    ),
    ConfigDef(
        "socket.send.buffer.bytes",
        INT,
        -1,  # 102400 makes both sides of a large fetch wake four times as often
        "SO_SNDBUF of connections; -1 lets the system size them as it goes. Kafka's default is 102400.",
    ),
    ConfigDef(
        "socket.receive.buffer.bytes",
        INT,
        -1,  # 102400 costs a quarter of the throughput of batches of 1 MB, and 8 % of those of 16 KB
        "SO_RCVBUF of connections; -1 lets the system size them as it goes. Kafka's default is 102400.",
    ),
    ConfigDef(
        "socket.listen.backlog.size", INT, 50, "How many connections may wait to be accepted.", at_least(1)
    ),
    ConfigDef(
        "socket.connection.setup.timeout.ms",
        LONG,
        10_000,
        "How long a connection to another broker may take.",
    ),
    ConfigDef(
        "max.connections",
        INT,
        INT_MAX,
        "How many connections the broker keeps at once; behind `listener.name.NAME.` one listener of it.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "max.connections.per.ip",
        INT,
        INT_MAX,
        "How many connections the broker keeps from one address.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "max.connections.per.ip.overrides",
        STRING,
        "",
        "Exceptions from `max.connections.per.ip`: `address:count`, separated by commas.",
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "max.connection.creation.rate",
        INT,
        INT_MAX,
        "How many connections the broker takes in a second, or behind `listener.name.NAME.` one of its "
        "listeners; more have to wait for their turn.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "connections.max.idle.ms",
        LONG,
        600_000,
        "A connection that carried nothing for so long is closed; negative for never.",
    ),
    ConfigDef(
        "ottla.request.max.bytes",
        INT,
        2 << 20,
        "The largest request of every API but Produce; larger ones close the connection.",
        at_least(4096),
    ),
    ConfigDef(
        "ottla.request.max.elements",
        INT,
        100_000,
        "The most elements that all arrays of a request of any API but Produce and Fetch may have together, "
        "such as topics and their partitions; more close the connection.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.request.memory.max.bytes",
        LONG,
        128 << 20,
        "The memory that requests may take while they come in, over all connections.",
        at_least(1 << 20),
    ),
    ConfigDef(
        "queued.max.request.bytes",
        LONG,
        -1,
        "Kafka's name for `ottla.request.memory.max.bytes`, which it goes before where it is positive.",
    ),
    ConfigDef(
        "ottla.request.stalled.ms",
        INT,
        30_000,
        "A connection whose half-received request stands still for so long is closed.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.requests.in.flight.max",
        INT,
        100,
        "How many unanswered requests one connection may have before the broker stops reading from it.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.response.buffer.max.bytes",
        INT,
        1 << 20,
        "How many response bytes may wait for a slow reader before the broker stops reading its requests.",
        at_least(1),
    ),
    ConfigDef(
        "ottla.response.memory.max.bytes",
        LONG,
        256 << 20,
        "How many response bytes slow readers may hold together; above it a fetch gets one batch at most.",
        at_least(1 << 20),
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NetworkConfig:
    """What `network` is set up by; sizes in bytes."""

    listeners: tuple[Listener, ...]
    advertised_listeners: tuple[Listener, ...]
    inter_broker_listener_name: str
    listener_security: Mapping[str, ListenerSecurity]
    """By the names of `listeners`"""
    connection_failed_authentication_delay_ms: int
    ottla_authentication_timeout_ms: int
    ottla_tls_handshake_timeout_ms: int
    ottla_tls_files_check_ms: int
    socket_request_max_bytes: int
    socket_send_buffer_bytes: int
    socket_receive_buffer_bytes: int
    socket_listen_backlog_size: int
    socket_connection_setup_timeout_ms: int
    max_connections: int
    max_connections_per_ip: int
    max_connections_per_ip_overrides: Mapping[str, int]
    max_connection_creation_rate: int
    listener_limits: Mapping[str, ListenerLimits]
    """Of listeners that have limits of their own, by their names"""
    connections_max_idle_ms: int
    ottla_request_max_bytes: int
    ottla_request_max_elements: int
    ottla_request_memory_max_bytes: int
    queued_max_request_bytes: int
    ottla_request_stalled_ms: int
    ottla_requests_in_flight_max: int
    ottla_response_buffer_max_bytes: int
    ottla_response_memory_max_bytes: int

    @property
    def request_memory_max_bytes(self) -> int:
        """What requests may take while they come in, all connections together."""
        asked = self.queued_max_request_bytes
        return asked if asked > 0 else self.ottla_request_memory_max_bytes


def check_network(value: Values) -> None:
    """Rules between keys; raises ConfigError."""
    overrides = connection_overrides(value("max.connections.per.ip.overrides"))
    if value("max.connections.per.ip") == 0 and not overrides:
        raise ConfigError(
            "max.connections.per.ip can be 0 only together with max.connections.per.ip.overrides",
            "max.connections.per.ip",
        )
    if 0 <= value("connections.max.idle.ms") <= value("connection.failed.authentication.delay.ms"):
        raise ConfigError(
            "connections.max.idle.ms must be greater than connection.failed.authentication.delay.ms",
            "connections.max.idle.ms",
        )
    if 0 < value("queued.max.request.bytes") < value("socket.request.max.bytes"):
        raise ConfigError(
            "queued.max.request.bytes must be greater than or equal to socket.request.max.bytes",
            "queued.max.request.bytes",
        )


def connection_overrides(text: str) -> Mapping[str, int]:
    """`max.connections.per.ip.overrides`: the most connections, by address or host name."""
    key = "max.connections.per.ip.overrides"
    overrides: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        address, _, count = item.rpartition(":")
        if not address or not count.isascii() or not count.isdigit():
            raise ConfigError(f"Invalid value {item} for configuration {key}: expected address:count", key)
        overrides[address] = int(count)
    return overrides
