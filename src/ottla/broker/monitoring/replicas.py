"""The partitions that are here: roles, ISRs, logs and data folders (`ReplicaManager`, `Partition`, `Log`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from ottla.metrics.families import Family, Kind, Metric, Sample
from ottla.replica.partition import Partition
from ottla.replica.replica import Replica

_PARTITION: Final = ("topic", "partition")


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Family:
    return Family(name, Kind.GAUGE, text, labels)


PARTITIONS = _gauge("kafka_server_replicamanager_partitioncount", "Replicas on this broker.")
LEADERS = _gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.")
UNDER_REPLICATED = _gauge(
    "kafka_server_replicamanager_underreplicatedpartitions", "Led partitions whose ISR lacks a replica."
)
UNDER_MIN_ISR = _gauge(
    "kafka_server_replicamanager_underminisrpartitioncount",
    "Led partitions with fewer replicas in sync than min.insync.replicas.",
)
AT_MIN_ISR = _gauge(
    "kafka_server_replicamanager_atminisrpartitioncount",
    "Led partitions with just as many replicas in sync as min.insync.replicas.",
)
REASSIGNING = _gauge(
    "kafka_server_replicamanager_reassigningpartitions", "Led partitions whose replicas are being moved."
)
OFFLINE_REPLICAS = _gauge(
    "kafka_server_replicamanager_offlinereplicacount", "Replicas here whose logs cannot be used."
)
SHRINKS = Family("kafka_server_replicamanager_isrshrinks", Kind.COUNTER, "ISRs that lost a replica.")
EXPANSIONS = Family("kafka_server_replicamanager_isrexpands", Kind.COUNTER, "ISRs that gained a replica.")
IN_SYNC = _gauge("kafka_cluster_partition_insyncreplicascount", "Replicas in sync.", _PARTITION)
REPLICAS = _gauge("kafka_cluster_partition_replicascount", "Replicas that there are to be.", _PARTITION)
IS_UNDER_REPLICATED = _gauge(
    "kafka_cluster_partition_underreplicated", "1 where the ISR lacks a replica.", _PARTITION
)
IS_UNDER_MIN_ISR = _gauge(
    "kafka_cluster_partition_underminisr",
    "1 where fewer are in sync than min.insync.replicas.",
    _PARTITION,
)
IS_AT_MIN_ISR = _gauge(
    "kafka_cluster_partition_atminisr", "1 where just as many are in sync as that.", _PARTITION
)
LOG_SIZE = _gauge("kafka_log_log_size", "Bytes of a replica's log.", _PARTITION)
LOG_SEGMENTS = _gauge("kafka_log_log_numlogsegments", "Segments of a replica's log.", _PARTITION)
LOG_START = _gauge("kafka_log_log_logstartoffset", "The first offset of a replica's log.", _PARTITION)
LOG_END = _gauge("kafka_log_log_logendoffset", "The offset behind a replica's log.", _PARTITION)
OFFLINE_FOLDERS = _gauge("kafka_log_logmanager_offlinelogdirectorycount", "Data folders that cannot be used.")
CURRENT_OFFSET = _gauge(
    "kafka_topic_partition_current_offset", "The high watermark of a led partition.", _PARTITION
)
OLDEST_OFFSET = _gauge(
    "kafka_topic_partition_oldest_offset", "The first offset of a led partition.", _PARTITION
)
FAMILIES = (
    PARTITIONS,
    LEADERS,
    UNDER_REPLICATED,
    UNDER_MIN_ISR,
    AT_MIN_ISR,
    REASSIGNING,
    OFFLINE_REPLICAS,
    SHRINKS,
    EXPANSIONS,
    IN_SYNC,
    REPLICAS,
    IS_UNDER_REPLICATED,
    IS_UNDER_MIN_ISR,
    IS_AT_MIN_ISR,
    LOG_SIZE,
    LOG_SEGMENTS,
    LOG_START,
    LOG_END,
    OFFLINE_FOLDERS,
    CURRENT_OFFSET,
    OLDEST_OFFSET,
)


class Hosted(Protocol):
    """The replicas that are here."""

    def __iter__(self) -> Iterator[Replica]: ...

    @property
    def offline(self) -> Sequence[tuple[str, int]]: ...


class IsrChanges(Protocol):
    """How often this broker had an ISR changed."""

    shrinks: int
    expansions: int


class Folder(Protocol):
    """A data folder."""

    is_online: bool


def replica_metrics(hosted: Hosted, folders: Sequence[Folder], isr: IsrChanges) -> Iterator[Metric]:
    """The broker's sums, then each replica's."""
    replicas = list(hosted)
    led = [each for each in replicas if isinstance(each, Partition)]
    under = [each for each in led if _lacks_replicas(each)]
    under_min = [each for each in led if _beyond_min(each) < 0]
    at_min = [each for each in led if _beyond_min(each) == 0]
    offline = len(hosted.offline)
    for family, value in (
        (PARTITIONS, len(replicas) + offline),
        (LEADERS, len(led)),
        (UNDER_REPLICATED, len(under)),
        (UNDER_MIN_ISR, len(under_min)),
        (AT_MIN_ISR, len(at_min)),
        (REASSIGNING, sum(bool(each.state.adding or each.state.removing) for each in led)),
        (OFFLINE_REPLICAS, offline),
        (SHRINKS, isr.shrinks),
        (EXPANSIONS, isr.expansions),
        (OFFLINE_FOLDERS, sum(not each.is_online for each in folders)),
    ):
        yield family.of(((), value))
    yield IN_SYNC.of(*(_sample(each, len(each.state.isr)) for each in led))
    yield REPLICAS.of(*(_sample(each, len(each.state.replicas)) for each in led))
    yield IS_UNDER_REPLICATED.of(*(_sample(each, _lacks_replicas(each)) for each in led))
    yield IS_UNDER_MIN_ISR.of(*(_sample(each, _beyond_min(each) < 0) for each in led))
    yield IS_AT_MIN_ISR.of(*(_sample(each, _beyond_min(each) == 0) for each in led))
    yield CURRENT_OFFSET.of(*(_sample(each, each.high_watermark) for each in led))
    yield OLDEST_OFFSET.of(*(_sample(each, each.log.log_start_offset) for each in led))
    yield LOG_SIZE.of(*(_sample(each, each.log.size) for each in replicas))
    yield LOG_SEGMENTS.of(*(_sample(each, len(each.log.segments)) for each in replicas))
    yield LOG_START.of(*(_sample(each, each.log.log_start_offset) for each in replicas))
    yield LOG_END.of(*(_sample(each, each.log.log_end_offset) for each in replicas))


def _sample(replica: Replica, value: int) -> Sample:
    return (replica.topic, str(replica.index)), value


def _lacks_replicas(partition: Partition) -> bool:
    # Those that are still being added are not missed yet.
    expected = [each for each in partition.state.replicas if each not in partition.state.adding]
    return len(partition.state.isr) < len(expected)


def _beyond_min(partition: Partition) -> int:
    return len(partition.state.isr) - min(partition.config.min_insync_replicas, len(partition.state.replicas))
