"""Who leads, as Confluent's members count it."""

import json

import pytest

from ottla.http.fields import FieldError
from ottla.registry.state.election import (
    Identity,
    Outcome,
    decode_identity,
    decode_outcome,
    elect,
    encode_identity,
    encode_outcome,
)


def member(port: int, *, may: bool = True, leads: bool = False) -> Identity:
    return Identity("http", "h", port, may, leads)


def test_who_leads_goes_on() -> None:
    members = {"x": member(1), "y": member(2, leads=True), "z": member(3)}
    assert elect(members) == Outcome("y", members["y"], has_duplicates=False)


def test_the_first_address_leads_where_none_or_several_do() -> None:
    assert elect({"x": member(2), "y": member(1)}).member_id == "y"
    assert elect({"x": member(2, leads=True), "y": member(1, leads=True)}).member_id == "y"


def test_who_may_not_lead_does_not() -> None:
    assert elect({"x": member(1, may=False), "y": member(2)}).member_id == "y"
    assert elect({"x": member(1, may=False, leads=True)}) == Outcome(None, None, has_duplicates=False)
    assert elect({}) == Outcome(None, None, has_duplicates=False)


def test_two_at_one_address_are_told_of() -> None:
    assert elect({"x": member(1), "y": member(1)}).has_duplicates


def test_the_bytes_are_those_of_confluent() -> None:
    assert json.loads(encode_identity(member(8081))) == {
        "version": 1,
        "host": "h",
        "port": 8081,
        "master_eligibility": True,
        "scheme": "http",
        "leader": False,
    }
    outcome = elect({"x": member(1)})
    assert decode_outcome(encode_outcome(outcome)) == outcome
    assert json.loads(encode_outcome(outcome))["master"] == "x"
    older = b'{"version":1,"host":"h","port":1,"master_eligibility":true}'
    assert decode_identity(older) == member(1)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"host":"h","port":"1"}'])
def test_what_is_no_member_is_refused(data: bytes) -> None:
    with pytest.raises(FieldError):
        decode_identity(data)
