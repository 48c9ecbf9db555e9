"""The HTTP API of one instance, as Confluent's documentation tells it."""

from __future__ import annotations

import base64
import json
import signal
import socket
from urllib.parse import quote, urlsplit

import pytest
from tests.platform.registry.conftest import Start
from tests.platform.registry.registry_process import Api


def record(*fields: str, name: str = "R") -> str:
    made = [{"name": each, "type": "string"} for each in fields]
    return json.dumps({"type": "record", "name": name, "fields": made}, separators=(",", ":"))


def test_register_and_fetch(api: Api) -> None:
    schema = record("x")
    made = api.register("fetch/ü-value", schema).json
    assert made["version"] == 1
    id_ = made["id"]
    assert api.register("fetch/ü-value", schema).json["id"] == id_
    path = f"/subjects/{quote('fetch/ü-value', safe='')}"
    for version in ("1", "latest", "-1"):
        answer = api.get(f"{path}/versions/{version}")
        assert answer.status == 200
        wanted = {"subject": "fetch/ü-value", "version": 1, "id": id_, "schema": schema, "schemaType": "AVRO"}
        assert wanted.items() <= answer.json.items()
    assert api.get(f"{path}/versions/1/schema").json == json.loads(schema)
    assert api.get(f"/schemas/ids/{id_}").json["schema"] == schema
    assert api.get(f"/schemas/ids/{id_}/schema").json == json.loads(schema)
    assert api.get(f"/schemas/ids/{id_}/subjects").json == ["fetch/ü-value"]
    assert api.get(f"/schemas/ids/{id_}/versions").json == [{"subject": "fetch/ü-value", "version": 1}]
    guid = made["guid"]
    assert api.get(f"/schemas/guids/{guid}").json["schema"] == schema
    assert api.get(f"/schemas/guids/{guid}/ids").json == [{"context": ".", "id": id_}]
    looked_up = api.call("POST", path, {"schema": json.dumps(json.loads(schema), indent=1)})
    assert looked_up.json["version"] == 1
    assert "fetch/ü-value" in api.get("/subjects").json
    assert api.get("/subjects?subjectPrefix=fetch").json == ["fetch/ü-value"]
    assert [each["id"] for each in api.get("/schemas?subjectPrefix=fetch").json] == [id_]


def test_deletes(api: Api) -> None:
    for text in ('"int"', '"long"'):
        assert api.register("deleted", text).status == 200
    assert api.call("DELETE", "/subjects/deleted/versions/1").json == 1
    assert api.get("/subjects/deleted/versions").json == [2]
    assert api.get("/subjects/deleted/versions?deleted=true").json == [1, 2]
    assert api.get("/subjects/deleted/versions?deletedOnly=true").json == [1]
    assert api.get("/subjects/deleted/versions?deletedAsNegative=true").json == [-1, 2]
    assert api.get("/subjects/deleted/versions/1").code == 40402
    assert api.get("/subjects/deleted/versions/1?deleted=true").json["deleted"] is True
    assert api.call("DELETE", "/subjects/deleted/versions/1").code == 40406
    assert api.call("DELETE", "/subjects/deleted/versions/2?permanent=true").code == 40407
    assert api.call("DELETE", "/subjects/deleted/versions/1?permanent=true").json == 1
    assert api.call("DELETE", "/subjects/deleted?permanent=true").code == 40405
    assert api.call("DELETE", "/subjects/deleted").json == [2]
    assert "deleted" not in api.get("/subjects").json
    assert "deleted" in api.get("/subjects?deleted=true").json
    assert "deleted" in api.get("/subjects?deletedOnly=true").json
    assert api.call("DELETE", "/subjects/deleted").code == 40404
    assert api.call("DELETE", "/subjects/deleted?permanent=true").json == [2]
    assert api.call("DELETE", "/subjects/deleted?permanent=true").code == 40401


def test_compatibility(api: Api) -> None:
    api.register("evolving", record("x"))
    bad = {"schema": record("x", "y")}
    for path in (
        "/compatibility/subjects/evolving/versions/latest",
        "/compatibility/subjects/evolving/versions",
    ):
        assert api.call("POST", path, {"schema": record("x")}).json == {"is_compatible": True}
        assert api.call("POST", path, bad).json == {"is_compatible": False}
        told = api.call("POST", f"{path}?verbose=true", bad).json
        assert told["is_compatible"] is False
        assert "READER_FIELD_MISSING_DEFAULT_VALUE" in told["messages"][0]
    assert api.call("POST", "/compatibility/subjects/evolving/versions/9", bad).code == 40402
    assert api.call("POST", "/compatibility/subjects/nothing/versions/latest", bad).json["is_compatible"]
    refused = api.register("evolving", bad["schema"])
    assert (refused.status, refused.code) == (409, 409)
    assert api.register("evolving", bad["schema"], "?force=true").status == 200


