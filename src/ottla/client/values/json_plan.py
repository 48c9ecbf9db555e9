"""How values of an Arrow type are decoded from JSON, gathered to arrays, and taken apart again.

A `Plan` is made from plans of a type's parts. Its `hint` is what msgspec decodes to: plain values, lists,
dicts, and a class with slots for each struct.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from types import GenericAlias
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ottla.client.columns.arrow import is_list
from ottla.client.values.interface import ValuesError

__all__ = ["CONVERSION_ERRORS", "Plan", "plan_of"]

CONVERSION_ERRORS: Final = (ValueError, OverflowError, pa.ArrowException, msgspec.MsgspecError)
"""What is raised where values don't fit their type."""

_Rows = Sequence[Any]
"""What msgspec made of a type's `hint`, None for null: as manifold as JSON."""


@dataclass(frozen=True)
class Plan:
    """`array` gathers decoded values to an array of `type`; `objects` gives what each of its rows encodes."""

    type: pa.DataType
    hint: Any
    array: Callable[[_Rows], pa.Array]
    objects: Callable[[pa.Array], _Rows]

    @property
    def optional_hint(self) -> Any:
        """`hint` or None; raw JSON has its own null, and msgspec would overlook it in a union."""
        return self.hint if self.hint is msgspec.Raw else self.hint | None

    @cached_property
    def decode(self) -> Callable[[bytes], Any]:
        return msgspec.json.Decoder(self.optional_hint).decode


@lru_cache(maxsize=256)
def plan_of(kind: pa.DataType) -> Plan:
    """The plan of `kind`. Raises `ValuesError` for types that JSON has nothing for."""
    if isinstance(kind, pa.BaseExtensionType):
        return _json_text(kind) if kind == pa.json_() else _stored(kind)
    types = pa.types
    if types.is_struct(kind):
        return _struct(kind)
    if types.is_map(kind):
        return _map(kind)
    if is_list(kind):
        return _list(kind)
    if types.is_dictionary(kind):
        return _stored_as(kind, kind.value_type)
    if types.is_timestamp(kind):
        return _timestamp(kind)
    if types.is_duration(kind):
        return _duration(kind)
    hint = _plain_hint(kind)
    if hint is None:
        raise ValuesError(f"values of type {kind} are not supported in JSON")
    return Plan(kind, hint, lambda values: pa.array(values, kind), lambda array: array.to_pylist())


def _plain_hint(kind: pa.DataType) -> Any:
    """The Python type of `kind`'s values; None for a type that has none in JSON."""
    types = pa.types
    for holds, hint in (
        (types.is_integer, int),
        # Integers are told apart, so that Arrow refuses those that a float does not hold exactly.
        (types.is_floating, int | float),
        (types.is_boolean, bool),
        (types.is_string, str),
        (types.is_large_string, str),
        (types.is_string_view, str),
        (types.is_binary, bytes),
        (types.is_large_binary, bytes),
        (types.is_binary_view, bytes),
        (types.is_fixed_size_binary, bytes),
        (types.is_decimal, Decimal),
        (types.is_date, date),
        (types.is_time, time),
        (types.is_null, type(None)),
    ):
        if holds(kind):
            return hint
    return None


def _stored_as(kind: pa.DataType, storage: pa.DataType) -> Plan:
    """A type whose values are those of `storage`, to which it is cast."""
    plan = plan_of(storage)
    return Plan(
        kind,
        plan.hint,
        lambda values: plan.array(values).cast(kind),
        lambda array: plan.objects(array.cast(storage)),
    )


def _stored(kind: pa.BaseExtensionType) -> Plan:
    plan = plan_of(kind.storage_type)
    return Plan(
        kind,
        plan.hint,
        lambda values: pa.ExtensionArray.from_storage(kind, plan.array(values)),
        lambda array: plan.objects(array.storage),
    )


