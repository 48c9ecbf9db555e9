"""Whether this worker is alone or one of a group, as what runs work sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ottla.connect.worker.ids import ConnectorTaskId, Work


class Crew(Protocol):
    """What a membership tells."""

    def configured(self) -> Work:
        """All connectors and tasks of the cluster."""

    async def revoked(self, work: Work) -> None:
        """It is stopped when this returns."""

    async def assigned(self, work: Work, generation: int, *, leads: bool) -> None:
        """All that this worker is to run; what does not run yet is started."""


class Membership(Protocol):
    @property
    def is_leader(self) -> bool: ...

    @property
    def leader_url(self) -> str | None: ...

    @property
    def generation(self) -> int: ...

    @property
    def assignment(self) -> Work: ...

    @property
    def is_settled(self) -> bool:
        """Whether everybody knows what is whose."""

    def owner_url(self, subject: str | ConnectorTaskId) -> str | None:
        """For the leader."""

    def rejoin(self, reason: str) -> None:
        """What there is to be run has changed."""


class Alone:
    """A standalone worker leads, and has everything."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._assignment = Work()
        self._is_wanted = True
        self.on_rejoin: Callable[[], None] = lambda: None

    is_leader = True
    is_settled = True
    generation = 0

    @property
    def leader_url(self) -> str:
        return self._url

    @property
    def assignment(self) -> Work:
        return self._assignment

    def owner_url(self, subject: str | ConnectorTaskId) -> str | None:  # noqa: ARG002 - all is here
        return self._url

    def rejoin(self, reason: str) -> None:  # noqa: ARG002 - nobody is to be told
        self._is_wanted = True
        self.on_rejoin()

    async def rebalance(self, crew: Crew) -> None:
        """If what there is has changed."""
        if not self._is_wanted:
            return
        self._is_wanted = False
        wanted = crew.configured()
        gone = self._assignment.minus(wanted)
        if gone:
            await crew.revoked(gone)
        self._assignment = wanted
        await crew.assigned(wanted, 0, leads=True)
