"""The two brokers, once for all scenarios, and two with an authorizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from bench.kafka.install import KafkaUnavailableError

from .brokers import Broker, both

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Everybody is `User:ANONYMOUS`, and may do what no ACL forbids him."""


def started(settings: Mapping[str, str]) -> Iterator[tuple[Broker, Broker]]:
    """Apache Kafka and Ottla; without Java or Maven the tests are skipped."""
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(both(settings))
        except KafkaUnavailableError as error:
            pytest.skip(f"Apache Kafka cannot be run here: {error}")
        yield running


@pytest.fixture(scope="session")
def brokers() -> Iterator[tuple[Broker, Broker]]:
    """As they are by default."""
    yield from started({})


@pytest.fixture(scope="session")
def guarded_brokers() -> Iterator[tuple[Broker, Broker]]:
    """With an authorizer."""
    yield from started(AUTHORIZER)
