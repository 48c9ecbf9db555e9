"""The groups of streams applications: which there are, who does what task, and how far it is behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from ottla.cli.connection import CommandError, check_each
from ottla.cli.offsets import Partition, log_ranges

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.group_descriptions import GroupDescription, MemberDescription
    from ottla.client.admin.group_offsets import CommittedOffset
    from ottla.streams.runtime.protocol import TaskId

_KINDS: Final = {"ottla-streams": "ottla", "stream": "java"}
"""Whose members agree on which assignor."""


def applications(admin: Admin) -> list[dict[str, Any]]:
    """All that there are. One without members is known by what its tasks commit."""
    listed = admin.groups.list()
    listed.check()
    names = [
        each.group_id
        for groups in listed.values()
        for each in groups
        if each.protocol_type in ("", "consumer") and each.type in ("", "classic")
    ]
    described = admin.groups.describe(names).succeeded if names else {}
    quiet = [name for name, each in described.items() if not each.members]
    offsets = admin.group_offsets.list(quiet).succeeded if quiet else {}
    rows = []
    for name, each in sorted(described.items()):
        kind = _KINDS.get(each.assignor)
        if kind is not None or (name in offsets and _is_of_tasks(offsets[name].succeeded.values())):
            row = {"application": name, "state": each.state.lower(), "members": len(each.members)}
            rows.append({**row, "kind": kind})
    return rows


def description(admin: Admin, name: str) -> dict[str, Any]:
    """One application: its tasks, each with its lag. CommandError where there is none such."""
    from ottla.protocol.errors import ErrorCode

    result = admin.groups.describe([name])
    if any(error.code == ErrorCode.group_id_not_found for error in result.errors.values()):
        raise CommandError(f"{name}: there is no such application")
    (group,) = check_each(result).values()
    (listed,) = check_each(admin.group_offsets.list([name])).values()
    found = {where: each for where, each in listed.succeeded.items() if each is not None}
    if _KINDS.get(group.assignor) is None and not _is_of_tasks(found.values()):
        raise CommandError(f"{name} is a group of consumers: see ottla group describe {name}")
    committed: dict[Partition, int] = {where: each.offset for where, each in found.items()}
    tasks = list(_tasks(group))
    assigned = {where for task in tasks for where in task["partitions"]}
    left = sorted(committed.keys() - assigned)
    if left:
        tasks.append({"task": None, "role": "unassigned", "member": None, "client": None, "partitions": left})
    lags = _lags(admin, committed, sorted(assigned | set(left)))
    for task in tasks:
        known = [lag for where in task["partitions"] if (lag := lags.get(where)) is not None]
        task["lag"] = sum(known) if known else None
        task["partitions"] = [f"{topic}-{number}" for topic, number in task["partitions"]]
    return {
        "application": name,
        "state": group.state.lower(),
        "kind": _KINDS.get(group.assignor),
        "coordinator": group.coordinator,
        "members": len(group.members),
        "lag": sum(task["lag"] or 0 for task in tasks),
        "tasks": tasks,
    }


def _tasks(group: GroupDescription) -> Iterator[dict[str, Any]]:
    rows = [row for member in group.members for row in _tasks_of(member)]
    for _, row in sorted(rows, key=lambda row: (row[0], row[1]["role"], row[1]["member"])):
        yield row


def _tasks_of(member: MemberDescription) -> Iterator[tuple[TaskId, dict[str, Any]]]:
    from ottla.client.core.groups.subscription import decode_assignment_with_data
    from ottla.protocol.errors import DecodeError
    from ottla.streams.errors import StreamsError
    from ottla.streams.runtime.protocol import decode_assignment

    try:
        partitions, data = decode_assignment_with_data(member.assigned)
        info = decode_assignment(data) if data else None
    except (DecodeError, StreamsError):
        return
    if info is None:
        return
    reads: dict[TaskId, list[Partition]] = {}
    for task, partition in zip(info.active, sorted(partitions), strict=False):
        reads.setdefault(task, []).append(partition)
    for task, read in reads.items():
        yield task, _row(task, "active", member, read)
    for task in info.standby:
        yield task, _row(task, "standby", member, [])


def _row(task: TaskId, role: str, member: MemberDescription, partitions: list[Partition]) -> dict[str, Any]:
    return {
        "task": str(task),
        "role": role,
        "member": member.member_id,
        "client": f"{member.client_id} at {member.host.lstrip('/')}",
        "partitions": partitions,
    }


def _lags(
    admin: Admin, committed: dict[Partition, int], partitions: Sequence[Partition]
) -> dict[Partition, int | None]:
    """How many records each has that are not processed: all, where nothing is committed."""
    described = admin.topics.describe(sorted({topic for topic, _ in partitions})).succeeded
    led = {
        (str(name), each.partition)
        for name, topic in described.items()
        for each in topic.partitions
        if each.leader is not None
    }
    ranges = log_ranges(admin, [where for where in partitions if where in led])
    return {
        where: max(latest - committed.get(where, earliest), 0) for where, (earliest, latest) in ranges.items()
    }


def _is_of_tasks(committed: Any) -> bool:
    """Whether offsets have the notes that tasks commit with them."""
    from ottla.streams.runtime.work import is_of_task

    notes: list[CommittedOffset | None] = list(committed)
    return any(each is not None and is_of_task(each.metadata) for each in notes)
