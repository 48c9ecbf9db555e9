"""The client's side of SASL."""

from __future__ import annotations

import pytest

from ottla.client.core.sasl import Mechanism, mechanism_of
from ottla.client.errors import AuthenticationError

NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = f"{NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CHALLENGE = f"r={SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
VERIFIER = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def scram(user: str = "user") -> Mechanism:
    return mechanism_of("SCRAM-SHA-256", user, "pencil", str, lambda: NONCE)


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
        ("", "malformed"),
        ("\udcff", "malformed"),
    ],
)
def test_what_is_not_scram_is_refused(challenge: str, said: str) -> None:
    made = scram()
    made.first()
    with pytest.raises(AuthenticationError, match=said):
        made.answer(challenge.encode(errors="surrogateescape"))


@pytest.mark.parametrize("verifier", [b"v=AAAA", b"e=invalid-proof", b"v=", b"x"])
def test_a_broker_that_does_not_know_the_password_is_not_believed(verifier: bytes) -> None:
    made = scram()
    made.first()
    made.answer(CHALLENGE.encode())
    with pytest.raises(AuthenticationError):
        made.answer(verifier)


def test_plain_and_bearer_tokens_are_one_message() -> None:
    plain = mechanism_of("PLAIN", "ann", "pass", str, str)
    assert plain.first() == b"\0ann\0pass"
    assert plain.answer(b"") is None
    bearer = mechanism_of("OAUTHBEARER", "", "", lambda: "abc", str)
    assert bearer.first() == b"n,,\x01auth=Bearer abc\x01\x01"
    with pytest.raises(AuthenticationError, match="invalid_token"):
        bearer.answer(b'{"status":"invalid_token"}')
