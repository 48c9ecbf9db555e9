"""`ottla serve` as a process: signals, exit codes, what a start reads, one clear line for each refusal."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from .broker_process import BrokerProcess, clean_environment
from .clients import Clients, insist

EXIT_OK, EXIT_FAILURE, EXIT_USAGE = 0, 1, 2
STOP_WITHIN_S = 5.0
RECORD = b"x" * 10_000

StartBroker = Callable[..., BrokerProcess]
MakeClients = Callable[[BrokerProcess], Clients]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`ottla serve` that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "ottla", "serve", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
        env={**clean_environment(), **environment},
    )


def assert_refused(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert not ended.stdout
    (line,) = [line for line in ended.stderr.splitlines() if " INFO " not in line]
    assert line.startswith("ottla: ")
    for word in words:
        assert word in line


# -- refusals


def test_a_second_process_on_the_folder_is_refused(start_broker: StartBroker) -> None:
    broker = start_broker()
    ended = run("--data", str(broker.data), "--listen", "127.0.0.1:0")
    assert_refused(ended, EXIT_FAILURE, str(broker.data), "in use")
    assert broker.stop() == EXIT_OK


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("--data", str(tmp_path / "data"), "--listen", f"127.0.0.1:{port}")
    assert_refused(ended, EXIT_FAILURE, str(port), "address already in use")


def test_a_port_in_use_does_not_spoil_a_clean_stop(start_broker: StartBroker) -> None:
    broker = start_broker()
    assert broker.stop() == EXIT_OK
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", broker.port))
        taken.listen()
        assert run("--data", str(broker.data), "--listen", broker.bootstrap).returncode == EXIT_FAILURE
    assert (broker.data / ".kafka_cleanshutdown").exists()


def test_a_folder_of_another_node_is_refused(start_broker: StartBroker) -> None:
    broker = start_broker()
    assert broker.stop() == EXIT_OK
    ended = run("--data", str(broker.data), "--listen", "127.0.0.1:0", "--node-id", "7")
    assert_refused(ended, EXIT_FAILURE, "node 1", "node 7")
    assert (broker.data / ".kafka_cleanshutdown").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "data", tmp_path / "file"):
        ended = run("--data", str(path), "--listen", "127.0.0.1:0")
        assert_refused(ended, EXIT_FAILURE, str(path), "there is a file in its place")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    ended = run("--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    assert_refused(ended, EXIT_FAILURE, "Permission denied")


@pytest.mark.parametrize("name", ["metadata.sqlite", "meta.properties"])
def test_a_broken_folder_is_refused(start_broker: StartBroker, name: str) -> None:
    broker = start_broker()
    assert broker.stop() == EXIT_OK
    (broker.data / name).write_bytes(b"this is none of ours\n" * 1000)
    ended = run("--data", str(broker.data), "--listen", "127.0.0.1:0")
    assert_refused(ended, EXIT_FAILURE, str(broker.data / name))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("num.partition=1", ["num.partition", "num.partitions"]),
        ("num.partitions=none", ["num.partitions", "none"]),
        ("num.partitions=0", ["num.partitions", "0"]),
        ("num.partitions", ["num.partitions"]),
        ("listeners=SSL://127.0.0.1:0", ["SSL"]),
        ("log.cleanup.policy=shred", ["log.cleanup.policy", "shred"]),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, assignment: str, words: list[str]) -> None:
    arguments = ["--data", str(tmp_path / "data"), "--set", assignment]
    if not assignment.startswith("listeners"):
        arguments += ["--listen", "127.0.0.1:0"]
    assert_refused(run(*arguments), EXIT_USAGE, *words)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("listen", ["127.0.0.1:notaport", "127.0.0.1:99999", "127.0.0.1"])
def test_a_wrong_address_is_refused(tmp_path: Path, listen: str) -> None:
    assert_refused(run("--data", str(tmp_path / "data"), "--listen", listen), EXIT_USAGE, listen)


def test_an_unknown_host_is_refused(tmp_path: Path) -> None:
    ended = run("--data", str(tmp_path / "data"), "--listen", "no-such-host.invalid:0")
    assert_refused(ended, EXIT_FAILURE)


def test_a_missing_config_file_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "missing.properties")
    assert_refused(run("--data", str(tmp_path / "data"), "--config", path), EXIT_USAGE, path)


@pytest.mark.parametrize("options", [["--no-such-option"], ["--node-id", "-1"], ["--node-id", "x"]])
def test_a_wrong_option_is_refused(options: list[str]) -> None:
    ended = run(*options)
    assert ended.returncode == EXIT_USAGE
    assert "Traceback" not in ended.stderr


# -- where settings come from


def test_settings_come_from_files_the_environment_and_options(tmp_path: Path, clients: MakeClients) -> None:
    properties = tmp_path / "server.properties"
    properties.write_text(
        f"# Kafka's format\nlog.dirs={tmp_path}/data\nlisteners=PLAINTEXT://127.0.0.1:0\n"
        "num.partitions=3\nlog.retention.ms=1000000\nlog.segment.bytes=2000000\nbroker.rack=file\n"
    )
    toml = tmp_path / "ottla.toml"
    toml.write_text(
        'listeners = "PLAINTEXT://127.0.0.1:0"\nnum.partitions = 3\n'
        f'[log]\ndirs = "{tmp_path}/data"\nretention.ms = 1000000\n'
        'segment.bytes = 2000000\n[broker]\nrack = "file"\n'
    )
    for path in (properties, toml):
        try_settings(path, tmp_path)


def try_settings(path: Path, tmp_path: Path) -> None:
    out = tmp_path / f"{path.name}.stdout"
    environment = {
        **clean_environment(),
        "OTTLA_LOG_RETENTION_MS": "2000000",
        "OTTLA_LOG_SEGMENT_BYTES": "3000000",
    }
    command = [sys.executable, "-m", "ottla", "serve", "--config", str(path)]
    command += ["--set", "log.segment.bytes=4000000"]
    with out.open("wb") as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, env=environment)
    try:
        deadline = time.monotonic() + 20
        while not (ready := re.search(r"ready.*?(127\.0\.0\.1:\d+)", out.read_text())):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        at = Clients(ready[1])
        config = at.broker_config()
        assert config["num.partitions"] == "3"
        assert config["log.retention.ms"] == "2000000"
        assert config["log.segment.bytes"] == "4000000"
        assert config["broker.rack"] == "file"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == EXIT_OK


# -- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_under_load(start_broker: StartBroker, clients: MakeClients, number: int) -> None:
    broker = start_broker({"group.initial.rebalance.delay.ms": "60000"})
    at = clients(broker)
    at.create_topic("t")
    at.create_topic("empty")
    over = threading.Event()
    sent = threading.Thread(target=produce_until, args=(at, over))
    sent.start()
    # One consumer has its fetch parked at the broker, the other its join.
    parked = at.consumer("parked", fetch_wait_max_ms=60_000)
    parked.assign([at.start_of("empty")])
    parked.poll(0.5)
    joining = at.consumer("joining")
    joining.subscribe(["t"])
    joining.poll(0.5)
    began = time.monotonic()
    try:
        assert broker.stop(number) == EXIT_OK
    finally:
        over.set()
        sent.join()
    assert time.monotonic() - began < STOP_WITHIN_S
    assert "Traceback" not in broker.stderr
    assert (broker.data / ".kafka_cleanshutdown").exists()
    parked.close()
    joining.close()


def produce_until(at: Clients, over: threading.Event) -> None:
    producer = at.producer(enable_idempotence=True)
    while not over.is_set():
        try:
            producer.produce("t", RECORD)
        except BufferError:
            producer.poll(0.05)
        producer.poll(0)
    producer.purge()
    producer.flush(5)


def test_two_signals_are_as_good_as_one(start_broker: StartBroker) -> None:
    broker = start_broker()
    broker.process.send_signal(signal.SIGINT)  # type: ignore[union-attr]
    assert broker.stop(signal.SIGTERM) == EXIT_OK


# -- what a start reads


@pytest.fixture
def filled(start_broker: StartBroker, clients: MakeClients) -> tuple[BrokerProcess, int]:
    """A stopped broker with 20 MB in 20 segments, and how many bytes the start of an empty one reads."""
    broker = start_broker()
    empty = broker.read_bytes()
    at = clients(broker)
    at.create_topic("t", {"segment.bytes": str(1 << 20)})
    at.produce("t", ((None, RECORD) for _ in range(2_000)), compression_type="none")
    assert len(list(broker.partition("t").glob("*.log"))) >= 19
    assert broker.stop() == EXIT_OK
    return broker, empty


def test_after_a_clean_stop_no_log_is_read(filled: tuple[BrokerProcess, int]) -> None:
    broker, empty = filled
    broker.start()
    assert broker.read_bytes() - empty < 50_000


def test_after_a_kill_only_segments_past_the_recovery_point_are_read(
    filled: tuple[BrokerProcess, int], clients: MakeClients
) -> None:
    broker, empty = filled
    broker.start()
    at = clients(broker)
    insist(at.produce, "t", ((None, RECORD) for _ in range(300)))
    broker.kill_and_start()
    # The segment that holds the recovery point, and the three after it; a header and its batch count twice.
    read = broker.read_bytes() - empty
    assert 3_000_000 < read < 6_000_000
    assert insist(at.offsets, "t") == (0, 2_300)


def test_a_kill_during_recovery_costs_nothing_but_another_recovery(
    filled: tuple[BrokerProcess, int], clients: MakeClients
) -> None:
    broker, _ = filled
    for name in ("recovery-point-offset-checkpoint", ".kafka_cleanshutdown"):
        (broker.data / name).unlink()
    for pause_s in (0.1, 0.2, 0.3, 0.4):
        broker.spawn()
        time.sleep(pause_s)
        broker.kill()
    broker.start()
    at = clients(broker)
    assert len(insist(at.read, "t")) == 2_000


def test_the_ready_line_comes_when_clients_may(start_broker: StartBroker, clients: MakeClients) -> None:
    broker = start_broker()
    with socket.create_connection(("127.0.0.1", broker.port), timeout=1):
        pass
    with pytest.raises(KafkaException):
        clients(broker).offsets("no-such-topic")
