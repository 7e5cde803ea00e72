"""Generation from every kind of file: the right pictures at the right times, upright and unsqueezed.

The result is compared with that from an ordinary video of the pictures that a player shows.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput
from argus.infer import GeneratedVideo, generate_video
from argus.media import probe
from argus.sphere import Camera, Trajectory, from_euler_deg
from schemas.config import SampleSettings
from tests.infer.conftest import make_frames
from tests.support.altered_files import ALTERATIONS, straighten
from tests.support.variable_rate import Times, bursts, slow_then_fast, write_timed
from tests.support.videos import read_frames

SAME, OTHER = 6.0, 12.0
"""Mean differences in levels: of results from alike frames at most, from others at least."""

Generate = Callable[..., GeneratedVideo]


@pytest.fixture
def generate(pipeline: ArgusPipeline, tmp_path: Path) -> Generate:
    """(source, **options) → the generated video."""

    def run(source: Path, **options: Path | str | float) -> GeneratedVideo:
        target = tmp_path / f"generated-{source.name}.mp4"
        sample = SampleSettings(steps=1)
        return generate_video(pipeline, source, target, settings=sample, **options)

    return run


def difference(one: GeneratedVideo, other: GeneratedVideo) -> float:
    """Return the mean difference of the frames of two videos, in levels."""
    first, second = read_frames(one.path), read_frames(other.path)
    count = min(len(first), len(second))
    return float(np.abs(first[:count].astype(int) - second[:count]).mean())


def moving_at(times: Times) -> np.ndarray:
    """Return the pictures of a video of 10 per second that are shown at some times."""
    return make_frames(100)[np.floor(np.asarray(times) * 10 + 1e-3).astype(int)]


@pytest.mark.parametrize(
    ("ending", "times"),
    [
        ("mp4", slow_then_fast(2.0, 2.0)),
        ("mkv", bursts(gap_s=2.0, burst_s=1.0)),
        ("ts", slow_then_fast(1.0, 2.0)),
        ("mp4", np.array([0, 0.4, 0.8, 2.0, 2.4])),
    ],
    ids=["slow then fast", "bursts", "transport stream", "few frames"],
)
def test_a_variable_rate_is_shown_at_its_own_speed(
    ending: str, times: Times, generate: Generate, tmp_path: Path
) -> None:
    found = generate(write_timed(tmp_path / f"in.{ending}", moving_at(times), times))
    assert found.seconds == pytest.approx(times[-1], abs=0.5)
    shown = np.arange(found.frames) / float(found.fps)
    held = times[np.searchsorted(times, shown + 2e-3, side="right") - 1]
    expected = generate(write_timed(tmp_path / "constant.mp4", moving_at(held), shown))
    assert expected.frames == found.frames
    assert difference(found, expected) < SAME
    assert any("varies" in note for note in found.notes)
    assert not any("varies" in note for note in expected.notes)
    by_number = times[np.rint(np.linspace(0, len(times) - 1, found.frames)).astype(int)]
    wrong = generate(write_timed(tmp_path / "wrong.mp4", moving_at(by_number), shown))
    assert difference(found, wrong) > SAME


def test_poses_of_source_frames_follow_the_times(generate: Generate, tmp_path: Path) -> None:
    times = slow_then_fast(2.0, 2.0)
    source = write_timed(tmp_path / "in.mp4", moving_at(times), times)
    camera = Camera(75, 64, 48)
    used = generate(source).frames
    shown = np.arange(used) / 5
    held = times[np.searchsorted(times, shown + 2e-3, side="right") - 1]
    results = []
    for name, moments in {"all": times, "used": held}.items():
        poses = tmp_path / f"{name}.npz"
        Trajectory(from_euler_deg(moments * 20, 0, 0), camera, probe(source).fps).save(poses)
        results.append(generate(source, poses=poses).path.read_bytes())
    assert results[0] == results[1]
    poses = tmp_path / "neither.npz"
    Trajectory(from_euler_deg(np.arange(used + 1), 0, 0), camera, probe(source).fps).save(poses)
    with pytest.raises(InvalidInput):
        generate(source, poses=poses)


def test_the_beginning_of_a_variable_rate_is_measured_in_seconds(
    generate: Generate, tmp_path: Path
) -> None:
    times = slow_then_fast(2.0, 2.0)
    found = generate(write_timed(tmp_path / "in.mp4", moving_at(times), times), max_seconds=1.0)
    assert (found.frames, found.seconds) == (5, pytest.approx(1.0))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary video of two seconds at 10 frames per second."""
    times = np.arange(20) / 10
    return write_timed(tmp_path_factory.mktemp("source") / "in.mp4", moving_at(times), times)


@pytest.fixture(scope="module")
def plain(pipeline: ArgusPipeline, source: Path) -> GeneratedVideo:
    """Return what the ordinary video becomes."""
    target = source.with_name("plain.mp4")
    return generate_video(pipeline, source, target, settings=SampleSettings(steps=1))


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_file_is_shown_as_players_show_it(
    name: str, source: Path, plain: GeneratedVideo, generate: Generate, tmp_path: Path
) -> None:
    altered = tmp_path / name
    ALTERATIONS[name](source, altered)
    expected = generate(straighten(altered, tmp_path / "straight.mp4"))
    found = generate(altered)
    assert (found.frames, found.fps) == (expected.frames, expected.fps)
    assert difference(found, expected) < SAME
    if name.partition(".")[0] in {"edit_list", "joined", "pq", "hlg"}:
        assert found.frames != plain.frames or difference(found, plain) > OTHER
    else:
        assert difference(found, plain) < 2 * SAME
    is_hdr = any("HDR" in note for note in found.notes)
    assert is_hdr is name.startswith(("pq", "hlg"))
