"""`argus dataset log | show | diff | export-manifest | rebuild | compact`: what they say, in words and as JSON, and that looking changes nothing."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from argus.cli import app
from argus.curate import Recipe
from argus.dataset import (
    CuratedClip,
    Dataset,
    DecidedVideo,
    ShardClip,
    SourceRow,
    read_manifest_recipes,
    read_manifest,
)
from argus.dataset.view import DatasetView
from argus.files import sha256_file
from argus.synth import serve_folder, write_video_kind
from schemas.arrow import MANIFEST_SCHEMA
from schemas.config import CurateConfig
from schemas.names import Decision, Reason, Split

pytestmark = pytest.mark.usefixtures("home")


def argus(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def walk(decided: Path) -> SourceRow:
    return next(row for row in DatasetView(decided).list_videos() if row.url.endswith("walk.mp4"))


@pytest.mark.parametrize(
    "command", ["log", "show", "diff", "export-manifest", "rebuild", "compact"]
)
def test_every_command_explains_itself(command: str) -> None:
    result = argus("dataset", command, "--help")
    assert result.exit_code == 0
    assert "--dataset" in result.output


def test_show_tells_of_the_newest_snapshot(decided: Path) -> None:
    snapshot = Dataset(decided).get_snapshot()
    facts = json.loads(argus("dataset", "show", "--json", "--dataset", decided).stdout)
    assert facts["digest"] == snapshot.digest
    assert (
        facts["version"],
        facts["videos"],
        facts["clips"],
        facts["frames"],
        facts["shards"],
    ) == (snapshot.version, 2, 4, 40, 1)
    assert facts["hours"] == pytest.approx(4 * 2 / 3600, abs=1e-4)
    assert facts["splits"] == {"train": 2, "val": 2, "test": 0}
    text = argus("dataset", "show", str(snapshot.version), "--dataset", decided).stdout
    for words in (f"Snapshot {snapshot.version}", snapshot.digest, "train      2"):
        assert words in text


def test_show_tells_where_a_videos_clips_lie(decided: Path, walk: SourceRow) -> None:
    text = argus("dataset", "show", walk.url, "--dataset", decided).stdout
    for clip in walk.kept_clips:
        (line,) = (line for line in text.splitlines() if line.startswith(clip.clip_id))
        assert line.split() == [
            clip.clip_id,
            "2",
            f"{clip.quality:.2f}",
            "kept",
            f"{clip.shard},",
            "row",
            str(clip.row),
        ]
    assert (
        row_from_json(
            argus("dataset", "show", walk.source_id, "--json", "--dataset", decided).stdout
        )
        == walk
    )
    clip = json.loads(
        argus("dataset", "show", walk.clips[1].clip_id, "--json", "--dataset", decided).stdout
    )
    assert clip["checksum"] == walk.clips[1].checksum


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "99"], "has no snapshot 99; it has"),
        (["show", "nonsense"], "there is no video or clip"),
        (["export-manifest", "out.csv"], "must end in .parquet"),
        (["rebuild", "absent.parquet"], "cannot be read as a manifest"),
        (["diff", "1", "99"], "has no snapshot 99"),
    ],
)
def test_bad_input_is_one_line(decided: Path, arguments: list[str], words: str) -> None:
    result = argus("dataset", *arguments, "--dataset", decided)
    assert result.exit_code == 10, result.output
    assert words in result.stderr
    assert result.stderr.strip().count("\n") == 0


def test_a_rebuild_takes_clips_and_thresholds_from_the_manifest(
    decided: Path, home: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "m.parquet"
    assert argus("dataset", "export-manifest", manifest, "--dataset", decided).stdout.splitlines()[
        :2
    ] == ["videos: 2", "clips: 4"]
    result = argus(
        "dataset",
        "rebuild",
        manifest,
        "--dataset",
        tmp_path / "again",
        "--set",
        "fetch.attempts=7",
        "--dry-run",
    )
    assert result.exit_code == 0, result.output
    config = CurateConfig.model_validate(json.loads(result.stdout))
    assert (config.catalogue, config.dataset, config.fetch.attempts) == (
        str(manifest),
        str(tmp_path / "again"),
        7,
    )
    (digest,) = read_manifest_recipes(manifest)
    assert Recipe.of(config).digest == digest
    assert config.clip.clip_s == 2.0
    assert "2 videos, 4 clips, 1 recipe" in result.stderr
    assert not home.exists()
    changed = argus("dataset", "rebuild", manifest, "--set", "clip.height=128", "--dry-run")
    assert f"The manifest's recipe is {digest}, this one is " in changed.stderr


def test_a_manifest_of_two_recipes_is_rebuilt_by_two_refreshes(
    decided: Path, home: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "m.parquet"
    argus("dataset", "export-manifest", manifest, "--dataset", decided)
    rows = read_manifest(manifest).to_pylist()
    (digest, text), *_ = read_manifest_recipes(manifest).items()
    rows[1]["recipe"] = "other"
    metadata = {
        **MANIFEST_SCHEMA.metadata,
        b"argus.recipe:other": text,
        f"argus.recipe:{digest}": text,
    }
    pq.write_table(
        read_manifest(manifest).from_pylist(rows, schema=MANIFEST_SCHEMA.with_metadata(metadata)),
        manifest,
    )
    from argus.cli.rebuild import rebuild_configs

    configs = rebuild_configs(manifest, None, (), {"run_id": "again"}, write=True)
    assert [config.run_id for config in configs] == [f"again-{digest}", "again-other"]
    assert [pq.read_table(config.catalogue)["url"].to_pylist() for config in configs] == [
        [row["url"]] for row in rows
    ]
    pq.write_table(read_manifest(manifest).from_pylist(rows, schema=MANIFEST_SCHEMA), manifest)
    assert "but not its settings" in argus("dataset", "rebuild", manifest, "--dry-run").stderr


RECIPE, OTHER = "0" * 16, "1" * 16


def decide(
    source: str, clips: int, *, recipe: str = RECIPE, run: str = "monday", **values: object
) -> DecidedVideo:
    """A video of which the first `clips` of three clips are kept."""
    spans = [(f"{source}@{start}-{start + 9000}", start) for start in (0, 9000, 18000)]
    kept: dict[str, object] = {"decision": Decision.KEPT, "quality": 0.5}
    cut = [
        CuratedClip.model_validate(
            {"clip_id": name, "start_ms": start, "end_ms": start + 9000, "frames": 45}
            | (kept if number < clips else {"decision": Decision.DROPPED, "reason": Reason.TEXT})
        )
        for number, (name, start) in enumerate(spans)
    ]
    fixed = {
        "source_id": source,
        "url": f"https://videos.example/{source}",
        "split": Split.TRAIN,
        "recipe": recipe,
        "run_id": run,
    }
    time = {"code_version": "0", "decided": datetime(2026, 1, 1 + (run == "tuesday"), tzinfo=UTC)}
    decision = (
        {"decision": Decision.KEPT}
        if clips
        else {"decision": Decision.DROPPED, "reason": Reason.STATIC}
    )
    row = row_from_values({**fixed, **time, **decision, "clips": cut, **values})
    size = {
        "source_id": source,
        "split": Split.TRAIN,
        "frames": 45,
        "height": 32,
        "width": 64,
        "fps": Fraction(5),
        "quality": 0.5,
    }
    videos = [(name, start, f"{name} {recipe}".encode()) for name, start in spans[:clips]]
    return DecidedVideo(
        row,
        [
            ShardClip(clip_id=name, start_ms=start, end_ms=start + 9000, video=video, **size)
            for name, start, video in videos
        ],
    )


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Monday: a with three clips, b with two, c failed. Tuesday, another recipe: a keeps one (with other bytes), b none, d has one."""
    dataset = Dataset(tmp_path / "history")
    dataset.commit_chunk([decide("url:a", 3), decide("url:b", 2)])
    dataset.publish()
    dataset.commit_chunk(
        [decide("url:c", 0, decision=Decision.FAILED, reason=Reason.UNREACHABLE, retryable=True)]
    )
    dataset.commit_chunk(
        [
            decide(source, clips, recipe=OTHER, run="tuesday")
            for source, clips in (("url:a", 1), ("url:b", 0), ("url:d", 1))
        ]
    )
    dataset.publish()
    return Path(dataset.store.uri)


