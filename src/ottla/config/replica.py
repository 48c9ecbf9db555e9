"""The keys of logs: where they are, what may be read and written at once, and what is done to them beside."""

from __future__ import annotations

from dataclasses import dataclass

from ottla.config.definition import (
    BOOLEAN,
    DAY_MS,
    DOUBLE,
    INT,
    LIST,
    LONG,
    LONG_MAX,
    STRING,
    ConfigDef,
    ConfigError,
    UpdateMode,
    Values,
    at_least,
    list_of,
)
from ottla.config.topic import TopicDefaults

RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
"""Of `replica.selector.class`"""

REPLICA_KEYS = (
    ConfigDef(
        "log.dirs",
        LIST,
        None,
        "The data folders; a new partition goes to the one with the fewest. By default `log.dir`.",
        list_of(empty_allowed=False),
        synonyms=("log.dir",),
    ),
    ConfigDef(
        "log.dir",
        LIST,
        ("ottla-data",),
        "The data folder, used when `log.dirs` is not set.",
        list_of(empty_allowed=False),
    ),
    ConfigDef(
        "metadata.log.dir",
        STRING,
        None,
        "The folder of the cluster's metadata (`metadata.sqlite`). By default the first of `log.dirs`.",
    ),
    ConfigDef(
        "cordoned.log.dirs",
        LIST,
        (),
        "Folders of `log.dirs`, or `*`, that new partitions don't go to. A broker without others gets no "
        "new replicas.",
        list_of(),
        update_mode=UpdateMode.PER_BROKER,
    ),
    ConfigDef(
        "ottla.open.files.max",
        INT,
        512,
        "How many segment files are kept open; the least recently used are closed beyond it.",
        at_least(16),
    ),
    ConfigDef(
        "ottla.acks.all.flush",
        BOOLEAN,
        False,
        "Answer `acks=all` writes only after fdatasync; writes that wait together share one (group commit).",
    ),
    ConfigDef(
        "ottla.decompressed.batch.max.bytes",
        INT,
        64 << 20,
        "The largest size to which one compressed batch may unpack; larger ones are refused.",
        at_least(1),
    ),
    ConfigDef(
        "fetch.max.bytes", INT, 55 << 20, "The most record bytes in one Fetch response.", at_least(1024)
    ),
    ConfigDef(
        "max.incremental.fetch.session.cache.slots",
        INT,
        1000,
        "How many incremental fetch sessions (KIP-227) are kept.",
        at_least(0),
    ),
    ConfigDef(
        "ottla.request.max.partitions",
        INT,
        10_000,
        "The most partitions in one Produce or Fetch request.",
        at_least(1),
    ),
    ConfigDef(
        "log.retention.check.interval.ms",
        LONG,
        300_000,
        "How often logs are looked at for segments to drop.",
        at_least(1),
    ),
    ConfigDef(
        "log.flush.scheduler.interval.ms",
        LONG,
        LONG_MAX,
        "How often logs are checked for records older than `flush.ms`, and its default.",
        at_least(1),
    ),
    ConfigDef(
        "log.flush.offset.checkpoint.interval.ms",
        INT,
        60_000,
        "How often the recovery points are written down.",
        at_least(0),
    ),
    ConfigDef(
        "log.flush.start.offset.checkpoint.interval.ms",
        INT,
        60_000,
        "How often the log start offsets are written down.",
        at_least(0),
    ),
    ConfigDef(
        "log.initial.task.delay.ms",
        LONG,
        30_000,
        "How long after start the first retention, flush and cleaning runs begin.",
        at_least(0),
        internal=True,
    ),
    ConfigDef("log.cleaner.enable", BOOLEAN, True, "Whether compacted topics are compacted."),
    ConfigDef(
        "log.cleaner.backoff.ms",
        LONG,
        15_000,
        "How long the cleaner rests when no log needs cleaning.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "log.cleaner.dedupe.buffer.size",
        LONG,
        128 << 20,
        "The memory in bytes that the cleaner's map of keys may take.",
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "log.cleaner.io.buffer.load.factor",
        DOUBLE,
        0.9,
        "The share of `log.cleaner.dedupe.buffer.size` that may fill before a cleaning goes no further.",
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "log.cleaner.io.buffer.size",
        INT,
        512 << 10,
        "How many bytes of a log the cleaner reads at once.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "log.cleaner.io.max.bytes.per.second",
        DOUBLE,
        1.7976931348623157e308,
        "How fast the cleaner may read and write.",
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "request.timeout.ms",
        INT,
        30_000,
        "How long the marker of a transaction may take to be replicated before it is written again.",
    ),
    ConfigDef(
        "transaction.partition.verification.enable",
        BOOLEAN,
        True,
        "Whether the batches of transactions whose producers add partitions themselves are verified.",
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "add.partitions.to.txn.retry.backoff.ms",
        INT,
        20,
        "How long a produce that adds its partition waits at most for the end of the last transaction, "
        "before it asks again.",
        at_least(1),
    ),
    ConfigDef(
        "add.partitions.to.txn.retry.backoff.max.ms",
        INT,
        100,
        "How long such a produce asks at most before its client is told of it.",
        at_least(0),
    ),
    ConfigDef(
        "producer.id.expiration.ms",
        INT,
        DAY_MS,
        "How long the broker remembers an idempotent producer that writes nothing.",
        at_least(1),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "producer.id.expiration.check.interval.ms",
        INT,
        600_000,
        "How often producers are looked at for expiry.",
        at_least(1),
        internal=True,
    ),
    ConfigDef(
        "replica.lag.time.max.ms",
        LONG,
        30_000,
        "A follower that has not had all of its leader's records for so long is no longer in sync.",
    ),
    ConfigDef(
        "num.replica.fetchers",
        INT,
        1,
        "Over how many connections a follower fetches from each leader; more help where answers take long.",
        at_least(1),
        update_mode=UpdateMode.CLUSTER_WIDE,
    ),
    ConfigDef(
        "replica.high.watermark.checkpoint.interval.ms",
        LONG,
        5000,
        "How often the high watermarks are written down, where they have moved.",
    ),
    ConfigDef(
        "replica.fetch.wait.max.ms",
        INT,
        500,
        "How long a leader may wait for new records before it answers a follower.",
    ),
    ConfigDef("replica.fetch.min.bytes", INT, 1, "How many bytes of new records it waits for."),
    ConfigDef(
        "replica.fetch.max.bytes",
        INT,
        1 << 20,
        "How many bytes of each partition a follower asks for at once.",
        at_least(0),
    ),
    ConfigDef(
        "replica.fetch.response.max.bytes",
        INT,
        10 << 20,
        "How many bytes of all partitions a follower asks for at once.",
        at_least(0),
    ),
    ConfigDef(
        "replica.fetch.backoff.ms",
        INT,
        1000,
        "How long a follower waits after an error before it fetches again.",
        at_least(0),
    ),
    ConfigDef(
        "replica.selector.class",
        STRING,
        None,
        f"With `{RACK_AWARE}` consumers are sent to a replica in their rack (`client.rack`, KIP-392).",
    ),
    ConfigDef(
        "leader.replication.throttled.rate",
        LONG,
        LONG_MAX,
        "The most bytes in a second that followers get of a topic's `leader.replication.throttled.replicas`.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
        internal=True,
    ),
    ConfigDef(
        "follower.replication.throttled.rate",
        LONG,
        LONG_MAX,
        "The most bytes in a second that are fetched of a topic's `follower.replication.throttled.replicas`.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
        internal=True,
    ),
    ConfigDef(
        "replication.quota.window.num",
        INT,
        11,
        "How many samples a throttle's rate is measured over.",
        at_least(1),
    ),
    ConfigDef(
        "replication.quota.window.size.seconds", INT, 1, "How long each of the samples is.", at_least(1)
    ),
    ConfigDef(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        LONG,
        LONG_MAX,
        "The most bytes in a second that are copied to move logs between data folders.",
        at_least(0),
        update_mode=UpdateMode.CLUSTER_WIDE,
        internal=True,
    ),
    ConfigDef(
        "alter.log.dirs.replication.quota.window.num",
        INT,
        11,
        "How many samples that rate is measured over.",
        at_least(1),
    ),
    ConfigDef(
        "alter.log.dirs.replication.quota.window.size.seconds",
        INT,
        1,
        "How long each of the samples is.",
        at_least(1),
    ),
    ConfigDef(
        "replica.socket.timeout.ms", INT, 30_000, "How long another broker may take to answer a follower."
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ReplicaConfig(TopicDefaults):
    """What `replica` and the handlers of records are set up by; sizes in bytes."""

    log_dirs: tuple[str, ...]
    metadata_log_dir: str | None
    cordoned_log_dirs: tuple[str, ...]
    ottla_open_files_max: int
    ottla_acks_all_flush: bool
    ottla_decompressed_batch_max_bytes: int
    fetch_max_bytes: int
    max_incremental_fetch_session_cache_slots: int
    ottla_request_max_partitions: int
    log_retention_check_interval_ms: int
    log_flush_scheduler_interval_ms: int
    log_flush_offset_checkpoint_interval_ms: int
    log_flush_start_offset_checkpoint_interval_ms: int
    log_initial_task_delay_ms: int
    log_cleaner_enable: bool
    log_cleaner_backoff_ms: int
    log_cleaner_dedupe_buffer_size: int
    log_cleaner_io_buffer_load_factor: float
    log_cleaner_io_buffer_size: int
    log_cleaner_io_max_bytes_per_second: float
    request_timeout_ms: int
    transaction_partition_verification_enable: bool
    add_partitions_to_txn_retry_backoff_ms: int
    add_partitions_to_txn_retry_backoff_max_ms: int
    producer_id_expiration_ms: int
    producer_id_expiration_check_interval_ms: int
    replica_lag_time_max_ms: int
    num_replica_fetchers: int
    replica_high_watermark_checkpoint_interval_ms: int
    replica_fetch_wait_max_ms: int
    replica_fetch_min_bytes: int
    replica_fetch_max_bytes: int
    replica_fetch_response_max_bytes: int
    replica_fetch_backoff_ms: int
    replica_selector_class: str | None
    replica_socket_timeout_ms: int
    leader_replication_throttled_rate: int
    follower_replication_throttled_rate: int
    replica_alter_log_dirs_io_max_bytes_per_second: int
    alter_log_dirs_replication_quota_window_num: int
    alter_log_dirs_replication_quota_window_size_seconds: int
    replication_quota_window_num: int
    replication_quota_window_size_seconds: int


_MIB = 1 << 20


def check_replica(value: Values) -> None:
    """Rules between keys; raises ConfigError."""
    folders = value("log.dirs")
    cordoned = value("cordoned.log.dirs")
    if cordoned != ("*",) and not set(cordoned) <= set(folders):
        raise ConfigError(
            f"Invalid value {','.join(cordoned)} for configuration cordoned.log.dirs: "
            "only * alone, or folders of log.dirs",
            "cordoned.log.dirs",
        )
    if value("log.cleaner.dedupe.buffer.size") // (value("log.cleaner.threads") or 1) <= _MIB:
        raise ConfigError(
            f"log.cleaner.dedupe.buffer.size must be more than {_MIB} for each of log.cleaner.threads",
            "log.cleaner.dedupe.buffer.size",
        )
    for longer in ("replica.socket.timeout.ms", "replica.lag.time.max.ms"):
        if value("replica.fetch.wait.max.ms") > value(longer):
            raise ConfigError(f"{longer} must be greater than or equal to replica.fetch.wait.max.ms", longer)
