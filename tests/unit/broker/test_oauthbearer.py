"""Clients that show tokens: whom they name, what is asked of them, keys that change."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

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