def test_the_log_tells_each_commit_newest_first(history: Path) -> None:
    last, *rest = commits = json.loads(
        argus("dataset", "log", "--json", "--dataset", history).stdout
    )
    assert [(one["run_ids"], one["clips"], one["published"]) for one in commits] == [
        (["tuesday"], 2, True),
        (["monday"], 0, False),
        (["monday"], 5, True),
    ]
    assert last["decisions"] == {"kept": 2, "dropped": 1, "failed": 0}
    lines = argus("dataset", "log", "--dataset", history).stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        [f"{last['sequence']}*", "2", "1", "2", "2026-01-02", "00:00:00", "tuesday", OTHER],
        [str(rest[0]["sequence"]), "1", "2026-01-01", "00:00:00", "monday", RECIPE],
        [f"{rest[1]['sequence']}*", "2", "5", "2026-01-01", "00:00:00", "monday", RECIPE],
    ]
    few = argus("dataset", "log", "--limit", "1", "--dataset", history)
    assert len(few.stdout.splitlines()) == 2
    assert "1 of 3 commits" in few.stderr


def test_a_difference_tells_what_came_what_went_and_why(history: Path) -> None:
    before, after = (snapshot.version for snapshot in Dataset(history).list_snapshots())
    assert json.loads(
        argus("dataset", "diff", before, after, "--json", "--dataset", history).stdout
    ) == {
        "before": before,
        "after": after,
        "added": ["url:d@0-9000"],
        "removed": {
            "url:a@18000-27000": "text",
            "url:a@9000-18000": "text",
            "url:b@0-9000": "text",
            "url:b@9000-18000": "text",
        },
        "changed": ["url:a@0-9000"],
    }
    lines = argus("dataset", "diff", before, "--dataset", history).stdout.splitlines()
    for line in (
        ["removed", "4", "0.010"],
        ["removed:", "text", "4"],
        ["added", "1", "0.003"],
        ["changed", "1", "0.003"],
    ):
        assert line in [line.split() for line in lines]
    assert {"+ url:d@0-9000", "- url:b@0-9000  text", "~ url:a@0-9000"} <= set(lines)
    assert (
        "2 of 6 clips are named"
        in argus("dataset", "diff", before, "--limit", "2", "--dataset", history).stderr
    )


