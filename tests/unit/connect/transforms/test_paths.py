"""Paths to fields within fields, and Java's regular expressions."""

from __future__ import annotations

import re

import pytest

from ottla.connect.errors import ConfigError
from ottla.connect.transforms.paths import FieldPath
from ottla.connect.transforms.regex import Regex, compile_regex, replace_first


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"a": 1}),
        ("a.b", {"a": {"b": 1}}),
        ("`a.b`.c", {"a.b": {"c": 1}}),
        ("a.`b.c`", {"a": {"b.c": 1}}),
        ("`a`b`.c", {"a`b": {"c": 1}}),
        ("`a\\`.b`", {"a`.b": 1}),
        ("a.", {"a": {"": 1}}),
        ("", {"": 1}),
    ],
)
def test_paths_lead_to_fields(path: str, value: dict[object, object]) -> None:
    assert FieldPath(path, nested=True).value_of_map(value) == 1
    assert FieldPath(path, nested=False).value_of_map({path: 2}) == 2
    assert FieldPath(path, nested=True).value_of_map({}) is None


@pytest.mark.parametrize("path", ["`a", "`a\\`", "a.`b", "`"])
def test_a_backtick_needs_another(path: str) -> None:
    with pytest.raises(ConfigError, match="Incomplete backtick pair in path"):
        FieldPath(path, nested=True)


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "result"),
    [
        (r"(?<year>\d+)-(.*)", "$2-${year}", "2024-orders", "orders-2024"),
        (r"(.)\1", "x", "aabb", "xbb"),
        (r"(?<a>.)\k<a>", "${a}", "bb", "b"),
        (r"\(?<x", "y", "(<x", "y"),
        ("a", r"\$1\\", "a", "$1\\"),
        ("(a)", "$10", "a", "a0"),
        ("(a)|b", "[$1]", "b", "[]"),
    ],
)
def test_regular_expressions_are_javas(pattern: str, replacement: str, text: str, result: str) -> None:
    assert replace_first(compile_regex(pattern), replacement, text) == result


def test_what_is_no_expression_is_named() -> None:
    with pytest.raises(ConfigError, match="Invalid value \\( for configuration it: Invalid regex"):
        Regex()("it", "(")
    for replacement in ("$", "$2", "${no}", "a\\"):
        with pytest.raises(ConfigError):
            replace_first(re.compile("(a)"), replacement, "a")
