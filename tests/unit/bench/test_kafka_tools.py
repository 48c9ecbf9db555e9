"""What Apache Kafka's load generators print."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bench.kafka import install, tools
from bench.kafka.tools import ToolError, parse_consumer, parse_latency, parse_producer

PRODUCED = """\
Reading payloads from: /tmp/payloads
Number of records read: 1000
250001 records sent, 50000.2 records/sec (48.83 MB/sec), 12.3 ms avg latency, 99.0 ms max latency.
In steady state.
300000 records sent, 95412.616339 records/sec (93.00 MB/sec), 10.52 ms avg latency, 181.00 ms max latency, \
5 ms 50th, 41 ms 95th, 88 ms 99th, 120 ms 99.9th.
200000 steady state records sent, 103412.616339 records/sec (100.00 MB/sec), 10.52 ms avg latency, \
181.00 ms max latency, 5 ms 50th, 41 ms 95th, 88 ms 99th, 120 ms 99.9th.
"""
CONSUMED = """\
WARNING: something about a log4j
2030-01-01 10:00:00:000, 2030-01-01 10:00:05:000, 100.0000, 20.0000, 102400, 20480.0000, \
3000, 2000, 50.0000, 51200.0000
"""
LATENCY = "0\t5.5\n1000\t0.9\nAvg latency: 1.2345 ms\nPercentiles: 50th = 1, 99th = 4, 99.9th = 9\n"


def test_producer_is_taken_without_its_warm_up() -> None:
    result = parse_producer(PRODUCED)
    assert result.records == 200_000
    assert result.mb_per_s == pytest.approx(104.8576)
    assert result.seconds == pytest.approx(1.934)


def test_consumer_rate_is_without_the_rebalance() -> None:
    result = parse_consumer(CONSUMED)
    assert result.records == 102_400
    assert result.mb == pytest.approx(104.8576)
    assert result.mb_per_s == pytest.approx(52.4288)


def test_latency() -> None:
    result = parse_latency(LATENCY)
    assert (result.average_ms, result.p50_ms, result.p99_ms, result.p999_ms) == (1.2345, 1, 4, 9)


@pytest.mark.parametrize("parse", [parse_producer, parse_consumer, parse_latency])
@pytest.mark.parametrize("output", ["", "Exception in thread main\n", PRODUCED.splitlines()[4]])
def test_other_output_is_refused(parse: object, output: str) -> None:
    assert callable(parse)
    with pytest.raises(ToolError, match="in the output of"):
        parse(output)


def test_command_has_kafkas_own_options_and_heap() -> None:
    command = install.Kafka("4", Path("/jars")).command("kafka.Kafka", "x", heap=install.BROKER_HEAP)
    assert command[:3] == ["java", "-Xmx1G", "-Xms1G"]
    assert "-XX:+UseG1GC" in command
    assert command[-4:] == ["-cp", "/jars/*", "kafka.Kafka", "x"]
    assert set(install.Kafka("4", Path("/jars")).short_lived().command("kafka.Kafka")) - set(command) == {
        *install.TOOL_HEAP,
        "-XX:TieredStopAtLevel=1",
    }


def _java(folder: Path, body: str) -> None:
    java = folder / "java"
    java.write_text(f"#!{sys.executable}\n{body}")
    java.chmod(0o755)


def test_what_a_tool_took_is_of_the_time_that_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    main, compiler, late = (1, "main"), (2, "C2 CompilerThre"), (3, "kafka-producer-")
    looks = iter(
        [
            (10.0, {main: 0.1, compiler: 0.2}),
            (11.0, {main: 1.0, compiler: 1.2}),
            (12.0, {main: 1.5, compiler: 2.2, late: 0.1}),
            (12.9, {main: 2.0, compiler: 2.4, late: 0.3}),
            (13.0, {compiler: 2.6}),
            (13.4, {compiler: 3.0}),
            (13.1, {}),
        ]
    )
    now = 0.0

    def thread_cpu_s(_pid: int) -> dict[tuple[int, str], float]:
        nonlocal now
        now, threads = next(looks)
        return threads

    monkeypatch.setattr(tools.processes, "thread_cpu_s", thread_cpu_s)
    monkeypatch.setattr(tools.time, "monotonic", lambda: now)
    watched = tools.Watched()
    for printed in (5, 5, 5, 5, 20, 20, 20):
        watched.look(1, printed)
    usage = watched.before_result(2.05)
    assert usage.busiest_thread == pytest.approx((2.0 - 1.0) / 2)
    assert usage.cores == pytest.approx((1.0 + 1.4 + 0.3) / 2)
    assert usage.row() == {"client cores": usage.cores, "client thread": usage.busiest_thread}
    assert watched.before_result(100).busiest_thread == pytest.approx((2.0 - 0.1) / 3)


def test_a_tool_that_ends_well_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _java(tmp_path, f"print({LATENCY!r})")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (
        tools.end_to_end(install.Kafka("4", tmp_path), "h:1", "t", records=1, acks="1").average_ms == 1.2345
    )


def test_tool_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _java(tmp_path, "import sys\nsys.exit('no such topic')")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ToolError, match="ended with 1: no such topic"):
        tools.consume(install.Kafka("4", tmp_path), "h:1", "t", records=1)


def test_jars_are_kept_outside_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert install.cache_folder() == tmp_path / "ottla-bench"


def test_missing_java_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(install.KafkaUnavailableError, match="java is not installed"):
        install.install()


def test_missing_maven_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(install.KafkaUnavailableError, match="mvn is not installed"):
        install.install()


def test_pinned_version_comes_from_the_pom() -> None:
    assert install.pinned_version()[0].isdigit()
