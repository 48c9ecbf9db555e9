"""What clients are told of the brokers of a cluster."""

from __future__ import annotations

from dataclasses import replace

from ottla.broker.cluster_view import brokers_at
from ottla.metadata.image import MetadataImage
from ottla.metadata.model import BrokerRegistration, Endpoint

KNOWN = {
    number: BrokerRegistration(number, {"A": Endpoint("host", 9000 + number, "PLAINTEXT")}, epoch=1)
    for number in (1, 2, 3)
}


def told(image: MetadataImage, listener: str = "A", *, with_fenced: bool = False) -> list[tuple[int, bool]]:
    found = brokers_at(image, listener, with_fenced=with_fenced)
    return [(each.node_id, each.is_fenced) for each in found]


def test_who_is_gone_is_told_of_only_if_asked_for() -> None:
    image = MetadataImage(known_brokers=KNOWN, brokers={2: KNOWN[2], 3: KNOWN[3]})
    assert told(image) == [(2, False), (3, False)]
    assert told(image, with_fenced=True) == [(1, True), (2, False), (3, False)]
    assert told(image, "B") == []


def test_when_all_are_gone_clients_are_left_with_those_that_there_were() -> None:
    everybody = [(1, True), (2, True), (3, True)]
    assert told(MetadataImage(known_brokers=KNOWN)) == everybody
    fenced = {number: replace(each, is_fenced=True) for number, each in KNOWN.items()}
    assert told(MetadataImage(known_brokers=KNOWN, brokers=fenced)) == everybody
