"""`argus tag`: the metadata that it writes is what players and ffmpeg read."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from argus.media import SphericalMetadata, read_spherical, write_video
from tests.support.cli import assert_invalid, run_argus, run_argus_json

pytestmark = pytest.mark.usefixtures("home")

TAG_KEYS = {
    "output",
    "version",
    "projection",
    "stereo",
    "bounds",
    "yaw_deg",
    "pitch_deg",
    "roll_deg",
}


def run_ffmpeg(*arguments: str | Path) -> str:
    """Return what ffmpeg prints on standard error."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.lower()


@pytest.mark.parametrize(
    ("options", "projection", "stereo", "ffmpeg"),
    [
        ([], "equirectangular", "mono", "mapping: equirectangular"),
        (["--stereo", "top-bottom"], "equirectangular", "top-bottom", "top and bottom"),
        (
            ["--projection", "cubemap", "--stereo", "left-right"],
            "cubemap",
            "left-right",
            "mapping: cubemap",
        ),
    ],
)
def test_tag_writes_what_a_player_reads(
    options: list[str],
    projection: str,
    stereo: str,
    ffmpeg: str,
    synthetic_video: Path,
    tmp_path: Path,
) -> None:
    tagged = tmp_path / "tagged.mp4"
    result = run_argus("tag", synthetic_video, tagged, *options)
    assert result.exit_code == 0, result.output
    declared = ["spherical: v2", f"projection: {projection}", f"stereo: {stereo}"]
    assert result.stdout.splitlines() == [f"output: {tagged}", *declared]
    assert run_argus("tag", tagged).stdout.splitlines() == declared
    assert ffmpeg in run_ffmpeg("-i", tagged)
    assert read_spherical(synthetic_video) is None


def test_tags_as_json(synthetic_video: Path, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp4"
    plain = run_argus_json("tag", synthetic_video, "--json")
    assert plain == dict.fromkeys(TAG_KEYS)
    written = run_argus_json("tag", synthetic_video, tagged, "--stereo", "left-right", "--json")
    assert set(written) == TAG_KEYS
    assert (written["output"], written["stereo"]) == (str(tagged), "left-right")
    assert written["bounds"] == [0, 0, 0, 0]


def test_a_dry_run_shows_the_tags_and_writes_nothing(synthetic_video: Path, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp4"
    options = ["--projection", "eac", "--dry-run", "--json"]
    shown = run_argus_json("tag", synthetic_video, tagged, *options)
    assert (shown["projection"], shown["output"]) == ("eac", None)
    assert not tagged.exists()


def test_tag_changes_in_place_only_what_is_given(synthetic_video: Path) -> None:
    for options, declared in [
        (["--stereo", "left-right"], SphericalMetadata(stereo_mode="left-right")),
        (
            ["--projection", "cubemap"],
            SphericalMetadata(projection="cubemap", stereo_mode="left-right"),
        ),
        ([], SphericalMetadata(projection="cubemap", stereo_mode="left-right")),
        (["--projection", "equirectangular", "--stereo", "mono"], SphericalMetadata()),
    ]:
        assert run_argus("tag", synthetic_video, synthetic_video, *options).exit_code == 0
        assert read_spherical(synthetic_video) == declared


def test_tag_turns_a_matroska_file_into_an_mp4(synthetic_video: Path, tmp_path: Path) -> None:
    run_ffmpeg("-v", "error", "-i", synthetic_video, "-c", "copy", tmp_path / "plain.mkv")
    assert run_argus("tag", tmp_path / "plain.mkv", tmp_path / "tagged.mp4").exit_code == 0
    assert read_spherical(tmp_path / "tagged.mp4") == SphericalMetadata()


def test_tag_shows_bounds_and_orientation(synthetic_video: Path, tmp_path: Path) -> None:
    assert run_argus("tag", synthetic_video).stdout.splitlines() == ["spherical: no"]
    part = SphericalMetadata(bounds=(0, 0, 0.25, 0.25), yaw_deg=90, roll_deg=-12.5)
    write_video(tmp_path / "part.mp4", np.zeros((3, 32, 64, 3), np.uint8), 30, spherical=part)
    lines = run_argus("tag", tmp_path / "part.mp4").stdout.splitlines()[3:]
    assert [line.partition(": ")[2] for line in lines] == ["0, 0, 0.25, 0.25", "90, 0, -12.5"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["absent.mp4"], ["absent.mp4"]),
        (["absent.mp4", "out.mp4"], ["absent.mp4"]),
        (["plain.mp4", "out.webm"], ["out.webm", ".mp4"]),
        (["plain.mp4", "folder.mp4"], ["folder.mp4"]),
        (["plain.mp4", "--stereo", "mono"], ["OUT"]),
        (["text.mp4", "out.mp4"], ["text.mp4"]),
        (["text.mp4"], ["text.mp4"]),
    ],
)
def test_unusable_files_are_refused_in_one_line(
    arguments: list[str],
    names: list[str],
    synthetic_video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert synthetic_video.name == "plain.mp4"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_invalid(run_argus("tag", *arguments), *names)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_tag_names_the_choices(synthetic_video: Path) -> None:
    result = run_argus("tag", synthetic_video, "out.mp4", "--stereo", "over-under")
    assert result.exit_code == 2
    assert all(choice in result.stderr for choice in ("mono", "top-bottom", "left-right"))
