"""JSON Web Tokens as bearer tokens, and the clients that show them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.platform.registry.conftest import Start
from tests.platform.registry.registry_process import Api

from ottla import client
from ottla.client.settings import parse
from ottla.registry.server.jwt import JsonWebTokens
from ottla.registry.settings import RegistrySettings

ISSUER, AUDIENCE = "https://login.example", "registry"


class Keys:
    """A JWKS in a file, and tokens that its keys sign."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.write({"r": self.rsa, "e": self.ec})

    def write(self, keys: dict[str, Any]) -> None:
        found = []
        for name, key in keys.items():
            maker = jwt.algorithms.RSAAlgorithm if key is self.rsa else jwt.algorithms.ECAlgorithm
            algorithm = "RS256" if key is self.rsa else "ES256"
            found.append({**maker.to_jwk(key.public_key(), as_dict=True), "kid": name, "alg": algorithm})
        self.file.write_text(json.dumps({"keys": found}))

    def token(self, key: Any = None, kid: str = "r", algorithm: str = "RS256", **claims: Any) -> str:
        whole = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 600, **claims}
        whole = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(whole, key or self.rsa, algorithm, headers={"kid": kid})


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "jwks.json")


@pytest.fixture
def guarded(start: Start, keys: Keys, tmp_path: Path) -> Api:
    (tmp_path / "rules").write_text("alice all *\nbob read *\n")
    return start(
        oauthbearer_jwks_endpoint_url=keys.file.as_uri(),
        oauthbearer_expected_issuer=ISSUER,
        oauthbearer_expected_audience=f"others,{AUDIENCE}",
        authorization_rules_file=str(tmp_path / "rules"),
    ).ready()


def status(api: Api, token: str, method: str = "GET", path: str = "/subjects", body: Any = None) -> int:
    return api.call(method, path, body, {"authorization": f"Bearer {token}"}).status


def test_a_sound_token_says_who_asks(guarded: Api, keys: Keys) -> None:
    assert status(guarded, keys.token()) == 200
    assert status(guarded, keys.token(keys.ec, "e", "ES256")) == 200
    post = ("POST", "/subjects/s/versions", {"schema": '"int"'})
    assert status(guarded, keys.token(sub="bob"), *post) == 403
    assert status(guarded, keys.token(sub="bob"), "GET", "/subjects") == 200
    assert status(guarded, keys.token(), *post) == 200


def test_any_other_token_is_nobodys(guarded: Api, keys: Keys) -> None:
    public = keys.rsa.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head, body, signature = keys.token().split(".")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.api_jws.PyJWS(algorithms=["HS256"])
    forged._algorithms["HS256"].prepare_key = lambda key: key  # type: ignore[method-assign]
    for token in (
        keys.token(exp=time.time() - 600),
        keys.token(exp=None),
        keys.token(nbf=time.time() + 600),
        keys.token(iss="https://elsewhere"),
        keys.token(iss=None),
        keys.token(aud="elsewhere"),
        keys.token(aud=None),
        keys.token(sub=None),
        keys.token(sub=""),
        keys.token(other),
        keys.token(kid="unknown"),
        keys.token(keys.ec, "r", "ES256"),
        jwt.encode({"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 600}, None, "none"),
        # The public key as if it were a secret that both sides share.
        forged.encode(b'{"sub":"alice"}', public, "HS256", headers={"kid": "r"}),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}",
        "..",
        "a.b.c",
        "x" * 20_000,
    ):
        assert status(guarded, token) == 401, token


def test_clients_show_tokens(guarded: Api, keys: Keys, tmp_path: Path) -> None:
    token = keys.token()
    schemas = client.registry(guarded.url, bearer_auth_token=lambda: token)
    assert schemas.request("GET", "/subjects") == {"answer": []}
    settings = {
        "url": guarded.url,
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": token,
        "bearer.auth.logical.cluster": "lsrc-1",
        "bearer.auth.identity.pool.id": "pool-1",
    }
    with SchemaRegistryClient(settings) as sr:
        assert sr.get_subjects() == []
    file = tmp_path / "client.properties"
    file.write_text(f"schema.registry.url={guarded.url}\nbearer.auth.token={token}\n")
    line = [sys.executable, "-m", "ottla", "schema", "list", "--json", "--command-config", str(file)]
    assert json.loads(subprocess.run(line, capture_output=True, check=True, timeout=60).stdout) == []


def test_keys_that_are_none_are_refused_at_the_start(start: Start, tmp_path: Path) -> None:
    for name, content in (("a", "{}"), ("b", "["), ("c", '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}')):
        (tmp_path / name).write_text(content)
        process = start(oauthbearer_jwks_endpoint_url=(tmp_path / name).as_uri())
        assert process.process.wait(30) == 2
    assert start(oauthbearer_jwks_endpoint_url="ftp://x/y").process.wait(30) == 2


async def test_keys_of_kinds_that_are_not_known_here_stop_no_others(keys: Keys) -> None:
    async def in_thread(work: Callable[[], bool]) -> bool:
        return work()

    held = json.loads(keys.file.read_text())["keys"]
    strange = [
        {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "x"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "y", "alg": "Ed25519"},
        {"kty": "EC", "crv": "P-192", "x": "AAAA", "y": "AAAA", "kid": "z"},
        {"kty": "RSA", "kid": "n"},
        "nonsense",
    ]
    keys.file.write_text(json.dumps({"keys": [*strange, *held]}))
    settings = parse(RegistrySettings, {"oauthbearer.jwks.endpoint.url": keys.file.as_uri()})
    tokens = JsonWebTokens(settings, in_thread, lambda: 0.0)
    assert await tokens.name_of(keys.token(aud=None)) == "alice"


async def test_keys_are_read_again_when_one_is_not_known_but_not_often(keys: Keys) -> None:
    now_s = [100.0]
    asked = []

    async def in_thread(work: Callable[[], bool]) -> bool:
        asked.append(now_s[0])
        return work()

    settings = parse(RegistrySettings, {"oauthbearer.jwks.endpoint.url": keys.file.as_uri()})
    tokens = JsonWebTokens(settings, in_thread, lambda: now_s[0])
    token = keys.token(kid="new", aud=None)
    assert await tokens.name_of(token) is None
    keys.write({"new": keys.rsa})
    now_s[0] = 129.0
    assert await tokens.name_of(token) is None
    now_s[0] = 131.0
    assert await tokens.name_of(token) == "alice"
    assert await tokens.name_of(keys.token(keys.ec, "e", "ES256", aud=None)) is None
    keys.file.write_text("nonsense")
    now_s[0] = 200.0
    assert await tokens.name_of(keys.token(kid="newer", aud=None)) is None
    assert await tokens.name_of(token) == "alice"
    assert asked == [131.0, 200.0]
