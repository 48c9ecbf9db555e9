"""Compiles the modules that handle requests with mypyc, where `OTTLA_COMPILE=1` asks for it.

They are listed in pyproject.toml, under `tool.hatch.build.targets.wheel.hooks.custom`. The wheel then has
them beside their sources and is for one platform and one Python; without the variable it is pure. See
docs/compiled.md.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _is_asked_for() -> bool:
    return os.environ.get("OTTLA_COMPILE", "0") not in {"", "0"}


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook."""

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        return list(self.config["compiler"]) if _is_asked_for() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the results packed. An editable install stays as its sources are."""
        if version == "editable" or not _is_asked_for():
            return
        self._output = TemporaryDirectory(prefix="ottla-compiled-")
        libraries = Path(self._output.name, "lib")
        _compile(
            self.metadata.name,
            [f"src/{module.replace('.', '/')}.py" for module in self.config["modules"]],
            Path(self._output.name, "c"),
            libraries,
        )
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        for library in libraries.rglob(f"*{suffix}"):
            build_data["force_include"][str(library)] = str(library.relative_to(libraries))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is in the wheel now."""
        if build_data["infer_tag"]:
            self._output.cleanup()


def _compile(name: str, sources: list[str], c_folder: Path, libraries: Path) -> None:
    """Compile `sources`, paths from the project's root, into one library and a stub for each module."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    extensions = mypycify(
        # The project's own checks are stricter, and need its dependencies, which are not installed here.
        ["--config-file=", "--ignore-missing-imports", f"--cache-dir={c_folder / 'mypy'}", *sources],
        target_dir=str(c_folder),
        group_name=name,
        opt_level="1",  # as fast as 3 here, for a third of the time to compile
        debug_level="0",
    )
    command = Distribution({"name": name, "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib = str(libraries)
    command.build_temp = str(c_folder)
    command.ensure_finalized()
    command.run()
