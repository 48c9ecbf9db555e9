"""Delegation tokens, asked for by who did not prove who he is: nobody gets one, and nobody is told of any."""

from __future__ import annotations

from .scenario import Ask, scenario

HMAC = b"\x07" * 64
USER = {"principal_type": "User", "principal_name": "ann"}


@scenario("CreateDelegationToken")
def test_tokens_are_not_made(ask: Ask) -> None:
    ask("CreateDelegationToken", renewers=[USER], max_lifetime_ms=-1)
    ask("CreateDelegationToken", renewers=[], max_lifetime_ms=60_000)
    ask("CreateDelegationToken", renewers=[{**USER, "principal_type": "Group"}], max_lifetime_ms=0)


@scenario("RenewDelegationToken")
def test_tokens_are_not_renewed(ask: Ask) -> None:
    ask("RenewDelegationToken", hmac=HMAC, renew_period_ms=-1)
    ask("RenewDelegationToken", hmac=b"", renew_period_ms=1)


@scenario("ExpireDelegationToken")
def test_tokens_are_not_ended(ask: Ask) -> None:
    ask("ExpireDelegationToken", hmac=HMAC, expiry_time_period_ms=-1)
    ask("ExpireDelegationToken", hmac=b"", expiry_time_period_ms=1)


@scenario("DescribeDelegationToken")
def test_tokens_are_not_told_of(ask: Ask) -> None:
    ask("DescribeDelegationToken", owners=None)
    ask("DescribeDelegationToken", owners=[])
    ask("DescribeDelegationToken", owners=[USER])
