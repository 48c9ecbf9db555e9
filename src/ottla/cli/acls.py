"""`ottla acl`: who may do what. The options are those of kafka-acls.sh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ottla.cli.arguments import NAME
from ottla.cli.connection import Connection, check_each, connected
from ottla.cli.options import together
from ottla.cli.output import json_option, printable, show_json, show_table
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType

if TYPE_CHECKING:
    from ottla.client.admin.acls import Acl, AclFilter

_O: Final = Operation
_CLUSTER: Final = "kafka-cluster"
_ANYWHERE: Final = ("*",)
_CONFIGS: Final = (_O.DESCRIBE_CONFIGS, _O.ALTER_CONFIGS)
_SUPPORTED: Final[Mapping[ResourceType, Sequence[Operation]]] = {
    ResourceType.TOPIC: (_O.READ, _O.WRITE, _O.CREATE, _O.DELETE, _O.ALTER, _O.DESCRIBE, *_CONFIGS),
    ResourceType.GROUP: (_O.READ, _O.DELETE, _O.DESCRIBE, *_CONFIGS),
    ResourceType.CLUSTER: (
        *(_O.CREATE, _O.ALTER, _O.DESCRIBE, _O.CLUSTER_ACTION, _O.IDEMPOTENT_WRITE),
        *_CONFIGS,
    ),
    ResourceType.TRANSACTIONAL_ID: (_O.WRITE, _O.DESCRIBE, _O.TWO_PHASE_COMMIT),
    ResourceType.DELEGATION_TOKEN: (_O.DESCRIBE,),
    ResourceType.USER: (_O.CREATE_TOKENS, _O.DESCRIBE_TOKENS),
}
"""What can be done with a resource; an ACL for anything else would never be asked for."""


class Resource(NamedTuple):
    """What is named by the options."""

    type: ResourceType
    name: str


class Entry(NamedTuple):
    """An ACL without its resource."""

    principal: str
    host: str
    operation: Operation
    permission: Permission


_EVERY_ENTRY: Final[Sequence[Entry | None]] = (None,)


def _without_words(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


class CodeType(click.ParamType[int]):
    """A member of one of the protocol's enumerations, however it is written: `DescribeConfigs` too."""

    def __init__(self, name: str, members: Iterable[int]) -> None:
        self.name = name
        self._members = {_without_words(each.name): each for each in members}  # type: ignore[attr-defined]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = self._members.get(_without_words(value))
        if found is None:
            names = ", ".join(str(each.name).lower() for each in self._members.values())  # type: ignore[attr-defined]
            self.fail(f"{value!r} is none of {names}", param, ctx)
        return found


class PrincipalType(click.ParamType[str]):
    """`TYPE:NAME`."""

    name = "principal"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, colon, name = NAME.convert(value, param, ctx).partition(":")
        return (
            value if kind and colon and name else self.fail(f"{value!r} is not like User:alice", param, ctx)
        )


PRINCIPAL: Final = PrincipalType()
OPERATION: Final = CodeType("operation", [each for each in Operation if each > Operation.ANY])
PATTERN: Final = CodeType("pattern type", [each for each in PatternType if each])


@click.group()
def acl() -> None:
    """Add, list and remove access control lists: who may do what. The options are those of kafka-acls.sh."""


of_resources = together(
    click.option("--topic", "topics", type=NAME, metavar="NAME", multiple=True, help="A topic; * for all."),
    click.option("--group", "groups", type=NAME, metavar="NAME", multiple=True, help="A group; * for all."),
    click.option("--cluster", is_flag=True, help="The cluster."),
    click.option(
        "--transactional-id",
        "transactional_ids",
        type=NAME,
        metavar="NAME",
        multiple=True,
        help="A transactional id; * for all.",
    ),
    click.option(
        "--delegation-token",
        "delegation_tokens",
        type=NAME,
        metavar="ID",
        multiple=True,
        help="A delegation token; * for all.",
    ),
    click.option(
        "--user-principal",
        "user_principals",
        type=PRINCIPAL,
        metavar="TYPE:NAME",
        multiple=True,
        help="A user whose tokens are meant.",
    ),
    click.option(
        "--resource-pattern-type",
        "pattern_type",
        type=PATTERN,
        metavar="literal|prefixed|any|match",
        default="literal",
        show_default=True,
        help="How names are meant. To list and remove: any has that very name, match applies to it.",
    ),
)
"""They name resources."""


def _several(name: str, dest: str, kind: click.ParamType[Any], metavar: str, text: str) -> Any:
    return click.option(name, dest, type=kind, metavar=metavar, multiple=True, help=text)


