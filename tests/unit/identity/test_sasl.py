"""The client's side of SASL."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.identity.sasl import Mechanism, OAuthBearer, SaslError, extensions_of, is_token, password_mechanism

NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = f"{NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CHALLENGE = f"r={SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
VERIFIER = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def scram(user: str = "user") -> Mechanism:
    return password_mechanism("SCRAM-SHA-256", user, "pencil", NONCE)


def test_scram_is_as_in_rfc_7677() -> None:
    made = scram()
    assert made.first() == f"n,,n=user,r={NONCE}".encode()
    assert made.answer(CHALLENGE.encode()) == (
        f"c=biws,r={SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
    )
    assert made.answer(VERIFIER) is None


def test_names_are_escaped() -> None:
    assert scram("a=b,c").first() == f"n,,n=a=3Db=2Cc,r={NONCE}".encode()


@pytest.mark.parametrize(
    ("challenge", "said"),
    [
        ("e=unknown-user", "the broker refuses: unknown-user"),
        (CHALLENGE.replace("rOpr", "xxxx"), "nonce"),
        (CHALLENGE.replace(SERVER_NONCE, NONCE), "nonce"),
        (CHALLENGE.replace("4096", "4095"), "asks for 4095 SCRAM iterations"),
        (CHALLENGE.replace("4096", "2000000000"), "asks for 2000000000 SCRAM iterations"),
        (CHALLENGE.replace("4096", "x"), "asks for x SCRAM iterations"),
        (CHALLENGE.replace("W22Z", "...."), "malformed"),
        (CHALLENGE.replace(",s=", ",q="), "malformed"),
        (CHALLENGE.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""), "malformed"),
        (CHALLENGE.replace("W22Z", "é"), "malformed"),
        ("m=new," + CHALLENGE, "extension"),
        ("", "malformed"),
        ("\udcff", "malformed"),
    ],
)
def test_what_is_not_scram_is_refused(challenge: str, said: str) -> None:
    made = scram()
    made.first()
    with pytest.raises(SaslError, match=said):
        made.answer(challenge.encode(errors="surrogateescape"))


@pytest.mark.parametrize("verifier", [b"v=AAAA", b"e=invalid-proof", b"v=", b"x"])
def test_a_broker_that_does_not_know_the_password_is_not_believed(verifier: bytes) -> None:
    made = scram()
    made.first()
    made.answer(CHALLENGE.encode())
    with pytest.raises(SaslError):
        made.answer(verifier)


def test_scram_with_sha_512_goes_as_a_server_computes_it() -> None:
    made = password_mechanism("SCRAM-SHA-512", "bo", "päss,=", "n")
    bare = made.first().removeprefix(b"n,,")
    challenge = b"r=nx,s=c2FsdA==,i=5000"
    answer = made.answer(challenge)
    assert answer is not None
    salted = hashlib.pbkdf2_hmac("sha512", "päss,=".encode(), b"salt", 5000)
    said = bare + b"," + challenge + b"," + answer.rpartition(b",p=")[0]
    stored = hashlib.sha512(hmac.digest(salted, b"Client Key", "sha512")).digest()
    signature = hmac.digest(stored, said, "sha512")
    proof = base64.b64decode(answer.rpartition(b",p=")[2])
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha512(client_key).digest() == stored
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha512"), said, "sha512")
    assert made.answer(b"v=" + base64.b64encode(server)) is None


def test_plain_is_as_in_rfc_4616() -> None:
    plain = password_mechanism("PLAIN", "tim", "tanstaaftanstaaf", "")
    assert plain.first() == b"\0tim\0tanstaaftanstaaf"
    assert plain.answer(b"") is None
    with pytest.raises(SaslError, match="asks on"):
        plain.answer(b"more?")


def test_a_bearer_token_is_as_in_rfc_7628() -> None:
    bearer = OAuthBearer("abc")
    assert bearer.first() == b"n,,\x01auth=Bearer abc\x01\x01"
    assert bearer.answer(b"") is None


def test_what_a_broker_is_told_beside_a_token() -> None:
    bearer = OAuthBearer("abc", extensions_of(["organization=sales team", "Trace=1=2"]))
    assert bearer.first() == b"n,,\x01auth=Bearer abc\x01organization=sales team\x01Trace=1=2\x01\x01"


@pytest.mark.parametrize(
    "item", ["", "a", "a=", "=b", "a1=b", "a=b\x01c=d", "a=\xe9", "auth=x", "organization=again"]
)
def test_extensions_that_are_none(item: str) -> None:
    with pytest.raises(ValueError, match=r"name=value|twice|own name"):
        extensions_of(["organization=sales", item])


def test_a_refused_token_is_answered_as_rfc_7628_wants_and_never_more_than_once() -> None:
    bearer = OAuthBearer("abc")
    assert bearer.answer(b'{"status":"invalid_token"}') == b"\x01"
    with pytest.raises(SaslError, match="invalid_token"):
        bearer.answer(b"")


@pytest.mark.parametrize(
    ("name", "user", "password"),
    [("PLAIN", "a\0b", "hush"), ("PLAIN", "a", "hu\0sh"), ("SCRAM-SHA-512", "a", "hu\udcffsh")],
)
def test_what_cannot_be_carried_is_refused_without_showing_it(name: str, user: str, password: str) -> None:
    with pytest.raises(ValueError, match="user name|password") as raised:
        password_mechanism(name, user, password, NONCE)
    assert "hu" not in str(raised.value)
    assert "udcff" not in str(raised.value)


@pytest.mark.parametrize("token", ["", "a b", "a\x01b", "a\n", "é", None, b"a"])
def test_what_is_no_token(token: object) -> None:
    assert not is_token(token)
    assert is_token("eyJ.eyJ~+/-_=")


ANYTHING = st.one_of(st.text("a1=,+é", max_size=9).map(str.encode), st.binary(max_size=20))
FIRST = st.tuples(
    st.just(b"r=" + SERVER_NONCE.encode()),
    st.one_of(st.just(b"s=c2FsdA=="), ANYTHING.map(b"s=".__add__), ANYTHING),
    st.one_of(st.just(b"i=4096"), ANYTHING.map(b"i=".__add__), ANYTHING),
).map(b",".join)
LAST = st.one_of(ANYTHING.map(b"v=".__add__), ANYTHING.map(b"e=".__add__), ANYTHING)


@given(st.one_of(st.tuples(FIRST, LAST, LAST), st.lists(ANYTHING, max_size=3)))
def test_whatever_a_broker_says_is_answered_or_refused(challenges: Sequence[bytes]) -> None:
    for made in (scram(), OAuthBearer("abc"), password_mechanism("PLAIN", "ann", "pass", "")):
        made.first()
        with contextlib.suppress(SaslError):
            for challenge in challenges:
                made.answer(challenge)
