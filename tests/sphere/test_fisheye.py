import numpy as np
import pytest
import torch

from argus.errors import InvalidInput
from argus.sphere import erp_to_fisheye, fisheye_to_erp
from tests.support.sphere import angle_deg, as_numpy, as_torch, erp_rays, run_v360, smooth_map


@pytest.fixture
def large_picture():
    """A map for comparisons with ffmpeg, whose maps differ from ours by up to 0.18° at this size."""
    return smooth_map((512, 1024))


def differences(ours, theirs):
    """Return (mean, maximum) absolute difference in levels of 255."""
    difference = np.abs(ours.astype(int) - theirs)
    return difference.mean(), difference.max()


def circle_mask(size, lenses):
    offset = np.arange(size) + 0.5 - size / 2
    return np.tile(np.hypot(offset[:, None], offset) <= size / 2, lenses)


@pytest.mark.parametrize("fov", [180, 195, 220])
def test_ffmpegs_dual_fisheye_is_read(large_picture, fov):
    options = f"e:dfisheye:h_fov={fov}:v_fov={fov}:w=1024:h=512"
    circles = run_v360(large_picture[0], options, (512, 1024))
    erp = fisheye_to_erp(circles[None], fov, (512, 1024))
    mean, maximum = differences(erp[0], large_picture[0])
    assert mean < 0.7
    assert maximum <= 4


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("fov", [150, 180, 220])
@pytest.mark.parametrize("lenses", [1, 2])
def test_circles_are_ffmpegs(large_picture, lenses, fov, interpolation):
    name = {1: "fisheye", 2: "dfisheye"}[lenses]
    ours = erp_to_fisheye(large_picture, fov, 400, lenses=lenses, interpolation=interpolation)[0]
    options = f"e:{name}:h_fov={fov}:v_fov={fov}:w={400 * lenses}:h=400"
    theirs = run_v360(large_picture[0], options, (400, 400 * lenses), interpolation)
    mask = circle_mask(400, lenses)
    mean, maximum = differences(ours[mask], theirs[mask])
    assert mean < 0.7
    assert maximum <= 4


# At 180° no lens sees the pixels between the circles.
@pytest.mark.parametrize(("fov", "maximum"), [(180, 0.4), (200, 0.01), (220, 0.01)])
def test_a_round_trip_keeps_directions(direction_map, fov, maximum):
    size = (256, 512)
    erp = fisheye_to_erp(erp_to_fisheye(direction_map, fov, 256), fov, size)
    error = angle_deg(erp[0], erp_rays(size))
    assert error.max() < maximum
    assert np.median(error) < 0.005
    erp = fisheye_to_erp(erp_to_fisheye(as_torch(direction_map), fov, 256), fov, size)
    assert angle_deg(as_numpy(erp)[0], erp_rays(size)).max() < maximum


def test_numpy_and_torch_agree_and_torch_has_gradients(picture):
    erp = picture.astype(np.float32) / 255
    tensor = as_torch(erp).requires_grad_()
    circles = erp_to_fisheye(tensor, 190, 64)
    np.testing.assert_allclose(as_numpy(circles.detach()), erp_to_fisheye(erp, 190, 64), atol=1e-4)
    circles.sum().backward()
    assert torch.isfinite(tensor.grad).all()
    assert tensor.grad.abs().sum() > 0


def test_a_dense_map_is_averaged_for_a_small_circle():
    stripes = np.zeros((1, 256, 512, 3), np.uint8)
    stripes[:, :, ::2] = 200
    circle = erp_to_fisheye(stripes, 180, 32, lenses=1)[0]
    assert np.abs(circle[circle_mask(32, 1)].astype(int) - 100).max() < 12


def test_one_lens_leaves_the_back_black():
    erp = fisheye_to_erp(np.full((1, 64, 64, 3), 90, np.uint8), 180, (32, 64))[0]
    assert (erp[:, 17:47] == 90).all()
    assert not erp[:, :15].any()
    tensor = fisheye_to_erp(torch.ones(1, 3, 64, 64), 180, (32, 64))
    np.testing.assert_array_equal(tensor[0, 0].numpy() > 0, erp[..., 0] > 0)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda x: erp_to_fisheye(x, 0, 32), "fov_deg is 0"),
        (lambda x: erp_to_fisheye(x, 361, 32), "fov_deg is 361"),
        (lambda x: erp_to_fisheye(x, 190, 32, lenses=3), "lenses=3"),
        (lambda x: erp_to_fisheye(x, 190, 1), "size=1"),
        (lambda x: fisheye_to_erp(x[:, :100], 190, (32, 64)), "256x100"),
    ],
)
def test_invalid_input_is_named(picture, call, value):
    with pytest.raises(InvalidInput, match=value):
        call(picture)
