"""DescribeUserScramCredentials, AlterUserScramCredentials: who may come, with which passwords (KIP-554)."""

from __future__ import annotations

from collections import Counter

from ottla.broker.api import Api
from ottla.broker.request import RequestContext
from ottla.broker.rights import OnCluster
from ottla.broker.services import AccessServices
from ottla.metadata.access import CredentialChange
from ottla.metadata.credentials import MECHANISMS, ScramUser
from ottla.protocol.codes import Operation, ScramMechanism
from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.protocol.messages.alter_user_scram_credentials import (
    AlterUserScramCredentialsRequest,
    AlterUserScramCredentialsResponse,
    AlterUserScramCredentialsResult,
    ScramCredentialUpsertion,
)
from ottla.protocol.messages.describe_user_scram_credentials import (
    CredentialInfo,
    DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
)
from ottla.security.scram import credential

_KIPS = (554,)
_TWICE = "Cannot describe SCRAM credentials for the same user twice in a single request"


def _describe(
    services: AccessServices, _context: RequestContext, message: DescribeUserScramCredentialsRequest
) -> DescribeUserScramCredentialsResponse:
    known = services.metadata.image.credentials
    if message.users:
        asked = Counter(each.name for each in message.users)
    else:
        asked = Counter(dict.fromkeys((user.name for user in known), 1))
    results = []
    for name, times in asked.items():
        infos = [
            CredentialInfo(mechanism=mechanism, iterations=found.iterations)
            for mechanism in MECHANISMS
            if (found := known.get(ScramUser(mechanism, name))) is not None
        ]
        if times > 1:
            result = DescribeUserScramCredentialsResult(
                user=name,
                error_code=ErrorCode.duplicate_resource,
                error_message=f"{_TWICE}: {name}",
            )
        elif infos:
            result = DescribeUserScramCredentialsResult(user=name, credential_infos=infos)
        else:
            result = DescribeUserScramCredentialsResult(
                user=name,
                error_code=ErrorCode.resource_not_found,
                error_message=f"Attempt to describe a user credential that does not exist: {name}",
            )
        results.append(result)
    return DescribeUserScramCredentialsResponse(results=results)


def _describe_error(
    message: DescribeUserScramCredentialsRequest, code: ErrorCode, text: str | None
) -> DescribeUserScramCredentialsResponse:
    """Kafka has a result without a name for each user that was asked for."""
    return DescribeUserScramCredentialsResponse(
        error_code=code,
        error_message=text,
        results=[
            DescribeUserScramCredentialsResult(error_code=code, error_message=text)
            for _ in message.users or ()
        ],
    )


async def _alter(
    services: AccessServices, _context: RequestContext, message: AlterUserScramCredentialsRequest
) -> AlterUserScramCredentialsResponse:
    changes = [
        CredentialChange(ScramUser(ScramMechanism(each.mechanism), each.name), None)
        for each in message.deletions
    ]
    changes += map(_upsertion, message.upsertions)
    results = await services.access.alter_credentials(changes)
    return AlterUserScramCredentialsResponse(
        results=[
            AlterUserScramCredentialsResult(user=name, error_code=result.code, error_message=result.message)
            if isinstance(result, KafkaError)
            else AlterUserScramCredentialsResult(user=name)
            for name, result in results.items()
        ]
    )


def _upsertion(asked: ScramCredentialUpsertion) -> CredentialChange:
    """What comes is the salted password; what is kept of it cannot be used to come in his name."""
    if not asked.salted_password:
        raise KafkaError(ErrorCode.unacceptable_credential, "A salted password is empty")
    user = ScramUser(ScramMechanism(asked.mechanism), asked.name)
    return CredentialChange(
        user, credential(user.mechanism, asked.salted_password, asked.salt, asked.iterations)
    )


def _alter_error(
    message: AlterUserScramCredentialsRequest, code: ErrorCode, text: str | None
) -> AlterUserScramCredentialsResponse:
    names = dict.fromkeys(each.name for each in message.deletions)
    names |= dict.fromkeys(each.name for each in message.upsertions)
    return AlterUserScramCredentialsResponse(
        results=[
            AlterUserScramCredentialsResult(user=name, error_code=code, error_message=text)
            for name in sorted(names)
        ]
    )


APIS = (
    Api(
        AccessServices,
        DescribeUserScramCredentialsRequest,
        DescribeUserScramCredentialsResponse,
        _describe,
        right=OnCluster(Operation.DESCRIBE),
        error=_describe_error,
        kips=_KIPS,
    ),
    Api(
        AccessServices,
        AlterUserScramCredentialsRequest,
        AlterUserScramCredentialsResponse,
        _alter,
        right=OnCluster(Operation.ALTER),
        error=_alter_error,
        is_audited=True,
        kips=_KIPS,
    ),
)