def test_config(api: Api) -> None:
    assert api.get("/config").json == {"compatibilityLevel": "BACKWARD"}
    assert api.get("/config/configured").code == 40408
    assert api.get("/config/configured?defaultToGlobal=true").json["compatibilityLevel"] == "BACKWARD"
    assert api.call("PUT", "/config/configured", {"compatibility": "full"}).json == {"compatibility": "FULL"}
    changed = api.call("PUT", "/config/configured", {"alias": "aliased", "compatibilityGroup": "g"})
    assert changed.json == {"compatibility": "FULL", "alias": "aliased", "compatibilityGroup": "g"}
    wanted = {"compatibilityLevel": "FULL", "alias": "aliased", "compatibilityGroup": "g"}
    assert api.get("/config/configured").json == wanted
    assert api.register("configured", '"int"').status == 200
    assert api.get("/subjects/aliased/versions").json == [1]
    assert api.get("/subjects/configured/versions/1").json["subject"] == "aliased"
    assert api.call("PUT", "/config/configured", {"compatibility": "SIDEWAYS"}).code == 42203
    assert api.call("DELETE", "/config/configured").json["compatibilityLevel"] == "FULL"
    assert api.call("DELETE", "/config/configured").code == 40401


def test_modes(api: Api) -> None:
    assert api.get("/mode").json == {"mode": "READWRITE"}
    assert api.get("/mode/moded").code == 40409
    assert api.call("PUT", "/mode/moded", {"mode": "readonly"}).json == {"mode": "READONLY"}
    assert api.register("moded", '"int"').code == 42205
    assert api.call("PUT", "/mode/moded", {"mode": "SIDEWAYS"}).code == 42204
    assert api.call("PUT", "/mode/moded", {"mode": "IMPORT"}).status == 200
    imported = api.register("moded", '"fixed-import"'.replace("fixed-import", "bytes"), id=4711, version=3)
    assert (imported.json["id"], imported.json["version"]) == (4711, 3)
    assert api.call("DELETE", "/mode/moded").json == {"mode": "IMPORT"}
    assert api.get("/subjects/moded/versions").json == [3]


def test_contexts(api: Api) -> None:
    assert api.register(":.ctx:inside", '"int"').json["id"] == 1
    assert ".ctx" in api.get("/contexts").json
    assert api.get("/contexts/.ctx/subjects").json == [":.ctx:inside"]
    assert api.get("/contexts/.ctx/subjects/inside/versions").json == [1]
    assert api.get("/contexts/.ctx/schemas/ids/1").json["subject"] == ":.ctx:inside"
    assert api.call("PUT", "/contexts/.ctx/config", {"compatibility": "NONE"}).status == 200
    assert api.get("/config/:.ctx:").json == {"compatibilityLevel": "NONE"}
    assert api.get("/schemas/ids/1?subject=:.ctx:").json["schema"] == '"int"'
    assert api.get("/subjects/inside/versions/1").json["subject"] == ":.ctx:inside"
    assert api.get("/subjects?subjectPrefix=:.ctx:").json == [":.ctx:inside"]
    assert ":.ctx:inside" in api.get("/subjects?subjectPrefix=:*:").json
    assert api.call("DELETE", "/contexts/.ctx").code == 42211
    for query in ("", "?permanent=true"):
        assert api.call("DELETE", f"/subjects/:.ctx:inside{query}").status == 200
    assert api.call("DELETE", "/contexts/.ctx").status == 204


def test_references(api: Api) -> None:
    inner = api.register("inner", record("x", name="Inner")).json["id"]
    outer = '{"type":"record","name":"Outer","fields":[{"name":"i","type":"Inner"}]}'
    references = [{"name": "Inner", "subject": "inner", "version": 1}]
    made = api.register("outer", outer, references=references).json
    assert api.get(f"/schemas/ids/{made['id']}").json["references"] == references
    assert api.get("/subjects/inner/versions/1/referencedby").json == [made["id"]]
    assert api.call("DELETE", "/subjects/inner").code == 42206
    assert inner != made["id"]


def test_forms(api: Api) -> None:
    api.register("form-inner", record("x", name="FormInner"))
    outer = '{"type":"record","name":"FormOuter","fields":[{"name":"i","type":"FormInner"}]}'
    references = [{"name": "FormInner", "subject": "form-inner", "version": 1}]
    made = api.register("form-outer", outer, references=references).json
    whole = outer.replace('"FormInner"', record("x", name="FormInner"))
    assert api.get(f"/schemas/ids/{made['id']}").json["schema"] == outer
    for path in (f"/schemas/ids/{made['id']}", "/subjects/form-outer/versions/1"):
        assert api.get(f"{path}?format=resolved").json["schema"] == whole
        assert api.get(f"{path}/schema?format=resolved").json == json.loads(whole)
    proto = 'syntax = "proto3";\n\nmessage M {\n  string s = 1;\n}\n'
    made = api.register("form-proto", proto, schemaType="PROTOBUF").json
    serialized = api.get(f"/schemas/ids/{made['id']}?format=serialized").json["schema"]
    assert base64.b64decode(serialized)
    assert api.register("form-proto", serialized, schemaType="PROTOBUF").json["id"] == made["id"]


