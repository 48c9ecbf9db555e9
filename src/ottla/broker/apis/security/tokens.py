"""CreateDelegationToken, RenewDelegationToken, ExpireDelegationToken, DescribeDelegationToken: by what
programs come in somebody's name for a while (KIP-48, KIP-373).
"""

from __future__ import annotations

from typing import Final

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import ByHandler, may
from ottla.broker.services import TokenServices
from ottla.config.listeners import SecurityProtocol
from ottla.metadata.tokens import DelegationToken
from ottla.protocol.codes import Operation, ResourceType
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.create_delegation_token import (
    CreateDelegationTokenRequest,
    CreateDelegationTokenResponse,
)
from ottla.protocol.messages.describe_delegation_token import (
    DescribedDelegationToken,
    DescribedDelegationTokenRenewer,
    DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse,
)
from ottla.protocol.messages.expire_delegation_token import (
    ExpireDelegationTokenRequest,
    ExpireDelegationTokenResponse,
)
from ottla.protocol.messages.renew_delegation_token import (
    RenewDelegationTokenRequest,
    RenewDelegationTokenResponse,
)
from ottla.security.delegation import TokenSecrets
from ottla.security.principal import ANONYMOUS

_USER: Final = "User"
_NO_TIME: Final = -1
_TOKENS_MAX: Final = 10_000
"""That one principal has asked for; nobody needs a right to have tokens of his own, which all brokers keep"""
_NAMES_MAX: Final = 8_192
"""Characters of a token's owner and renewers together"""
_LATEST_MS: Final = (1 << 63) - 1


def _is_allowed_to_ask(services: TokenServices, context: RequestContext) -> bool:
    """Not by who has shown a token himself, nor where nobody has proved who he is."""
    session = context.session
    if session.is_token_owner:
        return False
    protocol = next(
        each.protocol for each in services.config.value.listeners if each.name == session.listener
    )
    if protocol is SecurityProtocol.PLAINTEXT:
        return False
    return protocol is not SecurityProtocol.SSL or session.principal != ANONYMOUS


def _secrets(services: TokenServices) -> TokenSecrets:
    if services.secrets is None:
        raise KafkaError(ErrorCode.delegation_token_auth_disabled)
    return services.secrets


async def _create(
    services: TokenServices, context: RequestContext, message: CreateDelegationTokenRequest
) -> CreateDelegationTokenResponse:
    requester = context.session.principal
    kind, name = message.owner_principal_type or "", message.owner_principal_name
    if not name:
        kind, name = requester
    response = CreateDelegationTokenResponse(
        principal_type=kind,
        principal_name=name,
        token_requester_principal_type=requester.type,
        token_requester_principal_name=requester.name,
        issue_timestamp_ms=_NO_TIME,
        expiry_timestamp_ms=_NO_TIME,
        max_timestamp_ms=_NO_TIME,
    )
    owner = f"{kind}:{name}"
    try:
        if not _is_allowed_to_ask(services, context):
            raise KafkaError(ErrorCode.delegation_token_request_not_allowed)
        if owner != str(requester) and not may(context, Operation.CREATE_TOKENS, ResourceType.USER, owner):
            raise KafkaError(ErrorCode.delegation_token_authorization_failed)
        # Nobody comes as anything but a user: a token must not make one a role, or a group.
        if kind != _USER or any(each.principal_type != _USER for each in message.renewers):
            raise KafkaError(ErrorCode.invalid_principal_type)
        secrets = _secrets(services)
        token = _new_token(services, owner, str(requester), message)
        await services.access.put_token(token)
    except KafkaError as error:
        response.error_code = error.code
        return response
    response.issue_timestamp_ms = token.issued_ms
    response.expiry_timestamp_ms = token.expires_ms
    response.max_timestamp_ms = token.max_ms
    response.token_id, response.hmac = token.token_id, secrets.hmac(token.token_id)
    return response


def _new_token(
    services: TokenServices, owner: str, requester: str, message: CreateDelegationTokenRequest
) -> DelegationToken:
    """Raises KafkaError(invalid_request, policy_violation) for what takes too much room."""
    config, now_ms = services.config.value, services.clock.now_ms()
    lifetime_ms = config.delegation_token_max_lifetime_ms
    if message.max_lifetime_ms > 0:
        lifetime_ms = min(lifetime_ms, message.max_lifetime_ms)
    max_ms = min(_LATEST_MS, now_ms + lifetime_ms)
    expires_ms = min(max_ms, now_ms + config.delegation_token_expiry_time_ms)
    renewers = tuple(f"{each.principal_type}:{each.principal_name}" for each in message.renewers)
    if len(owner) + sum(map(len, renewers)) > _NAMES_MAX:
        raise KafkaError(ErrorCode.invalid_request)
    present = services.metadata.image.tokens.values()
    if sum(each.requester == requester for each in present) >= _TOKENS_MAX:
        raise KafkaError(ErrorCode.policy_violation)
    return DelegationToken(services.new_id(), owner, requester, renewers, now_ms, expires_ms, max_ms)


