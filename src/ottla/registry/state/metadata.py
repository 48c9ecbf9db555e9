"""What a data contract adds to a schema: metadata and rules. They are kept, merged and given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ottla.http.fields import FieldError, Fields
from ottla.registry.state.errors import RegistryError

VERSION_PROPERTY: Final = "confluent:version"
MAX_ENTRIES: Final = 1_000
"""Of tags, properties and rules, each"""
_MAX_RULE_NAME: Final = 64
_KINDS: Final = ("TRANSFORM", "CONDITION")
_MIGRATION: Final = ("UPGRADE", "DOWNGRADE", "UPDOWN")
_DOMAIN: Final = ("WRITE", "READ", "WRITEREAD")
_RULE_LISTS: Final = (
    ("migrationRules", "Migration", _MIGRATION),
    ("domainRules", "Domain", _DOMAIN),
    ("encodingRules", "Encoding", _DOMAIN),
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Sorted, so that equal ones are equal."""

    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    sensitive: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        made = {
            "tags": {name: list(tags) for name, tags in self.tags},
            "properties": dict(self.properties),
            "sensitive": list(self.sensitive),
        }
        return {name: value for name, value in made.items() if value}

    def with_property(self, name: str, value: str) -> Metadata:
        return Metadata(
            self.tags, tuple(sorted({**dict(self.properties), name: value}.items())), self.sensitive
        )

    def hashed(self) -> Iterator[str]:
        """What goes into a schema's GUID, in order."""
        for name, tags in self.tags:
            yield name
            yield from tags
        for name, value in self.properties:
            yield name
            yield value
        yield from self.sensitive


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    doc: str | None
    kind: str
    mode: str
    type: str | None
    tags: tuple[str, ...]
    params: tuple[tuple[str, str], ...]
    expr: str | None
    on_success: str | None
    on_failure: str | None
    disabled: bool

    def to_json(self) -> dict[str, object]:
        made: dict[str, object] = {
            "name": self.name,
            "doc": self.doc,
            "kind": self.kind,
            "mode": self.mode,
            "type": self.type,
            "tags": list(self.tags),
            "params": dict(self.params),
            "expr": self.expr,
            "onSuccess": self.on_success,
            "onFailure": self.on_failure,
        }
        return {name: value for name, value in made.items() if value} | {"disabled": self.disabled}

    def hashed(self) -> Iterator[str]:
        for each in (self.name, self.doc, self.kind, self.mode, self.type, *self.tags):
            yield each or ""
        for name, value in self.params:
            yield name
            yield value
        for each in (self.expr, self.on_success, self.on_failure):
            yield each or ""
        if self.disabled:
            yield "\x01"


@dataclass(frozen=True, slots=True)
class RuleSet:
    migration: tuple[Rule, ...] = ()
    domain: tuple[Rule, ...] = ()
    encoding: tuple[Rule, ...] = ()
    enable_at: str | None = None

    def to_json(self) -> dict[str, object]:
        made: dict[str, object] = {
            "migrationRules": [rule.to_json() for rule in self.migration],
            "domainRules": [rule.to_json() for rule in self.domain],
            "encodingRules": [rule.to_json() for rule in self.encoding],
            "enableAt": self.enable_at,
        }
        return {name: value for name, value in made.items() if value}

    def hashed(self) -> Iterator[str]:
        for rule in (*self.migration, *self.domain, *self.encoding):
            yield from rule.hashed()
        yield self.enable_at or ""

    def has_type(self, type_: str) -> bool:
        return any(rule.type == type_ for rule in (*self.migration, *self.domain, *self.encoding))


def read_metadata(value: object) -> Metadata | None:
    """FieldError for what is none."""
    if value is None:
        return None
    fields = Fields(value, "metadata")
    tags = {
        name: tuple(sorted(set(Fields({name: each}, "metadata.tags").texts(name))))
        for name, each in fields.map("tags").items()
    }
    sensitive = set(fields.texts("sensitive"))
    properties = _text_map(fields, "properties")
    if max(len(tags), len(sensitive), len(properties)) > MAX_ENTRIES:
        raise FieldError(f"metadata: more than {MAX_ENTRIES} entries")
    return Metadata(tuple(sorted(tags.items())), properties, tuple(sorted(sensitive)))


