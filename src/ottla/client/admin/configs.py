"""Configs of topics, brokers, groups and client metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from ottla.client.admin.calls import ANYWHERE, Anywhere, Calls, Named, Node, Route, outcome
from ottla.client.admin.results import Results
from ottla.client.errors import ClientError, ConfigurationError
from ottla.client.face import Face, awaited
from ottla.client.net.cluster import Cluster
from ottla.protocol.codes import Code
from ottla.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
)
from ottla.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from ottla.protocol.messages.list_config_resources import (
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)

__all__ = [
    "BlockingConfigs",
    "ConfigChange",
    "ConfigEntry",
    "ConfigKind",
    "ConfigOperation",
    "ConfigResource",
    "ConfigSource",
    "ConfigSynonym",
    "ConfigType",
    "Configs",
]


class ConfigKind(Code):
    """What is configured."""

    UNKNOWN = 0
    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


class ConfigSource(Code):
    """Where a value comes from; of several the first here counts."""

    UNKNOWN = 0
    DYNAMIC_TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6
    DYNAMIC_CLIENT_METRICS = 7
    DYNAMIC_GROUP = 8


class ConfigType(Code):
    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class ConfigOperation(IntEnum):
    """APPEND and SUBTRACT are for lists."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigResource(NamedTuple):
    """What is configured: a broker is named by its id, and all brokers together by ""."""

    kind: ConfigKind
    name: str


class ConfigSynonym(NamedTuple):
    name: str
    value: str | None
    source: ConfigSource


class ConfigEntry(NamedTuple):
    """A value, None if sensitive or not set; `synonyms`: where it could come from, the best first."""

    name: str
    value: str | None
    source: ConfigSource
    is_read_only: bool
    is_sensitive: bool
    type: ConfigType = ConfigType.UNKNOWN
    synonyms: tuple[ConfigSynonym, ...] = ()
    documentation: str | None = None


class ConfigChange(NamedTuple):
    """`value` is None where it is deleted."""

    name: str
    value: str | None
    operation: ConfigOperation = ConfigOperation.SET


class _Owner(Anywhere):
    """Brokers answer for their own configs; any broker for all others."""

    _broker: Route[ConfigResource] = Named(lambda resource: int(resource.name))

    async def find(self, cluster: Cluster, key: object) -> Node:
        assert isinstance(key, ConfigResource)
        if key.name and key.kind in (ConfigKind.BROKER, ConfigKind.BROKER_LOGGER):
            if not key.name.isdecimal():
                raise ConfigurationError(f"a broker is named by its id, not {key.name!r}")
            return await self._broker.find(cluster, key)
        return None


_OWNER = _Owner()


class Configs:
    """Admin calls about configs."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def describe(
        self,
        resources: Iterable[ConfigResource],
        *,
        names: Sequence[str] | None = None,
        include_synonyms: bool = False,
        include_documentation: bool = False,
    ) -> Results[ConfigResource, Mapping[str, ConfigEntry]]:
        """The configs of resources by name: all, or those in `names`."""

        async def ask(
            node: Node, keys: Sequence[ConfigResource]
        ) -> Mapping[ConfigResource, Mapping[str, ConfigEntry] | ClientError]:
            request = DescribeConfigsRequest(
                resources=[
                    DescribeConfigsResource(
                        resource_type=key.kind, resource_name=key.name, configuration_keys=names
                    )
                    for key in keys
                ],
                include_synonyms=include_synonyms,
                include_documentation=include_documentation,
            )
            response = await self._calls.send(request, DescribeConfigsResponse, node)
            return {
                ConfigResource(ConfigKind(each.resource_type), each.resource_name): outcome(
                    each.error_code,
                    {config.name: _entry(config) for config in each.configs},
                    each.error_message,
                )
                for each in response.results
            }

        return await self._calls.each(resources, _OWNER, ask)

    async def alter(
        self,
        changes: Mapping[ConfigResource, Sequence[ConfigChange]],
        *,
        validate_only: bool = False,
        timeout_ms: int | None = None,
    ) -> Results[ConfigResource, None]:
        """Change some configs of each resource (KIP-339): all that are given for it, or none."""

        async def ask(
            node: Node, keys: Sequence[ConfigResource]
        ) -> Mapping[ConfigResource, ClientError | None]:
            request = IncrementalAlterConfigsRequest(
                resources=[
                    AlterConfigsResource(
                        resource_type=key.kind,
                        resource_name=key.name,
                        configs=[
                            AlterableConfig(name=each.name, config_operation=each.operation, value=each.value)
                            for each in changes[key]
                        ],
                    )
                    for key in keys
                ],
                validate_only=validate_only,
            )
            response = await self._calls.send(request, IncrementalAlterConfigsResponse, node)
            return {
                ConfigResource(ConfigKind(each.resource_type), each.resource_name): outcome(
                    each.error_code, None, each.error_message
                )
                for each in response.responses
            }

        return await self._calls.each(changes, _OWNER, ask, timeout_ms=timeout_ms)

    async def list_resources(self, kinds: Iterable[ConfigKind] = ()) -> list[ConfigResource]:
        """What has configs, of these kinds; of all kinds where none is given (KIP-1142).

        Before Kafka 4.1 brokers list client metrics alone.
        """
        wanted = sorted(set(kinds))
        request = ListConfigResourcesRequest(resource_types=wanted)
        first_version = 0 if wanted == [ConfigKind.CLIENT_METRICS] else 1
        response = await self._calls.one(
            request, ListConfigResourcesResponse, ANYWHERE, min_version=first_version
        )
        found = [
            ConfigResource(ConfigKind(each.resource_type), each.resource_name)
            for each in response.config_resources
        ]
        return sorted(found, key=lambda each: (each.kind, each.name))


class BlockingConfigs(Face[Configs]):
    """`Configs` for callers that wait."""

    describe = awaited(Configs.describe)
    alter = awaited(Configs.alter)
    list_resources = awaited(Configs.list_resources)


def _entry(config: DescribeConfigsResourceResult) -> ConfigEntry:
    return ConfigEntry(
        config.name,
        config.value,
        ConfigSource(config.config_source),
        config.read_only,
        config.is_sensitive,
        ConfigType(config.config_type),
        tuple(ConfigSynonym(each.name, each.value, ConfigSource(each.source)) for each in config.synonyms),
        config.documentation,
    )
