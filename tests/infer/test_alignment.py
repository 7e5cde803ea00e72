from fractions import Fraction

import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.infer import align, place, to_frames, to_model
from argus.sphere import Camera, Trajectory, erp_to_view, from_euler_deg, visible_mask

SIZE = (64, 128)


@pytest.fixture
def panorama() -> np.ndarray:
    """One smooth map uint8 [1,64,128,3]."""
    lat = (0.5 - (np.arange(64) + 0.5) / 64) * np.pi
    lon = ((np.arange(128) + 0.5) / 128 - 0.5) * 2 * np.pi
    lat, lon = np.meshgrid(lat, lon, indexing="ij")
    colours = np.stack(
        [np.cos(lat) * np.cos(2 * lon), np.sin(2 * lat), np.cos(lat) * np.sin(lon)], axis=-1
    )
    return np.rint(127.5 + 100 * colours).astype(np.uint8)[None]


@pytest.fixture
def trajectory() -> Trajectory:
    return Trajectory(
        from_euler_deg([30, 50, 10], [5, 10, -20], [3, 0, -8]), Camera(80, 96, 64), Fraction(5)
    )


def test_frames_land_where_they_were_cut(panorama: np.ndarray, trajectory: Trajectory) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    aligned = place(views, trajectory, SIZE)
    assert aligned.erp.shape == (3, 3, *SIZE)
    assert aligned.erp.dtype == torch.float32
    truth = to_model(panorama).expand(3, -1, -1, -1)
    seen = aligned.mask[:, None].expand_as(truth)
    assert float((aligned.erp - truth)[seen].abs().max()) < 0.05
    assert set(aligned.erp[~seen].tolist()) == {-1.0}
    np.testing.assert_array_equal(
        aligned.mask.numpy(), visible_mask(trajectory.rotations, trajectory.camera, SIZE)
    )


def test_the_first_frame_lies_in_the_middle(trajectory: Trajectory, panorama: np.ndarray) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    mask = align(views, trajectory, SIZE).mask[0].numpy()
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((31.5, 63.5))


def test_only_the_motion_relative_to_the_first_frame_counts(
    trajectory: Trajectory, panorama: np.ndarray
) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    turned = Trajectory(
        from_euler_deg(-70, 40, 25) @ trajectory.rotations, trajectory.camera, trajectory.fps
    )
    one, other = (align(views, motion, SIZE) for motion in (trajectory, turned))
    torch.testing.assert_close(one.erp, other.erp, atol=2e-3, rtol=0)
    assert float((one.mask != other.mask).float().mean()) < 1e-3


def test_a_turn_to_the_right_goes_to_the_right(panorama: np.ndarray) -> None:
    camera = Camera(60, 64, 48)
    right = Trajectory(from_euler_deg([0, 20], 0, 0), camera, Fraction(5))
    mask = align(erp_to_view(panorama, right.rotations, camera), right, SIZE).mask.numpy()
    centres = [np.nonzero(frame)[1].mean() for frame in mask]
    assert centres[1] - centres[0] == pytest.approx(20 / 360 * 128, abs=0.5)


def test_the_field_of_view_counts_not_the_pixels(
    trajectory: Trajectory, panorama: np.ndarray
) -> None:
    views = erp_to_view(panorama, trajectory.rotations, trajectory.camera)
    large = Trajectory(trajectory.rotations, trajectory.camera.with_size(1920, 1280), trajectory.fps)
    torch.testing.assert_close(align(views, large, SIZE).erp, align(views, trajectory, SIZE).erp)


def test_one_rotation_per_frame(trajectory: Trajectory) -> None:
    with pytest.raises(InvalidInput, match="2 frames and 3 rotations"):
        align(np.zeros((2, 64, 96, 3), np.uint8), trajectory, SIZE)


def test_levels_survive_the_model_range() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(to_frames(to_model(levels)), levels)
    np.testing.assert_array_equal(np.unique(to_frames(torch.full((1, 3, 2, 2), 7.0))), [255])
