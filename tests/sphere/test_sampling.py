"""Interpolation weights, minification filters and the continuation across seam and poles."""

import numpy as np
import pytest

from argus.sphere import (
    Camera,
    erp_to_view,
    from_euler_deg,
    rays_to_erp_pixels,
    rotate_erp,
    rotate_rays,
    view_grid,
    view_to_erp,
)
from argus.sphere.sampling import PAD, PixelSampler, pad_erp, sample_pixels
from tests.support.sphere import as_numpy, as_torch

ROTATIONS = from_euler_deg(
    [0, 40, 179.9, -120, 10, 30], [0, 20, 5, 90, -90, -47], [0, 30, -10, 0, 15, 120]
)


def rms(difference):
    return np.sqrt(np.mean(difference**2))


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("pixels", [20, 64])
@pytest.mark.parametrize("pose", [(180, 0), (-180, 30), (0, 90), (77, -90)])
def test_a_uniform_map_has_no_line_at_the_seam_or_the_poles(pose, pixels, interpolation):
    """Neither in a view, minified or not, nor in a map of that view."""
    erp, R, camera = (
        np.full((1, 64, 128, 3), 200, np.uint8),
        from_euler_deg(*pose, 0),
        Camera(80, pixels, pixels),
    )
    view = erp_to_view(erp, R, camera, interpolation=interpolation)
    assert (view == 200).all()
    for size in ((32, 64), (128, 256)):
        erp, mask = view_to_erp(view, R, camera, size, interpolation=interpolation)
        assert (erp[mask] == 200).all()
        assert mask[0, 0 if pose[1] == 90 else -1].all() or abs(pose[1]) != 90


def test_views_across_the_seam_and_the_poles_are_smooth(picture):
    """Neighboring pixels differ no more there than elsewhere in a map that is smooth on the sphere."""

    def largest_step(pose):
        view = erp_to_view(picture, from_euler_deg(*pose, 0), Camera(60, 96, 96))[0].astype(int)
        return max(np.abs(np.diff(view, axis=axis)).max() for axis in (0, 1))

    elsewhere = max(largest_step(pose) for pose in ((0, 0), (60, 20), (-90, -20)))
    special = max(largest_step(pose) for pose in ((180, 0), (0, 90), (0, -90), (180, 50)))
    assert special <= elsewhere + 2


def test_the_seam_is_interpolated_between_its_two_columns():
    erp = np.zeros((1, 64, 128, 1), np.float32)
    erp[:, :, 0], erp[:, :, -1] = 1, 3
    row = erp_to_view(erp, from_euler_deg(180, 0, 0), Camera(2, 65, 1, 1))[0, 0, :, 0]
    assert row[32] == pytest.approx(2, abs=1e-3)
    assert row.min() >= 1 - 1e-3
    assert row.max() <= 3 + 1e-3


def test_the_map_continues_beyond_the_pole_half_a_turn_away():
    """The view is a line through the zenith; there the first row is interpolated with itself."""
    erp = np.zeros((1, 32, 64, 1), np.float32)
    erp[:, 0] = np.arange(64)[:, None] >= 32
    line = erp_to_view(erp, from_euler_deg(90, 90, 0), Camera(2, 1, 65, 2))[0, :, 0, 0]
    assert {round(float(line[0])), round(float(line[-1]))} == {0, 1}
    assert line[32] == pytest.approx(0.5, abs=0.02)


def test_numpy_and_torch_agree_when_minifying():
    noise = np.random.default_rng(0).random((1, 128, 256, 3)).astype(np.float32)
    camera = Camera(90, 24, 18)
    np.testing.assert_allclose(
        erp_to_view(noise, ROTATIONS, camera),
        as_numpy(erp_to_view(as_torch(noise), ROTATIONS, camera)),
        atol=1e-4,
    )
    view, camera = (
        np.random.default_rng(1).random((1, 90, 120, 3)).astype(np.float32),
        Camera(40, 120, 90),
    )
    erp, mask = view_to_erp(view, ROTATIONS, camera, (32, 64))
    erp_torch, mask_torch = view_to_erp(as_torch(view), ROTATIONS, camera, (32, 64))
    agree = mask == mask_torch.numpy()
    np.testing.assert_allclose(erp[agree], as_numpy(erp_torch)[agree], atol=1e-4)


