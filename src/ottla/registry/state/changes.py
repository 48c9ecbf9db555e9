"""Decides on what is not a schema: deleting, config, mode, contexts. Each gives the records to append."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ottla.registry.state.errors import (
    RegistryError,
    not_permitted,
    reference_exists,
    subject_not_found,
    version_not_found,
)
from ottla.registry.state.records import (
    CONFIG_NAMES,
    READ_ONLY,
    ClearSubjectKey,
    Config,
    ConfigKey,
    ContextKey,
    DeleteSubjectKey,
    HighestId,
    Mode,
    ModeKey,
    NoopKey,
    Present,
    UpTo,
    Write,
)
from ottla.registry.state.state import RegistryState, Version
from ottla.registry.state.subjects import (
    DEFAULT_CONTEXT,
    context_not_empty,
    context_of,
    is_in,
    parse_subject,
    prefix_of,
)


class Deletion(NamedTuple):
    writes: Sequence[Write]
    versions: list[int]
    """What is deleted by it"""


def delete_version(state: RegistryState, subject: str, number: int, *, permanent: bool) -> Deletion:
    """One version, or `LATEST`. RegistryError where there is none or others refer to it."""
    version = state.version(subject, number, deleted=True)
    if version is None:
        raise (
            version_not_found(number)
            if state.has_subjects(subject, deleted=True)
            else subject_not_found(subject)
        )
    number = version.value.version
    if version.deleted and not permanent:
        raise RegistryError(
            40406,
            f"Subject '{subject}' Version {number} was soft deleted.Set permanent=true to delete permanently",
        )
    _check_writable(state, subject)
    if state.referring_to(version.key, deleted=permanent):
        raise reference_exists(subject, number)
    if not permanent:
        return Deletion([Write(version.key, replace(version.value, deleted=True))], [number])
    if not version.deleted:
        raise RegistryError(
            40407,
            f"Subject '{subject}' Version {number} was not deleted first before being permanently deleted",
        )
    is_last = len(state.versions(subject)) == 1
    return Deletion([*_removal(state, subject, [version], whole=is_last)], [number])


def delete_subject(state: RegistryState, subject: str, *, permanent: bool) -> Deletion:
    """All of its versions. RegistryError where there are none or other subjects refer to them."""
    versions = state.versions(subject)
    if not versions:
        raise subject_not_found(subject)
    live = [each for each in versions if not each.deleted]
    if not live and not permanent:
        raise RegistryError(
            40404, f"Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"
        )
    _check_writable(state, subject)
    for each in versions if permanent else live:
        if any(other.value.subject != subject for other in state.referring_to(each.key, deleted=permanent)):
            raise reference_exists(subject, each.value.version)
    if permanent:
        if live:
            raise RegistryError(
                40405, f"Subject '{subject}' was not deleted first before being permanently deleted"
            )
        writes = [*_removal(state, subject, versions, whole=True)]
        return Deletion(writes, [each.value.version for each in versions])
    # Up to the last of all versions: what was deleted before must not come back with a lower bound.
    up_to = UpTo(versions[-1].value.version)
    return Deletion([Write(DeleteSubjectKey(subject), up_to)], [each.value.version for each in live])


def _removal(
    state: RegistryState, subject: str, versions: Sequence[Version], *, whole: bool
) -> Iterator[Write]:
    """Takes the last traces away, but for how high ids were."""
    yield from _keep_highest_id(state, context_of(subject))
    for each in reversed(versions):
        yield Write(each.key, None)
    if whole:
        if state.mode(subject) is not None:
            yield Write(ModeKey(subject), None)
        if state.config(subject) is not None:
            yield Write(ConfigKey(subject), None)


def _keep_highest_id(state: RegistryState, context: str) -> Iterator[Write]:
    """An id that is taken away with its schema is given to no other."""
    highest = state.highest_id(context)
    if highest > state.recorded_id(context):
        yield Write(NoopKey(context), HighestId(highest))


def _check_writable(state: RegistryState, subject: str | None) -> None:
    if state.mode_in_scope(subject) in READ_ONLY:
        context = prefix_of(context_of(subject or ""))
        raise not_permitted(f"Subject {subject} in context {context} is in read-only mode")


# Config and mode.


def update_config(
    state: RegistryState, subject: str | None, given: Config, names: Sequence[str]
) -> tuple[Sequence[Write], Config]:
    """What the request names (by fields of `Config`) is replaced, be it by nothing."""
    _check_writable(state, subject)
    before = state.config(subject) or Config()
    changed = replace(before, **{name: getattr(given, name) for name in CONFIG_NAMES if name in names})
    return [Write(ConfigKey(subject), changed)], changed


def delete_config(state: RegistryState, subject: str | None) -> Sequence[Write]:
    if subject is not None and state.config(subject) is None:
        raise subject_not_found(subject)
    _check_writable(state, subject)
    return [Write(ConfigKey(subject), None)]


def set_mode(state: RegistryState, subject: str | None, mode: Mode | None, *, force: bool) -> Sequence[Write]:
    """An import begins with nothing: what is there must have been deleted, and is then gone for good, unless
    `force` lets it be.
    """
    writes: list[Write] = []
    if mode is Mode.IMPORT and state.mode_in_scope(subject) is not Mode.IMPORT and not force:
        if state.has_subjects(subject):
            raise not_permitted("Cannot import since found existing subjects")
        contexts: dict[str, None] = {}
        for name in state.subjects(deleted=True):
            if not is_in(name, subject):
                continue
            for each in state.versions(name):
                if state.referring_to(each.key, deleted=True):
                    raise reference_exists(name, each.value.version)
                writes.append(Write(each.key, None))
            contexts[context_of(name)] = None
        for context in contexts:
            writes += _keep_highest_id(state, context)
        writes.append(Write(ClearSubjectKey(subject), Present()))
    writes.append(Write(ModeKey(subject), mode))
    return writes


def delete_mode(state: RegistryState, subject: str | None, *, recursive: bool) -> Sequence[Write]:
    """`recursive`: of the subjects in a context, too."""
    if state.mode(subject) is None and subject is not None and not recursive:
        raise subject_not_found(subject)
    writes = [Write(ModeKey(subject), None)]
    if recursive and not parse_subject(subject or "").name:
        context = context_of(subject or "")
        writes += [
            Write(ModeKey(each), None)
            for each in state.subjects_with_mode()
            if each != subject and context_of(each) == context
        ]
    return writes


def delete_context(state: RegistryState, context: str) -> Sequence[Write]:
    if state.has_subjects(prefix_of(context) or "", deleted=True):
        raise context_not_empty(context)
    return [Write(ContextKey(context), None)] if context != DEFAULT_CONTEXT else []