async def _renew(
    services: TokenServices, context: RequestContext, message: RenewDelegationTokenRequest
) -> RenewDelegationTokenResponse:
    if not _is_allowed_to_ask(services, context):
        code = ErrorCode.delegation_token_request_not_allowed
        return RenewDelegationTokenResponse(error_code=code, expiry_timestamp_ms=_NO_TIME)
    now_ms = services.clock.now_ms()
    token = _found(services, message.hmac)
    if token.is_expired(now_ms):
        raise KafkaError(ErrorCode.delegation_token_expired)
    _check_may_renew(token, context)
    period_ms = services.config.value.delegation_token_expiry_time_ms
    if message.renew_period_ms > 0:
        period_ms = min(period_ms, message.renew_period_ms)
    expires_ms = min(token.max_ms, now_ms + period_ms)
    await services.access.put_token(token._replace(expires_ms=expires_ms))
    return RenewDelegationTokenResponse(expiry_timestamp_ms=expires_ms)


async def _expire(
    services: TokenServices, context: RequestContext, message: ExpireDelegationTokenRequest
) -> ExpireDelegationTokenResponse:
    if not _is_allowed_to_ask(services, context):
        code = ErrorCode.delegation_token_request_not_allowed
        return ExpireDelegationTokenResponse(error_code=code, expiry_timestamp_ms=_NO_TIME)
    now_ms = services.clock.now_ms()
    token = _found(services, message.hmac)
    _check_may_renew(token, context)
    if message.expiry_time_period_ms < 0:
        await services.access.remove_tokens([token])
        return ExpireDelegationTokenResponse(expiry_timestamp_ms=now_ms)
    if token.is_expired(now_ms):
        raise KafkaError(ErrorCode.delegation_token_expired)
    expires_ms = min(token.max_ms, now_ms + message.expiry_time_period_ms)
    await services.access.put_token(token._replace(expires_ms=expires_ms))
    return ExpireDelegationTokenResponse(expiry_timestamp_ms=expires_ms)


def _found(services: TokenServices, shown: bytes) -> DelegationToken:
    token = _secrets(services).find(services.metadata.image.tokens, bytes(shown))
    if token is None:
        raise KafkaError(ErrorCode.delegation_token_not_found)
    return token


def _check_may_renew(token: DelegationToken, context: RequestContext) -> None:
    if not token.may_be_renewed_by(str(context.session.principal)):
        raise KafkaError(ErrorCode.delegation_token_owner_mismatch)


def _describe(
    services: TokenServices, context: RequestContext, message: DescribeDelegationTokenRequest
) -> DescribeDelegationTokenResponse:
    if not _is_allowed_to_ask(services, context):
        raise KafkaError(ErrorCode.delegation_token_request_not_allowed)
    secrets = _secrets(services)
    asked = None
    if message.owners is not None:
        asked = frozenset(f"{each.principal_type}:{each.principal_name}" for each in message.owners)
    return DescribeDelegationTokenResponse(
        tokens=[
            _described(token, secrets)
            for token in services.metadata.image.tokens.values()
            if _is_meant(token, asked) and _may_see(token, context)
        ]
    )


def _is_meant(token: DelegationToken, asked: frozenset[str] | None) -> bool:
    return asked is None or token.owner in asked or not asked.isdisjoint(token.renewers)


def _may_see(token: DelegationToken, context: RequestContext) -> bool:
    return (
        token.may_be_renewed_by(str(context.session.principal))
        or may(
            context,
            Operation.DESCRIBE,
            ResourceType.DELEGATION_TOKEN,
            token.token_id,
            is_asked_for=False,
        )
        or may(context, Operation.DESCRIBE_TOKENS, ResourceType.USER, token.owner, is_asked_for=False)
    )


def _described(token: DelegationToken, secrets: TokenSecrets) -> DescribedDelegationToken:
    kind, _, name = token.owner.partition(":")
    requester_kind, _, requester = token.requester.partition(":")
    return DescribedDelegationToken(
        principal_type=kind,
        principal_name=name,
        token_requester_principal_type=requester_kind,
        token_requester_principal_name=requester,
        issue_timestamp=token.issued_ms,
        expiry_timestamp=token.expires_ms,
        max_timestamp=token.max_ms,
        token_id=token.token_id,
        hmac=secrets.hmac(token.token_id),
        renewers=[
            DescribedDelegationTokenRenewer(principal_type=each_kind, principal_name=each_name)
            for each_kind, _, each_name in (each.partition(":") for each in token.renewers)
        ],
    )


_OWN: Final = ByHandler("none; only the owner and renewers of a token are heard")

APIS = (
    Api(
        TokenServices,
        CreateDelegationTokenRequest,
        CreateDelegationTokenResponse,
        _create,
        right=ByHandler("CREATE_TOKENS on the user, for another one than oneself"),
        is_audited=True,
        kips=(48, 373),
        gaps=("Owners are users alone.",),
    ),
    Api(
        TokenServices,
        RenewDelegationTokenRequest,
        RenewDelegationTokenResponse,
        _renew,
        right=_OWN,
        is_audited=True,
        kips=(48,),
    ),
    Api(
        TokenServices,
        ExpireDelegationTokenRequest,
        ExpireDelegationTokenResponse,
        _expire,
        right=_OWN,
        is_audited=True,
        kips=(48,),
    ),
    Api(
        TokenServices,
        DescribeDelegationTokenRequest,
        DescribeDelegationTokenResponse,
        _describe,
        right=ByHandler("DESCRIBE on each token, or DESCRIBE_TOKENS on its owner, for those of others"),
        kips=(48, 373),
    ),
)
