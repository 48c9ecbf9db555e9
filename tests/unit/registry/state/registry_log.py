"""`_schemas` in memory: what is decided is appended, compacted, and read in any order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ottla.registry.state.parsing import Parser
from ottla.registry.state.records import Write
from ottla.registry.state.registration import Registered, Registration, SchemaRequest
from ottla.registry.state.state import RegistryState, Version
from ottla.schemas.parsing import parse
from ottla.schemas.schema import SchemaType


class LogRecord(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


def replayed(records: Iterable[LogRecord], *, in_order: bool = False) -> RegistryState:
    state = RegistryState(in_order=in_order)
    for offset, key, value in records:
        state.replay(key, value, offset, 1_000 + offset)
    return state


class RegistryLog:
    def __init__(self, default_level: str = "BACKWARD") -> None:
        self.records: list[LogRecord] = []
        self._level = default_level
        self._start()

    def _start(self) -> None:
        self.state = replayed(self.records, in_order=True)
        self.parser = Parser(parse, 1 << 20)
        self.registration = Registration(self.state, self.parser, self._level)

    def restart(self, *, compacted: bool = False) -> None:
        """Forget all but the records."""
        if compacted:
            self.records = self.compacted()
        self._start()

    def compacted(self, *, tombstones: bool = False) -> list[LogRecord]:
        last = {record.key: record for record in self.records}
        kept = [each for each in last.values() if tombstones or each.value is not None]
        return sorted(kept)

    def append(self, writes: Sequence[Write]) -> None:
        for key, value in self.state.encoded(writes):
            offset = self.records[-1].offset + 1 if self.records else 0
            self.records.append(LogRecord(offset, key, value))
            self.state.replay(key, value, offset, 1_000 + offset)

    def register(self, subject: str, text: str, *, force: bool = False, **more: object) -> Registered:
        request = SchemaRequest(text, SchemaType.AVRO, **more)  # type: ignore[arg-type]
        writes, answer = self.registration.register(subject, request, force=force)
        self.append(writes)
        return answer

    def lookup(self, subject: str, text: str, *, deleted: bool = False) -> Version | None:
        return self.registration.lookup(subject, SchemaRequest(text, SchemaType.AVRO), deleted=deleted)


def everything(state: RegistryState) -> dict[str, object]:
    """All that can be asked, but for the offsets that compaction changes nothing about."""
    subjects = state.subjects(deleted=True)
    contexts = sorted({":" + each[1:].partition(":")[0] for each in subjects if each.startswith(":.")})
    versions = {each: state.versions(each) for each in subjects}
    ids = sorted({each.value.id for found in versions.values() for each in found})
    return {
        "subjects": subjects,
        "live": state.subjects(),
        "versions": versions,
        "ids": {(context, id_): state.by_id(id_, context) for context in (".", *contexts) for id_ in ids},
        "referring": {
            each.key: state.referring_to(each.key, deleted=True)
            for found in versions.values()
            for each in found
        },
        "contexts": state.contexts(),
        "highest": {context: state.highest_id(context) for context in (".", *state.contexts())},
        "configs": {each: state.config(each) for each in (None, *subjects)},
        "modes": {each: state.mode(each) for each in (None, *subjects)},
    }
