"""What the controller knows (`kafka.controller:type=KafkaController`), told by that broker."""

from __future__ import annotations

from collections.abc import Iterator

from ottla.broker.cluster_view import controller_in
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import NO_LEADER
from ottla.metrics.families import Family, Kind, Metric


def _gauge(name: str, text: str) -> Family:
    return Family(f"kafka_controller_kafkacontroller_{name}", Kind.GAUGE, text)


IS_CONTROLLER = _gauge("activecontrollercount", "1 on the broker that is the controller.")
TOPICS = _gauge("globaltopiccount", "Topics of the cluster; 0 but on the controller, as what follows.")
PARTITIONS = _gauge("globalpartitioncount", "Partitions of the cluster.")
OFFLINE = _gauge("offlinepartitionscount", "Partitions that nobody leads.")
IMBALANCE = _gauge("preferredreplicaimbalancecount", "Partitions that are not led by their first replica.")
ACTIVE_BROKERS = _gauge("activebrokercount", "Brokers that serve.")
FENCED_BROKERS = _gauge("fencedbrokercount", "Brokers that are known, and gone or not taken back yet.")
UNCLEAN_ELECTIONS = Family(
    "kafka_controller_controllerstats_uncleanleaderelections",
    Kind.COUNTER,
    "Leaders elected that may lack records, as each broker has seen it since its start.",
)
_OF_IMAGES = (IS_CONTROLLER, TOPICS, PARTITIONS, OFFLINE, IMBALANCE, ACTIVE_BROKERS, FENCED_BROKERS)
FAMILIES = (*_OF_IMAGES, UNCLEAN_ELECTIONS)


class ClusterMetrics:
    """Counts once for each image: there may be many partitions, and few changes."""

    def __init__(self, node_id: int) -> None:
        self._node_id = node_id
        self._counted: tuple[MetadataImage, list[int]] | None = None

    def collect(self, image: MetadataImage, unclean_elections: int) -> Iterator[Metric]:
        """What `image` says, and how often it came to an unclean election."""
        if self._counted is None or self._counted[0] is not image:
            is_controller = controller_in(image, self._node_id) == self._node_id
            counts = _count(image) if is_controller else [0] * (len(_OF_IMAGES) - 1)
            self._counted = image, [int(is_controller), *counts]
        for family, value in zip(_OF_IMAGES, self._counted[1], strict=True):
            yield family.of(((), value))
        yield UNCLEAN_ELECTIONS.of(((), unclean_elections))


def _count(image: MetadataImage) -> list[int]:
    states = [state for topic in image.topics.values() for state in topic.partitions]
    brokers = {*image.known_brokers, *image.brokers}
    fenced = sum(image.is_fenced(each) for each in brokers)
    return [
        len(image.topics),
        len(states),
        sum(state.leader == NO_LEADER for state in states),
        sum(state.leader != state.replicas[0] for state in states),
        len(brokers) - fenced,
        fenced,
    ]
