"""Decides on schemas: registering them, looking them up, judging whether they are compatible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ottla.http.fields import INT_MAX
from ottla.registry.state.errors import RegistryError, invalid_schema, not_permitted
from ottla.registry.state.metadata import (
    VERSION_PROPERTY,
    Metadata,
    RuleSet,
    merge_metadata,
    merge_rules,
)
from ottla.registry.state.parsing import Parsed, Parser, content_of
from ottla.registry.state.records import (
    IMPORTING,
    LATEST,
    READ_ONLY,
    Config,
    Content,
    ContextKey,
    Mode,
    Present,
    Reference,
    SchemaKey,
    SchemaValue,
    Write,
)
from ottla.registry.state.state import RegistryState, Version
from ottla.registry.state.subjects import DEFAULT_CONTEXT, Subject, context_of, parse_subject, prefix_of
from ottla.schemas.compatibility import CompatibilityLevel, check
from ottla.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType

NO_ID: Final = -1
_LOOKED_THROUGH: Final = 100
"""Versions that are parsed for a lookup, at most"""


@dataclass(frozen=True, slots=True)
class SchemaRequest:
    """A schema as a client sends it. Without a text: that of the latest version."""

    text: str
    kind: SchemaType
    references: tuple[Reference, ...] = ()
    metadata: Metadata | None = None
    rules: RuleSet | None = None
    version: int = 0
    """0 for the next one"""
    id: int = NO_ID
    normalize: bool = False


class Registered(NamedTuple):
    subject: str
    version: int
    id: int
    content: Content
    is_populated: bool = False
    """Whether it is more than was sent: the latest version or the config had something to add"""


class Decision(NamedTuple):
    """What to append, and what to answer once it is in the log. Nothing is appended for what is there."""

    writes: Sequence[Write]
    answer: Registered


class Registration:
    """Decisions from a state that does not change meanwhile."""

    def __init__(self, state: RegistryState, parser: Parser, default_level: str) -> None:
        self._state = state
        self._parser = parser
        self._default_level = default_level

    # Registering.

    def register(self, subject: str, request: SchemaRequest, *, force: bool = False) -> Decision:
        """RegistryError for what is invalid, incompatible or not permitted."""
        state, context = self._state, context_of(subject)
        mode = state.mode_in_scope(subject)
        _check_mode(subject, mode, request.id)
        versions = state.versions(subject)
        live = [each for each in versions if not each.deleted]
        latest = live[-1] if live else None
        next_version = max((each.value.version for each in versions), default=0) + 1
        config = state.config_in_scope(subject, self._default_level)
        asked = request
        if mode not in IMPORTING:
            request = _populated(request, config, latest, next_version)
        is_populated = request != asked
        parsed, content = self._parsed(subject, request, config, mode)
        known = None
        if request.version == 0:
            known = self._find(content, [each for each in live if request.id in (NO_ID, each.value.id)])
        if known is not None:
            value = known.value
            return Decision((), Registered(subject, value.version, value.id, value.content, is_populated))
        if mode not in IMPORTING and not force:
            self._check_compatible(subject, config, parsed.schema, content, live)
        version = request.version if request.version > 0 else next_version
        if version != next_version and mode not in IMPORTING:
            raise invalid_schema("Version is not one more than previous version")
        id_ = self._id(context, request, content)
        writes = []
        if context != DEFAULT_CONTEXT and not state.has_context(context):
            writes.append(Write(ContextKey(context), Present()))
        writes += [
            Write(each.key, None)
            for each in versions
            if each.deleted
            and each.value.id == id_
            and each.value.version < version
            and not state.referring_to(each.key, deleted=True)
        ]
        value = SchemaValue(subject, version, id_, content)
        writes.append(Write(SchemaKey(subject, version), value))
        return Decision(writes, Registered(subject, version, id_, content, is_populated))

    def _parsed(
        self, subject: str, request: SchemaRequest, config: Config, mode: Mode
    ) -> tuple[Parsed, Content]:
        if not request.text.strip():
            raise invalid_schema("Empty schema")
        parsed = self._parser.parse(self._state, subject, request.kind, request.text, request.references)
        like = Content(request.kind, request.text, (), request.metadata, request.rules)
        normalize = (request.normalize or bool(config.normalize)) and mode not in IMPORTING
        try:
            return parsed, content_of(parsed, like, normalize=normalize)
        except InvalidSchemaError as error:
            raise invalid_schema(str(error)) from None

    def _id(self, context: str, request: SchemaRequest, content: Content) -> int:
        known = self._state.by_content(content, context)
        if known and request.id in (NO_ID, known[0].value.id):
            return known[0].value.id
        if request.id == NO_ID:
            highest = self._state.highest_id(context)
            if highest >= INT_MAX:
                raise not_permitted(f"all ids of context {context} are taken")
            return highest + 1
        taken = self._state.by_id(request.id, context)
        if taken and taken[0].content != content:
            raise not_permitted(
                f"Overwrite new schema with id {request.id} in context {prefix_of(context)} is not permitted."
            )
        return request.id

    # Compatibility.

    def _check_compatible(
        self, subject: str, config: Config, schema: ParsedSchema, content: Content, live: Sequence[Version]
    ) -> None:
        reasons = self._incompatibilities(config, schema, content, live)
        if reasons:
            raise RegistryError(
                409,
                "Schema being registered is incompatible with an earlier schema for subject "
                f'"{subject}", details: [{", ".join(reasons)}]',
            )

    def incompatibilities(
        self, subject: str, request: SchemaRequest, versions: Sequence[Version]
    ) -> list[str]:
        """Why this could not follow these versions of the subject, the oldest first."""
        config = self._state.config_in_scope(subject, self._default_level)
        parsed, content = self._parsed(subject, request, config, self._state.mode_in_scope(subject))
        return self._incompatibilities(config, parsed.schema, content, versions)

    def _incompatibilities(
        self, config: Config, schema: ParsedSchema, content: Content, versions: Sequence[Version]
    ) -> list[str]:
        group = config.compatibility_group
        if group:
            wanted = _property(content, group)
            versions = [each for each in versions if _property(each.content, group) == wanted]
        level = CompatibilityLevel(config.compatibility_level or self._default_level)
        if level is CompatibilityLevel.NONE:
            return []
        if not level.transitive:
            versions = versions[-1:]
        existing = [self._parser.stored(self._state, each) for each in versions]
        try:
            refusal = check(level, schema, existing)
        except InvalidSchemaError as error:
            raise invalid_schema(str(error)) from None
        if refusal is None:
            return []
        last = versions[refusal.position]
        return [
            *map(str, refusal.reasons),
            f"{{oldSchemaVersion: {last.value.version}}}",
            f"{{oldSchema: '{last.content.text}'}}",
            f"{{validateFields: '{str(bool(config.validate_fields)).lower()}', compatibility: '{level}'}}",
        ]

    # Lookup.

    def lookup(self, subject: str, request: SchemaRequest, *, deleted: bool = False) -> Version | None:
        """The version of a subject that this schema is, in another context where the subject names none."""
        found = self._lookup(subject, request, deleted=deleted)
        context, name = parse_subject(subject)
        if found is not None or context != DEFAULT_CONTEXT:
            return found
        for other in self._state.contexts()[1:]:
            there = str(Subject(other, name))
            if not self._state.versions(there):
                continue
            found = self._lookup(there, request, deleted=deleted)
            if found is not None:
                return found
        return None

    def _lookup(self, subject: str, request: SchemaRequest, *, deleted: bool) -> Version | None:
        config = self._state.config_in_scope(subject, self._default_level)
        versions = [each for each in self._state.versions(subject) if deleted or not each.deleted]
        _, content = self._parsed(subject, request, config, self._state.mode_in_scope(subject))
        found = self._find(content, versions)
        latest = self._state.version(subject, LATEST)
        if found is not None or latest is None:
            return found
        populated = _with_contract(request, config, latest)
        content = content._replace(metadata=populated.metadata, rules=populated.rules)
        return self._find(content, versions)

    def _find(self, content: Content, versions: Sequence[Version]) -> Version | None:
        """The latest of these versions that is this schema."""
        for each in reversed(versions):
            if each.content == content:
                return each
        for each in reversed(versions):
            if _is_same(content, each):
                return each
        if content.kind is SchemaType.AVRO and not content.references:
            return self._written_out(content, versions[-_LOOKED_THROUGH:])
        return None

    def _written_out(self, content: Content, versions: Sequence[Version]) -> Version | None:
        """The version that this is with what it refers to written out, as Avro's clients send it."""
        for each in reversed(versions):
            alike = each.content.kind is content.kind and each.content[3:] == content[3:]
            if alike and each.content.references and self.formatted(each, "resolved") == content.text:
                return each
        return None

    def formatted(self, version: Version, form: str) -> str:
        """Its text as clients ask for it: `resolved`, `serialized`. RegistryError where it has none."""
        try:
            return self._parser.stored(self._state, version).formatted(form)
        except InvalidSchemaError as error:
            raise invalid_schema(str(error)) from None


