"""The golden answers are those that Kafka's Connect gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.kafka.install import KafkaUnavailableError
from tests.differential.connect import GOLDEN, answers
from tests.differential.connect.questions import QUESTIONS


def test_the_answers_are_those_of_kafka(tmp_path: Path) -> None:
    golden = [
        json.loads(line) for name in QUESTIONS for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()
    ]
    asked = [ask for questions in QUESTIONS.values() for ask in questions]
    assert len(asked) > 500
    assert [one["ask"] for one in golden] == asked
    try:
        told = answers(asked, tmp_path)
    except KafkaUnavailableError as reason:
        pytest.skip(str(reason))
    assert [one["answer"] for one in golden] == told
