"""Clients that show tokens: whom they name, what is asked of them, keys that change."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.raw_client import METADATA, RawClient, connect

from ottla.client.admin.acls import Acl, AclFilter, AclOperation, AclResourceType
from ottla.client.admin.topics import NewTopic
from ottla.client.connecting import AsyncClient, client_settings
from ottla.client.errors import AuthenticationError
from ottla.config.definition import ConfigError
from ottla.testing import run_broker_async

ISSUER, AUDIENCE = "https://login.example", "cluster"
FIRST, SECOND = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def write(file: Path, **keys: ec.EllipticCurvePrivateKey) -> str:
    to_jwk = jwt.algorithms.ECAlgorithm.to_jwk
    found = [{**to_jwk(key.public_key(), as_dict=True), "kid": kid} for kid, key in keys.items()]
    file.write_text(json.dumps({"keys": found}))
    return file.as_uri()


def token(key: ec.EllipticCurvePrivateKey = FIRST, kid: str = "a", **claims: Any) -> str:
    now = time.time()
    whole = {"sub": "ann", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, **claims}
    return jwt.encode({k: v for k, v in whole.items() if v is not None}, key, "ES256", {"kid": kid})


def settings(url: str, **more: str) -> dict[str, str]:
    common = {
        "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "sasl.oauthbearer.jwks.endpoint.url": url,
        "sasl.oauthbearer.expected.issuer": ISSUER,
        "sasl.oauthbearer.expected.audience": f"other,{AUDIENCE}",
        "connection.failed.authentication.delay.ms": "0",
    }
    return common | {name.replace("_", "."): value for name, value in more.items()}


def client(servers: str, shown: str) -> AsyncClient:
    common = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}
    return AsyncClient(client_settings(servers, common, {"sasl_oauthbearer_token": shown}))


async def is_let_in(servers: str, shown: str) -> bool:
    try:
        async with client(servers, shown) as c:
            await c.admin.topics.list()
    except AuthenticationError as error:
        assert "invalid_token" in str(error)  # noqa: PT017
        return False
    return True


WRONG: dict[str, dict[str, Any]] = {
    "over": {"exp": time.time() - 60},
    "without end": {"exp": None},
    "without beginning": {"iat": None},
    "of another issuer": {"iss": "https://elsewhere"},
    "of no issuer": {"iss": None},
    "for others": {"aud": "elsewhere"},
    "for nobody": {"aud": None},
    "of nobody": {"sub": None},
    "of blanks": {"sub": "  "},
    "of scopes twice": {"scope": ["a", "a"]},
    "of no scopes": {"scope": 7},
    "of a key that signs other ids": {"kid": "b"},
    "of another key": {"key": SECOND},
}


async def test_sound_tokens_are_believed_and_others_are_not(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    async with run_broker_async(settings(write(tmp_path / "keys", a=FIRST))) as broker:
        servers = broker.bootstrap_servers
        assert await is_let_in(servers, token())
        assert await is_let_in(servers, token(aud=[AUDIENCE, "x"], scope="read write"))
        for what, changes in WRONG.items():
            caplog.clear()
            shown = token(**changes)
            assert not await is_let_in(servers, shown), what
            lines = [each.getMessage() for each in caplog.records if each.name == "ottla.authentication"]
            assert len(lines) == 1, (what, lines)
            assert shown[:40] not in caplog.text
        unsigned = jwt.encode({"sub": "ann", "iat": time.time(), "exp": time.time() + 60}, None, "none")
        assert not await is_let_in(servers, unsigned)


async def leave(raw: RawClient) -> None:
    raw.writer.close()


async def go_on(raw: RawClient) -> None:
    answer = await raw.call(METADATA, 0, {"topics": []})
    assert not answer["brokers"]
    assert await raw.is_closed()


@pytest.mark.parametrize("do", [leave, go_on])
async def test_the_log_says_why_also_of_who_does_not_ask_again(
    tmp_path: Path, caplog: Any, do: Callable[[RawClient], Awaitable[None]]
) -> None:
    """Some clients close at the challenge that refuses their token, and KafkaJS takes it for a welcome."""
    caplog.set_level(logging.INFO, "ottla.authentication")
    async with (
        run_broker_async(settings(write(tmp_path / "keys", a=FIRST))) as broker,
        connect(broker.host, broker.port) as raw,
    ):
        await raw.call(17, 1, {"mechanism": "OAUTHBEARER"})
        message = f"n,,\x01auth=Bearer {token(exp=time.time() - 60)}\x01\x01".encode()
        answer = await raw.call(36, 2, {"auth_bytes": message})
        assert (answer["error_code"], answer["auth_bytes"]) == (0, b'{"status":"invalid_token"}')
        await do(raw)
        async with asyncio.timeout(60):
            while not caplog.records:
                await asyncio.sleep(0.01)
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("failed authentication of 127.0.0.1 on listener SASL_PLAINTEXT: ")
    assert "Signature has expired" in line


async def test_a_session_ends_with_its_token(tmp_path: Path) -> None:
    url = write(tmp_path / "keys", a=FIRST)
    claim = {"sasl_oauthbearer_sub_claim_name": "upn"}
    async with (
        run_broker_async(settings(url, **claim)) as broker,
        client(broker.bootstrap_servers, token(upn="bob", sub=None)) as c,
    ):
        (node,) = c.cluster.metadata.brokers
        connection = await c.cluster.connection(node)
        assert 0 < connection.renew_at - asyncio.get_running_loop().time() < 600


async def test_keys_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ottla.broker.tokens._LEAST_BETWEEN_MS", 0)
    file = tmp_path / "keys"
    async with run_broker_async(settings(write(file, a=FIRST))) as broker:
        servers = broker.bootstrap_servers
        assert not await is_let_in(servers, token(SECOND, "b"))
        write(file, b=SECOND)
        async with asyncio.timeout(20):
            while not await is_let_in(servers, token(SECOND, "b")):
                await asyncio.sleep(0.02)
        assert not await is_let_in(servers, token()), "the first has gone"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sasl_oauthbearer_jwks_endpoint_url": "ftp://x"}, "neither a file"),
        ({"sasl_oauthbearer_jwks_endpoint_url": "file:///absent/keys"}, "No such file"),
        ({"sasl_oauthbearer_expected_issuer": ""}, "expected.issuer is needed"),
        ({"sasl_oauthbearer_expected_audience": ""}, "expected.audience is needed"),
    ],
)
async def test_what_would_believe_anybody_is_refused(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        async with run_broker_async(settings(write(tmp_path / "keys", a=FIRST), **changes)):
            pass


async def test_anybody_may_be_believed_where_that_is_said(tmp_path: Path) -> None:
    changes = {"sasl_oauthbearer_expected_issuer": "", "sasl_oauthbearer_expected_audience": ""}
    changes |= {"sasl_oauthbearer_allow_unverified_issuer": "true"}
    changes |= {"sasl_oauthbearer_allow_unverified_audience": "true"}
    async with run_broker_async(settings(write(tmp_path / "keys", a=FIRST), **changes)) as broker:
        assert await is_let_in(broker.bootstrap_servers, token(iss=None, aud="anybody"))


async def test_a_listener_takes_tokens_once_there_are_keys(tmp_path: Path, caplog: Any) -> None:
    """While it runs: they are read beside everything else, and without them no tokens are taken."""
    line = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="pass";'
    plain = {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": line,
    }
    url = (tmp_path / "keys").as_uri()
    async with run_broker_async(settings(url) | plain) as broker, connect(broker.host, broker.port) as admin:
        await admin.call(17, 1, {"mechanism": "PLAIN"})
        await admin.call(36, 2, {"auth_bytes": b"\0ann\0pass"})

        async def enable(mechanisms: str) -> None:
            change = {"name": "sasl.enabled.mechanisms", "config_operation": 0, "value": mechanisms}
            resource = {"resource_type": 4, "resource_name": "1", "configs": [change]}
            answer = await admin.call(44, 1, {"resources": [resource]})
            assert answer["responses"][0]["error_code"] == 0, answer

        async def offered() -> list[str]:
            async with connect(broker.host, broker.port) as other:
                found = await other.call(17, 1, {"mechanism": "PLAIN"})
                return list(found["mechanisms"])

        await enable("PLAIN,OAUTHBEARER")
        async with asyncio.timeout(10):
            while "OAUTHBEARER is not offered" not in caplog.text:
                await asyncio.sleep(0.01)
        assert await offered() == ["PLAIN"]
        write(tmp_path / "keys", a=FIRST)
        await enable("OAUTHBEARER,PLAIN")
        async with asyncio.timeout(10):
            while await offered() != ["OAUTHBEARER", "PLAIN"]:
                await asyncio.sleep(0.01)
        assert await is_let_in(broker.bootstrap_servers, token())


async def test_groups_of_tokens_have_roles(tmp_path: Path) -> None:
    url = write(tmp_path / "keys", a=FIRST)
    more = {
        "authorizer_class_name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super_users": "User:root",
        "ottla_sasl_oauthbearer_groups_claim_name": "realm.roles",
    }
    grant = Acl("Role:reader", AclOperation.DESCRIBE, AclResourceType.TOPIC, "t")
    bound = Acl("Group:ops", AclOperation.ALL, AclResourceType.USER, "Role:reader")
    async with run_broker_async(settings(url, **more)) as broker:
        servers = broker.bootstrap_servers
        async with client(servers, token(sub="root")) as root:
            await root.admin.topics.create([NewTopic("t")])
            await root.admin.acls.create([grant, bound])
            for roles, seen in ((["ops", "dev"], ["t"]), (["dev"], [])):
                async with client(servers, token(realm={"roles": roles})) as ann:
                    assert [each.name for each in await ann.admin.topics.list()] == seen
            async with client(servers, token(realm={"roles": ["ops"]})) as ann:
                assert await ann.admin.topics.list()
                await root.admin.acls.delete([AclFilter(principal="Group:ops")])
                assert not await ann.admin.topics.list()
