"""`ottla schema`: what is in a schema registry."""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import click

from ottla.cli.arguments import NAME, PROPERTY, TEXT
from ottla.cli.connection import CommandError
from ottla.cli.loading import loading
from ottla.cli.options import together
from ottla.cli.output import json_option, printable, show_json, show_table
from ottla.cli.properties import Properties, read_properties
from ottla.cli.values.options import KINDS, read_schema, registry_of, registry_option

if TYPE_CHECKING:
    from ottla.client.schema_registry import SchemaRegistry
    from ottla.client.values.registry import Reference, Schema
    from ottla.schemas.schema import Incompatibility, ParsedSchema

_PAGE: Final = 1000
_SUFFIXES: Final = {".avsc": "avro", ".avro": "avro", ".proto": "protobuf", ".json": "json-schema"}


class VersionType(click.ParamType[str]):
    """A number, or `latest`."""

    name = "version"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value != "latest" and not re.fullmatch("[1-9][0-9]{0,9}", value):
            self.fail(f"{value!r} is neither a number from 1 nor latest", param, ctx)
        return value


class ReferenceType(click.ParamType[tuple[str, str, int]]):
    """`NAME=SUBJECT:VERSION`."""

    name = "name=subject:version"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(.+?)=(.+):([1-9][0-9]{0,8})", TEXT.convert(value, param, ctx))
        if found is None:
            self.fail(f"{value!r} is not NAME=SUBJECT:VERSION", param, ctx)
        return found[1], found[2], int(found[3])


