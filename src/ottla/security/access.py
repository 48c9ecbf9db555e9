"""What one client may do, asked again and again: decisions are kept as long as the ACLs stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from ottla.metadata.acls import Acl
from ottla.protocol.codes import Operation, ResourceType
from ottla.security.authorizer import Authorizer, Decision, Whom
from ottla.security.principal import GROUP, Principal

_KEPT_MAX: Final = 4096
"""Decisions; a client that asks of more resources has them decided anew"""
_NAME_MAX: Final = 249
"""Characters of what they are of, as many as a topic's name may have: clients may name longer ones"""


class Denial(NamedTuple):
    """What a client was not allowed."""

    principal: str
    host: str
    client_id: str | None
    api_key: int
    operation: Operation
    resource_type: ResourceType
    name: str
    rule: Acl | str
    """As `Decision` has it"""


def rule_text(rule: Acl | str) -> str:
    """What a decision was made by."""
    if isinstance(rule, str):
        return rule
    return f"{rule.permission.name} {rule.operation.name} of {rule.principal} from {rule.host} on {rule.name}"


OnDenial: TypeAlias = Callable[[Denial], None]


class Access:
    """Of one client at one address."""

    __slots__ = (
        "_authorizer",
        "_current",
        "_decided",
        "_groups",
        "_whom",
        "_with_some",
        "host",
        "on_denial",
        "principal",
    )

    def __init__(
        self,
        principal: Principal,
        groups: Sequence[str],
        host: str,
        current: Callable[[], Authorizer],
        on_denial: OnDenial,
    ) -> None:
        """`current` is asked each time: another authorizer has other ACLs. `on_denial` is whom to tell of
        what is refused.
        """
        self.on_denial: Final = on_denial
        self.principal: Final = str(principal)
        self.host: Final = host
        self._current = current
        self._groups = tuple(f"{GROUP}{each}" for each in groups)
        self._authorizer: Authorizer | None = None
        self._whom: Whom = frozenset()
        self._decided: dict[tuple[Operation, ResourceType, str], Decision] = {}
        self._with_some: dict[tuple[Operation, ResourceType], bool] = {}

    def decide(self, operation: Operation, resource_type: ResourceType, name: str) -> Decision:
        authorizer = self._present()
        asked = (operation, resource_type, name)
        decision = self._decided.get(asked)
        if decision is None:
            decision = authorizer.decide(self._whom, self.host, operation, resource_type, name)
            if len(name) <= _NAME_MAX:
                if len(self._decided) >= _KEPT_MAX:
                    self._decided.clear()
                self._decided[asked] = decision
        return decision

    def _present(self) -> Authorizer:
        authorizer = self._current()
        if authorizer is not self._authorizer:
            self._authorizer = authorizer
            self._whom = authorizer.whom(self.principal, self._groups, self.host)
            self._decided.clear()
            self._with_some.clear()
        return authorizer

    def may(self, operation: Operation, resource_type: ResourceType, name: str) -> bool:
        return self.decide(operation, resource_type, name).is_allowed

    def may_with_some(self, operation: Operation, resource_type: ResourceType) -> bool:
        """As `Authorizer.may_with_some`."""
        authorizer = self._present()
        asked = (operation, resource_type)
        allowed = self._with_some.get(asked)
        if allowed is None:  # which takes all ACLs of the type
            allowed = authorizer.may_with_some(self._whom, self.host, operation, resource_type)
            self._with_some[asked] = allowed
        return allowed

    def operations(self, among: int, resource_type: ResourceType, name: str) -> int:
        """Of a bit field of operations (KIP-430) those that are allowed."""
        return sum(
            1 << operation
            for operation in Operation
            if among >> operation & 1 and self.may(operation, resource_type, name)
        )
