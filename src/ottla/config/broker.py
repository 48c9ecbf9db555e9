"""The broker's configuration, typed, from its layers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ottla.config.client_metrics import TELEMETRY_KEYS, TelemetryConfig, check_telemetry
from ottla.config.controller import CONTROLLER_KEYS, ControllerConfig
from ottla.config.definition import (
    INT,
    STRING,
    ConfigDef,
    ConfigError,
    UpdateMode,
    Values,
    at_least,
    by_name,
)
from ottla.config.groups import GROUP_COORDINATOR_KEYS, GroupCoordinatorConfig, check_group_coordinator
from ottla.config.inert import inert_keys
from ottla.config.layers import BrokerLayers, resolve
from ottla.config.listener_limits import listener_limits
from ottla.config.listener_security import listener_security
from ottla.config.listeners import Listeners, ListenerSettings, resolve_listeners
from ottla.config.monitoring import MONITORING_KEYS, MonitoringConfig, check_monitoring
from ottla.config.network import NETWORK_KEYS, NetworkConfig, check_network, connection_overrides
from ottla.config.quotas import QUOTA_KEYS, QuotaConfig
from ottla.config.replica import REPLICA_KEYS, ReplicaConfig, check_replica
from ottla.config.sasl import SASL_KEYS
from ottla.config.security import SECURITY_KEYS, AuditConfig, SecurityConfig, TokenConfig, check_security
from ottla.config.store import STORE_KEYS, StoreConfig, check_store
from ottla.config.tls import TLS_KEYS
from ottla.config.topic import TOPIC_CONFIGS, TopicConfig, TopicDefaults, check_topic_config
from ottla.config.transactions import TRANSACTION_KEYS, TransactionConfig

NODE_KEYS = (
    ConfigDef(
        "node.id",
        INT,
        1,
        "This broker's number in the cluster.",
        at_least(0),
        synonyms=("broker.id",),
    ),
    ConfigDef("broker.id", INT, None, "The old name of `node.id`, used when that is not set."),
    ConfigDef("broker.rack", STRING, None, "The rack or zone that this broker reports to clients."),
)

# Coarser units and the default behind a null key; the finest unit that is set wins.
_TIME_CHAINS: dict[str, tuple[str, ...]] = {
    "log.retention.ms": ("log.retention.minutes", "log.retention.hours"),
    "log.roll.ms": ("log.roll.hours",),
    "log.roll.jitter.ms": ("log.roll.jitter.hours",),
    "log.flush.interval.ms": ("log.flush.scheduler.interval.ms",),
}

_COARSE_TIME_KEYS = (
    ConfigDef("log.retention.minutes", INT, None, "`log.retention.ms` in minutes, when that is not set."),
    ConfigDef("log.retention.hours", INT, 168, "`log.retention.ms` in hours, when no finer one is set."),
    ConfigDef("log.roll.hours", INT, 168, "`log.roll.ms` in hours, when that is not set.", at_least(1)),
    ConfigDef(
        "log.roll.jitter.hours", INT, 0, "`log.roll.jitter.ms` in hours, when that is not set.", at_least(0)
    ),
)


def _topic_default_keys() -> Iterator[ConfigDef]:
    """The broker key behind each topic key: the same type, default and rule."""
    for topic_key in TOPIC_CONFIGS.values():
        if not topic_key.synonyms:
            continue
        name = topic_key.synonyms[0]
        chain = _TIME_CHAINS.get(name, ())
        doc = f"The default of the topic setting `{topic_key.name}`. {topic_key.doc}"
        yield topic_key._replace(
            name=name,
            doc=doc if topic_key.honoured else topic_key.doc,
            default=None if chain else topic_key.default,
            # A null default is not a number, so the range is left to the topic key.
            validator=None if chain else topic_key.validator,
            update_mode=UpdateMode.CLUSTER_WIDE,
            synonyms=chain,
        )


BROKER_CONFIGS: Mapping[str, ConfigDef] = by_name(
    (
        *NODE_KEYS,
        *NETWORK_KEYS,
        *REPLICA_KEYS,
        *CONTROLLER_KEYS,
        *STORE_KEYS,
        *SECURITY_KEYS,
        *MONITORING_KEYS,
        *TELEMETRY_KEYS,
        *QUOTA_KEYS,
        *TLS_KEYS,
        *SASL_KEYS,
        *GROUP_COORDINATOR_KEYS,
        *TRANSACTION_KEYS,
        *_topic_default_keys(),
        *_COARSE_TIME_KEYS,
        *inert_keys("broker"),
    )
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BrokerConfig(
    NetworkConfig,
    ReplicaConfig,
    ControllerConfig,
    GroupCoordinatorConfig,
    TransactionConfig,
    StoreConfig,
    SecurityConfig,
    TokenConfig,
    AuditConfig,
    MonitoringConfig,
    TelemetryConfig,
    QuotaConfig,
):
    """Every setting that Ottla honours: the views of all rooms in one; each room is handed its own.

    Times are in milliseconds, sizes in bytes, unless a name says otherwise.
    """

    node_id: int
    broker_rack: str | None


View = TypeVar("View", bound="TopicDefaults | NetworkConfig | GroupCoordinatorConfig | TransactionConfig")


def default_view(view: type[View], **changes: Any) -> View:
    """One of the views as it is when nothing is set, but for `changes`."""
    config = broker_config()
    names = [field.name for field in fields(view)]
    return view(**{name: getattr(config, name) for name in names} | changes)


_FIELDS = frozenset(BrokerConfig.__dataclass_fields__)
_FIELD_KEYS = tuple(definition for definition in BROKER_CONFIGS.values() if definition.field in _FIELDS)


def broker_values(layers: BrokerLayers) -> Values:
    """Each key's value as `layers` make it, whether or not it has an effect."""

    def value(name: str) -> Any:
        return resolve((name, *BROKER_CONFIGS[name].synonyms), layers, BROKER_CONFIGS)

    return value


