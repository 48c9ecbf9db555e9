"""Messages as the text of Python modules, laid out as `ruff format` would."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tools.wire.definitions import Field, Message, Struct, parse_versions

_LINE = 110
_PYTHON_TYPES = {
    "bool": "bool",
    "float64": "float",
    "string": "str",
    "bytes": "bytes",
    "records": "bytes | memoryview",
    "uuid": "UUID | None",
}
_RECORD_MODULES = {
    "ConsumerGroup": "consumer_group",
    "ConsumerProtocol": "consumer_protocol",
    "ControlRecordType": "control",
    "EndTxnMarker": "control",
    "GroupMetadata": "group",
    "KRaftVersion": "control",
    "LeaderChange": "control",
    "LegacyOffsetCommit": "group",
    "OffsetCommit": "group",
    "RemoteLog": "remote_log",
    "RemotePartition": "remote_log",
    "ShareGroup": "share_group",
    "ShareSnapshot": "share_state",
    "ShareUpdate": "share_state",
    "SnapshotFooter": "control",
    "SnapshotHeader": "control",
    "StreamsGroup": "streams_group",
    "TransactionLog": "transaction",
    "Voters": "control",
}
"""By the beginning of a message's name, the module under `records` that has it."""
_TITLES = {
    "consumer_group": "Records of consumer groups (KIP-848) in `__consumer_offsets`",
    "consumer_protocol": "What members of classic consumer groups tell each other through the coordinator",
    "control": "What control records hold",
    "group": "Records of classic groups and of offsets in `__consumer_offsets`",
    "remote_log": "Records in `__remote_log_metadata` (KIP-405)",
    "share_group": "Records of share groups (KIP-932) in `__consumer_offsets`",
    "share_state": "Records in `__share_group_state` (KIP-932)",
    "streams_group": "Records of streams groups (KIP-1071) in `__consumer_offsets`",
    "transaction": "Records in `__transaction_state`",
}
_NOTE = "Written by tools.wire from Apache Kafka's message definitions: do not edit."


def _docstring(title: str) -> list[str]:
    return [f'"""{title}.', "", _NOTE, '"""']


def modules(messages: Iterable[Message]) -> dict[str, str]:
    """The text of each module, by its path below `ottla/protocol/messages`."""
    apis: dict[int, dict[str, Message]] = {}
    records: dict[str, list[Message]] = {}
    for message in messages:
        if message.kind in ("request", "response"):
            apis.setdefault(message.key, {})[message.kind] = message
        elif (module := _record_module(message.name)) is not None:
            records.setdefault(module, []).append(message)
    written = {"__init__.py": _table(apis)}
    for pair in apis.values():
        name = _api_name(pair["request"])
        title = f"{name}: request and response"
        written[f"{snake_case(name)}.py"] = _module(title, [pair["request"], pair["response"]])
    written["records/__init__.py"] = "\n".join(
        [*_docstring("What internal topics and control batches hold"), ""]
    )
    for module, found in records.items():
        written[f"records/{module}.py"] = _module(_TITLES[module], found)
    return written


def snake_case(name: str) -> str:
    """`ThrottleTimeMs` is `throttle_time_ms`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _record_module(name: str) -> str | None:
    return next((module for start, module in _RECORD_MODULES.items() if name.startswith(start)), None)


def _api_name(request: Message) -> str:
    return request.name.removesuffix("Request")


def _table(apis: dict[int, dict[str, Message]]) -> str:
    lines = [
        *_docstring("The messages of Kafka's protocol, a module for each API"),
        "",
        "from __future__ import annotations",
        "",
        "from typing import Final, NamedTuple",
        "",
        "",
        "class ApiInfo(NamedTuple):",
        '    """An API\'s name, its module here, and the versions of its messages."""',
        "",
        "    name: str",
        "    module: str",
        "    lowest: int",
        "    highest: int",
        "    flexible: int",
        '    """The first version that is flexible (KIP-482); above the highest where none is."""',
        "    unstable: bool = False",
        '    """Whether the highest version is not to be served unless asked for."""',
        "",
        "",
        "APIS: Final[dict[int, ApiInfo]] = {",
    ]
    for key in sorted(apis):
        request, response = apis[key]["request"], apis[key]["response"]
        assert (request.versions, request.flexible) == (response.versions, response.flexible), request.name
        lowest, highest = parse_versions(request.versions)
        flexible, _ = parse_versions(request.flexible) if request.flexible != "none" else (highest + 1, 0)
        name = _api_name(request)
        unstable = ", unstable=True" if request.latest_unstable else ""
        values = f'"{name}", "{snake_case(name)}", {lowest}, {highest}, {flexible}{unstable}'
        lines += _call(f"    {key}: ApiInfo(", values, "),")
    return "\n".join([*lines, "}", '"""By API key."""', ""])


