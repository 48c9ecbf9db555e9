"""The broker keys that Ottla honours: Kafka's names, and its own under `ottla.`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ottla.config.definition import (
    ConfigDef,
    ConfigType,
    ConfigValue,
    Importance,
    UpdateMode,
    at_least,
    between,
    list_of,
    one_of,
)
from ottla.config.topic_keys import DAY_MS, LONG_MAX, TOPIC_CONFIGS

INT_MAX = (1 << 31) - 1

_BOOLEAN, _STRING, _INT = ConfigType.BOOLEAN, ConfigType.STRING, ConfigType.INT
_LONG, _DOUBLE, _LIST, _SHORT = ConfigType.LONG, ConfigType.DOUBLE, ConfigType.LIST, ConfigType.SHORT
_HIGH, _MEDIUM, _LOW = Importance.HIGH, Importance.MEDIUM, Importance.LOW
_DYNAMIC = UpdateMode.CLUSTER_WIDE


def _broker(
    name: str, kind: ConfigType, default: ConfigValue, importance: Importance, doc: str, **rest: Any
) -> ConfigDef:
    return ConfigDef(name=name, type=kind, default=default, importance=importance, doc=doc, **rest)


NODE_KEYS = (
    _broker(
        "node.id",
        _INT,
        1,
        _HIGH,
        "This broker's number in the cluster.",
        validator=at_least(0),
        synonyms=("broker.id",),
    ),
    _broker("broker.id", _INT, None, _HIGH, "The old name of `node.id`, used when that is not set."),
    _broker("broker.rack", _STRING, None, _MEDIUM, "The rack or zone that this broker reports to clients."),
    _broker(
        "listeners",
        _LIST,
        ("PLAINTEXT://127.0.0.1:9092",),
        _HIGH,
        "Where the broker listens: `name://host:port`, separated by commas. An empty host means every "
        "interface, port 0 a free port. Listeners named in `controller.listener.names` are left out.",
        validator=list_of(empty_allowed=False),
    ),
    _broker(
        "advertised.listeners",
        _LIST,
        None,
        _HIGH,
        "The addresses that clients are told to connect to, where they differ from `listeners`. An empty "
        "host means this machine's own name. Who listens at `0.0.0.0` or `[::]` must say this.",
        validator=list_of(empty_allowed=False),
    ),
    _broker(
        "listener.security.protocol.map",
        _STRING,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        _LOW,
        "The security protocol of each listener name; only PLAINTEXT listeners can be opened.",
    ),
    _broker(
        "controller.listener.names",
        _LIST,
        (),
        _HIGH,
        "Names in `listeners` that belong to a KRaft controller; Ottla has none and does not open them.",
    ),
    _broker(
        "inter.broker.listener.name",
        _STRING,
        None,
        _MEDIUM,
        "The listener that other brokers connect to; without it, the one that is called as "
        "`security.inter.broker.protocol` says. It must be advertised, although a single broker has no use "
        "for it.",
    ),
    _broker(
        "security.inter.broker.protocol",
        _STRING,
        "PLAINTEXT",
        _MEDIUM,
        "The security protocol between brokers, and the name of their listener when "
        "`inter.broker.listener.name` is not set.",
        validator=one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    ),
    _broker(
        "early.start.listeners",
        _LIST,
        None,
        _HIGH,
        "Listeners that open before the others; checked only, all open at once here.",
    ),
    _broker(
        "log.dirs",
        _LIST,
        None,
        _HIGH,
        "The data folder. One only: of several, start is refused.",
        synonyms=("log.dir",),
    ),
    _broker(
        "log.dir",
        _LIST,
        ("ottla-data",),
        _HIGH,
        "The data folder, used when `log.dirs` is not set.",
        validator=list_of(empty_allowed=False),
    ),
)

TOPIC_CREATION_KEYS = (
    _broker(
        "num.partitions",
        _INT,
        1,
        _MEDIUM,
        "How many partitions a topic gets that is created without a count.",
        validator=at_least(1),
    ),
    _broker(
        "default.replication.factor",
        _INT,
        1,
        _MEDIUM,
        "How many replicas a topic gets that is created without a count.",
        validator=between(1, 32767),
    ),
    _broker(
        "auto.create.topics.enable",
        _BOOLEAN,
        True,
        _HIGH,
        "Whether asking for the metadata of an unknown topic creates it, where the client allows that.",
    ),
    _broker("delete.topic.enable", _BOOLEAN, True, _HIGH, "Whether topics can be deleted."),
)

NETWORK_KEYS = (
    _broker(
        "socket.request.max.bytes",
        _INT,
        100 << 20,
        _HIGH,
        "The largest Produce request; larger ones close the connection before anything is allocated.",
        validator=at_least(1),
    ),
    _broker(
        "socket.send.buffer.bytes",
        _INT,
        -1,  # 102400 makes both sides of a large fetch wake four times as often
        _HIGH,
        "SO_SNDBUF of connections; -1 lets the system size them as it goes. Kafka's default is 102400.",
    ),
    _broker(
        "socket.receive.buffer.bytes",
        _INT,
        -1,  # 102400 costs a quarter of the throughput of batches of 1 MB, and 8 % of those of 16 KB
        _HIGH,
        "SO_RCVBUF of connections; -1 lets the system size them as it goes. Kafka's default is 102400.",
    ),
    _broker(
        "socket.listen.backlog.size",
        _INT,
        50,
        _MEDIUM,
        "How many connections may wait to be accepted.",
        validator=at_least(1),
    ),
    _broker(
        "max.connections",
        _INT,
        INT_MAX,
        _MEDIUM,
        "How many connections the broker keeps at once.",
        validator=at_least(0),
        update_mode=_DYNAMIC,
    ),
    _broker(
        "max.connections.per.ip",
        _INT,
        INT_MAX,
        _MEDIUM,
        "How many connections the broker keeps from one address.",
        validator=at_least(0),
        update_mode=_DYNAMIC,
    ),
    _broker(
        "max.connections.per.ip.overrides",
        _STRING,
        "",
        _MEDIUM,
        "Exceptions from `max.connections.per.ip`: `address:count`, separated by commas.",
        update_mode=_DYNAMIC,
    ),
    _broker(
        "connections.max.idle.ms",
        _LONG,
        600_000,
        _MEDIUM,
        "A connection that carried nothing for so long is closed; negative for never.",
    ),
    _broker(
        "fetch.max.bytes",
        _INT,
        55 << 20,
        _MEDIUM,
        "The most record bytes in one Fetch response.",
        validator=at_least(1024),
    ),
    _broker(
        "max.incremental.fetch.session.cache.slots",
        _INT,
        1000,
        _MEDIUM,
        "How many incremental fetch sessions (KIP-227) are kept.",
        validator=at_least(0),
    ),
    _broker(
        "max.request.partition.size.limit",
        _INT,
        2000,
        _MEDIUM,
        "The most partitions in one DescribeTopicPartitions response.",
        validator=at_least(1),
    ),
)

LOG_KEYS = (
    _broker(
        "log.retention.check.interval.ms",
        _LONG,
        300_000,
        _MEDIUM,
        "How often logs are looked at for segments to drop.",
        validator=at_least(1),
    ),
    _broker(
        "log.flush.scheduler.interval.ms",
        _LONG,
        LONG_MAX,
        _HIGH,
        "How often logs are checked for records older than `flush.ms`, and its default.",
        validator=at_least(1),
    ),
    _broker(
        "log.flush.offset.checkpoint.interval.ms",
        _INT,
        60_000,
        _HIGH,
        "How often the recovery points are written down.",
        validator=at_least(0),
    ),
    _broker(
        "log.flush.start.offset.checkpoint.interval.ms",
        _INT,
        60_000,
        _HIGH,
        "How often the log start offsets are written down.",
        validator=at_least(0),
    ),
    _broker("log.cleaner.enable", _BOOLEAN, True, _MEDIUM, "Whether compacted topics are compacted."),
    _broker(
        "log.cleaner.backoff.ms",
        _LONG,
        15_000,
        _MEDIUM,
        "How long the cleaner rests when no log needs cleaning.",
        validator=at_least(0),
        update_mode=_DYNAMIC,
    ),
    _broker(
        "log.cleaner.dedupe.buffer.size",
        _LONG,
        128 << 20,
        _MEDIUM,
        "The memory in bytes that the cleaner's map of keys may take.",
        validator=at_least(1 << 20),
        update_mode=_DYNAMIC,
    ),
    _broker(
        "log.cleaner.io.buffer.load.factor",
        _DOUBLE,
        0.9,
        _MEDIUM,
        "The share of `log.cleaner.dedupe.buffer.size` that may fill before a cleaning goes no further.",
        update_mode=_DYNAMIC,
    ),
    _broker(
        "log.cleaner.io.buffer.size",
        _INT,
        512 << 10,
        _MEDIUM,
        "How many bytes of a log the cleaner reads at once.",
        validator=at_least(0),
        update_mode=_DYNAMIC,
    ),
    _broker(
        "log.cleaner.io.max.bytes.per.second",
        _DOUBLE,
        1.7976931348623157e308,
        _MEDIUM,
        "How fast the cleaner may read and write.",
        update_mode=_DYNAMIC,
    ),
    _broker(
        "log.initial.task.delay.ms",
        _LONG,
        30_000,
        _LOW,
        "How long after start the first retention, flush and cleaning runs begin.",
        validator=at_least(0),
        internal=True,
    ),
    _broker(
        "producer.id.expiration.ms",
        _INT,
        DAY_MS,
        _LOW,
        "How long the broker remembers an idempotent producer that writes nothing.",
        validator=at_least(1),
        update_mode=_DYNAMIC,
    ),
    _broker(
        "producer.id.expiration.check.interval.ms",
        _INT,
        600_000,
        _LOW,
        "How often producers are looked at for expiry.",
        validator=at_least(1),
        internal=True,
    ),
)

OTTLA_KEYS = (
    _broker(
        "ottla.acks.all.flush",
        _BOOLEAN,
        False,
        _HIGH,
        "Answer `acks=all` writes only after fdatasync; writes that wait together share one (group commit).",
    ),
    _broker(
        "ottla.request.max.bytes",
        _INT,
        2 << 20,
        _MEDIUM,
        "The largest request of every API but Produce; larger ones close the connection.",
        validator=at_least(4096),
    ),
    _broker(
        "ottla.request.max.elements",
        _INT,
        100_000,
        _MEDIUM,
        "The most elements that all arrays of a request of any API but Produce and Fetch may have together, "
        "such as topics and their partitions; more close the connection.",
        validator=at_least(1),
    ),
    _broker(
        "ottla.request.max.partitions",
        _INT,
        10_000,
        _MEDIUM,
        "The most partitions in one Produce or Fetch request.",
        validator=at_least(1),
    ),
    _broker(
        "ottla.request.memory.max.bytes",
        _LONG,
        128 << 20,
        _MEDIUM,
        "The memory that requests may take while they come in, over all connections.",
        validator=at_least(1 << 20),
    ),
    _broker(
        "ottla.request.stalled.ms",
        _INT,
        30_000,
        _MEDIUM,
        "A connection whose half-received request stands still for so long is closed.",
        validator=at_least(1),
    ),
    _broker(
        "ottla.requests.in.flight.max",
        _INT,
        100,
        _MEDIUM,
        "How many unanswered requests one connection may have before the broker stops reading from it.",
        validator=at_least(1),
    ),
    _broker(
        "ottla.response.memory.max.bytes",
        _LONG,
        256 << 20,
        _MEDIUM,
        "How many response bytes slow readers may hold together; above it a fetch gets one batch at most.",
        validator=at_least(1 << 20),
    ),
    _broker(
        "ottla.response.buffer.max.bytes",
        _INT,
        1 << 20,
        _MEDIUM,
        "How many response bytes may wait for a slow reader before the broker stops reading its requests.",
        validator=at_least(1),
    ),
    _broker(
        "ottla.decompressed.batch.max.bytes",
        _INT,
        64 << 20,
        _MEDIUM,
        "The largest size to which one compressed batch may unpack; larger ones are refused.",
        validator=at_least(1),
    ),
    _broker(
        "ottla.open.files.max",
        _INT,
        512,
        _MEDIUM,
        "How many segment files are kept open; the least recently used are closed beyond it.",
        validator=at_least(16),
    ),
)

# Coarser units and the default behind a null key; the finest unit that is set wins.
_TIME_CHAINS: dict[str, tuple[str, ...]] = {
    "log.retention.ms": ("log.retention.minutes", "log.retention.hours"),
    "log.roll.ms": ("log.roll.hours",),
    "log.roll.jitter.ms": ("log.roll.jitter.hours",),
    "log.flush.interval.ms": ("log.flush.scheduler.interval.ms",),
}

_COARSE_TIME_KEYS = (
    _broker(
        "log.retention.minutes", _INT, None, _HIGH, "`log.retention.ms` in minutes, when that is not set."
    ),
    _broker(
        "log.retention.hours", _INT, 168, _HIGH, "`log.retention.ms` in hours, when no finer one is set."
    ),
    _broker(
        "log.roll.hours",
        _INT,
        168,
        _HIGH,
        "`log.roll.ms` in hours, when that is not set.",
        validator=at_least(1),
    ),
    _broker(
        "log.roll.jitter.hours",
        _INT,
        0,
        _HIGH,
        "`log.roll.jitter.ms` in hours, when that is not set.",
        validator=at_least(0),
    ),
)


def _topic_default_keys() -> Iterator[ConfigDef]:
    """The broker key behind each topic key: the same type, default and rule."""
    for topic_key in TOPIC_CONFIGS.values():
        if not topic_key.synonyms:
            continue
        name = topic_key.synonyms[0]
        chain = _TIME_CHAINS.get(name, ())
        yield topic_key._replace(
            name=name,
            doc=f"The default of the topic setting `{topic_key.name}`. {topic_key.doc}",
            default=None if chain else topic_key.default,
            # A null default is not a number, so the range is left to the topic key.
            validator=None if chain else topic_key.validator,
            update_mode=_DYNAMIC,
            synonyms=chain,
        )


TOPIC_DEFAULT_KEYS = (*_topic_default_keys(), *_COARSE_TIME_KEYS)

HONOURED_KEYS = (
    *NODE_KEYS,
    *TOPIC_CREATION_KEYS,
    *NETWORK_KEYS,
    *LOG_KEYS,
    *OTTLA_KEYS,
    *TOPIC_DEFAULT_KEYS,
)
