"""Who imports whom: one way between packages and layers, and no circle of files.

Read from the source, so that imports inside functions and under TYPE_CHECKING count like those at the top.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# package: the other packages that its files may import.  The add-on's copies of `backend/protocol*.py` are links in
# its own folder: it has nothing else of the backend
PACKAGES: dict[str, tuple[str, ...]] = {
    "backend": (),
    "blender_addon": (),
    "training": ("backend",),
    "benchmarks": ("backend", "blender_addon", "training"),
    "assets_build": ("backend", "training"),
    "tools": ("backend", "blender_addon", "training", "benchmarks"),
}

# from the bottom up: a file may import those of its own line and of the lines before.  Patterns as `fnmatch` has them,
# whose `*` also stands for folders; the first that fits decides.  Every file of the three packages is in one
LAYERS: tuple[tuple[str, ...], ...] = (
    ("backend/__init__.py", "backend/protocol*.py", "backend/threads.py"),
    ("backend/errors.py", "backend/geometry/*"),
    ("backend/structures.py", "backend/paths.py", "backend/device.py", "backend/atomic.py"),
    ("backend/media/*",),
    ("backend/body/*",),
    ("backend/people/*",),
    ("backend/models/*", "backend/motion/*", "backend/export/*"),
    ("backend/recovery.py",),
    ("backend/clips/*",),
    ("backend/serving/*",),
    ("backend/cli/*", "backend/__main__.py"),
    ("training/__init__.py", "training/schema.py"),
    ("training/datasets/*", "training/weights/*"),
    ("training/losses/*", "training/evaluation/*", "training/synthetic/*"),
    ("training/preprocessing/*", "training/run/*"),
    ("training/modules/*",),
    ("training/engine/*",),
    ("training/commands/*", "training/__main__.py"),
    ("blender_addon/protocol*.py",),
    ("blender_addon/errors.py", "blender_addon/wrapped_label.py"),
    ("blender_addon/scene/*", "blender_addon/backend/*"),
    ("blender_addon/client/*", "blender_addon/headless.py"),
    ("blender_addon/runtime.py",),
    ("blender_addon/settings/*",),
    ("blender_addon/operators/*",),
    ("blender_addon/ui/*",),
    ("blender_addon/registration.py",),
    ("blender_addon/__init__.py",),
)

# modules from outside: the only packages that may import them
OUTSIDE: dict[str, tuple[str, ...]] = {
    name: ("blender_addon", "benchmarks", "tools")
    for name in ("bpy", "bmesh", "mathutils", "bpy_extras", "gpu", "addon_utils")
}

Graph = dict[str, set[str]]  # file -> files and outside modules that it imports


def files_of(root: Path, packages: Iterable[str]) -> dict[str, Path]:
    """Module -> its file."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(module: str, path: Path) -> Iterator[tuple[str, str]]:
    """(module, name in it or "") of each import of a file, wherever in it."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((source, alias.name) for alias in node.names)


def imports(root: Path, packages: Iterable[str]) -> Graph:
    """File, relative to the root -> what it imports: such files, and the first names of all other modules."""
    files = files_of(root, packages)
    names = {module: path.relative_to(root).as_posix() for module, path in files.items()}
    graph: Graph = {}
    for module, path in files.items():
        mine = graph.setdefault(names[module], set())
        for source, name in imported(module, path):
            target = f"{source}.{name}" if f"{source}.{name}" in files else source
            mine.add(names.get(target, target.split(".")[0]))
        mine.discard(names[module])
    return graph


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The files of one circle, [] where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def package_of(file: str) -> str:
    return file.split("/")[0]


def layer_of(file: str) -> int | None:
    fitting = (k for k, layer in enumerate(LAYERS) for pattern in layer if fnmatch(file, pattern))
    return next(fitting, None)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return imports(ROOT, PACKAGES)


def test_every_file_is_in_a_package(graph):
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= {*PACKAGES, "tests"}
    assert {package_of(file) for file in graph} == set(PACKAGES)


def test_no_circle(graph):
    assert not circle(graph)


def test_packages_import_one_way(graph):
    wrong = [
        f"{file} imports {target}"
        for file, targets in graph.items()
        for target in targets
        if package_of(target) in PACKAGES and package_of(target) not in (package_of(file), *PACKAGES[package_of(file)])
    ]
    assert not wrong


def test_layers_import_downwards(graph):
    files = [file for file in graph if package_of(file) in ("backend", "blender_addon", "training")]
    assert not [file for file in files if layer_of(file) is None]
    wrong = []
    for file in graph:
        for target in graph[file]:
            low, high = layer_of(target), layer_of(file)
            if low is not None and high is not None and low > high:
                wrong.append(f"{file} imports {target}")
    assert not wrong


def test_blender_stays_outside_the_backend(graph):
    wrong = [
        f"{file} imports {name}"
        for file, targets in graph.items()
        for name in targets & OUTSIDE.keys()
        if package_of(file) not in OUTSIDE[name]
    ]
    assert not wrong


def test_nothing_imports_tests(graph):
    own = {"tests", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    assert not [f"{file} imports {name}" for file, targets in graph.items() for name in targets & own]


def test_all_kinds_of_imports_are_read(tmp_path):
    """The reader itself: what it must see, and a circle through a function and TYPE_CHECKING."""
    content = {
        "one/__init__.py": "",
        "one/a.py": "import os.path\nfrom one import b\n",
        "one/b.py": "def late():\n    from one.deep.c import thing\n",
        "one/deep/__init__.py": "from .c import thing\n",
        "one/deep/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..a import thing\n",
        "two/d.py": "import one.deep\nimport bpy\n",
    }
    for name, text in content.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = imports(tmp_path, ("one", "two"))
    assert found == {
        "one/__init__.py": set(),
        "one/a.py": {"os", "one/b.py"},
        "one/b.py": {"one/deep/c.py"},
        "one/deep/__init__.py": {"one/deep/c.py"},
        "one/deep/c.py": {"typing", "one/a.py"},
        "two/d.py": {"one/deep/__init__.py", "bpy"},
    }
    assert set(circle(found)) == {"one/a.py", "one/b.py", "one/deep/c.py"}
    assert not circle({"one/a.py": {"one/b.py"}, "one/b.py": {"os"}})


def test_programs_in_strings_import_what_exists():
    """Programs for other processes, as tools have them in strings: no type checker reads these."""
    files = files_of(ROOT, PACKAGES)
    program_import = rf"^from ((?:{'|'.join(PACKAGES)})\b[\w.]*) import (.+)$"
    imported_names = []
    for path in [*files.values(), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                imported_names += re.findall(program_import, node.value, re.MULTILINE)
    wrong = []
    for module, names in imported_names:
        source = files[module].read_text("utf-8") if module in files else ""
        for name in names.split(", "):
            if f"{module}.{name}" not in files and not re.search(rf"^(def |class |){name}\b", source, re.MULTILINE):
                wrong.append(f"from {module} import {name}")
    assert len(imported_names) >= 3
    assert not wrong


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_pages_name_what_exists(page):
    """`file.py` and `file.py: Class.method`, below the root or one of the packages."""
    named = re.findall(r"`(\w+/[\w/]+\.py)(?:: ([\w.]+))?", (ROOT / page).read_text("utf-8"))
    assert len(named) > 5
    wrong = []
    for file, name in named:
        paths = [ROOT / folder / file for folder in ("", "backend", "blender_addon", "training")]
        found = [path for path in paths if path.is_file()]
        body = ast.parse(found[0].read_text("utf-8")).body if found else []
        for part in filter(None, name.split(".")):
            inner = [node for node in body if getattr(node, "name", "") == part]
            body = getattr(inner[0], "body", []) if inner else []
            found = found if inner else []
        if not found:
            wrong.append(f"{file}: {name}")
    assert not wrong
