"""Views of maps and maps of views: values, types, cameras per frame, threads and gradients."""

from functools import partial

import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import (
    Camera,
    erp_to_view,
    from_euler_deg,
    rotate_erp,
    view_to_erp,
    visible_mask,
)
from tests.support.sphere import angle_deg, as_numpy, as_torch, erp_rays, view_rays

ROTATIONS = from_euler_deg(
    [0, 40, 179.9, -120, 10, 30], [0, 20, 5, 90, -90, -47], [0, 30, -10, 0, 15, 120]
)
SMALL = Camera(60, 8, 8)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_view_shows_the_direction_of_each_pixel(direction_map, interpolation):
    """Keys' bicubic kernel bends ramps a little."""
    camera = Camera(70, 120, 90)
    views = erp_to_view(direction_map, ROTATIONS, camera, interpolation=interpolation)
    expected = np.einsum("tij,hwj->thwi", ROTATIONS, view_rays(camera))
    assert angle_deg(views, expected).max() < (0.02 if interpolation == "linear" else 0.06)


def test_a_quarter_turn_equals_a_shifted_map(picture):
    camera, right, forward = Camera(75, 80, 60), from_euler_deg(90, 0, 0), np.eye(3)
    exact = picture.astype(np.float64) / 255
    for frames, tolerance in ((picture, 1), (exact, 1e-5), (exact.astype(np.float32), 1e-5)):
        shifted = np.roll(frames, -64, axis=2)
        np.testing.assert_allclose(
            erp_to_view(frames, right, camera).astype(float),
            erp_to_view(shifted, forward, camera).astype(float),
            atol=tolerance,
        )
        if tolerance < 1:
            np.testing.assert_allclose(
                as_numpy(erp_to_view(as_torch(frames), right, camera)),
                as_numpy(erp_to_view(as_torch(shifted), forward, camera)),
                atol=tolerance,
            )


def test_a_yaw_by_whole_pixels_shifts_the_map(picture):
    rotated = rotate_erp(picture, from_euler_deg(37 * 360 / picture.shape[2], 0, 0))
    np.testing.assert_array_equal(rotated, np.roll(picture, -37, axis=2))


def test_a_rotated_map_shows_at_d_what_the_map_shows_at_r_d(direction_map):
    R = from_euler_deg(50, 35, -20)
    expected = np.einsum("ij,hwj->hwi", R, erp_rays((256, 512)))
    assert angle_deg(rotate_erp(direction_map, R)[0], expected).max() < 0.02


def test_a_rotation_and_its_inverse_give_the_map_back(picture):
    R = from_euler_deg(50, 35, -20)
    rotated = rotate_erp(picture, R, interpolation="cubic")
    back = rotate_erp(rotated, R.T, interpolation="cubic")
    assert np.abs(back.astype(int) - picture).max() <= 3


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_numpy_and_torch_agree(picture, interpolation):
    """OpenCV rounds bicubic weights to 1/32 pixel. Masks may differ on the border of the view,
    where the rays of torch are float32."""
    exact, camera = picture.astype(np.float32) / 255, Camera(80, 60, 40)
    tolerance, options = (
        {"linear": 1e-4, "cubic": 3e-3}[interpolation],
        {"interpolation": interpolation},
    )
    view = erp_to_view(exact, ROTATIONS, camera, **options)
    view_torch = as_numpy(erp_to_view(as_torch(exact), ROTATIONS, camera, **options))
    assert np.abs(view - view_torch).max() < tolerance
    erp, mask = view_to_erp(view, ROTATIONS, camera, (64, 128), -1.0, **options)
    erp_torch, mask_torch = view_to_erp(
        as_torch(view), ROTATIONS, camera, (64, 128), -1.0, **options
    )
    agree = mask == mask_torch.numpy()
    assert agree.mean() > 0.999
    assert np.abs(erp - as_numpy(erp_torch))[agree].max() < tolerance
    rotated = rotate_erp(exact, ROTATIONS, **options)
    rotated_torch = as_numpy(rotate_erp(as_torch(exact), ROTATIONS, **options))
    assert np.abs(rotated - rotated_torch).max() < tolerance


def test_a_round_trip_through_a_view_keeps_the_map(picture):
    camera, size = Camera(90, 180, 180), picture.shape[1:3]
    for R in ROTATIONS:
        erp, mask = view_to_erp(erp_to_view(picture, R, camera), R, camera, size)
        assert np.abs(erp.astype(int) - picture)[mask].max() <= 7
        assert not erp[~mask].any()


def test_the_projected_area_is_the_visible_mask():
    camera, size = Camera(75, 60, 40, 50), (128, 256)
    expected = visible_mask(ROTATIONS, camera, size)
    erp, mask = view_to_erp(np.ones((1, 40, 60, 3), np.uint8), ROTATIONS, camera, size)
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(erp == 1, expected[..., None].repeat(3, -1))


def test_unseen_pixels_hold_the_fill_value():
    view = np.zeros((1, 8, 8, 3), np.float32)
    erp, mask = view_to_erp(view, np.eye(3), SMALL, (32, 64), fill=-1.0)
    assert (erp[~mask] == -1).all()
    assert (erp[mask] == 0).all()


def test_each_frame_has_its_own_camera():
    size, cameras = (64, 128), [Camera(40, 20, 20), Camera(100, 20, 20)]
    masks = visible_mask(np.stack([np.eye(3)] * 2), cameras, size)
    assert masks[0].sum() < masks[1].sum()
    erp = np.random.default_rng(0).random((2, 64, 128, 3)).astype(np.float32)
    views = erp_to_view(erp, np.eye(3), cameras)
    np.testing.assert_array_equal(views[1], erp_to_view(erp[1:], np.eye(3), cameras[1])[0])
    torch_views = as_numpy(erp_to_view(as_torch(erp), np.eye(3), cameras))
    np.testing.assert_allclose(torch_views, views, atol=1e-4)


