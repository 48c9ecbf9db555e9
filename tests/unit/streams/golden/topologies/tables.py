"""Tables: values are numbers by a text key, or as said."""

from __future__ import annotations

from ottla.streams import KTable, Long, Store, StreamsBuilder, Text


def numbers(b: StreamsBuilder, topic: str = "in") -> KTable[str, int]:
    return b.table(topic, key=Text(), value=Long())


def stored(name: str) -> Store[str, int]:
    return Store(name, key=Text(), value=Long())


def out(table: KTable[str, int]) -> None:
    table.to_stream().to("out", key=Text(), value=Long())


def parity(_key: str, value: int) -> tuple[str, int]:
    return ("even" if value % 2 == 0 else "odd"), value


TOPOLOGIES = {
    "table": lambda b: out(numbers(b)),
    "table_materialized": lambda b: out(
        b.table("in", key=Text(), value=Long(), materialized=Store("numbers"))
    ),
    "table_filter": lambda b: out(numbers(b).filter(lambda _, value: value > 5)),
    "table_filter_materialized": lambda b: out(
        numbers(b).filter(lambda _, value: value > 5, materialized=stored("large"))
    ),
    "table_filter_not": lambda b: out(numbers(b).filter_not(lambda _, value: value > 5)),
    "table_map_values": lambda b: out(numbers(b).map_values(lambda value: value * 10)),
    "table_map_values_materialized": lambda b: out(
        numbers(b).map_values(
            lambda key, value: value + len(key), with_key=True, materialized=stored("mapped")
        )
    ),
    "table_chain": lambda b: out(
        numbers(b)
        .map_values(lambda value: value + 1)
        .filter(lambda _, value: value % 2 == 0)
        .map_values(lambda value: value * 100)
    ),
    "table_to_stream_with_keys": lambda b: (
        numbers(b)
        .to_stream(lambda key, value: f"{key}/{'null' if value is None else value}")
        .to("out", key=Text(), value=Long())
    ),
    "table_group_by_count": lambda b: out(
        numbers(b).group_by(parity, key=Text(), value=Long()).count(materialized=stored("counts"))
    ),
    "table_group_by_reduce": lambda b: out(
        numbers(b)
        .group_by(lambda key, value: (key[0], value), key=Text(), value=Long())
        .reduce(
            lambda total, value: total + value,
            lambda total, value: total - value,
            materialized=stored("sums"),
        )
    ),
    "table_group_by_aggregate": lambda b: (
        numbers(b)
        .group_by(parity, key=Text(), value=Long())
        .aggregate(
            lambda: "",
            lambda _, value, log: f"{log}+{value}",
            lambda _, value, log: f"{log}-{value}",
            materialized=Store("logs", value=Text()),
        )
        .to_stream()
        .to("out", key=Text(), value=Text())
    ),
    "table_versioned": lambda b: out(
        b.table(
            "in",
            key=Text(),
            value=Long(),
            materialized=Store("versions", kind="versioned", history_retention="10s"),
        ).filter(lambda _, value: value > 5)
    ),
}