def _module(title: str, messages: list[Message]) -> str:
    names = _class_names(messages)
    body: list[str] = []
    for message in messages:
        written: set[str] = set()
        for struct in message.struct.inner():
            name = names[message.name, struct.name]
            if name not in written:
                written.add(name)
                body += _class(f"{name}(Struct)", struct, message, names)
        key = f"key={message.key}, " if message.key >= 0 else ""
        versions = f'versions="{message.versions}", flexible="{message.flexible}"'
        body += _class(f"{message.name}(Struct, {key}{versions})", message.struct, message, names)
    body += _record_table(messages)
    text = "\n".join(body)
    specifiers = [name for name in ("array", "field") if f" = {name}(" in text]
    imports = ["from __future__ import annotations", ""]
    standard = []
    if "Sequence[" in text:
        standard.append("from collections.abc import Sequence")
    if ": Final" in text:
        standard.append("from typing import Final")
    if "UUID" in text:
        standard.append("from uuid import UUID")
    if standard:
        imports += [*standard, ""]
    imports.append(f"from ottla.protocol.structs import {', '.join(['Struct', *specifiers])}")
    return "\n".join([*_docstring(title), "", *imports, *body, ""])


def _class_names(messages: list[Message]) -> dict[tuple[str, str], str]:
    """A class's name by message and struct: Kafka's, with the message's in front where two messages of the
    module have a struct of one name.
    """
    used = Counter(
        name for message in messages for name in dict.fromkeys(each.name for each in message.struct.inner())
    )
    used.update(message.name for message in messages)
    return {
        (message.name, struct.name): struct.name if used[struct.name] == 1 else message.name + struct.name
        for message in messages
        for struct in message.struct.inner()
    }


def _class(head: str, struct: Struct, message: Message, names: dict[tuple[str, str], str]) -> list[str]:
    lines = ["", "", f"class {head}:"]
    for each in struct.fields:
        lines += _field(each, message, names)
    return lines if struct.fields else [*lines, "    pass"]


def _field(each: Field, message: Message, names: dict[tuple[str, str], str]) -> list[str]:
    inner = "" if each.struct is None else names[message.name, each.struct.name]
    arguments = [inner or f'"{each.type}"', f'"{each.versions}"']
    if each.nullable != "none":
        arguments.append(f'nullable="{each.nullable}"')
    if each.default is not ... and (default := _default(each)) is not None:
        arguments.append(f"default={default}")
    if each.tag is not None:
        arguments.append(f"tag={each.tag}")
    annotation = inner or _PYTHON_TYPES.get(each.type, "int")
    if each.array:
        annotation = f"Sequence[{annotation}]"
    if each.nullable != "none" and not annotation.endswith("None"):
        annotation += " | None"
    start = f"    {snake_case(each.name)}: {annotation} = {'array' if each.array else 'field'}("
    return _call(start, ", ".join(arguments), ")")


def _call(start: str, arguments: str, end: str) -> list[str]:
    """On one line where it fits."""
    line = f"{start}{arguments}{end}"
    return [line] if len(line) <= _LINE else [start, f"        {arguments}", f"    {end}"]


def _default(each: Field) -> str | None:
    """The text of a default; None where it is what it would be anyway."""
    value = each.default
    if value in (None, "null"):
        return None if each.nullable != "none" else "None"
    if each.array or each.struct is not None:
        raise ValueError(f"{each.name}: a default of {value!r}")
    if each.type == "string":
        return f'"{value}"' if value or each.nullable != "none" else None
    if each.type == "bool":
        return "True" if str(value).lower() == "true" else None
    number = int(str(value), 0)
    return str(number) if number else None


def _record_table(messages: list[Message]) -> list[str]:
    """The keys and values of a coordinator's records, by type."""
    keys = {message.key: message.name for message in messages if message.kind == "coordinator-key"}
    values = {message.key: message.name for message in messages if message.kind == "coordinator-value"}
    if not keys:
        return []
    lines = [f"    {key}: ({keys[key]}, {values[key]})," for key in sorted(keys)]
    table = "RECORDS: Final[dict[int, tuple[type[Struct], type[Struct]]]] = {"
    return ["", "", table, *lines, "}", '"""Key and value by the type of the record."""']