def _json_text(kind: pa.BaseExtensionType) -> Plan:
    """Any JSON, as its text."""

    def array(values: _Rows) -> pa.Array:
        texts = [
            None if value is None or bytes(value) == b"null" else bytes(value).decode() for value in values
        ]
        return pa.ExtensionArray.from_storage(kind, pa.array(texts, kind.storage_type))

    def objects(array: pa.Array) -> _Rows:
        return [None if text is None else msgspec.Raw(text) for text in array.storage.to_pylist()]

    return Plan(kind, msgspec.Raw, array, objects)


def _timestamp(kind: pa.DataType) -> Plan:
    """ISO 8601, of any precision, or an integer in the type's unit. No time zone: no offset in the text."""
    naive = pa.timestamp(kind.unit)

    def array(values: _Rows) -> pa.Array:
        texts = [value if isinstance(value, str) else None for value in values]
        numbers = [value if isinstance(value, int) else None for value in values]
        parsed = pa.array(texts, pa.string()).cast(kind)
        return pc.coalesce(parsed, pa.array(numbers, pa.int64()).cast(kind))

    def objects(array: pa.Array) -> list[str | None]:
        texts = pc.replace_substring(array.cast(naive).cast(pa.string()), " ", "T")
        return pc.binary_join_element_wise(texts, "" if kind.tz is None else "Z", "").to_pylist()  # type: ignore[no-any-return]

    return Plan(kind, int | str, array, objects)


_SPAN: Final = re.compile(r"(-?)([0-9]{1,19})(?:\.([0-9]{1,9}))?s")
_UNITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def _duration(kind: pa.DataType) -> Plan:
    """Seconds as in Protobuf's JSON, "1.5s", or an integer in the type's unit."""
    digits = _UNITS[kind.unit]

    def count(value: int | str | None) -> int | None:
        if not isinstance(value, str):
            return value
        found = _SPAN.fullmatch(value)
        if found is None or len((found[3] or "").rstrip("0")) > digits:
            raise ValueError(f"{value!r} is no duration in {kind.unit}")
        number = int(found[2] + (found[3] or "").rstrip("0").ljust(digits, "0"))
        return -number if found[1] else number

    def shown(number: int | None) -> str | None:
        if number is None:
            return None
        seconds, rest = divmod(abs(number), 10**digits)
        parts = f".{rest:0{digits}d}" if rest else ""
        return f"{'-' if number < 0 else ''}{seconds}{parts}s"

    return Plan(
        kind,
        int | str,
        lambda values: pa.array([count(each) for each in values], pa.int64()).cast(kind),
        lambda array: [shown(each) for each in array.cast(pa.int64()).to_pylist()],
    )


def _list(kind: pa.DataType) -> Plan:
    item = plan_of(kind.value_type)
    large = pa.types.is_large_list(kind)
    built = pa.large_list(kind.value_field) if large else pa.list_(kind.value_field)
    made = pa.LargeListArray if large else pa.ListArray

    def array(values: _Rows) -> pa.Array:
        offsets, filled, mask = _layout(values, [])
        items = item.array(list(chain.from_iterable(filled)))
        return made.from_arrays(
            pa.array(offsets, pa.int64() if large else pa.int32()), items, type=built, mask=mask
        ).cast(kind)

    def objects(array: pa.Array) -> _Rows:
        if array.type != built:
            array = array.cast(built)
        offsets = array.offsets.to_pylist()
        items = item.objects(array.values[offsets[0] : offsets[-1]])
        rows = [items[begin - offsets[0] : end - offsets[0]] for begin, end in pairwise(offsets)]
        return _with_nulls(array, rows)

    return Plan(kind, GenericAlias(list, (item.optional_hint,)), array, objects)


def _map(kind: pa.DataType) -> Plan:
    types, keyed = pa.types, kind.key_type
    if not (types.is_string(keyed) or types.is_integer(keyed) or types.is_boolean(keyed)):
        raise ValuesError(f"the keys of JSON objects are strings, not {kind.key_type}")
    item = plan_of(kind.item_type)

    def array(values: _Rows) -> pa.Array:
        offsets, filled, mask = _layout(values, {})
        keys = pa.array(list(chain.from_iterable(filled)), pa.string()).cast(keyed)
        items = item.array(list(chain.from_iterable(each.values() for each in filled)))
        return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items, type=kind, mask=mask)

    def objects(array: pa.Array) -> _Rows:
        offsets = array.offsets.to_pylist()
        keys = array.keys.cast(pa.string()).to_pylist()
        items = item.objects(array.items)
        rows = []
        for begin, end in pairwise(offsets):
            row = dict(zip(keys[begin:end], items[begin:end], strict=True))
            if len(row) < end - begin:
                raise ValuesError("a key is in one map twice")
            rows.append(row)
        return _with_nulls(array, rows)

    return Plan(kind, GenericAlias(dict, (str, item.optional_hint)), array, objects)


