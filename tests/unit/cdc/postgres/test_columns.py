"""What schemas say of columns: defaults that what PostgreSQL writes in its catalog means."""

from __future__ import annotations

import pytest

from ottla.cdc.envelope import Envelopes, name_adjustment
from ottla.cdc.filters import Keys, Masks, Names
from ottla.cdc.postgres.columns import ColumnInfo, Columns, TableInfo
from ottla.cdc.postgres.records import SOURCE
from ottla.cdc.postgres.types import Modes, TypeInfo, conversion
from ottla.cdc.tables import Shape, TableId
from ottla.connect.converters.interface import ConverterType
from ottla.connect.converters.json import JsonConverter
from ottla.connect.data import Struct


def shape_of(column: ColumnInfo) -> Shape:
    as_it_is = name_adjustment("none")
    columns = Columns(
        Modes(), Names(None, None, "column"), Keys(None), Masks({}), None, None,
        Envelopes("db", ".", SOURCE, as_it_is, as_it_is), "fail",
    )  # fmt: skip
    return columns.shape(TableInfo(TableId("public", "t"), [column], []))


def numeric(precision: int, scale: int) -> int:
    """The modifier; below zero from PostgreSQL 15 on."""
    return (precision << 16 | scale & 0x7FF) + 4


LONG = "123456789012345678.12345678901234567890"


@pytest.mark.parametrize(
    ("column", "default", "text", "value"),
    [
        (ColumnInfo("n", TypeInfo(1700, "numeric"), numeric(5, 2), True, "1.5"), "1.50", b"3.10", "3.10"),
        (
            ColumnInfo("n", TypeInfo(1700, "numeric"), numeric(5, -2), True, "100"),
            "1E+2",
            b"12300",
            "1.23E+4",
        ),
        (ColumnInfo("n", TypeInfo(1700, "numeric"), numeric(38, 20), True, LONG), LONG, LONG.encode(), LONG),
        (
            ColumnInfo("n", TypeInfo(7, "numeric", modifier=numeric(8, 3)), -1, True, "1.5"),
            "1.500",
            b"0.100",
            "0.100",
        ),
    ],
    ids=("plain", "below zero", "long", "domain"),
)
def test_decimals_have_the_digits_that_their_schema_says(
    column: ColumnInfo, default: str, text: bytes, value: str
) -> None:
    shape = shape_of(column)
    assert str(shape.value_schema.by_name["n"].schema.default) == default
    converter = JsonConverter({}, ConverterType.VALUE)
    for raw, expected in ((text, value), (None, default)):
        row = shape.row(shape.values([raw]))
        data = converter.from_connect("t", shape.value_schema, row)
        read = converter.to_connect("t", data).value
        assert isinstance(read, Struct)
        assert str(read["n"]) == expected


@pytest.mark.parametrize(
    "type_",
    [TypeInfo(1700, "numeric"), TypeInfo(7, "numeric", modifier=numeric(8, 3))],
    ids=("plain", "domain"),
)
def test_what_stands_for_null_has_them_as_well(type_: TypeInfo) -> None:
    shape = shape_of(ColumnInfo("n", type_, numeric(8, 3), not_null=True))
    assert [str(each) for each in shape.values([None])] == ["0.000"]


def test_money_may_have_many_digits_behind_the_point() -> None:
    made = conversion(TypeInfo(790, "money"), -1, Modes(money_digits=20))
    assert made is not None
    assert str(made.decode(b"$12,345,678,901.23")) == "12345678901.23000000000000000000"
