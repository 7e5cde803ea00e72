"""One contract for every backend, codec and container."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.media import open_video, probe
from tests.media.conftest import (
    DECORD_FILES,
    FILES,
    FPS,
    FRAMES,
    HEIGHT,
    WIDTH,
    encode,
    numbered,
    numbers_shown,
    rgb_of,
    write_patches,
)

READERS = [(name, "pyav") for name in FILES] + [(name, "decord") for name in DECORD_FILES]


@pytest.mark.parametrize(("name", "backend"), READERS)
def test_any_frames_in_any_order_are_the_ones_asked_for(library, name, backend):
    with open_video(library(name), backend) as video:
        assert (len(video), video.fps, video.size) == (FRAMES, FPS, (HEIGHT, WIDTH))
        np.testing.assert_allclose(
            video.timestamps, np.arange(FRAMES) / float(FPS), atol=1.1e-3
        )  # webm and mkv store milliseconds
        for indices in ([39, 0, 13, 13, 12, 25], [5, 6, 7], [4], list(range(FRAMES))):
            frames = video.frames(indices)
            assert frames.shape == (len(indices), HEIGHT, WIDTH, 3)
            assert frames.dtype == np.uint8
            assert numbers_shown(frames) == indices


@pytest.mark.parametrize("name", FILES)
def test_what_is_left_out_changes_nothing(library, name):
    """Sparse reads equal the same frames of a whole read, pixel by pixel, with any number of threads and from call to call."""
    random = np.random.default_rng(7)
    with open_video(library(name)) as video, open_video(library(name), threads=3) as other:
        whole = video.frames(range(FRAMES))
        for count in (1, 2, 5, 12, 30):
            indices = random.choice(FRAMES, count)
            np.testing.assert_array_equal(video.frames(indices), whole[indices])
            np.testing.assert_array_equal(other.frames(indices), whole[indices])
        for start in range(0, FRAMES, 9):  # each call goes on where the last one ended
            np.testing.assert_array_equal(
                other.frames(range(start, min(start + 9, FRAMES), 2)), whole[start : start + 9 : 2]
            )


@pytest.mark.parametrize("name", FILES)
def test_colours_are_those_that_were_written(library, name):
    with open_video(library(name)) as video:
        error = np.abs(
            video.frames(range(FRAMES))[:, HEIGHT // 2 + 8 :].astype(int)
            - numbered()[:, HEIGHT // 2 + 8 :]
        ).mean()
    assert error < 4


@pytest.mark.parametrize("name", DECORD_FILES)
@pytest.mark.parametrize("size", [None, (24, 40), (192, 320)])
def test_both_backends_give_the_same_pictures(library, name, size):
    """To 2 levels in the mean and 4 on smooth colours: decord's conversion rounds down, and repeats chroma where PyAV's interpolates."""
    with open_video(library(name), "decord") as one, open_video(library(name), "pyav") as other:
        difference = np.abs(
            one.frames(range(FRAMES), size).astype(int) - other.frames(range(FRAMES), size)
        )
    assert difference.mean() < 2
    assert difference[:, -difference.shape[1] // 3 :, 2:-2].max() <= 4


@pytest.mark.parametrize("backend", ["decord", "pyav"])
@pytest.mark.parametrize("size", [(24, 32), (40, 100), (48, 160), (24, 200)])
def test_resizing_averages_over_area_where_smaller(library, backend, size):
    with open_video(library("h264.mp4"), backend) as video:
        full, resized = video.frames([7]), video.frames([7], size)
    assert resized.shape == (1, *size, 3)
    expected = cv2.resize(full[0], size[::-1], interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(resized[0] - expected).mean() < 1


def test_detail_finer_than_the_asked_size_does_not_alias(tmp_path):
    """Lines one pixel wide: 8 of them make each pixel, so grey is right, whatever the phase."""
    lines = np.zeros((1, 256, 512, 3), np.uint8)
    lines[:, :, ::2] = 255
    with open_video(encode(tmp_path / "lines.mp4", "h264", lines)) as video:
        small = video.frames([0], size=(30, 62))[0, 2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127).max() < 8


@pytest.mark.parametrize("backend", ["decord", "pyav"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_frames_stand_upright_whatever_the_rotation_flag(tmp_path, rotation, backend):
    upright = numbered(3)
    path = encode(
        tmp_path / "turned.mp4",
        "h264",
        np.rot90(upright, -rotation // 90, axes=(1, 2)).copy(),
        rotation=rotation,
    )
    with open_video(path, backend) as video:
        assert video.size == (HEIGHT, WIDTH)
        assert video.info.rotation == rotation
        assert numbers_shown(video.frames([2, 0, 1])) == [2, 0, 1]


@pytest.mark.parametrize("backend", ["decord", "pyav"])
def test_a_variable_frame_rate_keeps_its_timestamps_and_gives_the_mean_rate(tmp_path, backend):
    times = [0, 3, 6, 9, 20, 23, 40, 41, 42, 90]
    with open_video(
        encode(tmp_path / "variable.mp4", "h264", numbered(10), times=times), backend
    ) as video:
        assert video.info.is_variable_rate
        np.testing.assert_allclose(video.timestamps, np.array(times) / 90)
        assert video.fps == 9
        assert numbers_shown(video.frames([9, 4])) == [9, 4]


@pytest.mark.parametrize("backend", ["pyav", "decord"])
@pytest.mark.parametrize(("matrix", "weights"), [(1, (0.2126, 0.0722)), (6, (0.299, 0.114))])
@pytest.mark.parametrize(("pix_fmt", "is_disk_full"), [("yuv420p", False), ("yuvj420p", True)])
def test_the_matrix_and_the_range_that_a_file_states_are_used(
    tmp_path, backend, matrix, weights, pix_fmt, is_disk_full
):
    yuv = np.random.default_rng(0).integers(70, 180, (3, 6, 10))  # colours, none outside of RGB
    path = write_patches(tmp_path / "patches.mp4", yuv, pix_fmt, matrix)
    expected = np.clip(rgb_of(yuv, weights, is_disk_full=is_disk_full), 0, 255)
    for size in (None, (48, 80)):
        with open_video(path, backend) as video:
            frame = video.frames([0], size)[0]
        patch = frame.shape[0] // 6
        error = np.abs(frame[patch // 2 :: patch, patch // 2 :: patch] - expected).max()
        assert error < (1 if backend == "pyav" else 3.5)


@pytest.mark.parametrize("matrix", [2, 3, 8, 14])
def test_a_matrix_that_is_unknown_is_taken_as_bt601(tmp_path, matrix):
    yuv = np.random.default_rng(0).integers(70, 180, (3, 6, 10))
    with open_video(write_patches(tmp_path / "patches.mp4", yuv, "yuv420p", matrix)) as video:
        frame = video.frames([0])[0]
    assert (
        np.abs(frame[8::16, 8::16] - rgb_of(yuv, (0.299, 0.114), is_disk_full=False).clip(0, 255)).max()
        < 1
    )


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path):
    path = encode(
        tmp_path / "edited.mp4",
        "h264",
        numbered(),
        times=[3 * (number - 10) for number in range(FRAMES)],
    )
    with open_video(path) as video:
        assert len(video) == FRAMES - 10
        assert video.timestamps[0] == 0
        assert numbers_shown(video.frames([0, 29, 7])) == [10, 39, 17]
    with pytest.raises(ValueError, match="it counts 40 frames"):
        open_video(path, "decord")


def test_odd_sizes_are_read(tmp_path):
    path = encode(tmp_path / "odd.webm", "vp9", numbered(4, 95, 161))
    for backend in ("decord", "pyav"):
        with open_video(path, backend) as video:
            assert video.frames([3, 1]).shape == (2, 95, 161, 3)


def test_a_video_of_one_frame_is_read(tmp_path):
    with open_video(encode(tmp_path / "one.mp4", "h264", numbered(1))) as video:
        assert len(video) == 1
        assert video.fps == FPS
        assert video.frames([0]).shape == (1, HEIGHT, WIDTH, 3)


def test_what_decord_cannot_read_exactly_goes_to_pyav(library):
    with pytest.raises(ValueError, match="leave the backend out"):
        open_video(library("av1.mp4"), "decord")
    assert probe(library("av1.mp4")).codec == "av1"


def test_frames_out_of_range_and_unknown_backends_are_refused(library):
    with (
        open_video(library("h264.mp4")) as video,
        pytest.raises(ValueError, match=r"frames 0 \.\. 39"),
    ):
        video.frames([40])
    with pytest.raises(ValueError, match="pyav, decord"):
        open_video(library("h264.mp4"), "gstreamer")
    with pytest.raises(InvalidInput, match="no such file"):
        open_video("/nowhere.mp4")


def test_no_frames_is_an_empty_array(library):
    with open_video(library("h264.mp4")) as video:
        assert video.frames([]).shape == (0, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("name", "container"), [("h264.mp4", "mp4"), ("vp8.webm", "matroska"), ("h264.ts", "mpegts")]
)
def test_probe_tells_the_facts(library, name, container):
    info = probe(library(name))
    assert (info.width, info.height, info.frames, info.codec, info.container) == (
        WIDTH,
        HEIGHT,
        FRAMES,
        name.split(".")[0],
        container,
    )
    assert info.fps == FPS
    assert info.duration_s == pytest.approx(FRAMES / FPS, abs=2e-3)
    assert (info.rotation, info.pixel_aspect, info.spherical, info.is_variable_rate) == (
        0,
        Fraction(1),
        None,
        False,
    )


def test_pixels_that_are_not_square_are_told(library, tmp_path):
    path = encode(tmp_path / "anamorphic.mp4", "h264", numbered(2), pixel_aspect=Fraction(4, 3))
    assert probe(path).pixel_aspect == Fraction(4, 3)
