"""What a client needs to be allowed before an API answers it; each API says so, and this has it held.

Where no authorizer is configured handlers are called as they are.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID

from ottla.broker.request import BoundHandler, RequestContext, Result
from ottla.config.security import SecurityConfig, super_users
from ottla.metadata.acls import CLUSTER_NAME
from ottla.metadata.image import ImageSource, MetadataImage
from ottla.network.session import Session
from ottla.protocol import messages
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.structs import Struct
from ottla.security.access import Access, Denial, OnDenial, rule_text
from ottla.security.authorizer import AclIndex, Authorizer
from ottla.security.principal import in_one_line

log = logging.getLogger("ottla.authorizer")

Request = TypeVar("Request", bound=Struct)
Item = TypeVar("Item")

REFUSALS: Final = {
    ResourceType.TOPIC: ErrorCode.topic_authorization_failed,
    ResourceType.GROUP: ErrorCode.group_authorization_failed,
    ResourceType.CLUSTER: ErrorCode.cluster_authorization_failed,
    ResourceType.TRANSACTIONAL_ID: ErrorCode.transactional_id_authorization_failed,
}


class Authorization:
    """Who may do what in this broker, as the metadata has it now."""

    def __init__(
        self, metadata: ImageSource, config: SecurityConfig, on_denial: OnDenial | None = None
    ) -> None:
        """`on_denial` is told of each denial; without it that is a line of the log."""
        self._metadata = metadata
        self._on_denial = on_denial or _log_denial
        self._super_users = super_users(config.super_users)
        self._allow_everyone = config.allow_everyone_if_no_acl_found
        self._acls: object = None
        self._authorizer: Authorizer | None = None

    @property
    def image(self) -> MetadataImage:
        return self._metadata.image

    def current(self) -> Authorizer:
        """Another one whenever the ACLs have changed."""
        acls = self._metadata.image.acls
        if self._authorizer is None or acls is not self._acls:
            self._acls = acls
            self._authorizer = Authorizer(
                AclIndex(acls.values()),
                self._super_users,
                allow_everyone_if_no_acl_found=self._allow_everyone,
            )
        return self._authorizer

    def access(self, session: Session) -> Access:
        """What the client of a connection may do; remembered with it."""
        access = session.access
        if access is None:
            access = session.access = Access(
                session.principal, session.groups, session.peer_host, self.current, self._on_denial
            )
        return access


class Right(Protocol):
    """What an API asks for."""

    @property
    def text(self) -> str:
        """For the page of all APIs."""

    def guard(self, handle: BoundHandler, authorization: Authorization) -> BoundHandler:
        """A handler that asks first."""


def may(
    context: RequestContext,
    operation: Operation,
    resource_type: ResourceType,
    name: str = CLUSTER_NAME,
    *,
    is_asked_for: bool = True,
) -> bool:
    """Whether the client may; denials are told, unless it was only looked what there is to
    be shown. Always, where no authorizer is configured.
    """
    access = context.session.access
    if access is None:
        return True
    decision = access.decide(operation, resource_type, name)
    if is_asked_for and (not decision.is_allowed or log.isEnabledFor(logging.DEBUG)):
        told = Denial(
            access.principal,
            access.host,
            context.client_id,
            context.api_key,
            operation,
            resource_type,
            name,
            decision.rule,
        )
        if decision.is_allowed:
            _log(logging.DEBUG, "Allowed", told)
        else:
            access.on_denial(told)
    return decision.is_allowed


def _log_denial(denial: Denial) -> None:
    if log.isEnabledFor(logging.INFO):
        _log(logging.INFO, "Denied", denial)


def _log(level: int, decided: str, told: Denial) -> None:
    log.log(
        level,
        "Principal = %s is %s operation = %s from host = %s on resource = %s:LITERAL:%s for request = %s "
        "based on rule %s",
        told.principal,
        decided,
        told.operation.name,
        told.host,
        told.resource_type.name.title().replace("_", ""),
        in_one_line(told.name),
        messages.APIS[told.api_key].name,
        rule_text(told.rule),
    )


def may_with_some(context: RequestContext, operation: Operation, resource_type: ResourceType) -> bool:
    """Whether there may be a resource of the type with which the client may do it."""
    access = context.session.access
    return access is None or access.may_with_some(operation, resource_type)


def require(
    context: RequestContext, operation: Operation, resource_type: ResourceType, name: str = CLUSTER_NAME
) -> None:
    """Raises KafkaError with the refusal of the resource's type where the client may not."""
    if not may(context, operation, resource_type, name):
        raise KafkaError(REFUSALS[resource_type])


