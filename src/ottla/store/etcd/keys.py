"""A cluster's keys as etcd has them: in UTF-8, which keeps the order of code points, behind its prefix.

They begin with a slash, so that one cluster's prefix is never the beginning of another's keys.
"""

from __future__ import annotations

from ottla.store.interface import prefix_end


class Keys:
    """Those of one cluster."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._end = self._prefix + b"0"  # what follows a slash

    def full(self, key: str) -> bytes:
        return self._prefix + _encode(key)

    def own(self, full: bytes) -> str:
        """Raises ValueError for a key of somebody else."""
        if not full.startswith(self._prefix + b"/"):
            raise ValueError(f"{full!r} is no key of this cluster")
        return full[len(self._prefix) :].decode("utf-8", "surrogatepass")

    def bounds(self, prefix: str, after: str = "") -> tuple[bytes, bytes]:
        """The first key that begins with `prefix` and follows `after`, and the first behind all of them."""
        prefix = prefix or "/"
        end = prefix_end(prefix)
        last = self._end if end is None else self.full(end)
        first = self.full(prefix)
        return (max(first, self.full(after) + b"\0") if after else first), last


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
