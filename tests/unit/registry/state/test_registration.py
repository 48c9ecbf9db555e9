"""What registering decides, and looking up."""

from __future__ import annotations

import json

import pytest
from tests.unit.registry.state.registry_log import RegistryLog

from ottla.registry.state.changes import (
    delete_config,
    delete_context,
    delete_mode,
    delete_subject,
    delete_version,
    set_mode,
    update_config,
)
from ottla.registry.state.errors import RegistryError
from ottla.registry.state.metadata import Metadata, read_metadata, read_rule_set
from ottla.registry.state.records import Config, Mode, Reference
from ottla.registry.state.subjects import check_subject
from ottla.schemas.schema import SchemaType


def record(*fields: str, name: str = "R") -> str:
    made = [{"name": each, "type": "string"} for each in fields]
    return json.dumps({"type": "record", "name": name, "fields": made})


def refused(code: int, reason: str | None = None) -> pytest.RaisesExc[RegistryError]:
    return pytest.raises(RegistryError, match=reason, check=lambda error: error.code == code)


@pytest.fixture
def log() -> RegistryLog:
    return RegistryLog()


def configure(log: RegistryLog, subject: str | None, **fields: object) -> None:
    log.append(update_config(log.state, subject, Config(**fields), list(fields))[0])  # type: ignore[arg-type]


def test_one_schema_has_one_id_in_all_subjects(log: RegistryLog) -> None:
    first = log.register("a", '{"type": "string"}')
    assert first[:3] == ("a", 1, 1)
    assert first.content.text == '"string"'
    assert log.register("a", '"string"') == first
    assert log.register("b", '"string"')[:3] == ("b", 1, 1)
    assert log.register("b", record("x"), force=True).id == 2
    assert len(log.records) == 3


def test_contexts_have_ids_of_their_own(log: RegistryLog) -> None:
    log.register("a", '"string"')
    assert log.register(":.c:a", '"int"')[:3] == (":.c:a", 1, 1)
    assert log.state.contexts() == [".", ".c"]
    with refused(42211):
        log.append(delete_context(log.state, ".c"))
    for permanent in (False, True):
        log.append(delete_subject(log.state, ":.c:a", permanent=permanent).writes)
    log.append(delete_context(log.state, ".c"))
    assert log.state.contexts() == ["."]


def test_an_incompatible_schema_is_refused_with_its_reason(log: RegistryLog) -> None:
    log.register("a", record("x"))
    with refused(409, "READER_FIELD_MISSING_DEFAULT_VALUE.*oldSchemaVersion: 1"):
        log.register("a", record("x", "y"))
    configure(log, "a", compatibility_level="FORWARD")
    assert log.register("a", record("x", "y")).version == 2
    with refused(409):
        log.register("a", record("y"))
    configure(log, "a", compatibility_level="NONE")
    assert log.register("a", '"int"').version == 3


@pytest.mark.parametrize(("level", "passes"), [("BACKWARD", True), ("BACKWARD_TRANSITIVE", False)])
def test_all_versions_count_where_the_level_is_transitive(log: RegistryLog, level: str, passes: bool) -> None:
    log.register("a", record("x"))
    log.register("a", '"int"', force=True)
    configure(log, "a", compatibility_level=level)
    if passes:
        assert log.register("a", '"long"').version == 3
    else:
        with refused(409, "oldSchemaVersion: 1"):
            log.register("a", '"long"')


def test_a_group_of_versions_is_compatible_within_itself(log: RegistryLog) -> None:
    configure(log, None, compatibility_group="application.major.version")

    def register(text: str, major: str) -> int:
        metadata = read_metadata({"properties": {"application.major.version": major}})
        return log.register("a", text, metadata=metadata).version

    register(record("x"), "1")
    assert register('"int"', "2") == 2
    with refused(409):
        register(record("x", "y"), "1")


@pytest.mark.parametrize("text", ["", "{", '"nothing"', '{"type": "record"}'])
def test_what_is_no_schema_is_refused(log: RegistryLog, text: str) -> None:
    with refused(42201):
        log.register("a", text)
    assert not log.records


