"""Kafka Streams' own test driver, which writes the answers of tests/unit/streams/golden."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.kafka.install import KafkaUnavailableError, install
from tests.differential.brokers import KAFKA_VERSION

SOURCES = Path(__file__).parent
SCENARIOS = SOURCES.parents[1] / "unit" / "streams" / "golden" / "scenarios"


def answer(files: Sequence[Path], classes: Path) -> None:
    """Write into each file what Kafka Streams does; `classes` is where the compiled programs go.

    Raises `KafkaUnavailableError` where Java or Maven is missing or something cannot be fetched.
    """
    if shutil.which("javac") is None:
        raise KafkaUnavailableError("javac is not installed (Java 17 or newer)")
    kafka = install(KAFKA_VERSION, pom=SOURCES / "pom.xml", name="kafka-streams-test-utils")
    jars = f"{kafka.jars}/*"
    sources = [str(each) for each in sorted(SOURCES.glob("*.java"))]
    subprocess.run(["javac", "-nowarn", "-cp", jars, "-d", str(classes), *sources], check=True, timeout=300)
    subprocess.run(
        [
            "java", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", "-cp", f"{classes}:{jars}",
            "Golden", *(str(each) for each in files),
        ],
        check=True,
        timeout=300,
    )  # fmt: skip
