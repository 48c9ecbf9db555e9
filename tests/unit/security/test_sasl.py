"""The broker's side of SASL, against the RFCs' examples, Ottla's own client, and what nobody should send."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.identity import sasl as client
from ottla.metadata.credentials import ScramCredential
from ottla.protocol.codes import ScramMechanism
from ottla.security.sasl import (
    AuthenticationFailedError,
    BearerToken,
    Exchange,
    Identity,
    IdentityRefusedError,
    OAuthBearer,
    Plain,
    bearer_token,
    is_password_of,
)
from ottla.security.scram import Lookup, Scram, credential, salted_password

USERS = {"ann": "secret", "bob": "pässwörd"}
SALT = b"salt of a user"
SECRET = b"secret of the broker"


def kept(mechanism: ScramMechanism, password: str, iterations: int = 4096) -> ScramCredential:
    return credential(
        mechanism, salted_password(mechanism, password.encode(), SALT, iterations), SALT, iterations
    )


def scram(mechanism: ScramMechanism = ScramMechanism.SCRAM_SHA_256, nonce: str = "server") -> Scram:
    def look_up(name: str, is_token: bool) -> Lookup | None:
        if is_token:
            owner = Identity("owner", expires_ms=99, is_token_owner=True)
            return Lookup(kept(mechanism, "hmac"), owner) if name == "token-id" else None
        return Lookup(kept(mechanism, USERS[name]), Identity(name)) if name in USERS else None

    return Scram(mechanism, look_up, nonce, SECRET)


def plain() -> Plain:
    return Plain(lambda name, password: is_password_of(USERS, name, password))


def converse(asking: client.Mechanism, exchange: Exchange) -> Identity | None:
    """What the broker makes of the client's messages."""
    message: bytes | None = asking.first()
    while message is not None:
        message = asking.answer(exchange.respond(message))
    return exchange.identity


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("mechanism", [ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512])
def test_the_right_password_is_believed(user: str, mechanism: ScramMechanism) -> None:
    asking = client.password_mechanism(mechanism.mechanism, user, USERS[user], "nonce")
    assert converse(asking, scram(mechanism)) == Identity(user)
    assert converse(client.password_mechanism("PLAIN", user, USERS[user], ""), plain()) == Identity(user)


@pytest.mark.parametrize(("user", "password"), [("ann", "wrong"), ("eve", "secret"), ("eve", "")])
def test_a_wrong_password_and_no_such_user_fail_alike(user: str, password: str) -> None:
    texts = []
    for name, said in ((user, password or "x"), ("ann", "wrong")):
        exchange = scram()
        with pytest.raises(AuthenticationFailedError) as failed:
            converse(client.password_mechanism("SCRAM-SHA-256", name, said, "nonce"), exchange)
        texts.append(str(failed.value))
        assert exchange.identity is None
    assert texts == ["Invalid client credentials"] * 2
    with pytest.raises(IdentityRefusedError, match="Invalid username or password"):
        converse(client.password_mechanism("PLAIN", user, password or "x", ""), plain())


def test_a_user_that_is_not_there_has_the_same_salt_each_time() -> None:
    first = [scram().respond(b"n,,n=eve,r=nonce") for _ in range(2)]
    assert first[0] == first[1]
    assert b"i=4096" in first[0]
    assert first[0] != scram().respond(b"n,,n=mallory,r=nonce")


def test_the_example_of_rfc_7677() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    mechanism = ScramMechanism.SCRAM_SHA_256
    known = credential(mechanism, salted_password(mechanism, b"pencil", salt, 4096), salt, 4096)
    exchange = Scram(
        mechanism, lambda name, _: Lookup(known, Identity(name)), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", SECRET
    )
    assert exchange.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert exchange.respond(final) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert exchange.identity == Identity("user")
    with pytest.raises(AuthenticationFailedError, match="over"):
        exchange.respond(final)


def test_names_may_hold_what_scram_escapes() -> None:
    USERS["a=b,c"] = "x"
    try:
        asking = client.password_mechanism("SCRAM-SHA-512", "a=b,c", "x", "nonce")
        assert converse(asking, scram(ScramMechanism.SCRAM_SHA_512)) == Identity("a=b,c")
    finally:
        del USERS["a=b,c"]


def test_a_delegation_token_is_its_owners() -> None:
    class WithToken(client.Scram):
        """As Java's clients ask: `tokenauth=true` after the nonce."""

        def __init__(self) -> None:
            super().__init__("sha256", "token-id", "hmac", "nonce")
            self._bare += ",tokenauth=true"

    assert converse(WithToken(), scram()) == Identity("owner", 99, is_token_owner=True)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"y,,n=ann,r=x",
        b"p=tls-unique,,n=ann,r=x",
        b"n,,n=,r=x",
        b"n,,n=ann,r=",
        b"n,,n=a=b,r=x",
        b"n,,m=must,n=ann,r=x",
        b"n,,n=ann,r=x,",
    ],
)
def test_what_is_not_scram_is_refused(message: bytes) -> None:
    with pytest.raises(AuthenticationFailedError, match="not of SCRAM"):
        scram().respond(message)