def test_references_are_resolved_by_name_and_protect_what_they_refer_to(log: RegistryLog) -> None:
    log.register("inner", record("x", name="Inner"))
    outer = '{"type":"record","name":"Outer","fields":[{"name":"i","type":"Inner"}]}'
    with refused(42201):
        log.register("outer", outer)
    with refused(42201, "No schema reference found"):
        log.register("outer", outer, references=(Reference("Inner", "inner", 2),))
    made = log.register("outer", outer, references=(Reference("Inner", "inner", -1),))
    assert made.content.references == (Reference("Inner", "inner", 1),)
    with refused(42206):
        delete_version(log.state, "inner", 1, permanent=False)
    with refused(42206):
        delete_subject(log.state, "inner", permanent=False)
    log.append(delete_subject(log.state, "outer", permanent=False).writes)
    log.append(delete_subject(log.state, "inner", permanent=False).writes)
    with refused(42206):
        delete_subject(log.state, "inner", permanent=True)


def test_what_refers_and_is_deleted_is_in_the_way_of_removal_alone(log: RegistryLog) -> None:
    log.register("inner", record("x", name="Inner"))
    outer = '{"type":"record","name":"Outer","fields":[{"name":"i","type":"Inner"}]}'
    log.register("outer", outer, references=(Reference("Inner", "inner", 1),))
    log.append(delete_version(log.state, "outer", 1, permanent=False).writes)
    log.append(delete_version(log.state, "inner", 1, permanent=False).writes)
    with refused(42206):
        delete_version(log.state, "inner", 1, permanent=True)
    # It comes back as a new version; the old one is still referred to, and stays.
    assert log.register("inner", record("x", name="Inner")).version == 2
    assert [each.value.version for each in log.state.versions("inner")] == [1, 2]


def test_what_a_schema_names_itself_goes_before_what_others_name(log: RegistryLog) -> None:
    log.register("one", record("x", name="Shared"))
    log.register("two", record("x", "y", name="Shared"), force=True)
    middle = '{"type":"record","name":"Middle","fields":[{"name":"s","type":"Shared"}]}'
    log.register("middle", middle, references=(Reference("Shared", "one", 1),))
    parser = log.parser
    references = (Reference("Middle", "middle", 1), Reference("Shared", "two", 1))
    outer = '{"type":"record","name":"Outer","fields":[{"name":"m","type":"Middle"}]}'
    for order in (references, references[::-1]):
        parsed = parser.parse(log.state, "outer", SchemaType.AVRO, outer, order)
        assert '"y"' in parsed.schema.references["Shared"]


def test_a_schema_is_found_with_its_references_written_out(log: RegistryLog) -> None:
    inner = json.loads(record("x", name="Inner"))
    log.register("inner", json.dumps(inner))
    outer = {"type": "record", "name": "Outer", "fields": [{"name": "i", "type": "Inner"}]}
    made = log.register("outer", json.dumps(outer), references=(Reference("Inner", "inner", 1),))
    whole = json.dumps({**outer, "fields": [{"name": "i", "type": inner}]})
    found = log.lookup("outer", whole)
    assert found is not None
    assert found.value.id == made.id
    assert log.register("outer", whole) == made


def test_a_deleted_schema_comes_back_with_its_id(log: RegistryLog) -> None:
    log.register("a", '"int"')
    log.append(delete_version(log.state, "a", -1, permanent=False).writes)
    assert log.lookup("a", '"int"') is None
    found = log.lookup("a", '"int"', deleted=True)
    assert found is not None
    assert found.value.id == 1
    assert log.register("a", '"int"')[1:3] == (2, 1)
    assert [each.value.version for each in log.state.versions("a")] == [2]


def test_deleting_in_the_wrong_order_is_refused(log: RegistryLog) -> None:
    log.register("a", '"int"')
    log.register("a", '"long"')
    for code, version, permanent in ((40407, 1, True), (40402, 3, False)):
        with refused(code):
            delete_version(log.state, "a", version, permanent=permanent)
    with refused(40405):
        delete_subject(log.state, "a", permanent=True)
    with refused(40401):
        delete_subject(log.state, "b", permanent=False)
    with refused(40401):
        delete_version(log.state, "b", 1, permanent=False)
    log.append(delete_version(log.state, "a", 1, permanent=False).writes)
    with refused(40406):
        delete_version(log.state, "a", 1, permanent=False)
    assert delete_subject(log.state, "a", permanent=False).versions == [2]
    log.append(delete_subject(log.state, "a", permanent=False).writes)
    with refused(40404):
        delete_subject(log.state, "a", permanent=False)
    assert delete_subject(log.state, "a", permanent=True).versions == [1, 2]


