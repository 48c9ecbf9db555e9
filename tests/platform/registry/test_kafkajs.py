"""KafkaJS' registry client, driven through Node's own test runner."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.node import install, needs_node, run_tests
from tests.platform.registry.registry_process import Api

from ottla.testing import InProcessBroker

FOLDER = Path(__file__).parent / "js"

pytestmark = needs_node


@pytest.mark.parametrize(
    "name",
    [
        "avro values go through a topic",
        "a schema has one id, and evolves",
        "references",
        "json schema",
        "protobuf",
    ],
)
def test_kafkajs(broker: InProcessBroker, api: Api, name: str) -> None:
    install(FOLDER)
    said = run_tests(
        FOLDER,
        f"--test-name-pattern=^{name}$",
        "registry.test.js",
        BOOTSTRAP=broker.bootstrap_servers,
        REGISTRY=api.url,
    )
    assert "# pass 1" in said, said
