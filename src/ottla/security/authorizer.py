"""Who may do what: Kafka's StandardAuthorizer over an immutable index of ACLs (KIP-801, KIP-290), and roles.

A role is in the ACLs alone. What it may do are the entries of the principal `Role:NAME`; who has it are those
who may, or may not, do ALL with the resource of type USER and the very name `Role:NAME`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from ottla.metadata.acls import ANY_PRINCIPAL, WILDCARD, Acl, network
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType

ROLE: Final = "Role:"
"""What the principals of roles begin with"""
Whom: TypeAlias = frozenset[str]
"""All that somebody is, as principals: himself, his groups, his roles, and anybody"""


def is_from(host: str, pattern: str) -> bool:
    """Whether a client at the address `host` is meant by an entry's `pattern`."""
    if pattern in (WILDCARD, host):
        return True
    if "/" not in pattern:
        return False
    range_of = network(pattern)
    try:
        return range_of is not None and ipaddress.ip_address(host) in range_of
    except ValueError:
        return False


_ALLOWS_TOO: Final[Mapping[Operation, frozenset[Operation]]] = MappingProxyType(
    {
        Operation.DESCRIBE: frozenset(
            {Operation.DESCRIBE, Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER}
        ),
        Operation.DESCRIBE_CONFIGS: frozenset({Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS}),
    }
)
"""Who may do one of these may do the first as well; a denial implies nothing."""


def decides(acl: Acl, whom: Whom, host: str, operation: Operation) -> bool:
    """Whether an entry that applies to the resource says anything of who asks and of what is asked."""
    if acl.principal not in whom or not is_from(host, acl.host):
        return False
    if acl.operation in (Operation.ALL, operation):
        return True
    return acl.permission is Permission.ALLOW and acl.operation in _ALLOWS_TOO.get(operation, ())


class _OfType(NamedTuple):
    """The entries for resources of one type."""

    literal: Mapping[str, Sequence[Acl]]
    prefixed: Mapping[str, Sequence[Acl]]
    lengths: tuple[int, ...]
    """Of the prefixes that there are: what a name is compared with costs these, not the number of entries"""

    def applying(self, name: str) -> Iterator[Acl]:
        """Those that speak of the resource `name`."""
        yield from self.literal.get(name, ())
        if name != WILDCARD:
            yield from self.literal.get(WILDCARD, ())
        for length in self.lengths:
            if length > len(name):
                return
            yield from self.prefixed.get(name[:length], ())


_NONE: Final = _OfType({}, {}, ())


class AclIndex:
    """All entries of a cluster, by what they speak of. Never changed."""

    __slots__ = ("_by_type", "bindings")

    def __init__(self, acls: Iterable[Acl] = ()) -> None:
        by_type: dict[ResourceType, list[Acl]] = {}
        for acl in sorted(dict.fromkeys(acls)):  # in a fixed order, each once
            by_type.setdefault(acl.resource_type, []).append(acl)
        self._by_type: Final = {type_: _of_type(of_it) for type_, of_it in by_type.items()}
        users = self._by_type.get(ResourceType.USER, _NONE)
        self.bindings: Final[Mapping[str, Sequence[Acl]]] = {
            name: found
            for name, acls in users.literal.items()
            if name.startswith(ROLE) and (found := [acl for acl in acls if acl.operation is Operation.ALL])
        }
        """By role, who has it and who has not"""

    def applying(self, resource_type: ResourceType, name: str) -> Iterator[Acl]:
        """The entries that speak of a resource, whoever they mean."""
        return self._by_type.get(resource_type, _NONE).applying(name)

    def of_type(self, resource_type: ResourceType) -> Iterator[Acl]:
        of_it = self._by_type.get(resource_type, _NONE)
        for patterns in (of_it.literal, of_it.prefixed):
            for acls in patterns.values():
                yield from acls


