"""Programs in expressions, which need few serdes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ottla.streams import (
    Json,
    KTable,
    Record,
    SessionWindows,
    Store,
    StreamsBuilder,
    Text,
    TimeWindows,
    TopologyError,
    TopologyTest,
    Window,
    Windowed,
    col,
    count,
)

ORDERS = Json(pa.schema([("user", pa.string()), ("amount", pa.int64())]))


def test_totals_of_each_minute() -> None:
    builder = StreamsBuilder()
    per_minute = (
        builder.stream("orders", key=Text(), value=ORDERS)
        .filter(col("amount") > 50)
        .group_by(col("user"))
        .windowed_by(TimeWindows.of("1m", grace="10s"))
        .aggregate({"n": count(), "total": col("amount").sum()}, materialized=Store("per_minute"))
        .suppress(until="window_closes")
    )
    per_minute.to_stream().to("totals", value=Json())
    with TopologyTest(builder.build()) as test:
        orders = test.input("orders")
        orders.pipe("k", {"user": "ann", "amount": 60}, ts=0)
        orders.pipe("k", {"user": "ann", "amount": 10}, ts=1)
        orders.pipe("k", {"user": "ann", "amount": 70}, ts=2)
        assert test.output("totals").read() == []
        orders.pipe("k", {"user": "bob", "amount": 60}, ts=70_000)
        key = Windowed("ann", Window(0, 60_000))
        assert test.output("totals").read() == [Record(key, {"n": 2, "total": 130}, 2)]
        found = test.store("per_minute").fetch("ann", 0)
        assert (found.value, found.timestamp) == ({"n": 2, "total": 130}, 2)


def test_means_of_sessions() -> None:
    builder = StreamsBuilder()
    grouped = builder.stream("orders", key=Text(), value=ORDERS).group_by(col("user"))
    table = grouped.windowed_by(SessionWindows.of(10, grace=100)).aggregate({"mean": col("amount").mean()})
    table.to_stream(lambda windowed, value: windowed.key).to("means", key=Text())
    with TopologyTest(builder.build()) as test:
        for amount, ts in ((10, 0), (20, 15), (60, 8)):
            test.input("orders").pipe("k", {"user": "ann", "amount": amount}, ts=ts)
        values = [record.value for record in test.output("means").read()]
    assert values == [{"mean": 10.0}, {"mean": 20.0}, None, None, {"mean": 30.0}]


def test_rows_are_json() -> None:
    builder = StreamsBuilder()
    builder.stream("orders", key=Text(), value=ORDERS).map_values({"double": col("amount") * 2}).to("rows")
    with TopologyTest(builder.build()) as test:
        test.input("orders").pipe("k", {"user": "ann", "amount": 4}, ts=0)
        assert [record.value for record in test.output("rows").read()] == [{"double": 8}]


def test_rows_of_tables_are_json() -> None:
    builder = StreamsBuilder()
    doubled = builder.table("orders", key=Text(), value=ORDERS).map_values(
        {"double": col("amount") * 2}, Store("doubled")
    )
    doubled.to_stream().to("rows")
    with TopologyTest(builder.build()) as test:
        test.input("orders").pipe("k", {"user": "ann", "amount": 4}, ts=0)
        assert [record.value for record in test.output("rows").read()] == [{"double": 8}]
        assert test.store("doubled").get("k").value == {"double": 8}


def test_foreign_keys_are_expressions_too() -> None:
    builder = StreamsBuilder()
    orders = builder.table("orders", key=Text(), value=ORDERS)
    cities = builder.table("cities", key=Text(), value=Text())
    where: KTable[str, str] = orders.join(cities, lambda _, city: city, foreign_key=col("user"))
    where.to_stream().to("where", value=Text())
    with TopologyTest(builder.build()) as test:
        test.input("cities").pipe("ann", "Rome", ts=0)
        test.input("orders").pipe("k", {"user": "ann", "amount": 4}, ts=1)
        assert test.output("where").read() == [Record("k", "Rome", 1)]


def test_what_nothing_is_known_of_needs_a_serde() -> None:
    builder = StreamsBuilder()
    grouped = builder.stream("orders", key=Text(), value=Json()).group_by(col("user"))
    with pytest.raises(TopologyError, match=r"The store .* has no serde for its keys"):
        grouped.count()


def test_groups_of_a_table_take_back_what_is_replaced() -> None:
    builder = StreamsBuilder()
    grouped = builder.table("orders", key=Text(), value=ORDERS).group_by(
        lambda _, order: (order["user"], order), key=Text(), value=ORDERS
    )
    sums = {"n": count(), "total": col("amount").sum(), "mean": col("amount").mean()}
    grouped.aggregate(sums, materialized=Store("totals")).to_stream().to("totals", value=Json())
    with TopologyTest(builder.build()) as test:
        orders = test.input("orders")
        orders.pipe("1", {"user": "ann", "amount": 60}, ts=0)
        orders.pipe("2", {"user": "ann", "amount": 20}, ts=1)
        orders.pipe("1", {"user": "bob", "amount": 70}, ts=2)
        orders.pipe("2", None, ts=3)
        last = {record.key: record.value for record in test.output("totals", Text(), Json()).read()}
        nothing = {"n": 0, "total": 0, "mean": None}  # a sum does not say that there is nothing in it
        assert last == {"ann": nothing, "bob": {"n": 1, "total": 70, "mean": 70.0}}


def test_groups_of_a_table_have_no_first_or_least() -> None:
    builder = StreamsBuilder()
    grouped = builder.table("orders", key=Text(), value=ORDERS).group_by(lambda key, order: (key, order))
    with pytest.raises(TopologyError, match="take values back, which .*min.* cannot"):
        grouped.aggregate({"n": count(), "least": col("amount").min()})
