"""The layers of the code base: imports point downward only, and the pinned stack starts.

Each test collects every violation, so that one run shows them all.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"schemas"},
    {
        "argus.errors",
        "argus.files",
        "argus.runs",
        "argus.config",
        "argus.environment",
        "argus.pixels",
    },
    {"argus.sphere", "argus.media"},
    {"argus.synth", "argus.dataset", "argus.poses", "argus.networks"},
    {"argus.curate", "argus.diffusion"},
    {"argus.train", "argus.infer", "argus.evaluate"},
    {"argus.report", "argus.registry"},
    {"ray_jobs"},
    {"flows"},
    {"argus.cli"},
]
"""Lowest first. A module may import its own layer and those below it."""

FORBIDDEN = {
    "argus": {"ray", "prefect"},
    "ray_jobs": {"prefect"},
    "flows": {"torch", "diffusers", "transformers", "cv2"},
    "schemas": {"torch", "ray", "prefect", "mlflow", "numpy"},
}
"""Frameworks that a top-level package may not import. `argus.cli` may import all of them."""

HEAVY = {"torch", "diffusers", "transformers", "cv2", "ray", "prefect", "mlflow", "pyarrow"}


def list_modules() -> dict[str, Path]:
    tops = ("schemas", "argus", "ray_jobs", "flows")
    files = [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}


MODULES = list_modules()


def list_imports(module: str) -> Iterator[str]:
    """Yield every name that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{a.name}" for a in node.names)


def layer_of(name: str) -> int | None:
    """Return the layer of a module or of a name in one; None for third-party names."""
    for number, packages in enumerate(LAYERS):
        if any(name == package or name.startswith(package + ".") for package in packages):
            return number
    return None


def module_of(name: str) -> str | None:
    """Return the module of this project that holds an imported name."""
    return (
        name
        if name in MODULES
        else name.rpartition(".")[0]
        if name.rpartition(".")[0] in MODULES
        else None
    )


def check_loads(code: str, absent: set[str]) -> None:
    check = f"import sys\n{code}\nfound = {absent!r} & set(sys.modules)\nassert not found, found"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def test_imports_point_downward() -> None:
    violations = []
    for module in MODULES:
        if module == "argus":
            continue  # the public face, which is lazy: tests/test_faces.py
        own = layer_of(module)
        if own is None:
            violations.append(f"{module} is in no layer: add it to LAYERS")
            continue
        for name in list_imports(module):
            if name.startswith("."):
                violations.append(f"{module} imports {name} relatively")
            elif (layer_of(name) or 0) > own:
                violations.append(f"{module} (layer {own}) imports {name}")
    assert not violations, "\n".join(violations)


def test_frameworks_stay_in_their_layers() -> None:
    violations = []
    for module in MODULES:
        roots = {name.partition(".")[0] for name in list_imports(module)}
        if not module.startswith("argus.cli"):
            forbidden = roots & FORBIDDEN[module.partition(".")[0]]
            violations += [f"{module} imports {root}" for root in sorted(forbidden)]
        if "mlflow" in roots and not module.startswith("argus.registry"):
            violations.append(f"{module} imports mlflow; only argus.registry may")
    assert not violations, "\n".join(violations)


def test_no_imports_form_a_circle() -> None:
    graph = {
        module: {
            found for name in list_imports(module) if (found := module_of(name)) and found != module
        }
        for module in MODULES
    }
    remaining = dict(graph)
    while leaves := [
        module for module, needed in remaining.items() if not needed & remaining.keys()
    ]:
        for module in leaves:
            del remaining[module]
    needed_by_others = {name for needed in remaining.values() for name in needed}
    assert not remaining, sorted(needed_by_others & remaining.keys())


def test_class_names_are_unique() -> None:
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    assert not {name: modules for name, modules in places.items() if len(modules) > 1}


def test_flows_start_without_torch() -> None:
    flows = [module for module in MODULES if module.startswith("flows")]
    absent = {"torch", "diffusers", "transformers", "cv2"}
    check_loads("\n".join(f"import {module}" for module in flows), absent)


def test_the_command_line_starts_light() -> None:
    check_loads("import argus.cli", HEAVY)


def test_the_job_client_starts_light() -> None:
    check_loads("import ray_jobs.client", HEAVY)


def test_the_pinned_stack_starts() -> None:
    """A broken pin shows here first: every part is imported in one process."""
    check_loads(
        "import torch, diffusers, transformers, ray.train.torch, ray.job_submission, prefect, "
        "mlflow.pyfunc, pyarrow, deltalake, decord, av, cv2, skimage, scipy, yt_dlp, "
        "imageio_ffmpeg, fastapi\n"
        "from diffusers import UNetSpatioTemporalConditionModel, StableVideoDiffusionPipeline, "
        "AutoencoderKLTemporalDecoder\n"
        "from prefect.server.api.server import create_app",
        {"torchvision"},
    )
