"""`argus tag`: the metadata that it writes is what players and ffmpeg read."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from argus.media import SphericalMetadata, read_spherical, write_video
from argus.synth import write_video_kind
from tests.support.cli import assert_invalid, run_argus, run_argus_json

pytestmark = pytest.mark.usefixtures("home")

V1_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")  # Spherical Video RFC
TAG_KEYS = {
    "output",
    "version",
    "projection",
    "stereo",
    "bounds",
    "yaw_deg",
    "pitch_deg",
    "roll_deg",
    "problem",
    "repaired",
    "omissions",
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
        (["--stereo", "top-bottom", "--force"], "equirectangular", "top-bottom", "top and bottom"),
        (
            ["--projection", "cubemap", "--stereo", "left-right", "--force"],
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
    options = ["--stereo", "left-right", "--force", "--json"]
    written = run_argus_json("tag", synthetic_video, tagged, *options)
    assert set(written) == TAG_KEYS
    assert (written["repaired"], written["omissions"]) == (None, [])
    assert (written["output"], written["stereo"]) == (str(tagged), "left-right")
    assert written["bounds"] == [0, 0, 0, 0]


def test_a_dry_run_shows_the_tags_and_writes_nothing(synthetic_video: Path, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp4"
    options = ["--projection", "eac", "--force", "--dry-run", "--json"]
    shown = run_argus_json("tag", synthetic_video, tagged, *options)
    assert (shown["projection"], shown["output"]) == ("eac", None)
    assert not tagged.exists()


def test_tag_changes_in_place_only_what_is_given(synthetic_video: Path) -> None:
    for options, declared in [
        (["--stereo", "left-right", "--force"], SphericalMetadata(stereo_mode="left-right")),
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
        (["plain.mp4", "--force"], ["OUT"]),
        (["plain.mp4", "nodir/out.mp4"], ["nodir"]),
        (["text.mp4", "out.mp4", "--force"], ["text.mp4"]),
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


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write an undeclared synthetic video of a kind, once."""
    folder = tmp_path_factory.mktemp("kinds")

    def write(kind: str) -> Path:
        path = folder / f"{kind}.mp4"
        if not path.exists():
            write_video_kind(path, kind, seed=3, seconds=2, fps=5, height=128)
            data = path.read_bytes()  # hide what the writer declared
            path.write_bytes(
                data.replace(b"sv3d", b"free").replace(b"st3d", b"free").replace(V1_UUID, bytes(16))
            )
        assert read_spherical(path) is None
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("walk", []),
        ("mono_erp_16x9", []),
        ("mono_erp_anamorphic", ["--stereo", "mono"]),
        ("half_black", []),
        ("stereo_tb", ["--stereo", "top-bottom"]),
        ("stereo_tb_2to1", ["--stereo", "top-bottom"]),
        ("stereo_sbs_2to1", ["--stereo", "left-right"]),
        ("vr180", ["--projection", "half_equirectangular", "--stereo", "left-right"]),
        ("vr180_mono", ["--projection", "half_equirectangular"]),
        ("eac", ["--projection", "eac"]),
        ("cubemap_v2", ["--projection", "cubemap"]),
    ],
)
def test_a_map_is_tagged_with_the_options_that_fit(
    kind: str, options: list[str], kinds: Callable[[str], Path], tmp_path: Path
) -> None:
    assert run_argus("tag", kinds(kind), tmp_path / "out.mp4", *options).exit_code == 0
    wrong = ["--projection", "cubemap" if "eac" in options else "eac"]
    result = run_argus("tag", kinds(kind), tmp_path / "wrong.mp4", *wrong)
    assert_invalid(result, kind, "--force", *options)
    if "mono" not in options and options:
        assert_invalid(run_argus("tag", kinds(kind), tmp_path / "wrong.mp4"), kind, *options)
    assert not (tmp_path / "wrong.mp4").exists()


@pytest.mark.parametrize(
    "kind",
    [
        "perspective_16x9",
        "perspective_2to1",
        "perspective_vertical",
        "perspective_letterboxed",
        "cartoon",
        "slides",
        "tiny_planet",
        "partial_unsaid",
        "dual_fisheye",
        "twice_converted",
        "cubemap_3x2",
        "cubemap_6x1",
        "mono_erp_letterboxed",
    ],
)
@pytest.mark.parametrize("options", [[], ["--projection", "equirectangular"], ["--dry-run"]])
def test_what_is_no_map_is_refused(
    kind: str, options: list[str], kinds: Callable[[str], Path], tmp_path: Path
) -> None:
    tagged = tmp_path / "out.mp4"
    assert_invalid(run_argus("tag", kinds(kind), tagged, *options), kind, "--force")
    assert not tagged.exists()
    forced = run_argus_json("tag", kinds(kind), tagged, *options, "--force", "--json")
    assert forced["projection"] == "equirectangular"
    assert tagged.exists() == ("--dry-run" not in options)


def test_a_declared_video_is_not_judged_by_its_pixels(
    kinds: Callable[[str], Path], tmp_path: Path
) -> None:
    tagged, again = tmp_path / "tagged.mp4", tmp_path / "again.mp4"
    assert run_argus("tag", kinds("slides"), tagged, "--force").exit_code == 0
    assert run_argus("tag", tagged, again).exit_code == 0


