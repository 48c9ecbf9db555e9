"""Changing the dynamic settings of topics, brokers and groups (KIP-339, and the older whole replacement).

A resource changes as a whole or not at all: one wrong key leaves the others as they were.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ottla.config.broker import (
    BROKER_CONFIGS,
    broker_config,
    broker_values,
    check_dynamic_change,
    check_dynamic_names,
)
from ottla.config.client_metrics import CLIENT_METRICS_CONFIGS
from ottla.config.definition import ConfigDef, ConfigError, ConfigType, format_value
from ottla.config.groups import GROUP_CONFIGS, check_group_configs
from ottla.config.layers import BrokerLayers, resolve
from ottla.config.topic import TOPIC_CONFIGS, TopicDefaults, topic_config
from ottla.metadata import model
from ottla.metadata.client_metrics import subscription
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import CLUSTER_DEFAULT, NO_OVERRIDES, Configs
from ottla.metadata.plan import Changes, Plan
from ottla.metadata.topic_names import check_topic_name
from ottla.metadata.transaction import Compare, Delete, Put
from ottla.protocol.errors import ErrorCode, KafkaError

_VALUE_MAX_LENGTH = 32767


class ResourceKind(enum.IntEnum):
    """The resource types of the protocol whose settings are kept here."""

    TOPIC = 2
    BROKER = 4
    CLIENT_METRICS = 16
    GROUP = 32


class ConfigResource(NamedTuple):
    """`kind` is the protocol's number, known or not; the name of a broker is its id, "" for all of them."""

    kind: int
    name: str


class OperationKind(enum.IntEnum):
    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigOperation(NamedTuple):
    """`kind` is the protocol's number, known or not."""

    name: str
    kind: int
    value: str | None


class ConfigScope(NamedTuple):
    """What changes are checked against: the broker's own layers, and what they resolve to."""

    layers: BrokerLayers
    broker: TopicDefaults


def incremental_alter_configs(
    image: MetadataImage, changes: Mapping[ConfigResource, Sequence[ConfigOperation]], scope: ConfigScope
) -> Plan[ConfigResource, Configs]:
    """Apply operations to each resource; the results are the overrides as they will be."""

    def operate(resource: ConfigResource, current: Mapping[str, str]) -> dict[str, str]:
        return _operate(resource, current, changes[resource], scope)

    return _alter(image, list(changes), operate, scope)


def replace_configs(
    image: MetadataImage, replacements: Mapping[ConfigResource, Mapping[str, str | None]], scope: ConfigScope
) -> Plan[ConfigResource, Configs]:
    """Set each resource's overrides to exactly these (the legacy AlterConfigs)."""

    def replace(resource: ConfigResource, _current: Mapping[str, str]) -> dict[str, str]:
        _refuse_nulls([name for name, value in replacements[resource].items() if value is None])
        return {name: value for name, value in replacements[resource].items() if value is not None}

    return _alter(image, list(replacements), replace, scope)


def _alter(
    image: MetadataImage,
    resources: Sequence[ConfigResource],
    change: Callable[[ConfigResource, Mapping[str, str]], dict[str, str]],
    scope: ConfigScope,
) -> Plan[ConfigResource, Configs]:
    planned: Changes[ConfigResource] = Changes()
    results: dict[ConfigResource, Configs | KafkaError] = {}
    for resource in resources:
        try:
            current, key, compares = _current(image, resource)
            values = change(resource, current.values)
            _check_values(resource, current.values, values, scope)
            if values != current.values:
                write = Put(key, model.encode_configs(values)) if values else Delete(key)
                planned.add(resource, (*compares, Compare.unchanged(key, current.revision)), (write,))
        except ConfigError as error:
            results[resource] = KafkaError(_refusal(resource), error.message)
            continue
        except KafkaError as error:
            results[resource] = error
            continue
        results[resource] = Configs(values)
    return Plan(planned.steps(), results)


def _refusal(resource: ConfigResource) -> ErrorCode:
    # Kafka says so itself that this is not the right one for brokers, but keeps it for compatibility.
    is_broker = resource.kind == ResourceKind.BROKER
    return ErrorCode.invalid_request if is_broker else ErrorCode.invalid_config


def _current(image: MetadataImage, resource: ConfigResource) -> tuple[Configs, str, tuple[Compare, ...]]:
    """The resource's overrides, their key, and what else must not have changed when they do.

    Raises KafkaError for a resource that cannot have any.
    """
    name = resource.name
    if resource.kind == ResourceKind.TOPIC:
        if not name:
            raise KafkaError(ErrorCode.invalid_request, "Default topic resources are not allowed.")
        check_topic_name(name)
        topic = image.topics.get(name)
        if topic is None:
            raise KafkaError(ErrorCode.unknown_topic_or_partition, f"The topic '{name}' does not exist.")
        # Settings must not outlive a topic that is deleted meanwhile.
        is_there = Compare.unchanged(model.topic_key(name), topic.revision)
        return topic.overrides, model.TOPIC_CONFIGS + name, (is_there,)
    if resource.kind == ResourceKind.BROKER:
        if name and not (name.isascii() and name.isdigit()):
            raise KafkaError(ErrorCode.invalid_request, f"A broker's name is its number, not '{name}'.")
        return image.broker_overrides.get(name, NO_OVERRIDES), model.BROKER_CONFIGS + name, ()
    if resource.kind == ResourceKind.GROUP:
        if not name:
            raise KafkaError(ErrorCode.invalid_request, "Default group resources are not allowed.")
        return image.group_overrides.get(name, NO_OVERRIDES), model.GROUP_CONFIGS + name, ()
    if resource.kind == ResourceKind.CLIENT_METRICS:
        if not name:
            raise KafkaError(ErrorCode.invalid_request, "Default client metrics resources are not allowed.")
        return image.client_metrics.get(name, NO_OVERRIDES), model.CLIENT_METRICS + name, ()
    raise KafkaError(ErrorCode.invalid_request, f"Unknown resource type {resource.kind}")


