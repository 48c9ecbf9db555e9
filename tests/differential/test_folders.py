"""What one broker wrote, another reads: transactions that were committed, aborted, and left open."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import bench.brokers
import bench.kafka.broker
import pytest
from bench.brokers import Running
from bench.kafka.install import Kafka, KafkaUnavailableError, install

from .batches import START_MS, batch
from .brokers import KAFKA_VERSION, SETTINGS, Broker, Connection
from .codec import Codec, load

TOPIC = "t"
FOLDER = "t-0"
UNVERIFIED = {**SETTINGS, "transaction.partition.verification.enable": "false"}
TRANSACTIONAL_ID = "x"
GROUP = "g"
COORDINATED = ("t-0", "__transaction_state-0", "__consumer_offsets-0")
UNSTABLE_OFFSET_COMMIT = 88
CLEAN_STOP = ".kafka_cleanshutdown"
CHECKPOINTS = (
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
)
LARGE: Final = b"x" * 400_000
"""Three of them fill a segment of the least size."""
COMMITTED, ABORTED, OPEN, SOON_ENDED = 4_000, 4_001, 4_002, 4_003


@pytest.fixture(params=[False, True], ids=["stopped", "killed"])
def crashes(request: pytest.FixtureRequest) -> bool:
    """How the writer ends: a log that was killed has to be recovered by who reads it."""
    if not request.param and not request.config.getoption("--full"):
        pytest.skip("the writer is killed, and with --full stopped as well")
    return bool(request.param)


class Installed(NamedTuple):
    release: Kafka
    codec: Codec


@pytest.fixture(scope="module")
def installed() -> Installed:
    try:
        release = install(KAFKA_VERSION).short_lived()
    except KafkaUnavailableError as error:
        pytest.skip(f"Apache Kafka cannot be run here: {error}")
    return Installed(release, load(release.jars / f"kafka-clients-{release.version}.jar"))


class Node:
    """A broker with a folder, which may be stopped and started."""

    def __init__(self, kind: str, installed: Installed, folder: Path) -> None:
        self.kind = kind
        self._installed = installed
        self._folder = folder
        folder.mkdir()

    @property
    def logs(self) -> Path:
        return self._folder / "log" if self.kind == "kafka" else self._folder

    @contextlib.contextmanager
    def running(self, *, crashes: bool = False) -> Iterator[Client]:
        settings = tuple(f"{name}={value}" for name, value in UNVERIFIED.items())
        with contextlib.ExitStack() as stack:
            process: Running
            if self.kind == "kafka":
                process = stack.enter_context(
                    bench.kafka.broker.kafka(
                        self._installed.release, data=str(self._folder), settings=settings
                    )
                )
            else:
                process = stack.enter_context(bench.brokers.ottla(data=str(self._folder), settings=settings))
            host, port = process.address.rsplit(":", 1)
            client = Client(Broker(self.kind, (host, int(port)), self._installed.codec))
            stack.callback(client.close)
            yield client
            if crashes:
                process.crash()

    def make_topic(self, *, coordinated: bool = False) -> None:
        with self.running() as client:
            client.make_topic()
            if coordinated:
                client.await_coordinator()

    def take_over(self, other: Node, *folders: str) -> None:
        """Have the other's logs, and its checkpoints, in place of own ones; not their topic ids."""
        for folder in folders:
            own = (self.logs / folder / "partition.metadata").read_bytes()
            shutil.rmtree(self.logs / folder)
            shutil.copytree(other.logs / folder, self.logs / folder)
            (self.logs / folder / "partition.metadata").write_bytes(own)
        for name in (*CHECKPOINTS, CLEAN_STOP):
            (self.logs / name).unlink(missing_ok=True)
            if (other.logs / name).exists():
                shutil.copy(other.logs / name, self.logs / name)