def _layout(values: _Rows, empty: object) -> tuple[list[int], _Rows, pa.Array | None]:
    """Offsets of the containers `values`, with `empty` for None, and a mask of the None."""
    mask = None
    if None in values:
        mask = pa.array([value is None for value in values], pa.bool_())
        values = [empty if value is None else value for value in values]
    return list(accumulate(map(len, values), initial=0)), values, mask


def _with_nulls(array: pa.Array, rows: _Rows) -> _Rows:
    if not array.null_count:
        return rows
    valid = array.is_valid().to_pylist()
    return [row if held else None for row, held in zip(rows, valid, strict=True)]


def _struct(kind: pa.DataType) -> Plan:
    fields = [kind.field(index) for index in range(kind.num_fields)]
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise ValuesError(f"a name is twice in {kind}")
    plans = [plan_of(field.type) for field in fields]
    if not fields or not all(map(_is_plain_name, names)):
        return _struct_of_dicts(kind, names, plans)
    slots = [f"f{index}" for index in range(len(fields))]
    made = msgspec.defstruct(
        "Object",
        [(slot, plan.optional_hint, None) for slot, plan in zip(slots, plans, strict=True)],
        rename=dict(zip(slots, names, strict=True)),
        gc=False,
    )
    getters = [attrgetter(slot) for slot in slots]

    def array(values: _Rows) -> pa.Array:
        mask = None
        try:
            columns = [list(map(get, values)) for get in getters]
        except AttributeError:  # None has no fields
            values, mask = _filled(values, made())
            columns = [list(map(get, values)) for get in getters]
        parts = [_part(name, plan, held) for name, plan, held in zip(names, plans, columns, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)

    def objects(array: pa.Array) -> _Rows:
        columns = [plan.objects(array.field(index)) for index, plan in enumerate(plans)]
        return _with_nulls(array, list(map(made, *columns)))

    return Plan(kind, made, array, objects)


def _struct_of_dicts(kind: pa.DataType, names: Sequence[str], plans: Sequence[Plan]) -> Plan:
    """Structs without fields, or with names that msgspec's classes don't take."""

    def array(values: _Rows) -> pa.Array:
        values, mask = _filled(values, {})
        parts = [
            _part(name, plan, [plan.decode(value[name]) if name in value else None for value in values])
            for name, plan in zip(names, plans, strict=True)
        ]
        if not parts:
            return (
                pa.array([{}] * len(values), kind)
                if mask is None
                else pa.array([None if null else {} for null in mask.to_pylist()], kind)
            )
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)

    def objects(array: pa.Array) -> _Rows:
        columns = [plan.objects(array.field(index)) for index, plan in enumerate(plans)]
        rows = zip(*columns, strict=True) if columns else [()] * len(array)
        return _with_nulls(array, [dict(zip(names, row, strict=True)) for row in rows])

    return Plan(kind, dict[str, msgspec.Raw], array, objects)


def _filled(values: _Rows, empty: object) -> tuple[_Rows, pa.Array | None]:
    """`values` with `empty` for None, and a mask of the None."""
    nulls = [value is None for value in values]
    if True not in nulls:
        return values, None
    return [empty if value is None else value for value in values], pa.array(nulls, pa.bool_())


def _part(name: str, plan: Plan, values: _Rows) -> pa.Array:
    try:
        return plan.array(values)
    except CONVERSION_ERRORS as error:
        raise ValuesError(f"{name}: {error}") from None


def _is_plain_name(name: str) -> bool:
    return not any(character in '"\\' or character < " " for character in name)