def _operate(
    resource: ConfigResource,
    current: Mapping[str, str],
    operations: Sequence[ConfigOperation],
    scope: ConfigScope,
) -> dict[str, str]:
    names = [operation.name for operation in operations]
    if len(set(names)) != len(names):
        raise KafkaError(ErrorCode.invalid_request, "Error due to duplicate config keys")
    _refuse_nulls(
        [
            operation.name
            for operation in operations
            if operation.value is None and operation.kind != OperationKind.DELETE
        ]
    )
    values = dict(current)
    for name, kind, value in operations:
        if kind == OperationKind.DELETE:
            values.pop(name, None)
        elif kind == OperationKind.SET:
            values[name] = value or ""
        elif kind in (OperationKind.APPEND, OperationKind.SUBTRACT):
            values[name] = _edited_list(resource, current, ConfigOperation(name, kind, value), scope)
        else:
            raise KafkaError(ErrorCode.invalid_request, f"Unknown operations type {kind}")
    return values


def _edited_list(
    resource: ConfigResource, current: Mapping[str, str], operation: ConfigOperation, scope: ConfigScope
) -> str:
    name = operation.name
    definition = _definition(resource, name)
    if definition is None or definition.type is not ConfigType.LIST:
        verb = "append" if operation.kind == OperationKind.APPEND else "subtract"
        raise KafkaError(
            ErrorCode.invalid_config, f"Can't {verb} to key {name} because its type is not LIST."
        )
    before = current.get(name)
    if before is None:
        before = _value_without_override(resource, definition, scope)
    items = [item.strip() for item in before.split(",")] if before else []
    for item in (part.strip() for part in (operation.value or "").split(",")):
        if operation.kind == OperationKind.APPEND and item not in items:
            items.append(item)
        elif operation.kind == OperationKind.SUBTRACT and item in items:
            items.remove(item)
    return ",".join(items)


def _definition(resource: ConfigResource, name: str) -> ConfigDef | None:
    if resource.kind == ResourceKind.BROKER:
        return BROKER_CONFIGS.get(name)
    if resource.kind == ResourceKind.CLIENT_METRICS:
        return CLIENT_METRICS_CONFIGS.get(name)
    return (TOPIC_CONFIGS if resource.kind == ResourceKind.TOPIC else GROUP_CONFIGS).get(name)


def _value_without_override(resource: ConfigResource, definition: ConfigDef, scope: ConfigScope) -> str:
    if resource.kind == ResourceKind.BROKER:
        value = resolve((definition.name,), BrokerLayers(static=scope.layers.static), BROKER_CONFIGS)
    elif definition.synonyms:
        value = resolve(definition.synonyms, scope.layers, BROKER_CONFIGS)
    else:
        value = definition.default
    return format_value(value) or ""


def _check_values(
    resource: ConfigResource, before: Mapping[str, str], after: Mapping[str, str], scope: ConfigScope
) -> None:
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    for name in changed:
        if len(after.get(name, "")) > _VALUE_MAX_LENGTH:
            raise ConfigError(f"The value of {name} is longer than {_VALUE_MAX_LENGTH} characters.", name)
    if resource.kind == ResourceKind.TOPIC:
        topic_config(after, scope.broker)
    elif resource.kind == ResourceKind.GROUP:
        check_group_configs(after, broker_values(scope.layers))
    elif resource.kind == ResourceKind.CLIENT_METRICS:
        subscription(after)
    else:
        _check_broker_values(resource.name, changed, after, scope.layers)


def _check_broker_values(
    name: str, changed: Sequence[str], after: Mapping[str, str], layers: BrokerLayers
) -> None:
    check_dynamic_names(changed, per_broker=name != CLUSTER_DEFAULT)
    if name == CLUSTER_DEFAULT:
        changed_layers = BrokerLayers(layers.static, after, layers.dynamic)
    else:
        changed_layers = BrokerLayers(layers.static, layers.dynamic_default, after)
    broker_config(changed_layers)
    check_dynamic_change(layers, changed_layers)
    if name != CLUSTER_DEFAULT and "min.insync.replicas" in changed:
        # One number for all brokers: what replicas are eligible to lead follows from it (KIP-966).
        raise KafkaError(
            ErrorCode.invalid_config, "min.insync.replicas cannot differ by broker: set it for the cluster."
        )


def _refuse_nulls(names: Sequence[str]) -> None:
    if names:
        raise KafkaError(ErrorCode.invalid_request, f"Null value not supported for : {', '.join(names)}")