def test_config_and_mode_go_with_the_last_version(log: RegistryLog) -> None:
    log.register("a", '"int"')
    configure(log, "a", compatibility_level="FULL")
    log.append(set_mode(log.state, "a", Mode.READWRITE, force=False))
    log.append(delete_version(log.state, "a", 1, permanent=False).writes)
    assert log.state.config("a") is not None
    log.append(delete_version(log.state, "a", 1, permanent=True).writes)
    assert log.state.config("a") is None
    assert log.state.mode("a") is None


def test_read_only_is_read_only(log: RegistryLog) -> None:
    log.register("a", '"int"')
    log.append(set_mode(log.state, None, Mode.READONLY, force=False))
    with refused(42205, "read-only"):
        log.register("a", '"long"')
    for call in (
        lambda: delete_subject(log.state, "a", permanent=False),
        lambda: delete_version(log.state, "a", 1, permanent=False),
        lambda: update_config(log.state, "a", Config(), []),
    ):
        with refused(42205):
            call()
    log.append(set_mode(log.state, "a", Mode.READWRITE, force=False))
    assert log.register("a", '"long"').version == 2
    log.append(delete_mode(log.state, None, recursive=True))
    assert log.state.mode("a") is None
    with refused(42205, "not in import mode"):
        log.register("a", '"string"', id=9)


def test_an_import_begins_with_nothing(log: RegistryLog) -> None:
    log.register("a", '"int"')
    with refused(42205, "existing subjects"):
        set_mode(log.state, None, Mode.IMPORT, force=False)
    log.append(delete_subject(log.state, "a", permanent=False).writes)
    log.append(set_mode(log.state, "a", Mode.IMPORT, force=False))
    assert log.state.versions("a") == []
    log.restart(compacted=True)
    assert log.state.highest_id(".") == 1


def test_metadata_and_rules_come_from_before_and_from_the_config(log: RegistryLog) -> None:
    owner = read_metadata({"properties": {"owner": "me"}})
    rules = read_rule_set({"domainRules": [{"name": "r", "type": "CEL"}]})
    configure(log, "a", default_metadata=read_metadata({"properties": {"team": "t", "owner": "nobody"}}))
    first = log.register("a", '"int"', metadata=owner, rules=rules)
    assert first.content.metadata == Metadata(properties=(("owner", "me"), ("team", "t")))
    second = log.register("a", '"long"')
    assert second.content[3:] == first.content[3:]
    assert log.register("a", '"int"').id == first.id
    found = log.lookup("a", '"int"')
    assert found is not None
    assert found.value.id == first.id
    assert log.register("a", "", metadata=read_metadata({"properties": {"owner": "you"}})).version == 3
    log.append(delete_config(log.state, "a"))
    with refused(40401):
        delete_config(log.state, "a")


def test_a_version_may_be_asked_for(log: RegistryLog) -> None:
    assert log.register("a", '"int"', version=1).version == 1
    with refused(42201, "not one more"):
        log.register("a", '"long"', version=3)
    second = log.register("a", '"long"', version=-1)
    assert second.version == 2
    assert second.content.metadata == Metadata(properties=(("confluent:version", "2"),))


@pytest.mark.parametrize("subject", ["a\n", "\x85", "__GLOBAL", ":.__GLOBAL:a", "x" * 11])
def test_names_that_are_no_subjects(subject: str) -> None:
    with refused(42208):
        check_subject(subject, 10 if len(subject) == 11 else 100)


def test_names_that_are_subjects() -> None:
    for subject in ("a", "ü/ö", ":.c:a", "a b", ":x"):
        check_subject(subject, 100)
    check_subject(":.__GLOBAL:", 100, of_config=True)
