"""EventRouter: what the events that Debezium's tests have do not show."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.cdc.transforms.outbox import EventRouter
from ottla.connect.data import INT32, INT64, STRING, Schema, Struct, Value, struct_of
from ottla.connect.records import SourceRecord

COLUMNS: Mapping[str, Schema] = {
    "id": STRING,
    "aggregatetype": STRING,
    "aggregateid": STRING,
    "payload": STRING,
}


def inserted(more: Mapping[str, tuple[Schema, Value]]) -> SourceRecord:
    """The event of a row that also has these columns."""
    row_schema = struct_of(
        {**COLUMNS, **{name: schema for name, (schema, _) in more.items()}}, name="db.outbox.Value"
    )
    row = Struct(
        row_schema, {name: name for name in COLUMNS} | {name: value for name, (_, value) in more.items()}
    )
    schema = struct_of({"after": row_schema, "op": STRING, "ts_ms": INT64}, name="db.outbox.Envelope")
    value = Struct(schema, {"after": row, "op": "c", "ts_ms": 1})
    return SourceRecord({}, {}, "db.outbox", value_schema=schema, value=value)


def test_a_table_that_gains_a_column_gives_events_that_have_it() -> None:
    router = EventRouter(
        {
            "table.fields.additional.placement": "type:envelope,tenant:envelope",
            "table.field.additional.missing": "ignore",
        }
    )
    columns: list[dict[str, tuple[Schema, Value]]] = [
        {"type": (STRING, "Created")},
        {"type": (STRING, "Created"), "tenant": (STRING, "a")},
        {"type": (STRING, "Created"), "tenant": (INT32, 7)},
    ]
    for more in columns:
        routed = router.apply(inserted(more))
        assert routed is not None
        assert isinstance(routed.value, Struct)
        assert [field.name for field in routed.value.schema.fields] == ["payload", *more]
        routed.value.validate()
        assert {name: routed.value[name] for name in more} == {
            name: value for name, (_, value) in more.items()
        }
