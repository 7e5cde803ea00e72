"""Coordinates: rays of pixels, pixels of rays, visibility and solid angles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.errors import InvalidInput
from argus.sphere import (
    Camera,
    RayGrid,
    erp_grid,
    from_euler_deg,
    rays_to_erp_pixels,
    rotate_rays,
    solid_angle,
    view_grid,
    visible_mask,
)
from argus.sphere.grid import intrinsic_matrix, is_in_view
from tests.support.sphere import angle_deg, erp_rays, view_rays

ROTATIONS = from_euler_deg(
    [0, 40, 179.9, -120, 10, 30], [0, 20, 5, 90, -90, -47], [0, 30, -10, 0, 15, 120]
)
"""They look at the seam and at both poles, among others."""

SIZES = [(64, 128), (512, 1024), (1920, 3840), (3840, 7680)]
ROTATION = st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
CAMERAS = st.builds(
    Camera, st.floats(20, 160), st.integers(1, 90), st.integers(1, 90), st.floats(20, 160)
)
QUICK = settings(max_examples=50, deadline=None, derandomize=True)


def rotations_like(library):
    """Return (an array of the library, rotations): float64 in numpy, float32 in torch."""
    if library == "numpy":
        return np.empty(0), ROTATIONS
    return torch.empty(0), torch.from_numpy(ROTATIONS).float()


def rays_at(column, row, size):
    """Return the unit rays of pixel coordinates in a map."""
    lon, lat = ((column + 0.5) / size[1] - 0.5) * 2 * np.pi, (0.5 - (row + 0.5) / size[0]) * np.pi
    return np.stack([np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)], -1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_map_coordinates_of_views_equal_analytic_rays(library, size):
    """Measured: at most 3.3e-5 degrees. The odd pictures have a pixel in the very middle."""
    like, rotations = rotations_like(library)
    for camera in (Camera(100, 96, 64, 80), Camera(2, 33, 65), Camera(150, 65, 65)):
        pixels = rays_to_erp_pixels(rotate_rays(view_grid(camera, like), rotations), size)
        column, row = (np.asarray(axis, dtype=float) for axis in pixels)
        expected = np.einsum("tij,hwj->thwi", ROTATIONS, view_rays(camera))
        assert angle_deg(rays_at(column, row, size), expected).max() < 1e-4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_coordinates_of_maps_equal_analytic_rays(library, size):
    """Rotated maps and maps projected to views, for a sample of rows and columns that contains
    those at the poles and at the seam."""
    like, rotations = rotations_like(library)
    rows, columns = (
        np.unique(np.concatenate([[0, 1, n - 2, n - 1], np.linspace(0, n - 1, 99).astype(int)]))
        for n in size
    )
    full_grid = erp_grid(size, like)
    grid = RayGrid(full_grid.x[columns], full_grid.y[rows], full_grid.z[columns])
    rays = rays_at(columns[None, :], rows[:, None] + 0 * columns, size)
    expected = np.einsum("tij,hwj->thwi", ROTATIONS, rays)
    pixels = rays_to_erp_pixels(rotate_rays(grid, rotations), size)
    column, row = (np.asarray(axis, dtype=float) for axis in pixels)
    assert angle_deg(rays_at(column, row, size), expected).max() < 1e-4
    camera = Camera(100, 480, 320)
    is_forward = expected[..., 2] > 0.5
    column, row, depth = (
        np.asarray(axis, dtype=float)[is_forward]
        for axis in rotate_rays(grid, intrinsic_matrix(camera, rotations) @ rotations)
    )
    x, y = (column / depth + 0.5 - 240) / camera.fx, (row / depth + 0.5 - 160) / camera.fy
    found = np.stack([x, y, np.ones_like(row)], -1)
    assert angle_deg(found, expected[is_forward]).max() < 1e-4


def test_erp_rays_follow_the_definition():
    rays = np.stack(rotate_rays(erp_grid((64, 128), np.empty(0)), np.eye(3)[None]), -1)
    assert angle_deg(rays[0], erp_rays((64, 128))).max() < 1e-5


@QUICK
@given(st.integers(2, 200), st.integers(4, 400))
def test_erp_pixels_survive_their_rays(height, width):
    rays = rotate_rays(erp_grid((height, width), np.empty(0)), np.eye(3)[None])
    column, row = (axis[0] for axis in rays_to_erp_pixels(rays, (height, width)))
    expected_row, expected_column = np.mgrid[:height, :width]
    np.testing.assert_allclose(column, expected_column, atol=1e-4 * width / 4)
    np.testing.assert_allclose(row, expected_row, atol=1e-4 * height / 2)


@QUICK
@given(CAMERAS)
def test_view_pixels_survive_their_rays(camera):
    matrix = intrinsic_matrix(camera, np.empty(0))[None]
    column, row, depth = (axis[0] for axis in rotate_rays(view_grid(camera, np.empty(0)), matrix))
    expected_row, expected_column = np.mgrid[: camera.height, : camera.width]
    np.testing.assert_allclose(column / depth, expected_column, atol=1e-4)
    np.testing.assert_allclose(row / depth, expected_row, atol=1e-4)


@QUICK
@given(CAMERAS, ROTATION)
def test_view_pixels_survive_the_map(camera, angles):
    """View pixel -> map pixel -> ray -> view pixel."""
    R, size = from_euler_deg(*angles), (512, 1024)
    pixels = rays_to_erp_pixels(rotate_rays(view_grid(camera, np.empty(0)), R[None]), size)
    rays = rays_at(*(axis[0].astype(float) for axis in pixels), size) @ R
    projected = rays @ intrinsic_matrix(camera, np.empty(0)).T
    found = projected[..., :2] / projected[..., 2:]
    expected_row, expected_column = np.mgrid[: camera.height, : camera.width]
    np.testing.assert_allclose(found[..., 0], expected_column, atol=0.01)
    np.testing.assert_allclose(found[..., 1], expected_row, atol=0.01)


def test_the_mask_equals_the_pinhole_model():
    camera, size = Camera(75, 60, 40, 50), (128, 256)
    x, y, z = np.moveaxis(np.einsum("tji,hwj->thwi", ROTATIONS, erp_rays(size)), -1, 0)
    tan_x, tan_y = np.tan(np.radians(75 / 2)), np.tan(np.radians(50 / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = (z > 0) & (np.abs(x / z) <= tan_x) & (np.abs(y / z) <= tan_y)
    np.testing.assert_array_equal(visible_mask(ROTATIONS, camera, size), expected)


@pytest.mark.parametrize(
    "camera",
    [
        Camera(90, 48, 32),
        Camera(2, 33, 65),
        Camera(150, 64, 64),
        Camera(179, 8, 8),
        Camera(90, 8, 8),
    ],
)
@pytest.mark.parametrize("size", [(64, 128), (33, 70)])
def test_the_mask_equals_a_test_of_every_pixel(camera, size):
    """`visible_mask` tests only the pixels within the bounds of the view."""
    special = from_euler_deg([0, 90, 180, -180, 0, 0, 45, 45], [0, 0, 0, 0, 90, -90, 89.99, 45], 0)
    random = from_euler_deg(*np.random.default_rng(0).uniform(-180, 180, (3, 40)))
    rotations = np.concatenate([special, random])
    inverse = rotations.transpose(0, 2, 1)
    np.testing.assert_array_equal(
        visible_mask(rotations, camera, size), is_in_view(erp_grid(size, inverse), inverse, camera)
    )


def test_the_mask_has_the_solid_angle_of_the_view():
    """A view of 90° by 90° is a sixth of the sphere, wherever it looks."""
    size = (256, 512)
    steradians = (visible_mask(ROTATIONS, Camera(90, 8, 8), size) * solid_angle(size)).sum((1, 2))
    np.testing.assert_allclose(steradians / (4 * np.pi), 1 / 6, atol=1e-3)


def test_visible_pixels_project_into_the_view():
    camera, size = Camera(110, 50, 70), (64, 128)
    inverse = ROTATIONS.transpose(0, 2, 1)
    grid = erp_grid(size, inverse)
    mask = is_in_view(grid, inverse, camera)
    column, row, depth = (
        axis[mask] for axis in rotate_rays(grid, intrinsic_matrix(camera, inverse) @ inverse)
    )
    for pixels, length in ((column / depth, 50), (row / depth, 70)):
        assert -0.5 - 1e-9 <= pixels.min() < pixels.max() <= length - 0.5 + 1e-9


@QUICK
@given(st.integers(2, 200), st.integers(4, 400))
def test_solid_angles_sum_to_the_sphere(height, width):
    assert solid_angle((height, width)).sum() == pytest.approx(4 * np.pi, rel=1e-12)


def test_a_map_without_pixels_is_rejected():
    with pytest.raises(InvalidInput, match=r"erp_size.*\(0, 32\)"):
        visible_mask(np.eye(3), Camera(60, 8, 8), (0, 32))
