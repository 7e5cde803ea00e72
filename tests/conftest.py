"""Fixtures for every test: real media, a small dataset, and an environment without network."""

import os
from pathlib import Path

import pytest

from schemas.names import TELEMETRY_OFF

for name, value in {
    **TELEMETRY_OFF,
    "HF_HUB_OFFLINE": "1",
    "OMP_WAIT_POLICY": "passive",
}.items():
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def media() -> Path:
    """Folder of real, labeled videos; see CONTRIBUTING.md."""
    folder = os.environ.get("ARGUS_TEST_MEDIA")
    if not folder:
        pytest.skip("needs real media: set ARGUS_TEST_MEDIA to their folder")
    return Path(folder)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary ARGUS_HOME, and no server in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "ARGUS_RAY_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def sample_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a dataset with a few small videos: kept, dropped for several reasons, and failed.

    Their URLs are https://videos.example/KIND.mp4; clips are 2 s long. All tests share it: do not
    write to it.
    """
    from argus.curate import (
        Recipe,
        StagingArea,
        VideoSource,
        failed_row,
        process_video,
        stage_result,
        store_recipe,
    )
    from argus.dataset import Dataset, DecidedVideo, FetchedFile, Provenance, identify
    from argus.files import sha256_file
    from argus.synth import write_video_kind
    from schemas.config import ClipSettings, CurateConfig
    from schemas.names import Reason, Split

    folder = tmp_path_factory.mktemp("sample_dataset")
    config = CurateConfig(
        catalogue="none",
        dataset=str(folder / "dataset"),
        home=str(folder / "home"),
        clip=ClipSettings(height=64, clip_s=2.0, min_clip_s=1.0),
    )
    recipe = Recipe.from_config(config)
    provenance = Provenance(recipe.digest, "tests", "0.1.0")
    staging = StagingArea.of(config, recipe.digest)
    dataset = Dataset(config.dataset)
    store_recipe(dataset.store, recipe)
    chunk = []
    for kind in ("walk", "static", "broken_seam", "black", "stereo_tb_2to1", "text"):
        path = folder / f"{kind}.mp4"
        write_video_kind(path, kind, seed=7, seconds=4, fps=5, height=64)
        source = VideoSource(
            *identify(f"https://videos.example/{kind}.mp4"),
            Split.TRAIN if kind == "walk" else Split.VAL,
        )
        fetched = FetchedFile(
            path=path,
            tool="yt-dlp",
            version="2026.10.26",
            client="generic",
            format_id="0",
            format_note="",
            bytes=path.stat().st_size,
            sha256=sha256_file(path),
        )
        result = folder / kind
        result.mkdir()
        row = stage_result(result, process_video(path, source, config, result), fetched, provenance)
        staging.store_result(result, row)
        staging.publish_thumbnail(row, is_committed=False)
        chunk.append(staging.read_result(source.source_id))
    blocked = VideoSource("youtube:dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    detail = "the site asks whether it is a bot"
    row = failed_row(blocked, provenance, Reason.BOT_CHECK, detail, retryable=True)
    chunk.append(DecidedVideo(row))
    dataset.commit_chunk(chunk)
    staging.discard([video.row.source_id for video in chunk])
    dataset.publish()
    return Path(config.dataset)