def broker_config(layers: BrokerLayers | None = None) -> BrokerConfig:
    """The configuration that `layers` make; raises ConfigError naming the first wrong key."""
    layers = layers or BrokerLayers()
    for name in sorted(layers.names()):
        if (definition := broker_definition(name)) is not None:
            for sourced in layers.texts(name):
                definition.parse(sourced.text)
    value = broker_values(layers)
    values: dict[str, Any] = {definition.field: value(definition.name) for definition in _FIELD_KEYS}
    listeners = _listeners(value, layers.names())
    values["listeners"], values["advertised_listeners"] = listeners.opened, listeners.advertised
    values["inter_broker_listener_name"] = listeners.inter_broker_name
    values["listener_security"] = listener_security(listeners.opened, layers, BROKER_CONFIGS)
    values["listener_limits"] = listener_limits(listeners.opened, layers, BROKER_CONFIGS)
    values["max_connections_per_ip_overrides"] = connection_overrides(
        values["max_connections_per_ip_overrides"]
    )
    values["group_consumer_migration_policy"] = values["group_consumer_migration_policy"].lower()
    _check_node(layers)
    check_network(value)
    check_store(value)
    check_security(value)
    check_monitoring(value)
    check_telemetry(value)
    check_replica(value)
    check_group_coordinator(value)
    return BrokerConfig(topic_defaults=topic_defaults(layers), **values)


def _check_node(layers: BrokerLayers) -> None:
    node, old = (resolve((name,), layers, BROKER_CONFIGS) for name in ("node.id", "broker.id"))
    if layers.names() >= {"node.id", "broker.id"} and node != old:
        raise ConfigError("node.id and broker.id must be the same where both are set", "node.id")


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
        if definition.internal or not definition.honoured:
            continue
        value = (
            resolve(definition.synonyms, layers, BROKER_CONFIGS)
            if definition.synonyms
            else definition.default
        )
        if definition.name == "retention.ms":
            value = _retention_ms(value)
        if definition.validator is not None:
            problem = definition.validator.check(value)
            if problem is not None:
                raise BROKER_CONFIGS[definition.synonyms[0]].invalid(str(value), problem)
        values[definition.field] = value
    values["cleanup_policy"] = frozenset(values["cleanup_policy"])
    config = TopicConfig(**values)
    check_topic_config(config)
    return config


