from __future__ import annotations

import struct
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottla.protocol.errors import DecodeError, EncodeError
from ottla.protocol.schema import Message, VersionedField, field

OFFSET_COMMIT_VALUE = Message(
    "OffsetCommitValue",
    versions="0-4",
    flexible="4+",
    fields=(
        field("offset", "int64"),
        field("leader_epoch", "int32", "3+", default=-1),
        field("metadata", "string"),
        field("commit_timestamp", "int64"),
        field("expire_timestamp", "int64", "1", default=-1),
        field("topic_id", "uuid", "4+", tag=0),
    ),
)

EVERYTHING = Message(
    "Everything",
    versions="0-3",
    flexible="2+",
    fields=(
        field("flag", "bool"),
        field("tiny", "int8"),
        field("small", "int16"),
        field("port", "uint16"),
        field("name", "string", nullable="1+"),
        field("number", "int32", "1+", default=7),
        field("large", "int64"),
        field("ratio", "float64"),
        field("id", "uuid"),
        field("data", "bytes", nullable="1+"),
        field("numbers", "[]int32", nullable="1+"),
        field("names", "[]string"),
        field("ids", "[]uuid"),
        field("blobs", "[]bytes"),
        field("member", "struct", nullable="1+", fields=(field("x", "int32"), field("y", "string", "2+"))),
        field("members", "[]struct", fields=(field("x", "int32"), field("list", "[]int16"))),
        field("only_2", "string", "2", default="two"),
        field("hint", "string", "2+", nullable="2+", tag=0),
        field("maybe", "struct", "2+", nullable="2+", tag=4, default=None, fields=(field("x", "int32"),)),
        field("always", "struct", "2+", tag=2, fields=(field("x", "int32", default=-1), field("y", "int8"))),
        field("floor", "int32", "2+", tag=1, default=-1),
        field("loose", "int16", "1+", tag=3, tagged="3+", default=5),
    ),
)


def test_a_version_has_its_fields_in_kafkas_bytes() -> None:
    value = {"offset": 5, "leader_epoch": 2, "metadata": "m", "commit_timestamp": 9, "expire_timestamp": 11}
    assert OFFSET_COMMIT_VALUE.encode_prefixed(0, value) == struct.pack(">hqh1sq", 0, 5, 1, b"m", 9)
    assert OFFSET_COMMIT_VALUE.encode_prefixed(1, value) == struct.pack(">hqh1sqq", 1, 5, 1, b"m", 9, 11)
    assert OFFSET_COMMIT_VALUE.encode_prefixed(3, value) == struct.pack(">hqih1sq", 3, 5, 2, 1, b"m", 9)
    assert OFFSET_COMMIT_VALUE.encode_prefixed(4, value) == struct.pack(">hqiB1sqx", 4, 5, 2, 2, b"m", 9)


def test_decoding_fills_what_the_version_lacks() -> None:
    encoded = OFFSET_COMMIT_VALUE.encode_prefixed(0, {"offset": 5, "metadata": "m"})
    version, value = OFFSET_COMMIT_VALUE.decode_prefixed(encoded)
    assert version == 0
    assert value == {
        "offset": 5,
        "leader_epoch": -1,
        "metadata": "m",
        "commit_timestamp": 0,
        "expire_timestamp": -1,
        "topic_id": None,
    }


def test_tagged_fields_are_written_unless_default() -> None:
    topic_id = UUID(int=1)
    plain = OFFSET_COMMIT_VALUE.encode(4, {"offset": 1})
    assert OFFSET_COMMIT_VALUE.encode(4, {"offset": 1, "topic_id": None}) == plain
    assert OFFSET_COMMIT_VALUE.encode(4, {"offset": 1, "topic_id": UUID(int=0)}) == plain
    tagged = OFFSET_COMMIT_VALUE.encode(4, {"offset": 1, "topic_id": topic_id})
    assert tagged == plain[:-1] + b"\x01\x00\x10" + topic_id.bytes
    assert OFFSET_COMMIT_VALUE.decode(4, tagged)["topic_id"] == topic_id


