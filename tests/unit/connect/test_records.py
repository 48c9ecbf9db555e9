"""Records and their headers."""

from __future__ import annotations

import pytest

from ottla.connect.data import INT32, STRING, SchemaAndValue, Struct, struct_of
from ottla.connect.errors import DataError
from ottla.connect.records import ConnectHeaders, Header, SinkRecord, SourceRecord


def test_headers_may_share_a_key() -> None:
    headers = ConnectHeaders().add("a", "1", STRING).add("b", 2, INT32).add("a", "3", STRING)
    assert [header.key for header in headers] == ["a", "b", "a"]
    assert headers.last_with_name("a") == Header("a", STRING, "3")
    assert headers.last_with_name("c") is None
    assert [header.value for header in headers.all_with_name("a")] == ["1", "3"]
    copy = headers.duplicate()
    assert copy == headers
    assert [header.value for header in copy.retain_latest()] == [2, "3"]
    assert len(headers) == 3
    assert [header.value for header in headers.duplicate().retain_latest("b")] == ["1", 2, "3"]
    assert [header.value for header in headers.duplicate().retain_latest("a")] == [2, "3"]
    assert [header.key for header in headers.duplicate().remove("a")] == ["b"]


def test_headers_are_changed_in_place() -> None:
    headers = ConnectHeaders([Header("a", STRING, "1"), Header("b", STRING, "2")])
    headers.apply(lambda header: header._replace(key="c"), "a")
    headers.apply(lambda header: None, "b")
    assert list(headers) == [Header("c", STRING, "1")]


def test_a_header_is_held_to_its_schema() -> None:
    with pytest.raises(DataError, match="A null value requires an optional schema but was Schema{STRING}"):
        ConnectHeaders().add("a", None, STRING)
    with pytest.raises(DataError, match="with type INT32: str"):
        ConnectHeaders().add("a", "b", INT32)
    struct = Struct(struct_of({"n": INT32}), {"n": 1})
    assert ConnectHeaders().add("a", struct).last_with_name("a") == Header("a", struct.schema, struct)


def test_records_are_replaced_and_keep_where_they_are_from() -> None:
    sink = SinkRecord("t", 3, 17, key_schema=STRING, key="k", value=1, headers=[Header("h", None, 1)])
    other = sink.replace(topic="u", value=SchemaAndValue(INT32, 2), partition=None)
    assert (other.topic, other.partition, other.key, other.value, other.offset) == ("u", None, "k", 2, 17)
    assert (other.original_topic, other.original_partition, other.original_offset) == ("t", 3, 17)
    other.headers.add("x", 1)
    assert len(sink.headers) == 1
    assert sink == sink.replace()
    assert sink != other

    source = SourceRecord({"file": "a"}, {"line": 1}, "t", value="v")
    again = source.replace(timestamp=5)
    assert (again.source_partition, again.source_offset, again.timestamp) == ({"file": "a"}, {"line": 1}, 5)
    assert again != source
    assert again.replace(timestamp=None) == source
