"""`argus dataset why | show | gallery`: real decisions, suggestions, and no write access."""

import json
import re
from pathlib import Path

import pytest

from argus.dataset import Dataset, SourceRow, row_from_json
from schemas.config import FilterSettings
from tests.cli.dataset.conftest import hash_files
from tests.support.cli import assert_invalid, run_argus, run_argus_json, split_cells

pytestmark = pytest.mark.usefixtures("home")


def read(*arguments: str | Path, dataset: Path) -> str:
    """Return the standard output of `argus dataset ...`."""
    result = run_argus("dataset", *arguments, "--dataset", dataset)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_why_shows_every_stage_of_a_dropped_video(
    sample_dataset: Path, rows: dict[str, SourceRow]
) -> None:
    row = rows["static"]
    output = read("why", row.source_id, dataset=sample_dataset)
    score = next(
        score for score in row.scores if (score.filter, score.name) == ("static", "difference")
    )
    assert score.value is not None
    (cells,) = (cells for cells in split_cells(output) if cells[0] == "static.difference")
    threshold = FilterSettings().static_difference
    assert cells[1:3] == [f"{score.value:.4g}", f"{threshold:g}"]
    assert f"{threshold - score.value:.4g}" in cells[3]
    assert cells[4:] == ["drop", "filters.static_difference"]
    facts = ("yt-dlp 2026.10.26", "generic", "h264", "128×64", "tests", "0.1.0", "mono_erp")
    stored = (row.url, row.recipe, row.fetch and row.fetch.sha256, "dropped (static)")
    for fact in (*facts, *stored):
        assert str(fact) in output


def test_why_as_json_has_the_same_stages_and_scores(
    sample_dataset: Path, rows: dict[str, SourceRow]
) -> None:
    row = rows["static"]
    stages = run_argus_json("dataset", "why", row.source_id, "--json", "--dataset", sample_dataset)
    assert all(set(stage) == {"title", "facts", "scores", "summary", "kept"} for stage in stages)
    scores = [score for stage in stages for score in stage["scores"]]
    stored = [(score.filter, score.name, score.value) for score in row.scores]
    assert [(score["filter"], score["score"], score["value"]) for score in scores] == stored
    assert any(stage["kept"] is False for stage in stages)
    (difference,) = (score for score in scores if score["filter"] == "static")
    assert difference["setting"] == "filters.static_difference"


def test_why_of_a_clip_shows_where_its_bytes_are(
    sample_dataset: Path, rows: dict[str, SourceRow]
) -> None:
    clip = rows["walk"].kept_clips[1]
    output = read("why", clip.clip_id, dataset=sample_dataset)
    assert ["row", str(clip.row)] in split_cells(output)
    for fact in (clip.clip_id, clip.shard, clip.checksum):
        assert str(fact) in output


def test_why_finds_a_video_by_its_url_or_youtube_id(
    sample_dataset: Path, rows: dict[str, SourceRow]
) -> None:
    by_url = read("why", "https://videos.example/black.mp4", dataset=sample_dataset)
    assert rows["black"].source_id in by_url
    assert "bot_check" in read("why", "dQw4w9WgXcQ", dataset=sample_dataset)


def test_why_suggests_the_nearest_name(sample_dataset: Path, rows: dict[str, SourceRow]) -> None:
    walk = rows["walk"]
    for wrong, near in (
        (walk.source_id[:-1], walk.source_id),
        (f"{walk.source_id}@0-2001", walk.clips[0].clip_id),
    ):
        assert_invalid(run_argus("dataset", "why", wrong, "--dataset", sample_dataset), near)


