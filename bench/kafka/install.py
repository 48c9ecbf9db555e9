"""Fetches Apache Kafka's jars with Maven, and says plainly where that cannot be done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

_HERE = Path(__file__).parent
_POM = _HERE / "pom.xml"
# What bin/kafka-run-class.sh of Apache Kafka passes to every JVM.
_JVM_OPTIONS = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
)
BROKER_HEAP = ("-Xmx1G", "-Xms1G")
"""What bin/kafka-server-start.sh sets."""
TOOL_HEAP = ("-Xmx512M",)
"""What bin/kafka-producer-perf-test.sh and kafka-consumer-perf-test.sh set."""


class KafkaUnavailableError(Exception):
    """Apache Kafka cannot be run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Kafka:
    """The jars of one release."""

    version: str
    jars: Path
    options: tuple[str, ...] = ()
    """More for every JVM"""

    def short_lived(self) -> Kafka:
        """For processes that live for seconds: with the lesser compiler alone, which costs less itself."""
        return replace(self, options=("-XX:TieredStopAtLevel=1",))

    def command(self, main_class: str, *arguments: str, heap: tuple[str, ...] = TOOL_HEAP) -> list[str]:
        """The command line that runs a class of Kafka."""
        return [
            "java",
            *heap,
            *_JVM_OPTIONS,
            *self.options,
            f"-Dlog4j2.configurationFile={_HERE / 'log4j2.xml'}",
            "-cp",
            f"{self.jars}/*",
            main_class,
            *arguments,
        ]


def pinned_version() -> str:
    """The release that the pom names."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", _POM.read_text())
    assert found is not None
    return found[1]


def cache_folder() -> Path:
    """Where jars are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ottla-bench"


def install(version: str | None = None, *, pom: Path = _POM, name: str = "kafka") -> Kafka:
    """The release's jars, or those of another `pom` that needs a `name` of its own, fetched on first use.

    Raises `KafkaUnavailableError` where Java or Maven is missing or the download fails.
    """
    version = version or pinned_version()
    if shutil.which("java") is None:
        raise KafkaUnavailableError("java is not installed (Apache Kafka needs 17 or newer)")
    jars = cache_folder() / f"{name}-{version}"
    if jars.is_dir():
        return Kafka(version, jars)
    if shutil.which("mvn") is None:
        raise KafkaUnavailableError("mvn is not installed, so Apache Kafka cannot be fetched")
    unfinished = jars.with_name(f"{jars.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    command = [
        "mvn", "-q", "-B", "-f", str(pom), f"-Dkafka.version={version}",
        "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}",
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
    if done.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise KafkaUnavailableError(
            f"mvn could not fetch Apache Kafka {version}: {lines[0] if lines else ''}"
        )
    unfinished.rename(jars)
    return Kafka(version, jars)
