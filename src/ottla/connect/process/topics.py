"""Topics that a source makes before it writes to them (KIP-158)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ottla.client.admin.topics import NewTopic
from ottla.connect.errors import ConnectError
from ottla.connect.process.kafka import Kafka
from ottla.protocol.errors import ErrorCode

_PREFIX: Final = "topic.creation."
_DEFAULT: Final = "default"

_log: Final = logging.getLogger(__name__)


class Group(NamedTuple):
    name: str
    include: Sequence[re.Pattern[str]]
    exclude: Sequence[re.Pattern[str]]
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]

    def takes(self, topic: str) -> bool:
        return any(each.fullmatch(topic) for each in self.include) and not any(
            each.fullmatch(topic) for each in self.exclude
        )

    def new_topic(self, topic: str) -> NewTopic:
        return NewTopic(topic, self.partitions, self.replication_factor, self.configs)


def groups_of(config: Mapping[str, str]) -> list[Group]:
    """In the order in which they are tried, the default last; none where the connector makes no topics."""
    if not any(name.startswith(_PREFIX) for name in config):
        return []
    names = [each.strip() for each in config.get(f"{_PREFIX}groups", "").split(",")]
    fallback = _group(config, _DEFAULT, -1, -1)
    others = [
        _group(config, each, fallback.partitions, fallback.replication_factor) for each in names if each
    ]
    return [*(each for each in others if each.name != _DEFAULT), fallback]


def _group(config: Mapping[str, str], name: str, partitions: int, replication_factor: int) -> Group:
    prefix = f"{_PREFIX}{name}."
    own = {each.removeprefix(prefix): text for each, text in config.items() if each.startswith(prefix)}

    def patterns(setting: str) -> list[re.Pattern[str]]:
        return [re.compile(each.strip()) for each in own.pop(setting, "").split(",") if each.strip()]

    include, exclude = patterns("include"), patterns("exclude")
    return Group(
        name,
        [re.compile(".*")] if name == _DEFAULT else include,
        [] if name == _DEFAULT else exclude,
        int(own.pop("partitions", partitions)),
        int(own.pop("replication.factor", replication_factor)),
        own,
    )


class Topics:
    """Makes each topic once, if a group takes it and nobody else made it."""

    def __init__(self, kafka: Kafka, groups: Sequence[Group]) -> None:
        self._kafka = kafka
        self._groups = groups
        self._known: dict[str, None] = {}

    def prepare(self, topic: str) -> None:
        """ConnectError where it cannot be made."""
        if not self._groups or topic in self._known:
            return
        admin = self._kafka.client("admin").admin
        described = self._kafka.call(admin.topics.describe([topic]))
        if topic in described.errors:
            group = next((each for each in self._groups if each.takes(topic)), self._groups[-1])
            created = self._kafka.call(admin.topics.create([group.new_topic(topic)]))
            error = created.errors.get(topic)
            if error is not None and error.code is not ErrorCode.topic_already_exists:
                raise ConnectError(
                    f"Task failed to create new topic {topic} by topic.creation.{group.name}: {error}"
                ) from error
            _log.info("made topic %s by topic.creation.%s", topic, group.name)
        self._known[topic] = None
