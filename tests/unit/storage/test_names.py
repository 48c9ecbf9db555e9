"""Names of folders and files, as Kafka spells them."""

from __future__ import annotations

import pytest

from ottla.storage.names import (
    FOLDER_DELETED,
    FOLDER_FUTURE,
    FOLDER_STRAY,
    LogFolder,
    folder_aside,
    log_folder,
    offset_of,
    parse_log_folder,
)

UNIQUE_ID = "0" * 32


@pytest.mark.parametrize("topic", ["t", "a-b.c_d", "x-0", "1-2", "a.b-delete", "a.b-0.c-stray", "t" * 249])
@pytest.mark.parametrize("partition", [0, 10, 2**31 - 1])
def test_folders_say_whose_they_are(topic: str, partition: int) -> None:
    assert log_folder(topic, partition) == f"{topic}-{partition}"
    assert parse_log_folder(log_folder(topic, partition)) == LogFolder(topic, partition)
    for suffix in (FOLDER_DELETED, FOLDER_FUTURE, FOLDER_STRAY):
        name = folder_aside(topic, partition, UNIQUE_ID, suffix)
        assert len(name) <= 255
        found = parse_log_folder(name)
        assert found is not None
        assert (found.partition, found.suffix) == (partition, suffix)
        assert topic.startswith(found.topic)
        assert found.topic == topic or len(name) == 255


def test_they_are_spelt_as_kafka_spells_them() -> None:
    assert folder_aside("a.b", 3, "9f79106a2b3346ab9606bfe18a72f9a7", FOLDER_FUTURE) == (
        "a.b-3.9f79106a2b3346ab9606bfe18a72f9a7-future"
    )
    assert parse_log_folder("t-3.9f79106a2b3346ab9606bfe18a72f9a7-delete") == LogFolder("t", 3, "-delete")


@pytest.mark.parametrize(
    "name",
    ["", "t", "t-", "-0", "t-x", "t-\u0663", "meta.properties", "t-0.x-other", "t.x-delete", "t-0-delete"],
)
def test_other_names_are_no_logs(name: str) -> None:
    assert parse_log_folder(name) is None


def test_a_file_has_its_offset_in_front() -> None:
    assert offset_of("00000000000000000042.log.swap") == 42
    for name in (
        "0000000000000000042.log",
        "00000000000000000042",
        "0000000000000000004x.log",
        "leader-epoch",
    ):
        assert offset_of(name) is None
