"""The broker's configuration, typed, from its layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ottla.config.broker_keys import HONOURED_KEYS
from ottla.config.definition import ConfigDef, ConfigError, UpdateMode, by_name
from ottla.config.group_keys import BROKER_GROUP_KEYS
from ottla.config.inert_keys import INERT_KEYS
from ottla.config.layers import BrokerLayers, resolve
from ottla.config.listeners import Listener, Listeners, ListenerSettings, resolve_listeners
from ottla.config.topic import TopicConfig, check_topic_config
from ottla.config.topic_keys import TOPIC_CONFIGS

BROKER_CONFIGS: Mapping[str, ConfigDef] = by_name((*HONOURED_KEYS, *BROKER_GROUP_KEYS, *INERT_KEYS))


class BrokerConfig(NamedTuple):
    """Every broker setting that Ottla honours; times in milliseconds, sizes in bytes unless named otherwise.

    The keys that only supply topic defaults (`log.retention.hours`, `message.max.bytes`, ...) are in
    `topic_defaults`, already resolved.
    """

    node_id: int
    broker_rack: str | None
    listeners: tuple[Listener, ...]
    advertised_listeners: tuple[Listener, ...]
    log_dirs: tuple[str, ...]
    topic_defaults: TopicConfig

    auto_create_topics_enable: bool
    default_replication_factor: int
    delete_topic_enable: bool
    num_partitions: int

    connections_max_idle_ms: int
    fetch_max_bytes: int
    max_connections: int
    max_connections_per_ip: int
    max_connections_per_ip_overrides: Mapping[str, int]
    max_incremental_fetch_session_cache_slots: int
    max_request_partition_size_limit: int
    socket_listen_backlog_size: int
    socket_receive_buffer_bytes: int
    socket_request_max_bytes: int
    socket_send_buffer_bytes: int

    log_cleaner_backoff_ms: int
    log_cleaner_dedupe_buffer_size: int
    log_cleaner_enable: bool
    log_cleaner_io_buffer_load_factor: float
    log_cleaner_io_buffer_size: int
    log_cleaner_io_max_bytes_per_second: float
    log_flush_offset_checkpoint_interval_ms: int
    log_flush_scheduler_interval_ms: int
    log_flush_start_offset_checkpoint_interval_ms: int
    log_initial_task_delay_ms: int
    log_retention_check_interval_ms: int
    producer_id_expiration_check_interval_ms: int
    producer_id_expiration_ms: int

    group_consumer_assignment_interval_ms: int
    group_consumer_assignors: tuple[str, ...]
    group_consumer_heartbeat_interval_ms: int
    group_consumer_max_heartbeat_interval_ms: int
    group_consumer_max_session_timeout_ms: int
    group_consumer_max_size: int
    group_consumer_migration_policy: str
    group_consumer_min_heartbeat_interval_ms: int
    group_consumer_min_session_timeout_ms: int
    group_consumer_regex_refresh_interval_ms: int
    group_consumer_session_timeout_ms: int
    group_coordinator_rebalance_protocols: tuple[str, ...]
    group_initial_rebalance_delay_ms: int
    group_max_session_timeout_ms: int
    group_max_size: int
    group_min_session_timeout_ms: int
    offset_metadata_max_bytes: int
    offsets_retention_check_interval_ms: int
    offsets_retention_minutes: int
    offsets_topic_compression_codec: int
    offsets_topic_num_partitions: int
    offsets_topic_replication_factor: int
    offsets_topic_segment_bytes: int

    ottla_acks_all_flush: bool
    ottla_decompressed_batch_max_bytes: int
    ottla_group_consumer_rebalance_heartbeat_interval_ms: int
    ottla_group_consumer_rebalance_heartbeats_per_second_max: int
    ottla_group_consumer_rebalance_settling_ms: int
    ottla_open_files_max: int
    ottla_request_max_bytes: int
    ottla_request_max_elements: int
    ottla_request_max_partitions: int
    ottla_request_memory_max_bytes: int
    ottla_request_stalled_ms: int
    ottla_requests_in_flight_max: int
    ottla_response_buffer_max_bytes: int
    ottla_response_memory_max_bytes: int


_FIELDS = frozenset(BrokerConfig._fields)
_FIELD_KEYS = tuple(definition for definition in BROKER_CONFIGS.values() if definition.field in _FIELDS)


def broker_config(layers: BrokerLayers | None = None) -> BrokerConfig:
    """The configuration that `layers` make; raises ConfigError naming the first wrong key."""
    layers = layers or BrokerLayers()
    for name in sorted(layers.names()):
        if (definition := broker_definition(name)) is not None:
            for sourced in layers.texts(name):
                definition.parse(sourced.text)
    values: dict[str, Any] = {
        definition.field: resolve((definition.name, *definition.synonyms), layers, BROKER_CONFIGS)
        for definition in _FIELD_KEYS
    }
    listeners = _listeners(layers)
    values["listeners"], values["advertised_listeners"] = listeners.opened, listeners.advertised
    values["max_connections_per_ip_overrides"] = _connection_overrides(
        values["max_connections_per_ip_overrides"]
    )
    values["group_consumer_migration_policy"] = values["group_consumer_migration_policy"].lower()
    config = BrokerConfig(topic_defaults=topic_defaults(layers), **values)
    _check(config)
    return config


_LISTENER_OVERRIDE = re.compile(r"listener\.name\.[^.]*\.(.*)")
_MECHANISM_KEYS = (  # set for one mechanism of a listener: listener.name.outside.plain.sasl.jaas.config
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
)


def broker_definition(name: str) -> ConfigDef | None:
    """The definition of a key, or of the one that `listener.name.NAME.` overrides for a single listener.

    None for names that Kafka does not know either: it keeps them, for plug-ins.
    """
    definition = BROKER_CONFIGS.get(name)
    if definition is None and (override := _LISTENER_OVERRIDE.fullmatch(name)):
        base = next((key for key in _MECHANISM_KEYS if override[1].endswith(key)), override[1])
        definition = BROKER_CONFIGS.get(base)
    return definition


def topic_defaults(layers: BrokerLayers) -> TopicConfig:
    """What a topic without overrides is configured as."""
    values: dict[str, Any] = {}
    for definition in TOPIC_CONFIGS.values():
        if definition.internal:
            continue
        value = (
            resolve(definition.synonyms, layers, BROKER_CONFIGS)
            if definition.synonyms
            else definition.default
        )
        if definition.validator is not None:
            problem = definition.validator.check(value)
            if problem is not None:
                raise BROKER_CONFIGS[definition.synonyms[0]].invalid(str(value), problem)
        values[definition.field] = value
    values["cleanup_policy"] = frozenset(values["cleanup_policy"])
    config = TopicConfig(**values)
    check_topic_config(config)
    return config


def check_dynamic_names(names: Iterable[str], *, per_broker: bool) -> None:
    """Refuse keys that cannot change while brokers run, or not for the whole cluster (KIP-226)."""
    modes = {name: definition.update_mode for name in names if (definition := broker_definition(name))}
    fixed = sorted(name for name, mode in modes.items() if mode is UpdateMode.READ_ONLY)
    if fixed:
        raise ConfigError(f"Cannot update these configs dynamically: {', '.join(fixed)}", fixed[0])
    single = sorted(name for name, mode in modes.items() if mode is UpdateMode.PER_BROKER)
    if single and not per_broker:
        raise ConfigError(
            "Cannot update these configs at default cluster level, broker id must be specified: "
            f"{', '.join(single)}",
            single[0],
        )


def _listeners(layers: BrokerLayers) -> Listeners:
    def value(key: str) -> Any:
        return resolve((key,), layers, BROKER_CONFIGS)

    names = layers.names()
    return resolve_listeners(
        ListenerSettings(
            listeners=value("listeners"),
            advertised_listeners=value("advertised.listeners"),
            listener_security_protocol_map=value("listener.security.protocol.map"),
            is_protocol_map_set="listener.security.protocol.map" in names,
            controller_listener_names=value("controller.listener.names"),
            early_start_listeners=value("early.start.listeners"),
            inter_broker_listener_name=value("inter.broker.listener.name"),
            security_inter_broker_protocol=value("security.inter.broker.protocol"),
            is_inter_broker_protocol_set="security.inter.broker.protocol" in names,
        )
    )


def _connection_overrides(text: str) -> Mapping[str, int]:
    overrides: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        address, _, count = item.rpartition(":")
        if not address or not count.isascii() or not count.isdigit():
            key = "max.connections.per.ip.overrides"
            raise ConfigError(f"Invalid value {item} for configuration {key}: expected address:count", key)
        overrides[address] = int(count)
    return overrides


# (smaller, greater): rules between keys, as Kafka checks them at start.
_ORDERED = (
    ("group.min.session.timeout.ms", "group.max.session.timeout.ms"),
    ("group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms"),
    ("group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
    ("group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
    ("group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
)


def _check(config: BrokerConfig) -> None:
    for smaller, greater in _ORDERED:
        if getattr(config, smaller.replace(".", "_")) > getattr(config, greater.replace(".", "_")):
            raise ConfigError(f"{greater} must be greater than or equal to {smaller}", greater)
    if config.group_consumer_heartbeat_interval_ms >= config.group_consumer_session_timeout_ms:
        raise ConfigError(
            "group.consumer.heartbeat.interval.ms must be less than group.consumer.session.timeout.ms",
            "group.consumer.heartbeat.interval.ms",
        )
    if "classic" not in config.group_coordinator_rebalance_protocols:
        key = "group.coordinator.rebalance.protocols"
        value = ",".join(config.group_coordinator_rebalance_protocols)
        raise ConfigError(
            f"Invalid value {value} for configuration {key}: the classic protocol cannot be left out",
            key,
        )
    if len(config.log_dirs) != 1:
        raise ConfigError(
            f"Invalid value {','.join(config.log_dirs)} for configuration log.dirs: "
            "exactly one data folder is supported",
            "log.dirs",
        )
