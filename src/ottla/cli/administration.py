"""Our client inside a command: an event loop that runs only while a call is waited for."""

from __future__ import annotations

import asyncio

from ottla.client.admin.admin import Admin, AsyncAdmin
from ottla.client.net.cluster import Cluster
from ottla.client.settings import ClientSettings


class Administration:
    """A cluster and the admin calls on it, until it is closed."""

    def __init__(self, settings: ClientSettings) -> None:
        """Raises BrokerUnreachableError where no broker answers."""
        self._runner = asyncio.Runner()
        self._cluster = Cluster(settings)
        try:
            self._runner.run(self._cluster.start())
        except BaseException:
            self._runner.close()
            raise
        self.admin = Admin(AsyncAdmin(self._cluster), self._runner.run)

    def close(self) -> None:
        try:
            self._runner.run(self._cluster.close())
        finally:
            self._runner.close()
