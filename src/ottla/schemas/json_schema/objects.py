"""Objects: what their properties are depends on how open their content is."""

from __future__ import annotations

from collections.abc import Mapping

from ottla.schemas.json_schema.bounds import lower, upper
from ottla.schemas.json_schema.model import Kind, Node, has_default
from ottla.schemas.json_schema.patterns import Patterns
from ottla.schemas.json_text import Json, JsonObject, is_array
from ottla.schemas.walk import Finding, Findings, Found, Step, under

__all__ = ["compare_additional", "compare_objects", "compare_unevaluated", "rest", "unevaluated"]


def compare_objects(old: Node, new: Node, patterns: Patterns) -> Step[Node]:
    found: list[Found] = [*_required(old, new)]
    found += under(["properties"], (yield from _properties(old, new, patterns)))
    found += under(["dependencies"], _dependent_names(old, new))
    found += under(["dependencies"], (yield from _dependent_schemas(old, new)))
    was, is_ = (node.keywords.get("additionalProperties", True) for node in (old, new))
    additional = yield from compare_additional(old, was, new, is_, "ADDITIONAL_PROPERTIES")
    found += under(["additionalProperties"], additional)
    found += under(
        ["unevaluatedProperties"], (yield from compare_unevaluated(old, new, "unevaluatedProperties"))
    )
    found += upper(old, new, "maxProperties", "MAX_PROPERTIES")
    found += lower(old, new, "minProperties", "MIN_PROPERTIES")
    return found


def _required(old: Node, new: Node) -> list[Finding]:
    """Of properties that both have; one that comes in is looked at where it does."""
    was, properties = _names(old, "required"), _map(new, "properties")
    both = _map(old, "properties").keys() & properties.keys()
    return [
        Finding("REQUIRED_ATTRIBUTE_ADDED", ("required", name), name)
        for name in _names(new, "required")
        if name in both and name not in was and not has_default(properties[name])
    ]


def _properties(old: Node, new: Node, patterns: Patterns) -> Step[Node]:
    was, are = _map(old, "properties"), _map(new, "properties")
    found: list[Found] = []
    for name in dict.fromkeys([*was, *are]):
        there: Findings
        if name not in are:
            there = yield from _removed(old.of(was[name]), new, name, patterns)
        elif name not in was:
            there = yield from _added(old, new, name, patterns)
        else:
            there = yield old.of(was[name]), new.of(are[name])
        found += under([name], there)
    return found


def _removed(old: Node, new: Node, name: str, patterns: Patterns) -> Step[Node]:
    if _is_open(new):
        return []
    stands_for_it = _covering(new, name, patterns)
    if stands_for_it is not None:
        there = yield old, stands_for_it
        if not there:
            return []
        return [*there, Finding("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", (), name)]
    if old.kind is Kind.NONE:
        return []
    return [Finding("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", (), name)]


def _added(old: Node, new: Node, name: str, patterns: Patterns) -> Step[Node]:
    schema = _map(new, "properties")[name]
    required, default = name in _names(new, "required"), has_default(schema)
    added = new.of(schema)
    if _is_open(old):
        if added.kind is Kind.ANY:
            return []
        how = (
            "OPTIONAL_PROPERTY"
            if not required
            else "REQUIRED_PROPERTY_WITH_DEFAULT"
            if default
            else "REQUIRED_PROPERTY"
        )
        return [Finding(f"{how}_ADDED_TO_OPEN_CONTENT_MODEL", (), name)]
    found: list[Found] = []
    stood_for_it = _covering(old, name, patterns)
    if stood_for_it is not None:
        found += [*(yield stood_for_it, added)]
        if found:
            found.append(Finding("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", (), name))
    if required and not default:
        found.append(Finding("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", (), name))
    return found


def _is_open(node: Node) -> bool:
    """Whether a property that it does not name may hold anything."""
    if node.keywords.get("additionalProperties", True) is not True or _map(node, "patternProperties"):
        return False
    given = unevaluated(node, "unevaluatedProperties")
    return given is None or given.kind is Kind.ANY


