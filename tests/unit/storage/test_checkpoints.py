"""Checkpoints and marks of a data folder: Kafka's text, damage, and the lock."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.storage.checkpoints import (
    HIGH_WATERMARKS,
    CleanShutdown,
    CorruptCheckpointError,
    DirectoryLock,
    DirectoryLockedError,
    MetaProperties,
    OffsetCheckpoint,
    decode_entries,
    encode_entries,
    has_partition_metadata,
    read_meta_properties,
    take_clean_shutdown,
    write_clean_shutdown,
    write_meta_properties,
    write_partition_metadata,
)
from ottla.storage.fs import OsFileSystem

KAFKA_META = (
    "#\n#Fri Nov 20 21:09:27 UTC 2026\nnode.id=1\ndirectory.id=2oPjpdSWmBAvFflC6688nA\n"
    "version=1\ncluster.id=HFpJzxSFFZ64c3SZTk7eWw\n"
)
KAFKA_PARTITION_METADATA = "version: 0\ntopic_id: n3kQaiszRquWBr_hinL5pw"
TOPIC_ID = UUID("9f79106a-2b33-46ab-9606-bfe18a72f9a7")


@pytest.fixture
def fs() -> OsFileSystem:
    return OsFileSystem()


class TestOffsets:
    @pytest.fixture
    def checkpoint(self, fs: OsFileSystem, tmp_path: Path) -> OffsetCheckpoint:
        return OffsetCheckpoint(fs, str(tmp_path), HIGH_WATERMARKS)

    def test_kafkas_file_is_read_and_written(self, checkpoint: OffsetCheckpoint, tmp_path: Path) -> None:
        text = "0\n2\n__transaction_state 0 52\nctxn 3 3612\n"
        (tmp_path / HIGH_WATERMARKS).write_text(text)
        offsets = checkpoint.read()
        assert offsets == {("__transaction_state", 0): 52, ("ctxn", 3): 3612}
        (tmp_path / HIGH_WATERMARKS).unlink()
        checkpoint.write(offsets)
        assert (tmp_path / HIGH_WATERMARKS).read_text() == text

    @pytest.mark.parametrize("text", [None, "", "0\n", "0\n0\n"])
    def test_missing_and_empty_files_have_no_offsets(
        self, checkpoint: OffsetCheckpoint, tmp_path: Path, text: str | None
    ) -> None:
        if text is not None:
            (tmp_path / HIGH_WATERMARKS).write_text(text)
        assert checkpoint.read() == {}

    @pytest.mark.parametrize(
        "data",
        [
            b"1\n0\n",
            b"0\n2\nt 0 1\n",
            b"0\n1\nt 0\n",
            b"0\n1\nt x 1\n",
            b"0\n1\nt 0 1 2\n",
            b"0\n-1\n",
            b"0\n1\nt 0 -1\n",
            b"\xff\xfe",
        ],
    )
    def test_damage_is_told_with_the_files_name(
        self, checkpoint: OffsetCheckpoint, tmp_path: Path, data: bytes
    ) -> None:
        (tmp_path / HIGH_WATERMARKS).write_bytes(data)
        with pytest.raises(CorruptCheckpointError, match=HIGH_WATERMARKS):
            checkpoint.read()

    @given(st.binary(max_size=60))
    def test_any_bytes_read_or_are_corrupt(self, data: bytes) -> None:
        try:
            lines = decode_entries(data, "file")
        except CorruptCheckpointError:
            return
        assert decode_entries(encode_entries(lines), "file") == lines


class CrashError(BaseException):
    """The process ends here."""


class CrashingFileSystem(OsFileSystem):
    """Dies at one step of an atomic write, or finds the disk full half-way."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step

    def _write(self, path: str, data: bytes, *, sync: bool) -> None:
        if self._step in ("torn", "full"):
            super()._write(path, data[: len(data) // 2], sync=False)
            raise CrashError if self._step == "torn" else OSError(errno.ENOSPC, "no space left")
        super()._write(path, data, sync=sync)
        if self._step == "written":
            raise CrashError

    def sync_dir(self, path: str) -> None:
        if self._step == "renamed":
            raise CrashError


class TestCrashes:
    @pytest.mark.parametrize(
        ("step", "survivor"), [("torn", 1), ("full", 1), ("written", 1), ("renamed", 2), ("never", 2)]
    )
    def test_a_checkpoint_is_the_old_or_the_new_one(self, tmp_path: Path, step: str, survivor: int) -> None:
        OffsetCheckpoint(OsFileSystem(), str(tmp_path), HIGH_WATERMARKS).write({("t", 0): 1})
        with contextlib.suppress(CrashError, OSError):
            OffsetCheckpoint(CrashingFileSystem(step), str(tmp_path), HIGH_WATERMARKS).write({("t", 0): 2})
        after = OffsetCheckpoint(OsFileSystem(), str(tmp_path), HIGH_WATERMARKS)
        assert after.read() == {("t", 0): survivor}
        after.write({("t", 0): 3})
        assert after.read() == {("t", 0): 3}
        assert [path.name for path in tmp_path.iterdir()] == [HIGH_WATERMARKS]

    @pytest.mark.parametrize("step", ["torn", "written"])
    def test_a_clean_stop_only_counts_when_its_mark_was_completed(self, tmp_path: Path, step: str) -> None:
        with pytest.raises(CrashError):
            write_clean_shutdown(CrashingFileSystem(step), str(tmp_path), 1)
        assert take_clean_shutdown(OsFileSystem(), str(tmp_path)) is None


class TestMetaProperties:
    def test_kafkas_file_is_read(self, fs: OsFileSystem, tmp_path: Path) -> None:
        (tmp_path / "meta.properties").write_text(KAFKA_META)
        assert read_meta_properties(fs, str(tmp_path)) == MetaProperties(
            cluster_id="HFpJzxSFFZ64c3SZTk7eWw", node_id=1, directory_id="2oPjpdSWmBAvFflC6688nA"
        )

    @pytest.mark.parametrize("directory_id", [None, "2oPjpdSWmBAvFflC6688nA"])
    def test_what_is_written_is_read(
        self, fs: OsFileSystem, tmp_path: Path, directory_id: str | None
    ) -> None:
        assert read_meta_properties(fs, str(tmp_path)) is None
        meta = MetaProperties("HFpJzxSFFZ64c3SZTk7eWw", 7, directory_id)
        write_meta_properties(fs, str(tmp_path), meta)
        assert read_meta_properties(fs, str(tmp_path)) == meta

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("version=0\nbroker.id=1\n", "version '0'"),
            ("version=2\ncluster.id=x\nnode.id=1\n", "version '2'"),
            ("version=1\nnode.id=1\n", "cluster.id is missing"),
            ("version=1\ncluster.id=x\nnode.id=one\n", "'one'"),
            ("version=1\nnonsense\n", "nonsense"),
            ("", "version is missing"),
        ],
    )
    def test_damage_is_told(self, fs: OsFileSystem, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "meta.properties").write_text(text)
        with pytest.raises(CorruptCheckpointError, match=message):
            read_meta_properties(fs, str(tmp_path))


