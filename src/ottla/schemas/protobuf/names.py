"""What names mean in a .proto file: its own types, those of other files, those that everyone has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ottla.schemas.limits import Budget
from ottla.schemas.protobuf.model import SCALARS, Enum, Extend, Field, File, Message, Type, map_types

__all__ = ["KNOWN_FILES", "Names", "Scope"]


@dataclass(slots=True, eq=False)
class Scope:
    """A type, or a file, with what is declared in it."""

    package: str
    origin: str
    """The name of the file's reference; "" for the schema's own."""
    type: Type | None
    """None for a file."""
    parent: Scope | None
    types: dict[str, Scope] = field(default_factory=dict)
    extensions: dict[str, Field] = field(default_factory=dict)

    @property
    def path(self) -> tuple[str, ...]:
        """The names that lead to it in its file."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None and scope.type is not None:
            names.append(scope.type.name)
            scope = scope.parent
        return tuple(reversed(names))

    @property
    def full(self) -> str:
        return ".".join((*filter(None, [self.package]), *self.path))

    def inner(self, parts: Sequence[str]) -> Scope | None:
        """The type that `parts` lead to from here."""
        scope: Scope | None = self
        for part in parts:
            scope = scope.types.get(part) if scope is not None else None
        return scope


class Names:
    """All types that may be used by name, in whatever file, as Confluent's registry looks them up."""

    def __init__(self, file: File, references: Mapping[str, File], budget: Budget) -> None:
        self._budget = budget
        self._files: dict[str, list[Scope]] = {}
        """By package, the schema's own file first, then in the order of their names."""
        self._resolved: dict[tuple[int, str], Scope | None] = {}
        self._declared: dict[tuple[int, str], tuple[str, Field, Scope] | None] = {}
        self.root = self._add_file(file, "")
        for name in sorted(references):
            self._add_file(references[name], name)
        for location, types in KNOWN_FILES.items():
            if location not in references:
                self._add_known(location, types)

    def _add_known(self, location: str, types: str) -> None:
        package = location.rpartition("/")[0].replace("/", ".")
        root = Scope(package, location, None, None)
        self._files.setdefault(package, []).append(root)
        for name in types.split():
            simple = name.lstrip("=")
            self._add(root, Enum(simple) if name.startswith("=") else Message(simple))

    def _add_file(self, file: File, origin: str) -> Scope:
        root = Scope(file.package, origin, None, None)
        self._files.setdefault(file.package, []).append(root)
        self._extend(root, file.extends)
        ahead: list[tuple[Scope, Type]] = [(root, each) for each in file.types]
        while ahead:
            self._budget.spend()
            parent, type_ = ahead.pop()
            scope = self._add(parent, type_)
            if isinstance(type_, Message):
                self._extend(scope, type_.extends)
                ahead.extend((scope, each) for each in type_.types)
        return root

    def _add(self, parent: Scope, type_: Type) -> Scope:
        scope = parent.types[type_.name] = Scope(parent.package, parent.origin, type_, parent)
        return scope

    def _extend(self, scope: Scope, extends: Iterable[Extend]) -> None:
        for each in extends:
            scope.extensions.update((extension.name, extension) for extension in each.fields)

    def resolve(self, name: str, scope: Scope) -> Scope | None:
        """The type that `name` is within `scope`: the nearest of that name, going outwards."""
        key = (id(scope), name)
        if key not in self._resolved:
            self._resolved[key] = next(self._candidates(name, scope), None)
        return self._resolved[key]

    def extension(self, name: str, scope: Scope) -> tuple[str, Field, Scope] | None:
        """The full name of an option that is declared in some file, its declaration, and where that is."""
        key = (id(scope), name)
        if key not in self._declared:
            self._declared[key] = self._find_extension(name, scope)
        return self._declared[key]

    def _find_extension(self, name: str, scope: Scope) -> tuple[str, Field, Scope] | None:
        outer, _, simple = name.rpartition(".")
        for found in self._around(scope) if not outer else self._scopes(outer, scope):
            if simple in found.extensions:
                return f"{found.full}.{simple}".lstrip("."), found.extensions[simple], found
        return None

    def _around(self, scope: Scope) -> Iterator[Scope]:
        around: Scope | None = scope
        while around is not None:
            yield around
            around = around.parent

    def _scopes(self, name: str, scope: Scope) -> Iterator[Scope]:
        """Types and files in which an option may be declared."""
        yield from self._candidates(name, scope)
        yield from self._packages(name, scope)

    def _candidates(self, name: str, scope: Scope) -> Iterator[Scope]:
        """All types of that name, the nearest first."""
        parts = name.lstrip(".").split(".")
        if not name.startswith("."):
            for around in self._around(scope):
                self._budget.spend()
                found = around.inner(parts)
                if found is not None:
                    yield found
        package = [] if name.startswith(".") or not scope.package else scope.package.split(".")
        for length in range(len(package), -1, -1):
            yield from self._find([*package[:length], *parts])

    def _packages(self, name: str, scope: Scope) -> Iterator[Scope]:
        """All files of a package, by its full name or from within `scope`."""
        package = scope.package.split(".") if scope.package else []
        for length in range(len(package), -1, -1):
            self._budget.spend()
            full = ".".join(filter(None, [*package[:length], name.lstrip(".")]))
            yield from self._files.get(full, ())

    def _find(self, full: Sequence[str]) -> Iterator[Scope]:
        for length in range(len(full)):
            self._budget.spend()
            for file in self._files.get(".".join(full[:length]), ()):
                found = file.inner(full[length:])
                if found is not None:
                    yield found

    def map_of(self, type_: str, scope: Scope) -> tuple[str, str] | None:
        """The types of keys and values, also where it is written as a descriptor has it."""
        written = map_types(type_)
        if written is not None:
            return written
        found = None if type_ in SCALARS else self.resolve(type_, scope)
        if found is None or not isinstance(found.type, Message) or not found.type.is_map_entry():
            return None
        types = {each.name: each.type for each in found.type.fields}
        return (types["key"], types["value"]) if types.keys() >= {"key", "value"} else None


