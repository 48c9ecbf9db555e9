from __future__ import annotations

import pytest

from ottla.client.admin.group_descriptions import GroupDescription, describe_classic
from ottla.client.core.groups.subscription import encode_assignment
from ottla.client.core.metadata import TopicPartition
from ottla.protocol.messages.describe_groups import DescribedGroup, DescribedGroupMember

_PARTITIONS = (TopicPartition("a", 0), TopicPartition("a", 2))
_ENCODED = encode_assignment(_PARTITIONS)


@pytest.mark.parametrize(
    ("protocol_type", "assigned", "partitions"),
    [
        ("consumer", _ENCODED, _PARTITIONS),
        ("consumer", b"\x00\x09" + _ENCODED[2:] + b"more", _PARTITIONS),  # of a later client
        ("consumer", b"", ()),
        ("consumer", b"\x00\x00\xff", ()),
        ("connect", _ENCODED, ()),
    ],
)
def test_a_classic_members_partitions(
    protocol_type: str, assigned: bytes, partitions: tuple[TopicPartition, ...]
) -> None:
    member = DescribedGroupMember(
        member_id="m", client_id="c", client_host="/h", member_metadata=b"", member_assignment=assigned
    )
    group = DescribedGroup(
        error_code=0,
        group_id="g",
        group_state="Stable",
        protocol_type=protocol_type,
        protocol_data="range",
        members=[member],
    )
    described = describe_classic(group, 1)
    assert isinstance(described, GroupDescription)
    (found,) = described.members
    assert (found.assignment, found.assigned) == (partitions, assigned)