def test_tagged_fields_stand_in_the_order_of_their_tags() -> None:
    encoded = EVERYTHING.encode(
        3, {"hint": "", "maybe": {"x": 3}, "always": {"y": 1}, "floor": 0, "loose": 6}
    )
    section = encoded[encoded.rindex(b"\x05\x00\x01\x01") :]
    assert section == bytes.fromhex(
        "05 00 01 01 01 04 00000000 02 06 ffffffff 01 00 03 02 0006 04 06 01 00000003 00"
    )


def test_an_absent_struct_decodes_to_its_defaults() -> None:
    decoded = EVERYTHING.decode(3, EVERYTHING.encode(3, {}))
    assert decoded["always"] == {"x": -1, "y": 0}
    assert decoded["maybe"] is None
    assert EVERYTHING.decode(0, EVERYTHING.encode(0, {}))["loose"] == 5


def _value(each: VersionedField, version: int) -> st.SearchStrategy[Any]:
    bits = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
    if each.type in bits:
        limit = 1 << (bits[each.type] - 1)
        values: st.SearchStrategy[Any] = st.integers(-limit, limit - 1)
    elif each.type == "struct":
        values = _messages(each.fields, version)
    else:
        values = {
            "bool": st.booleans(),
            "uint16": st.integers(0, 65535),
            "float64": st.floats(allow_nan=False),
            "string": st.text(st.characters(codec="utf-8"), max_size=6) | st.just("é" * 100),
            "bytes": st.binary(max_size=6) | st.just(b"x" * 130),
            "uuid": st.none() | st.uuids(),
        }[each.type]
    if each.array:
        values = st.lists(values, max_size=3)
    return st.none() | values if version in each.nullable else values


def _messages(fields: tuple[VersionedField, ...], version: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            each.name: _value(each, version)
            if version in each.versions
            else st.just(each.default_value(nullable=bool(each.nullable)))
            for each in fields
        }
    )


@pytest.mark.parametrize("version", range(4))
@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_what_is_encoded_is_decoded(version: int, data: st.DataObject) -> None:
    message = data.draw(_messages(EVERYTHING.fields, version))
    encoded = EVERYTHING.encode_prefixed(version, message)
    assert EVERYTHING.decode_prefixed(encoded) == (version, message)
    assert EVERYTHING.decode(version, memoryview(b"--" + encoded[2:]), 2) == message
    for cut in range(len(encoded)):
        with pytest.raises(DecodeError):
            EVERYTHING.decode_prefixed(encoded[:cut])


@settings(max_examples=300, deadline=None, database=None)
@given(st.integers(0, 3), st.binary(max_size=150))
def test_arbitrary_bytes_decode_or_are_refused(version: int, encoded: bytes) -> None:
    try:
        EVERYTHING.decode(version, encoded)
    except DecodeError:
        pass


def test_unknown_versions() -> None:
    for version in (-1, 5):
        with pytest.raises(DecodeError, match="unknown version"):
            OFFSET_COMMIT_VALUE.decode_prefixed(struct.pack(">h", version) + bytes(40))
        with pytest.raises(ValueError, match="no version"):
            OFFSET_COMMIT_VALUE.encode(version, {})


def test_values_that_do_not_fit() -> None:
    with pytest.raises(EncodeError, match="OffsetCommitValue"):
        OFFSET_COMMIT_VALUE.encode(0, {"offset": 2**63})
    with pytest.raises(EncodeError):
        OFFSET_COMMIT_VALUE.encode(0, {"metadata": None})


def test_declarations_are_checked() -> None:
    with pytest.raises(ValueError, match="unknown type"):
        field("a", "int24")
    with pytest.raises(ValueError, match="struct has fields"):
        field("a", "[]struct")
    with pytest.raises(ValueError, match="struct has fields"):
        field("a", "int8", fields=(field("b", "int8"),))
