"""ACLs as values: what an entry says, which are taken, and filters over them (KIP-11, KIP-290)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.security.operations import Operation

WILDCARD: Final = "*"
"""Any resource of a type (as a literal name), any host; as `User:*` any principal."""
ANY_PRINCIPAL: Final = "User:*"

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class ResourceType(IntEnum):
    """Kafka's codes."""

    UNKNOWN = 0
    ANY = 1
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class PatternType(IntEnum):
    """Kafka's codes: how an entry's name stands for resources."""

    UNKNOWN = 0
    ANY = 1
    """In a filter: entries with any pattern"""
    MATCH = 2
    """In a filter: entries that apply to the resource of that name"""
    LITERAL = 3
    PREFIXED = 4


class Permission(IntEnum):
    """Kafka's codes."""

    UNKNOWN = 0
    ANY = 1
    DENY = 2
    ALLOW = 3


CLUSTER_NAME: Final = "kafka-cluster"
"""The one resource of type CLUSTER"""


class Acl(NamedTuple):
    """One entry: who may, or may not, do what from where with which resources."""

    resource_type: ResourceType
    pattern_type: PatternType
    name: str
    principal: str
    """`User:alice`"""
    host: str
    """An address, a range (`10.0.0.0/8`), or `*`"""
    operation: Operation
    permission: Permission

    def check(self) -> None:
        """Raises KafkaError(invalid_request) for an entry that Kafka does not take."""
        if self.resource_type in {ResourceType.UNKNOWN, ResourceType.ANY}:
            raise _invalid(f"Invalid resourceType {self.resource_type.name}")
        if self.pattern_type not in {PatternType.LITERAL, PatternType.PREFIXED}:
            raise _invalid(f"Invalid patternType {self.pattern_type.name}")
        if self.operation in {Operation.UNKNOWN, Operation.ANY}:
            raise _invalid(f"Invalid operation {self.operation.name}")
        if self.permission not in {Permission.DENY, Permission.ALLOW}:
            raise _invalid(f"Invalid permissionType {self.permission.name}")
        if not self.name:
            raise _invalid("Resource name should not be empty")
        if ":" not in self.principal:
            raise _invalid(
                f"Could not parse principal from `{self.principal}` (no colon is present separating the "
                "principal type from the principal name)"
            )
        if not self.host:
            raise _invalid("Host pattern cannot be null or empty")
        if "/" in self.host and network(self.host) is None:
            raise _invalid(f"Invalid CIDR notation '{self.host}'")

    def applies_to(self, resource_type: ResourceType, name: str) -> bool:
        """Whether the entry speaks of this resource."""
        if resource_type is not self.resource_type:
            return False
        if self.pattern_type is PatternType.PREFIXED:
            return name.startswith(self.name)
        return self.name in (name, WILDCARD)


class AclFilter(NamedTuple):
    """Entries to describe or delete; None, and `ANY`, stand for each."""

    resource_type: ResourceType = ResourceType.ANY
    pattern_type: PatternType = PatternType.ANY
    name: str | None = None
    principal: str | None = None
    host: str | None = None
    operation: Operation = Operation.ANY
    permission: Permission = Permission.ANY

    def check(self) -> None:
        """Raises KafkaError(invalid_request) for a filter with codes that are not known."""
        if ResourceType.UNKNOWN is self.resource_type or PatternType.UNKNOWN is self.pattern_type:
            raise _invalid("Unknown patternFilter.")
        if Operation.UNKNOWN is self.operation or Permission.UNKNOWN is self.permission:
            raise _invalid("Unknown entryFilter.")

    def matches(self, acl: Acl) -> bool:
        return (
            self.resource_type in (ResourceType.ANY, acl.resource_type)
            and self._matches_pattern(acl)
            and self.principal in (None, acl.principal)
            and self.host in (None, acl.host)
            and self.operation in (Operation.ANY, acl.operation)
            and self.permission in (Permission.ANY, acl.permission)
        )

    def _matches_pattern(self, acl: Acl) -> bool:
        if self.pattern_type not in (PatternType.ANY, PatternType.MATCH, acl.pattern_type):
            return False
        if self.name is None:
            return True
        if self.pattern_type is not PatternType.MATCH:
            return self.name == acl.name
        return acl.applies_to(acl.resource_type, self.name)


def _invalid(text: str) -> KafkaError:
    return KafkaError(ErrorCode.invalid_request, text)


@lru_cache(maxsize=4096)
def network(host: str) -> Network | None:
    """The range that `host` names; None where it is none, or has bits set outside its prefix' length."""
    address, slash, length = host.partition("/")
    if not slash or not length.isdecimal():
        return None
    try:
        return ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return None


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


_ALLOWS_TOO: Final[Mapping[Operation, frozenset[Operation]]] = {
    Operation.DESCRIBE: frozenset(
        {Operation.DESCRIBE, Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER}
    ),
    Operation.DESCRIBE_CONFIGS: frozenset({Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS}),
}
"""Who may do one of these may do the first as well; a denial implies nothing."""


def decides(acl: Acl, principal: str, host: str, operation: Operation) -> bool:
    """Whether an entry that applies to the resource says anything of who asks and of what is asked."""
    if acl.principal not in (principal, ANY_PRINCIPAL) or not is_from(host, acl.host):
        return False
    if acl.operation in (Operation.ALL, operation):
        return True
    return acl.permission is Permission.ALLOW and acl.operation in _ALLOWS_TOO.get(operation, ())
