"""Fixtures for every test: the real media, and an environment that never asks a network."""

import os
from pathlib import Path

import pytest

for name, value in {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "passive",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real, labelled videos; see CONTRIBUTING.md."""
    folder = os.environ.get("ARGUS_TEST_MEDIA")
    if not folder:
        pytest.skip("needs real media: set ARGUS_TEST_MEDIA to their folder")
    return Path(folder)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ARGUS_HOME of the test's own, and no server in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "ARGUS_RAY_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dataset in which a few small videos were judged: kept, dropped for several reasons, and one that was not fetched.

    Their urls are https://videos.example/KIND.mp4; clips last two seconds. Only for looking: it is shared by all tests.
    """
    from argus.curate import Fetched, Recipe, VideoSource, process_video, store_recipe
    from argus.dataset import identify
    from argus.curate.results import Provenance, failed_row, stage_result
    from argus.curate.staging import discard_staged, place_thumbnail, read_staged, staged_name
    from argus.dataset import Dataset, DecidedVideo
    from argus.files import sha256_file
    from argus.synth import write_video_kind
    from schemas.config import ClipSettings, CurateConfig
    from schemas.names import Reason, Split

    folder = tmp_path_factory.mktemp("decided")
    config = CurateConfig(
        catalogue="none",
        dataset=str(folder / "dataset"),
        clip=ClipSettings(height=64, clip_s=2.0, min_clip_s=1.0),
    )
    recipe = Recipe.of(config)
    stamp = Provenance(recipe.digest, "tests", "0.1.0")
    dataset = Dataset(config.dataset)
    store_recipe(dataset.store, recipe)
    wave = []
    for kind in ("walk", "static", "broken_seam", "black", "stereo_tb_2to1", "text"):
        path = folder / f"{kind}.mp4"
        write_video_kind(path, kind, seed=7, seconds=4, fps=5, height=64)
        source = VideoSource(
            *identify(f"https://videos.example/{kind}.mp4"),
            Split.TRAIN if kind == "walk" else Split.VAL,
        )
        name = staged_name(source.source_id, recipe.digest)
        staged = Path(config.dataset) / name
        staged.mkdir(parents=True)
        fetched = Fetched(
            path, "yt-dlp", "2026.10.26", "generic", "0", "", path.stat().st_size, sha256_file(path)
        )
        row = stage_result(staged, process_video(path, source, config, staged), fetched, stamp)
        (staged / "row.json").write_text(row.model_dump_json())
        place_thumbnail(dataset.store, name, row)
        wave.append(read_staged(dataset.store, name))
    gone = VideoSource("youtube:dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    wave.append(
        DecidedVideo(
            failed_row(
                gone, stamp, Reason.BOT_CHECK, "the site asks whether it is a bot", retryable=True
            )
        )
    )
    dataset.commit_chunk(wave)
    discard_staged(dataset.store, recipe.digest, [video.row.source_id for video in wave])
    dataset.publish()
    return Path(config.dataset)