def operations(context: RequestContext, among: int, resource_type: ResourceType, name: str) -> int:
    """Of a bit field of operations (KIP-430) those that the client may do."""
    access = context.session.access
    return among if access is None else access.operations(among, resource_type, name)


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing is asked for."""

    reason: str

    @property
    def text(self) -> str:
        return f"none: {self.reason}"

    def guard(self, handle: BoundHandler, authorization: Authorization) -> BoundHandler:  # noqa: ARG002
        return handle


@dataclass(frozen=True, slots=True)
class ByHandler:
    """The handler asks by itself, with `may` and `require`."""

    text: str

    def guard(self, handle: BoundHandler, authorization: Authorization) -> BoundHandler:
        def guarded(context: RequestContext, message: Any) -> Result | Awaitable[Result]:
            authorization.access(context.session)
            return handle(context, message)

        return guarded


@dataclass(frozen=True, slots=True)
class OnCluster:
    """For the request as a whole: one of the operations on the cluster."""

    operation: Operation
    also: Operation | None = None
    """Suffices too"""

    @property
    def text(self) -> str:
        names = [each.name for each in (self.operation, self.also) if each is not None]
        return f"{' or '.join(names)} on the cluster"

    def guard(self, handle: BoundHandler, authorization: Authorization) -> BoundHandler:
        def guarded(context: RequestContext, message: Any) -> Result | Awaitable[Result]:
            authorization.access(context.session)
            if self.also is None or not may(context, self.also, ResourceType.CLUSTER, is_asked_for=False):
                require(context, self.operation, ResourceType.CLUSTER)
            return handle(context, message)

        return guarded


@dataclass(frozen=True)
class OnNamed(Generic[Request]):
    """For the request as a whole: an operation on the group or transactional id that it names."""

    operation: Operation
    resource_type: ResourceType
    name: Callable[[Request], str]

    @property
    def text(self) -> str:
        return f"{self.operation.name} on the {_NOUNS[self.resource_type]}"

    def guard(self, handle: BoundHandler, authorization: Authorization) -> BoundHandler:
        def guarded(context: RequestContext, message: Request) -> Result | Awaitable[Result]:
            authorization.access(context.session)
            require(context, self.operation, self.resource_type, self.name(message))
            return handle(context, message)

        return guarded


_NOUNS: Final = {
    ResourceType.TOPIC: "topic",
    ResourceType.GROUP: "group",
    ResourceType.TRANSACTIONAL_ID: "transactional id",
}


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _NamedOrById(Protocol):
    """As topics are in the newer versions of requests: the one or the other."""

    @property
    def name(self) -> str | None: ...
    @property
    def topic_id(self) -> UUID | None: ...


def itself(_image: MetadataImage, item: str) -> str:
    """The name of an item that is one."""
    return item


def its_name(_image: MetadataImage, item: _Named) -> str:
    return item.name


def name_or_id(image: MetadataImage, item: _NamedOrById) -> str | None:
    return image.name_of(item.name if item.topic_id is None else item.topic_id)


@dataclass(frozen=True)
class OnEach(Generic[Item]):
    """For each item of a list by itself: what is refused is answered so, the rest is done."""

    operation: Operation
    resource_type: ResourceType
    items: str
    """The field of the request that has them"""
    refused: Callable[[Item, ErrorCode], object]
    """What is answered of an item"""
    _: KW_ONLY
    response: type[Struct]
    into: str
    """The field of the response that has the answers"""
    name: Callable[[MetadataImage, Item], str | None]
    """Of an item; None where it names by id what there is not, which the handler answers"""
    also_on_cluster: Operation | None = None
    """With this operation on the cluster no item is asked for"""

    @property
    def text(self) -> str:
        also = f", or {self.also_on_cluster.name} on the cluster" if self.also_on_cluster else ""
        return f"{self.operation.name} on each {_NOUNS[self.resource_type]}{also}"

    def guard(self, handle: BoundHandler, authorization: Authorization) -> BoundHandler:
        def guarded(context: RequestContext, message: Struct) -> Result | Awaitable[Result]:
            authorization.access(context.session)
            items: Sequence[Item] | None = getattr(message, self.items)
            image = authorization.image
            allowed = [self._may(context, self.name(image, each)) for each in items or ()]
            if items is None or all(allowed):
                return handle(context, message)
            kept = [each for each, is_allowed in zip(items, allowed, strict=True) if is_allowed]
            code = REFUSALS[self.resource_type]
            answers = [
                self.refused(each, code)
                for each, is_allowed in zip(items, allowed, strict=True)
                if not is_allowed
            ]
            if not kept:
                return self.response(**{self.into: answers})
            asked = copy.copy(message)
            setattr(asked, self.items, kept)
            result = handle(context, asked)
            if isinstance(result, Awaitable):
                return self._eventually(result, answers)
            return self._with(result, answers)

        return guarded

    def _may(self, context: RequestContext, name: str | None) -> bool:
        if name is None:
            return True
        if self.also_on_cluster is not None and may(
            context, self.also_on_cluster, ResourceType.CLUSTER, is_asked_for=False
        ):
            return True
        return may(context, self.operation, self.resource_type, name)

    async def _eventually(self, result: Awaitable[Result], answers: list[object]) -> Result:
        return self._with(await result, answers)

    def _with(self, result: Result, answers: list[object]) -> Result:
        assert isinstance(result, Struct)
        setattr(result, self.into, [*getattr(result, self.into), *answers])
        return result


@dataclass(frozen=True, slots=True)
class All:
    """One after the other."""

    rights: tuple[Right, ...] = field(default=())

    def __init__(self, *rights: Right) -> None:
        object.__setattr__(self, "rights", rights)

    @property
    def text(self) -> str:
        return "; ".join(right.text for right in self.rights)

    def guard(self, handle: BoundHandler, authorization: Authorization) -> BoundHandler:
        for right in reversed(self.rights):
            handle = right.guard(handle, authorization)
        return handle


AnyRight: TypeAlias = Open | ByHandler | OnCluster | OnNamed[Any] | OnEach[Any] | All
