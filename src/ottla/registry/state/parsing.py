"""Schemas of requests and of the log, parsed together with what they refer to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from ottla.registry.state.errors import invalid_schema
from ottla.registry.state.records import Content, Reference
from ottla.registry.state.state import RegistryState, Version
from ottla.registry.state.subjects import beside
from ottla.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType

_MAX_REFERENCES: Final = 1_000
"""Of one schema, with those of what it refers to"""


class Parse(Protocol):
    """`schemas.parsing.parse`, which is loaded when it is first needed."""

    def __call__(
        self, kind: SchemaType, text: str, references: Mapping[str, str], *, new: bool
    ) -> ParsedSchema: ...


class Parsed(NamedTuple):
    schema: ParsedSchema
    references: tuple[Reference, ...]
    """With the versions that `LATEST` stood for"""


_Key: TypeAlias = tuple[SchemaType, str, tuple[tuple[str, str], ...], bool]


class Parser:
    """Remembers the schemas that it parsed last, up to so many characters of them."""

    def __init__(self, parse: Parse, remembered_chars: int) -> None:
        self._parse = parse
        self._max_chars = remembered_chars
        self._chars = 0
        self._known: OrderedDict[_Key, ParsedSchema] = OrderedDict()

    def parse(
        self, state: RegistryState, subject: str, kind: SchemaType, text: str, references: Sequence[Reference]
    ) -> Parsed:
        """A schema of a request, which can refer to nothing deleted. RegistryError for one that is none."""
        resolved, texts = _resolve(state, subject, references, deleted=False)
        return Parsed(self._known_or_new(kind, text, texts, new=True), resolved)

    def stored(self, state: RegistryState, version: Version) -> ParsedSchema:
        """One of the log."""
        kind, text, references, _, _ = version.content
        _, texts = _resolve(state, version.value.subject, references, deleted=True)
        return self._known_or_new(kind, text, texts, new=False)

    def _known_or_new(
        self, kind: SchemaType, text: str, texts: Mapping[str, str], *, new: bool
    ) -> ParsedSchema:
        key = kind, text, tuple(texts.items()), new
        found = self._known.get(key)
        if found is None:
            try:
                found = self._parse(kind, text, texts, new=new)
            except InvalidSchemaError as error:
                raise invalid_schema(f"Invalid schema of type {kind}, details: {error}") from None
            self._known[key] = found
            self._chars += _size(text, texts)
            while self._chars > self._max_chars and self._known:
                (_, old, old_texts, _), _ = self._known.popitem(last=False)
                self._chars -= _size(old, dict(old_texts))
        else:
            self._known.move_to_end(key)
        return found


def _size(text: str, texts: Mapping[str, str]) -> int:
    return len(text) + sum(map(len, texts.values()))


def content_of(parsed: Parsed, like: Content, *, normalize: bool) -> Content:
    """What is stored of a parsed schema, with the metadata and rules of `like`."""
    text = parsed.schema.normalised() if normalize else parsed.schema.text
    return Content(parsed.schema.kind, text, parsed.references, like.metadata, like.rules)


def _resolve(
    state: RegistryState, subject: str, references: Sequence[Reference], *, deleted: bool
) -> tuple[tuple[Reference, ...], dict[str, str]]:
    """The references with their versions, and the texts of all schemas behind them by name. What a schema
    itself names goes before what the named ones name.
    """
    resolved = []
    texts: dict[str, str] = {}
    level = [(subject, each) for each in references]
    is_first = True
    while level:
        below = []
        for parent, reference in level:
            wanted = beside(parent, reference.subject)
            found = state.version(wanted, reference.version, deleted=deleted) if reference.version else None
            if found is None:
                raise invalid_schema(
                    f'No schema reference found for subject "{wanted}" and version {reference.version}'
                )
            if is_first:
                resolved.append(reference._replace(version=found.value.version))
            if reference.name in texts:
                continue
            texts[reference.name] = found.content.text
            below += [(found.value.subject, each) for each in found.content.references]
            if len(texts) > _MAX_REFERENCES:
                raise invalid_schema(f"more than {_MAX_REFERENCES} references")
        level, is_first = below, False
    return tuple(resolved), texts
