"""A server of S3: Versity's gateway over a folder, where it is installed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pyarrow import fs
from tests.platform.connect.databases import free_port
from tests.platform.connect.services import running

__all__ = ["S3", "s3"]


class S3(NamedTuple):
    """`settings` are those of a connector that uses it."""

    url: str
    system: fs.S3FileSystem

    @property
    def settings(self) -> dict[str, str]:
        return {
            "store.url": self.url, "s3.bucket.name": "bucket", "s3.region": "us-east-1",
            "aws.access.key.id": "ottla", "aws.secret.access.key": "a-secret",
        }  # fmt: skip

    def objects(self, folder: str) -> dict[str, bytes]:
        """By name. Versity's gateway leaves no half of one."""
        selector = fs.FileSelector(f"bucket/{folder}", recursive=True, allow_not_found=True)
        files = [each for each in self.system.get_file_info(selector) if each.type == fs.FileType.File]
        return {each.base_name: self.system.open_input_stream(each.path).read() for each in files}


def _server() -> str:
    beside = Path(sys.executable).with_name("versitygw")
    found = str(beside) if beside.exists() else shutil.which("versitygw")
    if found is None:
        pytest.skip("versitygw is not installed: .ci/run says how")
    return found


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    command, folder, address = _server(), tmp_path_factory.mktemp("s3"), f"127.0.0.1:{free_port()}"
    (folder / "root" / "bucket").mkdir(parents=True)
    system = fs.S3FileSystem(
        access_key="ottla",
        secret_key="a-secret",
        region="us-east-1",
        endpoint_override=address,
        scheme="http",
    )
    environment = {**os.environ, "ROOT_ACCESS_KEY": "ottla", "ROOT_SECRET_KEY": "a-secret"}
    arguments = [command, "--port", address, "--quiet", "posix", str(folder / "root")]
    with running(arguments, folder, lambda: system.get_file_info("bucket"), env=environment):
        yield S3(f"http://{address}", system)
