"""docs/architecture.md is correct: its picture names real functions, and its steps work."""

import ast
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from argus.dataset import Dataset

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"^(Create|Append to|In) `([^`]+)`(?:, after `([^`]+)`)?:\n\n```python\n(.*?)```$",
    re.MULTILINE | re.DOTALL,
)


def follow(section: str, folder: Path) -> Path:
    """Copy the source code and apply the steps of a section to the copy."""
    for name in ("argus", "flows", "ray_jobs", "schemas"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = re.split(r"^## ", PAGE.partition(f"## {section}\n")[2], maxsplit=1, flags=re.M)[0]
    steps = STEP.findall(text)
    assert steps, f"the section {section} has no steps"
    for action, name, anchor, code in steps:
        file = folder / name
        if action == "Create":
            assert not file.exists()
            file.write_text(code, encoding="utf-8")
        elif action == "Append to":
            file.write_text(file.read_text(encoding="utf-8") + code, encoding="utf-8")
        else:
            add_after(file, anchor, code)
    return folder


def add_after(file: Path, anchor: str, code: str) -> None:
    """Insert code below the last line that equals the anchor, or below a class's docstring."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    found = [number for number, line in enumerate(lines, 1) if line.rstrip("\n") == anchor]
    assert found, f"{file.name} has no line {anchor!r}"
    at = found[-1]
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.lineno == at:
            at = node.body[0].end_lineno or at
    file.write_text("".join([*lines[:at], code, *lines[at:]]), encoding="utf-8")


def run_python(folder: Path, code: str, *arguments: str) -> str:
    """Run code against the modified copy."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    result = subprocess.run(
        [sys.executable, "-c", start + code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def load_drawing() -> object:
    path = ROOT / "docs" / "draw_architecture.py"
    spec = importlib.util.spec_from_file_location("draw_architecture", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_names_what_exists() -> None:
    drawing = load_drawing()
    missing = [
        f"{package}.{function}"
        for _, package, function in drawing.STAGES
        if not _has(package, function)
    ]
    missing += [name for name, _, _ in drawing.JOBS if importlib.util.find_spec(name) is None]
    assert not missing


def _has(package: str, function: str) -> bool:
    module = importlib.import_module(package)
    return hasattr(module, function) or any(
        hasattr(value, function) for value in vars(module).values() if isinstance(value, type)
    )


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from argus.synth import write_video_kind

    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    write_video_kind(path, "walk", seconds=3, fps=5, height=64)
    return path


def test_a_filter_can_be_added(tmp_path: Path, walk: Path) -> None:
    code = """
from pathlib import Path
from argus.curate import VideoSource, process_video
from schemas.config import CurateConfig
config = CurateConfig(catalogue="none", filters={"grain": float(sys.argv[2])}, clip={"height": 64})
video = process_video(Path(sys.argv[1]), VideoSource("url:1", "http://example.org"), config)
scores = {(score.filter, score.name): score for score in video.clips[0].scores}
print(video.decision, video.reason, scores["grain", "level"].threshold)
"""
    folder = follow("Add a filter", tmp_path)
    assert run_python(folder, code, str(walk), "200").split() == ["kept", "None", "200.0"]
    assert run_python(folder, code, str(walk), "0").split() == ["dropped", "grainy", "0.0"]


def test_a_video_backend_can_be_added(tmp_path: Path, walk: Path) -> None:
    code = """
import numpy as np
from argus.media import open_video
with open_video(sys.argv[1], "opencv") as one, open_video(sys.argv[1]) as other:
    print(np.abs(one.frames([3, 0]).astype(int) - other.frames([3, 0])).mean())
"""
    folder = follow("Add a video backend", tmp_path)
    assert float(run_python(folder, code, str(walk))) < 5


def test_a_job_can_be_added(tmp_path: Path, sample_dataset: Path) -> None:
    code = """
import runpy
sys.argv = ["count", "--config", sys.argv[1]]
try:
    runpy.run_module("ray_jobs.count", run_name="__main__")
except SystemExit as error:
    assert error.code == 0, error.code
"""
    folder = follow("Add a job", tmp_path / "code")
    home, config = tmp_path / "home", tmp_path / "count.json"
    values = {"home": str(home), "dataset": str(sample_dataset), "run_id": "one"}
    config.write_text(json.dumps(values))
    run_python(folder, code, str(config))
    result = json.loads((home / "runs" / "count" / "one" / "result.json").read_text())
    clips = len(Dataset(sample_dataset).get_snapshot().table)
    assert (result["outcome"], result["metrics"]) == ("done", {"clips": clips})


def test_a_metric_can_be_added(tmp_path: Path) -> None:
    code = """
import numpy as np
from argus.evaluate import ErrorSums
truth = np.zeros((2, 8, 16, 3), np.uint8)
print(ErrorSums.of(truth + 3, truth, np.ones((8, 16), bool)).metrics()["rmse_all"])
"""
    assert float(run_python(follow("Add a metric", tmp_path), code)) == 3.0
