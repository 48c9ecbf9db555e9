"""The client for scripts and notebooks, and what processes do to it: interrupts, forks, their end."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.client.columns.columns import Columns, Record
from ottla.client.consumer.membership import RebalanceListener
from ottla.client.core.metadata import TopicPartition
from ottla.client.errors import (
    BrokerError,
    BrokerUnreachableError,
    ClientClosedError,
    ClientError,
    ConfigurationError,
    RequestTimeoutError,
)
from ottla.testing import run_broker

EARLIEST = {"auto.offset.reset": "earliest"}


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with run_broker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def topic(servers: str, request: pytest.FixtureRequest) -> str:
    name = "".join(each if each.isalnum() else "-" for each in request.node.name)
    with client.connect(servers) as c:
        c.admin.topics.create([NewTopic(name, partitions=1)])
    return name


def client_threads() -> int:
    return sum(thread.name == "ottla-client" for thread in threading.enumerate())


def wait_for_threads(count: int) -> None:
    deadline = time.monotonic() + 20
    while client_threads() != count:
        assert time.monotonic() < deadline
        gc.collect()
        time.sleep(0.01)


def script(servers: str, topic: str, body: str) -> subprocess.Popen[str]:
    text = f"SERVERS, TOPIC = {servers!r}, {topic!r}\nfrom ottla import client\n" + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def values(servers: str, topic: str) -> list[bytes | None]:
    """All that there is."""
    with client.connect(servers) as c, c.consumer(settings=EARLIEST) as consumer:
        consumer.assign([(topic, 0)])
        end = consumer.end_offsets([(topic, 0)])[TopicPartition(topic, 0)]
        records = consumer.records(timeout_s=20)
        return [next(records).value for _ in range(end)]


def test_records_go_and_come(servers: str, topic: str) -> None:
    with client.connect(servers) as c:
        with c.producer() as producer:
            sent = [producer.send(topic, b"%d" % number, key=b"k") for number in range(3000)]
            assert sent[0].result().offset == 0
            producer.flush()
            assert all(each.is_done for each in sent)
            assert [each.result().offset for each in sent] == list(range(3000))
        with c.consumer([topic], group=f"{topic}-group", settings=EARLIEST) as consumer:
            batch = consumer.poll(max_records=10, timeout_s=20)
            assert batch is not None
            assert [record.value for record in batch] == [b"%d" % number for number in range(10)]
            batch.commit()
            assert consumer.committed([(topic, 0)])[(topic, 0)].offset == 10  # type: ignore[index, union-attr]
            records = consumer.records(timeout_s=1)
            assert next(records).value == b"10"
            consumer.commit()
            assert consumer.committed([(topic, 0)])[(topic, 0)].offset == 11  # type: ignore[index, union-attr]
            assert sum(1 for _ in records) == 2989
            consumer.seek((topic, 0), 2999)
            assert next(consumer.records(timeout_s=20)).offset == 2999
            assert consumer.end_offsets(consumer.assignment()) == {(topic, 0): 3000}


def test_columns_go_and_come(servers: str, topic: str) -> None:
    columns = Columns.of(Record(topic, 0, 0, 5, 0, b"k%d" % number, b"v") for number in range(100))
    with client.connect(servers) as c, c.producer() as producer:
        assert producer.write(topic, columns) == (100, {0: (0, 99)})
        with c.consumer(settings=EARLIEST) as consumer:
            consumer.assign([(topic, 0)])
            batch = consumer.poll(max_records=1000, timeout_s=20)
            assert batch is not None
            assert batch.columns.key == columns.key


def test_errors_are_told_where_they_happen(servers: str, topic: str) -> None:
    with client.connect(servers) as c:
        with pytest.raises(BrokerError, match="topic_already_exists"):
            c.admin.topics.create([NewTopic(topic)]).check()
        with c.producer(max_request_size=2000) as producer:
            large, small = producer.send(topic, b"x" * 3000), producer.send(topic, b"x")
            with pytest.raises(BrokerError, match="message_too_large"):
                large.result()
            assert small.result().offset == 0
        with pytest.raises(ClientClosedError):
            producer.send(topic, b"x")
        with c.producer(linger_ms=60_000) as producer:
            sent = producer.send(topic, b"x")
            with pytest.raises(RequestTimeoutError, match=r"not delivered within 0.02 s"):
                sent.result(0.02)
    with pytest.raises(ClientClosedError):
        c.producer()


def test_what_is_no_record_is_not_handed_over(servers: str, topic: str) -> None:
    with client.connect(servers) as c, c.producer() as producer:
        with pytest.raises(TypeError):
            producer.send(topic, 5)  # type: ignore[arg-type]
        assert not producer._handover._queue
        assert producer.send(topic, b"v").result().offset == 0


def test_settings_belong_somewhere(servers: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"linger.ms is a setting of producers: client.producer\(...\)"
    ):
        client.connect(servers, linger_ms=5)
    with pytest.raises(ConfigurationError, match="given twice: client_id"):
        client.connect(servers, {"client.id": "a"}, client_id="b")
    with client.connect(servers) as c:
        with pytest.raises(ConfigurationError, match=r"client.id is a setting of the client: connect\(...\)"):
            c.producer(client_id="x")
        with pytest.raises(ConfigurationError, match=r"did you mean isolation.level\?"):
            c.consumer(isolation_levle="read_committed")


def test_nobody_there_is_told_at_once() -> None:
    with run_broker() as broker:
        gone = broker.bootstrap_servers
    before = client_threads()
    with pytest.raises(BrokerUnreachableError, match=f"{gone}: connection refused"):
        client.connect(gone)
    assert client_threads() == before
    with pytest.raises(ConfigurationError, match=r"bootstrap.servers names no broker"):
        client.connect()


def test_what_is_forgotten_ends(servers: str, topic: str) -> None:
    before = client_threads()
    producer = client.connect(servers).producer()
    gc.collect()
    assert producer.send(topic, b"still there").result().offset == 0, "the producer keeps its client"
    sent = producer.send(topic, b"last")
    assert client_threads() == before + 1
    del producer
    gc.collect()
    assert sent.result().offset == 1
    del sent
    wait_for_threads(before)


def test_a_cell_that_is_run_twice_does_no_harm(servers: str, topic: str) -> None:
    """The second run takes the partitions over from what the first has left behind."""
    before = client_threads()
    cell = textwrap.dedent("""
        c = client.connect(servers)
        p = c.producer()
        p.send(topic, b"v").result()
        settings = {"auto.offset.reset": "earliest", "enable.auto.commit": False}
        reader = c.consumer([topic], group=f"{topic}-cell", settings=settings)
        batch = next(reader.batches(timeout_s=20))
        count = len(batch)
    """)
    notebook = {"client": client, "servers": servers, "topic": topic}
    for run in (1, 2, 3):
        exec(cell, notebook)
        assert notebook["count"] == run  # type: ignore[comparison-overlap]
    notebook.clear()
    wait_for_threads(before)


def test_a_listener_may_call_the_client(servers: str, topic: str) -> None:
    seen: list[object] = []

    class Listener(RebalanceListener):
        def on_assigned(self, partitions: list[TopicPartition]) -> None:
            seen.append(consumer.assignment())
            for each in partitions:
                consumer.seek(each, 2)

        def on_revoked(self, partitions: list[TopicPartition]) -> None:
            consumer.commit()
            seen.append(consumer.committed(partitions)[TopicPartition(topic, 0)].offset)

    with client.connect(servers) as c:
        with c.producer() as producer:
            for number in range(5):
                producer.send(topic, b"%d" % number)
        settings = {"enable.auto.commit": False, **EARLIEST}
        with c.consumer(group=f"{topic}-group", settings=settings) as consumer:
            consumer.subscribe([topic], listener=Listener())
            batch = consumer.poll(timeout_s=20)
            assert batch is not None
            assert [record.value for record in batch] == [b"2", b"3", b"4"]
    assert seen == [[(topic, 0)], 5]


def test_a_listener_that_raises_or_polls_is_told_of(servers: str, topic: str) -> None:
    class Polls(RebalanceListener):
        def on_assigned(self, partitions: list[TopicPartition]) -> None:
            consumer.poll(timeout_s=1)

    class Raises(RebalanceListener):
        async def on_assigned(self, partitions: list[TopicPartition]) -> None:
            raise ZeroDivisionError

    with client.connect(servers) as c:
        for listener, error in ((Polls(), ClientError), (Raises(), ZeroDivisionError)):
            with c.consumer([topic], group=f"{topic}-group", listener=listener) as consumer:
                with pytest.raises(error):
                    consumer.poll(timeout_s=20)
                assert consumer.assignment() == [(topic, 0)]


def test_threads_may_share_a_producer(servers: str, topic: str) -> None:
    with client.connect(servers) as c, c.producer() as producer:

        def work(number: int) -> None:
            for each in range(2000):
                producer.send(topic, b"%d %d" % (number, each))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    got = values(servers, topic)
    assert len(got) == 8000
    for number in range(4):
        assert [each for each in got if (each or b"").startswith(b"%d " % number)] == [
            b"%d %d" % (number, each) for each in range(2000)
        ]


def test_a_process_delivers_what_it_sent_before_it_ends(servers: str, topic: str) -> None:
    process = script(
        servers,
        topic,
        """
        c = client.connect(SERVERS)
        p = c.producer(linger_ms=1000)
        for number in range(10):
            p.send(TOPIC, b"%d" % number)
        """,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    assert values(servers, topic) == [b"%d" % number for number in range(10)]


def test_an_interrupt_ends_a_wait_and_the_client_goes_on(servers: str, topic: str) -> None:
    process = script(
        servers,
        topic,
        """
        with client.connect(SERVERS) as c, c.consumer() as consumer:
            consumer.assign([(TOPIC, 0)])
            try:
                print("waiting", flush=True)
                consumer.poll()
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            with c.producer() as p:
                print(p.send(TOPIC, b"v").result().offset)
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "interrupted\n0\n", "")