class Client:
    """Writes and reads one partition."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connection = Connection(broker)

    def close(self) -> None:
        self._connection.close()
        self._broker.close()

    def make_topic(self) -> None:
        wanted = {
            "name": TOPIC, "num_partitions": 1, "replication_factor": 1,
            "configs": [{"name": "segment.bytes", "value": str(1 << 20)}],
        }  # fmt: skip
        (made,) = self._connection.ask("CreateTopics", 7, {"topics": [wanted], "timeout_ms": 10_000})[
            "topics"
        ]
        assert made["error_code"] == 0, made
        self.await_topic()

    def await_topic(self) -> None:
        self._broker.eventually(lambda: self._list(-1, 0))

    def await_coordinator(self) -> None:
        """Of the transactional id."""
        asked = {"key_type": 1, "coordinator_keys": [TRANSACTIONAL_ID]}
        self._broker.eventually(lambda: self._connection.ask("FindCoordinator", 4, asked))
        self._broker.eventually(self.describe_transaction)
        asked = {"key_type": 0, "coordinator_keys": [GROUP]}
        self._broker.eventually(lambda: self._connection.ask("FindCoordinator", 4, asked))
        self._broker.eventually(lambda: self.offset(stable=False))

    def commit_offset(self, producer: int, epoch: int, offset: int) -> None:
        """In the producer's transaction."""
        who = {"transactional_id": TRANSACTIONAL_ID, "producer_id": producer, "producer_epoch": epoch}
        self._broker.eventually(
            lambda: self._connection.ask("AddOffsetsToTxn", 3, {**who, "group_id": GROUP})
        )
        partitions = [{"partition_index": 0, "committed_offset": offset}]
        body = {**who, "group_id": GROUP, "topics": [{"name": TOPIC, "partitions": partitions}]}
        self._broker.eventually(lambda: self._connection.ask("TxnOffsetCommit", 3, body))

    def offset(self, *, stable: bool) -> dict[str, Any]:
        """What the group has committed, with its error."""
        topics = [{"name": TOPIC, "partition_indexes": [0]}]
        body = {"groups": [{"group_id": GROUP, "topics": topics}], "require_stable": stable}
        (group,) = self._connection.ask("OffsetFetch", 8, body)["groups"]
        told: dict[str, Any] = group["topics"][0]["partitions"][0] if group["topics"] else group
        return told

    def describe_transaction(self) -> dict[str, Any]:
        """The state of the transactional id, but for its times."""
        asked = {"transactional_ids": [TRANSACTIONAL_ID]}
        (told,) = self._connection.ask("DescribeTransactions", 0, asked)["transaction_states"]
        topics = sorted(told["topics"], key=lambda topic: topic["topic"])
        return {**told, "transaction_start_time_ms": None, "topics": topics}

    def begin_transaction(self) -> tuple[int, int]:
        """The producer, whose transaction has the partition then, and its epoch."""
        asked = {"transactional_id": TRANSACTIONAL_ID, "transaction_timeout_ms": 600_000}
        given = self._broker.eventually(lambda: self._connection.ask("InitProducerId", 4, asked))
        producer, epoch = given["producer_id"], given["producer_epoch"]
        places = [{"name": TOPIC, "partitions": [0]}]
        body = {
            "v3_and_below_transactional_id": TRANSACTIONAL_ID, "v3_and_below_producer_id": producer,
            "v3_and_below_producer_epoch": epoch, "v3_and_below_topics": places,
        }  # fmt: skip
        self._broker.eventually(lambda: self._connection.ask("AddPartitionsToTxn", 3, body))
        return producer, epoch

    def end_transaction(self, producer: int, epoch: int, *, committed: bool) -> None:
        """Returns when its markers are written."""
        body = {
            "transactional_id": TRANSACTIONAL_ID, "producer_id": producer, "producer_epoch": epoch,
            "committed": committed,
        }  # fmt: skip
        assert self._connection.ask("EndTxn", 3, body)["error_code"] == 0
        self._broker.eventually(
            lambda: self.describe_transaction()["transaction_state"].startswith("Complete") or None
        )

    def produce(
        self, producer: int, sequence: int, value: bytes = b"v", *, epoch: int = 0
    ) -> tuple[int, int]:
        """The error and the base offset of a batch; of a transaction where there is a producer."""
        numbered = {"producer_id": producer, "producer_epoch": epoch, "base_sequence": sequence}
        records = batch(value, is_transactional=True, **numbered) if producer >= 0 else batch(value)
        data = [{"name": TOPIC, "partition_data": [{"index": 0, "records": records}]}]
        body = {"transactional_id": "x", "acks": -1, "timeout_ms": 10_000, "topic_data": data}
        answer = self._connection.ask("Produce", 11, body)["responses"][0]["partition_responses"][0]
        return answer["error_code"], answer["base_offset"]

    def end(self, producer: int, *, committed: bool, epoch: int = 0) -> int:
        marker = {
            "producer_id": producer, "producer_epoch": epoch, "transaction_result": committed,
            "topics": [{"name": TOPIC, "partition_indexes": [0]}], "coordinator_epoch": 3,
            "transaction_version": 0,
        }  # fmt: skip
        answer = self._connection.ask("WriteTxnMarkers", 1, {"markers": [marker]})
        return int(answer["markers"][0]["topics"][0]["partitions"][0]["error_code"])

    def write_history(self) -> None:
        """Over several segments: transactions of four producers, each other's neighbours."""
        for producer in (COMMITTED, ABORTED):
            assert self.produce(producer, 0, LARGE)[0] == 0
        assert self.produce(-1, -1)[0] == 0
        assert self.produce(COMMITTED, 1, LARGE)[0] == 0
        assert self.produce(ABORTED, 1)[0] == 0
        assert self.end(COMMITTED, committed=True, epoch=1) == 0
        assert self.produce(COMMITTED, 0, epoch=1)[0] == 0
        assert self.end(COMMITTED, committed=False, epoch=1) == 0
        assert self.produce(SOON_ENDED, 0, LARGE)[0] == 0
        assert self.end(ABORTED, committed=False) == 0
        for sequence in range(3):
            assert self.produce(OPEN, sequence)[0] == 0
        assert self.end(SOON_ENDED, committed=True) == 0
        assert self.produce(-1, -1, LARGE)[0] == 0

    def view(self) -> dict[str, Any]:
        """All that a reader is told, but for the records."""
        return {
            "offsets": [self._list(timestamp, level) for timestamp in (-1, -2, START_MS) for level in (0, 1)],
            "read": [self._read(offset, level) for offset in range(16) for level in (0, 1)],
            "producers": self._producers(),
        }

    def _list(self, timestamp: int, isolation_level: int) -> dict[str, Any]:
        asked = {"partition_index": 0, "timestamp": timestamp, "current_leader_epoch": -1}
        body = {
            "replica_id": -1, "isolation_level": isolation_level,
            "topics": [{"name": TOPIC, "partitions": [asked]}],
        }  # fmt: skip
        answer = self._connection.ask("ListOffsets", 5, body)["topics"][0]["partitions"][0]
        return {**answer, "leader_epoch": None}

    def _read(self, offset: int, isolation_level: int) -> dict[str, Any]:
        asked = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 22}
        body = {
            "max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 22, "isolation_level": isolation_level,
            "topics": [{"topic": TOPIC, "partitions": [asked]}],
        }  # fmt: skip
        answer = self._connection.ask("Fetch", 12, body)["responses"][0]["partitions"][0]
        return {**answer, "records": len(answer["records"] or b"")}

    def _producers(self) -> list[dict[str, Any]]:
        asked = {"topics": [{"name": TOPIC, "partition_indexes": [0]}]}
        answer = self._connection.ask("DescribeProducers", 0, asked)["topics"][0]["partitions"][0]
        return sorted(answer["active_producers"], key=lambda each: each["producer_id"])


