"""The options that say how keys and values are encoded, and where their schemas are."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from ottla.cli.arguments import TEXT
from ottla.cli.connection import CommandError
from ottla.cli.options import Decorator, together

if TYPE_CHECKING:
    from ottla.cli.properties import Properties
    from ottla.client.schema_registry import SchemaRegistry
    from ottla.client.values.framed import FramedValues
    from ottla.client.values.registry import Part, Schema, SchemaKind

KINDS: Final[Mapping[str, SchemaKind]] = {"avro": "AVRO", "protobuf": "PROTOBUF", "json-schema": "JSON"}
"""What registries call them, by what commands do"""
ENVIRONMENT: Final = "OTTLA_SCHEMA_REGISTRY"
_MAX_FILE: Final = 4 << 20
_MAX_FILES: Final = 1_000


registry_option = click.option(
    "--schema-registry",
    "registry_url",
    type=TEXT,
    metavar="URL[,...]",
    envvar=ENVIRONMENT,
    show_envvar=True,
    help="The schema registry; else the property schema.registry.url.",
)


@dataclass(frozen=True)
class PartOptions:
    """How keys, or values, are encoded. `file` has the schema."""

    part: Part
    kind: str
    file: str | None
    message: str | None

    @functools.cached_property
    def schema(self) -> Schema | None:
        """Read once. CommandError where it cannot be."""
        return None if self.file is None else read_schema(self.file, self.kind)


@dataclass(frozen=True)
class ValueOptions:
    """Of a command; `more` is what the formats take."""

    parts: tuple[PartOptions, ...]
    registry_url: str | None
    more: Mapping[str, Any]

    def registry(self, properties: Properties) -> SchemaRegistry:
        return registry_of(self.registry_url, properties)


def value_options(*more: Decorator) -> Decorator:
    """Give a command these options, and `more`; it gets them as `values`, a `ValueOptions`."""

    given_options = together(
        registry_option, *_options("value", "--value"), *_options("key", "--key-as"), *more
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(*args: Any, **options: Any) -> Any:
            given = {name: options.pop(name) for name in [*options] if name.startswith("values_")}
            parts = tuple(_parts(given))
            if not parts and any(given.values()):
                raise click.UsageError("Options of schemas are for --value and --key-as.")
            kept = {name.removeprefix("values_"): value for name, value in given.items()}
            return command(*args, values=ValueOptions(parts, options.pop("registry_url"), kept), **options)

        return given_options(run)

    return decorate


def _options(part: str, name: str) -> Iterator[Decorator]:
    yield click.option(
        name,
        f"values_{part}_kind",
        type=click.Choice(tuple(KINDS)),
        help=f"{part.title()}s have this format, with schemas in a registry; here they are JSON."
        " Needs ottla[arrow].",
    )
    yield click.option(
        f"--{part}-schema",
        f"values_{part}_schema",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help=f"The schema of {part}s: .avsc, .proto or JSON Schema.",
    )
    yield click.option(
        f"--{part}-message",
        f"values_{part}_message",
        type=TEXT,
        metavar="NAME",
        help="The Protobuf message, by its full name.  [default: the first, or that of what is read]",
    )


def _parts(given: dict[str, Any]) -> Iterator[PartOptions]:
    parts: tuple[Part, ...] = ("key", "value")
    for part in parts:
        kind, schema, message = (given.pop(f"values_{part}_{name}") for name in ("kind", "schema", "message"))
        if kind is None and (schema is not None or message is not None):
            option = "--value" if part == "value" else "--key-as"
            raise click.UsageError(f"--{part}-schema and --{part}-message need {option}.")
        if message is not None and kind != "protobuf":
            raise click.UsageError(f"--{part}-message is for protobuf.")
        if kind is not None:
            yield PartOptions(part, kind, schema, message)


def registry_of(url: str | None, properties: Properties) -> SchemaRegistry:
    """The registry of the option, or of the properties."""
    from ottla.client.errors import ConfigurationError
    from ottla.client.schema_registry import RegistrySettings, SchemaRegistry
    from ottla.client.settings import parse

    chosen = properties.of(RegistrySettings)
    if url is not None:
        chosen["schema.registry.url"] = url
    if not chosen.get("schema.registry.url"):
        raise click.UsageError(
            f"There is no schema registry: --schema-registry URL, {ENVIRONMENT} or the property"
            " schema.registry.url says where it is."
        )
    try:
        return SchemaRegistry.of(parse(RegistrySettings, chosen))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def values_of(options: PartOptions, registry: SchemaRegistry, **more: Any) -> FramedValues:
    """The format; `more` is what `ottla.client`'s factories take. CommandError where the schema is none."""
    from ottla.client.errors import ClientError
    from ottla.client.values import factories

    schema = options.schema
    text = None if schema is None else schema.text
    try:
        if options.kind == "avro":
            return factories.avro(registry, text, **_without(more, "validate"))
        if options.kind == "json-schema":
            return factories.json_schema(registry, text, **more)
        files = {} if schema is None else schema.resolved
        more = _without(more, "validate")
        return factories.protobuf(registry, text, options.message, files=files, **more)
    except ClientError as error:
        where = "" if options.file is None else f"{options.file}: "
        raise CommandError(f"{where}{error}") from error


def _without(more: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in more.items() if each != name}


def read_schema(path: str, kind: str) -> Schema:
    """The schema in a file; of a .proto file with what it imports from its own folder or those around it."""
    from ottla.client.values.registry import Schema

    text = _read(path)
    return Schema(KINDS[kind], text, resolved=_imports(path, text) if kind == "protobuf" else {})


def _imports(path: str, text: str) -> dict[str, str]:
    from ottla.client.values.interface import ValuesError
    from ottla.client.values.protobuf.schema import imports_of

    files: dict[str, str] = {}
    try:
        ahead = [*imports_of(text)]
        while ahead:
            name = ahead.pop()
            if name not in files and len(files) < _MAX_FILES:
                files[name] = _read(_imported(path, name))
                ahead += imports_of(files[name])
    except ValuesError as error:
        raise CommandError(f"{path}: {error}") from error
    return files


def _imported(path: str, name: str) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isabs(name) or ".." in name.split("/"):
        raise CommandError(f"{path}: imports {name}, which is no path from here")
    while not os.path.isfile(found := os.path.join(folder, name)):
        if folder == (folder := os.path.dirname(folder)):
            raise CommandError(
                f"{path}: imports {name}, which is neither beside it nor in the folders around"
            )
    return found


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise CommandError(f"{path}: more than {_MAX_FILE:,} bytes are no schema")
        return data.decode()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: it is not UTF-8") from error
