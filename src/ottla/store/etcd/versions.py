"""Which servers are fit to hold a cluster's metadata."""

from __future__ import annotations

import re
from typing import Final

_OLDEST: Final = {(3, 5): (3, 5, 23), (3, 6): (3, 6, 5)}
"""Of each line that has faults: before these, a watch may lose events, leases be revoked wrongly, or
transactions be lost when a member is killed."""
_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(.*)")


def why_unfit(version: str) -> str | None:
    """What is wrong with a server of this version; None where nothing is known to be."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return f"it does not say its version, but {version[:40]!r}"
    number = int(found[1]), int(found[2]), int(found[3])
    oldest = _OLDEST.get(number[:2], min(_OLDEST.values()))
    if number < oldest:
        needed = ".".join(map(str, oldest))
        return f"it is etcd {version}, which loses data or events in ways that {needed} does not: update it"
    return None