@pytest.mark.xdist_group("differential")
@pytest.mark.parametrize(("writer", "reader"), [("kafka", "ottla"), ("ottla", "kafka"), ("ottla", "ottla")])
def test_the_transactions_of_a_log_are_what_its_writer_says(
    installed: Installed, tmp_path: Path, writer: str, reader: str, crashes: bool
) -> None:
    theirs = Node(writer, installed, tmp_path / "theirs")
    with theirs.running(crashes=crashes) as client:
        client.make_topic()
        client.write_history()
        told = client.view()
    ours = Node(reader, installed, tmp_path / "ours")
    ours.make_topic()
    ours.take_over(theirs, FOLDER)
    with ours.running() as client:
        client.await_topic()
        assert client.view() == told
        assert told["offsets"][0]["offset"] - told["offsets"][1]["offset"] > 1, "one is open"
        go_on(client, batches_are_known=crashes and reader == "ottla")


def go_on(client: Client, *, batches_are_known: bool) -> None:
    """Where the last one stopped. A snapshot has only a producer's last batch, and Kafka writes one when it
    recovers a log; Ottla knows the batches before as well, when it had to read them.
    """
    last = client.view()["offsets"][0]["offset"]
    assert client.produce(OPEN, 5)[0] == 45, "out of order"
    assert client.produce(ABORTED, 0) != (0, last), "of the epoch that was fenced or repeated"
    assert client.produce(OPEN, 1) == ((0, last - 4) if batches_are_known else (45, -1))
    assert client.produce(OPEN, 2) == (0, last - 3), "repeated"
    assert client.produce(OPEN, 3) == (0, last)
    assert client.end(OPEN, committed=False, epoch=1) == 0
    after = client.view()
    assert after["offsets"][0]["offset"] == after["offsets"][1]["offset"] == last + 2
    assert {OPEN, ABORTED} <= {
        each["producer_id"] for read in after["read"] for each in read["aborted_transactions"] or ()
    }


