"""Refreshes as users start them: processes of their own, with a local executor and with Ray.

A web site on loopback counts its requests and can hold its answers.
"""

import http.server
import os
import signal
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.dataset import SnapshotRow
from argus.media import SphericalMetadata, open_video, write_video
from argus.synth import write_video_kind
from schemas.names import EXIT_CODES, Decision, Outcome, Reason
from tests.ray_jobs.conftest import NewRefresh
from tests.support.refreshes import ProcessTree, wait_until

slow = pytest.mark.slow
ONE_BY_ONE = {
    "max_concurrent_videos": 1,
    "fetch": {"allow_private_hosts": True, "attempts": 1, "max_concurrent_downloads": 1},
}


class Site:
    """Serves a folder on loopback, records the path of every request, can hold those of one path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.held: str | None = None
        self.is_holding = threading.Event()
        self.released = threading.Event()
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self.path)
                if self.path == site.held:
                    site.is_holding.set()
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

    def urls(self, *names: str) -> list[str]:
        return [f"{self.url}/{name}" for name in names]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def hold(self, path: str) -> None:
        self.held, self.requests = path, []
        self.is_holding.clear()
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
    black = np.zeros((75, 128, 256, 3), np.uint8)
    write_video(folder / "black.mp4", black, Fraction(30), spherical=SphericalMetadata())
    (folder / "text.mp4").write_text("this is not a video")
    (folder / "empty.mp4").write_bytes(b"")
    whole = (folder / "good0.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def site(videos: Path) -> Iterator[Site]:
    site = Site(videos)
    yield site
    site.close()


@pytest.fixture(params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_local_refresh_starts_no_process_of_ray(
    tmp_path: Path, site: Site, new_refresh: NewRefresh
) -> None:
    refresh = new_refresh(tmp_path, site.urls("good0.mp4"))
    site.hold("/good0.mp4")
    process = refresh.start()
    assert site.is_holding.wait(100), refresh.log()
    tree = ProcessTree.below(process.pid)
    assert tree.commands, "a process that fetches"
    assert not any(tree.named(prefix) for prefix in ("ray", "raylet", "gcs_server"))
    libraries = Path(f"/proc/{process.pid}/maps").read_text()
    assert "_raylet" not in libraries, "ray is not imported"
    assert "libtorch" not in libraries
    site.release()
    assert process.wait(timeout=100) == 0
    result = refresh.result()
    assert result is not None
    assert (result.outcome, result.metrics["kept"], refresh.leftovers()) == (Outcome.DONE, 1, [])


@slow
def test_every_video_gets_its_decision_and_a_second_refresh_has_nothing_to_do(
    tmp_path: Path, site: Site, new_refresh: NewRefresh, executor: str
) -> None:
    names = ["good0.mp4", "none.mp4", "text.mp4", "good1.mp4", "empty.mp4", "black.mp4"]
    names += ["truncated.mp4"]
    refresh = new_refresh(tmp_path, site.urls(*names), chunk_size=3, executor=executor)
    first = refresh.run()
    assert first.outcome is Outcome.DONE
    rows = refresh.rows()
    assert {name: (rows[name]["decision"], rows[name]["reason"]) for name in names[:-1]} == {
        "good0.mp4": (Decision.KEPT, None),
        "none.mp4": (Decision.FAILED, Reason.NOT_FOUND),
        "text.mp4": (Decision.DROPPED, Reason.NOT_A_VIDEO),
        "good1.mp4": (Decision.KEPT, None),
        "empty.mp4": (Decision.FAILED, Reason.EMPTY_FILE),
        "black.mp4": (Decision.DROPPED, Reason.BLACK),
    }
    assert rows["truncated.mp4"]["decision"] != Decision.KEPT
    expected = {
        "considered": 7,
        "known": 0,
        "kept": 2,
        "failed": 2,
        "failed.not_found": 1,
        "dropped.black": 1,
        "clips": 2,
    }
    assert {name: first.metrics[name] for name in expected} == expected
    snapshot = refresh.dataset.get_snapshot(first.outputs["snapshot"])
    assert first.outputs["digest"] == snapshot.digest
    assert (tmp_path / "dataset" / rows["good0.mp4"]["thumbnail"]).read_bytes()[:2] == b"\xff\xd8"
    assert rows["good0.mp4"]["fetch"]["bytes"] == (site.folder / "good0.mp4").stat().st_size
    assert refresh.leftovers() == []

    site.requests.clear()
    second = refresh.run()
    assert (second.outcome, second.metrics["known"]) == (Outcome.NOTHING, 7)
    assert second.outputs["digest"] == first.outputs["digest"]
    assert site.requests == []


@slow
def test_a_retryable_failure_is_tried_again_and_the_same_failure_commits_nothing(
    tmp_path: Path, site: Site, new_refresh: NewRefresh
) -> None:
    refresh = new_refresh(tmp_path, [*site.urls("good0.mp4"), "http://127.0.0.1:9/closed.mp4"])
    first = refresh.run()
    assert (first.outcome, first.metrics["kept"]) == (Outcome.DONE, 1)
    assert first.metrics["failed.unreachable"] == 1
    assert refresh.rows()["closed.mp4"]["retryable"]
    again = refresh.run()
    assert (again.outcome, again.metrics["known"]) == (Outcome.NOTHING, 1)
    assert again.metrics["failed.unreachable"] == 1


@slow
def test_a_killed_refresh_continues_with_what_is_committed_and_staged(
    tmp_path: Path, site: Site, new_refresh: NewRefresh, executor: str
) -> None:
    urls = site.urls(*(f"good{number}.mp4" for number in range(5)))
    whole = new_refresh(tmp_path / "whole", urls)
    whole.run()

    torn = new_refresh(tmp_path / "torn", urls, max_concurrent_videos=1, executor=executor)
    site.hold("/good3.mp4")
    process = torn.start()
    # The first chunk is committed, and of the second one video is staged.
    wait_until(lambda: len(torn.staged()) == 1 and torn.dataset.exists, process)
    process.kill()
    process.wait()
    assert torn.dataset.list_snapshots() == []  # committed, not published

    site.release()
    torn.config["run_id"] = "another"
    result = torn.run()
    assert (result.outcome, result.metrics["known"]) == (Outcome.DONE, 2)
    assert set(site.requests) <= {"/good3.mp4", "/good4.mp4"}  # the last was fetched ahead
    assert "/good3.mp4" in site.requests
    assert torn.shards() == whole.shards()
    assert torn.digests() == whole.digests()
    assert torn.leftovers() == []
    table = torn.dataset.get_snapshot().table
    rows = [SnapshotRow.from_values(values) for values in table.to_pylist()]
    assert len(rows) == 5
    for row in rows:
        with torn.dataset.open_shard(row.shard) as reader:
            assert reader.clip(row.row).clip_id == row.clip_id


@slow
def test_a_copy_at_another_url_with_another_yaw_and_encoding_is_a_duplicate(
    tmp_path: Path, site: Site, new_refresh: NewRefresh
) -> None:
    with open_video(site.folder / "good0.mp4") as reader:
        frames = np.roll(reader.frames(range(len(reader))), 37, axis=2)
    write_video(site.folder / "copy.mp4", frames, reader.fps, crf=32, spherical=SphericalMetadata())
    refresh = new_refresh(tmp_path, site.urls("good0.mp4", "good1.mp4", "copy.mp4"))
    result = refresh.run()
    rows = refresh.rows()
    copy = rows["copy.mp4"]
    assert (copy["decision"], copy["reason"]) == (Decision.DROPPED, Reason.DUPLICATE)
    assert copy["clips"][0]["duplicate_of"] == rows["good0.mp4"]["clips"][0]["clip_id"]
    expected = {"kept": 2, "dropped": 1, "dropped.duplicate": 1, "clips": 2}
    assert {name: result.metrics[name] for name in expected} == expected
    assert refresh.run().outcome is Outcome.NOTHING


@slow
def test_a_video_that_kills_its_ray_worker_fails_alone(
    tmp_path: Path, site: Site, new_refresh: NewRefresh
) -> None:
    """The local counterpart is in the contract of executors: there a sandboxed process dies."""
    urls = site.urls(*(f"good{number}.mp4" for number in range(3)))
    refresh = new_refresh(tmp_path, urls, chunk_size=3, executor="ray", **ONE_BY_ONE)
    site.hold("/good1.mp4")
    process = refresh.start()
    for _attempt in range(3):
        assert site.is_holding.wait(200), refresh.log()
        site.is_holding.clear()
        (worker,) = ProcessTree.below(process.pid).named("ray::FetchActor.fetch")
        os.kill(worker, signal.SIGKILL)
    assert process.wait(timeout=200) == 0
    rows = refresh.rows()
    assert {name: row["decision"] for name, row in rows.items()} == {
        "good0.mp4": "kept",
        "good1.mp4": "failed",
        "good2.mp4": "kept",
    }
    failed = rows["good1.mp4"]
    assert (failed["reason"], failed["retryable"]) == (Reason.WORKER_DIED, True)
    assert refresh.leftovers() == []


@slow
def test_a_stop_signal_ends_it_as_cancelled_and_what_is_committed_stays(
    tmp_path: Path, site: Site, new_refresh: NewRefresh, executor: str
) -> None:
    urls = site.urls(*(f"good{number}.mp4" for number in range(4)))
    refresh = new_refresh(tmp_path, urls, executor=executor, **ONE_BY_ONE)
    site.hold("/good2.mp4")
    process = refresh.start()
    wait_until(lambda: refresh.dataset.exists, process)  # the first chunk is committed
    assert site.is_holding.wait(200), refresh.log()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == EXIT_CODES[Outcome.CANCELLED]
    result = refresh.result()
    assert result is not None
    assert (result.outcome, result.metrics["kept"]) == (Outcome.CANCELLED, 2)
    assert refresh.dataset.get_snapshot().table.num_rows == 2


def test_a_catalogue_that_does_not_exist_is_invalid_input(
    tmp_path: Path, new_refresh: NewRefresh
) -> None:
    refresh = new_refresh(tmp_path, [])
    assert (refresh.run().outcome, refresh.dataset.exists) == (Outcome.INVALID, False)  # empty
    (tmp_path / "catalogue.csv").unlink()
    result = refresh.run()
    assert result.outcome is Outcome.INVALID
    assert "catalogue.csv" in result.reason


@slow
@pytest.mark.media
def test_real_videos_get_the_decisions_that_a_person_gave_them(
    tmp_path: Path, media: Path, new_refresh: NewRefresh, executor: str
) -> None:
    kept = ["360/overpass.mp4", "360/prison_handheld.mp4", "360/city_cg.ts"]
    flat = [f"perspective/{path.name}" for path in sorted((media / "perspective").iterdir())]
    names = [*kept, "360/audio_only.mp4", *flat]
    site = Site(media)
    try:
        refresh = new_refresh(tmp_path, site.urls(*names), chunk_size=32, executor=executor)
        assert refresh.run().outcome is Outcome.DONE
    finally:
        site.close()
    rows = refresh.dataset.read_latest().to_pylist()
    assert {
        row["url"].removeprefix(f"{site.url}/"): (row["decision"], row["reason"]) for row in rows
    } == {
        **dict.fromkeys(kept, (Decision.KEPT, None)),
        "360/audio_only.mp4": (Decision.DROPPED, Reason.NO_VIDEO_STREAM),
        **dict.fromkeys(flat, (Decision.DROPPED, Reason.NOT_360)),
    }