def test_a_video_that_cannot_be_decoded_is_tagged_only_by_force(
    synthetic_video: Path, tmp_path: Path
) -> None:
    tagged, data = tmp_path / "out.mp4", bytearray(synthetic_video.read_bytes())
    for name, damaged in {
        "noise": data[: data.index(b"mdat") + 4] + bytes(len(data) - data.index(b"mdat") - 4),
        "codec": data.replace(b"avc1", b"xyz1").replace(b"avcC", b"xyzC"),
    }.items():
        source = tmp_path / f"{name}.mp4"
        source.write_bytes(damaged)
        assert_invalid(run_argus("tag", source, tagged), name, "--force")
        assert run_argus("tag", source, tagged, "--force").exit_code == 0, name
        assert b"sv3d" in tagged.read_bytes()


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".flv"])
def test_a_truncated_video_is_not_tagged(
    suffix: str, synthetic_video: Path, tmp_path: Path
) -> None:
    source = tmp_path / f"cut{suffix}"
    run_ffmpeg("-v", "error", "-i", synthetic_video, "-c", "copy", source)
    source.write_bytes(source.read_bytes()[:-100])
    assert_invalid(run_argus("tag", source, tmp_path / "out.mp4"), "truncated")
    assert not (tmp_path / "out.mp4").exists()


def test_a_faulty_declaration_is_repaired(synthetic_video: Path, tmp_path: Path) -> None:
    faulty, tagged = tmp_path / "faulty.mp4", tmp_path / "tagged.mp4"
    assert run_argus("tag", synthetic_video, faulty).exit_code == 0
    data = bytearray(faulty.read_bytes())
    start = data.index(b"equi") + 8
    data[start : start + 16] = struct.pack(">4I", 2**31, 2**31, 2**31, 2**31 + 7)
    faulty.write_bytes(data)
    assert run_argus_json("tag", faulty, "--json")["problem"]
    shown = run_argus_json("tag", faulty, tagged, "--json")
    assert shown["repaired"]
    assert shown["problem"] is None
    assert shown["bounds"] == [0, 0, 0, 0]
    assert run_argus_json("tag", tagged, tagged, "--json")["repaired"] is None
    assert "mapping: equirectangular" in run_ffmpeg("-i", tagged)


def test_stereo_without_projection_is_completed(synthetic_video: Path, tmp_path: Path) -> None:
    source, tagged = tmp_path / "stereo.mkv", tmp_path / "tagged.mp4"
    stereo = ["-metadata:s:v:0", "stereo_mode=top_bottom"]
    run_ffmpeg("-v", "error", "-i", synthetic_video, "-c", "copy", *stereo, source)
    assert run_argus("tag", source, tagged, "--force").exit_code == 0
    assert read_spherical(tagged) == SphericalMetadata(stereo_mode="top-bottom")


def test_tag_lists_what_an_mp4_cannot_hold(synthetic_video: Path, tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_bytes(b"a font")
    source, tagged = tmp_path / "rich.mkv", tmp_path / "tagged.mp4"
    run_ffmpeg(
        *("-v", "error", "-i", synthetic_video, "-c", "copy", "-metadata", "mood=calm"),
        *("-attach", tmp_path / "font.ttf", "-metadata:s:t:0", "mimetype=font/ttf", source),
    )
    planned = run_argus_json("tag", source, tagged, "--dry-run", "--json")["omissions"]
    assert not tagged.exists()
    assert run_argus_json("tag", source, tagged, "--json")["omissions"] == planned
    assert {"track": None, "part": "tags", "detail": "mood"} in planned
    assert {"track": 1, "part": "attachment", "detail": "font.ttf"} in planned
    lines = run_argus("tag", source, tagged).stdout.splitlines()
    assert "not kept: tags (mood)" in lines
    assert "not kept: track 1: attachment (font.ttf)" in lines


@pytest.mark.parametrize("name", [b"\xe9t\xe9.mp4", b"two\nlines.mp4", b"x" * 240 + b".mp4"])
def test_any_legal_name_can_be_tagged_in_place(
    name: bytes, synthetic_video: Path, tmp_path: Path
) -> None:
    path = synthetic_video.rename(tmp_path / os.fsdecode(name))
    command = [sys.executable, "-c", "from argus.cli import main; main()", "tag"]
    done = subprocess.run([*command, path, path, "--json"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_spherical(path) == SphericalMetadata()
    assert json.loads(done.stdout)["projection"] == "equirectangular"


@pytest.mark.slow
@pytest.mark.media
def test_real_videos_are_tagged_as_what_they_are(media: Path, tmp_path: Path) -> None:
    fitting = {
        "360/car_halfblack_text.mp4": [],
        "360/city_cg.ts": [],
        "360/geyser_stereo_tb.ts": ["--stereo", "top-bottom"],
        "360/jungle_stereo_tb_v1meta.mp4": [],
        "360/lobby_4k_1s_static.mp4": [],
        "360/overpass.mp4": [],
        "360/prison_handheld.mp4": [],
        "360/room_stereo_sbs_2to1.mp4": ["--stereo", "left-right"],
        "360/tunnel_16x9_reupload.mp4": [],
    }
    for name, options in fitting.items():
        result = run_argus("tag", media / name, tmp_path / "out.mp4", *options)
        assert result.exit_code == 0, result.stderr
        if options:
            result = run_argus("tag", media / name, tmp_path / "out.mp4")
            assert_invalid(result, name, " ".join(options))
    for name, named in {
        "360/audio_only.mp4": "video stream",
        "360/tunnel_16x9.webm": "vp8",
        "360/partial_stereo_tb_mshp.mp4": "mesh",
    }.items():
        assert_invalid(run_argus("tag", media / name, tmp_path / "out.mp4"), name, named)
    for path in sorted((media / "perspective").iterdir()):
        assert_invalid(run_argus("tag", path, tmp_path / "never.mp4"), path.name, "--force")


def test_tag_names_the_choices(synthetic_video: Path) -> None:
    result = run_argus("tag", synthetic_video, "out.mp4", "--stereo", "over-under")
    assert result.exit_code == 2
    assert all(choice in result.stderr for choice in ("mono", "top-bottom", "left-right"))