@pytest.mark.xdist_group("differential")
@pytest.mark.parametrize(("writer", "reader"), [("kafka", "ottla"), ("ottla", "kafka")])
def test_a_coordinator_goes_on_with_the_transactions_of_another(
    installed: Installed, tmp_path: Path, writer: str, reader: str, crashes: bool
) -> None:
    committed = not crashes
    theirs = Node(writer, installed, tmp_path / "theirs")
    with theirs.running(crashes=crashes) as client:
        client.make_topic()
        client.await_coordinator()
        producer, epoch = client.begin_transaction()
        assert client.produce(producer, 0, epoch=epoch) == (0, 0)
        client.commit_offset(producer, epoch, 5)
        client.end_transaction(producer, epoch, committed=True)
        producer, epoch = client.begin_transaction()
        assert client.produce(producer, 0, epoch=epoch) == (0, 2)
        client.commit_offset(producer, epoch, 9)
        told, seen, offset = client.describe_transaction(), client.view(), client.offset(stable=False)
    assert (told["transaction_state"], offset["committed_offset"]) == ("Ongoing", 5)
    ours = Node(reader, installed, tmp_path / "ours")
    ours.make_topic(coordinated=True)
    ours.take_over(theirs, *COORDINATED)
    with ours.running() as client:
        client.await_topic()
        client.await_coordinator()
        assert (client.describe_transaction(), client.view()) == (told, seen)
        assert client.offset(stable=False) == offset
        assert client.offset(stable=True)["error_code"] == UNSTABLE_OFFSET_COMMIT
        assert client.produce(producer, 1, epoch=epoch) == (0, 3)
        client.end_transaction(producer, epoch, committed=committed)
        assert client.offset(stable=True)["committed_offset"] == (9 if committed else 5)
        latest, stable = (each["offset"] for each in client.view()["offsets"][:2])
        assert latest == stable == 5


