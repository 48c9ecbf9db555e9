"""`ottla role`: named bundles of ACLs, and who has them.

A role is in the ACLs alone, so that every client of Kafka can administer it: what it may do are those of the
principal `Role:NAME`; who has it are those, of all operations, on the resource of type user `Role:NAME`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ottla.cli.acls import (
    OPERATION,
    PRINCIPAL,
    acls_of,
    named,
    of_resources,
    rows_of,
    show_acls,
    wanted_acls,
)
from ottla.cli.arguments import NAME
from ottla.cli.connection import Connection, check_each, connected
from ottla.cli.options import together
from ottla.cli.output import json_option, show_json, show_table
from ottla.protocol.codes import Operation, PatternType, ResourceType

if TYPE_CHECKING:
    from ottla.client.admin.acls import Acl, AclFilter

_ROLE: Final = "Role:"


@click.group()
def role() -> None:
    """Make roles, say what they may do and who has them. Ottla's brokers know them, Kafka's do not."""


class _RoleName(click.ParamType[str]):
    """Gives the principal."""

    name = "role"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return _ROLE + NAME.convert(value, param, ctx).removeprefix(_ROLE)


_role_argument = click.argument("role_name", metavar="ROLE", type=_RoleName())
_members_argument = click.argument("members", metavar="TYPE:NAME...", type=PRINCIPAL, nargs=-1, required=True)
_host_option = click.option(
    "--host", "hosts", type=NAME, metavar="HOST", multiple=True, help="From where; a range too.  [default: *]"
)
_of_grants = together(
    of_resources,
    click.option(
        "--operation",
        "operations",
        type=OPERATION,
        metavar="NAME",
        multiple=True,
        help="What may be done.  [default: all]",
    ),
    _host_option,
    click.option("--producer", is_flag=True, help="What a producer needs of topics."),
    click.option("--consumer", is_flag=True, help="What a consumer needs of topics and groups."),
    click.option("--deny", is_flag=True, help="Who has the role may not, whatever else allows it."),
)


@role.command()
@_role_argument
@connected
def create(connection: Connection, role_name: str) -> None:
    """Make a role that may do nothing yet."""
    if _acls(connection, role_name):
        raise click.ClickException(f"there is a role {_shown(role_name)} already")
    check_each(connection.admin.acls.create([_mark(role_name)]), named)


@role.command()
@_role_argument
@click.option("--force", is_flag=True, help="Do not ask.")
@connected
def delete(connection: Connection, role_name: str, force: bool) -> None:
    """Delete a role: what it may do, and who has it."""
    _existing(connection, role_name)
    if force or click.confirm(f"Delete the role {_shown(role_name)}?", err=True):
        check_each(connection.admin.acls.delete(_filters(role_name)), lambda _: _shown(role_name))


@role.command(name="list")
@json_option
@connected
def list_(connection: Connection, as_json: bool) -> None:
    """List all roles, with who has them."""
    from ottla.client.admin.acls import AclFilter

    roles: dict[str, list[Acl]] = {}
    for acl in connection.admin.acls.describe(AclFilter()):
        for name in {acl.principal, *([acl.resource_name] if acl.resource_type is ResourceType.USER else [])}:
            if name.startswith(_ROLE):
                roles.setdefault(name, []).append(acl)
    members = {
        name: sorted({acl.principal for acl in acls if _is_binding(acl, name)})
        for name, acls in roles.items()
    }
    rows: list[dict[str, object]] = [
        {
            "role": _shown(name),
            "members": members[name] if as_json else ", ".join(members[name]),
            "acls": sum(_is_grant(acl, name) for acl in roles[name]),
        }
        for name in sorted(roles)
    ]
    if as_json:
        show_json(rows)
    else:
        show_table(["role", "members", "acls"], rows)


@role.command()
@_role_argument
@json_option
@connected
def describe(connection: Connection, role_name: str, as_json: bool) -> None:
    """Show what a role may do, and who has it."""
    acls = _existing(connection, role_name)
    grants = [acl for acl in acls if _is_grant(acl, role_name)]
    bindings = [acl for acl in acls if _is_binding(acl, role_name)]
    members = [
        {"member": acl.principal, "permission": acl.permission.name.lower(), "host": acl.host}
        for acl in sorted(bindings)
    ]
    if as_json:
        show_json({"role": _shown(role_name), "members": members, "acls": rows_of(grants)})
        return
    show_table(["member", "permission", "host"], members)
    show_acls(grants, as_json=False)


@role.command()
@_role_argument
@_of_grants
@json_option
@connected
def grant(connection: Connection, role_name: str, as_json: bool, **options: Any) -> None:
    """Let who has a role do something: options are those of `ottla acl add`."""
    _existing(connection, role_name)
    acls = _grants(role_name, **options)
    check_each(connection.admin.acls.create(acls), named)
    show_acls(acls, as_json)


@role.command()
@_role_argument
@_of_grants
@json_option
@connected
def revoke(connection: Connection, role_name: str, as_json: bool, **options: Any) -> None:
    """Take back what was granted by the same options."""
    _existing(connection, role_name)
    filters = [_exactly(acl) for acl in _grants(role_name, **options)]
    removed = check_each(connection.admin.acls.delete(filters), lambda which: str(which.resource_name))
    show_acls([each for found in removed.values() for each in check_each(found, named)], as_json)


@role.command()
@_role_argument
@_members_argument
@_host_option
@connected
def bind(connection: Connection, role_name: str, members: Sequence[str], hosts: Sequence[str]) -> None:
    """Give a role to users (User:ann), and to groups that tokens name (Group:admins)."""
    _existing(connection, role_name)
    check_each(connection.admin.acls.create(_bindings(role_name, members, hosts)), named)


@role.command()
@_role_argument
@_members_argument
@connected
def unbind(connection: Connection, role_name: str, members: Sequence[str]) -> None:
    """Take a role from users and groups."""
    _existing(connection, role_name)
    filters = [_filters(role_name)[1]._replace(principal=each, operation=Operation.ALL) for each in members]
    check_each(connection.admin.acls.delete(filters), lambda which: str(which.principal))


# -- a role as ACLs


def _shown(role_name: str) -> str:
    return role_name.removeprefix(_ROLE)


def _mark(role_name: str) -> Acl:
    """That there is the role, while it may do nothing: it may see itself."""
    from ottla.client.admin.acls import Acl

    return Acl(role_name, Operation.DESCRIBE, ResourceType.USER, role_name)


def _is_grant(acl: Acl, role_name: str) -> bool:
    return acl.principal == role_name and acl.resource_name != role_name


def _is_binding(acl: Acl, role_name: str) -> bool:
    return (
        acl.resource_type is ResourceType.USER
        and acl.resource_name == role_name
        and acl.operation is Operation.ALL
    )


def _filters(role_name: str) -> tuple[AclFilter, AclFilter]:
    """What the role may do, and who has it."""
    from ottla.client.admin.acls import AclFilter

    return AclFilter(principal=role_name), AclFilter(
        resource_type=ResourceType.USER, resource_name=role_name, pattern_type=PatternType.LITERAL
    )


def _acls(connection: Connection, role_name: str) -> list[Acl]:
    found = {each: None for which in _filters(role_name) for each in connection.admin.acls.describe(which)}
    return list(found)


def _existing(connection: Connection, role_name: str) -> list[Acl]:
    acls = _acls(connection, role_name)
    if not acls:
        raise click.ClickException(f"there is no role {_shown(role_name)}")
    return acls


def _grants(role_name: str, *, hosts: Sequence[str], deny: bool, **options: Any) -> list[Acl]:
    pattern, wanted = wanted_acls(
        allowed=[] if deny else [role_name],
        denied=[role_name] if deny else [],
        allowed_hosts=[] if deny else hosts,
        denied_hosts=hosts if deny else [],
        idempotent=False,
        **options,
    )
    if pattern not in (PatternType.LITERAL, PatternType.PREFIXED):
        raise click.UsageError("--resource-pattern-type is literal or prefixed.")
    return acls_of(pattern, wanted)


def _exactly(acl: Acl) -> AclFilter:
    from ottla.client.admin.acls import AclFilter

    return AclFilter(**acl._asdict())


def _bindings(role_name: str, members: Sequence[str], hosts: Sequence[str]) -> list[Acl]:
    from ottla.client.admin.acls import Acl

    if any(each.startswith(_ROLE) for each in members):
        raise click.UsageError("Roles have no roles: name users and groups.")
    return [
        Acl(each, Operation.ALL, ResourceType.USER, role_name, host=host)
        for each in members
        for host in hosts or ("*",)
    ]
