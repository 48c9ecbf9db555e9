"""An application has its group moved, and its internal topics and state deleted (Kafka: StreamsResetter)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ottla.cli.connection import CommandError, check_each

if TYPE_CHECKING:
    from ottla.client.admin.admin import Admin
    from ottla.client.admin.group_descriptions import MemberDescription

_INTERNAL = re.compile(
    r"(.+-(changelog|repartition))"
    r"|(.*KTABLE-FK-JOIN-SUBSCRIPTION-(REGISTRATION|RESPONSE)-\d+-topic)"
)
"""What comes behind the application's id in the names of its topics."""
_SHOWN_MEMBERS = 5


def is_internal(topic: str, application_id: str) -> bool:
    """Whether a topic is named as the application's own are; those of one whose id goes on with `-` are named
    so, too."""
    prefix = f"{application_id}-"
    return topic.startswith(prefix) and _INTERNAL.fullmatch(topic.removeprefix(prefix)) is not None


def internal_topics(admin: Admin, application_id: str, only: Sequence[str]) -> list[str]:
    """Those that there are, or of these the ones that were named. CommandError for one that is none."""
    found = [each.name for each in admin.topics.list() if is_internal(each.name, application_id)]
    for topic in only:
        if topic not in found:
            raise CommandError(
                f"{topic} is no internal topic of {application_id}, which has {_listed(found)}"
            )
    return sorted(only or found)


def refuse_while_active(admin: Admin, application_id: str, *, removes: bool) -> None:
    """CommandError where the application has members, unless they are to be removed from the group."""
    members = members_of(admin, application_id)
    if not members:
        return
    if not removes:
        shown = ", ".join(f"{each.client_id} at {each.host.lstrip('/')}" for each in members[:_SHOWN_MEMBERS])
        more = "" if len(members) <= _SHOWN_MEMBERS else f" and {len(members) - _SHOWN_MEMBERS} more"
        raise CommandError(
            f"{application_id} has active members ({shown}{more}): stop all instances first, or remove those"
            " that are gone and time out only later with --force"
        )
    from ottla.client.admin.groups import MemberToRemove

    leaving = [
        MemberToRemove(group_instance_id=each.group_instance_id)
        if each.group_instance_id is not None
        else MemberToRemove(member_id=each.member_id)
        for each in members
    ]
    check_each(admin.groups.remove_members(application_id, leaving, reason="application reset"))


def members_of(admin: Admin, application_id: str) -> Sequence[MemberDescription]:
    """None where there is no such group."""
    from ottla.protocol.errors import ErrorCode

    result = admin.groups.describe([application_id])
    if any(error.code == ErrorCode.group_id_not_found for error in result.errors.values()):
        return ()
    (described,) = check_each(result).values()
    if described.protocol_type not in ("", "consumer"):
        raise CommandError(
            f"{application_id} is a group of the protocol {described.protocol_type!r}, no application"
        )
    return described.members


def delete_topics(admin: Admin, topics: Sequence[str]) -> None:
    if topics:
        check_each(admin.topics.delete(topics))


def state_folder(state_dir: Path, application_id: str) -> Path:
    """Where this host's state would be. CommandError where the id is no folder's name."""
    from ottla.streams.errors import StateStoreError
    from ottla.streams.runtime.state_directory import folder_of

    try:
        return folder_of(state_dir, application_id)
    except StateStoreError as error:
        raise CommandError(str(error)) from error


def delete_state(state_dir: Path, application_id: str) -> None:
    """What this host has. CommandError where an instance uses it, or it is none."""
    from ottla.streams.errors import StateStoreError
    from ottla.streams.runtime.state_directory import forget

    try:
        forget(state_dir, application_id)
    except StateStoreError as error:
        raise CommandError(str(error)) from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)) or "none"