def test_data_contracts_are_kept(api: Api) -> None:
    contract = {
        "metadata": {"properties": {"owner": "me"}, "tags": {"R.x": ["PII"]}},
        "ruleSet": {"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL"}]},
    }
    made = api.register("contract", record("x"), **contract).json
    assert "schema" not in made
    wider = record("x").replace('"string"', '["string","null"]')
    populated = api.register("contract", wider).json
    assert (populated["schema"], populated["metadata"]) == (wider, contract["metadata"])
    found = api.get("/subjects/contract/metadata?key=owner&value=me").json
    assert found["ruleSet"]["domainRules"][0]["name"] == "r"
    assert api.get("/subjects/contract/metadata?key=owner&value=you").code == 40403
    bad = {"domainRules": [{"name": "1", "type": "CEL"}]}
    assert api.register("contract", record("x"), ruleSet=bad).code == 42210


def test_what_the_server_says_of_itself(api: Api) -> None:
    assert api.get("/").json == {}
    assert sorted(api.get("/schemas/types").json) == ["AVRO", "JSON", "PROTOBUF"]
    scope = api.get("/v1/metadata/id").json["scope"]["clusters"]
    assert scope["schema-registry-cluster"] == "schema-registry"
    assert api.get("/v1/metadata/version").json["version"]
    for path in ("/exporters", "/associations/subjects/x", "/nothing"):
        assert api.get(path).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/subjects/bad/versions", b"", 422),
        ("POST", "/subjects/bad/versions", b"{", 400),
        ("POST", "/subjects/bad/versions", b"\xff", 400),
        ("POST", "/subjects/bad/versions", b"[" * 100_000, 400),
        ("POST", "/subjects/bad/versions", b"[]", 42201),
        ("POST", "/subjects/bad/versions", b"{}", 42201),
        ("POST", "/subjects/bad/versions", b'{"schema": 1}', 42201),
        ("POST", "/subjects/bad/versions", b'{"schema": "x", "version": 1e9}', 42201),
        ("POST", "/subjects/bad/versions", b'{"schema": "\\"int\\"", "schemaType": "X"}', 42201),
        ("POST", "/subjects/bad/versions", b'{"schema": "\\"int\\"", "id": 5}', 42205),
        ("POST", "/subjects/bad/versions", b'{"schema": "\\ud800"}', 400),
        ("POST", "/subjects/bad/versions", b'{"schema": "' + b"x" * (1 << 20) + b'x"}', 42209),
        ("POST", "/subjects/bad/versions", b"x" * (2 << 20) + b"x", 413),
        ("POST", "/subjects/bad%0A/versions", b'{"schema": "\\"int\\""}', 42208),
        ("POST", "/subjects/%FF/versions", b'{"schema": "\\"int\\""}', 400),
        ("POST", f"/subjects/{'x' * 2000}/versions", b'{"schema": "\\"int\\""}', 42208),
        ("GET", f"/subjects/{'x' * 20_000}", None, 414),
        ("GET", "/subjects/bad/versions/0", None, 42202),
        ("GET", "/subjects/bad/versions/x", None, 42202),
        ("GET", "/subjects/bad/versions/99999999999", None, 42202),
        ("GET", "/subjects/bad/versions/1", None, 40401),
        ("GET", "/schemas/ids/x", None, 404),
        ("GET", "/schemas/ids/2147483647", None, 40403),
        ("GET", "/schemas/ids/99999999999999", None, 404),
        ("PATCH", "/subjects", None, 405),
        ("PUT", "/mode", b'{"mode": 3}', 42204),
        ("PUT", "/config", b'{"compatibility": []}', 42203),
    ],
)
def test_what_no_client_should_send(api: Api, method: str, path: str, body: bytes | None, code: int) -> None:
    answer = api.call(method, path, body)
    assert answer.code == code
    assert answer.status == (code if code < 1000 else code // 100)
    assert "bad" not in api.get("/subjects?deleted=true").json


def test_media_types(api: Api) -> None:
    assert api.get("/subjects", accept="application/json").status == 200
    assert api.get("/subjects", accept="text/html").status == 406
    assert api.call("POST", "/subjects/x", b"{}", {"Content-Type": "text/plain"}).status == 415
    assert api.call("POST", "/subjects/x", b"{}", {"Content-Encoding": "gzip"}).status == 415


def test_half_a_request(api: Api) -> None:
    host, _, port = urlsplit(api.url).netloc.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /subjects/half/versions HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
    assert api.get("/subjects").status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_again_with_what_it_knew(start: Start, number: signal.Signals) -> None:
    process = start()
    api = process.ready()
    made = [api.register(f"s{each}", f'{{"type":"fixed","name":"f","size":{each + 1}}}') for each in range(5)]
    assert process.stop(number) == 0
    again = start().ready()
    assert [again.get(f"/subjects/s{each}/versions/1").json["id"] for each in range(5)] == [
        each.json["id"] for each in made
    ]
    assert again.register("s9", '{"type":"fixed","name":"f","size":10}').json["id"] == 6
