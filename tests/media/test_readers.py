"""The contract of VideoReader, for every backend, codec and container."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.media import open_video, probe
from argus.media.backends import BACKENDS
from tests.support.videos import (
    DECORD_FILES,
    FILES,
    FPS,
    FRAMES,
    HEIGHT,
    WIDTH,
    encode_video,
    numbered_frames,
    read_frame_numbers,
    write_patches,
    yuv_to_rgb,
)

SUPPORTED_FILES = {"decord": DECORD_FILES}  # other backends read all of FILES
READERS = [(name, backend) for backend in BACKENDS for name in SUPPORTED_FILES.get(backend, FILES)]


@pytest.mark.parametrize(("name", "backend"), READERS)
def test_frames_in_any_order_are_the_requested_ones(library, name, backend):
    with open_video(library(name), backend) as video:
        assert (len(video), video.fps, video.size) == (FRAMES, FPS, (HEIGHT, WIDTH))
        np.testing.assert_allclose(
            video.timestamps, np.arange(FRAMES) / float(FPS), atol=1.1e-3
        )  # webm and mkv store milliseconds
        for indices in ([39, 0, 13, 13, 12, 25], [5, 6, 7], [4], list(range(FRAMES))):
            frames = video.frames(indices)
            assert frames.shape == (len(indices), HEIGHT, WIDTH, 3)
            assert frames.dtype == np.uint8
            assert read_frame_numbers(frames) == indices


@pytest.mark.parametrize("name", FILES)
def test_sparse_reads_equal_a_complete_read(library, name):
    """Pixel by pixel, with any number of threads and across calls."""
    random = np.random.default_rng(7)
    with open_video(library(name)) as video, open_video(library(name), threads=3) as other:
        complete = video.frames(range(FRAMES))
        for count in (1, 2, 5, 12, 30):
            indices = random.choice(FRAMES, count)
            np.testing.assert_array_equal(video.frames(indices), complete[indices])
            np.testing.assert_array_equal(other.frames(indices), complete[indices])
        for start in range(0, FRAMES, 9):  # each call continues where the last one ended
            np.testing.assert_array_equal(
                other.frames(range(start, min(start + 9, FRAMES), 2)),
                complete[start : start + 9 : 2],
            )


@pytest.mark.parametrize("name", FILES)
def test_colors_are_those_that_were_encoded(library, name):
    with open_video(library(name)) as video:
        error = np.abs(
            video.frames(range(FRAMES))[:, HEIGHT // 2 + 8 :].astype(int)
            - numbered_frames()[:, HEIGHT // 2 + 8 :]
        ).mean()
    assert error < 4


@pytest.mark.parametrize("name", DECORD_FILES)
@pytest.mark.parametrize("size", [None, (24, 40), (192, 320)])
def test_both_backends_return_the_same_frames(library, name, size):
    """To 2 levels on average and 4 on smooth colors.

    Decord's conversion rounds down, and repeats chroma where PyAV's interpolates.
    """
    with open_video(library(name), "decord") as decord, open_video(library(name), "pyav") as pyav:
        difference = np.abs(
            decord.frames(range(FRAMES), size).astype(int) - pyav.frames(range(FRAMES), size)
        )
    assert difference.mean() < 2
    assert difference[:, -difference.shape[1] // 3 :, 2:-2].max() <= 4


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [(24, 32), (40, 100), (48, 160), (24, 200)])
def test_smaller_sizes_are_averaged_over_area(library, backend, size):
    with open_video(library("h264.mp4"), backend) as video:
        full, resized = video.frames([7]), video.frames([7], size)
    assert resized.shape == (1, *size, 3)
    expected = cv2.resize(full[0], size[::-1], interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(resized[0] - expected).mean() < 1


def test_detail_finer_than_the_output_does_not_alias(tmp_path):
    """Each output pixel covers 8 lines of one pixel, so gray is right at every phase."""
    lines = np.zeros((1, 256, 512, 3), np.uint8)
    lines[:, :, ::2] = 255
    with open_video(encode_video(tmp_path / "lines.mp4", "h264", lines)) as video:
        small = video.frames([0], size=(30, 62))[0, 2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127).max() < 8


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_frames_are_upright_for_every_rotation_flag(tmp_path, rotation, backend):
    upright = numbered_frames(3)
    path = encode_video(
        tmp_path / "rotated.mp4",
        "h264",
        np.rot90(upright, -rotation // 90, axes=(1, 2)).copy(),
        rotation=rotation,
    )
    with open_video(path, backend) as video:
        assert video.size == (HEIGHT, WIDTH)
        assert video.info.rotation == rotation
        assert read_frame_numbers(video.frames([2, 0, 1])) == [2, 0, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_variable_frame_rate_keeps_its_timestamps_and_has_the_mean_rate(tmp_path, backend):
    times = [0, 3, 6, 9, 20, 23, 40, 41, 42, 90]
    with open_video(
        encode_video(tmp_path / "variable.mp4", "h264", numbered_frames(10), times=times), backend
    ) as video:
        assert video.info.is_variable_rate
        np.testing.assert_allclose(video.timestamps, np.array(times) / 90)
        assert video.fps == 9
        assert read_frame_numbers(video.frames([9, 4])) == [9, 4]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("matrix", "weights"), [(1, (0.2126, 0.0722)), (6, (0.299, 0.114))])
@pytest.mark.parametrize(("pix_fmt", "is_full_range"), [("yuv420p", False), ("yuvj420p", True)])
def test_declared_matrix_and_range_are_used(
    tmp_path, backend, matrix, weights, pix_fmt, is_full_range
):
    yuv = np.random.default_rng(0).integers(70, 180, (3, 6, 10))  # all inside the RGB gamut
    path = write_patches(tmp_path / "patches.mp4", yuv, pix_fmt, matrix)
    expected = np.clip(yuv_to_rgb(yuv, weights, is_full_range=is_full_range), 0, 255)
    for size in (None, (48, 80)):
        with open_video(path, backend) as video:
            frame = video.frames([0], size)[0]
        patch = frame.shape[0] // 6
        error = np.abs(frame[patch // 2 :: patch, patch // 2 :: patch] - expected).max()
        assert error < (1 if backend == "pyav" else 3.5)


@pytest.mark.parametrize("matrix", [2, 3, 8, 14])
def test_unknown_matrix_counts_as_bt601(tmp_path, matrix):
    yuv = np.random.default_rng(0).integers(70, 180, (3, 6, 10))
    with open_video(write_patches(tmp_path / "patches.mp4", yuv, "yuv420p", matrix)) as video:
        frame = video.frames([0])[0]
    assert (
        np.abs(
            frame[8::16, 8::16] - yuv_to_rgb(yuv, (0.299, 0.114), is_full_range=False).clip(0, 255)
        ).max()
        < 1
    )


def test_frames_hidden_by_an_edit_list_are_not_counted(tmp_path):
    path = encode_video(
        tmp_path / "edited.mp4",
        "h264",
        numbered_frames(),
        times=[3 * (number - 10) for number in range(FRAMES)],
    )
    with open_video(path) as video:
        assert len(video) == FRAMES - 10
        assert video.timestamps[0] == 0
        assert read_frame_numbers(video.frames([0, 29, 7])) == [10, 39, 17]
    with pytest.raises(ValueError, match="decord"):
        open_video(path, "decord")


def test_odd_sizes_are_read(tmp_path):
    path = encode_video(tmp_path / "odd.webm", "vp9", numbered_frames(4, 95, 161))
    for backend in BACKENDS:
        with open_video(path, backend) as video:
            assert video.frames([3, 1]).shape == (2, 95, 161, 3)


def test_single_frame_is_read(tmp_path):
    with open_video(encode_video(tmp_path / "one.mp4", "h264", numbered_frames(1))) as video:
        assert len(video) == 1
        assert video.fps == FPS
        assert video.frames([0]).shape == (1, HEIGHT, WIDTH, 3)


def test_decord_rejects_what_it_cannot_read_exactly(library):
    with pytest.raises(ValueError, match=r"decord.*av1"):
        open_video(library("av1.mp4"), "decord")
    assert probe(library("av1.mp4")).codec == "av1"


def test_indices_out_of_range_and_unknown_backends_are_rejected(library):
    with (
        open_video(library("h264.mp4")) as video,
        pytest.raises(ValueError, match=r"40.*39"),
    ):
        video.frames([40])
    with pytest.raises(ValueError, match="pyav, decord"):
        open_video(library("h264.mp4"), "gstreamer")
    with pytest.raises(InvalidInput, match=r"/nowhere\.mp4"):
        open_video("/nowhere.mp4")


def test_no_indices_give_an_empty_array(library):
    with open_video(library("h264.mp4")) as video:
        assert video.frames([]).shape == (0, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("name", "container"), [("h264.mp4", "mp4"), ("vp8.webm", "matroska"), ("h264.ts", "mpegts")]
)
def test_probe_returns_the_properties(library, name, container):
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


def test_pixel_aspect_is_reported(library, tmp_path):
    path = encode_video(
        tmp_path / "anamorphic.mp4", "h264", numbered_frames(2), pixel_aspect=Fraction(4, 3)
    )
    assert probe(path).pixel_aspect == Fraction(4, 3)
