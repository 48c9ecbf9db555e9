"""The two brokers, once for all scenarios."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from bench.kafka.install import KafkaUnavailableError

from .brokers import Broker, both


@pytest.fixture(scope="session")
def brokers() -> Iterator[tuple[Broker, Broker]]:
    """Apache Kafka and Ottla; without Java or Maven the tests are skipped."""
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(both())
        except KafkaUnavailableError as error:
            pytest.skip(f"Apache Kafka cannot be run here: {error}")
        yield started
