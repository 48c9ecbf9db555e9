"""What a tap said it has, and which of it is wanted. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ottla.connect.errors import ConfigError

__all__ = ["selected", "streams_of"]


def streams_of(catalog: Mapping[str, object]) -> list[dict[str, object]]:
    """ConfigError for what is no catalog."""
    found = catalog.get("streams")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ConfigError("what the tap found is no catalog: it has no streams")
    return found


def _name(stream: Mapping[str, object]) -> str:
    return str(stream.get("tap_stream_id") or stream.get("stream") or "")


def selected(
    catalog: Mapping[str, object],
    wanted: Sequence[str],
    unwanted: Sequence[str],
    metadata: Mapping[str, object],
) -> dict[str, object]:
    """The catalog with these streams selected and no others: patterns with `*` and `?`, of streams, or
    (unwanted) of their fields as `stream.field`. `metadata` is by pattern of streams what is to be said of
    them, such as `replication-method`. ConfigError where a pattern fits nothing.
    """
    made = copy.deepcopy(dict(catalog))
    streams = streams_of(made)
    names = [_name(each) for each in streams]
    patterns = [*wanted, *metadata, *(each for each in unwanted if "." not in each)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"there is no stream {pattern}; there are: {', '.join(names[:100])}")
    count = 0
    for stream, name in zip(streams, names, strict=True):
        is_wanted = _fits(name, wanted or ["*"]) and not _fits(name, unwanted)
        count += is_wanted
        own: dict[str, object] = {}
        for pattern, said in metadata.items():
            if fnmatchcase(name, pattern) and isinstance(said, dict):
                own |= said
        _select(stream, name, unwanted, own, is_wanted=is_wanted)
    if not count:
        raise ConfigError(f"no stream is wanted; there are: {', '.join(names[:100])}")
    return made


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, each) for each in patterns)


def _select(
    stream: dict[str, object],
    name: str,
    unwanted: Sequence[str],
    own: Mapping[str, object],
    *,
    is_wanted: bool,
) -> None:
    """In the metadata, and in the schema, where older taps look for it."""
    schema = stream.get("schema")
    if isinstance(schema, dict):
        schema["selected"] = is_wanted
    stream["selected"] = is_wanted
    listed = stream.setdefault("metadata", [])
    if not isinstance(listed, list):
        raise ConfigError(f"the metadata of stream {name} is no list")
    entries = [each for each in listed if isinstance(each, dict)]
    if not any(each.get("breadcrumb") == [] for each in entries):
        entries.append({"breadcrumb": [], "metadata": {}})
        listed.append(entries[-1])
    for entry in entries:
        said, where = entry.setdefault("metadata", {}), entry.get("breadcrumb")
        if not isinstance(said, dict) or not isinstance(where, list):
            raise ConfigError(f"the metadata of stream {name} makes no sense")
        if not where:
            said |= {"selected": is_wanted, **own}
        elif said.get("inclusion") not in ("automatic", "unsupported"):
            said["selected"] = is_wanted and not _fits(f"{name}.{where[-1]}", unwanted)
