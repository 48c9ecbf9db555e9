"""Tables out of topics and into them: what `read` gives, `write` takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ottla import client
from ottla.client.errors import ConfigurationError
from ottla.client.sync.client import Client
from ottla.testing import run_broker

pa = pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def c() -> Iterator[Client]:
    with run_broker() as broker, client.connect(broker.bootstrap_servers) as made:
        yield made


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    return "".join(each if each.isalnum() else "-" for each in request.node.name)


PEOPLE = {"user": ["ann", "bo", None], "age": [30, None, 7], "tags": [["a"], [], None]}


def test_what_is_read_is_written_as_it_was(c: Client, topic: str) -> None:
    with c.producer() as producer:
        producer.send(topic, b"\xff\x00", key=b"k", headers=[("a", b"1"), ("a", None)], timestamp=5)
        producer.send(topic, None, key=b"", timestamp=6)
        producer.send(topic, b"", timestamp=7)
    table = c.read(topic)
    assert c.write(f"{topic}-copy", table) == (3, {0: (0, 2)})
    assert c.read(f"{topic}-copy") == table


def test_structs_are_json_in_between(c: Client, topic: str) -> None:
    with c.producer() as producer:
        for value in (b'{"a": 1, "b": [1.5, null]}', None, b'{"b": [], "a": null}'):
            producer.send(topic, value, key=b"k", timestamp=5)
    table = c.read(topic, value=client.json())
    assert pa.types.is_struct(table.schema.field("value").type)
    c.write(f"{topic}-copy", table)
    assert c.read(f"{topic}-copy", value=client.json(schema=table.schema.field("value").type)) == table


@pytest.mark.parametrize("make", [pa.table, pa.RecordBatch.from_pydict])
def test_any_table_has_a_column_as_key_and_the_rest_as_value(c: Client, topic: str, make: object) -> None:
    c.write(topic, make(PEOPLE), key="user")  # type: ignore[operator]
    got = c.read(topic, key=client.text(), value=client.json())
    assert got.column("key").to_pylist() == PEOPLE["user"]
    assert got.column("value").to_pylist() == [
        {"age": 30, "tags": ["a"]},
        {"age": None, "tags": []},
        {"age": 7, "tags": None},
    ]
    c.write(topic, make({"age": [1, 2]}), key="age")  # type: ignore[operator]
    last = c.read(topic, start=-2)
    assert last.column("key").to_pylist() == [b"1", b"2"]
    assert last.column("value").to_pylist() == [b"{}", b"{}"]


def test_a_table_without_key_and_value_is_values_alone(c: Client, topic: str) -> None:
    c.write(topic, pa.table({"n": [1, 2]}))
    got = c.read(topic, value=client.json())
    assert got.column("key").to_pylist() == [None, None]
    assert got.column("value").to_pylist() == [{"n": 1}, {"n": 2}]


def test_other_libraries_tables_are_taken(c: Client, topic: str) -> None:
    pd = pytest.importorskip("pandas")
    c.write(topic, pd.DataFrame({"user": ["ann"], "n": [1]}), key="user")
    assert c.read(topic, value=client.json()).column("value").to_pylist() == [{"n": 1}]


def test_what_does_not_fit_is_told(c: Client, topic: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no column 'usr': user, age, tags"):
        c.write(topic, pa.table(PEOPLE), key="usr")
    with pytest.raises(TypeError, match="list is no table"):
        c.write(topic, [1])


def test_streams_latest_and_batches(c: Client, topic: str) -> None:
    c.write(topic, pa.table({"user": ["a", "b", "a"], "n": [1, 2, 3]}), key="user")
    assert sum(batch.num_rows for batch in c.stream(topic)) == 3
    assert next(iter(c.stream(topic))).num_rows == 3
    latest = c.latest(topic, key=client.text(), value=client.json())
    assert latest.column("value").to_pylist() == [{"n": 3}, {"n": 2}]
    with c.consumer(
        [topic], group=topic, auto_offset_reset="earliest", key=client.text(), value=client.json()
    ) as consumer:
        batch = consumer.poll(timeout_s=20)
        assert batch is not None
        assert pa.table(batch).column("value").to_pylist() == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_broken_values_go_to_the_topic_that_is_named_for_them(c: Client, topic: str) -> None:
    with c.producer() as producer:
        for value in (b'{"n": 1}', b"broken", b'{"n": 2}', b"[]"):
            producer.send(topic, value)
    dead = f"{topic}-dead"
    value = client.json(schema=pa.struct({"n": pa.int64()}), errors=client.DeadLetterTopic(dead))
    assert c.read(topic, value=value).column("value").to_pylist() == [{"n": 1}, {"n": 2}]
    letters = c.read(dead)
    assert letters.column("value").to_pylist() == [b"broken", b"[]"]
    headers = {each["name"]: each["value"] for each in letters.column("headers").to_pylist()[1]}
    assert headers[b"__connect.errors.topic"] == topic.encode()
    assert headers[b"__connect.errors.offset"] == b"3"
    with c.consumer([topic], group=topic, auto_offset_reset="earliest", value=value) as consumer:
        batch = consumer.poll(timeout_s=20)
        assert batch is not None
        assert batch.to_arrow().num_rows == 2
        while c.read(dead).num_rows < 4:
            pass


def test_tables_go_into_transactions(c: Client, topic: str) -> None:
    table = pa.table({"user": ["a"], "n": [1]})
    with c.producer(transactional_id=topic) as producer:
        producer.begin_transaction()
        producer.write(topic, table, key="user")
        producer.abort_transaction()
        with producer.transaction() as tx:
            tx.write(topic, table, key="user")
    assert c.read(topic, isolation="read_committed").num_rows == 1
