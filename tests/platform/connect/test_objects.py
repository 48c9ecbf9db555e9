"""Topics into objects of a server of S3, while the worker is killed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.platform.connect.object_stores import S3
from tests.platform.connect.test_distributed import settings as group_settings
from tests.platform.connect.worker_process import WorkerProcess, wait_until

from ottla import client
from ottla.client.admin.topics import NewTopic
from ottla.connect.connectors.objects.sink import ObjectSinkConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.errors import ConnectError
from ottla.connect.records import SinkRecord
from ottla.connect.testing import SinkKit
from ottla.testing import InProcessBroker

Start = Callable[..., WorkerProcess]
PARTITIONS = 2


def _produce(broker: InProcessBroker, topic: str, lines: list[str]) -> None:
    """Slowly, each partition its own lines."""
    with client.connect(broker.bootstrap_servers) as connected, connected.producer() as producer:
        for number, line in enumerate(lines):
            producer.send(topic, line.encode(), partition=number % PARTITIONS)
            if number % 500 == 0:
                producer.flush()


@pytest.mark.timeout(240)
def test_each_row_is_in_one_object_whenever_the_worker_is_killed(
    start: Start, tmp_path: Path, broker: InProcessBroker, s3: S3, request: pytest.FixtureRequest
) -> None:
    count, kills = (200_000, 20) if request.config.getoption("--full") else (8_000, 1)
    size = 100
    lines = [f"line {number}" for number in range(count)]
    with client.connect(broker.bootstrap_servers) as connected:
        connected.admin.topics.create([NewTopic("objects", PARTITIONS)])
    sending = threading.Thread(target=_produce, args=(broker, "objects", lines))
    settings = {
        "connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": "objects", "tasks.max": "2",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat", "flush.size": str(size),
        "consumer.override.max.poll.records": "150", "consumer.override.session.timeout.ms": "6000",
        **s3.settings,
    }  # fmt: skip
    group = group_settings("objects")
    worker = start("distributed", **group)
    assert worker.ready().call("PUT", "/connectors/objects/config", settings).status == 201
    sending.start()
    wanted = count // size
    for kill in range(kills):
        at = wanted * (kill + 1) // (kills + 2)
        wait_until(lambda: len(s3.objects("topics/objects")) >= at)  # noqa: B023 - called at once
        worker.kill()
        worker = start("distributed", **group)
        worker.ready()
    sending.join()
    wait_until(lambda: len(s3.objects("topics/objects")) >= wanted)
    objects = s3.objects("topics/objects")
    starts = [
        f"objects+{part}+{at:010d}.json" for part in range(PARTITIONS) for at in range(0, count // 2, size)
    ]
    assert sorted(objects) == starts
    read = [objects[name].decode().splitlines() for name in starts]
    assert [line for rows in read for line in rows] == [
        f'"line {number}"' for part in range(PARTITIONS) for number in range(part, count, PARTITIONS)
    ]


def _records(count: int) -> list[SinkRecord]:
    return [SinkRecord("t", 0, offset, value=f"v{offset}") for offset in range(count)]


def test_a_store_that_refuses_fails_the_task_in_words(s3: S3) -> None:
    given = {**s3.settings, "format.class": "JsonFormat", "flush.size": "1", "s3.part.retries": "0"}
    for changed, said in (
        ({"s3.bucket.name": "nobody"}, "there is no nobody: make the bucket first"),
        ({"aws.secret.access.key": "wrong"}, "bucket cannot be looked at"),
    ):
        with pytest.raises(TargetError, match=said), SinkKit(ObjectSinkConnector, {**given, **changed}):
            pass
    with (
        pytest.raises(ConnectError, match="bucket cannot be looked at"),
        SinkKit(ObjectSinkConnector, {**given, "store.url": "http://127.0.0.1:1"}),
    ):
        pass


def test_large_objects_and_parts(s3: S3) -> None:
    given = {**s3.settings, "format.class": "ByteArrayFormat", "flush.size": "3", "topics.dir": "large"}
    values = [bytes([number]) * (5 << 20) for number in range(3)]
    with SinkKit(ObjectSinkConnector, given) as kit:
        kit.put("t", [SinkRecord("t", 0, offset, value=value) for offset, value in enumerate(values)])
    assert s3.objects("large") == {"t+0+0000000000.bin": b"".join(value + b"\n" for value in values)}
