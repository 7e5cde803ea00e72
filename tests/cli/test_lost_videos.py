"""Kept videos that must be processed anew, and can no longer be fetched."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argus.dataset import Dataset
from argus.synth import serve_folder, write_video_kind
from schemas.names import Decision
from tests.support.cli import run_argus

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def refresh(tmp_path: Path) -> Any:
    """A function that refreshes a dataset of two videos, `a.mp4` and `b.mp4`; `a` is deleted."""
    folder, dataset = tmp_path / "videos", tmp_path / "dataset"
    folder.mkdir()
    for seed, name in enumerate(("a", "b")):
        write_video_kind(folder / f"{name}.mp4", "walk", seed=seed, seconds=2, fps=5, height=64)
    with serve_folder(folder) as server:

        def run(*sets: str, split: str = "") -> dict[str, Any]:
            catalogue = tmp_path / "list.csv"
            lines = [f"{server.url}/{name}.mp4,{split}" for name in ("a", "b")]
            catalogue.write_text("\n".join(["url,split", *lines]))
            options = ["--dataset", dataset, "--allow-private-hosts", "--set", "clip.height=64"]
            settings = [part for one in sets for part in ("--set", one)]
            result = run_argus("refresh", catalogue, *options, *settings)
            assert result.exit_code == 0, result.output
            rows = Dataset(dataset).read_latest().to_pylist()
            return {Path(row["url"]).stem: row for row in rows}

        run(split="test")
        (folder / "a.mp4").unlink()
        yield run


Run = Callable[..., dict[str, Any]]


def test_an_update_keeps_what_is_gone(refresh: Run, tmp_path: Path) -> None:
    for sharpness in (0.1, 0.2):
        for path in (tmp_path / "dataset" / "recipes").iterdir():  # an earlier version wrote them
            recipe = json.loads(path.read_text())
            recipe["filter_versions"]["shots"] -= 1
            path.write_text(json.dumps(recipe))
        rows = refresh(f"filters.sharpness={sharpness}")
        assert {row["decision"] for row in rows.values()} == {Decision.KEPT}
        assert rows["a"]["recipe"] == rows["b"]["recipe"]
        assert rows["a"]["detail"].count("not_found") == 1
        assert rows["a"]["split"] == "test"
        assert "not_found" not in rows["b"]["detail"]


@pytest.mark.slow
def test_other_clips_are_not_mixed_in(refresh: Run) -> None:
    rows = refresh("clip.fps=4")
    assert (rows["a"]["decision"], rows["a"]["reason"]) == (Decision.FAILED, "not_found")
    assert rows["b"]["decision"] == Decision.KEPT


def test_a_threshold_moves_no_video_to_another_split(refresh: Run) -> None:
    rows = refresh("filters.sharpness=0.1")
    assert [row["split"] for row in rows.values()] == ["test", "test"]
