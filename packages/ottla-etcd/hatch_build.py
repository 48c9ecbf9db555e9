"""Builds the server with Go and packs it into the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EtcdServer(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        go = shutil.which("go")
        if go is None:
            raise RuntimeError("building ottla-etcd needs Go (https://go.dev), and there is none in PATH")
        self._output = TemporaryDirectory(prefix="ottla-etcd-")
        binary = Path(self._output.name, "etcd")
        subprocess.run(
            [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(binary), "."],
            cwd=Path(self.root, "server"),
            env=os.environ | {"CGO_ENABLED": "0"},
            check=True,
        )
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
        build_data["force_include"][str(binary)] = "ottla_etcd/etcd"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._output.cleanup()