of_entries = together(
    _several("--allow-principal", "allowed", PRINCIPAL, "TYPE:NAME", "Who may; User:* for all."),
    _several("--deny-principal", "denied", PRINCIPAL, "TYPE:NAME", "Who may not, in any case."),
    _several(
        "--allow-host",
        "allowed_hosts",
        NAME,
        "HOST",
        "From where; a range too.  [default: *]",
    ),
    _several("--deny-host", "denied_hosts", NAME, "HOST", "From where not.  [default: *]"),
    _several("--operation", "operations", OPERATION, "NAME", "What may be done.  [default: all]"),
    click.option("--producer", is_flag=True, help="What a producer needs of topics."),
    click.option("--consumer", is_flag=True, help="What a consumer needs of topics and groups."),
    click.option("--idempotent", is_flag=True, help="With --producer: for brokers before Kafka 2.8."),
)
"""They say who may do what with the resources."""


@acl.command(name="list")
@of_resources
@click.option(
    "--principal", "principals", type=PRINCIPAL, metavar="TYPE:NAME", multiple=True, help="Only of these."
)
@json_option
@connected
def list_(connection: Connection, principals: Sequence[str], as_json: bool, **named: Any) -> None:
    """List the ACLs of some resources, or all."""
    from ottla.client.admin.acls import AclFilter

    pattern, resources = _resources(**named)
    filters = [_filter(resource, pattern) for resource in resources] or [AclFilter()]
    found = {each: None for which in filters for each in connection.admin.acls.describe(which)}
    show_acls([each for each in found if not principals or each.principal in principals], as_json)


@acl.command()
@of_resources
@of_entries
@json_option
@connected
def add(connection: Connection, as_json: bool, **options: Any) -> None:
    """Add ACLs to resources. Those that are there already stay."""
    pattern, wanted = wanted_acls(**options)
    if pattern not in (PatternType.LITERAL, PatternType.PREFIXED):
        raise click.UsageError("To add ACLs --resource-pattern-type is literal or prefixed.")
    if not all(wanted.values()):
        raise click.UsageError("Say who: --allow-principal or --deny-principal.")
    acls = acls_of(pattern, wanted)
    check_each(connection.admin.acls.create(acls), named)
    show_acls(acls, as_json)


@acl.command()
@of_resources
@of_entries
@click.option("--force", is_flag=True, help="Do not ask.")
@json_option
@connected
def remove(connection: Connection, force: bool, as_json: bool, **options: Any) -> None:
    """Remove ACLs of resources: those that the options say, or all."""
    pattern, wanted = wanted_acls(**options)
    filters = [
        _filter(resource, _pattern_of(resource, pattern), entry)
        for resource, entries in wanted.items()
        for entry in (entries or _EVERY_ENTRY)
    ]
    if not force:
        found = {each: None for which in filters for each in connection.admin.acls.describe(which)}
        if not found:
            show_acls([], as_json)
            return
        show_acls(found, as_json=False, to_stderr=True)
        if not click.confirm("Remove these?", err=True):
            return
    removed = check_each(connection.admin.acls.delete(filters), lambda which: which.resource_name or "all")
    show_acls({each: None for found in removed.values() for each in check_each(found, named)}, as_json)


def wanted_acls(
    *,
    allowed: Sequence[str],
    denied: Sequence[str],
    allowed_hosts: Sequence[str],
    denied_hosts: Sequence[str],
    operations: Sequence[Operation],
    producer: bool,
    consumer: bool,
    idempotent: bool,
    **named: Any,
) -> tuple[PatternType, Mapping[Resource, Sequence[Entry]]]:
    """What is to be allowed and denied of each resource."""

    def entries(*chosen: Operation) -> list[Entry]:
        sides = (
            (allowed, allowed_hosts or _ANYWHERE, Permission.ALLOW),
            (denied, denied_hosts or _ANYWHERE, Permission.DENY),
        )
        return [
            Entry(principal, host, operation, permission)
            for principals, hosts, permission in sides
            for principal in principals
            for operation in chosen
            for host in hosts
        ]

    pattern, resources = _resources(**named)
    if idempotent and not producer:
        raise click.UsageError("--idempotent goes with --producer.")
    if not (producer or consumer):
        if not resources:
            raise click.UsageError(
                "Name a resource: --topic, --cluster, --group, --transactional-id, --delegation-token or "
                "--user-principal."
            )
        chosen = tuple(dict.fromkeys(operations)) or (Operation.ALL,)
        _check_operations(resources, chosen)
        return pattern, {resource: entries(*chosen) for resource in resources}
    if operations or denied or denied_hosts:
        raise click.UsageError("--producer and --consumer go with --allow-principal and --allow-host alone.")
    wanted = {
        resource: entries(*needed)
        for resource, needed in _needs(resources, producer=producer, consumer=consumer).items()
    }
    if idempotent:
        wanted[Resource(ResourceType.CLUSTER, _CLUSTER)] = entries(_O.IDEMPOTENT_WRITE)
    return pattern, wanted


