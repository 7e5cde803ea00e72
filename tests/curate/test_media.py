"""Curation of every kind of file: the clips of what players show, with a note on what was changed.

The result is compared with that of an ordinary video of the pictures that a player shows.
"""

from pathlib import Path

import numpy as np
import pytest

from argus.curate import VideoSource, process_video
from argus.dataset import CuratedVideo
from argus.media import decode_clip
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision, Layout, Reason
from tests.support.altered_files import ALTERATIONS, straighten
from tests.support.camera_files import append_trailer, show_gopro, show_lenses, write_tracks
from tests.support.panoramas import FPS, panorama, turning
from tests.support.variable_rate import write_timed

SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
CONFIG = CurateConfig(
    catalogue="none",
    clip=ClipSettings(height=64, clip_s=4.0),
    filters=FilterSettings(sharpness=0.1, dark_share=1.0, variance=10.0),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A panorama of three seconds at 10 frames per second."""
    frames = turning(panorama())
    path = tmp_path_factory.mktemp("source") / "in.mp4"
    return write_timed(path, frames, np.arange(len(frames)) / FPS)


def process(path: Path, folder: Path) -> CuratedVideo:
    folder.mkdir()
    return process_video(path, SOURCE, CONFIG, folder)


def read_clips(video: CuratedVideo, folder: Path) -> np.ndarray:
    files = (clip.file for clip in video.kept_clips)
    return np.concatenate([decode_clip((folder / one.name).read_bytes()) for one in files if one])


@pytest.mark.parametrize("name", ALTERATIONS)
def test_the_clips_of_an_altered_file_are_those_that_players_show(
    name: str, source: Path, tmp_path: Path
) -> None:
    altered = tmp_path / name
    ALTERATIONS[name](source, altered)
    straight = straighten(altered, tmp_path / "straight.mp4")
    expected = process(straight, tmp_path / "expected")
    found = process(altered, tmp_path / "found")
    assert (found.decision, expected.decision) == (Decision.KEPT, Decision.KEPT), found.detail
    assert (found.layout, expected.layout) == (Layout.MONO_ERP, Layout.MONO_ERP)
    assert [clip.clip_id for clip in found.clips] == [clip.clip_id for clip in expected.clips]
    assert [clip.frames for clip in found.clips] == [clip.frames for clip in expected.clips]
    clips = read_clips(found, tmp_path / "found").astype(int)
    assert np.abs(clips - read_clips(expected, tmp_path / "expected")).mean() < 3
    assert found.detail is not None
    assert ("HDR" in found.detail) is name.startswith(("pq", "hlg"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recordings of two-lens cameras, two seconds long, by name."""
    folder = tmp_path_factory.mktemp("recordings")
    phases = tuple(0.6 * k for k in range(20))
    lenses = show_lenses(phases)
    return {
        "max": write_tracks(folder / "GS010001.360", show_gopro(phases)),
        "max_renamed": write_tracks(folder / "holiday.mp4", show_gopro(phases)),
        "two_tracks": append_trailer(write_tracks(folder / "a.insv", lenses)),
        "renamed": append_trailer(write_tracks(folder / "b.mp4", lenses)),
        "side_by_side": append_trailer(
            write_tracks(
                folder / "c.insv", [[np.concatenate(both, 1) for both in zip(*lenses, strict=True)]]
            )
        ),
        "one_of_a_pair": append_trailer(
            write_tracks(folder / "VID_20250101_120000_00_007.insv", lenses[:1])
        ),
    }


@pytest.mark.parametrize("name", ["max", "max_renamed"])
def test_both_tracks_of_a_gopro_max_are_one_map(
    name: str, recordings: dict[str, Path], tmp_path: Path
) -> None:
    found = process(recordings[name], tmp_path / "found")
    assert found.media is not None
    assert (found.media.camera, found.layout) == ("GoPro MAX", Layout.MONO_ERP)
    assert found.reason not in {Reason.UNSUPPORTED_LAYOUT, Reason.LAYOUT_MISMATCH, Reason.NOT_360}
    assert found.conversion is not None, "it was cut, or judged by its pixels as a map"
    assert "GoPro MAX" in (found.detail or "")


@pytest.mark.parametrize("name", ["two_tracks", "renamed", "side_by_side", "one_of_a_pair"])
def test_a_recording_without_its_lenses_is_never_judged_by_one_track(
    name: str, recordings: dict[str, Path], tmp_path: Path
) -> None:
    found = process(recordings[name], tmp_path / "found")
    assert (found.decision, found.reason) == (Decision.DROPPED, Reason.UNSUPPORTED_LAYOUT)
    assert (found.layout, found.scores, found.clips) == (Layout.DUAL_FISHEYE, (), ())
    assert "--lens" in (found.detail or "")
    assert str(tmp_path) not in (found.detail or "")
