"""Kafka's own Connect, which answers the questions of tests/unit/connect/golden."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.kafka.install import KafkaUnavailableError, install
from tests.differential.brokers import KAFKA_VERSION

SOURCES = Path(__file__).parent
GOLDEN = SOURCES.parents[1] / "unit" / "connect" / "golden"


def answers(asked: Iterable[object], classes: Path) -> list[object]:
    """What Kafka's Connect answers to each; `classes` is where the compiled program goes.

    Raises `KafkaUnavailableError` where Java or Maven is missing or something cannot be fetched.
    """
    if shutil.which("javac") is None:
        raise KafkaUnavailableError("javac is not installed (Java 17 or newer)")
    kafka = install(KAFKA_VERSION, pom=SOURCES / "pom.xml", name="connect")
    jars = f"{kafka.jars}/*"
    source = str(SOURCES / "Answers.java")
    subprocess.run(["javac", "-nowarn", "-cp", jars, "-d", str(classes), source], check=True, timeout=300)
    done = subprocess.run(
        [
            "java", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=OFF", "-Duser.timezone=UTC",
            "-Duser.language=en", "-cp", f"{classes}:{jars}", "Answers",
        ],
        input="".join(json.dumps(one) + "\n" for one in asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )  # fmt: skip
    # Where in memory an object was differs from run to run.
    return [json.loads(re.sub(r"@[0-9a-f]{5,8}\b", "@0", line)) for line in done.stdout.splitlines()]
