"""Tokens that nobody honest writes, and keys that nobody can read."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ottla.identity.jwt import JsonWebTokens, KeysError, TokenError, TokenRules

KEY = ec.generate_private_key(ec.SECP256R1())
RULES = TokenRules(None, ())
NESTED = "[" * 5000 + "]" * 5000


@pytest.fixture
def tokens(tmp_path: Path) -> JsonWebTokens:
    jwk = {**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "a"}
    (tmp_path / "keys").write_text(json.dumps({"keys": [jwk]}))
    return JsonWebTokens((tmp_path / "keys").as_uri(), RULES, time.time)


def signed(**claims: Any) -> str:
    return jwt.encode({"sub": "ann", **claims}, KEY, "ES256", {"kid": "a"})


@pytest.mark.usefixtures("no_collection")
def test_a_header_that_is_nested_without_end_is_refused(tokens: JsonWebTokens) -> None:
    header = base64.urlsafe_b64encode(NESTED.encode()).decode().rstrip("=")
    assert len(header) < 16_000
    with pytest.raises(TokenError):
        tokens.claims(f"{header}.e30.x")


@pytest.mark.parametrize("end", [1e308, float("inf"), "soon", [], True])
def test_ends_that_are_no_times_are_refused(tokens: JsonWebTokens, end: Any) -> None:
    with pytest.raises(TokenError):
        tokens.claims(signed(exp=end))


def test_an_end_beyond_all_times_fits_into_an_answer(tokens: JsonWebTokens) -> None:
    assert tokens.claims(signed(exp=1e30)).expires_ms == (1 << 63) - 1


@pytest.mark.parametrize("content", [NESTED, '{"keys": ' + NESTED * 20 + "}", "1", "{}", '{"keys": [7]}'])
@pytest.mark.usefixtures("no_collection")
def test_keys_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys").write_text(content)
    with pytest.raises(KeysError):
        JsonWebTokens((tmp_path / "keys").as_uri(), RULES, time.time)


def test_keys_that_are_gone_stay_and_are_told_of(tokens: JsonWebTokens, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "keys").unlink()
    assert not tokens.read_again()
    assert "the keys of tokens stay as they were" in caplog.text
    assert tokens.claims(signed(exp=time.time() + 60)).name == "ann"


@pytest.mark.parametrize(
    ("name", "claims", "expected"),
    [
        ("groups", {"groups": ["ops", "dev", "ops", ""]}, ("ops", "dev")),
        ("groups", {"groups": "ops"}, ("ops",)),
        ("groups", {}, ()),
        ("groups", {"groups": None}, ()),
        ("realm.roles", {"realm": {"roles": ["ops"]}}, ("ops",)),
        ("realm.roles", {"realm": ["ops"]}, ()),
        ("https://x.y/groups", {"https://x.y/groups": ["ops"]}, ("ops",)),
        ("groups", {"groups": [7]}, None),
        ("groups", {"groups": {"ops": True}}, None),
    ],
)
def test_groups_are_those_of_the_claim_that_is_configured(
    tokens: JsonWebTokens, tmp_path: Path, name: str, claims: dict[str, Any], expected: tuple[str, ...] | None
) -> None:
    shown = signed(exp=time.time() + 60, **claims)
    assert tokens.claims(shown).groups == ()
    knowing = JsonWebTokens((tmp_path / "keys").as_uri(), RULES._replace(groups_claim=name), time.time)
    if expected is None:
        with pytest.raises(TokenError):
            knowing.claims(shown)
    else:
        assert knowing.claims(shown).groups == expected
