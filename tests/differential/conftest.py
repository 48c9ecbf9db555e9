"""The two brokers, once for all scenarios, and two with an authorizer and listeners that ask who comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from bench.kafka.install import KafkaUnavailableError

from .brokers import Broker, both
from .proof import LISTENERS, Proof

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Everybody is `User:ANONYMOUS`, and may do what no ACL forbids him."""


def started(settings: Mapping[str, str], proof: Proof | None = None) -> Iterator[tuple[Broker, Broker]]:
    """Apache Kafka and Ottla; without Java or Maven the tests are skipped."""
    with contextlib.ExitStack() as stack:
        try:
            if proof is None:
                running = stack.enter_context(both(settings))
            else:
                asked = {**settings, **proof.settings}
                running = stack.enter_context(both(asked, LISTENERS, proof.properties))
        except KafkaUnavailableError as error:
            pytest.skip(f"Apache Kafka cannot be run here: {error}")
        yield running


@pytest.fixture(scope="session")
def brokers() -> Iterator[tuple[Broker, Broker]]:
    """As they are by default."""
    yield from started({})


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """What their clients may prove themselves by."""
    return Proof(tmp_path_factory.mktemp("proof"))


@pytest.fixture(scope="session")
def guarded_brokers(proof: Proof) -> Iterator[tuple[Broker, Broker]]:
    """With an authorizer, and LISTENERS."""
    yield from started(AUTHORIZER, proof)
