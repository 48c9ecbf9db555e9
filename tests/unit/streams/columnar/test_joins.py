"""Joins of streams with tables over chunks: what they give is what they give record by record."""

from __future__ import annotations

from typing import Any

import pytest

from ottla.streams import (
    JoinWindows,
    Json,
    KStream,
    Record,
    Store,
    StreamsBuilder,
    Text,
    TopologyError,
    TopologyTest,
    col,
    header,
    key,
    timestamp,
    topic,
)
from ottla.streams.columnar.chunk import Chunk

USERS = [Record("a", {"city": "Ulm", "n": 1}, 0), Record("b", {"city": None}, 0), Record("c", None, 0)]
ORDERS = [
    Record(each, None if at == 3 else {"n": at, "s": "x"}, at + 1, (("trace", b"t%d" % at),))
    for at, each in enumerate(["a", "b", "c", "a", None, "d", "b", "a"])
]
EXPRESSIONS: Any = {
    "n": col("left.n"),
    "city": col("right.city"),
    "sum": col("left.n") + col("right.n"),
    "k": key(),
    "at": timestamp(),
    "from": topic(),
    "trace": header("trace").cast("string"),
}


def with_its_city(order: Any, user: Any) -> Any:
    """Changes what it is given."""
    user["orders"] = [*user.get("orders", ()), order["n"]]
    return user


JOINERS: dict[str, Any] = {
    "expressions": EXPRESSIONS,
    "an expression": col("right.city"),
    "a function that changes the table's": with_its_city,
    "a function": lambda order, user: {"n": order["n"], "user": user},
    "a function that fails": lambda order, user: {"n": 10 // (order["n"] - 6), "user": user},
}


def run(joiner: Any, is_left: bool, size: int) -> Any:
    b = StreamsBuilder(Text(), Json())
    users: Any = b.table("users", materialized=Store("users"))
    stream: KStream[Any, Any] = b.stream("in")
    join = stream.left_join if is_left else stream.join
    join(users, joiner).to("out", Text(), Json())
    config = {"columnar_max_records": size, "processing_exception_handler": "continue"}
    with TopologyTest(b.build(), config) as test:
        test.input("users").pipe_batch(USERS)
        test.input("in").pipe_batch(ORDERS)
        assert test._task is not None
        return test.output("out").read(), test._task.context.dropped


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("name", JOINERS)
def test_in_chunks_as_record_by_record(name: str, is_left: bool) -> None:
    expected = run(JOINERS[name], is_left, 0)

    assert expected[0]
    for size in (1, 3, 100):
        assert run(JOINERS[name], is_left, size) == expected


@pytest.mark.parametrize("name", ["expressions", "an expression", "a function"])
def test_no_record_is_taken_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    rows = Chunk.rows
    monkeypatch.setattr(Chunk, "rows", lambda chunk: taken.append(len(chunk)) or rows(chunk))

    run(JOINERS[name], False, 100)

    assert taken == []


def place(at: int) -> dict[str, str]:
    return {"at": f"1970-01-01T00:00:00.00{at + 1}000Z", "from": "in", "trace": f"t{at}"}


def test_two_streams_are_joined_by_no_time_of_one_record() -> None:
    b = StreamsBuilder(Text(), Json())
    with pytest.raises(TopologyError, match="comes of two records"):
        b.stream("in").join(b.stream("other"), {"at": timestamp()}, windows=JoinWindows.of("1s"))


def test_values_of_expressions() -> None:
    records, _ = run(EXPRESSIONS, True, 100)
    assert records[0].value == {"n": 0, "city": "Ulm", "sum": 1, "k": "a", **place(0)}
    assert records[2].value == {"n": 2, "city": None, "sum": None, "k": "c", **place(2)}


def test_what_is_no_joiner_is_said() -> None:
    b = StreamsBuilder(Text(), Json())
    users: Any = b.table("users")
    with pytest.raises(TopologyError, match="takes a function of two values, or an expression"):
        b.stream("in").join(users, 3)  # type: ignore[call-overload]