def with_registry(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that reach a registry; it is called with its client first."""

    @registry_option
    @click.option(
        "--command-config",
        "config_file",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="Properties, of which those of registries are taken: schema.registry.url and their like.",
    )
    @click.option(
        "-X", "properties", type=PROPERTY, metavar="NAME=VALUE", multiple=True, help="A property; repeatable."
    )
    @functools.wraps(command)
    def run(
        registry_url: str | None,
        config_file: str | None,
        properties: tuple[tuple[str, str], ...],
        **options: Any,
    ) -> Any:
        given = Properties(dict(properties), None if config_file is None else read_properties(config_file))
        with loading():
            from ottla.client.errors import ClientError
            from ottla.client.schema_registry import RegistrySettings
        given.check(RegistrySettings)
        try:
            return command(registry_of(registry_url, given), **options)
        except ClientError as error:
            raise CommandError(" ".join(str(error).split())) from error

    return run


_type_option: Final = click.option(
    "--type", "kind", type=click.Choice(tuple(KINDS)), help="Of FILE.  [default: by its name]"
)
schema_options: Final = together(
    click.argument("file", type=click.Path(exists=True, dir_okay=False)),
    _type_option,
    click.option(
        "--reference",
        "references",
        type=ReferenceType(),
        metavar="NAME=SUBJECT:VERSION",
        multiple=True,
        help="What FILE refers to; repeatable. Imports of .proto files need none.",
    ),
    click.option("--normalize", is_flag=True, help="Take schemas for the same that mean the same."),
)


@click.group()
def schema() -> None:
    """List, get, register, check, compare and delete schemas in a registry."""


@schema.command(name="list")
@click.argument("subject", type=NAME, required=False)
@click.option("--prefix", type=TEXT, default="", help="Only subjects that begin so.")
@click.option("--deleted", is_flag=True, help="Those that were deleted, too.")
@json_option
@with_registry
def list_(registry: SchemaRegistry, subject: str | None, prefix: str, deleted: bool, as_json: bool) -> None:
    """List subjects with their latest versions, or the versions of SUBJECT."""
    if subject is not None and prefix:
        raise click.UsageError("--prefix is for listing subjects.")
    rows = [
        {"subject": each["subject"], "version": each["version"], "id": each["id"], "type": _type_of(each)}
        for each in _listed(registry, subject, prefix, deleted=deleted)
    ]
    if subject is not None and not rows:
        raise _no_subject(registry, subject)
    if as_json:
        show_json(rows)
    else:
        show_table(["subject", "version", "id", "type"], rows)


@schema.command()
@click.argument("subject", type=NAME, required=False)
@click.option(
    "--version", type=VersionType(), default="latest", show_default=True, help="A number, or latest."
)
@click.option("--id", "schema_id", type=click.IntRange(0, 2**31 - 1), help="By its id, instead of a subject.")
@click.option("--deleted", is_flag=True, help="Also where it was deleted.")
@json_option
@with_registry
def get(
    registry: SchemaRegistry,
    subject: str | None,
    version: str,
    schema_id: int | None,
    deleted: bool,
    as_json: bool,
) -> None:
    """Print a schema, by its subject or its id."""
    if (subject is None) == (schema_id is None):
        raise click.UsageError("A schema is told by its SUBJECT or by --id.")
    if subject is not None:
        with _looking_for(registry, subject):
            found = registry.version(subject, version, deleted=deleted)
    else:
        found = registry.request("GET", f"/schemas/ids/{schema_id}")
    if as_json:
        show_json(found)
    else:
        click.echo(str(found["schema"]).rstrip("\n"))


@schema.command()
@click.argument("subject", type=NAME)
@schema_options
@json_option
@with_registry
def register(
    registry: SchemaRegistry,
    subject: str,
    file: str,
    kind: str | None,
    references: tuple[tuple[str, str, int], ...],
    normalize: bool,
    as_json: bool,
) -> None:
    """Register the schema in FILE under SUBJECT, if it is not there yet.

    What a .proto file imports is registered before, under its path.
    """
    given = _given(registry, file, kind, references, registers=True)
    done = registry.register(subject, given, normalize=normalize)
    version = done.version
    if version is None:
        version = registry.lookup(subject, given, normalize=normalize).version
    if as_json:
        show_json({"subject": subject, "version": version, "id": done.id})
    else:
        click.echo(f"{printable(subject)} version {version} has id {done.id}")


@schema.command()
@click.argument("subject", type=NAME)
@schema_options
@click.option("--version", type=VersionType(), help="With this version.  [default: as registering would]")
@json_option
@with_registry
def check(
    registry: SchemaRegistry,
    subject: str,
    file: str,
    kind: str | None,
    references: tuple[tuple[str, str, int], ...],
    normalize: bool,
    version: str | None,
    as_json: bool,
) -> None:
    """Say whether the schema in FILE could be registered under SUBJECT, and why not.

    Ends with code 1 if it could not.
    """
    from ottla.client.schema_registry import body_of

    given = _given(registry, file, kind, references)
    path = f"/compatibility/subjects/{quote(subject, safe='')}/versions" + (f"/{version}" if version else "")
    query = urlencode({"verbose": "true", "normalize": str(normalize).lower()})
    answer = registry.request("POST", f"{path}?{query}", body_of(given))
    found = answer.get("messages")
    reasons = [str(each) for each in found] if isinstance(found, list) else []
    is_compatible = answer.get("is_compatible") is True
    if as_json:
        show_json({"compatible": is_compatible, "reasons": reasons})
    else:
        click.echo("compatible" if is_compatible else "not compatible:")
        for each in [] if is_compatible else reasons:
            click.echo(f"  {printable(each)}")
    if not is_compatible:
        raise click.exceptions.Exit(1)


@schema.command()
@click.argument("subject", type=NAME)
@click.argument("old", type=VersionType(), required=False)
@click.argument("new", type=VersionType(), required=False)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False),
    help="Compare with the schema in this file instead of NEW.",
)
@_type_option
@json_option
@with_registry
def diff(
    registry: SchemaRegistry,
    subject: str,
    old: str | None,
    new: str | None,
    file: str | None,
    kind: str | None,
    as_json: bool,
) -> None:
    """Compare two versions of SUBJECT: what differs, and whether each reads what the other wrote.

    Without versions the latest is compared with the one before it, or with --file.
    """
    if file is not None and new is not None:
        raise click.UsageError("NEW and --file are two.")
    if kind is not None and file is None:
        raise click.UsageError("--type is for --file.")
    numbers = _numbers(registry, subject)
    if old is None:
        old = str(numbers[-1] if file is not None or len(numbers) == 1 else numbers[-2])
    before = registry.schema_of_version(subject, old)
    if file is None:
        after = registry.schema_of_version(subject, new or "latest")
        after_name = f"{subject} {new or numbers[-1]}"
    else:
        after, after_name = read_schema(file, _kind_of(file, kind)), file
    old_schema, new_schema = _parsed(before), _parsed(after)
    lines = list(
        difflib.unified_diff(
            _lines(old_schema), _lines(new_schema), f"{subject} {old}", after_name, lineterm="", n=3
        )
    )
    reading, writing = _incompatibilities(old_schema, new_schema)
    if as_json:
        show_json({"diff": lines, "backward": reading, "forward": writing})
        return
    for line in lines or ["no difference"]:
        click.echo(printable(line))
    both = {"the new reads what the old wrote": reading, "the old reads what the new wrote": writing}
    for said, reasons in both.items():
        click.echo(f"{said}: {'yes' if not reasons else 'no'}")
        for each in reasons:
            click.echo(f"  {printable(each)}")


@schema.command()
@click.argument("subject", type=NAME)
@click.option("--version", type=VersionType(), help="This version alone.")
@click.option("--permanent", is_flag=True, help="For ever; softly deleted it has to be before.")
@with_registry
def delete(registry: SchemaRegistry, subject: str, version: str | None, permanent: bool) -> None:
    """Delete SUBJECT, or a version: softly, so that its ids can still be read."""
    path = f"/subjects/{quote(subject, safe='')}" + (f"/versions/{version}" if version else "")
    answer = registry.request("DELETE", path + ("?permanent=true" if permanent else ""))
    found = answer.get("answer")
    gone = ", ".join(map(str, found)) if isinstance(found, list) else str(found)
    click.echo(f"deleted {printable(subject)} {gone}{' for ever' if permanent else ''}")


def _listed(
    registry: SchemaRegistry, subject: str | None, prefix: str, *, deleted: bool
) -> Iterator[Mapping[str, Any]]:
    """By pages, since registries have a most that they answer with."""
    asked = {"subjectPrefix": subject or prefix, "latestOnly": str(subject is None).lower()}
    asked["deleted"] = str(deleted).lower()
    offset = 0
    while True:
        query = urlencode({**asked, "offset": offset, "limit": _PAGE})
        found = registry.request("GET", f"/schemas?{query}").get("answer")
        if not isinstance(found, list) or not found:
            return
        for each in found:
            if subject is None or each.get("subject") == subject:
                yield each
        offset += len(found)


def _numbers(registry: SchemaRegistry, subject: str) -> list[int]:
    with _looking_for(registry, subject):
        found = registry.request("GET", f"/subjects/{quote(subject, safe='')}/versions").get("answer")
    return found if isinstance(found, list) else []


@contextmanager
def _looking_for(registry: SchemaRegistry, subject: str) -> Iterator[None]:
    """Where there is no such subject, one of nearly that name is told."""
    from ottla.client.values.registry import RegistryError

    try:
        yield
    except RegistryError as error:
        if error.error_code != 40401:
            raise
        raise _no_subject(registry, subject) from error


def _no_subject(registry: SchemaRegistry, subject: str) -> CommandError:
    found = registry.request("GET", "/subjects").get("answer")
    names = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    near = difflib.get_close_matches(subject, names, 1)
    hint = f"; did you mean {printable(near[0])}?" if near else ""
    return CommandError(f"there is no subject {printable(subject)}{hint}")


def _type_of(found: Mapping[str, Any]) -> str:
    return str(found.get("schemaType") or "AVRO")


def _given(
    registry: SchemaRegistry,
    file: str,
    kind: str | None,
    references: Sequence[tuple[str, str, int]],
    *,
    registers: bool = False,
) -> Schema:
    """The schema in a file. What a .proto imports is registered, or looked up where it is not to be."""
    from ottla.client.values.registry import Reference

    found = read_schema(file, _kind_of(file, kind))
    named: Sequence[Reference] = [Reference(*each) for each in references]
    if found.resolved and not references:
        from ottla.client.values.protobuf.references import registered_imports

        named = registered_imports(registry, found.text, found.resolved, registers=registers)
    return replace(found, references=named, resolved=found.resolved or registry.resolved(named))


def _kind_of(file: str, kind: str | None) -> str:
    found = kind or _SUFFIXES.get(os.path.splitext(file)[1])
    if found is None:
        raise click.UsageError(f"{file}: --type says what it is; names end with {', '.join(_SUFFIXES)}.")
    return found


def _parsed(given: Schema) -> ParsedSchema:
    from ottla.schemas.parsing import parse
    from ottla.schemas.schema import InvalidSchemaError, SchemaType

    try:
        return parse(SchemaType(given.kind), given.text, given.resolved, new=False)
    except InvalidSchemaError as error:
        raise CommandError(f"the schema is none: {error}") from error


def _lines(given: ParsedSchema) -> list[str]:
    if given.kind == "PROTOBUF":
        return given.text.splitlines()
    return json.dumps(json.loads(given.text), indent=2, ensure_ascii=False).splitlines()


def _incompatibilities(old: ParsedSchema, new: ParsedSchema) -> tuple[list[str], list[str]]:
    """Why the new does not read what the old wrote, and the other way round."""
    from ottla.schemas.schema import InvalidSchemaError

    try:
        found = new.incompatibilities(old), old.incompatibilities(new)
    except InvalidSchemaError as error:
        raise CommandError(f"the schemas cannot be compared: {error}") from error
    reading, writing = ([_reason(each) for each in side] for side in found)
    return reading, writing


def _reason(found: Incompatibility) -> str:
    return f"{found.type} at {found.path}" + (f": {found.info}" if found.info else "")
