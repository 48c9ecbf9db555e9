"""Debezium, which makes the golden events of tests/platform/cdc."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.kafka.install import KafkaUnavailableError, install

SOURCES = Path(__file__).parent
KAFKA_VERSION = "4.3.1"
"""Debezium 3.4 does not run with 4.4"""


class Debezium:
    """One process that runs tasks of its connectors, one after the other."""

    def __init__(self, classes: Path) -> None:
        """Raises `KafkaUnavailableError` where Java or Maven is missing or something cannot be fetched."""
        if shutil.which("javac") is None:
            raise KafkaUnavailableError("javac is not installed (Java 17 or newer)")
        jars = f"{install(KAFKA_VERSION, pom=SOURCES / 'pom.xml', name='debezium').jars}/*"
        source = str(SOURCES / "Capture.java")
        subprocess.run(
            ["javac", "-nowarn", "-Xlint:none", "-cp", jars, "-d", str(classes), source],
            check=True, timeout=300, capture_output=True,
        )  # fmt: skip
        command = [
            "java", "-XX:TieredStopAtLevel=1", "-Xmx512M", "-Dlog4j2.level=OFF", "-Duser.timezone=UTC",
            "-Duser.language=en", "-cp", f"{classes}:{jars}", "Capture",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, **what: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "Debezium ended"
        return json.loads(line)

    def start(self, config: Mapping[str, str], *, fresh: bool = True, offsets: Sequence[object] = ()) -> None:
        """`fresh`: without the offsets of the connector before; `offsets` are as `stop` gives them."""
        self._ask(do="start", config=dict(config), fresh=fresh, offsets=list(offsets))

    def poll(self, *, quiet_ms: int = 2000) -> list[dict[str, Any]]:
        """What there is until nothing came for so long."""
        given: list[dict[str, Any]] = self._ask(do="poll", quiet_ms=quiet_ms)
        return given

    def stop(self) -> list[Any]:
        """The offsets: pairs of a partition and its offset."""
        kept: list[Any] = self._ask(do="stop")
        return kept

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()  # closes the pipes
