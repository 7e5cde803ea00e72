"""`argus stitch`: recordings and photos of two-lens cameras become files that every player knows."""

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.media import open_video, probe, read_spherical
from tests.support.camera_files import (
    LENS_SIZE,
    PHASES,
    append_trailer,
    show_gopro,
    show_lenses,
    write_lens_file,
    write_tracks,
)
from tests.support.cli import assert_invalid, run_argus, run_argus_json
from tests.support.two_lenses import mask_seam_of_lenses, measure_psnr, show_map

pytestmark = pytest.mark.usefixtures("home")

KEYS = {"output", "camera", "width", "height", "fps", "frames", "omissions"}


@pytest.fixture
def gopro(tmp_path: Path) -> Path:
    return write_tracks(tmp_path / "GS010001.360", show_gopro())


@pytest.fixture
def insta360(tmp_path: Path) -> Path:
    return append_trailer(write_tracks(tmp_path / "VID_1_00_2.insv", show_lenses()))


@pytest.fixture
def lens(tmp_path: Path) -> Path:
    return write_lens_file(tmp_path / "lens.json")


def assert_is_map(path: Path, minimum: float = 34) -> None:
    """Check that a video shows the scene, is marked as a sphere and has sound."""
    info = probe(path)
    assert info.spherical is not None
    assert info.spherical.is_full_sphere
    assert [track.kind for track in info.tracks] == ["video", "audio"]
    with open_video(path) as reader:
        frames = reader.frames(range(len(reader)))
    outside = mask_seam_of_lenses(frames.shape[1:3], np.array([0, 0, 1]))
    for frame, phase in zip(frames, PHASES, strict=True):
        assert measure_psnr(frame, show_map(frame.shape[:2], phase), outside) > minimum


def test_a_gopro_recording_becomes_a_360_video(gopro: Path, tmp_path: Path) -> None:
    target = tmp_path / "walk.mp4"
    facts = run_argus_json("stitch", gopro, target, "--json")
    assert set(facts) == KEYS
    assert (facts["camera"], facts["width"], facts["height"]) == ("GoPro MAX", 736, 368)
    assert (facts["output"], facts["frames"], facts["omissions"]) == (str(target), 4, [])
    assert_is_map(target)


def test_lenses_are_joined(insta360: Path, lens: Path, tmp_path: Path) -> None:
    target = tmp_path / "walk.mp4"
    result = run_argus("stitch", insta360, target, "--lens", lens)
    assert result.exit_code == 0, result.output
    assert "camera: Insta360" in result.stdout.splitlines()
    assert_is_map(target)


def test_two_files_size_and_quality(lens: Path, tmp_path: Path) -> None:
    files = [
        write_tracks(tmp_path / f"{name}.mp4", [frames], has_sound=name == "b")
        for name, frames in zip("ab", show_lenses(), strict=True)
    ]
    small, fine = tmp_path / "small.mp4", tmp_path / "fine.mp4"
    options = ["--lens", lens, "--size", "320x160"]
    facts = run_argus_json("stitch", *files, small, *options, "--crf", "40", "--json")
    assert (facts["camera"], facts["width"], facts["height"]) == ("two lenses", 320, 160)
    run_argus_json("stitch", *files, fine, *options, "--crf", "10", "--json")
    assert fine.stat().st_size > 1.5 * small.stat().st_size
    assert_is_map(fine)


def test_sound_that_an_mp4_cannot_hold_is_listed(gopro: Path, tmp_path: Path) -> None:
    import imageio_ffmpeg

    source, target = tmp_path / "alaw.mkv", tmp_path / "walk.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(gopro), "-map", "0"]
    subprocess.run([*command, "-c:v", "copy", "-c:a", "pcm_alaw", str(source)], check=True)
    facts = run_argus_json("stitch", source, target, "--json")
    assert len(facts["omissions"]) == 1
    assert facts["omissions"][0]["part"] == "sound"
    assert "pcm_alaw" in facts["omissions"][0]["detail"]
    assert [track.kind for track in probe(target).tracks] == ["video"]


def test_a_dry_run_writes_nothing(gopro: Path, insta360: Path, lens: Path, tmp_path: Path) -> None:
    target = tmp_path / "walk.mp4"
    for arguments, camera in (([gopro], "GoPro MAX"), ([insta360, "--lens", lens], "Insta360")):
        facts = run_argus_json(
            "stitch", *arguments[:1], target, *arguments[1:], "--dry-run", "--json"
        )
        assert (facts["output"], facts["camera"], facts["frames"]) == (None, camera, 4)
    assert not target.exists()