class TestPartitionMetadata:
    def test_kafkas_file_is_read_and_written(self, fs: OsFileSystem, tmp_path: Path) -> None:
        path = tmp_path / "partition.metadata"
        assert not has_partition_metadata(fs, str(tmp_path), TOPIC_ID)
        write_partition_metadata(fs, str(tmp_path), TOPIC_ID)
        assert path.read_text() == KAFKA_PARTITION_METADATA
        assert [each.name for each in tmp_path.iterdir()] == ["partition.metadata"]
        for text in (KAFKA_PARTITION_METADATA, KAFKA_PARTITION_METADATA + "\n"):
            path.write_text(text)
            assert has_partition_metadata(fs, str(tmp_path), TOPIC_ID)

    @pytest.mark.parametrize("zeros", [0, 20])
    def test_one_cut_by_a_crash_says_nothing(self, fs: OsFileSystem, tmp_path: Path, zeros: int) -> None:
        for size in range(len(KAFKA_PARTITION_METADATA)):
            text = KAFKA_PARTITION_METADATA[:size] + "\0" * zeros
            (tmp_path / "partition.metadata").write_text(text)
            assert not has_partition_metadata(fs, str(tmp_path), TOPIC_ID)

    @pytest.mark.parametrize("cut", [0, 1, 21])
    def test_even_the_beginning_of_another_id_is_another_topics(
        self, fs: OsFileSystem, tmp_path: Path, cut: int
    ) -> None:
        other = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA"
        (tmp_path / "partition.metadata").write_text(other[: len(other) - cut])
        with pytest.raises(KafkaError) as refused:
            has_partition_metadata(fs, str(tmp_path), TOPIC_ID)
        assert refused.value.code is ErrorCode.inconsistent_topic_id

    @pytest.mark.parametrize(
        "text",
        [
            "version: 1\ntopic_id: n3kQaiszRquWBr_hinL5pw",
            "version: 0\ntopic_id: !!",
            "version: 0\ntopic_id: n3kQaiszRquWBr_hinL5pwAAAA",
            "\xff\xff",
        ],
    )
    def test_what_is_beyond_us_is_told(self, fs: OsFileSystem, tmp_path: Path, text: str) -> None:
        (tmp_path / "partition.metadata").write_text(text)
        with pytest.raises(CorruptCheckpointError, match=r"partition\.metadata"):
            has_partition_metadata(fs, str(tmp_path), TOPIC_ID)


