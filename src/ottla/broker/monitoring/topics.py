"""Records in and out, by topic and of all (`kafka.server:type=BrokerTopicMetrics`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ottla.metrics.families import Family, Kind, Metric
from ottla.replica.traffic import TopicTraffic, Traffic

_PREFIX: Final = "kafka_server_brokertopicmetrics_"


def _counter(name: str, text: str) -> Family:
    return Family(_PREFIX + name, Kind.COUNTER, text, ("topic",))


BY_TOPIC: Final[Mapping[Family, Callable[[TopicTraffic], int]]] = {
    _counter("messagesin", "Records that producers had appended."): lambda each: each.messages_in,
    _counter("bytesin", "Bytes of batches that producers had appended."): lambda each: each.bytes_in,
    _counter("bytesout", "Bytes of batches that consumers were given."): lambda each: each.bytes_out,
    _counter("bytesrejected", "Bytes of batches larger than max.message.bytes."): lambda each: (
        each.bytes_rejected
    ),
    _counter("totalproducerequests", "Partitions in Produce requests."): lambda each: each.produces,
    _counter("failedproducerequests", "Of these, the ones that were refused."): lambda each: (
        each.failed_produces
    ),
    _counter("totalfetchrequests", "Partitions in Fetch requests."): lambda each: each.fetches,
    _counter("failedfetchrequests", "Of these, the ones that failed."): lambda each: each.failed_fetches,
}
OF_ALL: Final[Mapping[Family, Callable[[TopicTraffic], int]]] = {
    Family(
        _PREFIX + "replicationbytesin", Kind.COUNTER, "Bytes of batches that came from leaders."
    ): lambda each: each.replication_bytes_in,
    Family(
        _PREFIX + "replicationbytesout", Kind.COUNTER, "Bytes of batches that followers were given."
    ): lambda each: each.replication_bytes_out,
}
FAMILIES = (*BY_TOPIC, *OF_ALL)


def topic_metrics(traffic: Traffic) -> Iterator[Metric]:
    """By topic, and of all topics together with an empty label: the sums include what was deleted."""
    total = traffic.total()
    topics = list(traffic.by_topic.items())
    for family, count in BY_TOPIC.items():
        yield family.of((("",), count(total)), *(((name,), count(each)) for name, each in topics))
    for family, count in OF_ALL.items():
        yield family.of(((), count(total)))
