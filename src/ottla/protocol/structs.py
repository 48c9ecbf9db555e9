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

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, NamedTuple, dataclass_transform

from ottla.protocol.codegen import Source

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
    return _SPECS[type_, False, versions, nullable, default, tag]


def array(
    type_: str | type[Struct],
    versions: str,
    *,
    nullable: str = "none",
    default: object = _UNSET,
    tag: int | None = None,
) -> Any:
    """As `field`, for an array of this type."""
    return _SPECS[type_, True, versions, nullable, default, tag]


class _Specs(dict[tuple[str | type["Struct"], bool, str, str, object, int | None], FieldSpec]):
    """Made once for all fields that are alike: there are thousands."""

    def __missing__(self, declared: tuple[Any, ...]) -> FieldSpec:
        type_, is_array, _, nullable, default, _ = declared
        if default is _UNSET:
            if nullable != "none":
                default = None
            elif is_array:
                default = ()
            else:
                default = _ZERO[type_] if isinstance(type_, str) else type_()
        spec = self[declared] = FieldSpec(*declared)._replace(default=default)
        return spec


_SPECS: Final = _Specs()


def version_range(text: str) -> range:
    """The versions that `"2"`, `"1-3"`, `"2+"` and `"none"` stand for."""
    if text == "none":
        return range(0)
    if text.endswith("+"):
        return range(int(text[:-1]), _NO_LAST_VERSION)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


@dataclass_transform(kw_only_default=True)
class StructType(type):
    """Makes slots of the fields, since what is decoded is many objects."""

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        key: int = -1,
        versions: str = "none",
        flexible: str = "none",
    ) -> StructType:
        fields = {name: spec for name, spec in namespace.items() if type(spec) is FieldSpec}
        for each in fields:
            del namespace[each]
        namespace.pop("__annotations__", None)  # for type checkers only
        namespace["__slots__"] = tuple(fields)
        namespace["__fields__"] = fields
        if versions != "none":
            namespace["__key__"] = key
            namespace["__versions__"] = version_range(versions)
            namespace["__flexible__"] = version_range(flexible)
            namespace["__decoders__"] = {}
            namespace["__encoders__"] = {}
        return super().__new__(cls, name, bases, namespace)


class Struct(metaclass=StructType):
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

    def __init__(self, **fields: Any) -> None:
        """TypeError for a field that there is not. Called once for each class, which then gets its own."""
        cls = type(self)
        cls.__init__ = _constructor(cls)  # type: ignore[method-assign]
        cls.__init__(self, **fields)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            _comparable(getattr(self, name)) == _comparable(getattr(other, name)) for name in self.__fields__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ((name, getattr(self, name), spec.default) for name, spec in self.__fields__.items())
        told = (f"{name}={value!r}" for name, value, default in values if value != default)
        return f"{type(self).__name__}({', '.join(told)})"


def _comparable(value: Any) -> Any:
    return tuple(value) if type(value) is list else value


def _constructor(class_: type[Struct]) -> Callable[..., None]:
    source = Source()
    parameters = (
        f"{name}={source.constant('default', spec.default)}" for name, spec in class_.__fields__.items()
    )
    source.add(0, f"def __init__(self, {'*, ' if class_.__fields__ else ''}{', '.join(parameters)}):")
    source.add(1, *(f"self.{name} = {name}" for name in class_.__fields__), "return None")
    constructor: Callable[..., None] = source.compile("__init__", f"constructor of {class_.__name__}")
    constructor.__qualname__ = class_.__qualname__  # which a TypeError tells
    return constructor