@pytest.mark.xdist_group("differential")
def test_kafkas_tool_reads_the_log_of_the_coordinator(installed: Installed, tmp_path: Path) -> None:
    node = Node("ottla", installed, tmp_path / "ottla")
    with node.running() as client:
        client.make_topic()
        client.await_coordinator()
        for committed in (True, False):
            producer, epoch = client.begin_transaction()
            assert client.produce(producer, 0, epoch=epoch)[0] == 0
            client.end_transaction(producer, epoch, committed=committed)
    files = sorted((node.logs / "__transaction_state-0").glob("0*.log"))
    dumped = dump(installed, *files, decoder="--transaction-log-decoder")
    states = ("Empty", "Ongoing", "PrepareCommit", "CompleteCommit", "PrepareAbort", "CompleteAbort")
    for state in states:
        assert state.upper() in dumped.upper().replace("_", ""), dumped


@pytest.mark.xdist_group("differential")
def test_kafkas_tool_reads_offsets_that_are_committed_in_transactions(
    installed: Installed, tmp_path: Path
) -> None:
    """Committed, aborted and pending ones, as it reads those of Kafka."""
    told: dict[str, list[str]] = {}
    for kind in ("kafka", "ottla"):
        node = Node(kind, installed, tmp_path / kind)
        with node.running() as client:
            client.make_topic()
            client.await_coordinator()
            for offset, committed in ((5, True), (9, False), (12, None)):
                producer, epoch = client.begin_transaction()
                assert client.produce(producer, 0, epoch=epoch)[0] == 0
                client.commit_offset(producer, epoch, offset)
                if committed is not None:
                    client.end_transaction(producer, epoch, committed=committed)
        files = sorted((node.logs / "__consumer_offsets-0").glob("0*.log"))
        told[kind] = offset_records(dump(installed, *files, decoder="--offsets-decoder"))
    assert told["ottla"] == told["kafka"]
    assert sum('"offset":' in line for line in told["ottla"]) == 3
    assert [line.split()[-3] for line in told["ottla"] if "endTxnMarker" in line] == ["COMMIT", "ABORT"]


@pytest.mark.xdist_group("differential")
def test_kafkas_tool_reads_the_transactions_of_a_log(installed: Installed, tmp_path: Path) -> None:
    node = Node("ottla", installed, tmp_path / "ottla")
    with node.running() as client:
        client.make_topic()
        client.write_history()
        told = client.view()
    files = sorted((node.logs / FOLDER).glob("0*"))
    dumped = dump(installed, *(each for each in files if each.suffix in {".log", ".txnindex", ".snapshot"}))
    assert dumped.count("endTxnMarker: COMMIT coordinatorEpoch: 3") == 2
    assert dumped.count("endTxnMarker: ABORT coordinatorEpoch: 3") == 2
    aborted = {
        (each["producer_id"], each["first_offset"])
        for read in told["read"]
        for each in read["aborted_transactions"] or ()
    }
    for producer_id, first_offset in aborted:
        assert f"producerId: {producer_id} firstOffset: {first_offset} " in dumped
    (open_,) = (each for each in told["producers"] if each["current_txn_start_offset"] >= 0)
    assert (
        f"producerId: {OPEN} producerEpoch: 0 coordinatorEpoch: -1 "
        f"currentTxnFirstOffset: OptionalLong[{open_['current_txn_start_offset']}]"
    ) in dumped


def offset_records(dumped: str) -> list[str]:
    """Of a dump, without what differs from run to run: times, ids, and checksums of both."""
    varying = r'(CreateTime: |"commitTimestamp":|"topicId":|crc: |producerId: )("[^"]*"|\d+)'
    return [re.sub(varying, r"\1?", line) for line in dumped.splitlines()[1:]]


def dump(installed: Installed, *files: Path, decoder: str = "--print-data-log") -> str:
    names = ",".join(str(each) for each in files)
    command = installed.release.command(
        "org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", decoder, "--files", names
    )
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Found invalid" not in done.stdout
    return done.stdout