def _covering(node: Node, name: str, patterns: Patterns) -> Node | None:
    """What a property that it does not name must match; None if there may be none, or anything."""
    for pattern, schema in _map(node, "patternProperties").items():
        if patterns.match(pattern, name):
            return node.of(schema)
    additional = node.keywords.get("additionalProperties", True)
    if isinstance(additional, Mapping):
        return node.of(additional)
    return rest(node, "unevaluatedProperties") if additional is True else None


def compare_additional(old: Node, was: Json, new: Node, is_: Json, name: str) -> Step[Node]:
    """What holds for properties, or items, without a schema of their own."""
    if was is not False and is_ is False:
        return [Finding(f"{name}_REMOVED")]
    if was is False or not isinstance(is_, Mapping):
        return []
    if not isinstance(was, Mapping):
        return [Finding(f"{name}_NARROWED")]
    return [*(yield old.of(was), new.of(is_))]


def compare_unevaluated(old: Node, new: Node, keyword: str) -> Step[Node]:
    """`unevaluatedProperties` or `unevaluatedItems`."""
    name = "UNEVALUATED_PROPERTIES" if keyword == "unevaluatedProperties" else "UNEVALUATED_ITEMS"
    was, is_ = unevaluated(old, keyword), unevaluated(new, keyword)
    if is_ is None or (was is not None and was.kind is Kind.NONE):
        return []
    if is_.kind is Kind.NONE:
        return [Finding(f"{name}_REMOVED", (keyword,))]
    if was is None or (was.kind is Kind.ANY and is_.kind is not Kind.ANY):
        return [Finding(f"{name}_NARROWED", (keyword,))]
    return under([keyword], (yield was, is_))


def unevaluated(node: Node, keyword: str) -> Node | None:
    return node.of(node.keywords[keyword]) if node.modern and keyword in node.keywords else None


def rest(node: Node, keyword: str) -> Node | None:
    """What `keyword` asks of what is not evaluated elsewhere, if it neither allows nor refuses all of it."""
    given = unevaluated(node, keyword)
    return None if given is None or given.kind in (Kind.NONE, Kind.ANY) else given


def _dependent_names(old: Node, new: Node) -> list[Found]:
    was = _names_by_name(old)
    found: list[Found] = []
    for name, needed in _names_by_name(new).items():
        if name not in was:
            found.append(Finding("DEPENDENCY_ARRAY_ADDED", (name,)))
        elif not needed.keys() <= was[name].keys():
            how = "EXTENDED" if needed.keys() > was[name].keys() else "CHANGED"
            found.append(Finding(f"DEPENDENCY_ARRAY_{how}", (name,)))
    return found


def _names_by_name(node: Node) -> Mapping[str, Mapping[str, None]]:
    given = _map(node, "dependentRequired" if node.modern else "dependencies")
    return {name: _texts(each) for name, each in given.items() if is_array(each)}


def _dependent_schemas(old: Node, new: Node) -> Step[Node]:
    was, are = (
        {
            name: each
            for name, each in _map(node, "dependentSchemas" if node.modern else "dependencies").items()
            if isinstance(each, bool | Mapping)
        }
        for node in (old, new)
    )
    found: list[Found] = []
    for name, schema in are.items():
        if name in was:
            found += under([name], (yield old.of(was[name]), new.of(schema)))
        else:
            found.append(Finding("DEPENDENCY_SCHEMA_ADDED", (name,)))
    return found


def _map(node: Node, keyword: str) -> JsonObject:
    value = node.keywords.get(keyword)
    return value if isinstance(value, Mapping) else {}


def _names(node: Node, keyword: str) -> Mapping[str, None]:
    return _texts(node.keywords.get(keyword))


def _texts(value: Json) -> Mapping[str, None]:
    return {text: None for text in value if isinstance(text, str)} if is_array(value) else {}
