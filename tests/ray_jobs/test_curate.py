"""Refreshes in real processes: Ray, yt-dlp, decoders, and a web site on loopback that counts and can hold its answers."""

import http.server
import os
import signal
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.dataset import SnapshotRow
from argus.media import SphericalMetadata, open_video, write_video
from argus.synth import write_video_kind
from schemas.names import EXIT_CODES, Decision, Outcome, Reason

pytestmark = pytest.mark.slow

ONE_BY_ONE = {
    "max_concurrent_videos": 1,
    "fetch": {"allow_private_hosts": True, "attempts": 1, "max_concurrent_downloads": 1},
}


class Site:
    """Serves a folder on loopback, records the path of every request, and can hold the answers to one path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.held: str | None = None
        self.holding = threading.Event()
        self.released = threading.Event()
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self.path)
                if self.path == site.held:
                    site.holding.set()
                    site.released.wait(120)
                super().do_GET()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(folder))
        )
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def hold(self, path: str) -> None:
        self.held, self.requests = path, []
        self.holding.clear()
        self.released.clear()

    def release(self) -> None:
        self.held, self.requests = None, []
        self.released.set()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for number in range(5):
        write_video_kind(
            folder / f"good{number}.mp4",
            "drive" if number % 2 else "walk",
            seed=number,
            seconds=2.5,
            height=64,
            tagged=True,
        )
    write_video(
        folder / "black.mp4",
        np.zeros((75, 128, 256, 3), np.uint8),
        Fraction(30),
        spherical=SphericalMetadata(),
    )
    (folder / "text.mp4").write_text("this is no video")
    (folder / "empty.mp4").write_bytes(b"")
    whole = (folder / "good0.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def site(videos: Path) -> Iterator[Site]:
    site = Site(videos)
    yield site
    site.close()


def test_every_video_gets_its_decision_and_a_second_refresh_has_nothing_to_do(
    tmp_path: Path, site: Site, refreshing: type
) -> None:
    names = [
        "good0.mp4",
        "none.mp4",
        "text.mp4",
        "good1.mp4",
        "empty.mp4",
        "black.mp4",
        "truncated.mp4",
    ]
    refresh = refreshing(tmp_path, [f"{site.url}/{name}" for name in names], chunk_size=3)
    first = refresh.run()
    assert first.outcome is Outcome.DONE
    rows = {Path(row["url"]).name: row for row in refresh.dataset.latest_rows().to_pylist()}
    assert {
        name: (rows[name]["decision"], rows[name]["reason"])
        for name in names
        if name != "truncated.mp4"
    } == {
        "good0.mp4": (Decision.KEPT, None),
        "none.mp4": (Decision.FAILED, Reason.NOT_FOUND),
        "text.mp4": (Decision.DROPPED, Reason.NOT_A_VIDEO),
        "good1.mp4": (Decision.KEPT, None),
        "empty.mp4": (Decision.FAILED, Reason.EMPTY_FILE),
        "black.mp4": (Decision.DROPPED, Reason.BLACK),
    }
    assert rows["truncated.mp4"]["decision"] != Decision.KEPT
    counted = {
        name: first.metrics[name]
        for name in (
            "considered",
            "known",
            "kept",
            "failed",
            "failed.not_found",
            "dropped.black",
            "clips",
        )
    }
    assert counted == {
        "considered": 7,
        "known": 0,
        "kept": 2,
        "failed": 2,
        "failed.not_found": 1,
        "dropped.black": 1,
        "clips": 2,
    }
    assert first.outputs["digest"] == refresh.dataset.snapshot(first.outputs["snapshot"]).digest
    assert (tmp_path / "dataset" / rows["good0.mp4"]["thumbnail"]).read_bytes()[:2] == b"\xff\xd8"
    assert rows["good0.mp4"]["fetch"]["bytes"] == (site.folder / "good0.mp4").stat().st_size
    assert refresh.left_over() == []

    site.requests.clear()
    second = refresh.run()
    assert (second.outcome, second.metrics["known"], second.outputs["digest"]) == (
        Outcome.NOTHING,
        7,
        first.outputs["digest"],
    )
    assert site.requests == []


def test_a_failure_that_may_pass_is_tried_again_and_the_same_failure_commits_nothing(
    tmp_path: Path, site: Site, refreshing: type
) -> None:
    refresh = refreshing(tmp_path, [f"{site.url}/good0.mp4", "http://127.0.0.1:9/closed.mp4"])
    first = refresh.run()
    assert (first.outcome, first.metrics["kept"], first.metrics["failed.unreachable"]) == (
        Outcome.DONE,
        1,
        1,
    )
    assert (
        refresh.dataset.latest_rows(["decision", "retryable"])
        .to_pylist()
        .count({"decision": "failed", "retryable": True})
        == 1
    )
    again = refresh.run()
    assert (again.outcome, again.metrics["known"], again.metrics["failed.unreachable"]) == (
        Outcome.NOTHING,
        1,
        1,
    )


def test_a_refresh_killed_half_way_ends_like_one_that_was_not(
    tmp_path: Path, site: Site, refreshing: type, wait_for: Callable[..., None]
) -> None:
    urls = [f"{site.url}/good{number}.mp4" for number in range(5)]
    whole = refreshing(tmp_path / "whole", urls)
    whole.run()

    torn = refreshing(tmp_path / "torn", urls, max_concurrent_videos=1)
    site.hold("/good3.mp4")
    process = torn.start()
    wait_for(
        lambda: len(torn.staged()) == 1 and torn.dataset.exists, process
    )  # the first wave is committed, one of the second is staged
    process.kill()
    process.wait()
    assert torn.dataset.snapshots() == []  # committed, not yet published

    site.release()
    torn.config["run_id"] = "another"
    result = torn.run()
    assert (result.outcome, result.metrics["known"]) == (Outcome.DONE, 2)
    assert set(site.requests) <= {"/good3.mp4", "/good4.mp4"}  # the last was fetched ahead
    assert "/good3.mp4" in site.requests
    assert torn.shards() == whole.shards()
    assert [snapshot.digest for snapshot in torn.dataset.snapshots()] == [
        snapshot.digest for snapshot in whole.dataset.snapshots()
    ]
    assert torn.left_over() == []
    rows = [SnapshotRow.of(values) for values in torn.dataset.snapshot().table.to_pylist()]
    assert len(rows) == 5
    for row in rows:
        with torn.dataset.shard(row.shard) as reader:
            assert reader.clip(row.row).clip_id == row.clip_id


def test_a_copy_at_another_url_with_another_yaw_and_encoding_is_a_duplicate(
    tmp_path: Path, site: Site, refreshing: type
) -> None:
    with open_video(site.folder / "good0.mp4") as reader:
        frames = np.roll(reader.frames(range(len(reader))), 37, axis=2)
    write_video(site.folder / "copy.mp4", frames, reader.fps, crf=32, spherical=SphericalMetadata())
    refresh = refreshing(
        tmp_path, [f"{site.url}/{name}" for name in ("good0.mp4", "good1.mp4", "copy.mp4")]
    )
    result = refresh.run()
    rows = {Path(row["url"]).name: row for row in refresh.dataset.latest_rows().to_pylist()}
    assert (rows["copy.mp4"]["decision"], rows["copy.mp4"]["reason"]) == (
        Decision.DROPPED,
        Reason.DUPLICATE,
    )
    assert rows["copy.mp4"]["clips"][0]["duplicate_of"] == rows["good0.mp4"]["clips"][0]["clip_id"]
    counted = {
        name: result.metrics[name] for name in ("kept", "dropped", "dropped.duplicate", "clips")
    }
    assert counted == {"kept": 2, "dropped": 1, "dropped.duplicate": 1, "clips": 2}
    assert refresh.run().outcome is Outcome.NOTHING


def test_a_video_that_kills_its_worker_fails_alone(
    tmp_path: Path, site: Site, refreshing: type, process_of: Callable[[int, str], int]
) -> None:
    refresh = refreshing(
        tmp_path,
        [f"{site.url}/good{number}.mp4" for number in range(3)],
        chunk_size=3,
        **ONE_BY_ONE,
    )
    site.hold("/good1.mp4")
    process = refresh.start()
    for _attempt in range(3):
        assert site.holding.wait(200), (refresh.folder / "log").read_text()
        site.holding.clear()
        os.kill(process_of(process.pid, "ray::FetchProcess.fetch"), signal.SIGKILL)
    assert process.wait(timeout=200) == 0
    rows = {Path(row["url"]).name: row for row in refresh.dataset.latest_rows().to_pylist()}
    assert {name: row["decision"] for name, row in rows.items()} == {
        "good0.mp4": "kept",
        "good1.mp4": "failed",
        "good2.mp4": "kept",
    }
    assert (rows["good1.mp4"]["reason"], rows["good1.mp4"]["retryable"]) == (
        Reason.WORKER_DIED,
        True,
    )
    assert refresh.left_over() == []


def test_a_stop_signal_ends_it_as_cancelled_and_what_is_committed_stays(
    tmp_path: Path, site: Site, refreshing: type, wait_for: Callable[..., None]
) -> None:
    refresh = refreshing(
        tmp_path, [f"{site.url}/good{number}.mp4" for number in range(4)], **ONE_BY_ONE
    )
    site.hold("/good2.mp4")
    process = refresh.start()
    wait_for(lambda: refresh.dataset.exists, process)  # the first wave is committed
    assert site.holding.wait(200), (refresh.folder / "log").read_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == EXIT_CODES[Outcome.CANCELLED]
    result = refresh.result()
    assert result is not None
    assert (result.outcome, result.metrics["kept"]) == (Outcome.CANCELLED, 2)
    assert refresh.dataset.snapshot().table.num_rows == 2


def test_a_catalogue_that_does_not_exist_is_invalid_input(tmp_path: Path, refreshing: type) -> None:
    refresh = refreshing(tmp_path, [])
    assert (refresh.run().outcome, refresh.dataset.exists) == (Outcome.INVALID, False)  # empty
    (tmp_path / "catalogue.csv").unlink()
    result = refresh.run()
    assert result.outcome is Outcome.INVALID
    assert "does not exist" in result.reason


@pytest.mark.media
def test_real_videos_get_the_decisions_that_a_person_gave_them(
    tmp_path: Path, media: Path, refreshing: type
) -> None:
    site = Site(media)
    try:
        names = [
            "360/overpass.mp4",
            "360/prison_handheld.mp4",
            "360/city_cg.ts",
            "360/audio_only.mp4",
        ]
        names += [f"perspective/{path.name}" for path in sorted((media / "perspective").iterdir())]
        refresh = refreshing(tmp_path, [f"{site.url}/{name}" for name in names], chunk_size=32)
        assert refresh.run().outcome is Outcome.DONE
    finally:
        site.close()
    rows = {
        row["url"].removeprefix(f"{site.url}/"): row
        for row in refresh.dataset.latest_rows().to_pylist()
    }
    decisions = {name: (rows[name]["decision"], rows[name]["reason"]) for name in names}
    assert decisions == {
        **dict.fromkeys(names[:3], (Decision.KEPT, None)),
        "360/audio_only.mp4": (Decision.DROPPED, Reason.NO_VIDEO_STREAM),
        **dict.fromkeys(names[4:], (Decision.DROPPED, Reason.NOT_360)),
    }
