"""ACLs as values: what an entry says, which are taken, and filters over them (KIP-11, KIP-290)."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ottla.metadata import documents
from ottla.metadata.transaction import MetadataFormatError
from ottla.protocol.codes import Operation, PatternType, Permission, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    import ipaddress

ACLS: Final = "/acls/"
"""Below it are the entries, a key each"""

WILDCARD: Final = "*"
"""Any resource of a type (as a literal name), any host; as `User:*` any principal."""
ANY_PRINCIPAL: Final = "User:*"

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


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
    import ipaddress  # a broker that nobody has told of ranges does without

    address, slash, length = host.partition("/")
    if not slash or not length.isdecimal():
        return None
    try:
        return ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return None


def acl_key(acl: Acl) -> str:
    """The key follows from the entry: nothing can be in the store twice."""
    return ACLS + hashlib.sha256(encode_acl(acl)).hexdigest()[:32]


def encode_acl(acl: Acl) -> bytes:
    return documents.encode(
        {
            "resource": acl.resource_type.name,
            "pattern": acl.pattern_type.name,
            "name": acl.name,
            "principal": acl.principal,
            "host": acl.host,
            "operation": acl.operation.name,
            "permission": acl.permission.name,
        }
    )


_FIELDS: Final = ("resource", "pattern", "name", "principal", "host", "operation", "permission")


def decode_acl(value: bytes) -> Acl:
    """Raises MetadataFormatError for what `encode_acl` does not write."""
    resource, pattern, name, principal, host, operation, permission = documents.decode(
        value, dict.fromkeys(_FIELDS, str)
    )
    try:
        acl = Acl(
            ResourceType[resource],
            PatternType[pattern],
            name,
            principal,
            host,
            Operation[operation],
            Permission[permission],
        )
        acl.check()
    except (KeyError, KafkaError) as error:
        raise MetadataFormatError(f"{value!r} is no ACL") from error
    return acl
