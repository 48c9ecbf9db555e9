"""Changes the dynamic configuration, and applies what has changed of this broker's own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ottla.config.broker import BrokerConfig, broker_config
from ottla.config.current import CurrentConfig
from ottla.config.definition import ConfigError
from ottla.config.layers import BrokerLayers
from ottla.controller.commit import Committer
from ottla.metadata import config_changes
from ottla.metadata.config_changes import ConfigOperation, ConfigResource, ConfigScope
from ottla.metadata.image import ImageDelta, MetadataImage
from ottla.metadata.model import CLUSTER_DEFAULT, Configs
from ottla.protocol.errors import KafkaError

log = logging.getLogger(__name__)


class ConfigController:
    """What clients change of topics, brokers and groups; each resource's result, or why it was refused."""

    def __init__(self, committer: Committer, config: CurrentConfig) -> None:
        self._committer = committer
        self._config = config

    async def alter_configs(
        self, changes: Mapping[ConfigResource, Sequence[ConfigOperation]], *, validate_only: bool = False
    ) -> Mapping[ConfigResource, Configs | KafkaError]:
        """Change single settings."""
        return await self._committer.change(
            lambda image: config_changes.incremental_alter_configs(image, changes, self._scope()),
            validate_only=validate_only,
        )

    async def replace_configs(
        self, replacements: Mapping[ConfigResource, Mapping[str, str | None]], *, validate_only: bool = False
    ) -> Mapping[ConfigResource, Configs | KafkaError]:
        """Replace all settings of each resource."""
        return await self._committer.change(
            lambda image: config_changes.replace_configs(image, replacements, self._scope()),
            validate_only=validate_only,
        )

    def _scope(self) -> ConfigScope:
        return ConfigScope(self._config.layers, self._config.value)


class DynamicConfig:
    """Keeps the configuration in force as the metadata says (KIP-226): the first of the subscribers."""

    def __init__(
        self,
        current: CurrentConfig,
        node_id: int,
        apply: Callable[[BrokerConfig, MetadataImage], Awaitable[None]],
    ) -> None:
        """`apply` tells the parts that do not look at `current` each time."""
        self._current = current
        self._name = str(node_id)
        self._apply = apply

    async def on_metadata(self, delta: ImageDelta, image: MetadataImage) -> None:
        """As `load`, when something has changed that concerns this broker."""
        if not delta.broker_configs_changed.isdisjoint((CLUSTER_DEFAULT, self._name)):
            await self.load(image)

    async def load(self, image: MetadataImage) -> None:
        """Take over what the image says.

        A setting was checked when it was made, but those of the last start may have changed since: what
        contradicts them is left out, as in Kafka.
        """
        layers = BrokerLayers(
            static=self._current.layers.static,
            dynamic_default=dict(image.broker_configs(CLUSTER_DEFAULT)),
            dynamic=dict(image.broker_configs(self._name)),
        )
        try:
            config = broker_config(layers)
        except ConfigError as error:
            log.error("the dynamic broker configuration has no effect: %s", error)
            return
        self._current.value, self._current.layers = config, layers
        await self._apply(config, image)
