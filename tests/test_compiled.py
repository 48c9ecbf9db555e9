"""The optional compiled build: what its wheel holds, and that modules keep clear of what mypyc gets wrong."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ottla.cli.main import run
from ottla.client.columns.implementation import IMPLEMENTATION
from ottla.compiled import is_compiled

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]

COMPILED = bool(os.environ.get("OTTLA_TEST_COMPILED"))
"""Set by `./dev compiled`."""

PURE_CALLS = {"len", "min", "max", "bisect_left", "bisect_right", "self.floor"}
NEVER_NATIVE = {"NamedTuple", "Protocol", "IntEnum", "Enum"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _path(module: str) -> Path:
    return ROOT / "src" / f"{module.replace('.', '/')}.py"


def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text())


def _functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def test_compiled_modules_are_used_where_they_are_to_be_tested() -> None:
    assert [module for module in MODULES if is_compiled(module) != COMPILED] == []


def test_the_version_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    said = capsys.readouterr().out
    assert f"(requests {'compiled' if COMPILED else 'plain'}, columns {IMPLEMENTATION.NAME})" in said


def test_the_environment_asks_for_plain_columns() -> None:
    command = [sys.executable, "-m", "ottla", "--version"]
    said = subprocess.check_output(command, env={**os.environ, "OTTLA_COLUMNS": "plain"}, text=True)
    assert "columns plain)" in said


# -- What mypyc gets wrong without a word: see docs/compiled.md


@pytest.mark.parametrize("module", MODULES)
def test_bounds_of_slices_call_nothing_that_may_not_be_called_twice(module: str) -> None:
    found = [
        ast.unparse(node)
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.Slice)
        for bound in (node.lower, node.upper)
        if bound is not None and any(_may_have_effects(part) for part in ast.walk(bound))
    ]
    assert not found


def _may_have_effects(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) not in PURE_CALLS
    return isinstance(node, ast.Await | ast.NamedExpr)


@pytest.mark.parametrize("module", MODULES)
def test_each_kind_of_exception_has_a_name_of_its_own(module: str) -> None:
    found = []
    for function in _functions(_tree(module)):
        kinds: dict[str, set[str]] = defaultdict(set)
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and node.name and node.type:
                kinds[node.name].add(ast.unparse(node.type))
        found += [f"{function.name}: {name}" for name, types in kinds.items() if len(types) > 1]
    assert not found


@pytest.mark.parametrize("module", MODULES)
def test_what_was_set_to_none_is_not_read_again_by_the_same_function(module: str) -> None:
    found = []
    for function in _functions(_tree(module)):
        cleared = dict(_set_to_none(function))
        found += [
            f"{function.name}: {ast.unparse(node)}"
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and node.lineno > cleared.get(ast.unparse(node), node.lineno)
        ]
    assert not found


def _set_to_none(function: Function) -> Iterator[tuple[str, int]]:
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs: list[tuple[ast.expr, ast.expr]] = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for each, value in pairs:
                if isinstance(each, ast.Attribute) and ast.unparse(value) == "None":
                    yield ast.unparse(each), node.lineno


def test_compiled_classes_have_no_subclasses_elsewhere() -> None:
    compiled = {
        node.name
        for module in MODULES
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.ClassDef) and not NEVER_NATIVE & {ast.unparse(base) for base in node.bases}
    }
    assert len(compiled) > 20
    sources = set((ROOT / "src").rglob("*.py")) - {_path(module) for module in MODULES}
    found = [
        f"{path.name}: {node.name}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and compiled & {ast.unparse(base) for base in node.bases}
    ]
    assert not found


# -- The build, of a project with one module


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    shutil.copy(ROOT / "hatch_build.py", folder)
    package = folder / "src" / "tiny"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sums.py").write_text("def double(number: int) -> int:\n    return 2 * number\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "tiny"\nversion = "1"\nrequires-python = ">=3.11"\n'
        '[tool.hatch.build]\ndev-mode-dirs = ["src"]\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["src/tiny"]\n'
        '[tool.hatch.build.targets.wheel.hooks.custom]\ncompiler = ["mypy"]\nmodules = ["tiny.sums"]\n'
    )
    return folder


def _hatchling(call: str, folder: Path, asked: str | None, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OTTLA_COMPILE"}
    environment |= variables
    if asked is not None:
        environment["OTTLA_COMPILE"] = asked
    command = [sys.executable, "-c", f"from hatchling import build; print(build.{call})"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("asked", [None, "", "0"])
def test_a_wheel_is_pure_unless_asked_otherwise(project: Path, asked: str | None) -> None:
    assert _hatchling("get_requires_for_build_wheel()", project, asked) == "[]"
    assert _hatchling("build_wheel('pure')", project, asked) == "tiny-1-py3-none-any.whl"


def test_an_editable_install_stays_as_its_sources_are(project: Path) -> None:
    assert _hatchling("build_editable('editable')", project, "1") == "tiny-1-py3-none-any.whl"


needs_compiler = pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc")), reason="there is no C compiler"
)


@needs_compiler
def test_compiled_modules_lie_beside_their_sources_which_stand_in_for_them(
    project: Path, tmp_path: Path
) -> None:
    assert _hatchling("get_requires_for_build_wheel()", project, "1") == "['mypy']"
    wheel = _hatchling("build_wheel('compiled')", project, "1")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert wheel.startswith(f"tiny-1-{tag}-{tag}-")
    with zipfile.ZipFile(project / "compiled" / wheel) as packed:
        packed.extractall(tmp_path)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    libraries = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.so")}
    assert libraries == {f"tiny__mypyc{suffix}", f"tiny/sums{suffix}"}
    command = [sys.executable, "-c", "import tiny.sums as sums; print(sums.double(21), sums.__file__)"]
    for _ in range(2):
        answer, file = subprocess.check_output(command, cwd=tmp_path, text=True).split()
        assert answer == "42"
        assert file.endswith(suffix if libraries else "sums.py")
        for library in libraries:
            # As another Python, or another machine, sees it: no compiled file is for it.
            (tmp_path / library).rename(tmp_path / f"{library}.other")
        libraries = set()


# -- The extension in C, likewise

ANSWER = """
#include <Python.h>
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "answer", .m_doc = "42", .m_slots = slots};
PyMODINIT_FUNC PyInit_answer(void) { return PyModuleDef_Init(&module); }
"""
READ_ANSWER = "import importlib; print(importlib.import_module('tiny.answer').__doc__)"


@pytest.fixture
def with_extension(project: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("compiled", "pure", "editable"))
    with (folder / "pyproject.toml").open("a") as settings:
        settings.write('extensions = [{ module = "tiny.answer", sources = "src/tiny/native" }]\n')
    native = folder / "src" / "tiny" / "native"
    native.mkdir()
    (native / "answer.c").write_text(ANSWER)
    return folder


def _answer(folder: Path) -> str:
    return subprocess.check_output([sys.executable, "-c", READ_ANSWER], cwd=folder, text=True).strip()


@needs_compiler
def test_the_extension_is_in_a_wheel_for_all_newer_pythons(with_extension: Path, tmp_path: Path) -> None:
    wheel = _hatchling("build_wheel('wheel')", with_extension, None)
    assert wheel.startswith("tiny-1-cp311-abi3-")
    with zipfile.ZipFile(with_extension / "wheel" / wheel) as packed:
        assert "tiny/answer.abi3.so" in packed.namelist()
        packed.extractall(tmp_path / "unpacked")
    assert _answer(tmp_path / "unpacked") == "42"


@needs_compiler
def test_the_extension_lies_beside_its_sources_in_an_editable_install(with_extension: Path) -> None:
    assert _hatchling("build_editable('wheel')", with_extension, None) == "tiny-1-py3-none-any.whl"
    assert _answer(with_extension / "src") == "42"


@needs_compiler
def test_the_checkout_is_compiled_again_when_a_source_has_changed(with_extension: Path) -> None:
    command = [sys.executable, "hatch_build.py"]
    source = with_extension / "src" / "tiny" / "native" / "answer.c"
    library = with_extension / "src" / "tiny" / "answer.abi3.so"
    subprocess.run(command, cwd=with_extension, check=True)
    assert _answer(with_extension / "src") == "42"
    first = library.stat().st_mtime_ns
    subprocess.run(command, cwd=with_extension, check=True)
    assert library.stat().st_mtime_ns == first
    source.write_text(ANSWER.replace('"42"', '"43"'))
    subprocess.run(command, cwd=with_extension, check=True)
    assert _answer(with_extension / "src") == "43"
    source.write_text("no C")
    done = subprocess.run(command, cwd=with_extension, check=True, capture_output=True, text=True)
    assert "tiny.answer is not compiled, plain Python is used" in done.stderr
    assert not library.exists()


@pytest.mark.parametrize("what", ["nothing is to be compiled", "no compiler", "an error"])
def test_an_install_goes_on_without_the_extension(with_extension: Path, what: str) -> None:
    if what == "an error":
        (with_extension / "src" / "tiny" / "native" / "answer.c").write_text("no C")
    asked = "0" if what == "nothing is to be compiled" else None
    variables = {"PATH": "/nowhere"} if what == "no compiler" else {}
    for call in ("build_wheel('wheel')", "build_editable('wheel')"):
        assert _hatchling(call, with_extension, asked, **variables) == "tiny-1-py3-none-any.whl"
    assert not list(with_extension.rglob("*.so*"))