def _of_type(acls: Iterable[Acl]) -> _OfType:
    literal: dict[str, list[Acl]] = {}
    prefixed: dict[str, list[Acl]] = {}
    for acl in acls:
        patterns = prefixed if acl.pattern_type is PatternType.PREFIXED else literal
        patterns.setdefault(acl.name, []).append(acl)
    return _OfType(literal, prefixed, tuple(sorted({len(name) for name in prefixed})))


class Decision(NamedTuple):
    """Whether something is allowed, and by what that was decided."""

    is_allowed: bool
    rule: Acl | str
    """The entry, or `SuperUser`, `DefaultAllow`, `DefaultDeny`"""


_SUPER_USER: Final = Decision(True, "SuperUser")
_DEFAULT_ALLOW: Final = Decision(True, "DefaultAllow")
_DEFAULT_DENY: Final = Decision(False, "DefaultDeny")
_ANY_NAME: Final = "hardcode"
"""A resource that nobody has: what holds for it holds for some. Kafka asks for the same one."""


class Authorizer:
    """The entries with the settings that go with them."""

    __slots__ = ("_index", "_super_users", "_without_acls")

    def __init__(
        self, index: AclIndex, super_users: Collection[str], *, allow_everyone_if_no_acl_found: bool
    ) -> None:
        """`super_users` are principals as text (`super.users`); what means anybody elsewhere names nobody
        among them.
        """
        self._index = index
        self._super_users = frozenset(super_users) - {ANY_PRINCIPAL}
        self._without_acls = _DEFAULT_ALLOW if allow_everyone_if_no_acl_found else _DEFAULT_DENY

    def whom(self, principal: str, groups: Sequence[str], host: str) -> Whom:
        """All that a client is. Roles have no roles."""
        himself = frozenset((principal, *groups, ANY_PRINCIPAL))
        if not self._index.bindings:
            return himself
        return himself.union(
            role for role, acls in self._index.bindings.items() if _is_bound(acls, himself, host)
        )

    def decide(
        self, whom: Whom, host: str, operation: Operation, resource_type: ResourceType, name: str
    ) -> Decision:
        """A denial comes before whatever is allowed; nothing found is the default only where no entry at
        all speaks of the resource.
        """
        if not whom.isdisjoint(self._super_users):
            return _SUPER_USER
        allowing = None
        is_spoken_of = False
        for acl in self._index.applying(resource_type, name):
            is_spoken_of = True
            if decides(acl, whom, host, operation):
                if acl.permission is Permission.DENY:
                    return Decision(False, acl)
                allowing = acl
        if allowing is not None:
            return Decision(True, allowing)
        return _DEFAULT_DENY if is_spoken_of else self._without_acls

    def may_with_some(self, whom: Whom, host: str, operation: Operation, resource_type: ResourceType) -> bool:
        """Whether there may be a resource of the type with which the operation is allowed: what an
        idempotent producer, who names no topic yet, is asked for.
        """
        if self.decide(whom, host, operation, resource_type, _ANY_NAME).is_allowed:
            return True
        deciding = [
            acl
            for acl in self._index.of_type(resource_type)
            if acl.operation in (Operation.ALL, operation) and decides(acl, whom, host, operation)
        ]
        denied = [acl for acl in deciding if acl.permission is Permission.DENY]
        if any(acl.name == WILDCARD and acl.pattern_type is PatternType.LITERAL for acl in denied):
            return False
        return any(
            acl.permission is Permission.ALLOW and not any(_covers(other, acl) for other in denied)
            for acl in deciding
        )


def _is_bound(acls: Iterable[Acl], himself: Whom, host: str) -> bool:
    deciding = [acl for acl in acls if acl.principal in himself and is_from(host, acl.host)]
    return bool(deciding) and all(acl.permission is Permission.ALLOW for acl in deciding)


def _covers(denial: Acl, allowing: Acl) -> bool:
    """Whether all that `allowing` speaks of is spoken of by `denial` as well."""
    if denial.pattern_type is PatternType.PREFIXED:
        is_all = allowing.name == WILDCARD and allowing.pattern_type is PatternType.LITERAL
        return not is_all and allowing.name.startswith(denial.name)
    return denial.name == allowing.name and denial.pattern_type is allowing.pattern_type
