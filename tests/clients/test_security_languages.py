"""Clients in other languages, by each protocol and mechanism: they write and read, or are told what is wrong,
and the broker says it in one line.

Each is a program beside this file, which gets a list of ways to come and says what came of each.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from bench.kafka.install import KafkaUnavailableError, install
from tests import node
from tests.certificates import Authority
from tests.clients.secured import MUTUAL, PASSWORD, PROTOCOLS, SCRAM, Place, place, token
from tests.differential.brokers import KAFKA_VERSION

__all__ = ["place"]

HERE: Final = Path(__file__).parent
TIMEOUT_S: Final = 100
WRONG: Final = "some-wrong-password"

Way = dict[str, str]


def java(_: Path) -> list[str]:
    try:
        kafka = install(KAFKA_VERSION).short_lived()
    except KafkaUnavailableError as reason:
        pytest.skip(str(reason))
    if shutil.which("javac") is None:
        pytest.skip("needs javac, of Java 17 or newer")
    return kafka.command(str(HERE / "java" / "Secured.java"), heap=("-Xmx256m",))


def kafkajs(_: Path) -> list[str]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("KafkaJS needs node and npm")
    node.install(HERE / "js")
    return ["node", str(HERE / "js" / "secured.js")]


def franz_go(folder: Path) -> list[str]:
    if shutil.which("go") is None:
        pytest.skip("needs Go")
    program = folder / "secured"
    command = ["go", "build", "-o", str(program), "."]
    done = subprocess.run(command, cwd=HERE / "go", capture_output=True, text=True, timeout=500, check=False)
    if done.returncode:
        pytest.skip(f"franz-go cannot be built: {done.stderr[-300:]}")
    return [str(program)]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(java, id="java"),
        pytest.param(kafkajs, id="kafkajs"),
        pytest.param(franz_go, id="franz-go", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def ask(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[Way]], dict[str, str | None]]:
    """Has a client come in these ways; what it was told, None where it wrote and read."""
    if request.param is franz_go and not request.config.getoption("--full"):
        pytest.skip("to build it takes half a minute: only with --full")
    command = request.param(tmp_path_factory.mktemp("program"))

    def run(ways: list[Way]) -> dict[str, str | None]:
        done = subprocess.run(
            command, input=json.dumps(ways), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, done.stderr
        told = {each["name"]: each.get("error") for each in json.loads(done.stdout)}
        assert list(told) == [way["name"] for way in ways]
        return told

    return run


def to(place: Place, name: str, listener: str, **more: str) -> Way:
    way = {"name": name, "servers": place.servers[listener], "topic": "t", **more}
    way["protocol"] = "SSL" if listener == MUTUAL else listener
    if way["protocol"].endswith("SSL"):
        way.setdefault("ca", place.ca)
    return way


def token_file(place: Place, name: str, text: str) -> str:
    (place.folder / name).write_text(text)
    return (place.folder / name).as_uri()


def test_who_proves_it_writes_and_reads(place: Place, ask: Callable[..., Any]) -> None:
    good = token_file(place, "good", token())
    known = place.authority.give_to("ann").write(place.folder / "ann.pem")
    ways = [to(place, "open", "PLAINTEXT"), to(place, "tls", "SSL")]
    ways.append(to(place, "certificate", MUTUAL, certificate=known))
    for listener in PROTOCOLS[2:]:
        for mechanism in ("PLAIN", *SCRAM):
            name = f"{listener}-{mechanism}"
            ways.append(to(place, name, listener, mechanism=mechanism, password=PASSWORD))
        ways.append(to(place, f"{listener}-token", listener, mechanism="OAUTHBEARER", token_file=good))
    assert ask(ways) == dict.fromkeys(way["name"] for way in ways)


class Refused(NamedTuple):
    way: Way
    told: str
    """What the client says"""
    line: str
    """What the broker's log says"""


def refusals(place: Place) -> list[Refused]:
    folder, foreign = place.folder, Authority("Elsewhere")
    wrong = [
        Refused(
            to(place, f"wrong-{mechanism}", "SASL_SSL", mechanism=mechanism, password=WRONG),
            "Invalid username or password" if mechanism == "PLAIN" else "invalid credentials",
            r"Invalid username or password"
            if mechanism == "PLAIN"
            else rf"invalid credentials .*{mechanism}",
        )
        for mechanism in ("PLAIN", *SCRAM)
    ]
    tokens = {"expired": (token(expires_s=-500), "expired"), "audience": (token("others"), "udience")}
    wrong += [
        Refused(
            to(
                place,
                name,
                "SASL_SSL",
                mechanism="OAUTHBEARER",
                token_file=token_file(place, name, text),
            ),
            "invalid_token|current SASL state",  # KafkaJS takes the refusal for a welcome, and asks on
            line,
        )
        for name, (text, line) in tokens.items()
    ]
    certificates = {
        "foreign": (foreign.give_to("ann"), "unable to get local issuer|unknown ca|self.signed"),
        "expired-certificate": (place.authority.give_to("ann", expired=True), "expired"),
    }
    for name, (identity, line) in certificates.items():
        file = identity.write(folder / f"{name}.pem")
        wrong.append(Refused(to(place, name, MUTUAL, certificate=file), "", line))
    wrong.append(Refused(to(place, "none", MUTUAL), "", "PEER_DID_NOT_RETURN_A_CERTIFICATE"))
    elsewhere = to(place, "another broker", "SSL", ca=foreign.write(folder / "elsewhere.pem"))
    return [*wrong, Refused(elsewhere, "", "(?i)alert|unknown|closed")]


def test_who_does_not_is_told_and_noted(place: Place, ask: Callable[..., Any], caplog: Any) -> None:
    wanted = refusals(place)
    with caplog.at_level(logging.INFO, "ottla"):
        told = ask([each.way for each in wanted])
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("ottla")]
    for each in wanted:
        text = told[each.way["name"]]
        assert text is not None, each.way
        assert re.search(each.told, text), (each.way, text)
        assert any(re.search(each.line, line) for line in lines), (each.line, lines)
    for line in lines:
        assert re.match(r"failed (authentication|TLS handshake) of 127\.0\.0\.1 on listener ", line), line
        assert "\n" not in line
    secrets = [WRONG, *((place.folder / name).read_text() for name in ("expired", "audience"))]
    everything = caplog.text + "".join(map(str, told.values()))
    for secret in secrets:
        assert not any(part in everything for part in secret.split(".")), secret
