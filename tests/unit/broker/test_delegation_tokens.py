"""Delegation tokens (KIP-48): who is given one, who comes with it, and how long it lives."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.raw_client import connect

from ottla.broker.apis.security import tokens
from ottla.client.admin.acls import Acl, AclOperation, AclResourceType
from ottla.client.admin.credentials import DelegationToken
from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.errors import AuthenticationError, ClientError
from ottla.identity.sasl import password_mechanism
from ottla.metadata.credentials import ScramCredential
from ottla.metadata.image import image_at
from ottla.metadata.tokens import decode_token, encode_token, token_key
from ottla.metadata.transaction import KeyValue, MetadataFormatError
from ottla.protocol.codes import ScramMechanism
from ottla.protocol.errors import ErrorCode
from ottla.security.delegation import TokenSecrets
from ottla.testing import InProcessBroker, run_broker_async

LOGIN = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    'user_root="p" user_ann="p" user_bob="p";'
)
SETTINGS = {
    "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": LOGIN,
    "delegation.token.secret.key": "secret",
    "connection.failed.authentication.delay.ms": "0",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:root",
}


def user(broker: InProcessBroker, name: str) -> AsyncClient:
    common = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
    given = {"sasl_username": name, "sasl_password": "p"}
    return AsyncClient(client_settings(broker.bootstrap_servers, common, given))


def holder(broker: InProcessBroker, token: DelegationToken, mechanism: str = "SCRAM-SHA-256") -> AsyncClient:
    shown = base64.b64encode(token.hmac).decode()
    login = (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{token.token_id}" password="{shown}" tokenauth="true";'
    )
    settings = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": login,
    }
    return AsyncClient(client_settings(broker.bootstrap_servers, settings, {}))


@contextlib.contextmanager
def refused(code: ErrorCode) -> Any:
    with pytest.raises(ClientError) as refusal:
        yield
    assert code.name in str(refusal.value).lower() or getattr(refusal.value, "code", None) == code


@pytest.fixture
async def broker() -> AsyncIterator[InProcessBroker]:
    async with run_broker_async(SETTINGS) as running:
        yield running


async def test_who_has_a_token_comes_as_its_owner_until_it_ends(broker: InProcessBroker) -> None:
    async with user(broker, "root") as root, user(broker, "ann") as ann, user(broker, "bob") as bob:
        token = await ann.admin.credentials.create_token(renewers=["User:bob"])
        assert (token.owner, token.requester) == ("User:ann", "User:ann")
        assert token.max_ms - token.issued_ms == 7 * 24 * 3_600_000
        assert token.expires_ms - token.issued_ms == 24 * 3_600_000
        await root.admin.acls.create(
            [Acl("User:ann", AclOperation.DESCRIBE, AclResourceType.CLUSTER, "kafka-cluster")]
        )
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            async with holder(broker, token, mechanism) as program:
                assert await program.admin.acls.describe(), "as ann may"
                with refused(ErrorCode.delegation_token_request_not_allowed):
                    await program.admin.credentials.create_token()
                with refused(ErrorCode.delegation_token_request_not_allowed):
                    await program.admin.credentials.renew_token(token.hmac)
                with refused(ErrorCode.delegation_token_request_not_allowed):
                    await program.admin.credentials.describe_tokens()
        expires_ms = await bob.admin.credentials.renew_token(token.hmac, period_ms=5_000)
        (shown,) = await ann.admin.credentials.describe_tokens()
        assert shown == token._replace(expires_ms=expires_ms)
        with refused(ErrorCode.delegation_token_owner_mismatch):
            await root.admin.credentials.expire_token(token.hmac)
        await bob.admin.credentials.expire_token(token.hmac)
        with pytest.raises(AuthenticationError):
            async with holder(broker, token) as program:
                await program.admin.topics.list()
        with refused(ErrorCode.delegation_token_not_found):
            await bob.admin.credentials.renew_token(token.hmac)


async def test_a_token_that_has_expired_lets_nobody_in(broker: InProcessBroker) -> None:
    async with user(broker, "ann") as ann:
        token = await ann.admin.credentials.create_token(max_lifetime_ms=1)
        await asyncio.sleep(0.01)
        with pytest.raises(AuthenticationError):
            async with holder(broker, token) as program:
                await program.admin.topics.list()
        with refused(ErrorCode.delegation_token_expired):
            await ann.admin.credentials.renew_token(token.hmac)
        wrong = token._replace(hmac=b"x" * 64)
        with pytest.raises(AuthenticationError):
            async with holder(broker, wrong) as program:
                await program.admin.topics.list()


async def test_a_session_ends_when_its_token_would_have_whatever_becomes_of_that(
    broker: InProcessBroker,
) -> None:
    host, _, port = broker.bootstrap_servers.rpartition(":")
    async with user(broker, "ann") as ann, connect(host, int(port)) as program:
        token = await ann.admin.credentials.create_token(max_lifetime_ms=600_000)
        password = base64.b64encode(token.hmac).decode()
        login = password_mechanism("SCRAM-SHA-256", token.token_id, password, "nonce", is_token=True)
        await program.call(17, 1, {"mechanism": "SCRAM-SHA-256"})
        message: bytes | None = login.first()
        while message is not None:
            answer = await program.call(36, 2, {"auth_bytes": message})
            assert not answer["error_code"]
            message = login.answer(answer["auth_bytes"])
        assert 0 < answer["session_lifetime_ms"] <= 600_000
        await ann.admin.credentials.expire_token(token.hmac)
        refusal = await program.call(41, 3, {"owners": None})
        assert refusal["error_code"] == ErrorCode.delegation_token_request_not_allowed, "and not a closed one"


async def test_tokens_of_others_need_a_right(broker: InProcessBroker) -> None:
    async with user(broker, "root") as root, user(broker, "ann") as ann, user(broker, "bob") as bob:
        with refused(ErrorCode.delegation_token_authorization_failed):
            await bob.admin.credentials.create_token(owner="User:ann")
        with refused(ErrorCode.invalid_principal_type):
            await root.admin.credentials.create_token(owner="Role:admin")
        with refused(ErrorCode.invalid_principal_type):
            await ann.admin.credentials.create_token(renewers=["Group:ops"])
        token = await root.admin.credentials.create_token(owner="User:ann")
        assert (token.owner, token.requester) == ("User:ann", "User:root")
        assert not await bob.admin.credentials.describe_tokens()
        assert await ann.admin.credentials.describe_tokens(["User:ann"])
        assert not await ann.admin.credentials.describe_tokens(["User:bob"])
        assert await root.admin.credentials.describe_tokens() == [token]
        allowed = Acl("User:bob", AclOperation.DESCRIBE_TOKENS, AclResourceType.USER, "User:ann")
        await root.admin.acls.create([allowed])
        assert await bob.admin.credentials.describe_tokens() == [token]


async def test_what_everybody_may_have_is_bounded(
    broker: InProcessBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_TOKENS_MAX", 2)
    async with user(broker, "ann") as ann, user(broker, "bob") as bob:
        with refused(ErrorCode.invalid_request):
            await ann.admin.credentials.create_token(renewers=[f"User:{'x' * 4096}", f"User:{'y' * 4096}"])
        for _ in range(2):
            await ann.admin.credentials.create_token(renewers=["User:bob"])
        with refused(ErrorCode.policy_violation):
            await ann.admin.credentials.create_token()
        assert await bob.admin.credentials.create_token()
        many = [f"User:{number}" for number in range(10_000)]
        assert len(await ann.admin.credentials.describe_tokens([*many, "User:bob"])) == 2


async def test_without_a_secret_there_are_none_and_expired_ones_are_removed() -> None:
    without = SETTINGS | {"delegation.token.secret.key": ""}
    async with run_broker_async(without) as broker, user(broker, "ann") as ann:
        with refused(ErrorCode.delegation_token_auth_disabled):
            await ann.admin.credentials.create_token()
    swept = {"delegation.token.expiry.check.interval.ms": "10"}
    async with run_broker_async(SETTINGS | swept) as broker, user(broker, "ann") as ann:
        await ann.admin.credentials.create_token(max_lifetime_ms=1)
        kept = await ann.admin.credentials.create_token()
        async with asyncio.timeout(60):
            while await ann.admin.credentials.describe_tokens() != [kept]:
                await asyncio.sleep(0.01)


async def test_a_plain_listener_gives_none() -> None:
    settings = {"delegation.token.secret.key": "secret"}
    async with (
        run_broker_async(settings) as broker,
        AsyncClient(client_settings(broker.bootstrap_servers, {}, {})) as client,
    ):
        with refused(ErrorCode.delegation_token_request_not_allowed):
            await client.admin.credentials.create_token()


def test_what_the_metadata_keeps_holds_no_secret() -> None:
    value = (
        b'{"owner":"User:ann","requester":"User:ann","renewers":["User:bob"],"issued_ms":1,"expires_ms":2,'
        b'"max_ms":3}'
    )
    image = image_at(4, [KeyValue(token_key("t"), value, 4, 4)])
    token = image.tokens["t"]
    assert encode_token(token) == value
    assert token.revision == 4
    with pytest.raises(MetadataFormatError):
        decode_token(token_key("t"), value.replace(b'"User:bob"', b"7"), 1)
    one, other = TokenSecrets("a"), TokenSecrets("a")
    assert one.find(image.tokens, TokenSecrets("b").hmac("t")) is None
    assert one.find(image.tokens, other.hmac("t")) == token
    known = one.credential(image.tokens, "t", ScramMechanism.SCRAM_SHA_256)
    assert isinstance(known, ScramCredential)
    assert known == other.credential(image.tokens, "t", ScramMechanism.SCRAM_SHA_256), "on every broker"