@pytest.mark.parametrize(
    "final",
    [
        b"c=biws,r=nonceserver",
        b"c=biws,r=noncesomeone,p=AAAA",
        b"c=biws,r=nonceserver,p=AAAA",
        b"c=eSws,r=nonceserver,p=AAAA",
        b"c=biws,r=nonceserver,p=A",
        b"c=biws,r=nonceserver,p=" + b"A" * 43 + b"=",
        b"",
    ],
)
def test_a_false_proof_ends_the_exchange(final: bytes) -> None:
    exchange = scram()
    exchange.respond(b"n,,n=ann,r=nonce")
    with pytest.raises(AuthenticationFailedError):
        exchange.respond(final)
    assert exchange.identity is None
    with pytest.raises(AuthenticationFailedError, match="over"):
        exchange.respond(final)


def test_nobody_acts_as_somebody_else() -> None:
    with pytest.raises(IdentityRefusedError, match="different from username"):
        plain().respond(b"bob\0ann\0secret")
    with pytest.raises(IdentityRefusedError, match="different from username"):
        scram().respond(b"n,a=bob,n=ann,r=x")
    same = plain()
    assert same.respond(b"ann\0ann\0secret") == b""
    assert same.identity == Identity("ann")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"", "expected 3 tokens, got 1"),
        (b"ann\0secret", "expected 3 tokens, got 2"),
        (b"\0ann\0sec\0ret", "expected 3 tokens, got 4"),
        (b"\0\0secret", "username not specified"),
        (b"\0ann\0", "password not specified"),
        (b"\0ann\0\xff\xfe", "Invalid username or password"),
    ],
)
def test_what_is_not_plain_is_refused(message: bytes, text: str) -> None:
    with pytest.raises(IdentityRefusedError, match=text):
        plain().respond(message)


def validated(said: BearerToken) -> Identity:
    if said.token != "good":
        raise AuthenticationFailedError("the token has expired")
    return Identity("ann", expires_ms=1000)


def test_a_good_token_says_who_comes() -> None:
    exchange = OAuthBearer(validated)
    assert converse(client.OAuthBearer("good", {"traceId": "1"}), exchange) == Identity("ann", 1000)
    assert bearer_token(client.OAuthBearer("good", {"traceId": "1"}).first()).extensions == {"traceId": "1"}


def test_a_bad_token_is_refused_with_the_second_message_and_without_the_reason() -> None:
    exchange = OAuthBearer(validated)
    asking = client.OAuthBearer("bad")
    assert exchange.respond(asking.first()) == b'{"status":"invalid_token"}'
    with pytest.raises(IdentityRefusedError) as refused:
        exchange.respond(b"\x01")
    assert str(refused.value) == '{"status":"invalid_token"}'
    assert str(refused.value.__cause__) == "the token has expired"
    assert exchange.identity is None


def test_a_token_is_of_who_asks() -> None:
    with pytest.raises(IdentityRefusedError, match="different from the token's principal name"):
        OAuthBearer(validated).respond(b"n,a=bob,\x01auth=Bearer good\x01\x01")
    assert OAuthBearer(validated).respond(b"n,a=ann,\x01auth=Bearer good\x01\x01") == b""


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"n,,\x01\x01",
        b"n,,\x01auth=Basic good\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Bearer go od\x01\x01",
        b"n,,\x01auth=Bearer good\x01",
        b"n,,\x01auth=Bearer good\x01auth=Bearer good\x01\x01",
        b"n,,\x01auth=Bearer good\x01x1=y\x01\x01",
    ],
)
def test_what_is_not_oauthbearer_is_refused(message: bytes) -> None:
    with pytest.raises(AuthenticationFailedError):
        OAuthBearer(validated).respond(message)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3), st.integers(0, 2))
def test_no_message_does_anything_but_fail(messages: list[bytes], which: int) -> None:
    exchange: Exchange = (plain(), scram(), OAuthBearer(validated))[which]
    try:
        for message in messages:
            exchange.respond(message)
    except AuthenticationFailedError:
        pass
    assert exchange.identity is None


def test_what_is_kept_of_a_password_is_not_shown() -> None:
    shown = repr(kept(ScramMechanism.SCRAM_SHA_256, "secret"))
    assert shown == "ScramCredential(iterations=4096)"
