"""Metadata and rules: read within bounds, checked, merged."""

from __future__ import annotations

import pytest

from ottla.http.fields import FieldError
from ottla.registry.state.errors import RegistryError
from ottla.registry.state.metadata import (
    check_rules,
    merge_metadata,
    merge_rules,
    read_metadata,
    read_rule_set,
)

RULE = {"name": "r", "type": "CEL"}


def test_metadata_is_sorted() -> None:
    one = read_metadata({"tags": {"b": ["y", "x"], "a": ["z"]}, "properties": {"q": "1", "p": "2"}})
    other = read_metadata({"properties": {"p": "2", "q": "1"}, "tags": {"a": ["z"], "b": ["x", "y"]}})
    assert one == other
    assert one is not None
    assert one.to_json() == {"tags": {"a": ["z"], "b": ["x", "y"]}, "properties": {"p": "2", "q": "1"}}


def test_what_comes_later_wins() -> None:
    old = read_metadata({"properties": {"a": "1", "b": "1"}, "sensitive": ["x"]})
    new = read_metadata({"properties": {"b": "2"}, "sensitive": ["y"]})
    merged = merge_metadata(old, new)
    assert merged == read_metadata({"properties": {"a": "1", "b": "2"}, "sensitive": ["x", "y"]})
    assert merge_metadata(None, new) == new
    assert merge_metadata(old, None) == old
    rules = merge_rules(
        read_rule_set({"domainRules": [RULE, {"name": "s", "type": "CEL"}]}),
        read_rule_set({"domainRules": [{"name": "r", "type": "JSONATA"}]}),
    )
    assert rules is not None
    assert [(each.name, each.type) for each in rules.domain] == [("s", "CEL"), ("r", "JSONATA")]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"tags": []},
        {"tags": {"a": "x"}},
        {"properties": {"a": 1}},
        {"sensitive": [1]},
        {"properties": {str(each): "" for each in range(1_001)}},
    ],
)
def test_what_is_no_metadata_is_refused(value: object) -> None:
    with pytest.raises(FieldError):
        read_metadata(value)


@pytest.mark.parametrize("value", [{"domainRules": [{"mode": "SIDEWAYS"}]}, {"domainRules": {}}, 3])
def test_what_is_no_rule_set_is_refused(value: object) -> None:
    with pytest.raises(FieldError):
        read_rule_set(value)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"domainRules": [{"type": "CEL"}]}, "Missing rule name"),
        ({"domainRules": [{"name": "1", "type": "CEL"}]}, "initial character"),
        ({"domainRules": [{"name": "a b", "type": "CEL"}]}, "Illegal character"),
        ({"domainRules": [{"name": "a" * 65, "type": "CEL"}]}, "too long"),
        ({"domainRules": [{"name": "a"}]}, "Missing rule type"),
        ({"domainRules": [RULE, RULE]}, "duplicate"),
        ({"domainRules": [RULE], "migrationRules": [RULE | {"mode": "UPDOWN"}]}, "duplicate"),
        ({"domainRules": [RULE | {"mode": "UPGRADE"}]}, "Domain rules"),
        ({"migrationRules": [RULE]}, "Migration rules"),
        ({"domainRules": [RULE | {"mode": "READ", "onFailure": "a,b"}]}, "Multiple actions"),
    ],
)
def test_rules_that_confluent_refuses(rules: object, reason: str) -> None:
    with pytest.raises(RegistryError, match=reason) as caught:
        check_rules(read_rule_set(rules))
    assert caught.value.code == 42210
