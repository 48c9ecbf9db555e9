"""Whether all that an older JSON Schema let pass, a newer one lets pass, as Confluent's registry judges it.

Like there, nothing is said of `patternProperties` by themselves, `propertyNames`, `contains`, `format`, `if`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

from ottla.schemas.json_schema.arrays import compare_arrays
from ottla.schemas.json_schema.bounds import lower, upper
from ottla.schemas.json_schema.combinations import compare_combined, fits_in_part
from ottla.schemas.json_schema.drafts import number
from ottla.schemas.json_schema.messages import MESSAGES
from ottla.schemas.json_schema.model import Kind, Node
from ottla.schemas.json_schema.objects import compare_objects
from ottla.schemas.json_schema.patterns import Patterns
from ottla.schemas.json_text import Json, is_array, write
from ottla.schemas.limits import MAX_PAIRS, Budget
from ottla.schemas.schema import Incompatibility, Sides, incompatibility
from ottla.schemas.walk import Finding, Look, Walk

__all__ = ["compare"]


def compare(old: Node, new: Node, sides: Sides) -> list[Incompatibility]:
    """Why `new` refuses what `old` let pass. Raises `InvalidSchemaError` beyond the limits."""
    budget = Budget("The comparison", MAX_PAIRS)
    patterns = Patterns(budget)
    found = Walk(lambda first, second: _look(first, second, budget, patterns), budget).compare(old, new)
    return [
        incompatibility(each.type, MESSAGES[each.type], "#/" + "/".join(each.path), each.info, sides)
        for each in found
    ]


def _look(old: Node, new: Node, budget: Budget, patterns: Patterns) -> Look[Node]:
    if (old.kind is Kind.COMBINED) != (new.kind is Kind.COMBINED) and (yield from fits_in_part(old, new)):
        return []
    if old.kind is not new.kind:
        if old.kind is Kind.NONE or new.kind is Kind.ANY or (_is_bytes(old) and _is_bytes(new)):
            return []
        return [Finding("TYPE_CHANGED", (), f"{_name(old)} became {_name(new)}")]
    match old.kind:
        case Kind.OBJECT:
            return (yield from compare_objects(old, new, patterns))
        case Kind.ARRAY:
            return (yield from compare_arrays(old, new))
        case Kind.NOT:
            # What it refuses must not become more.
            wider = yield new.of(new.keywords["not"]), old.of(old.keywords["not"])
            return [Finding("NOT_TYPE_EXTENDED", ("not",))] if wider else []
        case Kind.COMBINED:
            return (yield from compare_combined(old, new, budget))
    return _VALUES[old.kind](old, new) if old.kind in _VALUES else []


def _is_bytes(node: Node) -> bool:
    """Connect's converter has had two types for the decimals that it writes as bytes."""
    return node.keywords.get("connect.type") == "bytes"


def _name(node: Node) -> str:
    if node.kind is Kind.COMBINED:
        return node.criterion
    return "integer" if node.integer else node.kind.value


def _strings(old: Node, new: Node) -> list[Finding]:
    found = upper(old, new, "maxLength", "MAX_LENGTH") + lower(old, new, "minLength", "MIN_LENGTH")
    was, is_ = old.keywords.get("pattern"), new.keywords.get("pattern")
    if is_ is not None and was != is_:
        found.append(Finding("PATTERN_ADDED" if was is None else "PATTERN_CHANGED", ("pattern",)))
    return found


def _numbers(old: Node, new: Node) -> list[Finding]:
    found = upper(old, new, "maximum", "MAXIMUM") + lower(old, new, "minimum", "MINIMUM")
    found += upper(old, new, "exclusiveMaximum", "EXCLUSIVE_MAXIMUM")
    found += lower(old, new, "exclusiveMinimum", "EXCLUSIVE_MINIMUM")
    was, is_ = (number(node.keywords.get("multipleOf")) for node in (old, new))
    if is_ is not None and was != is_:
        how = "ADDED" if was is None else _divisors(Fraction(was), Fraction(is_))
        if how:
            found.append(Finding(f"MULTIPLE_OF_{how}", ("multipleOf",), f"{was} to {is_}"))
    if new.integer and not old.integer:
        found.append(Finding("TYPE_NARROWED", (), "number became integer"))
    return found


def _divisors(old: Fraction, new: Fraction) -> str:
    """What a change of `multipleOf` is; "" if more numbers are multiples now."""
    if old and new % old == 0:
        return "EXPANDED"
    return "" if new and old % new == 0 else "CHANGED"


def _enums(old: Node, new: Node) -> list[Finding]:
    was, are = _texts(old.keywords["enum"]), _texts(new.keywords["enum"])
    if was <= are:
        return []
    how = "NARROWED" if was > are else "CHANGED"
    return [Finding(f"ENUM_ARRAY_{how}", ("enum",), ", ".join(sorted(was - are)[:10]))]


def _constants(old: Node, new: Node) -> list[Finding]:
    same = _texts([old.keywords["const"]]) == _texts([new.keywords["const"]])
    return [] if same else [Finding("ENUM_ARRAY_CHANGED", ("const",))]


_VALUES: Final = {
    Kind.STRING: _strings,
    Kind.NUMBER: _numbers,
    Kind.ENUM: _enums,
    Kind.CONST: _constants,
}


def _texts(values: Json) -> frozenset[str]:
    """Values as texts, equal where the values are: 1 is 1.0 and is not true."""
    listed = values if is_array(values) else ()
    return frozenset(write(_exact(value), sort=True) for value in listed)


def _exact(value: Json) -> Json:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        if not value:
            return 0
        sign, digits, exponent = Decimal(value).as_tuple()
        figures = "".join(map(str, digits))
        zeros = len(figures) - len(figures.rstrip("0") or "0")
        assert isinstance(exponent, int)
        return Decimal(f"{'-' * sign}{figures[: len(figures) - zeros]}E{exponent + zeros}")
    if isinstance(value, Mapping):
        return {key: _exact(each) for key, each in value.items()}
    if is_array(value):
        return [_exact(each) for each in value]
    return value
