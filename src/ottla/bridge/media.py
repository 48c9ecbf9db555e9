"""Media types of the bridge: what an answer is, and how keys and values are embedded in it."""

from __future__ import annotations

import enum
from typing import Final

from ottla.http.app import Dialect, Request
from ottla.http.errors import HttpError

V2: Final = "application/vnd.kafka.v2+json"
JSON: Final = "application/json"


class Format(enum.Enum):
    """How keys and values stand in JSON: as such, as text, or as Base64 of any bytes."""

    JSON = "json"
    TEXT = "text"
    BINARY = "binary"

    @property
    def media_type(self) -> str:
        return f"application/vnd.kafka.{self.value}.v2+json"


_EMBEDDED: Final = {each.media_type: each for each in Format}
DIALECT: Final = Dialect((V2, JSON, *_EMBEDDED), (V2, JSON, *_EMBEDDED), "bridge")


def given_format(request: Request) -> Format:
    """That of the records in its body, binary where it is silent. HttpError for another type's."""
    given = request.headers.get("content-type", Format.BINARY.media_type).partition(";")[0].strip().lower()
    found = _EMBEDDED.get(given)
    if found is None:
        raise HttpError(
            415, f"Records are sent as one of {', '.join(_EMBEDDED)} (Content-Type), not as {given[:100]}"
        )
    return found


def check_plain(request: Request) -> None:
    """That its body is no list of records. HttpError."""
    given = request.headers.get("content-type", V2).partition(";")[0].strip().lower()
    if given in _EMBEDDED and given != Format.JSON.media_type:
        raise HttpError(415, f"The body has to be {V2} (Content-Type), not {given[:100]}")


def accepts(request: Request, format_: Format) -> bool:
    """Whether it names the format's own media type."""
    accepted = (
        part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")
    )
    return format_.media_type in accepted
