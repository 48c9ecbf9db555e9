"""The state is what the last records of the keys say, in whatever order they are read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.registry.state.registry_log import LogRecord, RegistryLog, everything, replayed

from ottla.registry.state.changes import delete_subject, delete_version, set_mode, update_config
from ottla.registry.state.errors import RegistryError
from ottla.registry.state.records import Config, Mode
from ottla.registry.state.registration import NO_ID

SUBJECTS = ("a", "b", ":.c:a")
TEXTS = ('"string"', '"int"', '"long"', '"bytes"')

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("register", "delete", "delete all", "purge", "purge all", "import", "config")),
        st.sampled_from(SUBJECTS),
        st.integers(0, 3),
    ),
    max_size=25,
)


def step(log: RegistryLog, what: str, subject: str, number: int) -> None:
    state = log.state
    match what:
        case "register":
            log.register(subject, TEXTS[number], force=True)
        case "delete":
            log.append(delete_version(state, subject, number or -1, permanent=False).writes)
        case "purge":
            log.append(delete_version(state, subject, number or -1, permanent=True).writes)
        case "delete all":
            log.append(delete_subject(state, subject, permanent=False).writes)
        case "purge all":
            log.append(delete_subject(state, subject, permanent=True).writes)
        case "import":
            mode = Mode.IMPORT if state.mode(subject) is None else None
            log.append(set_mode(state, subject, mode, force=bool(number)))
        case "config":
            changed = Config(compatibility_level="NONE" if number else None)
            log.append(update_config(state, subject, changed, ["compatibility_level"])[0])


@given(STEPS, st.randoms(use_true_random=False))
def test_the_order_of_reading_means_nothing(steps: list[tuple[str, str, int]], chance: random.Random) -> None:
    log = RegistryLog()
    ids: dict[tuple[str, int], str] = {}
    for what, subject, number in steps:
        try:
            step(log, what, subject, number)
        except RegistryError:
            continue
        for subject_ in log.state.subjects(deleted=True):
            for version in log.state.versions(subject_):
                context = ":.c:" if subject_.startswith(":.c:") else ""
                text = ids.setdefault((context, version.value.id), version.content.text)
                assert text == version.content.text, "one id for two schemas"
        # An id is not given again, whatever was deleted and compacted away.
        if chance.random() < 0.3:
            before = everything(log.state)
            log.restart(compacted=True)
            assert everything(log.state) == before
    expected = everything(log.state)
    for records in (log.records, log.compacted(tombstones=True), log.compacted()):
        assert everything(replayed(records)) == expected
        shuffled = list(records)
        chance.shuffle(shuffled)
        assert everything(replayed(shuffled)) == expected


def test_an_id_is_not_given_again() -> None:
    log = RegistryLog("NONE")
    log.register("a", '"int"')
    assert log.register("a", '"long"').id == 2
    log.append(delete_version(log.state, "a", 2, permanent=False).writes)
    log.append(delete_version(log.state, "a", 2, permanent=True).writes)
    log.restart(compacted=True)
    assert log.register("a", '"string"').id == 3


def test_deletes_do_not_come_back() -> None:
    """Versions deleted with their subject stay so when it is deleted again with a lower last version."""
    log = RegistryLog("NONE")
    for text in TEXTS:
        log.register("a", text)
    log.append(delete_subject(log.state, "a", permanent=False).writes)
    log.append(set_mode(log.state, "a", Mode.IMPORT, force=True))
    log.register("a", '"double"', version=2, id=9)
    assert [each.deleted for each in log.state.versions("a")] == [True, False, True, True]
    log.append(set_mode(log.state, "a", None, force=True))
    log.append(delete_subject(log.state, "a", permanent=False).writes)
    for compacted in (False, True):
        log.restart(compacted=compacted)
        assert [each.deleted for each in log.state.versions("a")] == [True] * 4


def test_a_subject_registered_again_is_not_deleted() -> None:
    log = RegistryLog("NONE")
    log.register("a", '"int"')
    log.append(delete_subject(log.state, "a", permanent=False).writes)
    log.append(delete_subject(log.state, "a", permanent=True).writes)
    assert log.register("a", '"int"').version == 1
    log.restart(compacted=True)
    assert [each.deleted for each in log.state.versions("a")] == [False]
    assert [each.deleted for each in replayed(reversed(log.records)).versions("a")] == [False]


def test_keys_that_older_registries_wrote_go_too() -> None:
    old = LogRecord(0, b'{"keytype":"CONFIG","subject":null,"magic":0}', b'{"compatibilityLevel":"FULL"}')
    log = RegistryLog()
    log.records.append(old)
    log.restart()
    assert log.state.config(None) == Config(compatibility_level="FULL")
    writes, _ = update_config(log.state, None, Config(compatibility_level="NONE"), ["compatibility_level"])
    log.append(writes)
    log.restart(compacted=True)
    assert [each.key for each in log.records] == [b'{"keytype":"CONFIG","magic":0}']
    assert log.state.config(None) == Config(compatibility_level="NONE")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_id_that_another_registry_gave_twice(order: tuple[int, int]) -> None:
    """It stands for what was there first, in whatever order that is read."""
    records = [
        LogRecord(
            at,
            b'{"keytype":"SCHEMA","subject":"%s","version":1,"magic":1}' % subject,
            b'{"subject":"%s","version":1,"id":5,"schema":"%s","deleted":false}' % (subject, text),
        )
        for at, subject, text in ((3, b"a", b"one"), (4, b"b", b"two"))
    ]
    state = replayed(records[each] for each in order)
    assert [each.content.text for each in state.by_id(5, ".")] == ["one"]


def test_records_that_make_no_sense_are_passed_over() -> None:
    key = b'{"keytype":"SCHEMA","subject":"a","version":1,"magic":1}'
    state = replayed([LogRecord(0, b"nonsense", b"{}"), LogRecord(1, key, b'{"id":"x"}')])
    assert state.subjects(deleted=True) == []


def test_ids_of_an_import_are_kept() -> None:
    log = RegistryLog()
    log.append(set_mode(log.state, None, Mode.IMPORT, force=False))
    assert log.register("a", '"int"', id=100, version=7)[1:3] == (7, 100)
    with pytest.raises(RegistryError, match="not permitted"):
        log.register("b", '"long"', id=100)
    assert log.register("b", '"int"', id=100).id == 100
    log.append(set_mode(log.state, None, Mode.READWRITE, force=False))
    assert log.register("c", '"long"', id=NO_ID).id == 101


def test_what_is_gone_takes_no_room() -> None:
    log = RegistryLog()
    for number in range(3):
        log.register("a", TEXTS[number], force=True)
        for permanent in (False, True):
            log.append(delete_subject(log.state, "a", permanent=permanent).writes)
    assert log.state.count_of_subjects() == 0
    log.restart(compacted=True)
    assert log.state.count_of_subjects() == 0
    assert log.register("a", TEXTS[3]).id == 4


@pytest.mark.parametrize("scope", [b'"subject":"a",', b'"subject":"",', b""])
def test_a_cleared_subject_is_gone_without_tombstones(scope: bytes) -> None:
    """As older registries wrote it, in whatever order it is read."""
    records = [
        LogRecord(
            at,
            b'{"keytype":"SCHEMA","subject":"a","version":%d,"magic":1}' % version,
            b'{"subject":"a","version":%d,"id":%d,"schema":"x","deleted":%s}' % (version, at, deleted),
        )
        for at, version, deleted in ((0, 1, b"true"), (2, 2, b"false"))
    ]
    clear = LogRecord(1, b'{"keytype":"CLEAR_SUBJECT",' + scope + b'"magic":0}', b"{}")
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        given_order = [(records[0], clear, records[1])[each] for each in order]
        state = replayed(given_order)
        assert [each.value.version for each in state.versions("a")] == [2]
        assert state.by_id(0, ".") == []
    assert [
        each.value.version for each in replayed(sorted([*records, clear]), in_order=True).versions("a")
    ] == [2]
