"""Who of a group's members writes: what members of protocol type `sr` say of themselves, as Confluent's do.

Each tells where it is and whether it may lead and does. The member that the group's coordinator chose counts,
and tells all of them the outcome: whoever leads goes on, else it is the first address that may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ottla.http.fields import Fields, dump, load

PROTOCOL_TYPE: Final = "sr"
PROTOCOL: Final = "v0"
_VERSION: Final = 1
_DUPLICATE_ADDRESSES: Final = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """A member, by where its API is."""

    scheme: str
    host: str
    port: int
    may_lead: bool = True
    leads: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def to_json(self) -> dict[str, object]:
        return {
            "version": _VERSION,
            "host": self.host,
            "port": self.port,
            "master_eligibility": self.may_lead,
            "scheme": self.scheme,
            "leader": self.leads,
        }


class Outcome(NamedTuple):
    """`member_id` and `leader` are None where nobody may lead."""

    member_id: str | None
    leader: Identity | None
    has_duplicates: bool


def encode_identity(identity: Identity) -> bytes:
    return dump(identity.to_json())


def decode_identity(data: bytes) -> Identity:
    """FieldError for what is none."""
    return _identity(load(data))


def _identity(value: object) -> Identity:
    fields = Fields(value, "member")
    return Identity(
        fields.text("scheme") or "http",
        fields.need_text("host"),
        fields.need_number("port"),
        fields.flag("master_eligibility") or False,
        fields.flag("leader") or False,
    )


def elect(members: Mapping[str, Identity]) -> Outcome:
    """The outcome among members by their ids, the same wherever it is counted."""
    able = {member: each for member, each in members.items() if each.may_lead}
    leading = [member for member, each in able.items() if each.leads]
    has_duplicates = len({each.url for each in members.values()}) < len(members)
    if not able:
        return Outcome(None, None, has_duplicates)
    first = leading[0] if len(leading) == 1 else min(able, key=lambda member: (able[member].url, member))
    return Outcome(first, able[first], has_duplicates)


def encode_outcome(outcome: Outcome) -> bytes:
    made: dict[str, object] = {
        "version": _VERSION,
        "error": _DUPLICATE_ADDRESSES if outcome.has_duplicates else 0,
        "master": outcome.member_id,
        "master_identity": None if outcome.leader is None else outcome.leader.to_json(),
    }
    return dump({name: value for name, value in made.items() if value is not None})


def decode_outcome(data: bytes) -> Outcome:
    """FieldError for what is none."""
    fields = Fields(load(data), "assignment")
    leader = fields.raw("master_identity")
    return Outcome(
        fields.text("master"),
        None if leader is None else _identity(leader),
        bool(fields.number("error")),
    )
