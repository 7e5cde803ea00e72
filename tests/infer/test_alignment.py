"""Projection of views into the shared map."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.infer import align_views, project_views
from argus.pixels import frames_to_tensor
from argus.sphere import Camera, Trajectory, erp_to_view, from_euler_deg, visible_mask

SIZE = (64, 128)


@pytest.fixture
def panorama() -> np.ndarray:
    """One smooth map, uint8 [1, 64, 128, 3]."""
    lat = (0.5 - (np.arange(64) + 0.5) / 64) * np.pi
    lon = ((np.arange(128) + 0.5) / 128 - 0.5) * 2 * np.pi
    lat, lon = np.meshgrid(lat, lon, indexing="ij")
    colors = np.stack(
        [np.cos(lat) * np.cos(2 * lon), np.sin(2 * lat), np.cos(lat) * np.sin(lon)], axis=-1
    )
    return np.rint(127.5 + 100 * colors).astype(np.uint8)[None]


@pytest.fixture
def trajectory() -> Trajectory:
    return Trajectory(
        from_euler_deg([30, 50, 10], [5, 10, -20], [3, 0, -8]), Camera(80, 96, 64), Fraction(5)
    )


def test_frames_are_projected_to_where_they_were_cut(
    panorama: np.ndarray, trajectory: Trajectory
) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    projected = project_views(views, trajectory, SIZE)
    assert projected.erp.shape == (3, 3, *SIZE)
    assert projected.erp.dtype == torch.float32
    truth = frames_to_tensor(panorama).expand(3, -1, -1, -1)
    seen = projected.mask[:, None].expand_as(truth)
    assert float((projected.erp - truth)[seen].abs().max()) < 0.05
    assert set(projected.erp[~seen].tolist()) == {-1.0}
    np.testing.assert_array_equal(
        projected.mask.numpy(), visible_mask(trajectory.rotations, trajectory.camera, SIZE)
    )


def test_first_frame_is_centered(trajectory: Trajectory, panorama: np.ndarray) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    mask = align_views(views, trajectory, SIZE).mask[0].numpy()
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((31.5, 63.5))


def test_only_motion_relative_to_the_first_frame_matters(
    trajectory: Trajectory, panorama: np.ndarray
) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    turned = Trajectory(
        from_euler_deg(-70, 40, 25) @ trajectory.rotations, trajectory.camera, trajectory.fps
    )
    one, other = (align_views(views, motion, SIZE) for motion in (trajectory, turned))
    torch.testing.assert_close(one.erp, other.erp, atol=2e-3, rtol=0)
    assert float((one.mask != other.mask).float().mean()) < 1e-3


def test_turn_to_the_right_moves_the_view_to_the_right(panorama: np.ndarray) -> None:
    camera = Camera(60, 64, 48)
    right = Trajectory(from_euler_deg([0, 20], 0, 0), camera, Fraction(5))
    mask = align_views(erp_to_view(panorama, right.rotations, camera), right, SIZE).mask.numpy()
    centers = [np.nonzero(frame)[1].mean() for frame in mask]
    assert centers[1] - centers[0] == pytest.approx(20 / 360 * 128, abs=0.5)


def test_field_of_view_matters_and_size_in_pixels_does_not(
    trajectory: Trajectory, panorama: np.ndarray
) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    large = Trajectory(
        trajectory.rotations, trajectory.camera.with_size(1920, 1280), trajectory.fps
    )
    torch.testing.assert_close(
        align_views(views, large, SIZE).erp, align_views(views, trajectory, SIZE).erp
    )


def test_numbers_of_frames_and_rotations_must_agree(trajectory: Trajectory) -> None:
    with pytest.raises(InvalidInput):
        align_views(np.zeros((2, 64, 96, 3), np.uint8), trajectory, SIZE)
