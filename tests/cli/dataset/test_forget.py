"""`argus dataset forget`: every place that holds bytes of a video, and that it is never fetched again."""

import shutil
from pathlib import Path

import pytest

from argus.curate import StagingArea
from argus.curate.dedup import StoredDuplicateIndex
from argus.dataset import Dataset, SnapshotRow, hash_source_id, identify
from argus.synth import serve_folder, write_video_kind
from tests.support.cli import assert_invalid, run_argus, run_argus_json

URL = "https://videos.example/walk.mp4"
WALK = identify(URL)[0]


@pytest.fixture
def dataset(sample_dataset: Path, tmp_path: Path) -> Path:
    """A copy of the shared dataset, to be written to."""
    return Path(shutil.copytree(sample_dataset, tmp_path / "copy"))


def kept_payloads(dataset: Path) -> list[bytes]:
    """Return the bytes of the video's clips."""
    opened = Dataset(dataset)
    rows = map(SnapshotRow.from_values, opened.get_snapshot().table.to_pylist())
    found = []
    for row in rows:
        if row.source_id == WALK:
            with opened.open_shard(row.shard) as reader:
                found.append(reader.clip(row.row).video)
    return found


def scatter(dataset: Path, home: Path, payload: bytes) -> None:
    """Put copies of a video into every place that curation keeps files in."""
    opened = Dataset(dataset)
    StoredDuplicateIndex(opened, home)
    StagingArea(opened.store, "r", home / "work")
    for path in (
        dataset / "staging" / f"{hash_source_id(WALK)}-r" / "clips.arrow",
        dataset / "fetched" / f"{WALK.replace(':', '-')}.video",
        dataset / "fetched" / f"{WALK.replace(':', '-')}.video.json",
        home / "work" / hash_source_id(WALK) / "x.video.part",
        home / "runs" / "evaluate" / "e" / "evaluation.png",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    (home / "runs" / "evaluate" / "e" / "result.json").write_text(f'["{WALK}@0-2000"]')
    page = home / "runs" / "curate" / "nightly" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_bytes(WALK.encode() + payload)
    for gallery in (home / "look.html", home / "galleries" / "a.html", page.with_name("b.html")):
        pictures = gallery.with_name(f"{gallery.stem}_pictures")
        pictures.mkdir(parents=True)
        gallery.write_text(f'{{"v":"{WALK}"}}')
        (pictures / f"{hash_source_id(WALK)}.jpg").write_bytes(payload)
        (pictures / f"{hash_source_id('url:other')}.jpg").write_bytes(b"another video")
    other = home / "runs" / "curate" / "other" / "report.html"
    other.parent.mkdir(parents=True)
    other.write_text("another video")


def test_nothing_is_left_anywhere(dataset: Path, home: Path) -> None:
    payloads = kept_payloads(dataset)
    assert len(payloads) == 2
    scatter(dataset, home, payloads[0])
    assert any(path.name.endswith(".jpg") for path in (dataset / "thumbs").iterdir())
    before = Dataset(dataset).get_snapshot().version
    found = run_argus_json(
        "dataset", "forget", URL, "--why", "a notice", "--yes", "--json", "--dataset", dataset
    )
    assert (found["source_id"], found["url"], found["why"]) == (WALK, URL, "a notice")
    assert (found["snapshots"], len(found["shards"]), found["runs"]) == ([before], 1, [])
    for path in (*dataset.rglob("*"), *home.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            assert not any(payload in content for payload in payloads), path
    assert not (dataset / "thumbs" / f"{hash_source_id(WALK)}.jpg").exists()
    assert (home / "runs" / "curate" / "other" / "report.html").exists()
    left = {path.name for path in home.rglob("*_pictures/*")}
    assert left == {f"{hash_source_id('url:other')}.jpg"}
    verified = run_argus("dataset", "forget", URL, "--verify", "--dataset", dataset)
    assert (verified.exit_code, verified.stdout) == (0, "")
    why = run_argus("dataset", "why", WALK, "--dataset", dataset)
    assert why.exit_code == 0
    assert "forgotten" in why.stdout
    assert "a notice" in why.stdout


def test_verify_lists_every_place(dataset: Path, home: Path) -> None:
    scatter(dataset, home, b"payload")
    result = run_argus("dataset", "forget", URL, "--verify", "--dataset", dataset)
    assert result.exit_code == 1
    named = (
        *("forgotten/", "index/", "snapshots/", "shards/", "thumbs/", "staging/", "fetched/"),
        *("work", "evaluation.png", "nightly/report.html", "duplicate index"),
        *("look.html", "galleries/a.html", "look_pictures", "a_pictures", "b_pictures"),
    )
    for name in named:
        assert name in result.stdout, name
    assert "other/report.html" not in result.stdout


def read_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_indexes_under_other_paths_are_removed(dataset: Path, home: Path) -> None:
    """A dataset that was opened through a link has a second duplicate index."""
    link = home / "link"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(dataset)
    for place in (dataset, link):
        StoredDuplicateIndex(Dataset(place), home)
    assert read_below(home / "duplicates").count(WALK.encode()) > 2
    planted = run_argus("dataset", "forget", URL, "--verify", "--dataset", dataset)
    assert "may hold its signatures" in planted.stdout
    forget = ["dataset", "forget", URL, "--why", "x", "--yes", "--dataset", dataset]
    assert run_argus(*forget).exit_code == 0
    assert WALK.encode() not in read_below(home / "duplicates")


def test_an_index_whose_first_build_was_killed_is_purged(dataset: Path, home: Path) -> None:
    StoredDuplicateIndex(Dataset(dataset), home)
    for marker in (home / "duplicates").rglob("index.json"):
        marker.unlink()
    assert WALK.encode() in read_below(home / "duplicates")
    forget = ["dataset", "forget", URL, "--why", "x", "--yes", "--dataset", dataset]
    assert run_argus(*forget).exit_code == 0
    assert WALK.encode() not in read_below(home / "duplicates")


def test_a_dry_run_changes_nothing(dataset: Path, home: Path) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    result = run_argus(
        "dataset", "forget", URL, "--why", "a notice", "--dry-run", "--dataset", dataset
    )
    assert result.exit_code == 0, result.output
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before


def test_what_cannot_be_done_is_refused(dataset: Path, home: Path) -> None:
    forget = ["dataset", "forget", "--dataset", dataset]
    assert_invalid(run_argus(*forget, URL), "--why")
    assert_invalid(run_argus(*forget, URL, "--why", "  "), "--why")
    assert_invalid(run_argus(*forget, URL, "--why", "a notice"), "--yes")
    assert_invalid(run_argus(*forget, "walk", "--why", "a notice", "--yes"), "youtube:ID")
    assert_invalid(run_argus(*forget, "url:0123456789abcdef", "--why", "x", "--yes"))
    assert_invalid(run_argus(*forget[:2], URL, "--why", "x", "--dataset", dataset / "none"))


def test_a_video_is_never_fetched_again(tmp_path: Path, home: Path) -> None:
    """Neither by a refresh, nor by one with other settings, nor by a rebuild of a manifest."""
    (tmp_path / "videos").mkdir()
    for seed, name in enumerate(("a", "b")):
        write_video_kind(
            tmp_path / "videos" / f"{name}.mp4", "walk", seed=seed, seconds=2, fps=5, height=64
        )
    dataset, catalogue = tmp_path / "dataset", tmp_path / "list.txt"
    options = ["--dataset", dataset, "--set", "clip.height=64", "--allow-private-hosts"]
    with serve_folder(tmp_path / "videos") as server:
        catalogue.write_text("\n".join(f"{server.url}/{name}.mp4" for name in ("a", "b")))
        assert run_argus("refresh", catalogue, *options).exit_code == 0
        manifest = tmp_path / "manifest.parquet"
        assert (
            run_argus("dataset", "export-manifest", manifest, "--dataset", dataset).exit_code == 0
        )
        url = f"{server.url}/a.mp4"
        forget = ["dataset", "forget", url, "--why", "x", "--yes", "--dataset", dataset]
        assert run_argus(*forget).exit_code == 0
        server.requests.clear()
        for change in ([], ["--set", "clip.fps=4"], ["--set", "filters.sharpness=0.1"]):
            assert run_argus("refresh", catalogue, *options, *change).exit_code == 0
            rebuilt = ["dataset", "rebuild", manifest, *options, *change]
            assert run_argus(*rebuilt).exit_code == 0
        assert {request.path for request in server.requests} == {"/b.mp4"}
    source_id = identify(url)[0]
    assert Dataset(dataset).find_traces(source_id) == []
    assert Dataset(dataset).read_rows([source_id])[source_id].reason == "forgotten"