KNOWN_FILES: Final[Mapping[str, str]] = {
    "confluent/meta.proto": "Meta Rule",
    "confluent/type/decimal.proto": "Decimal",
    "confluent/type/variant.proto": "Variant",
    "google/protobuf/any.proto": "Any",
    "google/protobuf/api.proto": "Api Method Mixin",
    "google/protobuf/descriptor.proto": (
        "FileDescriptorSet FileDescriptorProto DescriptorProto ExtensionRangeOptions FieldDescriptorProto"
        " OneofDescriptorProto EnumDescriptorProto EnumValueDescriptorProto ServiceDescriptorProto"
        " MethodDescriptorProto FileOptions MessageOptions FieldOptions OneofOptions EnumOptions"
        " EnumValueOptions ServiceOptions MethodOptions UninterpretedOption FeatureSet FeatureSetDefaults"
        " SourceCodeInfo GeneratedCodeInfo =Edition =SymbolVisibility"
    ),
    "google/protobuf/duration.proto": "Duration",
    "google/protobuf/empty.proto": "Empty",
    "google/protobuf/field_mask.proto": "FieldMask",
    "google/protobuf/source_context.proto": "SourceContext",
    "google/protobuf/struct.proto": "Struct Value ListValue =NullValue",
    "google/protobuf/timestamp.proto": "Timestamp",
    "google/protobuf/type.proto": "Type Field Enum EnumValue Option =Syntax",
    "google/protobuf/wrappers.proto": (
        "DoubleValue FloatValue Int64Value UInt64Value Int32Value UInt32Value"
        " BoolValue StringValue BytesValue"
    ),
    "google/type/calendar_period.proto": "=CalendarPeriod",
    "google/type/color.proto": "Color",
    "google/type/date.proto": "Date",
    "google/type/datetime.proto": "DateTime TimeZone",
    "google/type/dayofweek.proto": "=DayOfWeek",
    "google/type/decimal.proto": "Decimal",
    "google/type/expr.proto": "Expr",
    "google/type/fraction.proto": "Fraction",
    "google/type/interval.proto": "Interval",
    "google/type/latlng.proto": "LatLng",
    "google/type/money.proto": "Money",
    "google/type/month.proto": "=Month",
    "google/type/phone_number.proto": "PhoneNumber",
    "google/type/postal_address.proto": "PostalAddress",
    "google/type/quaternion.proto": "Quaternion",
    "google/type/timeofday.proto": "TimeOfDay",
}
"""Files that need no reference, with their types; `=` stands before an enum."""
