"""What a request to restart a connector means (KIP-745). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ottla.connect.worker.configs import RestartRequest
from ottla.connect.worker.ids import ConnectorTaskId
from ottla.connect.worker.statuses import State, Status


class RestartPlan(NamedTuple):
    request: RestartRequest
    restarts_connector: bool
    tasks: tuple[ConnectorTaskId, ...]
    """To be restarted"""

    def shown(self, connector: Status, tasks: Mapping[int, Status]) -> tuple[Status, dict[int, Status]]:
        """What is answered: what is to be restarted as RESTARTING, all else as it is."""
        restarting = {each.task for each in self.tasks}
        return (
            _restarting(connector) if self.restarts_connector else connector,
            {number: _restarting(each) if number in restarting else each for number, each in tasks.items()},
        )


def _restarting(status: Status) -> Status:
    return status._replace(state=State.RESTARTING, trace=None)


def plan_restart(
    request: RestartRequest, connector: Status | None, tasks: Mapping[int, Status]
) -> RestartPlan | None:
    """None where no status of the connector is known."""
    if connector is None:
        return None

    def wanted(status: Status) -> bool:
        return not request.only_failed or status.state is State.FAILED

    chosen = (
        ConnectorTaskId(request.connector, number)
        for number, status in sorted(tasks.items())
        if request.include_tasks and wanted(status)
    )
    return RestartPlan(request, wanted(connector), tuple(chosen))
