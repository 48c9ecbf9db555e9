"""Users' SCRAM credentials: what may be set, what is told of them, and what is said of what is wrong."""

from __future__ import annotations

from typing import Any

from .scenario import Ask, scenario

SHA_256, SHA_512, NO_MECHANISM = 1, 2, 9


def upsertion(name: str, mechanism: int = SHA_256, iterations: int = 4096) -> dict[str, Any]:
    return {
        "name": name,
        "mechanism": mechanism,
        "iterations": iterations,
        "salt": b"salt",
        "salted_password": b"0123456789abcdef0123456789abcdef",
    }


def deletion(name: str, mechanism: int = SHA_256) -> dict[str, Any]:
    return {"name": name, "mechanism": mechanism}


def alter(ask: Ask, *upsertions: dict[str, Any], deletions: tuple[dict[str, Any], ...] = ()) -> None:
    ask("AlterUserScramCredentials", deletions=list(deletions), upsertions=list(upsertions))
    ask.settle()


def describe(ask: Ask, *names: str) -> None:
    ask("DescribeUserScramCredentials", users=[{"name": name} for name in names])


@scenario("AlterUserScramCredentials")
def test_credentials_come_change_and_go(ask: Ask) -> None:
    ann, bob, nobody = ask.name("ann"), ask.name("bob"), ask.name("nobody")
    alter(ask, upsertion(ann), upsertion(bob, SHA_512, 16384))
    describe(ask, ann, bob, nobody)
    alter(ask, upsertion(ann, SHA_512, 8192))
    alter(ask, upsertion(bob, SHA_512, 4096))
    describe(ask, ann, bob)
    alter(ask, deletions=(deletion(ann), deletion(bob), deletion(nobody)))
    describe(ask, ann, bob)
    alter(ask, deletions=(deletion(ann, SHA_512), deletion(bob, SHA_512)))
    describe(ask, ann, bob)
    alter(ask)


@scenario("DescribeUserScramCredentials")
def test_all_who_have_credentials(ask: Ask) -> None:
    ann, bob = ask.name("ann"), ask.name("bob")
    alter(ask, upsertion(ann), upsertion(bob))
    for asked in (None, []):
        answer = ask.quietly("DescribeUserScramCredentials", users=asked)
        seen = [each for each in answer["results"] if each["user"] in (ann, bob)]
        ask.note("DescribeUserScramCredentials", None, {**answer, "results": seen})
    describe(ask, ann, bob, ann)
    describe(ask, "")


@scenario("AlterUserScramCredentials")
def test_what_is_refused_of_credentials(ask: Ask) -> None:
    ann, bob, eve = ask.name("ann"), ask.name("bob"), ask.name("eve")
    alter(ask, upsertion(""), upsertion(ann, NO_MECHANISM), upsertion(bob, 0))
    alter(ask, upsertion(ann, SHA_256, 4095), upsertion(bob, SHA_512, 16385), upsertion(eve, SHA_256, -1))
    alter(ask, upsertion(ann), upsertion(ann, SHA_512), upsertion(bob))
    describe(ask, ann, bob)
    # Of one who was refused before nothing else is done.
    alter(ask, upsertion(eve), deletions=(deletion(eve),))
    alter(ask, upsertion(eve), upsertion(eve), upsertion(eve))
    alter(ask, upsertion(bob), deletions=(deletion(bob),))
    alter(ask, deletions=(deletion(bob), deletion(bob)))
    alter(ask, deletions=(deletion(""), deletion(ann, NO_MECHANISM)))
    describe(ask, ann, bob, eve)


@scenario("AlterUserScramCredentials")
def test_credentials_of_nothing(ask: Ask) -> None:
    ann, bob = ask.name("ann"), ask.name("bob")
    alter(ask, {**upsertion(ann), "salt": b""})
    alter(ask, {**upsertion(bob), "salted_password": b""})
    describe(ask, ann, bob)