def test_compaction_says_what_goes_and_then_does_it(history: Path) -> None:
    options = ["--keep-snapshots", "1", "--grace-hours", "0", "--dataset", history]
    dataset = Dataset(history)
    shards = {path.name for path in (history / "shards").iterdir()}
    versions, newest = (
        [snapshot.version for snapshot in dataset.list_snapshots()],
        dataset.get_snapshot().digest,
    )

    def told(*more: str) -> dict[str, str]:
        result = argus("dataset", "compact", *options, *more)
        assert result.exit_code == 0, result.output
        return dict(line.rsplit(None, 1) for line in result.stdout.splitlines()[1:-1])

    said = told("--dry-run")
    assert (said["snapshots"], int(said["shards"])) == ("1", 1)
    assert [snapshot.version for snapshot in dataset.list_snapshots()] == versions
    assert {path.name for path in (history / "shards").iterdir()} == shards
    done = told()
    assert (done["snapshots"], done["shards"]) == ("1", "1")
    assert [snapshot.version for snapshot in dataset.list_snapshots()] == versions[1:]
    assert len(list((history / "shards").iterdir())) == len(shards) - 1
    assert Dataset(history).get_snapshot().digest == newest


def test_a_dry_refresh_tells_what_there_is_to_do(history: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("url\nhttps://videos.example/new\n")
    result = argus("refresh", tmp_path / "c.csv", "--dataset", history, "--dry-run")
    assert result.exit_code == 0, result.output
    assert CurateConfig.model_validate(json.loads(result.stdout)).dataset == str(history)
    assert "1 videos: 0 known" in result.stderr
    assert "1 to fetch and judge" in result.stderr
    assert not home.exists()


def test_looking_changes_nothing(decided: Path, tmp_path: Path) -> None:
    def state() -> dict[str, str]:
        return {
            str(path): sha256_file(path) for path in sorted(decided.rglob("*")) if path.is_file()
        }

    before = state()
    commands = (
        ["log"],
        ["show"],
        ["show", "dQw4w9WgXcQ"],
        ["diff", "1"],
        ["export-manifest", tmp_path / "m.parquet"],
        ["compact", "--dry-run"],
    )
    for arguments in commands:
        assert argus("dataset", *arguments, "--dataset", decided).exit_code == 0, arguments
    assert state() == before


def run(*arguments: str | Path) -> str:
    """The standard output of the command, as a process of its own."""
    code = "from argus.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_a_dataset_is_rebuilt_from_its_manifest(tmp_path: Path) -> None:
    """Twice: from the same files, and after one video has gone and another is served otherwise."""
    site, manifest = tmp_path / "site", tmp_path / "m.parquet"
    site.mkdir()
    for number in range(3):
        write_video_kind(site / f"{number}.mp4", "walk", seed=number, seconds=4, fps=5, height=64)
    with serve_folder(site) as served:
        (tmp_path / "c.csv").write_text(
            "\n".join(["url", *(f"{served.url}/{number}.mp4" for number in range(3))])
        )
        options = [
            "--allow-private-hosts",
            "--set",
            "clip.height=64",
            "--set",
            "clip.clip_s=2",
            "--set",
            "clip.min_clip_s=1",
        ]
        run("refresh", tmp_path / "c.csv", "--dataset", tmp_path / "first", *options)
        run("dataset", "export-manifest", manifest, "--dataset", tmp_path / "first")
        rebuild = [
            "dataset",
            "rebuild",
            manifest,
            "--allow-private-hosts",
            "--set",
            "fetch.attempts=1",
        ]
        again = run(*rebuild, "--dataset", tmp_path / "second")
        assert ["same,", "byte", "for", "byte", "6", "100%"] in [
            line.split() for line in again.splitlines()
        ]
        first, second = (
            Dataset(tmp_path / name).get_snapshot().table.drop_columns(["shard", "row"])
            for name in ("first", "second")
        )
        assert second.equals(first)
        (site / "0.mp4").unlink()
        write_video_kind(site / "1.mp4", "walk", seed=9, seconds=4, fps=5, height=64)
        report = json.loads(run(*rebuild, "--dataset", tmp_path / "third", "--json"))
    assert (len(report["same"]), len(report["changed"])) == (2, 2)
    assert list(report["missing"].values()) == ["not_found"] * 2