def _is_same(new: Content, old: Version) -> bool:
    """Whether they differ in nothing but `confluent:version`, which only one of them has."""
    number, old_number = _property(new, VERSION_PROPERTY), _property(old.content, VERSION_PROPERTY)
    if (number is None) == (old_number is None) or (number is not None and number != str(old.value.version)):
        return False
    return _without_version(new) == _without_version(old.content)


def _without_version(content: Content) -> Content:
    metadata = content.metadata or Metadata()
    properties = tuple(each for each in metadata.properties if each[0] != VERSION_PROPERTY)
    return content._replace(metadata=replace(metadata, properties=properties))


def _property(content: Content, name: str) -> str | None:
    return None if content.metadata is None else dict(content.metadata.properties).get(name)


def _populated(
    request: SchemaRequest, config: Config, latest: Version | None, next_version: int
) -> SchemaRequest:
    """With what the latest version and the config say where the request says nothing."""
    if not request.text.strip() and latest is not None:
        kind, text, references, _, _ = latest.content
        request = replace(request, kind=kind, text=text, references=references)
    request = _with_contract(request, config, latest)
    metadata = request.metadata
    has_number = metadata is not None and VERSION_PROPERTY in dict(metadata.properties)
    if request.version != 0 or has_number:
        metadata = (metadata or Metadata()).with_property(VERSION_PROPERTY, str(next_version))
    return replace(request, metadata=metadata)


def _with_contract(request: SchemaRequest, config: Config, latest: Version | None) -> SchemaRequest:
    metadata, rules = request.metadata, request.rules
    if latest is not None:
        metadata = latest.content.metadata if metadata is None else metadata
        rules = latest.content.rules if rules is None else rules
    return replace(
        request,
        metadata=merge_metadata(merge_metadata(config.default_metadata, metadata), config.override_metadata),
        rules=merge_rules(merge_rules(config.default_rules, rules), config.override_rules),
    )


def _check_mode(subject: str, mode: Mode, id_: int) -> None:
    where = f"Subject {subject} in context {prefix_of(context_of(subject))}"
    if mode in READ_ONLY:
        raise not_permitted(f"{where} is in read-only mode")
    if id_ != NO_ID and mode not in IMPORTING:
        raise not_permitted(f"{where} is not in import mode")
    if id_ == NO_ID and mode is not Mode.READWRITE:
        raise not_permitted(f"{where} is not in read-write mode")