class TestPhotos:
    @pytest.fixture
    def photo(self, tmp_path: Path) -> Path:
        """A photo with Exif and a trailer."""
        picture = np.concatenate([frames[0] for frames in show_lenses()], 1)
        path = tmp_path / "IMG_1_00_2.insp"
        options = [cv2.IMWRITE_JPEG_QUALITY, 98]
        _, data = cv2.imencode(".jpg", picture[..., ::-1], options)
        exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x0f\1\2\0\x08\0\0\0\x1a\0\0\0\0\0\0\0Arashi \0"
        segment = b"\xff\xe1" + (2 + len(exif)).to_bytes(2, "big") + exif
        path.write_bytes(data.tobytes()[:2] + segment + data.tobytes()[2:])
        return append_trailer(path)

    def test_a_photo_becomes_a_360_photo(self, photo: Path, lens: Path, tmp_path: Path) -> None:
        target = tmp_path / "walk.jpg"
        facts = run_argus_json("stitch", photo, target, "--lens", lens, "--json")
        assert (facts["width"], facts["height"]) == (2 * LENS_SIZE, LENS_SIZE)
        erp = cv2.imread(str(target))[..., ::-1]
        outside = mask_seam_of_lenses(erp.shape[:2], np.array([0, 0, 1]))
        assert measure_psnr(erp, show_map(erp.shape[:2]), outside) > 35
        assert b"Arashi" in target.read_bytes()

    @pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
    def test_viewers_know_the_projection(self, photo: Path, lens: Path, tmp_path: Path) -> None:
        target = tmp_path / "walk.jpg"
        run_argus_json("stitch", photo, target, "--lens", lens, "--size", "400x200", "--json")
        command = ["exiftool", "-json", "-validate", "-warning", "-all", str(target)]
        (tags,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert tags["ProjectionType"] == "equirectangular"
        assert (tags["FullPanoWidthPixels"], tags["FullPanoHeightPixels"]) == (400, 200)
        assert (tags["ImageWidth"], tags["ImageHeight"], tags["Make"]) == (400, 200, "Arashi")

    def test_a_wrong_photo_is_named(self, photo: Path, lens: Path, tmp_path: Path) -> None:
        broken, square = tmp_path / "broken.insp", tmp_path / "square.jpg"
        broken.write_bytes(b"no picture")
        cv2.imwrite(str(square), np.zeros((64, 64, 3), np.uint8))
        for wrong, name in ((broken, "damaged"), (square, "64x64")):
            result = run_argus("stitch", wrong, tmp_path / "walk.jpg", "--lens", lens)
            assert_invalid(result, wrong.name, name)
        assert_invalid(run_argus("stitch", photo, tmp_path / "walk.jpg"), "--lens")
        assert_invalid(run_argus("stitch", photo, tmp_path / "walk.mp4", "--lens", lens), ".jpg")


def test_what_cannot_be_stitched_is_refused_in_one_line(
    gopro: Path, insta360: Path, lens: Path, tmp_path: Path
) -> None:
    plain = write_tracks(tmp_path / "plain.mp4", [[np.zeros((64, 128, 3), np.uint8)]])
    alone = append_trailer(write_tracks(tmp_path / "alone.insv", show_lenses()[:1]))
    target = tmp_path / "walk.mp4"
    for arguments, names in (
        ([gopro], ["2 or 3"]),
        ([gopro, gopro, target], ["twice"]),
        ([gopro, insta360, plain, target], ["4 files"]),
        ([tmp_path / "nowhere.360", target], ["nowhere.360"]),
        ([gopro, tmp_path / "nowhere.360", target], ["nowhere.360"]),
        ([tmp_path, target], ["folder"]),
        ([gopro, tmp_path / "walk.mkv"], [".mp4"]),
        ([plain, plain], ["itself"]),
        ([gopro, target, "--size", "huge"], ["--size", "huge"]),
        ([gopro, target, "--size", "400x300"], ["400x300"]),
        ([gopro, target, "--lens", lens], ["GoPro"]),
        ([insta360, target], ["Insta360", "--lens"]),
        ([insta360, target, "--lens", tmp_path / "none.json"], ["none.json"]),
        ([insta360, target, "--lens", "nominal:x"], ["nominal:x"]),
        ([alone, target, "--lens", lens], ["alone.insv", "one lens"]),
        ([plain, target], ["plain.mp4", "argus tag"]),
    ):
        assert_invalid(run_argus("stitch", *arguments), *names)
    assert not target.exists()


def test_tag_names_the_camera_and_the_way(gopro: Path, insta360: Path, tmp_path: Path) -> None:
    for source, camera in ((gopro, "GoPro MAX"), (insta360, "Insta360")):
        target = tmp_path / "tagged.mp4"
        assert_invalid(run_argus("tag", source, target), camera, "argus stitch")
        assert not target.exists()
        assert run_argus("tag", source, target, "--force").exit_code == 0
        assert read_spherical(target) is not None
        target.unlink()
