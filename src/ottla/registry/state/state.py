"""The registry's memory: what the records of `_schemas` say, found by what the API asks for.

It is a function of the last record of each key and its offset, and of nothing else: neither of the order in
which records are read, nor of records that compaction has taken away. So a SCHEMA record is deleted by a
DELETE_SUBJECT record with a higher offset whenever that is read, and none with a lower one; a CLEAR_SUBJECT
record hides all before it. An id that stands for two schemas, which only another registry can have written,
means the one with the lower offset.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeVar

from ottla.http.fields import FieldError
from ottla.registry.state.records import (
    LATEST,
    ClearSubjectKey,
    Config,
    ConfigKey,
    Content,
    ContextKey,
    DeleteSubjectKey,
    HighestId,
    Key,
    Mode,
    ModeKey,
    NoopKey,
    Present,
    SchemaKey,
    SchemaValue,
    UpTo,
    Value,
    Write,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from ottla.registry.state.subjects import (
    DEFAULT_CONTEXT,
    GLOBAL_CONTEXT,
    beside,
    context_of,
    is_in,
    parse_subject,
    prefix_of,
)

K = TypeVar("K")
T = TypeVar("T")

_log: Final = logging.getLogger(__name__)


class Version(NamedTuple):
    """A version of a subject as it is now."""

    value: SchemaValue
    offset: int
    timestamp: int
    """Milliseconds since the epoch"""
    deleted: bool

    @property
    def key(self) -> SchemaKey:
        return SchemaKey(self.value.subject, self.value.version)

    @property
    def content(self) -> Content:
        return self.value.content


@dataclass(slots=True)
class _Stored:
    value: SchemaValue
    offset: int
    timestamp: int


@dataclass(slots=True)
class _Subject:
    versions: dict[int, _Stored] = field(default_factory=dict)
    deleted_at: int = -1
    """The offset of its DELETE_SUBJECT record"""
    deleted_up_to: int = 0

    def get(self, version: int) -> Version | None:
        stored = self.versions.get(version)
        if stored is None:
            return None
        return Version(stored.value, stored.offset, stored.timestamp, self.is_deleted(stored))

    def is_deleted(self, stored: _Stored) -> bool:
        value = stored.value
        return value.deleted or (stored.offset < self.deleted_at and value.version <= self.deleted_up_to)

    def has(self, *, deleted: bool, live: bool) -> bool:
        """Any version that is the one or the other."""
        return any(deleted if self.is_deleted(each) else live for each in self.versions.values())


@dataclass(slots=True)
class _Context:
    ids: dict[int, dict[SchemaKey, _Stored]] = field(default_factory=dict)
    contents: dict[Content, dict[SchemaKey, _Stored]] = field(default_factory=dict)
    guids: dict[str, dict[SchemaKey, _Stored]] = field(default_factory=dict)
    highest_id: int = 0
    """Of those that any schema has had, as far as the log tells"""
    recorded_id: int = 0
    """What a record says of it by itself"""


class RegistryState:
    """`in_order`: records come as they are in the log, so that nothing need be remembered of what is gone."""

    def __init__(self, *, in_order: bool = False) -> None:
        self._offsets: dict[Key, int] | None = None if in_order else {}
        """The last record of each key, also where that took it back"""
        self._last_offset = -1
        self._subjects: dict[str, _Subject] = {}
        self._contexts: dict[str, _Context] = {}
        self._named_contexts: dict[str, Present] = {}
        self._configs: dict[str | None, Config] = {}
        self._modes: dict[str | None, Mode] = {}
        self._cleared: dict[str | None, int] = {}
        self._referring: dict[SchemaKey, dict[SchemaKey, None]] = {}
        self._foreign_keys: dict[Key, dict[bytes, None]] = {}

    # Records.

    def replay(self, key_data: bytes | None, value_data: bytes | None, offset: int, timestamp: int) -> None:
        """Take in a record. One that makes no sense is logged and passed over, as by Confluent's registry."""
        if key_data is None:
            return
        try:
            key = decode_key(key_data)
            if key is None:
                return
            value = None if value_data is None else decode_value(key, value_data)
        except FieldError as error:
            _log.warning("the record at offset %d is passed over: %s", offset, error)
            return
        if key_data != encode_key(key):
            self._foreign_keys.setdefault(key, {})[key_data] = None
        self.apply(key, value, offset, timestamp)

    def apply(self, key: Key, value: Value | None, offset: int, timestamp: int) -> None:
        if offset <= (self._last_offset if self._offsets is None else self._offsets.get(key, -1)):
            return
        self._last_offset = offset
        if self._offsets is not None:
            self._offsets[key] = offset
        match key:
            case SchemaKey():
                self._put(key, value if isinstance(value, SchemaValue) else None, offset, timestamp)
            case ConfigKey(subject):
                _set(self._configs, subject, value if isinstance(value, Config) else None)
            case ModeKey(subject):
                _set(self._modes, subject, value if isinstance(value, Mode) else None)
            case DeleteSubjectKey(subject):
                if subject in self._subjects or self._offsets is not None:
                    each = self._subjects.setdefault(subject, _Subject())
                    each.deleted_at = offset
                    each.deleted_up_to = value.version if isinstance(value, UpTo) else 0
            case ClearSubjectKey(subject):
                _set(self._cleared, subject, None if value is None else offset)
                self._clear()
            case ContextKey(context):
                _set(self._named_contexts, context, None if value is None else Present())
            case NoopKey(context):
                if context is not None and isinstance(value, HighestId):
                    known = self._context(context)
                    known.recorded_id = value.id
                    known.highest_id = max(known.highest_id, value.id)

    def encoded(self, writes: Iterable[Write]) -> Iterator[tuple[bytes, bytes | None]]:
        """The records as bytes. A key that is in the log in other bytes too, as older registries wrote it, is
        taken back in these: compaction would keep it beside.
        """
        for key, value in writes:
            yield encode_key(key), None if value is None else encode_value(key, value)
            for other in self._foreign_keys.get(key, ()):
                yield other, None

    def _put(self, key: SchemaKey, value: SchemaValue | None, offset: int, timestamp: int) -> None:
        subject = self._subjects.setdefault(key.subject, _Subject())
        before = subject.versions.pop(key.version, None)
        if before is not None:
            self._unlink(key, before)
        if value is None:
            if not subject.versions and self._offsets is None:
                del self._subjects[key.subject]
            return
        context = self._context(context_of(key.subject))
        context.highest_id = max(context.highest_id, value.id)
        if any(offset < at and is_in(key.subject, scope) for scope, at in self._cleared.items()):
            return
        stored = _Stored(value, offset, timestamp)
        subject.versions[key.version] = stored
        content = value.content
        context.ids.setdefault(value.id, {})[key] = stored
        context.contents.setdefault(content, {})[key] = stored
        context.guids.setdefault(content.guid, {})[key] = stored
        for reference in content.references:
            to = SchemaKey(beside(key.subject, reference.subject), reference.version)
            self._referring.setdefault(to, {})[key] = None

    def _unlink(self, key: SchemaKey, stored: _Stored) -> None:
        context = self._context(context_of(key.subject))
        content = stored.value.content
        _drop(context.ids, stored.value.id, key)
        _drop(context.contents, content, key)
        _drop(context.guids, content.guid, key)
        for reference in content.references:
            _drop(self._referring, SchemaKey(beside(key.subject, reference.subject), reference.version), key)

    def _clear(self) -> None:
        for name, subject in self._subjects.items():
            for scope, at in self._cleared.items():
                if not is_in(name, scope):
                    continue
                for version, stored in tuple(subject.versions.items()):
                    if stored.offset < at:
                        del subject.versions[version]
                        self._unlink(SchemaKey(name, version), stored)

    def _context(self, name: str) -> _Context:
        return self._contexts.setdefault(name, _Context())

    # Subjects and versions.

    def subjects(self, *, deleted: bool = False, live: bool = True) -> list[str]:
        """Those with a version that is `live`, or `deleted`, in the order of their names."""
        return sorted(
            name for name, subject in self._subjects.items() if subject.has(deleted=deleted, live=live)
        )

    def has_subjects(self, scope: str | None, *, deleted: bool = False) -> bool:
        """Whether a subject, or a context, has any version that counts."""
        if scope is not None and parse_subject(scope).name:
            return scope in self._subjects and self._subjects[scope].has(deleted=deleted, live=True)
        return any(
            subject.has(deleted=deleted, live=True)
            for name, subject in self._subjects.items()
            if is_in(name, scope)
        )

    def versions(self, subject: str) -> list[Version]:
        """All of them, deleted ones too, the oldest first."""
        known = self._subjects.get(subject)
        if known is None:
            return []
        return [found for number in sorted(known.versions) if (found := known.get(number)) is not None]

    def count_of_versions(self, subject: str) -> int:
        """Deleted ones too."""
        return len(self._subjects[subject].versions) if subject in self._subjects else 0

    def count_of_subjects(self) -> int:
        return len(self._subjects)

    def count_of_settings(self) -> int:
        """Subjects and contexts with a config, and those with a mode."""
        return len(self._configs) + len(self._modes)

    def live_versions(self, subject: str) -> list[Version]:
        return [each for each in self.versions(subject) if not each.deleted]

    def version(self, subject: str, number: int, *, deleted: bool = False) -> Version | None:
        """Or `LATEST`."""
        if number == LATEST:
            return next(reversed(self.live_versions(subject)), None)
        known = self._subjects.get(subject)
        found = None if known is None else known.get(number)
        return found if found is None or deleted or not found.deleted else None

    # Schemas.

    def by_id(self, id_: int, context: str) -> list[Version]:
        """The versions with this id and what it stands for, that which was registered first at the front."""
        return self._same(self._contexts.get(context, _Context()).ids.get(id_, {}))

    def by_content(self, content: Content, context: str) -> list[Version]:
        """The versions with this content and the id that it has here, the lowest if there are several."""
        found = self._contexts.get(context, _Context()).contents.get(content, {})
        id_ = min((each.value.id for each in found.values()), default=0)
        return self._resolved(key for key, each in found.items() if each.value.id == id_)

    def by_guid(self, guid: str, context: str) -> list[Version]:
        return self._resolved(self._contexts.get(context, _Context()).guids.get(guid, {}))

    def referring_to(self, key: SchemaKey, *, deleted: bool = False) -> list[Version]:
        """The versions that refer to one."""
        found = self._resolved(self._referring.get(key, {}))
        return [each for each in found if deleted or not each.deleted]

    def highest_id(self, context: str) -> int:
        return self._contexts[context].highest_id if context in self._contexts else 0

    def recorded_id(self, context: str) -> int:
        return self._contexts[context].recorded_id if context in self._contexts else 0

    def _same(self, found: dict[SchemaKey, _Stored]) -> list[Version]:
        """Those with the content of the first."""
        if not found:
            return []
        first = min(found.values(), key=lambda each: each.offset)
        content = first.value.content
        return self._resolved(key for key, each in found.items() if each.value.content == content)

    def _resolved(self, keys: Iterable[SchemaKey]) -> list[Version]:
        versions = (self._subjects[key.subject].get(key.version) for key in keys)
        return sorted((each for each in versions if each is not None), key=lambda each: each.offset)

    # Contexts, config, mode.

    def contexts(self) -> list[str]:
        return [DEFAULT_CONTEXT, *sorted(name for name in self._named_contexts if name != DEFAULT_CONTEXT)]

    def has_context(self, context: str) -> bool:
        return context in self._named_contexts

    def config(self, subject: str | None) -> Config | None:
        """What is set for exactly this; None for all subjects."""
        return self._configs.get(subject)

    def config_in_scope(self, subject: str | None, default_level: str) -> Config:
        """What applies to it: its own with what the global one adds, or else that of its context, or the
        global one. Where none says a level, it is the server's.
        """
        default = Config(compatibility_level=default_level)
        found = next((self._configs[each] for each in _scopes(subject) if each in self._configs), default)
        if subject in self._configs:
            found = found.below(self._configs.get(None, default))
        return found if found.compatibility_level else replace(found, compatibility_level=default_level)

    def mode(self, subject: str | None) -> Mode | None:
        return self._modes.get(subject)

    def mode_in_scope(self, subject: str | None) -> Mode:
        for scope in _scopes(subject):
            if scope in self._modes:
                return self._modes[scope]
        return Mode.READWRITE

    def subjects_with_mode(self) -> list[str]:
        return sorted(each for each in self._modes if each is not None)


def _scopes(subject: str | None) -> Iterator[str | None]:
    """Where a setting of a subject is looked for, the nearest first."""
    if subject is not None:
        yield subject
        context = context_of(subject)
        if context != DEFAULT_CONTEXT:
            yield prefix_of(context)
        else:
            yield None
    else:
        yield None
    yield prefix_of(GLOBAL_CONTEXT)


def _set(where: dict[K, T], name: K, value: T | None) -> None:
    if value is None:
        where.pop(name, None)
    else:
        where[name] = value


def _drop(index: dict[K, dict[SchemaKey, T]], at: K, key: SchemaKey) -> None:
    found = index.get(at)
    if found is not None:
        found.pop(key, None)
        if not found:
            del index[at]
