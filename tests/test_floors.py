"""The house: imports go downward only, and the stack that is pinned does start."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"schemas"},
    {"argus.errors", "argus.files", "argus.runs", "argus.config"},
    {"argus.sphere", "argus.media"},
    {"argus.synth", "argus.dataset", "argus.networks"},
    {"argus.curate", "argus.diffusion"},
    {"argus.train", "argus.infer", "argus.evaluate"},
    {"argus.report", "argus.registry"},
    {"ray_jobs"},
    {"flows"},
    {"argus.cli"},
]
"""Lowest first. A module may import its own floor and those below."""

FORBIDDEN = {
    "argus": {"ray", "prefect"},
    "ray_jobs": {"prefect"},
    "flows": {"torch", "diffusers", "transformers", "cv2"},
    "schemas": {"torch", "ray", "prefect", "mlflow", "numpy"},
}


def modules() -> list[str]:
    files = [
        path
        for top in ("schemas", "argus", "ray_jobs", "flows")
        for path in sorted((ROOT / top).rglob("*.py"))
    ]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in files
    ]


def file_of(module: str) -> Path:
    path = ROOT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(module: str) -> Iterator[str]:
    """Every import in a file, also those inside functions."""
    for node in ast.walk(ast.parse(file_of(module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(name: str) -> int | None:
    """The floor of a module or of a name in one; None for other people's."""
    for number, rooms in enumerate(FLOORS):
        if any(name == room or name.startswith(room + ".") for room in rooms):
            return number
    return None


@pytest.mark.parametrize("module", modules())
def test_imports_go_downward(module: str) -> None:
    if module == "argus":
        assert set(imported(module)) <= {"importlib.metadata.version", "lazy_loader"}
        return
    own = floor(module)
    assert own is not None, f"{module} is on no floor: give it one in this test"
    above = {name for name in imported(module) if (floor(name) or 0) > own}
    assert not above, f"{module} (floor {own}) imports upward: {sorted(above)}"


@pytest.mark.parametrize("module", modules())
def test_frameworks_stay_on_their_floors(module: str) -> None:
    names = {name.split(".")[0] for name in imported(module)}
    if not module.startswith("argus.cli"):
        assert not names & FORBIDDEN[module.split(".")[0]]
    if "mlflow" in names:
        assert module.startswith("argus.registry"), (
            f"{module} imports mlflow; only argus.registry may"
        )


def check_loads(code: str, *absent: str) -> None:
    check = (
        f"import sys\n{code}\nfound = {set(absent)!r} & set(sys.modules)\nassert not found, found"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_flows_start_without_torch() -> None:
    flows = [module for module in modules() if module.startswith("flows")]
    check_loads(
        "\n".join(f"import {module}" for module in flows),
        "torch",
        "diffusers",
        "transformers",
        "cv2",
    )


def test_the_command_line_starts_light() -> None:
    check_loads(
        "import argus.cli",
        "torch",
        "diffusers",
        "transformers",
        "cv2",
        "ray",
        "prefect",
        "mlflow",
        "pyarrow",
    )


def test_the_pinned_stack_starts() -> None:
    """A broken pin shows here first: every part is imported in one process."""
    check_loads(
        "import torch, diffusers, transformers, ray.train.torch, ray.job_submission, prefect, mlflow.pyfunc, "
        "pyarrow, deltalake, decord, av, cv2, skimage, scipy, yt_dlp, imageio_ffmpeg, fastapi\n"
        "from diffusers import UNetSpatioTemporalConditionModel, AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline\n"
        "from prefect.server.api.server import create_app",
        "torchvision",
    )
