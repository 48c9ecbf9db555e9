"""Topologies of the other files in expressions, which run on columns."""

from __future__ import annotations

from ottla.streams import Json, KGroupedStream, Store, StreamsBuilder, Text, TimeWindowedSerde, col, count

from .stateless import Row, json
from .windows import TUMBLING_GRACE


def by_user(b: StreamsBuilder) -> KGroupedStream[str, Row, str]:
    return json(b).filter(col("amount") > 50).group_by(col("user"), key=Text(), value=Json())


TOTALS = {"n": count(), "total": col("amount").sum()}
STORE: Store[str, Row] = Store("totals", key=Text(), value=Json())

TOPOLOGIES = {
    "json_filter": lambda b: json(b).filter(col("amount") > 50).to("out", value=Json()),
    "json_projection": lambda b: (
        json(b)
        .filter(lambda _, value: value is not None)
        .map_values({"double": col("amount") * 2, "user": col("user")})
        .to("out", value=Json())
    ),
    "json_select_key": lambda b: json(b).select_key(col("user")).to("out", value=Json()),
    "json_totals": lambda b: (
        by_user(b).aggregate(TOTALS, materialized=STORE).to_stream().to("out", key=Text(), value=Json())
    ),
    "json_windowed_totals": lambda b: (
        by_user(b)
        .windowed_by(TUMBLING_GRACE)
        .aggregate(TOTALS, materialized=STORE)
        .to_stream()
        .to("out", key=TimeWindowedSerde(Text(), 10), value=Json())
    ),
    "json_suppressed_totals": lambda b: (
        by_user(b)
        .windowed_by(TUMBLING_GRACE)
        .aggregate(TOTALS, materialized=STORE)
        .suppress(until="window_closes")
        .to_stream()
        .to("out", key=TimeWindowedSerde(Text(), 10), value=Json())
    ),
}
