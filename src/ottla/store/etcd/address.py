"""Where a cluster's metadata is: `etcd://HOST:PORT[,HOST:PORT ...]/CLUSTER`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_DEFAULT_PORT: Final = 2379
_ADDRESS: Final = re.compile(r"etcd://(?P<endpoints>[^/@]+)/(?P<cluster>[A-Za-z0-9._-]{1,100})/?")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")


class AddressError(ValueError):
    """No address of a metadata store; the text says what one looks like."""


class EtcdAddress(NamedTuple):
    """The members that may be asked, each HOST:PORT, and whose metadata it is."""

    endpoints: tuple[str, ...]
    cluster: str

    @property
    def prefix(self) -> str:
        """Of all keys of this cluster: an etcd may have several clusters, and other things, beside it."""
        return f"/ottla/{self.cluster}"


def parse_address(text: str) -> EtcdAddress:
    """Raises AddressError."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise AddressError(f"{text!r} is not etcd://HOST:PORT[,HOST:PORT ...]/CLUSTER")
    return EtcdAddress(tuple(map(_endpoint, found["endpoints"].split(","))), found["cluster"])


def _endpoint(text: str) -> str:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found["port"] or _DEFAULT_PORT) < 65_536:
        raise AddressError(f"{text!r} is no HOST:PORT of an etcd member")
    return text if found["port"] else f"{text}:{_DEFAULT_PORT}"
