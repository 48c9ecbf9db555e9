"""What is asked of Debezium and of ours alike: a database, what happens in it, and a connector's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
GOLDEN: Final = FOLDER / "golden"


@dataclass(frozen=True)
class Scenario:
    """`before` is there when the connector begins; then `during` happens in transactions, each of one text's
    statements.
    """

    name: str
    before: Sequence[str]
    during: Sequence[str] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    restarts: bool = False
    """Whether the connector is stopped and started again before each of `during`"""


def statements(text: str) -> list[str]:
    """Of a script, one transaction each."""
    lines = [line for line in text.splitlines() if line and not line.startswith("--")]
    return [each.strip() for each in "\n".join(lines).split(";\n") if each.strip()]


_SCHEMA, _ROWS = (statements(part) for part in (FOLDER / "types.sql").read_text().split("-- rows\n"))

_NO_SNAPSHOT: Final = {"snapshot.mode": "no_data"}
_TYPES: Final[Mapping[str, Mapping[str, str]]] = {
    "types": {},
    "types-strings": {
        "decimal.handling.mode": "string",
        "time.precision.mode": "connect",
        "binary.handling.mode": "hex",
        "interval.handling.mode": "string",
        "hstore.handling.mode": "map",
        "money.fraction.digits": "3",
    },
    "types-doubles": {
        "decimal.handling.mode": "double",
        "time.precision.mode": "microseconds",
        "binary.handling.mode": "base64",
        "include.unknown.datatypes": "true",
    },
    "types-iso": {
        "time.precision.mode": "isostring",
        "binary.handling.mode": "base64-url-safe",
    },
    "types-nanos": {"time.precision.mode": "nanoseconds", "schema.name.adjustment.mode": "avro"},
}

_PEOPLE: Final = "CREATE TABLE people (id int PRIMARY KEY, name text, born date)"
_CHANGES: Final = (
    "INSERT INTO people VALUES (1, 'Ada', '1815-12-10')",
    "UPDATE people SET name = 'Ada L.' WHERE id = 1",
    "UPDATE people SET id = 2 WHERE id = 1",
    "INSERT INTO people VALUES (3, 'Bob', NULL); UPDATE people SET born = '1990-01-01'; DELETE FROM people WHERE id = 3",
    "DELETE FROM people WHERE id = 2",
    "INSERT INTO people VALUES (5, NULL, NULL), (6, 'Eve', NULL); TRUNCATE people",
    "INSERT INTO people SELECT i, 'n' || i FROM generate_series(10, 14) i",
)
_LONG: Final = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i)"

_UNWRAP: Final = {
    **_NO_SNAPSHOT,
    "transforms": "unwrap",
    "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
    "extended.headers.enabled": "true",
    "skipped.operations": "none",
}
_UNWRAPPED: Final[Mapping[str, Mapping[str, str]]] = {
    "unwrap": {},
    "unwrap-drop": {"delete.tombstone.handling.mode": "drop", "add.headers": "op,source.table:of"},
    "unwrap-rewrite": {
        "delete.tombstone.handling.mode": "rewrite",
        "add.fields": "op,table,source.snapshot:of,nothing",
    },
    "unwrap-rewrite-tombstone": {
        "delete.tombstone.handling.mode": "rewrite-with-tombstone",
        "add.headers": "op,db",
        "add.headers.prefix": "h.",
        "add.fields": "op,transaction.id,total_order",
        "add.fields.prefix": "",
    },
    "unwrap-route": {"route.by.field": "name", "delete.tombstone.handling.mode": "delete-to-tombstone"},
}
_OUTBOX: Final = (
    "CREATE TABLE outbox (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL, "
    "type varchar(255) NOT NULL, payload jsonb, at timestamp, ver int, part int)"
)
_EVENTS: Final = (
    "INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000001', 'Order', '7', 'Created', '{\"a\": 1}', '2020-01-01', 2, 3)",
    "UPDATE outbox SET type = 'x'",
    "DELETE FROM outbox",
    "INSERT INTO outbox VALUES ('00000000-0000-0000-0000-000000000002', 'Customer', '8', 'Gone', NULL, NULL, NULL, NULL)",
)
_ROUTED: Final[Mapping[str, Mapping[str, str]]] = {
    "outbox": {},
    "outbox-placed": {
        "table.fields.additional.placement": "type:header:eventType,type:envelope,ver:envelope:v,part:partition",
        "table.field.event.timestamp": "at",
        "route.topic.replacement": "events.${routedByValue}",
        "route.tombstone.on.empty.payload": "true",
    },
    "outbox-versions": {
        "table.fields.additional.placement": "type:envelope",
        "table.field.event.schema.version": "ver",
        "table.field.event.key": "id",
        "route.by.field": "type",
    },
}

SCENARIOS: Final[Sequence[Scenario]] = (
    *(
        Scenario(name, (_PEOPLE, "ALTER TABLE people REPLICA IDENTITY FULL"), _CHANGES,
                 {**_UNWRAP, **{f"transforms.unwrap.{each}": value for each, value in config.items()}})
        for name, config in _UNWRAPPED.items()
    ),
    *(
        Scenario(name, (_OUTBOX,), _EVENTS,
                 {**_NO_SNAPSHOT, "transforms": "outbox", "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
                  **{f"transforms.outbox.{each}": value for each, value in config.items()}})
        for name, config in _ROUTED.items()
    ),
    *(
        Scenario(name, (*_SCHEMA, *_ROWS), _ROWS, config)
        for name, config in _TYPES.items()
    ),
    Scenario("changes", (_PEOPLE,), _CHANGES, _NO_SNAPSHOT),
    Scenario("changes-full", (_PEOPLE, "ALTER TABLE people REPLICA IDENTITY FULL"), _CHANGES,
             {**_NO_SNAPSHOT, "tombstones.on.delete": "false", "skipped.operations": "none"}),
    Scenario("changes-nothing", (_PEOPLE, "ALTER TABLE people REPLICA IDENTITY NOTHING"),
             ("INSERT INTO people VALUES (1, 'Ada', '1815-12-10')",), _NO_SNAPSHOT),
    Scenario("changes-index",
             ("CREATE TABLE people (id int, name text NOT NULL, born date)",
              "CREATE UNIQUE INDEX by_name ON people (name)",
              "ALTER TABLE people REPLICA IDENTITY USING INDEX by_name"),
             ("INSERT INTO people VALUES (1, 'Ada', '1815-12-10')", "UPDATE people SET name = 'Eve'",
              "UPDATE people SET id = 7", "DELETE FROM people"), _NO_SNAPSHOT),
    Scenario("restarts", (_PEOPLE,), _CHANGES, {"provide.transaction.metadata": "true"}, restarts=True),
    Scenario("no-key", ("CREATE TABLE notes (t text, n int)", "INSERT INTO notes VALUES ('a', 1)"),
             ("INSERT INTO notes VALUES ('b', 2)",)),
    Scenario("composite-key", ("CREATE TABLE lines (a int, x text, b varchar(3), PRIMARY KEY (b, a))",
                               "INSERT INTO lines VALUES (1, 'q', 'z')"),
             ("UPDATE lines SET x = 'r'", "UPDATE lines SET b = 'y'", "DELETE FROM lines")),
    Scenario("message-key", ("CREATE TABLE lines (a int PRIMARY KEY, x text, b varchar(3))",
                             "INSERT INTO lines VALUES (1, 'q', 'z')"),
             ("INSERT INTO lines VALUES (2, 's', 'y')",), {"message.key.columns": "public.lines:b,x"}),
    Scenario("not-null", (
                 "CREATE TYPE mood AS ENUM ('sad', 'ok')",
                 "CREATE TABLE full_of (id int PRIMARY KEY, si smallint NOT NULL, i int NOT NULL, b bigint NOT NULL, r real NOT NULL, "
                 "d double precision NOT NULL, bo boolean NOT NULL, n numeric NOT NULL, n5 numeric(5,2) NOT NULL, t text NOT NULL, "
                 "v varchar(3) NOT NULL, c char(2) NOT NULL, da date NOT NULL, ti time NOT NULL, tz timetz NOT NULL, ts timestamp NOT NULL, "
                 "tstz timestamptz NOT NULL, iv interval NOT NULL, by bytea NOT NULL, j json NOT NULL, u uuid NOT NULL, e mood NOT NULL, "
                 "p point NOT NULL, ip inet NOT NULL, ra int4range NOT NULL, arr int[] NOT NULL, ta text[] NOT NULL, b1 bit NOT NULL, b5 bit(5) NOT NULL, "
                 "m money NOT NULL, x xml NOT NULL, o oid NOT NULL, dflt int NOT NULL DEFAULT 8)",
             ), (
                 "INSERT INTO full_of VALUES (1, 1, 1, 1, 1, 1, true, 1, 1, 't', 'v', 'c', '2020-01-01', '01:00', '01:00+00', '2020-01-01', "
                 "'2020-01-01+00', '1 day', '\\x01', '{}', '00000000-0000-0000-0000-000000000001', 'ok', '(1,1)', '::1', '[1,2)', '{1}', '{a}', '1', '10101', "
                 "'$1', '<a/>', 1)",
                 "DELETE FROM full_of",
             ), _NO_SNAPSHOT),
    Scenario("singles", ("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)", "CREATE TABLE c (id int PRIMARY KEY)",
                         "CREATE TABLE d (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)", "INSERT INTO c VALUES (1)")),
    Scenario("toast",
             ("CREATE TABLE docs (id int PRIMARY KEY, n int, body text, raw bytea, arr text[], j jsonb NOT NULL DEFAULT '{}')",
              f"INSERT INTO docs VALUES (1, 1, {_LONG}, {_LONG}::bytea, ARRAY[{_LONG}])"),
             ("UPDATE docs SET n = 2", "UPDATE docs SET body = 'short'",
              "ALTER TABLE docs REPLICA IDENTITY FULL",
              f"INSERT INTO docs VALUES (2, 1, {_LONG})", "UPDATE docs SET n = 3 WHERE id = 2", "DELETE FROM docs"),
             _NO_SNAPSHOT),
    Scenario("truncates", (_PEOPLE, "CREATE TABLE more (id int PRIMARY KEY)"),
             ("INSERT INTO people VALUES (1, 'Ada', NULL)", "TRUNCATE people, more"),
             {**_NO_SNAPSHOT, "skipped.operations": "u"}),
    Scenario("messages", (_PEOPLE,),
             ("SELECT pg_logical_emit_message(true, 'pre', 'in a transaction')",
              "INSERT INTO people VALUES (1, 'Ada', NULL); SELECT pg_logical_emit_message(true, 'pre', '\\x00ff'::bytea)",
              "SELECT pg_logical_emit_message(false, 'other', 'not in one')",
              "INSERT INTO people VALUES (2, 'Bob', NULL)"),
             {**_NO_SNAPSHOT, "provide.transaction.metadata": "true"}),
    Scenario("ddl", (_PEOPLE, "INSERT INTO people VALUES (1, 'Ada', NULL)"),
             ("ALTER TABLE people ADD COLUMN age int DEFAULT 3", "INSERT INTO people VALUES (2, 'Bob', NULL, 5)",
              "ALTER TABLE people DROP COLUMN born", "INSERT INTO people VALUES (3, 'Eve', 6)",
              "ALTER TABLE people ALTER COLUMN age TYPE bigint", "INSERT INTO people VALUES (4, 'Dan', 7)",
              "ALTER TABLE people RENAME COLUMN name TO called", "INSERT INTO people VALUES (5, 'Fay', 8)",
              "CREATE TABLE born_later (id int PRIMARY KEY, t text)", "INSERT INTO born_later VALUES (1, 'x')")),
    Scenario("partitioned",
             ("CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
              "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
              "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
              "INSERT INTO events VALUES (1, '2020-05-05')"),
             ("INSERT INTO events VALUES (2, '2021-05-05'), (3, '2020-06-06')", "UPDATE events SET day = '2021-07-07' WHERE id = 3")),
    Scenario("partitioned-root",
             ("CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
              "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
              "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
              "INSERT INTO events VALUES (1, '2020-05-05')"),
             ("INSERT INTO events VALUES (2, '2021-05-05'), (3, '2020-06-06')",),
             {"publish.via.partition.root": "true", "publication.autocreate.mode": "filtered", "table.include.list": "public.events"}),
    Scenario("transactions", (_PEOPLE, "CREATE SCHEMA s2", "CREATE TABLE s2.more (id int PRIMARY KEY)"),
             ("INSERT INTO people VALUES (1, 'Ada', NULL); INSERT INTO s2.more VALUES (1); UPDATE people SET name = 'x'",
              "INSERT INTO s2.more SELECT generate_series(2, 4)"),
             {"provide.transaction.metadata": "true"}),
    Scenario("filters",
             (_PEOPLE, "CREATE SCHEMA s2", "CREATE TABLE s2.more (id int PRIMARY KEY, secret text, card text, t text)",
              "INSERT INTO s2.more VALUES (1, 'a', '1234', 'longer text')", "INSERT INTO people VALUES (1, 'Ada', NULL)",
              "CREATE TABLE s2.unwanted (id int PRIMARY KEY)"),
             ("INSERT INTO s2.more VALUES (2, 'b', '5678', 'x')", "INSERT INTO people VALUES (2, 'Eve', NULL)",
              "INSERT INTO s2.unwanted VALUES (1)"),
             {"schema.include.list": "s2", "table.exclude.list": "s2.un.*", "column.exclude.list": "s2.more.secret",
              "column.mask.with.4.chars": "s2.more.card", "column.truncate.to.3.chars": "s2.more.t",
              "topic.delimiter": "-", "publication.autocreate.mode": "filtered"}),
    Scenario("hashed",
             ("CREATE TABLE cards (id int PRIMARY KEY, a text, b varchar(10), c text)", "INSERT INTO cards VALUES (1, 'x', 'y', NULL)"),
             (),
             {"column.mask.hash.SHA-256.with.salt.CzQMA0cB5K": "public.cards.a,public.cards.c",
              "column.mask.hash.v2.MD5.with.salt.S": "public.cards.b"}),
    Scenario("propagated",
             ("CREATE TABLE cards (id int PRIMARY KEY, a text, b varchar(10), n numeric(5,2), d timestamp(3))",
              "INSERT INTO cards VALUES (1, 'x', 'y', 1, '2020-01-01')"),
             ("INSERT INTO cards VALUES (2, 'x', 'y', 1, '2020-01-01')",),
             {"column.propagate.source.type": ".*cards.(b|n|d)", "datatype.propagate.source.type": ".*.text"}),
    Scenario("select-override",
             (_PEOPLE, "INSERT INTO people SELECT i, 'n' || i FROM generate_series(1, 5) i"), (),
             {"snapshot.select.statement.overrides": "public.people",
              "snapshot.select.statement.overrides.public.people": "SELECT * FROM public.people WHERE id > 3 ORDER BY id DESC"}),
    Scenario("initial-only", (_PEOPLE, "INSERT INTO people VALUES (1, 'Ada', NULL)"),
             ("INSERT INTO people VALUES (2, 'Bob', NULL)",), {"snapshot.mode": "initial_only"}),
)  # fmt: skip