def test_a_batch_that_comes_as_a_poll_is_interrupted_comes_again(
    servers: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken, and nobody had it: nothing may be committed past it."""
    result = concurrent.futures.Future.result

    def interrupted(future: concurrent.futures.Future[object], timeout: float | None = None) -> object:
        result(future, timeout)
        raise KeyboardInterrupt

    with client.connect(servers) as c:
        with c.producer() as producer:
            for number in range(10):
                producer.send(topic, b"%d" % number)
        with c.consumer([topic], group=f"{topic}-group", settings=EARLIEST) as consumer:
            first = consumer.poll(max_records=3, timeout_s=20)
            assert first is not None
            with monkeypatch.context() as patched:
                patched.setattr(concurrent.futures.Future, "result", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    consumer.poll(max_records=3, timeout_s=20)
            again = consumer.poll(max_records=2, timeout_s=20)
            assert again is not None
            assert [record.value for record in again] == [b"3", b"4"]


def test_a_fork_is_refused_and_harms_nobody(servers: str, topic: str) -> None:
    process = script(
        servers,
        topic,
        """
        import os
        c = client.connect(SERVERS)
        p = c.producer()
        p.send(TOPIC, b"parent").result()
        if os.fork() == 0:
            for refused in (lambda: p.send(TOPIC, b""), lambda: c.admin.topics.list(), lambda: c.producer()):
                try:
                    refused()
                except client.ClientError as error:
                    print(error, flush=True)
            with client.connect(SERVERS) as own, own.producer() as q:
                print(q.send(TOPIC, b"child").result().offset, flush=True)
            raise SystemExit
        os.wait()
        print(p.send(TOPIC, b"parent").result().offset)
        """,
    )
    out, err = process.communicate(timeout=60)
    refusal = "this client was made before a fork; make a new one in each process\n"
    assert (process.returncode, out, err) == (0, refusal * 3 + "1\n2\n", "")


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts the process's open files in /proc")
def test_nothing_is_left_open(servers: str) -> None:
    def connect() -> None:
        with client.connect(servers) as c:
            c.admin.topics.list()

    connect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        connect()
    deadline = time.monotonic() + 20  # the broker is in this process too, and closes its ends a little later
    while len(os.listdir("/proc/self/fd")) >= before + 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) < before + 5


def test_a_record_that_got_nowhere_fails_its_transaction(servers: str, topic: str) -> None:
    """Even if nobody asks for its result: the others must not be committed without it."""
    with client.connect(servers) as c, c.producer(transactional_id=topic) as producer:
        producer.begin_transaction()
        producer.send(topic, b"small")
        producer.send(topic, bytes(2_000_000))
        with pytest.raises(ClientError, match="max.request.size"):
            producer.commit_transaction()
        producer.abort_transaction()
        with producer.transaction():
            producer.send(topic, b"fine")
