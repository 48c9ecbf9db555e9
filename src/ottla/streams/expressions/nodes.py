"""The tree of an expression: frozen nodes, which can be walked, printed, bound to a schema and evaluated.

Operators and methods build it: `(col("amount") > 50) & col("user").is_not_null()`. `inference.py` has the
functions that there are with their types, `operations.py` says what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn
from typing import Literal as OneOf

from ottla.streams.expressions.errors import ExpressionError
from ottla.streams.expressions.types import Type, parse_type, type_of

__all__ = [
    "Aggregate",
    "Call",
    "Case",
    "Cast",
    "Column",
    "Expression",
    "Header",
    "Literal",
    "Metadata",
    "Struct",
    "as_expression",
]

MetadataName = OneOf["timestamp", "partition", "offset", "topic", "window_start", "window_end"]

_INFIX: Final = {
    "equal": "=",
    "not_equal": "<>",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "and": "AND",
    "or": "OR",
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "floor_divide": "//",
    "modulo": "%",
    "is_distinct": "IS DISTINCT FROM",
}


class Expression:
    """What is computed for each record. `str()` shows it, much as SQL writes it."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def children(self) -> tuple[Expression, ...]:
        return ()

    def with_children(self, children: tuple[Expression, ...]) -> Expression:  # noqa: ARG002 # it has none
        """The same with other children, in the order of `children`."""
        return self

    def walk(self) -> Iterator[Expression]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __bool__(self) -> NoReturn:
        raise ExpressionError(
            f"{self} has no truth before there is a record: write &, | and ~ in place of and, or and not, "
            "is_in(...) in place of in, between(...) in place of a < b < c"
        )

    def __eq__(self, other: object) -> Call:  # type: ignore[override]
        return _call("equal", self, other)

    def __ne__(self, other: object) -> Call:  # type: ignore[override]
        return _call("not_equal", self, other)

    def __lt__(self, other: object) -> Call:
        return _call("less", self, other)

    def __le__(self, other: object) -> Call:
        return _call("less_equal", self, other)

    def __gt__(self, other: object) -> Call:
        return _call("greater", self, other)

    def __ge__(self, other: object) -> Call:
        return _call("greater_equal", self, other)

    def is_distinct_from(self, other: object) -> Call:
        """Whether both differ, where null is a value like others: never null."""
        return _call("is_distinct", self, other)

    def between(self, low: object, high: object) -> Call:
        """Whether it is neither below `low` nor above `high`."""
        return (self >= low) & (self <= high)

    def is_in(self, values: Sequence[object]) -> Call:
        """Whether it equals one of `values`; null where it equals none and one of them is null."""
        return _call("in", self, *values)

    def __and__(self, other: object) -> Call:
        return _call("and", self, other)

    def __rand__(self, other: object) -> Call:
        return _call("and", other, self)

    def __or__(self, other: object) -> Call:
        return _call("or", self, other)

    def __ror__(self, other: object) -> Call:
        return _call("or", other, self)

    def __invert__(self) -> Call:
        return _call("not", self)

    def __add__(self, other: object) -> Call:
        return _call("add", self, other)

    def __radd__(self, other: object) -> Call:
        return _call("add", other, self)

    def __sub__(self, other: object) -> Call:
        return _call("subtract", self, other)

    def __rsub__(self, other: object) -> Call:
        return _call("subtract", other, self)

    def __mul__(self, other: object) -> Call:
        return _call("multiply", self, other)

    def __rmul__(self, other: object) -> Call:
        return _call("multiply", other, self)

    def __truediv__(self, other: object) -> Call:
        return _call("divide", self, other)

    def __rtruediv__(self, other: object) -> Call:
        return _call("divide", other, self)

    def __floordiv__(self, other: object) -> Call:
        return _call("floor_divide", self, other)

    def __rfloordiv__(self, other: object) -> Call:
        return _call("floor_divide", other, self)

    def __mod__(self, other: object) -> Call:
        return _call("modulo", self, other)

    def __rmod__(self, other: object) -> Call:
        return _call("modulo", other, self)

    def __neg__(self) -> Call:
        return _call("negate", self)

    def abs(self) -> Call:
        return _call("abs", self)

    def floor(self) -> Call:
        return _call("floor", self)

    def ceil(self) -> Call:
        return _call("ceil", self)

    def round(self, digits: int = 0) -> Call:
        """To so many digits behind the point; a half goes to the even neighbour."""
        return _call("round", self, digits)

    def is_null(self) -> Call:
        return _call("is_null", self)

    def is_not_null(self) -> Call:
        return ~self.is_null()

    def coalesce(self, *others: object) -> Call:
        """The first of it and `others` that is not null."""
        return _call("coalesce", self, *others)

    def cast(self, kind: str | Type) -> Cast:
        """As another type; an ExpressionError for a value that has none there."""
        return Cast(self, _type(kind))

    def try_cast(self, kind: str | Type) -> Cast:
        """As `cast`, with null in place of an error."""
        return Cast(self, _type(kind), is_strict=False)

    def lower(self) -> Call:
        return _call("lower", self)

    def upper(self) -> Call:
        return _call("upper", self)

    def length(self) -> Call:
        """The characters of a text, the bytes of bytes, the items of a list."""
        return _call("length", self)

    def trim(self, characters: str = " ") -> Call:
        return _call("trim", self, characters)

    def substring(self, start: object, length: object = None) -> Call:
        """From character `start` on, the first being 1 as in SQL, up to `length` characters."""
        return _call("substring", self, start) if length is None else _call("substring", self, start, length)

    def replace(self, what: object, by: object) -> Call:
        """Each `what` in the text replaced."""
        return _call("replace", self, what, by)

    def starts_with(self, prefix: object) -> Call:
        return _call("starts_with", self, prefix)

    def ends_with(self, suffix: object) -> Call:
        return _call("ends_with", self, suffix)

    def contains(self, part: object) -> Call:
        return _call("contains", self, part)

    def like(self, pattern: str, escape: str = "\\") -> Call:
        """SQL's LIKE: `%` stands for any characters, `_` for one; `escape` makes the next one mean itself."""
        if len(escape) != 1:
            raise ExpressionError(f"the escape of LIKE is one character, not {escape!r}")
        return _call("like", self, pattern, escape)

    def matches(self, pattern: str) -> Call:
        """Whether the regular expression (RE2's syntax) is found in the text."""
        return _call("matches", self, pattern)

    def extract(self, pattern: str, group: int = 0) -> Call:
        """What the `group` of a regular expression matched first; null where it matched nothing."""
        return _call("extract", self, pattern, group)

    def year(self, zone: str = "UTC") -> Call:
        return _call("year", self, zone)

    def month(self, zone: str = "UTC") -> Call:
        return _call("month", self, zone)

    def day(self, zone: str = "UTC") -> Call:
        return _call("day", self, zone)

    def hour(self, zone: str = "UTC") -> Call:
        return _call("hour", self, zone)

    def minute(self, zone: str = "UTC") -> Call:
        return _call("minute", self, zone)

    def second(self, zone: str = "UTC") -> Call:
        return _call("second", self, zone)

    def weekday(self, zone: str = "UTC") -> Call:
        """1 for Monday up to 7 for Sunday, as ISO 8601 counts."""
        return _call("weekday", self, zone)

    def truncate(self, unit: str, zone: str = "UTC") -> Call:
        """The begin of the second, minute, hour, day, week (Monday), month or year that a timestamp is in."""
        return _call("truncate", self, unit, zone)

    def epoch_ms(self) -> Call:
        """Milliseconds since 1970, of a timestamp; those of the remainder are cut off."""
        return _call("epoch_ms", self)

    def as_timestamp(self) -> Call:
        """The timestamp of an integer: milliseconds since 1970."""
        return _call("as_timestamp", self)

    def item(self, index: object) -> Call:
        """Item `index` of a list, from 0 on, or from the end (-1); null where there are fewer."""
        return _call("item", self, index)

    def count(self) -> Aggregate:
        """How many of the group's are not null."""
        return Aggregate("count", self)

    def sum(self) -> Aggregate:
        return Aggregate("sum", self)

    def min(self) -> Aggregate:
        return Aggregate("min", self)

    def max(self) -> Aggregate:
        return Aggregate("max", self)

    def mean(self) -> Aggregate:
        return Aggregate("mean", self)

    def first(self) -> Aggregate:
        """The first that was seen that is not null."""
        return Aggregate("first", self)

    def last(self) -> Aggregate:
        """The last that was seen of the group's that is not null."""
        return Aggregate("last", self)

    def collect_list(self, limit: int = 1000) -> Aggregate:
        """The group's, in the order in which they were seen, up to `limit` of them."""
        return Aggregate("collect_list", self, limit)

    def collect_set(self, limit: int = 1000) -> Aggregate:
        """The different ones of the group's, in the order in which they were seen, up to `limit` of them."""
        return Aggregate("collect_set", self, limit)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Column(Expression):
    """A field of the record's value (or key), by its path; the value itself where the path is empty."""

    path: tuple[str, ...]
    part: OneOf["value", "key"] = "value"

    def __str__(self) -> str:
        name = ".".join(self.path)
        if self.part == "key":
            return f"key({name!r})" if name else "key()"
        return name or "value()"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Metadata(Expression):
    """What a record has beside key and value."""

    name: MetadataName

    def __str__(self) -> str:
        return f"{self.name}()"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Header(Expression):
    """The bytes of the record's last header of a name; null where it has none."""

    name: str

    def __str__(self) -> str:
        return f"header({self.name!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Literal(Expression):
    """A constant."""

    value: object

    def __post_init__(self) -> None:
        type_of(self.value)

    def __str__(self) -> str:
        if self.value is None or isinstance(self.value, bool):
            return "NULL" if self.value is None else str(self.value).upper()
        if isinstance(self.value, str):
            return "'" + self.value.replace("'", "''") + "'"
        return str(self.value)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call(Expression):
    """A function of the catalog, by its name, with what it is given."""

    function: str
    arguments: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.arguments

    def with_children(self, children: tuple[Expression, ...]) -> Expression:
        return Call(self.function, children)

    def __str__(self) -> str:
        infix = _INFIX.get(self.function)
        if infix is not None:
            return f" {infix} ".join(map(_within, self.arguments))
        if self.function == "not":
            return f"NOT {_within(self.arguments[0])}"
        if self.function == "is_null":
            return f"{_within(self.arguments[0])} IS NULL"
        if self.function == "in":
            return f"{_within(self.arguments[0])} IN ({', '.join(map(str, self.arguments[1:]))})"
        return f"{self.function}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Case(Expression):
    """The value of the first branch whose condition is true, else `default`."""

    branches: tuple[tuple[Expression, Expression], ...]
    default: Expression = Literal(None)

    @property
    def children(self) -> tuple[Expression, ...]:
        return (*(each for branch in self.branches for each in branch), self.default)

    def with_children(self, children: tuple[Expression, ...]) -> Expression:
        *pairs, default = children
        return Case(tuple(zip(pairs[::2], pairs[1::2], strict=True)), default)

    def when(self, condition: object, then: object) -> Case:
        """With one more branch behind those that there are."""
        branch = (as_expression(condition), as_expression(then))
        return Case((*self.branches, branch), self.default)

    def otherwise(self, value: object) -> Case:
        """With `value` where no condition is true, in place of null."""
        return Case(self.branches, as_expression(value))

    def __str__(self) -> str:
        branches = " ".join(f"WHEN {condition} THEN {value}" for condition, value in self.branches)
        return f"CASE {branches} ELSE {self.default} END"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cast(Expression):
    """A value as another type."""

    operand: Expression
    type: Type
    is_strict: bool = True

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.operand,)

    def with_children(self, children: tuple[Expression, ...]) -> Expression:
        return Cast(children[0], self.type, self.is_strict)

    def __str__(self) -> str:
        return f"{'CAST' if self.is_strict else 'TRY_CAST'}({self.operand} AS {self.type})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Struct(Expression):
    """An object of named expressions. It is never null."""

    fields: tuple[tuple[str, Expression], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.fields]
        if len(set(names)) < len(names):
            raise ExpressionError(f"a name is twice in {self}")

    @property
    def children(self) -> tuple[Expression, ...]:
        return tuple(each for _, each in self.fields)

    def with_children(self, children: tuple[Expression, ...]) -> Expression:
        return Struct(tuple((name, each) for (name, _), each in zip(self.fields, children, strict=True)))

    def __str__(self) -> str:
        return f"STRUCT({', '.join(f'{each} AS {name}' for name, each in self.fields)})"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate of a group's records: `function` over what `argument` is for each of them."""

    function: str
    argument: Expression
    limit: int | None = None

    def __str__(self) -> str:
        return f"{self.function}({self.argument})"


def as_expression(value: object) -> Expression:
    """An expression as it is, a mapping of names as a struct, anything else as a literal."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, Mapping):
        return Struct(tuple((str(name), as_expression(each)) for name, each in value.items()))
    return Literal(value)


def _within(node: Expression) -> str:
    """`node` as an operand of another."""
    nested = isinstance(node, Call) and (node.function in _INFIX or node.function in ("not", "is_null", "in"))
    return f"({node})" if nested else str(node)


def _call(function: str, *arguments: object) -> Call:
    return Call(function, tuple(map(as_expression, arguments)))


def _type(kind: str | Type) -> Type:
    return parse_type(kind) if isinstance(kind, str) else kind
