"""`argus dataset`: what it says of real decisions, what it says of bad input, and that it writes nothing into the dataset."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from argus.cli import app
from argus.dataset import Dataset, SourceRow
from argus.dataset.view import DatasetView
from argus.files import sha256_file
from schemas.config import FilterSettings


def argus(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["dataset", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def rows(decided: Path) -> dict[str, SourceRow]:
    return {
        row.url.rsplit("/", 1)[-1].removesuffix(".mp4"): row
        for row in DatasetView(decided).list_videos()
    }


@pytest.mark.parametrize("command", ["why", "stats", "sweep", "gallery"])
def test_every_command_explains_itself(command: str) -> None:
    result = argus(command, "--help")
    assert result.exit_code == 0
    assert "--dataset" in result.output


def test_why_tells_the_whole_way_of_a_dropped_video(
    decided: Path, rows: dict[str, SourceRow]
) -> None:
    row = rows["static"]
    output = argus("why", row.source_id, "--dataset", decided).stdout
    score = next(
        score for score in row.scores if (score.filter, score.name) == ("static", "difference")
    )
    assert score.value is not None
    line = next(line for line in output.splitlines() if "static.difference" in line)
    assert line.split()[1:3] == [f"{score.value:.4g}", f"{FilterSettings().static_difference:g}"]
    assert f"{FilterSettings().static_difference - score.value:.4g} below" in line
    assert line.split()[-1] == "drop"
    assert "Decision: dropped (static)" in output
    for fact in (
        "yt-dlp 2026.10.26",
        "generic",
        "h264",
        "128×64",
        row.fetch and row.fetch.sha256,
        row.recipe,
        "tests",
        "0.1.0",
        row.url,
    ):
        assert str(fact) in output
    assert "metadata declares  nothing" in output
    assert re.search(r"pixels say +mono_erp", output)


def test_why_of_a_clip_tells_where_its_bytes_lie(decided: Path, rows: dict[str, SourceRow]) -> None:
    clip = rows["walk"].kept_clips[1]
    output = argus("why", clip.clip_id, "--dataset", decided).stdout
    for fact in (
        clip.clip_id,
        clip.shard,
        f"row      {clip.row}",
        clip.checksum,
        "2–4 s",
        "Decision: kept",
    ):
        assert str(fact) in output


def test_why_finds_a_video_by_its_url_and_a_youtube_id_by_itself(
    decided: Path, rows: dict[str, SourceRow]
) -> None:
    assert (
        rows["black"].source_id
        in argus("why", "https://videos.example/black.mp4", "--dataset", decided).stdout
    )
    output = argus("why", "dQw4w9WgXcQ", "--dataset", decided).stdout
    assert "nothing was fetched: bot_check" in output
    assert "a later refresh tries it again" in output


def test_why_names_the_nearest_where_there_is_nothing_of_that_name(
    decided: Path, rows: dict[str, SourceRow]
) -> None:
    walk = rows["walk"]
    for wrong, near in (
        (walk.source_id[:-1], walk.source_id),
        (f"{walk.source_id}@0-2001", walk.clips[0].clip_id),
    ):
        result = argus("why", wrong, "--dataset", decided)
        assert result.exit_code == 10
        assert near in result.stderr
        assert result.stderr.count("\n") == 1


def test_stats_count_every_video_and_clip(
    decided: Path, rows: dict[str, SourceRow], tmp_path: Path
) -> None:
    page = tmp_path / "stats.html"
    output = argus("stats", "--dataset", decided, "--html", page).stdout
    assert "7 videos, 2 kept; 4 clips cut, 4 kept" in output
    for name, count in (
        ("static", 1),
        ("bot_check", 1),
        ("dropped", 4),
        ("h264", 5),
        ("train", 2),
        ("val", 2),
    ):
        assert re.search(rf"^{name} +{count} ", output, re.MULTILINE), name
    hours = sum(row.media.frames / 5 / 3600 for row in rows.values() if row.media)
    assert f"{hours:.2f} hours of video in" in output
    judged = [row for row in rows.values() if any(score.filter == "seam" for score in row.scores)]
    assert re.search(rf"^seam +{len(judged)} +80.0% +1 +1$", output, re.MULTILINE)
    html = page.read_text()
    assert "7</dd>" in html
    assert not re.search(r'(src|srcset|href)="(?!data:)', html), "the page needs nothing else"


def table(output: str) -> list[list[str]]:
    """The lines of a sweep, by columns."""
    return [line.split() for line in output.splitlines() if re.match(r"^-?[\d.e-]+ ", line)]


def test_a_sweep_counts_the_yield_of_each_threshold(
    decided: Path, rows: dict[str, SourceRow], tmp_path: Path
) -> None:
    lines = table(
        argus("sweep", "seam", "--dataset", decided, "--plot", tmp_path / "plot.svg").stdout
    )
    present = next(line for line in lines if line[-1] == "now")
    assert present[:4] == ["5", "2", "4", f"{4 * 2 / 3600:.3f}"]
    ratio = next(score.value for score in rows["broken_seam"].scores if score.name == "seam_ratio")
    assert float(lines[-1][0]) == pytest.approx(ratio, rel=1e-3)
    assert lines[-1][1:] == ["2", "4", f"{4 * 2 / 3600:.3f}", "1", "0.001"], (
        "the torn one would go on, but its clips were never judged"
    )
    videos = [int(line[1]) for line in lines]
    assert set(videos) == {2}, "no step at the seams of these is large enough to count at any ratio"
    assert ET.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")


def test_a_sweep_draws_a_png_too(decided: Path, tmp_path: Path) -> None:
    assert (
        argus(
            "sweep", "seam.seam_ratio", "--dataset", decided, "--plot", tmp_path / "plot.png"
        ).exit_code
        == 0
    )
    picture = np.asarray(Image.open(tmp_path / "plot.png"))
    assert np.ptp(picture[..., 0]) > 100
    assert picture[0, 0, 3] == 255


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "nonsense"], "there are: seam,"),
        (["sweep", "seam.nonsense"], "it decides by: "),
        (["sweep", "raft"], "raft has judged nothing"),
        (["sweep", "seam", "--plot", "plot.jpg"], "must end in .svg or .png"),
        (["gallery", "page.txt"], "must end in .html"),
        (["stats", "--html", "page"], "must end in .html"),
    ],
)
def test_bad_input_is_one_line_that_says_what_there_is(
    decided: Path, arguments: list[str], words: str
) -> None:
    result = argus(*arguments, "--dataset", decided)
    assert result.exit_code == 10
    assert words in result.stderr
    assert result.stderr.strip().count("\n") == 0


def test_an_empty_dataset_is_no_error_and_an_absent_one_is(tmp_path: Path) -> None:
    for arguments in (["stats"], ["sweep", "static"], ["gallery", tmp_path / "page.html"]):
        result = argus(*arguments, "--dataset", tmp_path)
        assert result.exit_code == 0
        assert "is empty: nothing was decided yet" in result.stderr
    absent = argus("stats", "--dataset", tmp_path / "absent")
    assert absent.exit_code == 10
    assert "`argus refresh CATALOGUE" in absent.stderr
    assert list(tmp_path.iterdir()) == []


def test_looking_changes_nothing(decided: Path, tmp_path: Path) -> None:
    def state() -> dict[str, str]:
        return {
            str(path): sha256_file(path) for path in sorted(decided.rglob("*")) if path.is_file()
        }

    before = state()
    next((decided / "snapshots").iterdir()).rename(
        tmp_path / "snapshot"
    )  # opening it for writing would make it again
    for arguments in (
        ["why", "dQw4w9WgXcQ"],
        ["stats"],
        ["sweep", "black"],
        ["gallery", tmp_path / "page.html"],
    ):
        assert argus(*arguments, "--dataset", decided).exit_code == 0
    assert not list((decided / "snapshots").iterdir())
    (tmp_path / "snapshot").rename(decided / "snapshots" / "000001.parquet")
    assert state() == before
    assert Dataset(decided).get_snapshot().version == 1
