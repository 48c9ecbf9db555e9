"""Records as Confluent's registry writes and reads them."""

import json

import pytest

from ottla.http.fields import FieldError
from ottla.registry.state.metadata import read_metadata, read_rule_set
from ottla.registry.state.records import (
    ClearSubjectKey,
    Config,
    ConfigKey,
    Content,
    ContextKey,
    DeleteSubjectKey,
    HighestId,
    Key,
    Mode,
    ModeKey,
    NoopKey,
    Present,
    Reference,
    SchemaKey,
    SchemaValue,
    UpTo,
    Value,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)
from ottla.schemas.schema import SchemaType

KEYS: list[tuple[Key, str]] = [
    (SchemaKey("t-value", 3), '{"keytype":"SCHEMA","subject":"t-value","version":3,"magic":1}'),
    (ConfigKey("ü/1"), '{"keytype":"CONFIG","subject":"ü/1","magic":0}'),
    (ConfigKey(None), '{"keytype":"CONFIG","magic":0}'),
    (ModeKey('a"b'), '{"keytype":"MODE","subject":"a\\"b","magic":0}'),
    (ModeKey(None), '{"keytype":"MODE","magic":0}'),
    (DeleteSubjectKey("t"), '{"keytype":"DELETE_SUBJECT","subject":"t","magic":0}'),
    (ClearSubjectKey(":.c:"), '{"keytype":"CLEAR_SUBJECT","subject":":.c:","magic":0}'),
    (ClearSubjectKey(None), '{"keytype":"CLEAR_SUBJECT","magic":0}'),
    (ContextKey(".c"), '{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}'),
    (NoopKey(), '{"keytype":"NOOP","magic":0}'),
    (NoopKey(".c"), '{"keytype":"NOOP","magic":0,"context":".c"}'),
]
METADATA = read_metadata({"tags": {"**.ssn": ["PII"]}, "properties": {"owner": "me"}, "sensitive": ["k"]})
RULES = read_rule_set(
    {"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "true"}]}
)
CONTENT = Content(SchemaType.JSON, '{"é":1}', (Reference("a.json", "a", 2),), METADATA, RULES)
VALUES: list[tuple[Key, Value]] = [
    (SchemaKey("s", 1), SchemaValue("s", 1, 7, Content(SchemaType.AVRO, '"string"'))),
    (SchemaKey("s", 2), SchemaValue("s", 2, 8, CONTENT, deleted=True)),
    (ConfigKey("s"), Config(alias="t", normalize=True, compatibility_level="FULL", default_rules=RULES)),
    (ConfigKey(None), Config(compatibility_level="NONE", override_metadata=METADATA)),
    (ModeKey(None), Mode.READONLY),
    (DeleteSubjectKey("s"), UpTo(4)),
    (ClearSubjectKey("s"), Present()),
    (ContextKey(".c"), Present()),
    (NoopKey(".c"), HighestId(12)),
]


@pytest.mark.parametrize(("key", "text"), KEYS, ids=str)
def test_keys_have_the_bytes_that_confluent_gives_them(key: Key, text: str) -> None:
    assert encode_key(key).decode() == text
    assert decode_key(text.encode()) == key


@pytest.mark.parametrize(("key", "value"), VALUES, ids=str)
def test_values_come_back(key: Key, value: Value) -> None:
    assert decode_value(key, encode_value(key, value)) == value


def test_a_schema_of_another_registry() -> None:
    data = json.dumps(
        {
            "subject": "s",
            "version": 1,
            "id": 3,
            "md5": "x",
            "schema": '"int"',
            "schemaType": "AVRO",
            "references": [],
            "metadata": None,
            "ruleSet": None,
            "schemaTags": [{"x": 1}],
            "deleted": False,
        }
    )
    content = Content(SchemaType.AVRO, '"int"')
    assert decode_value(SchemaKey("s", 1), data.encode()) == SchemaValue("s", 1, 3, content)
    assert decode_key(b'{"magic":0,"version":1,"subject":"s","keytype":"SCHEMA"}') == SchemaKey("s", 1)
    assert decode_key(b'{"keytype":"CONFIG","subject":null,"magic":0}') == ConfigKey(None)


def test_kinds_that_mean_nothing_here_are_passed_over() -> None:
    assert decode_key(b'{"keytype":"ASSOC","tenant":"default"}') is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{",
        b'{"keytype":"SCHEMA"}',
        b'{"keytype":"SCHEMA","subject":"s","version":0}',
        b'{"keytype":"SCHEMA","subject":"s","version":true}',
        b'{"keytype":"SCHEMA","subject":"s","version":1e3}',
        b'{"keytype":"SCHEMA","subject":"s","version":99999999999}',
        b'{"keytype":"SCHEMA","subject":"\\ud800","version":1}',
        b"[" * 100_000,
        b'{"keytype":NaN}',
    ],
)
@pytest.mark.usefixtures("no_collection")
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(FieldError):
        decode_key(data)


def test_the_guid_is_that_of_confluent() -> None:
    # MD5 of `"string"`, in UUID's form
    assert Content(SchemaType.AVRO, '"string"').guid == "095d71cf-1255-6b9d-5e33-0ad575b3df5d"
    assert CONTENT.guid != CONTENT._replace(metadata=None).guid
