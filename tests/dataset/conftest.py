"""Clips and rows made by hand: the code under test never reads pixels."""

import logging
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import pytest
from pyarrow.fs import S3FileSystem

from argus.dataset import (
    CuratedClip,
    Dataset,
    DecidedVideo,
    Score,
    ShardClip,
    SourceRow,
    row_from_values,
)
from schemas.names import Decision, Layout, Reason, Split

RECIPE = "0" * 12


class Maker:
    """Maker of decided videos."""

    def clip(
        self, source: str, number: int = 0, split: Split = Split.TRAIN, frames: int = 50
    ) -> ShardClip:
        start = number * 10_000
        return ShardClip(
            clip_id=f"{source}@{start}-{start + 10_000}",
            source_id=source,
            split=split,
            start_ms=start,
            end_ms=start + 10_000,
            frames=frames,
            height=512,
            width=1024,
            fps=Fraction(30000, 6006),
            quality=0.5,
            video=random.Random(f"{source}/{number}").randbytes(1000),
        )

    def kept(
        self,
        source: str,
        clips: int = 1,
        *,
        recipe: str = RECIPE,
        split: Split = Split.TRAIN,
        frames: int = 50,
    ) -> DecidedVideo:
        shard_clips = [self.clip(source, number, split, frames) for number in range(clips)]
        score = Score(filter="static", name="difference", value=0.02, threshold=0.005, kept=True)
        rows = tuple(
            CuratedClip(
                clip_id=clip.clip_id,
                start_ms=clip.start_ms,
                end_ms=clip.end_ms,
                frames=clip.frames,
                decision=Decision.KEPT,
                quality=clip.quality,
                scores=(score,),
            )
            for clip in shard_clips
        )
        return DecidedVideo(
            self._row(
                source,
                Decision.KEPT,
                recipe,
                split=split,
                clips=rows,
                layout=Layout.MONO_ERP,
                scores=(score,),
            ),
            shard_clips,
        )

    def dropped(self, source: str, *, recipe: str = RECIPE) -> DecidedVideo:
        return DecidedVideo(
            self._row(source, Decision.DROPPED, recipe, reason=Reason.SEAM, detail="a seam")
        )

    def failed(
        self,
        source: str,
        *,
        recipe: str = RECIPE,
        retryable: bool = True,
        reason: Reason = Reason.UNREACHABLE,
    ) -> DecidedVideo:
        return DecidedVideo(
            self._row(source, Decision.FAILED, recipe, reason=reason, retryable=retryable)
        )

    def _row(
        self,
        source: str,
        decision: Decision,
        recipe: str,
        *,
        split: Split = Split.TRAIN,
        **values: object,
    ) -> SourceRow:
        fixed = {
            "url": f"http://example.org/{source}",
            "run_id": "run",
            "code_version": "0",
            "decided_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        return row_from_values(
            {
                "source_id": source,
                "split": split,
                "decision": decision,
                "recipe": recipe,
                **fixed,
                **values,
            }
        )


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Return the address of an S3 server on loopback."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URI of an empty place on it, configured by the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem(
        endpoint_override=s3_server, region="us-east-1", allow_bucket_creation=True
    ).create_dir("bucket")
    return f"s3://bucket/{uuid4().hex}"


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a place for a dataset: a folder, or an object store."""
    return str(tmp_path / "dataset") if request.param == "folder" else request.getfixturevalue("s3")


@pytest.fixture(scope="session")
def find_states() -> Callable[[Dataset, str], dict[str, bool]]:
    """Return a function that maps the sources of a recipe to whether their latest row is final."""

    def states(dataset: Dataset, recipe: str) -> dict[str, bool]:
        rows = [row for row in dataset.read_decisions().to_pylist() if row["recipe"] == recipe]
        final = dataset.find_final(recipe, [row["source_id"] for row in rows])
        return {row["source_id"]: row["source_id"] in final for row in rows}

    return states