def test_a_checkerboard_of_single_pixels_becomes_gray():
    """The view has a tenth of the density of the map; the second map that of the view."""
    board = np.indices((512, 1024)).sum(0) % 2 * 255.0
    erp = np.repeat(board[None, :, :, None], 3, -1).astype(np.uint8)
    view = erp_to_view(erp, from_euler_deg(20, 10, 5), Camera(90, 28, 20))
    assert np.abs(view.astype(float) - 127.5).max() < 6
    board = np.indices((480, 480)).sum(0) % 2 * 255
    view = np.repeat(board[None, :, :, None], 3, -1).astype(np.uint8)
    erp, mask = view_to_erp(view, np.eye(3), Camera(30, 480, 480), (256, 512))
    assert np.abs(erp[mask].astype(float) - 127.5).max() < 6


def zone_plate(height):
    """Return rings about the forward direction whose spatial frequency grows to 0.4 cycles per
    pixel of the map at 60 degrees, float32 [1, H, 2H, 1]."""
    lon = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    lat = ((0.5 - (np.arange(height) + 0.5) / height) * np.pi)[:, None]
    angle = np.arccos(np.clip(np.cos(lat) * np.cos(lon), -1, 1))
    phase = 0.4 * height * angle**2 / (2 * np.pi / 3) * 2
    return (0.5 + 0.5 * np.cos(phase)).astype(np.float32)[None, :, :, None]


def render_supersampled(erp, R, camera, samples):
    """Return the mean of samples × samples bilinear samples per pixel of the unfiltered map."""
    dense = camera.with_size(samples * camera.width, samples * camera.height)
    rays = rotate_rays(view_grid(dense, np.empty(0)), R[None])
    column, row = rays_to_erp_pixels(rays, erp.shape[1:3])
    view = sample_pixels(pad_erp(erp), column + PAD, row + PAD, "linear")[0]
    return view.reshape(camera.height, samples, camera.width, samples, -1).mean((1, 3))


@pytest.mark.parametrize(
    ("height", "fov", "pixels", "error"),
    [(1920, 90, 256, 0.03), (960, 30, 48, 0.02), (960, 120, 160, 0.08)],
)
def test_a_minified_zone_plate_is_close_to_supersampling(height, fov, pixels, error):
    """Root mean square against 64 samples per pixel. Without a filter it is 0.19, 0.09 and 0.20.
    The corners of a wide view are blurred."""
    camera, R = Camera(fov, pixels, pixels), from_euler_deg(12, 7, 20)
    erp = zone_plate(height)
    assert rms(erp_to_view(erp, R, camera)[0] - render_supersampled(erp, R, camera, 8)) < error


def test_a_dense_view_is_averaged_in_the_map():
    """A view of 30° and 480 pixels covers 43 columns of the map. Error 0.024; without a filter
    0.32."""
    camera = Camera(30, 480, 480)
    x, y = np.meshgrid(np.arange(480), np.arange(480))
    view = (0.5 + 0.5 * np.cos((x**2 + y**2) * np.pi / 2000)).astype(np.float32)[None, :, :, None]
    erp, mask = view_to_erp(view, np.eye(3), camera, (256, 512))
    # On this map the view is the coarser of the two.
    large_erp, large_mask = view_to_erp(view, np.eye(3), camera, (2048, 4096))
    expected, coverage = (
        values.reshape(256, 8, 512, 8).mean((1, 3))
        for values in (large_erp[0, ..., 0], large_mask[0].astype(float))
    )
    is_covered = coverage == 1
    assert is_covered.sum() > 1500
    assert mask[0][is_covered].all()
    assert rms((erp[0, ..., 0] - expected)[is_covered]) < 0.03


def test_bilinear_weights_are_exact():
    """OpenCV 4 rounds them to 1/32. Noise as uint8 and as float64 differs from torch only by the
    rounding to levels."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), np.uint8)
    exact_noise, camera = noise.astype(np.float64), Camera(60, 90, 60)
    exact = as_numpy(erp_to_view(as_torch(exact_noise), ROTATIONS, camera))
    assert np.abs(erp_to_view(noise, ROTATIONS, camera) - exact).max() < 0.51
    assert np.abs(erp_to_view(exact_noise, ROTATIONS, camera) - exact).max() < 2e-2
    exact = as_numpy(rotate_erp(as_torch(exact_noise), ROTATIONS))
    assert np.abs(rotate_erp(noise, ROTATIONS) - exact).max() < 0.51


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_sampling_three_channels_as_four_changes_no_value(dtype):
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(dtype)
    column, row = (
        np.random.default_rng(k).uniform(-1, 61, (70, 90)).astype(np.float32) for k in (1, 2)
    )
    for interpolation in ("linear", "cubic"):
        for supersample in (1, 2):
            three, four = (
                PixelSampler(frame, interpolation, expected_samples)(column, row, supersample)
                for expected_samples in (0, 10**6)
            )
            np.testing.assert_allclose(three, four, atol=1e-3 if dtype == np.float32 else 0)
