"""ACLs, quotas and credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from ottla.client.admin.acls import (
    Acl,
    AclFilter,
    AclOperation,
    AclPermission,
    AclResourceType,
    PatternType,
)
from ottla.client.admin.admin import AsyncAdmin
from ottla.client.admin.credentials import ScramCredential, ScramDeletion, ScramMechanism, ScramUpsertion
from ottla.client.admin.quotas import AnyName, QuotaEntity
from ottla.client.admin.results import Results
from ottla.client.errors import BrokerError, BrokerUpgradeError, ConfigurationError
from ottla.protocol.errors import ErrorCode

from .looking import code, eventually, skip_if_not_served


async def test_acls(admin: AsyncAdmin, topic: str) -> None:
    user = f"User:{topic}"
    acl = Acl(user, AclOperation.READ, AclResourceType.TOPIC, topic)
    denied = Acl(
        user,
        AclOperation.ALL,
        AclResourceType.GROUP,
        "g",
        PatternType.PREFIXED,
        AclPermission.DENY,
        "10.0.0.1",
    )
    wrong = Acl("nobody", AclOperation.READ, AclResourceType.TOPIC, topic)
    created = await admin.acls.create([acl, denied, wrong])
    skip_if_not_served(created.errors.get(acl))
    assert list(created.succeeded) == [acl, denied]

    async def acls() -> set[Acl]:
        return set(await admin.acls.describe(AclFilter(principal=user)))

    assert await eventually(acls, lambda found: len(found) == 2) == {acl, denied}
    matching = AclFilter(user, resource_name=topic, pattern_type=PatternType.MATCH)
    assert await admin.acls.describe(matching) == [acl]
    deleted = await admin.acls.delete([AclFilter(user), AclFilter("User:nobody")])
    assert set(deleted[AclFilter(user)].succeeded) == {acl, denied}
    assert not deleted[AclFilter("User:nobody")]
    assert await eventually(acls, lambda found: not found) == set()


async def test_quotas(admin: AsyncAdmin, topic: str) -> None:
    entity = frozenset({("user", topic), ("client-id", None)})
    wrong = frozenset({("user", topic)})
    altered = await admin.quotas.alter({entity: {"producer_byte_rate": 1000.0}, wrong: {"nonsense": 1.0}})
    skip_if_not_served(altered.errors.get(entity))
    assert list(altered.succeeded) == [entity]
    assert code(altered.errors[wrong]) == ErrorCode.invalid_request

    async def quotas() -> Mapping[QuotaEntity, Mapping[str, float]]:
        return await admin.quotas.describe({"user": topic, "client-id": AnyName.ANY})

    found = await eventually(quotas, bool)
    assert found == {entity: {"producer_byte_rate": 1000.0}}
    assert await admin.quotas.describe({"user": topic, "client-id": None}) == found
    assert await admin.quotas.describe({"user": topic}, strict=True) == {}
    (await admin.quotas.alter({entity: {"producer_byte_rate": None}})).check()
    assert await eventually(quotas, lambda found: not found) == {}


async def test_scram_credentials(admin: AsyncAdmin, topic: str) -> None:
    user, other = f"user-{topic}", f"other-{topic}"
    altered = await admin.credentials.alter_scram(
        {
            user: ScramUpsertion(ScramMechanism.SCRAM_SHA_512, "secret", 8192),
            other: ScramDeletion(ScramMechanism.SCRAM_SHA_256),
        }
    )
    skip_if_not_served(altered.errors.get(user))
    assert list(altered.succeeded) == [user]
    assert code(altered.errors[other]) == ErrorCode.resource_not_found

    async def credentials() -> Results[str, Sequence[ScramCredential]]:
        return await admin.credentials.describe_scram([user, other])

    described = await eventually(credentials, lambda found: user in found.succeeded)
    assert described[user] == [ScramCredential(ScramMechanism.SCRAM_SHA_512, 8192)]
    assert code(described.errors[other]) == ErrorCode.resource_not_found
    assert user in (await admin.credentials.describe_scram()).succeeded
    (await admin.credentials.alter_scram({user: ScramDeletion(ScramMechanism.SCRAM_SHA_512)})).check()


async def test_tokens_want_an_authenticated_client(admin: AsyncAdmin) -> None:
    with pytest.raises(ConfigurationError, match="TYPE:NAME"):
        await admin.credentials.create_token(renewers=["alice"])
    for call in (
        admin.credentials.create_token(renewers=["User:alice"], owner="User:bob"),
        admin.credentials.describe_tokens(["User:bob"]),
        admin.credentials.renew_token(b"hmac"),
        admin.credentials.expire_token(b"hmac"),
    ):
        with pytest.raises((BrokerError, BrokerUpgradeError)) as caught:
            await call
        assert code(caught.value) in (None, ErrorCode.delegation_token_request_not_allowed)
