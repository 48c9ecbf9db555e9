"""The golden scenarios say what Kafka Streams says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bench.kafka.install import KafkaUnavailableError
from tests.differential.streams import SCENARIOS, answer


def test_the_answers_are_those_of_kafka_streams(tmp_path: Path) -> None:
    classes, files = tmp_path / "classes", tmp_path / "scenarios"
    classes.mkdir()
    shutil.copytree(SCENARIOS, files)
    for file in files.glob("*.txt"):
        asked = [line for line in file.read_text().splitlines() if not line.startswith(("<", "=  ", "|"))]
        file.write_text("\n".join(asked) + "\n")
    try:
        answer(sorted(files.glob("*.txt")), classes)
    except KafkaUnavailableError as reason:
        pytest.skip(str(reason))
    answered = {file.name: file.read_text() for file in files.glob("*.txt")}
    assert len(answered) > 100
    assert answered == {file.name: file.read_text() for file in SCENARIOS.glob("*.txt")}
