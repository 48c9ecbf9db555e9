"""Redis in and out, beside Debian's server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.platform.connect.databases import free_port
from tests.platform.connect.services import polled, redis_server

from ottla.connect.connectors.redis.sink import PlainRedisSinkConnector, RedisSinkConnector
from ottla.connect.connectors.redis.sources import RedisKeysSourceConnector, RedisStreamSourceConnector
from ottla.connect.connectors.sinks import TargetError
from ottla.connect.data import FLOAT64, INT32, OPTIONAL_STRING, STRING, Struct, Value, struct_of
from ottla.connect.errors import ConnectError, RetriableError
from ottla.connect.records import SinkRecord
from ottla.connect.testing import SinkKit, SourceKit

pytestmark = pytest.mark.xdist_group("redis")

PERSON = struct_of({"id": INT32, "name": OPTIONAL_STRING})


@pytest.fixture
def server(redis_port: int) -> Iterator[redis.Redis]:
    client = redis.Redis(port=redis_port, decode_responses=True)
    client.flushall()
    yield client
    client.close()


def sink(port: int, **settings: str) -> SinkKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return SinkKit(RedisSinkConnector, {"redis.uri": f"redis://127.0.0.1:{port}", **named})


def record(key: Value, value: Value, offset: int = 0, partition: int = 0) -> SinkRecord:
    schema = value.schema if isinstance(value, Struct) else None
    return SinkRecord("t", partition, offset, key=key, value_schema=schema, value=value)


def test_hashes_follow_their_records(server: redis.Redis, redis_port: int) -> None:
    with sink(redis_port, redis_type="HASH", batch_size="2") as kit:
        kit.put("t", [
            record("1", Struct(PERSON, {"id": 1, "name": "ä"})),
            record(2, {"id": 2, "tags": ["a", "b"], "raw": b"\0"}),
            record("3", Struct(PERSON, {"id": 3, "name": "gone"})),
            record("3", None),
            record("1", Struct(PERSON, {"id": 7, "name": None})),
        ])  # fmt: skip
    assert server.hgetall("t:1") == {"id": "7"}
    assert server.hgetall("t:2") == {"id": "2", "tags": '["a","b"]', "raw": "\0"}
    assert server.keys() == ["t:1", "t:2"] or server.keys() == ["t:2", "t:1"]


def test_strings_of_the_plain_connector_have_their_keys_alone(server: redis.Redis, redis_port: int) -> None:
    config = {"redis.hosts": f"127.0.0.1:{redis_port}", "redis.database": "3"}
    with SinkKit(PlainRedisSinkConnector, config) as kit:
        kit.put("t", [record("a", b"1"), record("b", "2"), record("a", 3), record("b", None)])
    assert server.keys() == []
    third = redis.Redis(port=redis_port, db=3, decode_responses=True)
    assert {key: third.get(key) for key in third.scan_iter()} == {"a": "3"}
    third.close()


def test_streams_have_each_record_once_by_its_offset(server: redis.Redis, redis_port: int) -> None:
    settings = {"redis_keyspace": "${topic}-${partition}", "redis_stream_id": "offset"}
    records = [record(None, {"n": str(n)}, n) for n in range(5)]
    with sink(redis_port, **settings) as kit:
        kit.put("t", records[:3])
        kit.put("t", records)  # a worker that was killed before it committed
    assert server.xrange("t-0") == [(f"{n + 1}-0", {"n": str(n)}) for n in range(5)]
    with sink(redis_port, redis_type="stream", redis_multiexec="true") as kit:
        kit.put("t", [record(None, Struct(PERSON, {"id": 1})), record(None, "text"), record(None, None)])
        assert [str(error) for _, error in kit.errant] == ["a stream takes no record without a value"]
    assert [fields for _, fields in server.xrange("t")] == [{"id": "1"}, {"value": "text"}]


def test_members_of_collections_come_and_go(server: redis.Redis, redis_port: int) -> None:
    place = struct_of({"longitude": FLOAT64, "latitude": FLOAT64})
    for kind, first, second in (
        ("SET", 1, 2),
        ("LIST", 1, 2),
        ("ZSET", 1.5, "2"),
        ("GEO", Struct(place, {"longitude": 13.4, "latitude": 52.5}), {"longitude": 2, "latitude": 48}),
    ):
        with sink(redis_port, redis_type=kind, redis_keyspace=f"{kind}-${{topic}}") as kit:
            kit.put("t", [record("a", first), record("b", second), record("c", first), record("c", None)])
            kit.put("t", [record("d", "x" if kind in ("ZSET", "GEO") else first)])
            assert len(kit.errant) == (kind in ("ZSET", "GEO"))
            if kind == "ZSET":
                kit.put("t", [record("e", 10**400)])
                assert len(kit.errant) == 2
    assert server.smembers("SET-t") == {"a", "b", "d"}
    assert server.lrange("LIST-t", 0, -1) == ["d", "b", "a"]
    assert server.zrange("ZSET-t", 0, -1, withscores=True) == [("a", 1.5), ("b", 2.0)]
    assert server.geopos("GEO-t", "a")[0] == pytest.approx((13.4, 52.5), abs=1e-4)


def test_a_record_that_the_server_refuses_is_reported_alone(server: redis.Redis, redis_port: int) -> None:
    server.rpush("t:list", "x")
    with sink(redis_port, redis_type="HASH") as kit:
        kit.put("t", [record("1", {"a": 1}), record("list", {"a": 1}), record(None, {"a": 1})])
        told = [str(error) for _, error in kit.errant]
    assert "no key" in told[0]
    assert "WRONGTYPE" in told[1]
    assert server.hgetall("t:1") == {"a": "1"}


def test_a_server_that_goes_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with sink(port, redis_type="STRING", max_retries="2", retry_backoff_ms="100") as kit:
        for _ in range(2):
            with pytest.raises(RetriableError, match="Redis did not take a batch"):
                kit.put("t", [record("a", "1")])
        assert kit.context.timeout_ms is not None
        assert 100 <= kit.context.timeout_ms <= 200
        with redis_server(tmp_path, port):
            kit.put("t", [record("a", "1")])
            client = redis.Redis(port=port)
            assert client.get("t:a") == b"1"
            client.close()
        for _ in range(2):
            with pytest.raises(RetriableError):
                kit.put("t", [record("a", "2")])
        with pytest.raises(ConnectError, match="max.retries=2 is used up"):
            kit.put("t", [record("a", "2")])


def test_what_a_full_server_refuses_is_written_later(server: redis.Redis, redis_port: int) -> None:
    with sink(redis_port, redis_type="STRING", batch_size="1") as kit:
        server.config_set("maxmemory", "1")
        with pytest.raises(RetriableError, match="maxmemory"):
            kit.put("t", [record("a", "1")])
        server.config_set("maxmemory", "0")
        kit.put("t", [record("a", "1")])
    assert server.get("t:a") == "1"
    alone = sink(redis_port, redis_type="STRING", redis_wait_replicas="1", redis_wait_timeout="1")
    with alone as kit, pytest.raises(RetriableError, match="redis.wait.replicas=1"):
        kit.put("t", [record("a", "1")])


def test_a_wrong_password_is_no_records_fault(tmp_path: Path) -> None:
    port = free_port()
    with redis_server(tmp_path, port, "--requirepass", "secret"):
        with sink(port, redis_type="STRING", redis_password="secret") as kit:
            kit.put("t", [record("a", "1")])
        with sink(port, redis_type="STRING", redis_password="wrong") as kit:
            with pytest.raises(TargetError):
                kit.put("t", [record("a", "1"), record("b", "1")])
            assert kit.errant == []


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("redis.type", "BLOB", "must be one of"),
        ("redis.uri", "http://host", "redis://host:6379/0"),
        ("redis.keyspace", "${tpic}", r"\$\{topic\}"),
        ("redis.command", "XDEL", "must be one of: HSET"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(setting: str, value: str, told: str) -> None:
    with (
        pytest.raises(ConnectError, match=f"{setting}.*{told}"),
        SinkKit(RedisSinkConnector, {setting: value}),
    ):
        pass


def stream(port: int, **settings: str) -> SourceKit:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    fixed = {"redis.uri": f"redis://127.0.0.1:{port}", "redis.stream.block": "1"}
    return SourceKit(RedisStreamSourceConnector, {**fixed, **named}, max_tasks=2)


def test_streams_go_on_where_they_were(server: redis.Redis, redis_port: int) -> None:
    for n in range(3):
        server.xadd("a", {"n": n, "é": "ü"}, id=f"{n + 5}-1")
    server.xadd("b", {"n": 9}, id="1-1")
    kit = stream(redis_port, redis_stream_name="a,b", topic="from-${stream}", redis_stream_count="2")
    records = kit.run(polls=2)
    assert [(one.topic, one.key, one.value) for one in records] == [
        ("from-a", "5-1", {"n": "0", "é": "ü"}),
        ("from-a", "6-1", {"n": "1", "é": "ü"}),
        ("from-a", "7-1", {"n": "2", "é": "ü"}),
        ("from-b", "1-1", {"n": "9"}),
    ]
    assert records[0].key_schema == STRING
    assert records[0].timestamp == 5
    assert kit.run() == []
    server.xadd("b", {"n": 10}, id="2-0")
    assert [one.source_offset for one in kit.run()] == [{"offset": "2-0"}]
    assert stream(redis_port, redis_stream_name="a", redis_stream_offset="$").run() == []
    later = stream(redis_port, redis_stream_name="a", redis_stream_offset="6").run()
    assert [one.key for one in later] == ["6-1", "7-1"]
    with pytest.raises(ConnectError, match="redis.stream.offset=now is no id"):
        stream(redis_port, redis_stream_name="a", redis_stream_offset="now").run()


def test_keys_of_a_cluster_are_refused() -> None:
    settings = {"redis.cluster.enabled": "true"}
    with pytest.raises(ConnectError, match="a connector for each node"):
        SourceKit(RedisKeysSourceConnector, settings).run()


def test_keys_come_and_their_changes_follow(server: redis.Redis, redis_port: int) -> None:
    server.set("k:text", "1")
    server.set("k:empty", "")
    server.hset("k:hash", mapping={"a": "1"})
    server.rpush("k:list", "x", "y")
    server.sadd("k:set", "z", "y")
    server.zadd("k:zset", {"m": 1.5})
    server.xadd("k:stream", {"a": 1})
    server.set("other", "1")
    kit = SourceKit(
        RedisKeysSourceConnector,
        {"redis.uri": f"redis://127.0.0.1:{redis_port}", "redis.keys.pattern": "k:*", "topic": "keys"},
    )
    with kit.running() as task:
        records = polled(task, 6)
        server.hset("k:hash", "b", "2")
        server.delete("k:list")
        server.set("other", "2")
        records += polled(task, 2)
        server.client_kill_filter(_type="pubsub")  # what changes meanwhile is not told
        server.set("k:text", "2")
        with pytest.raises(RetriableError):
            task.poll(polls=3)
        again = polled(task, 5)
    assert {one.key: one.value for one in records[:6]} == {
        "k:text": b"1", "k:empty": b"", "k:hash": {"a": "1"}, "k:list": ["x", "y"], "k:set": ["y", "z"],
        "k:zset": {"m": 1.5},
    }  # fmt: skip
    assert [(one.key, one.value) for one in records[6:]] == [
        ("k:hash", {"a": "1", "b": "2"}),
        ("k:list", None),
    ]
    assert {one.topic for one in records} == {"keys"}
    assert {one.key: one.value for one in again}["k:text"] == b"2"
