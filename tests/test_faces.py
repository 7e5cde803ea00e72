"""Package faces: `import argus` is cheap and complete, and code uses packages by exported names."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

import argus

ROOT = Path(__file__).parent.parent
FACE = ROOT / "argus"
SINGLE_MODULES = frozenset({"argus.config", "argus.errors", "argus.pixels", "argus.runs"})
"""Modules of the package argus itself that are imported by their own name."""


def parse_exports(package: Path) -> set[str]:
    """Return the names in `__all__` of a package's stub, or of its __init__.py."""
    stub = package / "__init__.pyi"
    source = stub if stub.exists() else package / "__init__.py"
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return set(ast.literal_eval(node.value))
    return set()


def list_sources() -> Iterator[Path]:
    """Yield the files whose imports are checked."""
    for top in ("argus", "ray_jobs", "flows", "schemas", "benchmarks", "tests"):
        yield from sorted((ROOT / top).rglob("*.py"))


def top_package(module: str) -> str:
    """Return "argus.X" of a module in it."""
    return ".".join(module.split(".")[:2])


def list_imports(file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield (line, module, name) of every import of argus, also of those inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "argus":
            for alias in node.names:
                yield node.lineno, str(node.module), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("argus."):
                    yield node.lineno, alias.name, ""


def find_violation(module: str, name: str) -> str:
    """Return what is wrong with an import from outside, or an empty text."""
    path = ROOT / Path(*module.split("."))
    if module in SINGLE_MODULES:
        return ""
    if name and (path / name / "__init__.py").exists():
        return ""  # a sub-package
    if not path.is_dir():
        return f"{module} is a module file"
    if name and name not in parse_exports(path):
        return f"{name} is not exported by {module}"
    return ""


def is_inside(file: Path, module: str) -> bool:
    """Return True if a file belongs to the top-level package of a module, or tests it."""
    own = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    package = top_package(module)
    mirrored = f"tests.{package.removeprefix('argus.')}"
    return f"{own}.".startswith((f"{package}.", f"{mirrored}."))


def test_packages_are_used_through_their_faces() -> None:
    violations = [
        f"{file.relative_to(ROOT)}:{line}: {violation}"
        for file in list_sources()
        for line, module, name in list_imports(file)
        if not is_inside(file, module) and (violation := find_violation(module, name))
    ]
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("package", sorted(path.parent for path in FACE.rglob("__init__.pyi")))
def test_every_exported_name_resolves(package: Path) -> None:
    module = importlib.import_module(".".join(package.relative_to(ROOT).parts))
    assert set(module.__all__) == parse_exports(package)
    assert set(dir(module)) >= set(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_importing_argus_loads_nothing_heavy() -> None:
    code = (
        "import argus, sys; dir(argus), argus.__version__, argus.InvalidInput\n"
        "heavy = {'torch', 'cv2', 'pyarrow', 'mlflow', 'numpy', 'av', 'ray', 'prefect'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_package_is_typed_and_versioned() -> None:
    assert argus.__version__ == version("argus-360")
    assert files("argus").joinpath("py.typed").is_file()
    assert {"erp_to_view", "open_video", "Dataset", "generate_video"} <= set(dir(argus))