def acls_of(pattern: PatternType, wanted: Mapping[Resource, Sequence[Entry]]) -> list[Acl]:
    """What `wanted_acls` gave, each as it is in the brokers."""
    from ottla.client.admin.acls import Acl

    return [
        Acl(
            entry.principal,
            entry.operation,
            resource.type,
            resource.name,
            _pattern_of(resource, pattern),
            entry.permission,
            entry.host,
        )
        for resource, entries in wanted.items()
        for entry in entries
    ]


def _needs(
    resources: Sequence[Resource], *, producer: bool, consumer: bool
) -> Mapping[Resource, Sequence[Operation]]:
    """What clients have to be allowed of each."""
    kinds = {resource.type for resource in resources}
    if ResourceType.TOPIC not in kinds:
        raise click.UsageError("--producer and --consumer need a --topic.")
    if consumer and ResourceType.GROUP not in kinds:
        raise click.UsageError("--consumer needs a --group.")
    needed: dict[ResourceType, list[Operation]] = {}
    if producer:
        needed[ResourceType.TOPIC] = [_O.WRITE, _O.DESCRIBE, _O.CREATE]
        needed[ResourceType.TRANSACTIONAL_ID] = [_O.WRITE, _O.DESCRIBE]
    if consumer:
        needed[ResourceType.TOPIC] = [_O.READ, _O.DESCRIBE, *needed.get(ResourceType.TOPIC, ())]
        needed[ResourceType.GROUP] = [_O.READ]
    if not kinds <= needed.keys():
        raise click.UsageError("There is a resource that --producer or --consumer has nothing to do with.")
    return {each: tuple(dict.fromkeys(needed[each.type])) for each in resources}


def _resources(
    *,
    topics: Sequence[str],
    groups: Sequence[str],
    cluster: bool,
    transactional_ids: Sequence[str],
    delegation_tokens: Sequence[str],
    user_principals: Sequence[str],
    pattern_type: PatternType,
) -> tuple[PatternType, list[Resource]]:
    named = {
        ResourceType.TOPIC: topics,
        ResourceType.GROUP: groups,
        ResourceType.CLUSTER: [_CLUSTER] if cluster else [],
        ResourceType.TRANSACTIONAL_ID: transactional_ids,
        ResourceType.DELEGATION_TOKEN: delegation_tokens,
        ResourceType.USER: user_principals,
    }
    return pattern_type, [
        Resource(kind, name) for kind, names in named.items() for name in dict.fromkeys(names)
    ]


def _pattern_of(resource: Resource, pattern: PatternType) -> PatternType:
    """The cluster has one name, which is no beginning of others."""
    return PatternType.LITERAL if resource.type is ResourceType.CLUSTER else pattern


def _check_operations(resources: Iterable[Resource], operations: Iterable[Operation]) -> None:
    for kind in dict.fromkeys(resource.type for resource in resources):
        for operation in operations:
            if operation is not Operation.ALL and operation not in _SUPPORTED[kind]:
                names = ", ".join(each.name.lower() for each in _SUPPORTED[kind])
                raise click.UsageError(
                    f"Of a {_words(kind.name)} there is no {_words(operation.name)}, only all, {names}."
                )


def _filter(resource: Resource, pattern: PatternType, entry: Entry | None = None) -> AclFilter:
    from ottla.client.admin.acls import AclFilter

    everything = AclFilter(
        resource_type=resource.type, resource_name=resource.name, pattern_type=_pattern_of(resource, pattern)
    )
    if entry is None:
        return everything
    return everything._replace(
        principal=entry.principal, host=entry.host, operation=entry.operation, permission=entry.permission
    )


def named(which: Acl) -> str:
    return printable(f"{which.principal} {_words(which.operation.name)} {which.resource_name}")


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


def rows_of(acls: Iterable[Acl]) -> list[dict[str, str]]:
    """As they are shown."""
    return [
        {
            "principal": each.principal,
            "permission": each.permission.name.lower(),
            "operation": each.operation.name.lower(),
            "resource": each.resource_type.name.lower(),
            "name": each.resource_name,
            "pattern": each.pattern_type.name.lower(),
            "host": each.host,
        }
        for each in sorted(acls, key=lambda each: (each.resource_type, each.resource_name, each))
    ]


def show_acls(acls: Iterable[Acl], as_json: bool, *, to_stderr: bool = False) -> None:
    rows = rows_of(acls)
    if to_stderr:
        for row in rows:
            click.echo(printable("  ".join(map(str, row.values()))), err=True)
    elif as_json:
        show_json(rows)
    else:
        show_table(["principal", "permission", "operation", "resource", "name", "pattern", "host"], rows)