def _retention_ms(value: Any) -> int:
    """Any negative number is no limit; a topic's own setting may be 0, the default may not."""
    if value == 0:
        key = "log.retention.ms"
        raise BROKER_CONFIGS[key].invalid("0", "it must be at least 1, or negative for no limit")
    return max(int(value), -1)


# Each listener has its own stores, so that dynamic ones are only set behind a listener's name (KIP-226).
_OF_LISTENERS = frozenset(
    f"ssl.{name}"
    for name in (
        "key.password",
        "keystore.certificate.chain",
        "keystore.key",
        "keystore.location",
        "keystore.password",
        "keystore.type",
        "truststore.certificates",
        "truststore.location",
        "truststore.password",
        "truststore.type",
    )
)


def check_dynamic_names(names: Iterable[str], *, per_broker: bool) -> None:
    """Refuse keys that cannot change while brokers run, or not for the whole cluster (KIP-226)."""
    names = sorted(names)
    fixed = [
        name
        for name in names
        if (known := broker_definition(name)) is not None and known.update_mode is UpdateMode.READ_ONLY
    ]
    _refuse(fixed, "Cannot update these configs dynamically")
    _refuse(
        [name for name in names if name in _OF_LISTENERS],
        "These can be updated dynamically only for a listener, behind listener.name.NAME.",
    )
    if not per_broker:
        _refuse(
            [name for name in names if _is_per_broker(name)],
            "Cannot update these configs at default cluster level, broker id must be specified",
        )


def _refuse(names: Sequence[str], why: str) -> None:
    if names:
        raise ConfigError(f"{why}: {', '.join(names)}", names[0])


def _is_per_broker(name: str) -> bool:
    definition = broker_definition(name)
    if name in BROKER_CONFIGS or not _LISTENER_OVERRIDE.fullmatch(name):
        return definition is not None and definition.update_mode is UpdateMode.PER_BROKER
    return definition is None or definition.update_mode is not UpdateMode.CLUSTER_WIDE


_THREADS = (
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
)


def check_dynamic_change(before: BrokerLayers, after: BrokerLayers) -> None:
    """Refuse a change that Kafka would not make while it runs; raises ConfigError."""
    old, new = broker_values(before), broker_values(after)
    for name in _THREADS:
        if not max(old(name) // 2, 1) <= new(name) <= old(name) * 2:
            raise ConfigError(
                f"Invalid value {new(name)} for configuration {name}: while a broker runs it can at most "
                f"double and at least halve what it is, {old(name)}",
                name,
            )
    _check_local_retention(new)


def _check_local_retention(value: Values) -> None:
    """What tiered storage keeps on local disk is part of what is kept; -2 stands for all of it."""
    for unit in ("ms", "bytes"):
        local_key, lag_key = f"log.local.retention.{unit}", f"log.remote.copy.lag.{unit}"
        kept, local = value(f"log.retention.{unit}"), value(local_key)
        if kept >= 0 and local != -2 and not 0 <= local <= kept:
            raise BROKER_CONFIGS[local_key].invalid(str(local), f"log.retention.{unit} is {kept}")
        limit = kept if local == -2 else local
        if limit >= 0 and value(lag_key) > limit:
            raise BROKER_CONFIGS[lag_key].invalid(str(value(lag_key)), f"{local_key} is {limit}")


def _listeners(value: Values, names: Collection[str]) -> Listeners:
    return resolve_listeners(
        ListenerSettings(
            listeners=value("listeners"),
            advertised_listeners=value("advertised.listeners"),
            listener_security_protocol_map=value("listener.security.protocol.map"),
            is_protocol_map_set="listener.security.protocol.map" in names,
            controller_listener_names=value("controller.listener.names") or (),
            early_start_listeners=value("early.start.listeners"),
            inter_broker_listener_name=value("inter.broker.listener.name"),
            security_inter_broker_protocol=value("security.inter.broker.protocol"),
            is_inter_broker_protocol_set="security.inter.broker.protocol" in names,
        )
    )
