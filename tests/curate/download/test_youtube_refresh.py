"""Refreshes of videos of YouTube: decided from recorded answers, refused, and tried again."""

import importlib
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from argus.curate import CurationRun, LocalExecutor, VideoSource, store_recipe
from argus.dataset import Dataset, DecidedVideo, SourceRow
from argus.errors import InvalidInput
from argus.runs import RunFolder
from argus.synth import write_video_kind
from schemas.config import CurateConfig
from schemas.names import Decision, JobKind, Reason, Split
from tests.support.youtube_preload import SERVER_VARIABLE
from tests.support.youtube_site import YoutubeSite, serve_youtube


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[YoutubeSite]:
    video = tmp_path_factory.mktemp("site") / "walk.mp4"
    write_video_kind(video, "walk", seed=1, seconds=2.5, height=64, tagged=True)
    module = importlib.import_module("argus.curate.download.fetch")
    with serve_youtube(video) as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv(SERVER_VARIABLE, site.url)
        patch.setattr(module, "PRELOAD", "tests.support.youtube_preload")
        yield site


@pytest.fixture
def no_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path / "none"))


def make_run(folder: Path, sources: Sequence[VideoSource], **config: Any) -> CurationRun:
    folder.mkdir(exist_ok=True)
    (folder / "catalogue.txt").write_text("\n".join(source.url for source in sources))
    settings = {"allow_private_hosts": True, "attempts": 1, "min_free_bytes": 0}
    values = CurateConfig(
        catalogue=str(folder / "catalogue.txt"),
        dataset=str(folder / "dataset"),
        home=str(folder / "home"),
        clip={"height": 64},
        filters={"duplicates": "keep"},
        fetch={**settings, "youtube_per_hour": 0, "timeout_s": 120},
        **{"run_id": "run", **config},
    )
    run_folder = RunFolder.of(values, JobKind.CURATE)
    run_folder.prepare()
    return CurationRun(values, run_folder, LocalExecutor(max_videos=2))


def read_reasons(dataset: Dataset) -> dict[str, tuple[str, str | None, bool]]:
    rows = dataset.read_latest().to_pylist()
    return {row["source_id"]: (row["decision"], row["reason"], row["retryable"]) for row in rows}


def poison(run: CurationRun, sources: Sequence[VideoSource]) -> None:
    """Commit the rows of an earlier version, which took any poor list of formats for final."""
    rows = [
        SourceRow(
            source_id=source.source_id,
            url=source.url,
            split=Split.TRAIN,
            decision=Decision.FAILED,
            reason=Reason.NO_SPHERICAL_FORMAT,
            detail=f"{source.source_id}: [youtube] Requested format is not available",
            retryable=False,
            recipe=run.recipe.digest,
            run_id="old",
            code_version="0",
            decided_at=datetime.now(UTC),
        )
        for source in sources
    ]
    run.dataset.commit_chunk([DecidedVideo(row) for row in rows])


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 100])
def test_rows_that_were_decided_wrongly_recover(
    site: YoutubeSite, tmp_path: Path, count: int
) -> None:
    sources = [site.add("healthy", number) for number in range(count)]
    first = make_run(tmp_path / "run", sources)
    store_recipe(first.dataset.store, first.recipe)
    poison(first, sources)
    again = make_run(tmp_path / "run", sources, run_id="again")
    again.run()
    assert again.tally.known == count, "an ordinary refresh takes them for final"
    retried = make_run(tmp_path / "run", sources, run_id="retried", retry=["no_spherical_format"])
    retried.run()
    found = read_reasons(retried.dataset)
    assert Counter(found.values()) == {(Decision.KEPT, None, False): count}


def test_mixed_answers_are_decided_from_extraction_to_row(
    site: YoutubeSite, tmp_path: Path
) -> None:
    answers = {
        "healthy": (Decision.KEPT, None, False),
        "storyboards only": (Decision.FAILED, Reason.FORMATS_WITHHELD, True),
        "members only": (Decision.FAILED, Reason.MEMBERS_ONLY, False),
        "live": (Decision.FAILED, Reason.LIVE, True),
    }
    sources = {answer: site.add(answer) for answer in answers}
    run = make_run(tmp_path / "run", list(sources.values()))
    run.run()
    found = read_reasons(run.dataset)
    assert {answer: found[source.source_id] for answer, source in sources.items()} == answers


def test_refresh_of_youtube_without_a_runtime_fails_at_its_start(
    site: YoutubeSite, tmp_path: Path, no_runtime: None
) -> None:
    site.log.clear()
    with pytest.raises(InvalidInput, match=r"argus-360\[youtube\]"):
        make_run(tmp_path / "run", [site.add("healthy"), site.add("mesh")])
    assert not site.log
    assert not (tmp_path / "run" / "dataset").exists()


def test_other_sites_are_fetched_without_a_runtime(
    site: YoutubeSite, tmp_path: Path, no_runtime: None
) -> None:
    site.log.clear()
    source = site.add("healthy")
    other = VideoSource(
        "url:", f"{site.url}/videoplayback?id={source.source_id[8:]}&n=9egnellahCnZ"
    )
    run = make_run(tmp_path / "run", [source, other])
    run.run()
    found = read_reasons(run.dataset)
    assert found.pop(source.source_id) == (Decision.FAILED, Reason.NO_JS_RUNTIME, True)
    assert list(found.values()) == [(Decision.KEPT, None, False)]
    assert site.log["watch"] == 0
