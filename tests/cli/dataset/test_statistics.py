"""`argus dataset stats | sweep`: counts of real decisions, and yields of other thresholds."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argus.dataset import SourceRow
from schemas.config import FilterSettings
from tests.support.cli import assert_invalid, run_argus, run_argus_json, split_cells

pytestmark = pytest.mark.usefixtures("home")

STATS_KEYS = {
    "hours_in",
    "hours_out",
    "videos",
    "clips",
    "reasons",
    "clip_reasons",
    "layouts",
    "codecs",
    "splits",
    "video_filters",
    "clip_filters",
    "lengths_s",
    "qualities",
}


def hours_of(rows: dict[str, SourceRow]) -> float:
    """Return the hours of all videos that were read; they have 5 frames per second."""
    return sum(row.media.frames / 5 / 3600 for row in rows.values() if row.media)


def test_stats_count_every_video_and_clip(
    sample_dataset: Path, rows: dict[str, SourceRow], tmp_path: Path
) -> None:
    page = tmp_path / "stats.html"
    result = run_argus("dataset", "stats", "--dataset", sample_dataset, "--html", page)
    assert result.exit_code == 0, result.output
    cells = [line[:2] for line in split_cells(result.stdout)]
    for name, count in (
        ("static", 1),
        ("bot_check", 1),
        ("dropped", 4),
        ("h264", 5),
        ("train", 2),
        ("val", 2),
    ):
        assert [name, str(count)] in cells
    assert f"{hours_of(rows):.2f} hours" in result.stdout
    html = page.read_text()
    assert "7</dd>" in html
    assert "test has 0 clips" in html, "a split that is too small is named on the page too"
    assert not re.search(r'(src|srcset|href)="(?!data:)', html), "the page needs nothing else"


def test_stats_as_json(sample_dataset: Path, rows: dict[str, SourceRow]) -> None:
    found = run_argus_json("dataset", "stats", "--json", "--dataset", sample_dataset)
    assert set(found) == STATS_KEYS
    assert found["videos"] == {"kept": 2, "dropped": 4, "failed": 1}
    assert found["clips"] == {"kept": 4}
    assert found["splits"] == {"train": 2, "val": 2}
    assert found["hours_in"] == pytest.approx(hours_of(rows))
    judged = [row for row in rows.values() if any(score.filter == "seam" for score in row.scores)]
    assert found["video_filters"]["seam"] == {"judged": len(judged), "dropped": 1, "alone": 1}
    assert sum(count for _, _, count in found["lengths_s"]) == 4


def test_a_sweep_counts_the_yield_of_each_threshold(
    sample_dataset: Path, rows: dict[str, SourceRow], tmp_path: Path
) -> None:
    options = ["--dataset", sample_dataset, "--plot", tmp_path / "plot.svg", "--json"]
    (found,) = run_argus_json("dataset", "sweep", "seam", *options)
    current = next(point for point in found["yields"] if point["threshold"] == found["current"])
    assert found["current"] == FilterSettings().seam_ratio
    assert (current["videos"], current["clips"]) == (2, 4)
    assert current["hours"] == pytest.approx(4 * 2 / 3600)
    ratio = next(score.value for score in rows["broken_seam"].scores if score.name == "seam_ratio")
    last = found["yields"][-1]
    assert last["threshold"] == pytest.approx(ratio)
    assert (last["videos"], last["clips"], last["unjudged"]) == (2, 4, 1), (
        "the torn video would pass, but has no clips yet"
    )
    assert {point["videos"] for point in found["yields"]} == {2}, (
        "no step at the seams of these is large enough to count at any ratio"
    )
    assert ET.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")


def test_a_sweep_marks_the_current_threshold(sample_dataset: Path) -> None:
    output = run_argus("dataset", "sweep", "seam", "--dataset", sample_dataset).stdout
    (current,) = (line for line in output.splitlines() if line.endswith("<- now"))
    assert current.split()[:4] == ["5", "2", "4", f"{4 * 2 / 3600:.3f}"]


def test_a_sweep_draws_a_png_too(sample_dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    result = run_argus(
        "dataset", "sweep", "seam.seam_ratio", "--dataset", sample_dataset, "--plot", path
    )
    assert result.exit_code == 0, result.output
    picture = np.asarray(Image.open(path))
    assert np.ptp(picture[..., 0]) > 100
    assert picture[0, 0, 3] == 255


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["sweep", "nonsense"], ["nonsense", "seam"]),
        (["sweep", "seam.nonsense"], ["nonsense", "seam_ratio"]),
        (["sweep", "raft"], ["raft"]),
        (["sweep", "seam", "--plot", "plot.jpg"], ["plot.jpg", ".svg", ".png"]),
        (["stats", "--html", "page"], ["page", ".html"]),
    ],
)
def test_bad_input_is_one_line(
    sample_dataset: Path, arguments: list[str], names: list[str]
) -> None:
    assert_invalid(run_argus("dataset", *arguments, "--dataset", sample_dataset), *names)
