"""Answers what the worker wants to know of plugins, so that it need not load their code itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from ottla.connect.config_infos import Json, config_infos, key_info
from ottla.connect.definition import ConfigDef, ConfigKey, ConfigValue
from ottla.connect.errors import ConfigError
from ottla.connect.plugins import CONNECTORS, Kind, Plugin, Plugins
from ottla.connect.process.parent import Parent, leave
from ottla.connect.sdk import (
    Connector,
    ExactlyOnceSupport,
    Offset,
    SinkConnector,
    SourceConnector,
    TopicPartition,
)
from ottla.connect.worker.connector_config import check_sink_topics, embed_plugins, sink_config, source_config
from ottla.connect.worker.frames import Message

_CONVERTERS: Final = (
    ("header", Kind.HEADER_CONVERTER),
    ("key", Kind.CONVERTER),
    ("value", Kind.CONVERTER),
)


def serve(sock: socket.socket) -> int:
    """Until the worker closes the connection."""
    it = Inspector(Plugins())
    handlers = {
        "plugins": it.plugins_listed,
        "definition": it.definition,
        "validate": it.validate,
        "alter_offsets": it.alter_offsets,
        "kind": it.kind,
    }
    Parent(sock, handlers, lambda *_: None, partial(leave, 0))
    threading.Event().wait()
    return 0


class Inspector:
    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins

    def kind(self, message: Message) -> str | None:
        plugin = self._plugins.find(message["name"], *CONNECTORS)
        return None if plugin is None else plugin.kind.value

    def plugins_listed(self, _: Message) -> list[dict[str, str | None]]:
        kinds = (
            Kind.SINK,
            Kind.SOURCE,
            Kind.TRANSFORMATION,
            Kind.PREDICATE,
            Kind.CONVERTER,
            Kind.HEADER_CONVERTER,
        )
        return [
            {"class": each.name, "type": each.kind.value, "version": each.version}
            for each in self._plugins.of(*kinds)
        ]

    def definition(self, message: Message) -> list[dict[str, Json]] | None:
        """Of any plugin; None where there is none of this name."""
        plugin = self._plugins.find(message["name"])
        if plugin is None:
            return None
        keys = dict(self._definition(plugin).keys)
        if plugin.kind in CONNECTORS:
            base = self._base(plugin, {}, message["converters"])
            keys |= {name: key for name, key in base.keys.items() if name not in keys}
        return [key_info(key) for key in keys.values()]

    def _definition(self, plugin: Plugin) -> ConfigDef:
        class_ = self._plugins.load(plugin.name, plugin.kind)
        if plugin.kind in CONNECTORS:
            made: Connector = class_()
            return made.config()
        found: ConfigDef = class_.CONFIG
        return found

    def _base(self, plugin: Plugin, config: Mapping[str, str], converters: Mapping[str, str]) -> ConfigDef:
        """Connect's own settings, and those of the transforms and predicates of a configuration."""
        make = source_config if plugin.kind is Kind.SOURCE else sink_config
        converters = {**converters, **self._versions(config, converters)}
        base = make(
            partial(self._name, Kind.CONVERTER),
            partial(self._name, Kind.HEADER_CONVERTER),
            converters,
            plugin.version,
        )
        for which, kind in (("transforms", Kind.TRANSFORMATION), ("predicates", Kind.PREDICATE)):
            embed_plugins(
                base,
                config,
                which,
                partial(self._definition_of, kind),
                partial(self._name, kind),
                partial(self._version_of, kind),
            )
        return base

    def _versions(self, config: Mapping[str, str], converters: Mapping[str, str]) -> dict[str, str]:
        """Of the converters that are named, by setting."""
        versions: dict[str, str] = {}
        for part, kind in _CONVERTERS:
            setting = f"{part}.converter"
            plugin = self._plugins.find(config.get(setting) or converters.get(setting, ""), kind)
            if plugin is not None and plugin.version is not None:
                versions.setdefault(f"{setting}.plugin.version", plugin.version)
        return versions

    def _name(self, kind: Kind, name: str) -> str | None:
        plugin = self._plugins.find(name, kind)
        return None if plugin is None else plugin.name

    def _definition_of(self, kind: Kind, name: str) -> ConfigDef | None:
        plugin = self._plugins.find(name, kind)
        return None if plugin is None else self._definition(plugin)

    def _version_of(self, kind: Kind, name: str) -> str | None:
        plugin = self._plugins.find(name, kind)
        return None if plugin is None else plugin.version

    def validate(self, message: Message) -> dict[str, Json]:
        """What `PUT /connector-plugins/NAME/config/validate` answers. ConfigError for a class that there is
        not.
        """
        config: dict[str, str | None] = message["config"]
        texts = {name: text for name, text in config.items() if text is not None}
        name = texts["connector.class"]
        plugin = self._plugins.find(name, *CONNECTORS)
        if plugin is None:
            raise ConfigError(self._unknown(name))
        base = self._base(plugin, texts, message["converters"])
        values = {each.name: each for each in base.validate(texts)}
        connector: Connector = self._plugins.load(name, *CONNECTORS)()
        if isinstance(connector, SinkConnector):
            check_sink_topics(texts, values)
            _check_group(texts, values, message["group_id"])
        elif isinstance(connector, SourceConnector):
            _check_exactly_once(texts, values, connector, is_enabled=message["exactly_once"])
        for null in [each for each, text in config.items() if text is None]:
            problem = "Null value can not be supplied as the configuration value."
            values.setdefault(null, ConfigValue(null)).errors.append(problem)
        own = connector.config()
        keys = {**base.keys, **own.keys}
        groups = list(dict.fromkeys((*base.groups, *own.groups)))
        all_values = {**values, **{each.name: each for each in connector.validate(texts)}}
        found = config_infos(name, keys, all_values.values(), groups).to_json()
        return self._with_converters(found, texts, values)

    def _unknown(self, name: str) -> str:
        there = ", ".join(
            f"PluginDesc{{name='{each.name}', type={each.kind.value}}}"
            for each in self._plugins.of(*CONNECTORS)
        )
        return (
            f"Failed to find any class that implements Connector and which name matches {name}, available "
            f"connectors are: {there}"
        )

    def _with_converters(
        self, found: dict[str, Json], texts: Mapping[str, str], values: Mapping[str, ConfigValue]
    ) -> dict[str, Json]:
        """And the settings of the converters that the connector names itself."""
        configs, errors = found["configs"], found["error_count"]
        assert isinstance(configs, list)
        assert isinstance(errors, int)
        for part, kind in _CONVERTERS:
            setting = f"{part}.converter"
            if setting not in texts or values[setting].errors:
                continue
            prefix = f"{setting}."
            own = {each.removeprefix(prefix): text for each, text in texts.items() if each.startswith(prefix)}
            definition = self._definition_of(kind, texts[setting])
            if definition is None:
                continue
            for value in definition.validate({"converter.type": part, **own}):
                errors += bool(value.errors)
                configs.append(_prefixed(prefix, definition.keys.get(value.name), value))
        found["error_count"] = errors
        return found

    def alter_offsets(self, message: Message) -> bool:
        """Whether the connector looked at them. What it raises says why not."""
        config: dict[str, str] = message["config"]
        connector: Connector = self._plugins.load(config["connector.class"], *CONNECTORS)()
        if isinstance(connector, SourceConnector):
            offsets: Sequence[tuple[Offset, Offset | None]] = [tuple(each) for each in message["offsets"]]
            return connector.alter_offsets(config, offsets)
        assert isinstance(connector, SinkConnector)
        partitions = {TopicPartition(topic, number): offset for topic, number, offset in message["offsets"]}
        return connector.alter_offsets(config, partitions)


