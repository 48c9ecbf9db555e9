"""A .proto file's elements as text: what the registry stores, printed as Confluent's does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ottla.schemas.protobuf.model import (
    MAX_TAG,
    Constant,
    Enum,
    Extend,
    Extensions,
    Field,
    File,
    Group,
    Message,
    OneOf,
    Option,
    Range,
    Reserved,
    Rpc,
    Service,
    Type,
    Value,
    Word,
)

__all__ = ["canonical"]

_ESCAPES: Final = str.maketrans(
    {code: f"\\{code:03o}" for code in (*range(32), 127)}
    | {0xDC00 + byte: f"\\{byte:03o}" for byte in range(128, 256)}
    | {ord(char): f"\\{name}" for char, name in zip("\a\b\f\n\r\t\v\\'\"", "abfnrtv\\'\"", strict=True)}
)
_Lines = list[str]


def canonical(file: File) -> str:
    """Sections in one order, elements in the author's (messages before enums), without comments."""
    head: _Lines = []
    if file.syntax:
        keyword = "syntax" if file.syntax in ("proto2", "proto3") else "edition"
        head.append(f'{keyword} = "{file.syntax}";')
    if file.package:
        head.append(f"package {file.package};")
    imports = [f'import "{each.translate(_ESCAPES)}";' for each in file.imports]
    imports += [f'import public "{each.translate(_ESCAPES)}";' for each in file.public_imports]
    imports += [f'import weak "{each.translate(_ESCAPES)}";' for each in file.weak_imports]
    services = [line for each in file.services for line in _service(each)]
    sections = [imports, _statements(file.options), _types(file.types), _extends(file.extends), services]
    lines = head + [line for section in sections if section for line in ("", *section)]
    return "".join(f"{line}\n" for line in lines)


def _block(opening: str, sections: Iterable[_Lines], end: str = "}") -> _Lines:
    """A blank line stands between sections, and is indented where the block is."""
    inside: _Lines = []
    for section in sections:
        if section and inside:
            inside.append("")
        inside += [f"  {line}" for line in section]
    return [f"{opening} {{", *inside, end] if inside else [f"{opening} {{{end}"]


def _types(types: Iterable[Type]) -> _Lines:
    types = list(types)
    lines = [line for type_ in types if isinstance(type_, Message) for line in _message(type_)]
    return lines + [line for type_ in types if isinstance(type_, Enum) for line in _enum(type_)]


def _message(message: Message) -> _Lines:
    return _block(
        f"message {message.name}",
        [
            [_reserved(each) for each in message.reserved],
            _statements(message.options),
            _fields(message.fields),
            [line for each in message.one_ofs for line in _one_of(each)],
            _groups(message.groups),
            [line for each in message.extensions for line in _extensions(each)],
            _extends(message.extends),
            _types(message.types),
        ],
    )


def _extends(extends: Iterable[Extend]) -> _Lines:
    return [line for each in extends for line in _block(f"extend {each.name}", [_fields(each.fields)])]


def _enum(enum: Enum) -> _Lines:
    section = [_reserved(each) for each in enum.reserved] + _statements(enum.options)
    section += [line for each in enum.constants for line in _constant(each)]
    return _block(f"enum {enum.name}", [section])


def _constant(constant: Constant) -> _Lines:
    return _ended(f"{constant.name} = {constant.tag}", constant.options)


def _one_of(one_of: OneOf) -> _Lines:
    sections = [_statements(one_of.options), _fields(one_of.fields), _groups(one_of.groups)]
    return _block(f"oneof {one_of.name}", sections)


def _groups(groups: Iterable[Group]) -> _Lines:
    return [
        line
        for group in groups
        for line in _block(
            f"{group.label} group {group.name} = {group.tag}".lstrip(), [_fields(group.fields)]
        )
    ]


def _fields(fields: Iterable[Field]) -> _Lines:
    return [line for field in fields for line in _field(field)]


def _field(field: Field) -> _Lines:
    return _ended(f"{field.label} {field.type} {field.name} = {field.tag}".lstrip(), field.options)


def _reserved(reserved: Reserved) -> str:
    values = [f'"{each}"' if isinstance(each, str) else _range(each) for each in reserved.values]
    return f"reserved {', '.join(values)};"


def _extensions(extensions: Extensions) -> _Lines:
    return _ended(f"extensions {', '.join(map(_range, extensions.values))}", extensions.options)


def _range(value: int | Range) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value.first} to {value.last if value.last < MAX_TAG else 'max'}"


def _service(service: Service) -> _Lines:
    rpcs = [line for rpc in service.rpcs for line in _rpc(rpc)]
    return _block(f"service {service.name}", [_statements(service.options), rpcs])


def _rpc(rpc: Rpc) -> _Lines:
    request = f"{'stream ' if rpc.request_streams else ''}{rpc.request}"
    response = f"{'stream ' if rpc.response_streams else ''}{rpc.response}"
    opening = f"rpc {rpc.name} ({request}) returns ({response})"
    return _block(opening, [_statements(rpc.options)], "};") if rpc.options else [f"{opening};"]


def _statements(options: Iterable[Option]) -> _Lines:
    lines: _Lines = []
    for option in options:
        first, *others = _option(option)
        lines += [f"option {first}", *others]
        lines[-1] += ";"
    return lines


def _ended(text: str, options: Sequence[Option]) -> _Lines:
    """A statement with its options in brackets."""
    lines = [text]
    if options:
        lines = _joined(f"{text} ", _listed([_option(option) for option in options]))
    lines[-1] += ";"
    return lines


def _listed(values: Sequence[_Lines]) -> _Lines:
    if len(values) == 1:
        lines = _joined("[", values[0])
        lines[-1] += "]"
        return lines
    return ["[", *_commas(values), "]"]


def _commas(values: Sequence[_Lines]) -> _Lines:
    lines: _Lines = []
    for i, value in enumerate(values):
        lines += [f"  {line}" for line in value]
        if i < len(values) - 1:
            lines[-1] += ","
    return lines


def _joined(text: str, lines: _Lines) -> _Lines:
    return [text + lines[0], *lines[1:]]


def _option(option: Option) -> _Lines:
    name = f"({option.name})" if option.custom else option.name
    value = option.value
    if isinstance(value, Option):
        return _joined(f"{name}.", _option(value))
    if isinstance(value, Mapping | str | Word):
        return _joined(f"{name} = ", _value(value))
    return _joined(f"{name} = ", _listed([_value(each) for each in value]))


def _value(value: Value) -> _Lines:
    if isinstance(value, str):
        return [f'"{value.translate(_ESCAPES)}"']
    if isinstance(value, Word):
        return [value.text]
    if isinstance(value, Option):
        return _option(value)
    if isinstance(value, Mapping):
        return ["{", *_commas([_joined(f"{key}: ", _value(each)) for key, each in value.items()]), "}"]
    return ["[", *_commas([_value(each) for each in value]), "]"]