def test_threads_change_nothing(picture):
    erp = np.concatenate([np.roll(picture, 9 * k, 2) for k in range(6)])
    cameras = [Camera(60 + 5 * k, 30, 20) for k in range(6)]
    views = erp_to_view(erp, ROTATIONS, cameras)
    calls = (
        partial(erp_to_view, erp, ROTATIONS, cameras),
        partial(erp_to_view, picture, ROTATIONS, cameras),
        partial(view_to_erp, views, ROTATIONS, cameras, (64, 128)),
        partial(rotate_erp, erp, ROTATIONS),
    )
    for call in calls:
        for threaded, single in zip(call(threads=3), call(), strict=True):
            np.testing.assert_array_equal(threaded, single)


def test_gradients_equal_finite_differences():
    check = partial(torch.autograd.gradcheck, fast_mode=True)
    camera, R = Camera(70, 5, 4), torch.from_numpy(from_euler_deg(33, 21, 10))
    erp, view = (
        torch.rand(
            *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        ).requires_grad_()
        for seed, shape in enumerate([(1, 2, 8, 16), (1, 2, 4, 5)])
    )
    assert check(lambda x, R: erp_to_view(x, R, camera), (erp, R.clone().requires_grad_()))
    assert check(lambda x: view_to_erp(x, R, camera, (8, 16))[0], view)
    assert check(rotate_erp, (erp, R.clone().requires_grad_()))
    minified = Camera(100, 2, 2)
    assert check(lambda x: erp_to_view(x, R, minified), erp)
    assert check(lambda x: view_to_erp(x, R, camera, (4, 8))[0], view)


def test_gradients_are_finite_at_the_poles():
    """The middle pixel looks exactly along the pole, where longitude has no derivative."""
    up = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], requires_grad=True)
    for sign in (1, -1):
        R = up * sign * torch.tensor([sign, 1.0, 1.0])
        erp_to_view(torch.rand(1, 3, 16, 32), R, Camera(70, 5, 5)).sum().backward()
    assert torch.isfinite(up.grad).all()


def test_gradients_reach_the_map_and_the_rotation():
    erp = torch.rand(1, 3, 16, 32, dtype=torch.float64, requires_grad=True)
    R = torch.from_numpy(from_euler_deg(30, 20, 10)).requires_grad_()
    camera = Camera(70, 6, 4)
    view = erp_to_view(erp, R, camera)
    view_to_erp(view, R.detach(), camera, (16, 32))[0].sum().backward()
    for leaf in (erp, R):
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_torch_types_are_kept(dtype):
    erp, view = torch.rand(1, 3, 32, 64).to(dtype), torch.rand(1, 3, 20, 30).to(dtype)
    camera = Camera(60, 30, 20)
    assert erp_to_view(erp, ROTATIONS, camera).dtype == dtype
    assert erp_to_view(erp, ROTATIONS, Camera(60, 4, 3)).dtype == dtype
    assert view_to_erp(view, ROTATIONS, camera, (8, 16))[0].dtype == dtype
    assert rotate_erp(erp, ROTATIONS).dtype == dtype


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_numpy_types_and_channels_are_kept(dtype, channels):
    value, fill = (100, 7) if dtype == np.uint8 else (0.5, -1)
    erp = np.full((1, 32, 64, channels), value, dtype)
    for camera in (Camera(60, 30, 20), Camera(60, 4, 3)):
        views = erp_to_view(erp, ROTATIONS, camera)
        assert (views.dtype, views.shape) == (dtype, (6, camera.height, camera.width, channels))
        np.testing.assert_allclose(views, value, rtol=1e-6)
        back, mask = view_to_erp(views, ROTATIONS, camera, (8, 16), fill=fill)
        assert (back.dtype, back.shape) == (dtype, (6, 8, 16, channels))
        np.testing.assert_allclose(back[mask], value, rtol=1e-6)
        assert (back[~mask] == fill).all()


def frames(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda: erp_to_view(frames(8, 16, 3), np.eye(3), SMALL), r"\(8, 16, 3\)"),
        (lambda: erp_to_view(frames(1, 8, 16, 3, dtype=np.int32), np.eye(3), SMALL), "int32"),
        (lambda: erp_to_view(frames(1, 8, 16, 5), np.eye(3), SMALL), r"\(1, 8, 16, 5\)"),
        (
            lambda: erp_to_view(frames(2, 8, 16, 3), np.stack([np.eye(3)] * 3), SMALL),
            "2 frames, 3 rotations",
        ),
        (lambda: erp_to_view(frames(1, 8, 16, 3), np.ones((3, 3)), SMALL), "rotations"),
        (lambda: view_to_erp(frames(1, 8, 9, 3), np.eye(3), SMALL, (16, 32)), "9x8"),
        (
            lambda: erp_to_view(frames(1, 8, 16, 3), np.eye(3), SMALL, interpolation="box"),
            "'box'",
        ),
        (lambda: rotate_erp(frames(1, 8, 16, 3), np.eye(3), threads=0), "threads is 0"),
        (lambda: visible_mask(np.stack([np.eye(3)] * 2), [SMALL] * 3, (8, 16)), "3 cameras"),
    ],
)
def test_invalid_input_is_named(call, value):
    with pytest.raises(InvalidInput, match=value):
        call()