def read_rule_set(value: object) -> RuleSet | None:
    """FieldError for what is none. The rules between fields are `check_rules`'s."""
    if value is None:
        return None
    fields = Fields(value, "ruleSet")
    lists = [tuple(_read_rule(each) for each in fields.items(name)) for name, _, _ in _RULE_LISTS]
    if max(map(len, lists)) > MAX_ENTRIES:
        raise FieldError(f"ruleSet: more than {MAX_ENTRIES} rules")
    migration, domain, encoding = lists
    return RuleSet(migration, domain, encoding, fields.text("enableAt"))


def _read_rule(value: object) -> Rule:
    fields = Fields(value, "rule")
    return Rule(
        fields.text("name") or "",
        fields.text("doc"),
        fields.choice("kind", _KINDS) or "TRANSFORM",
        fields.choice("mode", (*_MIGRATION, *_DOMAIN)) or "WRITEREAD",
        fields.text("type"),
        tuple(sorted(set(fields.texts("tags")))),
        _text_map(fields, "params"),
        fields.text("expr"),
        fields.text("onSuccess"),
        fields.text("onFailure"),
        fields.flag("disabled") or False,
    )


def _text_map(fields: Fields, name: str) -> tuple[tuple[str, str], ...]:
    made = {}
    for key, value in fields.map(name).items():
        if not isinstance(value, str):
            raise FieldError(f"{name}.{key} must be a string")
        made[key] = value
    return tuple(sorted(made.items()))


def check_rules(rules: RuleSet | None) -> None:
    """RegistryError for rules that Confluent's registry refuses."""
    if rules is None:
        return
    for (_, title, modes), listed in zip(
        _RULE_LISTS, (rules.migration, rules.domain, rules.encoding), strict=True
    ):
        for rule in listed:
            _check_rule(rule)
            if rule.mode not in modes:
                raise _invalid(f"{title} rules can only be {', '.join(modes)}")
    counts = Counter(rule.name for rule in (*rules.migration, *rules.domain, *rules.encoding))
    for name, count in counts.items():
        if count > 1:
            raise _invalid(f"Found rule with duplicate name '{name}'")


def _check_rule(rule: Rule) -> None:
    if not rule.name:
        raise _invalid("Missing rule name")
    if len(rule.name) > _MAX_RULE_NAME:
        raise _invalid("Rule name too long")
    if not (rule.name[0].isalpha() or rule.name[0] == "_"):
        raise _invalid(f"Illegal initial character in rule name: {rule.name}")
    if not all(letter.isalnum() or letter in "_-" for letter in rule.name):
        raise _invalid(f"Illegal character in rule name: {rule.name}")
    if rule.type is None:
        raise _invalid("Missing rule type")
    if rule.mode not in ("WRITEREAD", "UPDOWN") and any(
        "," in (action or "") for action in (rule.on_success, rule.on_failure)
    ):
        raise _invalid("Multiple actions only valid with WRITEREAD and UPDOWN")


def _invalid(reason: str) -> RegistryError:
    return RegistryError(42210, reason)


def merge_metadata(old: Metadata | None, new: Metadata | None) -> Metadata | None:
    """Entries of `new` win."""
    if old is None or new is None:
        return new if old is None else old
    return Metadata(
        tuple(sorted({**dict(old.tags), **dict(new.tags)}.items())),
        tuple(sorted({**dict(old.properties), **dict(new.properties)}.items())),
        tuple(sorted({*old.sensitive, *new.sensitive})),
    )


def merge_rules(old: RuleSet | None, new: RuleSet | None) -> RuleSet | None:
    """Rules of `new` stand in for those of the same name."""
    if old is None or new is None:
        return new if old is None else old

    def merge(before: tuple[Rule, ...], after: tuple[Rule, ...]) -> tuple[Rule, ...]:
        names = {rule.name for rule in after}
        return (*(rule for rule in before if rule.name not in names), *after)

    return RuleSet(
        merge(old.migration, new.migration),
        merge(old.domain, new.domain),
        merge(old.encoding, new.encoding),
        new.enable_at or old.enable_at,
    )
