"""Settings of an application, under Kafka Streams' names and with its defaults."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ottla.client.consumer.settings import ConsumerSettings
from ottla.client.errors import ConfigurationError
from ottla.client.producer.settings import ProducerSettings
from ottla.client.settings import (
    LONG_MAX,
    ClientSettings,
    dotted,
    flag,
    function,
    is_unset,
    names_of,
    number,
    optional_text,
    parse,
    text,
    texts,
)

_ALOS_COMMIT_INTERVAL_MS: Final = 30_000
_EOS_COMMIT_INTERVAL_MS: Final = 100
_PREFIXES: Final = ("main.consumer.", "restore.consumer.", "consumer.", "producer.", "topic.", "client.tag.")
_MAX_PORT: Final = 0xFFFF
_OURS: Final = frozenset(
    {
        # What the runtime says itself, so that nobody else may.
        "group.id",
        "enable.auto.commit",
        "transactional.id",
        "partition.assignment.strategy",
        "group.protocol",
        "isolation.level",
    }
)


def _handler() -> Any:
    """ "fail", "continue", or a function (`ottla.streams.task.errors`)."""

    def read(value: object) -> object:
        if not callable(value) and value not in ("fail", "continue"):
            raise ValueError('must be "fail", "continue" or a function')
        return value

    return dataclasses.field(default="fail", metadata={"read": read})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamsSettings:
    """`default.dsl.store` names where stores are kept whose kind nobody said: lmdb, rocksdb or memory.
    `ottla.streams.queries=false` has nothing listen at `application.server`: somebody else does, then.
    `ottla.streams.columnar.records`: how many records of a partition may be processed together, as columns;
    0: one at a time."""

    application_id: str = text("")
    application_server: str = text("")
    state_dir: str = text(str(Path(tempfile.gettempdir()) / "ottla-streams"))
    num_stream_threads: int = number(1, low=1)
    processing_guarantee: str = text(
        "at_least_once", choices=("at_least_once", "exactly_once_v2"), fold=str.lower
    )
    commit_interval_ms: int = number(None, high=LONG_MAX)
    poll_ms: int = number(100, high=LONG_MAX)
    task_timeout_ms: int = number(300_000, high=LONG_MAX)
    max_task_idle_ms: int = number(0, low=-1, high=LONG_MAX)
    buffered_records_per_partition: int = number(1_000, low=1)
    statestore_cache_max_bytes: int = number(10 * 1024 * 1024, high=LONG_MAX)
    num_standby_replicas: int = number(0)
    rack_aware_assignment_tags: tuple[str, ...] = texts()
    acceptable_recovery_lag: int = number(10_000, high=LONG_MAX)
    max_warmup_replicas: int = number(2, low=1)
    probing_rebalance_interval_ms: int = number(600_000, high=LONG_MAX)
    replication_factor: int = number(-1, low=-1)
    repartition_purge_interval_ms: int = number(30_000, high=LONG_MAX)
    default_dsl_store: str = text("lmdb", choices=("lmdb", "rocksdb", "memory"), fold=str.lower)
    ottla_streams_queries: bool = flag(default=True)
    ottla_streams_columnar_records: int = number(10_000)
    ottla_streams_lmdb_map_bytes: int = number(1 << 36, low=1 << 20, high=1 << 46)
    default_timestamp_extractor: Any = function()  # noqa: RUF009
    deserialization_exception_handler: Any = _handler()  # noqa: RUF009
    processing_exception_handler: Any = _handler()  # noqa: RUF009
    production_exception_handler: Any = _handler()  # noqa: RUF009
    errors_dead_letter_queue_topic_name: str | None = optional_text()

    def __post_init__(self) -> None:
        if not self.application_id:
            raise ConfigurationError("application.id is missing")
        if "/" in self.application_id or self.application_id in (".", ".."):
            raise ConfigurationError(f"application.id={self.application_id!r} is no name of a folder")
        host, _, port = self.application_server.rpartition(":")
        if self.application_server and not (host and port.isdigit() and int(port) <= _MAX_PORT):
            raise ConfigurationError(f"application.server={self.application_server!r} is no HOST:PORT")
        if is_unset(self.commit_interval_ms):
            interval = _EOS_COMMIT_INTERVAL_MS if self.is_exactly_once else _ALOS_COMMIT_INTERVAL_MS
            object.__setattr__(self, "commit_interval_ms", interval)

    @property
    def is_exactly_once(self) -> bool:
        return self.processing_guarantee == "exactly_once_v2"


@dataclasses.dataclass(frozen=True)
class Config:
    """What was given, taken apart: whose setting each is."""

    streams: StreamsSettings
    client: ClientSettings
    consumer: Mapping[str, object]
    restore_consumer: Mapping[str, object]
    producer: Mapping[str, object]
    topic: Mapping[str, str]
    tags: Mapping[str, str]
    """Of `client.tag.NAME`."""


def read_config(given: Mapping[str, object]) -> Config:
    """Names with dots or underscores. Settings of consumers and producers may have their prefix; without one
    they are those of whoever knows them. Raises ConfigurationError."""
    parts: dict[str, dict[str, object]] = {prefix: {} for prefix in _PREFIXES}
    streams: dict[str, object] = {}
    client: dict[str, object] = {}
    plain_consumer: dict[str, object] = {}
    plain_producer: dict[str, object] = {}
    known = set(names_of(StreamsSettings))
    for_client, for_consumer = set(names_of(ClientSettings)), set(names_of(ConsumerSettings))
    for_producer = set(names_of(ProducerSettings))
    for raw_name, value in given.items():
        name = dotted(raw_name)
        prefix = next((each for each in _PREFIXES if name.startswith(each)), None)
        bare = name if prefix is None else name.removeprefix(prefix)
        if bare in _OURS and prefix not in ("topic.", "client.tag."):
            raise ConfigurationError(f"{name} is what streams set themselves")
        if prefix is not None:
            parts[prefix][bare] = value
            continue
        places = [
            place
            for names, place in (
                (known, streams),
                (for_client, client),
                (for_consumer, plain_consumer),
                (for_producer, plain_producer),
            )
            if name in names
        ]
        for place in places or [streams]:  # where it is unknown, `parse` says what is near
            place[name] = value
    consumer = plain_consumer | parts["consumer."]
    return Config(
        parse(
            StreamsSettings,
            streams,
            elsewhere=dict.fromkeys(sorted(for_client | for_consumer | for_producer), "clients"),
        ),
        parse(ClientSettings, client),
        consumer | parts["main.consumer."],
        consumer | parts["restore.consumer."],
        plain_producer | parts["producer."],
        *({name: str(value) for name, value in parts[each].items()} for each in ("topic.", "client.tag.")),
    )