class TestCleanShutdown:
    def test_the_mark_counts_once(self, fs: OsFileSystem, tmp_path: Path) -> None:
        write_clean_shutdown(fs, str(tmp_path), 11)
        assert (tmp_path / ".kafka_cleanshutdown").read_text() == '{"version":0,"brokerEpoch":11}'
        assert take_clean_shutdown(fs, str(tmp_path)) == CleanShutdown(11)
        assert take_clean_shutdown(fs, str(tmp_path)) is None

    @pytest.mark.parametrize("text", ["", "[]", '{"version":0}', '{"brokerEpoch":"x"}'])
    def test_an_older_or_odd_mark_is_still_one(self, fs: OsFileSystem, tmp_path: Path, text: str) -> None:
        (tmp_path / ".kafka_cleanshutdown").write_text(text)
        assert take_clean_shutdown(fs, str(tmp_path)) == CleanShutdown(None)


class TestLock:
    def test_a_second_holder_is_refused_until_release(self, fs: OsFileSystem, tmp_path: Path) -> None:
        first, second = DirectoryLock(fs, str(tmp_path)), DirectoryLock(fs, str(tmp_path))
        first.acquire()
        with pytest.raises(DirectoryLockedError, match=str(tmp_path)):
            second.acquire()
        first.release()
        first.release()
        second.acquire()
        second.release()

    def test_another_process_is_refused(self, fs: OsFileSystem, tmp_path: Path) -> None:
        lock = DirectoryLock(fs, str(tmp_path))
        lock.acquire()
        program = (
            "import sys; from ottla.storage.checkpoints import *; from ottla.storage.fs import OsFileSystem\n"
            "try: DirectoryLock(OsFileSystem(), sys.argv[1]).acquire()\n"
            "except DirectoryLockedError: sys.exit(3)"
        )
        command = [sys.executable, "-c", program, str(tmp_path)]
        assert subprocess.run(command, check=False).returncode == 3
        lock.release()
        assert subprocess.run(command, check=False).returncode == 0
