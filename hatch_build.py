"""Compiles what is compiled when Ottla is installed, as pyproject.toml has it under
`tool.hatch.build.targets.wheel.hooks.custom`:

- the extensions written in C, wherever there is a compiler: in seconds, also for an editable install, where
  they lie beside their sources. Where that fails, the install goes on, since plain Python stands in for them.
- with `OTTLA_COMPILE=1`, the modules that handle requests, with mypyc (docs/compiled.md).

`OTTLA_COMPILE=0` compiles nothing. `python hatch_build.py` compiles the extensions of this checkout that are
out of date; `python hatch_build.py FOLDER FLAG...` all of them into a folder, with flags for the compiler.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ABI = "cp311"  # the oldest Python that the extension is for; it fits all newer ones
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-DPy_LIMITED_API=0x030B0000")


def _is_asked_for() -> bool:
    return os.environ.get("OTTLA_COMPILE", "") not in {"", "0"}


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook."""

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        return list(self.config["compiler"]) if _is_asked_for() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the results packed; those of an editable install stay beside their sources."""
        if os.environ.get("OTTLA_COMPILE") == "0":
            return
        extensions = self.config.get("extensions", [])
        if version == "editable":
            for extension in extensions:
                self._compile_extension(extension, _beside_sources(Path(self.root), extension))
            return
        self._output = TemporaryDirectory(prefix="ottla-compiled-")
        libraries = Path(self._output.name, "lib")
        for extension in extensions:
            library = libraries / _beside_sources(Path(), extension).relative_to("src")
            if self._compile_extension(extension, library) and not _is_asked_for():
                build_data["tag"] = f"{ABI}-abi3-{_platform()}"
        if _is_asked_for():
            _compile_modules(
                self.metadata.name,
                [f"src/{module.replace('.', '/')}.py" for module in self.config["modules"]],
                Path(self._output.name, "c"),
                libraries,
            )
            build_data["infer_tag"] = True
        for library in libraries.rglob("*.so"):
            build_data["force_include"][str(library)] = str(library.relative_to(libraries))
            build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is in the wheel now."""
        if hasattr(self, "_output"):
            self._output.cleanup()

    def _compile_extension(self, extension: dict[str, str], library: Path) -> bool:
        failure = compile_extension(Path(self.root, extension["sources"]), library)
        if failure:
            self.app.display_warning(_note(extension, failure))
        return not failure


def _note(extension: dict[str, str], failure: str) -> str:
    return f"{extension['module']} is not compiled, plain Python is used: {failure}"


def _beside_sources(root: Path, extension: dict[str, str]) -> Path:
    return root / "src" / f"{extension['module'].replace('.', '/')}.abi3.so"


def _platform() -> str:
    """The plain tag of this machine, as hatchling infers it."""
    from packaging.tags import platform_tags

    return next(tag for tag in platform_tags() if not tag.startswith(("manylinux", "musllinux")))


def compile_extension(sources: Path, library: Path, *flags: str) -> str:
    """Compile the C files in `sources` into `library`; what went wrong, or nothing."""
    library.parent.mkdir(parents=True, exist_ok=True)
    made = library.with_name(f"{library.name}.{os.getpid()}")
    configured = shlex.split(sysconfig.get_config_var("LDSHARED") or "cc -shared")
    arguments = [
        *shlex.split(sysconfig.get_config_var("CCSHARED") or "-fPIC"),
        *FLAGS,
        *flags,
        f"-I{sysconfig.get_paths()['include']}",
        *map(str, sorted(sources.glob("*.c"))),
        *("-o", str(made)),
    ]
    failure = "there is no C compiler"
    for compiler in (os.environ.get("CC"), configured[0], "cc"):
        if not compiler:
            continue
        try:
            command = [*shlex.split(compiler), *configured[1:], *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            made.replace(library)  # in one step, for whoever imports it just now
            return ""
        made.unlink(missing_ok=True)
        failure = f"{compiler} says {(done.stderr or done.stdout).strip()[:2000]}"
    return failure


def _compile_modules(name: str, sources: list[str], c_folder: Path, libraries: Path) -> None:
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


def _compile_checkout(arguments: list[str]) -> None:
    root = Path(__file__).parent
    project = tomllib.loads((root / "pyproject.toml").read_text())
    for extension in project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["extensions"]:
        sources = root / extension["sources"]
        library = _beside_sources(root, extension)
        if arguments:
            library = Path(arguments[0], library.name)
        newest = max(path.stat().st_mtime for path in (*sources.iterdir(), Path(__file__)))
        if library.exists() and library.stat().st_mtime > newest and not arguments:
            continue
        failure = compile_extension(sources, library, *arguments[1:])
        if failure:
            sys.stderr.write(f"{_note(extension, failure)}\n")
            library.unlink(missing_ok=True)  # it would be that of older sources


if __name__ == "__main__":
    _compile_checkout(sys.argv[1:])
