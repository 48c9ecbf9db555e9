"""Versions of requests and responses that Kafka has and kio does not, in our own notation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ottla.protocol.schema import Message, field


class Addition(NamedTuple):
    """One more version of an API."""

    request: Message
    response: Message


ADDITIONS: Final[Mapping[int, Mapping[int, Addition]]] = {
    42: {
        3: Addition(
            Message("DeleteGroupsRequest", "3", flexible="2+", fields=(field("groups_names", "[]string"),)),
            Message(
                "DeleteGroupsResponse",
                "3",
                flexible="2+",
                fields=(
                    field("throttle_time_ms", "int32"),
                    field(
                        "results",
                        "[]struct",
                        fields=(
                            field("group_id", "string"),
                            field("error_code", "int16"),
                            field("error_message", "string", "3+", nullable="3+"),
                        ),
                    ),
                ),
            ),
        ),
    },
}
"""By API key and version."""
