"""KafkaJS, driven through Node's own test runner: one test here for each file of tests/clients/js."""

from pathlib import Path

import pytest
from tests.node import install, needs_node, run_tests

FOLDER = Path(__file__).parent / "js"

pytestmark = needs_node


@pytest.mark.parametrize(
    "file", ["records.test.js", "groups.test.js", "transactions.test.js", "admin.test.js"]
)
def test_kafkajs(broker, file):
    install(FOLDER)
    run_tests(FOLDER, file, BOOTSTRAP=broker.bootstrap)
