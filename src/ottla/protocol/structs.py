"""What the generated messages in `ottla.protocol.messages` are made of: a typed class for each struct, a line
for each field.

    class ListedGroup(Struct):
        group_id: str = field("string", "0+")
        protocol_type: str = field("string", "0+")
        group_state: str = field("string", "4+")

    class ListGroupsResponse(Struct, key=16, versions="0-5", flexible="3+"):
        throttle_time_ms: int = field("int32", "1+")
        error_code: int = field("int16", "0+")
        groups: Sequence[ListedGroup] = array(ListedGroup, "0+")

    ListGroupsResponse(groups=[ListedGroup(group_id="g", protocol_type="consumer")])

Only the codecs (`wire`) see versions: a field that was not given, or that the decoded version lacks, answers
its default, and one that the encoded version lacks is left out. A range of versions is `"2"`, `"1-3"`, `"2+"`
or `"none"`. Types are `bool`, `int8`, `int16`, `uint16`, `int32`, `int64`, `float64`, `string`, `bytes`,
`records`, `uuid`, and other structs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple, dataclass_transform

_UNSET: Final = object()
_NO_LAST_VERSION: Final = 1 << 15
_ZERO: Final[Mapping[str, object]] = {
    "bool": False,
    "int8": 0,
    "int16": 0,
    "uint16": 0,
    "int32": 0,
    "int64": 0,
    "float64": 0.0,
    "string": "",
    "bytes": b"",
    "records": b"",
    "uuid": None,
}


class FieldSpec(NamedTuple):
    """What is known of a field in all its versions."""

    type: str | type[Struct]
    array: bool
    versions: str
    nullable: str
    default: Any
    tag: int | None


def field(
    type_: str | type[Struct],
    versions: str,
    *,
    nullable: str = "none",
    default: object = _UNSET,
    tag: int | None = None,
) -> Any:
    """Declare a field of a `Struct`; with a tag it is a tagged field (KIP-482) in all its versions.

    Without a default of its own it has None if any version has null, else zero, "", or a struct of defaults.
    The zero UUID is None.
    """
    if default is _UNSET:
        if nullable != "none":
            default = None
        else:
            default = _ZERO[type_] if isinstance(type_, str) else type_()
    return FieldSpec(type_, False, versions, nullable, default, tag)


def array(
    type_: str | type[Struct],
    versions: str,
    *,
    nullable: str = "none",
    default: object = _UNSET,
    tag: int | None = None,
) -> Any:
    """As `field`, for an array of this type."""
    if default is _UNSET:
        default = () if nullable == "none" else None
    return FieldSpec(type_, True, versions, nullable, default, tag)


def version_range(text: str) -> range:
    """The versions that `"2"`, `"1-3"`, `"2+"` and `"none"` stand for."""
    if text == "none":
        return range(0)
    if text.endswith("+"):
        return range(int(text[:-1]), _NO_LAST_VERSION)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


@dataclass_transform(kw_only_default=True)
class Struct:
    """A message, or a struct inside one. Equal where the class and all fields are, lists being equal to
    tuples.

    Defaults are shared: change only what you have made yourself.
    """

    __key__: ClassVar[int] = -1
    """The API's key, or the type of a coordinator's record; -1 for other messages and for inner structs."""
    __versions__: ClassVar[range] = range(0)
    """The versions that there are; empty for inner structs."""
    __flexible__: ClassVar[range] = range(0)
    """The versions in which lengths are compact and fields can be tagged (KIP-482)."""
    __fields__: ClassVar[Mapping[str, FieldSpec]] = {}
    __decoders__: ClassVar[dict[int, Any]]
    __encoders__: ClassVar[dict[int, Any]]
    """What `wire` has compiled for a message, by version."""

    def __init_subclass__(cls, *, key: int = -1, versions: str = "none", flexible: str = "none") -> None:
        fields = {name: spec for name, spec in cls.__dict__.items() if type(spec) is FieldSpec}
        cls.__fields__ = fields
        for name, spec in fields.items():
            setattr(cls, name, spec.default)
        if versions != "none":
            cls.__key__ = key
            cls.__versions__ = version_range(versions)
            cls.__flexible__ = version_range(flexible)
            cls.__decoders__ = {}
            cls.__encoders__ = {}

    def __init__(self, **fields: Any) -> None:
        if not fields.keys() <= self.__fields__.keys():
            unknown = sorted(fields.keys() - self.__fields__.keys())
            raise TypeError(f"{type(self).__name__} has no field {', '.join(unknown)}")
        self.__dict__ = fields

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            _comparable(getattr(self, name)) == _comparable(getattr(other, name)) for name in self.__fields__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in self._given())
        return f"{type(self).__name__}({', '.join(given)})"

    def _given(self) -> Iterator[tuple[str, Any]]:
        """What is of this object and not a default, in the order of the fields."""
        return ((name, self.__dict__[name]) for name in self.__fields__ if name in self.__dict__)


def _comparable(value: Any) -> Any:
    return tuple(value) if type(value) is list else value
