"""How clients prove who they are, and all that can go wrong with that: the same frames to both brokers, which
answer with the same codes and words, and close the connection at the same place.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from ottla.identity.sasl import Scram

from .brokers import Broker, Connection, Unanswered, error_codes
from .proof import Proof

Told = list[Any]
Scenario = Callable[["Talk", Proof], None]
SCENARIOS: dict[str, Scenario] = {}
DEVIATIONS: Final = (
    ("out_of_order", r"(Produce|Fetch)-\d+ among tokens", "the connection is closed without an answer"),
    ("scram", "nobody by .*", "a user who is not there fails as late as one with a wrong password"),
    ("broken_scram", r"b'n,,m=x,.*", "an extension that must be understood is not (RFC 5802, 5.1)"),
    ("broken_scram", r"proof of \d+", "Kafka fails over a proof of another length; it is a wrong one"),
    ("tokens", "a good one behind a bad one", "a refusal ends the exchange (RFC 7628, 3.2.3)"),
    ("again_where_they_end", "by GSSAPI", "the client is told what is offered before the end"),
)
"""Conversations that differ on purpose, and why: scenario and label. All of them must differ."""
PLAIN_ANN: Final = b"\0ann\0pass"
NAMED: Final = {"client_software_name": "d", "client_software_version": "1"}
PASSWORD: Final = "p\u00e4ss,="
NONCE: Final = "fyko+d2lbbFgONRv9qkxdawL"


def without_chance(message: bytes) -> bytes | str:
    """What a broker says, but for what SCRAM makes of its nonce."""
    return {b"r=": "a challenge", b"v=": "a signature"}.get(message[:2], message)


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


class Talk:
    """One connection after the other, and what is heard there."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connection: Connection | None = None
        self._is_over = False
        self.told: list[Told] = []

    def begin(self, what: object, listener: str = "ASKED", tls: ssl.SSLContext | None = None) -> None:
        self.end()
        self.told.append([str(what)])
        self._is_over = False
        try:
            self._connection = Connection(self._broker, listener=listener, tls=tls)
        except OSError as error:
            self._over(getattr(error, "reason", type(error).__name__))

    def end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _over(self, how: str) -> None:
        self._is_over = True
        self.told[-1].append(how)

    def ask(self, api: str, version: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Gives the answer, {} where there is none."""
        if self._is_over or self._connection is None:
            return {}
        try:
            answer = self._connection.ask(api, version, body or {})
        except Unanswered as how:
            self._over(str(how))
            return {}
        shown = {name: value for name, value in answer.items() if name in SHOWN}
        if api == "ApiVersions":
            shown["has any"] = bool(answer["api_keys"])
        if "auth_bytes" in shown:
            shown["auth_bytes"] = without_chance(shown["auth_bytes"])
        if "mechanisms" in shown:  # in Kafka's order of hashes
            shown["mechanisms"] = sorted(shown["mechanisms"])
        if "session_lifetime_ms" in shown:
            shown["session_lifetime_ms"] = round(shown["session_lifetime_ms"] / 60_000, 1)
        self.told[-1].append((api, version, shown))
        return answer

    def token(self, message: bytes) -> bytes:
        """As a frame without a header; gives the one that answers."""
        if self._is_over or self._connection is None:
            return b""
        self._connection.send(message)
        try:
            answer = self._connection.receive()
        except Unanswered as how:
            self._over(str(how))
            return b""
        self.told[-1].append(without_chance(answer))
        return answer

    def throw(self, data: bytes) -> None:
        """As it is; the connection is to be closed, with or without an answer."""
        if self._is_over or self._connection is None:
            return
        self._connection.send_bytes(data)
        try:
            self.told[-1].append(("an answer", len(self._connection.receive())))
        except Unanswered as how:
            self._over(str(how))

    def handshake(self, mechanism: str = "PLAIN", version: int = 1) -> None:
        self.ask("SaslHandshake", version, {"mechanism": mechanism})

    def authenticate(self, message: bytes = PLAIN_ANN, version: int = 2) -> dict[str, Any]:
        return self.ask("SaslAuthenticate", version, {"auth_bytes": message})

    def is_served(self) -> None:
        self.ask("Metadata", 9, {"topics": []})


SHOWN: Final = {"error_code", "error_message", "mechanisms", "auth_bytes", "session_lifetime_ms"}


@scenario
def in_each_version(talk: Talk, _: Proof) -> None:
    for version in range(3):
        talk.begin(version)
        talk.ask("ApiVersions", 3, NAMED)
        talk.handshake()
        talk.authenticate(version=version)
        talk.is_served()
    talk.begin("bare tokens")
    talk.handshake(version=0)
    talk.token(PLAIN_ANN)
    talk.is_served()
    for version in (2, 9):
        talk.begin(f"handshake {version}")
        talk.handshake(version=version)
    talk.begin("authenticate 9")
    talk.handshake()
    talk.throw(frame(36, 9, b"\0\0\0\0"))


def frame(api_key: int, version: int, body: bytes) -> bytes:
    request = struct.pack(">hhih", api_key, version, 7, -1) + body
    return struct.pack(">i", len(request)) + request


@scenario
def what_is_not_offered(talk: Talk, _: Proof) -> None:
    for version in (0, 1):
        for mechanism in ("GSSAPI", "plain", "", "SCRAM-SHA-1"):
            talk.begin(f"{mechanism} {version}")
            talk.handshake(mechanism, version)
            talk.handshake("PLAIN", version)


@scenario
def out_of_order(talk: Talk, _: Proof) -> None:
    """Whatever comes before it is time."""
    for api, version, body in (
        ("Metadata", 9, {"topics": []}),
        ("Produce", 8, {"acks": 1, "timeout_ms": 1, "topic_data": []}),
        ("SaslAuthenticate", 2, {"auth_bytes": PLAIN_ANN}),
        ("CreateTopics", 5, {"topics": [], "timeout_ms": 1}),
        ("Fetch", 12, {"topics": []}),
    ):
        talk.begin(f"{api}-{version} first")
        talk.ask(api, version, body)
        talk.begin(f"{api}-{version} second")
        talk.ask("ApiVersions", 0)
        talk.ask(api, version, body)
        talk.begin(f"{api}-{version} among tokens")
        talk.handshake()
        talk.ask(api, version, body)
    talk.begin("two handshakes")
    talk.handshake()
    talk.handshake()
    talk.begin("versions among tokens")
    talk.handshake()
    talk.ask("ApiVersions", 3, NAMED)
    talk.begin("versions among bare tokens")
    talk.handshake(version=0)
    talk.ask("ApiVersions", 3, NAMED)


@scenario
def versions_first(talk: Talk, _: Proof) -> None:
    talk.begin("twice")
    talk.ask("ApiVersions", 3, NAMED)
    talk.ask("ApiVersions", 3, NAMED)
    talk.begin("refused")
    talk.ask("ApiVersions", 3, {"client_software_name": "", "client_software_version": ""})
    talk.ask("ApiVersions", 3, NAMED)
    talk.handshake()
    talk.authenticate()
    talk.ask("ApiVersions", 3, NAMED)
    talk.is_served()
    talk.begin("too new")
    talk.throw(frame(18, 99, b""))
    talk.throw(frame(18, 98, b""))
    talk.handshake()
    talk.authenticate()
    talk.is_served()


@scenario
def wrong_passwords(talk: Talk, _: Proof) -> None:
    for message in (
        b"\0ann\0word",
        b"\0nobody\0pass",
        b"ann\0ann\0pass",
        b"bob\0ann\0pass",
        b"\0\0pass",
        b"\0ann\0",
        b"\0ann\0pass\0",
        b"ann\0pass",
        b"",
        b"\0ann\0pass\n",
        b"\0\xff\0pass",
    ):
        talk.begin(message)
        talk.handshake()
        talk.authenticate(message)
        talk.authenticate()
        talk.begin(f"{message!r} bare")
        talk.handshake(version=0)
        talk.token(message)
        talk.is_served()


@scenario
def sizes_beyond_measure(talk: Talk, _: Proof) -> None:
    for size in (-1, 0, 1, 524_289, 2**31 - 1):
        talk.begin(size)
        talk.throw(struct.pack(">i", size) + b"x" * 8)
        talk.begin(f"{size} among tokens")
        talk.handshake()
        talk.throw(struct.pack(">i", size) + b"x" * 8)
    talk.begin("token cut off")
    talk.handshake()
    talk.throw(frame(36, 1, struct.pack(">i", 100) + b"\0ann\0pass"))
    talk.begin("mechanism cut off")
    talk.throw(frame(17, 1, struct.pack(">h", 100) + b"PLAIN"))


@scenario
def other_protocols(talk: Talk, proof: Proof) -> None:
    for listener in ("ASKED", "SECURED", "MUTUAL"):
        talk.begin(f"HTTP to {listener}", listener)
        talk.throw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    talk.begin("TLS where there is none", tls=proof.context())
    talk.begin("no TLS where there is", "SECURED")
    talk.ask("ApiVersions", 3, NAMED)
    talk.begin("HTTP in TLS", "SECURED", proof.context())
    talk.throw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    talk.begin("not asked", "SECURED", proof.context())
    talk.is_served()


def scrambled(talk: Talk, mechanism: str, user: str, password: str, version: int | None = 2) -> None:
    client = Scram({"256": "sha256", "512": "sha512"}[mechanism[-3:]], user, password, NONCE)
    talk.begin(f"{user} by {mechanism} {version} with {password}")
    talk.handshake(mechanism, 0 if version is None else 1)

    def say(message: bytes) -> bytes:
        if version is None:
            return talk.token(message)
        return bytes(talk.authenticate(message, version).get("auth_bytes") or b"")

    challenge = say(client.first())
    if challenge:
        final = say(client.answer(challenge) or b"")
        if final:
            client.answer(final)
    talk.is_served()


@scenario
def scram(talk: Talk, _: Proof) -> None:
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        for version in (0, 2, None):
            scrambled(talk, mechanism, "ann", PASSWORD, version)
            scrambled(talk, mechanism, "ann", "word", version)
            scrambled(talk, mechanism, "nobody", "word", version)


@scenario
def broken_scram(talk: Talk, _: Proof) -> None:
    for first in (
        b"",
        b"n,,n=ann",
        b"y,,n=ann,r=" + NONCE.encode(),
        b"n,a=bob,n=ann,r=" + NONCE.encode(),
        b"n,a=ann,n=ann,r=" + NONCE.encode(),
        b"n,,n=ann,r=",
        b"n,,n=,r=abc",
        b"n,,n=a=nn,r=abc",
        b"n,,m=x,n=ann,r=abc",
        b"n,,n=ann,r=abc,x=1",
        b"\xff\xfe",
    ):
        talk.begin(first)
        talk.handshake("SCRAM-SHA-256")
        talk.authenticate(first)
    whole = base64.b64encode(bytes(32))
    for final, proof_bytes in (
        (b"", 0),
        (b"c=biws,r=%s,p=YQ==", 1),
        (b"c=biws,r=%s,p=" + base64.b64encode(bytes(33)), 33),
        (b"c=biws,r=%s,p=" + whole, 0),
        (b"c=biws,r=elsewhere,p=" + whole, 0),
        (b"c=eSws,r=%s,p=" + whole, 0),
        (b"c=biws,r=%s", 0),
        (b"c=biws,r=%s,p=!", 0),
        (b"n,,n=ann,r=abc", 0),
    ):
        talk.begin(f"proof of {proof_bytes}" if proof_bytes else final)
        talk.handshake("SCRAM-SHA-256")
        challenge = talk.authenticate(b"n,,n=ann,r=abc").get("auth_bytes", b"")
        nonce = challenge.split(b",")[0][2:]
        talk.authenticate(final.replace(b"%s", nonce))


@scenario
def tokens(talk: Talk, proof: Proof) -> None:
    def shown(token: str, header: str = "n,,", more: str = "") -> bytes:
        return f"{header}\x01auth=Bearer {token}\x01{more}\x01".encode()

    good = proof.token()
    for index, message in enumerate(
        (
            shown(good),
            shown(good, more="a=b\x01"),
            shown(good, "n,a=ann,"),
            shown(good, "n,a=bob,"),
            shown(proof.token(-500)),
            shown(proof.token(aud="others")),
            shown(proof.token(iss="other")),
            shown(proof.token(sub="")),
            shown(good[:-4] + "AAAA"),
            shown("abc"),
            shown("a.b.c"),
            b"n,,\x01\x01",
            b"",
            b"\x01",
            shown(good) + b"x",
        )
    ):
        talk.begin(index)
        talk.handshake("OAUTHBEARER")
        answer = talk.authenticate(message)
        if answer.get("auth_bytes"):  # it is refused
            talk.authenticate(b"\x01")
        talk.is_served()
    talk.begin("a good one behind a bad one")
    talk.handshake("OAUTHBEARER")
    talk.authenticate(shown("abc"))
    talk.authenticate(shown(good))
    talk.begin("as if it were good")
    talk.handshake("OAUTHBEARER")
    talk.authenticate(shown("abc"))
    talk.is_served()


@scenario
def again_where_sessions_do_not_end(talk: Talk, _: Proof) -> None:
    talk.begin("a token alone")
    talk.handshake()
    talk.authenticate()
    talk.authenticate()
    talk.begin("with a handshake")
    talk.handshake()
    talk.authenticate()
    talk.handshake()
    talk.authenticate()
    talk.is_served()


@scenario
def again_where_they_end(talk: Talk, _: Proof) -> None:
    def known(what: str) -> None:
        talk.begin(what, "RENEWED")
        talk.handshake()
        talk.authenticate()
        talk.is_served()

    known("a handshake, and another request")
    time.sleep(1.1)  # who comes again within a second is refused
    talk.handshake()
    talk.is_served()
    known("twice in a second")
    talk.handshake()
    talk.authenticate()
    talk.handshake()
    talk.is_served()
    for mechanism, message in (
        ("PLAIN", b"\0bob\0word"),
        ("PLAIN", b"\0ann\0word"),
        ("SCRAM-SHA-256", b"n,,n=ann,r=abc"),
        ("GSSAPI", b""),
        ("PLAIN", PLAIN_ANN),
    ):
        known(f"by {mechanism}")
        talk.handshake(mechanism)
        talk.authenticate(message)
        talk.is_served()
    known("by a bare token")
    talk.handshake(version=0)
    talk.is_served()
    known("without a handshake")
    talk.authenticate()
    known("too late")
    time.sleep(3.1)
    talk.is_served()


@scenario
def certificates(talk: Talk, proof: Proof) -> None:
    for what, identity in {
        "known": proof.authority.give_to("ann"),
        "expired": proof.authority.give_to("ann", expired=True),
        "foreign": proof.foreign.give_to("ann"),
        "none": None,
    }.items():
        talk.begin(what, "MUTUAL", proof.context(identity))
        talk.is_served()


@scenario
def old_versions_of_tls(talk: Talk, proof: Proof) -> None:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2):
        context = proof.context()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        talk.begin(version.name, "SECURED", context)
        talk.handshake()


@pytest.fixture(scope="module")
def asking(guarded_brokers: tuple[Broker, Broker]) -> tuple[Broker, Broker]:
    """Where ann and bob are known by SCRAM, too."""
    salt = b"salt of the earth"
    for broker in guarded_brokers:
        connection = Connection(broker)
        for mechanism, algorithm in ((1, "sha256"), (2, "sha512")):
            salted = hashlib.pbkdf2_hmac(algorithm, PASSWORD.encode(), salt, 4096)
            credential = {"mechanism": mechanism, "iterations": 4096, "salt": salt, "salted_password": salted}
            wanted = [{"name": name, **credential} for name in ("ann", "bob")]
            answer = connection.ask("AlterUserScramCredentials", 0, {"deletions": [], "upsertions": wanted})
            assert not any(error_codes(answer)), answer
        connection.close()
        broker.settle()
    return guarded_brokers


@pytest.mark.xdist_group("differential")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("name", SCENARIOS)
def test_both_say_the_same(asking: tuple[Broker, Broker], proof: Proof, name: str) -> None:
    def heard(broker: Broker) -> list[Told]:
        talk = Talk(broker)
        SCENARIOS[name](talk, proof)
        talk.end()
        return talk.told

    with ThreadPoolExecutor() as threads:
        told = list(threads.map(heard, asking))
    named = {re.compile(label) for scene, label, _ in DEVIATIONS if scene == name}
    for theirs, ours in zip(*told, strict=True):
        meant = {each for each in named if each.fullmatch(theirs[0])}
        lines = "\n".join(("Kafka:", *map(str, theirs), "Ottla:", *map(str, ours)))
        assert (theirs == ours) == (not meant), lines
