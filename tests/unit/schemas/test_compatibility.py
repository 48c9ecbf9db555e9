"""Levels of compatibility."""

from __future__ import annotations

import pytest

from ottla.schemas.compatibility import CompatibilityLevel, check
from ottla.schemas.parsing import parse
from ottla.schemas.schema import ParsedSchema, SchemaType


def schema(*fields: str) -> ParsedSchema:
    """A record; a field with `?` has a default."""
    parts = []
    for name in fields:
        default = ',"default":0' if name.endswith("?") else ""
        parts.append(f'{{"name":"{name.rstrip("?")}","type":"int"{default}}}')
    return parse(SchemaType.AVRO, f'{{"type":"record","name":"R","fields":[{",".join(parts)}]}}')


ADDED, REMOVED = (schema("a"), schema("a", "b")), (schema("a", "b"), schema("a"))
"""Old and new: the new one cannot read, the old one cannot."""


@pytest.mark.parametrize(
    ("level", "added", "removed"),
    [
        ("NONE", True, True),
        ("BACKWARD", False, True),
        ("BACKWARD_TRANSITIVE", False, True),
        ("FORWARD", True, False),
        ("FORWARD_TRANSITIVE", True, False),
        ("FULL", False, False),
        ("FULL_TRANSITIVE", False, False),
    ],
)
def test_directions(level: str, added: bool, removed: bool) -> None:
    assert (check(CompatibilityLevel(level), ADDED[1], [ADDED[0]]) is None) == added
    assert (check(CompatibilityLevel(level), REMOVED[1], [REMOVED[0]]) is None) == removed
    assert check(CompatibilityLevel(level), schema("a"), []) is None
    assert check(CompatibilityLevel(level), schema("a", "b?"), [schema("a")]) is None


@pytest.mark.parametrize("direction", ["BACKWARD", "FORWARD", "FULL"])
def test_transitive_levels_look_at_all_versions_the_newest_first(direction: str) -> None:
    # What the latest allows, an older one does not: b came and got its default; b had one and went.
    history = (
        [schema("a"), schema("a", "b?")] if direction == "BACKWARD" else [schema("a", "b"), schema("a", "b?")]
    )
    new = schema("a", "b") if direction == "BACKWARD" else schema("a")
    assert check(CompatibilityLevel(direction), new, history) is None
    refusal = check(CompatibilityLevel(f"{direction}_TRANSITIVE"), new, history)
    assert refusal is not None
    assert refusal.position == 0
    assert [each.type for each in refusal.reasons] == ["READER_FIELD_MISSING_DEFAULT_VALUE"]
    sides = ("new", "old") if direction == "BACKWARD" else ("old", "new")
    assert refusal.reasons[0].message.endswith(f"in the {sides[0]} schema is not in the {sides[1]} one")
    refusal = check(CompatibilityLevel(f"{direction}_TRANSITIVE"), new, [history[0]] * 3)
    assert refusal is not None
    assert refusal.position == 2


def test_full_gives_the_reasons_of_both_directions() -> None:
    refusal = check(CompatibilityLevel.FULL, schema("b"), [schema("a")])
    assert refusal is not None
    assert [(each.info, each.message) for each in refusal.reasons] == [
        ("a", "A field without a default in the old schema is not in the new one"),
        ("b", "A field without a default in the new schema is not in the old one"),
    ]
    description = refusal.reasons[0].message
    assert str(refusal.reasons[0]) == (
        f"{{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'{description}', additionalInfo:'a'}}"
    )