def test_show_describes_the_newest_snapshot(sample_dataset: Path) -> None:
    snapshot = Dataset(sample_dataset).get_snapshot()
    facts = run_argus_json("dataset", "show", "--json", "--dataset", sample_dataset)
    assert facts["digest"] == snapshot.digest
    names = ("version", "videos", "clips", "frames", "shards")
    assert [facts[name] for name in names] == [snapshot.version, 2, 4, 40, 1]
    assert facts["hours"] == pytest.approx(4 * 2 / 3600, abs=1e-4)
    assert facts["splits"] == {"train": 2, "val": 2, "test": 0}
    text = read("show", str(snapshot.version), dataset=sample_dataset)
    assert snapshot.digest in text
    assert ["train", "2"] in split_cells(text)


def test_show_locates_the_clips_of_a_video(
    sample_dataset: Path, rows: dict[str, SourceRow]
) -> None:
    walk = rows["walk"]
    cells = split_cells(read("show", walk.url, dataset=sample_dataset))
    for clip in walk.kept_clips:
        location = f"{clip.shard}, row {clip.row}"
        assert [clip.clip_id, "2", f"{clip.quality:.2f}", "kept", location] in cells
    shown = run_argus("dataset", "show", walk.source_id, "--json", "--dataset", sample_dataset)
    assert row_from_json(shown.stdout) == walk
    clip_id = walk.clips[1].clip_id
    clip = run_argus_json("dataset", "show", clip_id, "--json", "--dataset", sample_dataset)
    assert clip["checksum"] == walk.clips[1].checksum


def test_a_gallery_takes_some_videos_of_every_reason(sample_dataset: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    lines = read("gallery", page, "--limit", "5", dataset=sample_dataset).splitlines()
    assert dict(line.split(": ", 1) for line in lines)["videos"] == "5"
    assert re.search(r"\bbot_check\b", page.read_text())


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["show", "99"], ["99"]),
        (["show", "nonsense"], ["nonsense"]),
        (["gallery", "page.txt"], ["page.txt", ".html"]),
    ],
)
def test_bad_input_is_one_line(
    sample_dataset: Path, arguments: list[str], names: list[str]
) -> None:
    assert_invalid(run_argus("dataset", *arguments, "--dataset", sample_dataset), *names)


def test_an_empty_dataset_is_no_error_and_an_absent_one_is(tmp_path: Path) -> None:
    for arguments in (["stats"], ["sweep", "static"], ["gallery", tmp_path / "page.html"]):
        result = run_argus("dataset", *arguments, "--dataset", tmp_path)
        assert result.exit_code == 0
        assert result.stdout == ""
        assert "argus refresh" in result.stderr
    absent = run_argus("dataset", "stats", "--dataset", tmp_path / "absent")
    assert_invalid(absent, "absent", "argus refresh")
    assert list(tmp_path.iterdir()) == []


def test_reading_changes_nothing(sample_dataset: Path, tmp_path: Path) -> None:
    before = hash_files(sample_dataset)
    commands = (
        ["why", "dQw4w9WgXcQ"],
        ["show"],
        ["show", "dQw4w9WgXcQ"],
        ["gallery", tmp_path / "page.html"],
        ["stats", "--html", tmp_path / "stats.html"],
        ["sweep", "black"],
        ["log"],
        ["diff", "1"],
        ["export-manifest", tmp_path / "m.parquet"],
        ["compact", "--dry-run"],
    )
    for arguments in commands:
        read(*arguments, dataset=sample_dataset)
    assert hash_files(sample_dataset) == before


def test_reading_does_not_restore_a_snapshot(sample_dataset: Path, tmp_path: Path) -> None:
    (snapshot,) = (sample_dataset / "snapshots").iterdir()
    snapshot.rename(tmp_path / "snapshot")
    try:
        for arguments in (["why", "dQw4w9WgXcQ"], ["stats"], ["sweep", "black"]):
            read(*arguments, dataset=sample_dataset)
        assert not list((sample_dataset / "snapshots").iterdir())
    finally:
        (tmp_path / "snapshot").rename(snapshot)
    assert json.loads(read("show", "--json", dataset=sample_dataset))["version"] == 1