def _prefixed(prefix: str, key: ConfigKey | None, value: ConfigValue) -> Json:
    """A converter's setting under its name in the connector's configuration."""
    from dataclasses import replace

    named = replace(value, name=prefix + value.name)
    info = config_infos("", {}, [named], ()).to_json()["configs"]
    assert isinstance(info, list)
    (only,) = info
    assert isinstance(only, dict)
    if key is not None:
        only["definition"] = {**key_info(key), "name": prefix + key.name}
    return only


def _check_group(texts: Mapping[str, str], values: dict[str, ConfigValue], worker_group: str | None) -> None:
    """A sink's group must not be that of the workers."""
    if worker_group is None:
        return
    name = "consumer.override.group.id"
    group = texts.get(name)
    if group is not None:
        value = values.setdefault(name, ConfigValue(name, group))
        if group == worker_group:
            value.errors.append(f"Consumer group {group} conflicts with Connect worker group {worker_group}")
    elif worker_group == f"connect-{texts.get('name')}":
        values["name"].errors.append(
            f"Consumer group for sink connector named {texts['name']} conflicts with Connect worker group "
            f"{worker_group}"
        )


_UNKNOWN_SUPPORT: Final = (
    "The connector does not implement the API required for preflight validation of exactly-once source "
    "support. Please "
    "consult the documentation for the connector to determine whether it supports exactly-once semantics, "
    "and then "
    'consider reconfiguring the connector to use the value "requested" for this property (which will '
    "disable this "
    "preflight check and allow the connector to be created)."
)


def _check_exactly_once(
    texts: Mapping[str, str],
    values: Mapping[str, ConfigValue],
    connector: SourceConnector,
    *,
    is_enabled: bool,
) -> None:
    wanted, boundary = values["exactly.once.support"], values["transaction.boundary"]
    if not wanted.errors and str(wanted.value).lower() == "required":
        if not is_enabled:
            wanted.errors.append("This worker does not have exactly-once source support enabled.")
        try:
            support = connector.exactly_once_support(texts)
        except Exception as error:  # noqa: BLE001 - the connector's
            wanted.errors.append(f"An unexpected error occurred during validation: {error}")
        else:
            if support is None:
                wanted.errors.append(_UNKNOWN_SUPPORT)
            elif support is ExactlyOnceSupport.UNSUPPORTED:
                wanted.errors.append(
                    "The connector does not support exactly-once semantics with the provided configuration."
                )
    if not boundary.errors and str(boundary.value).lower() == "connector":
        try:
            can = connector.can_define_transaction_boundaries(texts)
        except Exception as error:  # noqa: BLE001 - the connector's
            boundary.errors.append(f"An unexpected error occurred during validation: {error}")
        else:
            if not can:
                boundary.errors.append(
                    "The connector does not support connector-defined transaction boundaries with the given "
                    "configuration. Please reconfigure it to use a different transaction boundary definition."
                )


__all__ = ["Inspector", "serve"]
