"""What nobody should send, made at random: refused with a reason, and nothing of it is half there."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.platform.registry.registry_process import Api, RegistryProcess

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
SCHEMAS = st.sampled_from(
    [
        '"int"',
        '{"type":"array"}',
        '{"type":"record","name":"","fields":[]}',
        "{}",
        "true",
        'syntax="proto3";',
        "",
    ]
)
NAMES = st.sampled_from(
    [
        "schema",
        "schemaType",
        "references",
        "metadata",
        "ruleSet",
        "version",
        "id",
        "compatibility",
        "mode",
        "alias",
    ]
)
BODIES = st.dictionaries(NAMES, ANYTHING | SCHEMAS, max_size=5)
SUBJECTS = st.text(max_size=12) | st.sampled_from([":.", ":.c:", ":*:", ":.c:x", "a/b", ".."])
PATHS = st.sampled_from(
    [
        ("POST", "/subjects/{}/versions"),
        ("POST", "/subjects/{}"),
        ("POST", "/compatibility/subjects/{}/versions?verbose=true"),
        ("POST", "/compatibility/subjects/{}/versions/latest"),
        ("PUT", "/config/{}"),
        ("DELETE", "/subjects/{}"),
        ("DELETE", "/config/{}"),
        ("GET", "/subjects/{}/versions/latest"),
        ("GET", "/schemas/ids/1?subject={}"),
        ("GET", "/subjects?subjectPrefix={}&offset=-1&limit=99999999999999"),
        ("GET", "/contexts/{}/subjects"),
        ("DELETE", "/contexts/{}"),
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATHS, SUBJECTS, BODIES | ANYTHING)
def test_random_requests(api: Api, path: tuple[str, str], subject: str, body: object) -> None:
    method, template = path
    try:
        named = quote(subject, safe="")
    except UnicodeEncodeError:
        named = "%ED%A0%80"
    data = json.dumps(body).encode() if method in ("POST", "PUT") else None
    answer = api.call(method, template.format(named), data)
    assert answer.status < 500, (answer, method, template, subject, body)
    if answer.status >= 400:
        assert answer.code // 100 == answer.status or answer.code == answer.status
        assert answer.json["message"]


def test_afterwards_it_works_as_before(api: Api, registry: RegistryProcess) -> None:
    api.call("DELETE", "/config")
    answer = api.register("afterwards", '{"type":"fixed","name":"Afterwards","size":3}')
    assert answer.status == 200
    assert "failed" not in registry.log.read_text()


@pytest.mark.parametrize("depth", [100, 1_000, 30_000])
def test_deep_schemas(api: Api, depth: int) -> None:
    text = '{"type":"array","items":' * depth + '"int"' + "}" * depth
    for kind in ("AVRO", "JSON"):
        answer = api.register(f"deep-{kind}", text, schemaType=kind)
        assert answer.status in (200, 422)
